//! How changes of users spread to teams: to their groups and managers, and to whatever these are nested in.

use std::collections::BTreeSet;

use lockstep_domain::{
    ChangeAction, ChangeOutcome, ChangeReasonCode, ExternalId, GroupMembership, InboundRules,
    ManagerTeamDepth, ObjectKind, RunPhase, TeamSource, UserFields,
};
use lockstep_entity::{dirty_key, run_change};
use lockstep_sync::inbound::reach::{Walk, reach};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, JsonValue, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};

use crate::above::{containers, managers_of, those_with_reports};
use crate::column::{from_optional_json, parse, rows_per_statement};
use crate::dirty::kind_of;
use crate::lease::Step;
use crate::place::{STRETCH, between, has_unmade, last_place};
use crate::{Lease, Store, StoreError};

/// Ids whose neighbours are looked up together.
const STEP: usize = 500;

/// Which planned changes of users reach teams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reaching {
    /// Those that are to be made.
    Planned,
    /// Those that were to be made and were not: their teams were planned against users who are not as they were to be.
    Unmade,
}

impl Store {
    /// Marks the teams that the planned changes of users reach, and whatever these are nested in. Changes that are held or
    /// left out reach nothing.
    ///
    /// # Errors
    /// When the database fails or the lease is lost.
    pub async fn spread(&self, lease: &Lease, rules: &InboundRules) -> Result<(), StoreError> {
        self.spread_from(lease, rules, Reaching::Planned).await
    }

    /// Marks again the teams that changes of users reach which were not made after all, so that the next run looks at them.
    ///
    /// # Errors
    /// When the database fails or the lease is lost.
    pub async fn spread_unmade(
        &self,
        lease: &Lease,
        rules: &InboundRules,
    ) -> Result<(), StoreError> {
        self.spread_from(lease, rules, Reaching::Unmade).await
    }

    async fn spread_from(
        &self,
        lease: &Lease,
        rules: &InboundRules,
        which: Reaching,
    ) -> Result<(), StoreError> {
        let phase = match which {
            Reaching::Planned => RunPhase::Planning,
            Reaching::Unmade => RunPhase::ApplyingUsers,
        };
        let step = Step {
            phase,
            processed: 0,
            total: None,
        };
        let mut after = 0;
        let is_idle = which == Reaching::Unmade && !has_unmade(self.db(), lease).await?;
        let end = if is_idle {
            0
        } else {
            last_place(self.db(), lease).await?
        };
        while after < end {
            let last = end.min(after + STRETCH);
            let changes = reaching_users(self.db(), lease, which, after, last).await?;
            after = last;
            self.spread_users(lease, step, rules, changes).await?;
        }
        // What is above is for the next run to mark, which goes up from all that is marked by then.
        if which == Reaching::Unmade {
            return Ok(());
        }
        if rules.group_teams.enabled && rules.group_teams.membership == GroupMembership::Transitive
        {
            self.spread_up(lease, step, TeamSource::Group).await?;
        }
        if rules.manager_teams.enabled && rules.manager_teams.depth == ManagerTeamDepth::AllLevels {
            self.spread_up(lease, step, TeamSource::Manager).await?;
        }
        Ok(())
    }

    async fn spread_users(
        &self,
        lease: &Lease,
        step: Step,
        rules: &InboundRules,
        changes: Vec<PlannedUser>,
    ) -> Result<(), StoreError> {
        let (mut in_groups, mut own, mut below) = (Vec::new(), Vec::new(), Vec::new());
        for change in changes {
            let far = reach(change.action, change.before.as_ref(), change.after.as_ref());
            let id = ExternalId(change.external_id);
            if far.groups && rules.group_teams.enabled {
                in_groups.push(id.clone());
            }
            if far.managers && rules.manager_teams.enabled {
                below.push(id.clone());
            }
            if far.own_team && rules.manager_teams.enabled {
                own.push(id);
            }
        }
        let integration = lease.integration_id;
        let groups = containers(self.db(), integration, &in_groups).await?;
        self.mark_reached(lease, step, TeamSource::Group, groups)
            .await?;
        let mut managers = those_with_reports(self.db(), integration, &own).await?;
        let above = managers_of(self.db(), integration, &below).await?;
        managers.extend(above.into_values());
        self.mark_reached(lease, step, TeamSource::Manager, managers)
            .await
    }

    /// Marks teams, a batch a transaction.
    async fn mark_reached(
        &self,
        lease: &Lease,
        step: Step,
        source: TeamSource,
        ids: BTreeSet<ExternalId>,
    ) -> Result<(), StoreError> {
        let ids: Vec<ExternalId> = ids.into_iter().collect();
        for ids in ids.chunks(rows_per_statement(1)) {
            let tx = self.begin_run(lease, step).await?;
            let ids = ids.iter().cloned();
            self.mark_teams(&tx, lease.integration_id, source, ids)
                .await?;
            tx.commit("mark which teams have to be looked at").await?;
        }
        Ok(())
    }

    /// Marks everything above what is marked.
    async fn spread_up(
        &self,
        lease: &Lease,
        step: Step,
        source: TeamSource,
    ) -> Result<(), StoreError> {
        let integration = lease.integration_id;
        let marked: Vec<String> = dirty_key::Entity::of_integration(integration.0)
            .select_only()
            .column(dirty_key::Column::Key)
            .filter(dirty_key::Column::Kind.eq(kind_of(source)))
            .into_tuple()
            .all(self.db())
            .await
            .map_err(StoreError::of("read which teams have to be looked at"))?;
        let marked: BTreeSet<ExternalId> = marked.into_iter().map(ExternalId).collect();
        let mut walk = Walk::from(marked.iter().cloned());
        loop {
            let ids = walk.next(STEP);
            if ids.is_empty() {
                break;
            }
            let above: BTreeSet<ExternalId> = match source {
                TeamSource::Group => containers(self.db(), integration, &ids).await?,
                TeamSource::Manager => {
                    let managers = managers_of(self.db(), integration, &ids).await?;
                    managers.into_values().collect()
                }
            };
            walk.found(above);
        }
        let above = walk.into_seen().difference(&marked).cloned().collect();
        self.mark_reached(lease, step, source, above).await
    }
}

/// A planned change of a user, as far as it can reach teams.
struct PlannedUser {
    external_id: String,
    action: ChangeAction,
    before: Option<UserFields>,
    after: Option<UserFields>,
}

async fn reaching_users(
    db: &impl ConnectionTrait,
    lease: &Lease,
    which: Reaching,
    after: i64,
    last: i64,
) -> Result<Vec<PlannedUser>, StoreError> {
    type Row = (String, String, Option<JsonValue>, Option<JsonValue>);
    let outcomes = match which {
        Reaching::Planned => &[ChangeOutcome::Planned][..],
        Reaching::Unmade => &[ChangeOutcome::Skipped, ChangeOutcome::Failed],
    };
    // What was decided against before the teams were planned is not counted on by any of them.
    let came_up_later = (which == Reaching::Unmade).then(|| {
        let later = ChangeReasonCode::ALL
            .iter()
            .filter(|code| code.is_retried());
        run_change::Column::ReasonCode.is_in(later.map(|code| code.as_str()))
    });
    let rows: Vec<Row> = between(lease.run_id.0, after, last)
        .filter(run_change::Column::Outcome.is_in(outcomes.iter().map(|o| o.as_str())))
        .filter(Condition::all().add_option(came_up_later))
        .select_only()
        .columns([
            run_change::Column::ExternalId,
            run_change::Column::Action,
            run_change::Column::Before,
            run_change::Column::After,
        ])
        .filter(run_change::Column::ObjectKind.eq(ObjectKind::User.as_str()))
        .order_by_asc(run_change::Column::Sequence)
        .into_tuple()
        .all(db)
        .await
        .map_err(StoreError::of("read planned changes"))?;
    rows.into_iter()
        .map(|(external_id, action, before, after)| {
            Ok(PlannedUser {
                external_id,
                action: parse("run_change.action", &action)?,
                before: from_optional_json("run_change.before", before)?,
                after: from_optional_json("run_change.after", after)?,
            })
        })
        .collect()
}
