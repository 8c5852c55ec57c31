//! Apply, for teams: what was planned for them becomes true, a chunk a transaction.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_domain::{
    ChangeAction, ChangeOutcome, ChangeReasonCode, ExternalId, IntegrationId, MembershipOriginKind,
    ObjectKind, RecordOrigin, RunPhase, Team, TeamFields, TeamId, TeamKey, TeamRole, TeamStatus,
};
use lockstep_entity::{membership, run_change, team};
use sea_orm::sea_query::{LockType, OnConflict, Query, SelectStatement};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::apply::Applied;
use crate::column::{from_json, from_optional_json, parse, rows_per_statement, signed, to_json};
use crate::lease::Step;
use crate::lookup::one_of;
use crate::outcome::conclude;
use crate::place::next_planned;
use crate::run::Run;
use crate::run_tx::RunTx;
use crate::team::{read_team, write_team};
use crate::team_name::{Naming, note_name, other_names};
use crate::{Lease, Store, StoreError};

/// A row of a team that is to be applied.
#[derive(Clone)]
pub(crate) struct Intent {
    pub(crate) id: Uuid,
    action: ChangeAction,
    key: TeamKey,
    team: TeamId,
    before: Option<TeamFields>,
    after: TeamFields,
}

impl Store {
    /// Applies rows of teams in one transaction, or none of them.
    pub(crate) async fn try_teams(
        &self,
        lease: &Lease,
        progress: Step,
        intents: &[Intent],
    ) -> Result<(Run, Applied), StoreError> {
        let count = intents.len() as u64;
        let step = Step {
            phase: RunPhase::ApplyingTeams,
            processed: progress.processed + count,
            ..progress
        };
        let tx = self.begin_telling(lease, step, count).await?;
        let present = self
            .locked_teams(&tx, lease, intents.iter().map(|i| i.team))
            .await?;
        let taken = taken_keys(&tx, lease, intents).await?;
        let (mut good, mut stale) = (Vec::new(), Vec::new());
        for intent in intents {
            match judge(intent, &present, &taken) {
                Ok(()) => good.push(intent.clone()),
                Err(message) => stale.push((intent.id, message)),
            }
        }
        settle_names(&tx, lease, &mut good, &present).await?;
        self.write_teams(&tx, lease, &good, &present).await?;
        let first = tx.first_event(count);
        let done: Vec<Uuid> = good.iter().map(|intent| intent.id).collect();
        conclude(&tx, &done, ChangeOutcome::Applied, None, first, self.now()).await?;
        for (event, (id, message)) in (first + signed(done.len() as u64)..).zip(&stale) {
            let reason = (ChangeReasonCode::ChangedMeanwhile, (*message).to_owned());
            let skipped = ChangeOutcome::Skipped;
            conclude(&tx, &[*id], skipped, Some(&reason), event, self.now()).await?;
        }
        let applied = Applied {
            applied: done.len() as u64,
            skipped: stale.len() as u64,
            ..Applied::default()
        };
        Ok((tx.commit("apply changes of teams").await?, applied))
    }

    /// Reads teams; on PostgreSQL they are locked, in the order of their ids, so that an edit by hand waits.
    pub(crate) async fn locked_teams(
        &self,
        tx: &RunTx,
        lease: &Lease,
        ids: impl Iterator<Item = TeamId>,
    ) -> Result<BTreeMap<TeamId, Team>, StoreError> {
        let ids: BTreeSet<Uuid> = ids.map(|id| id.0).collect();
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let mut found = BTreeMap::new();
        for chunk in ids.chunks(rows_per_statement(1)) {
            let mut query = team::Entity::in_organization(lease.organization_id.0)
                .filter(one_of(tx, team::Column::Id, chunk.iter().copied()))
                .order_by_asc(team::Column::Id);
            if !self.is_sqlite() {
                query = query.lock(LockType::NoKeyUpdate);
            }
            for row in query.all(tx).await.map_err(StoreError::of("read teams"))? {
                let team = read_team(row)?;
                found.insert(team.id, team);
            }
        }
        Ok(found)
    }

    async fn write_teams(
        &self,
        tx: &RunTx,
        lease: &Lease,
        intents: &[Intent],
        present: &BTreeMap<TeamId, Team>,
    ) -> Result<(), StoreError> {
        use team::Column;
        let rows: Vec<_> = intents
            .iter()
            .map(|intent| write_team(&self.changed(lease, intent, present.get(&intent.team))))
            .collect();
        for chunk in rows.chunks(rows_per_statement(18)) {
            let written = [
                Column::IntegrationId,
                Column::Source,
                Column::ExternalId,
                Column::Name,
                Column::NameKey,
                Column::SourceName,
                Column::NameIsLocal,
                Column::Status,
                Column::ArchivalReason,
                Column::ArchivedAt,
                Column::Origin,
                Column::UpdatedAt,
                Column::SearchKey,
            ];
            team::Entity::insert_many(chunk.iter().cloned())
                .on_conflict(
                    OnConflict::column(Column::Id)
                        .update_columns(written)
                        .to_owned(),
                )
                .exec_without_returning(tx)
                .await
                .map_err(StoreError::of("write teams"))?;
        }
        for intent in intents.iter().filter(|intent| intent.is_release()) {
            release_members(tx, intent).await?;
        }
        Ok(())
    }

    /// The team as a row of the plan leaves it.
    fn changed(&self, lease: &Lease, intent: &Intent, present: Option<&Team>) -> Team {
        let now = self.now();
        let TeamFields {
            name,
            source_name,
            status,
            archival_reason,
            origin,
        } = intent.after.clone();
        let is_managed = origin == RecordOrigin::EntraId;
        let archived_at = present.and_then(|team| team.archived_at).or(Some(now));
        Team {
            id: intent.team,
            organization_id: lease.organization_id,
            integration_id: is_managed.then_some(lease.integration_id),
            key: is_managed.then(|| intent.key.clone()),
            name,
            source_name: source_name.filter(|_| is_managed),
            name_is_local: !is_managed || present.is_some_and(|team| team.name_is_local),
            status,
            archival_reason,
            archived_at: archived_at.filter(|_| status == TeamStatus::Archived),
            origin,
            yearly_budget: present.and_then(|team| team.yearly_budget),
            created_at: present.map_or(now, |team| team.created_at),
            updated_at: now,
        }
    }
}

impl Intent {
    fn read(row: run_change::Model) -> Result<Self, StoreError> {
        let missing = |column| StoreError::Corrupt {
            column,
            text: format!("nothing in change {}", row.id),
        };
        let source = row.source.ok_or_else(|| missing("run_change.source"))?;
        let team = row.platform_id;
        let after = row.after.ok_or_else(|| missing("run_change.after"))?;
        Ok(Self {
            id: row.id,
            action: parse("run_change.action", &row.action)?,
            key: TeamKey {
                source: parse("run_change.source", &source)?,
                external_id: ExternalId(row.external_id),
            },
            team: TeamId(team.ok_or_else(|| missing("run_change.platform_id"))?),
            before: from_optional_json("run_change.before", row.before)?,
            after: from_json("run_change.after", after)?,
        })
    }

    /// The name that the team is to get, none when the directory gives it none.
    fn naming(&self) -> Option<Naming<'_>> {
        Some(Naming {
            team: self.team,
            external_id: &self.key.external_id,
            base: self.after.source_name.as_deref()?,
            name: &self.after.name,
        })
    }

    /// Whether the team is managed by hand from now on (D-45).
    fn is_release(&self) -> bool {
        self.after.origin == RecordOrigin::Local
    }
}

/// The next rows of teams in the order of the plan.
pub(crate) async fn next(
    db: &impl ConnectionTrait,
    lease: &Lease,
    after: i64,
    limit: u64,
) -> Result<(Vec<Intent>, i64), StoreError> {
    let (rows, through) = next_planned(db, lease, ObjectKind::Team, after, limit).await?;
    let intents: Result<_, _> = rows.into_iter().map(Intent::read).collect();
    Ok((intents?, through))
}

/// Gives another name to teams whose planned one is taken after all.
async fn settle_names(
    tx: &RunTx,
    lease: &Lease,
    intents: &mut [Intent],
    present: &BTreeMap<TeamId, Team>,
) -> Result<(), StoreError> {
    let gets_name = |intent: &Intent| {
        let team = present.get(&intent.team);
        let keeps = |team: &Team| {
            team.name_is_local
                || team.status == TeamStatus::Active && team.name == intent.after.name
        };
        intent.after.status == TeamStatus::Active && !team.is_some_and(keeps)
    };
    let namings: Vec<Naming<'_>> = intents
        .iter()
        .filter(|intent| gets_name(intent))
        .filter_map(Intent::naming)
        .collect();
    let mut others = other_names(tx, lease, &namings).await?;
    for intent in intents {
        if let Some(name) = others.remove(&intent.team) {
            intent.after.name = name;
            let (after, name) = (to_json(&intent.after), &intent.after.name);
            note_name(tx, lease, intent.id, intent.team, name, after).await?;
        }
    }
    Ok(())
}

/// Keys of teams to be created for which there is a team by now.
async fn taken_keys(
    tx: &RunTx,
    lease: &Lease,
    intents: &[Intent],
) -> Result<BTreeSet<TeamKey>, StoreError> {
    let created: Vec<&str> = intents
        .iter()
        .filter(|intent| intent.action == ChangeAction::Create)
        .map(|intent| intent.key.external_id.as_str())
        .collect();
    let mut found = BTreeSet::new();
    for chunk in created.chunks(rows_per_statement(1)) {
        let rows = in_integration(lease.integration_id)
            .filter(one_of(tx, team::Column::ExternalId, chunk.iter().copied()))
            .all(tx)
            .await
            .map_err(StoreError::of("read teams"))?;
        for row in rows {
            found.extend(read_team(row)?.key);
        }
    }
    Ok(found)
}

fn in_integration(integration: IntegrationId) -> sea_orm::Select<team::Entity> {
    team::Entity::of_integration(integration.0)
}

/// Says whether what a row was decided on still holds.
fn judge(
    intent: &Intent,
    present: &BTreeMap<TeamId, Team>,
    taken: &BTreeSet<TeamKey>,
) -> Result<(), &'static str> {
    match (&intent.before, present.get(&intent.team)) {
        (None, _) if taken.contains(&intent.key) => {
            Err("A team was made from it while the run was going on.")
        }
        (None, _) => Ok(()),
        (Some(_), None) => Err("The team vanished while the run was going on."),
        (Some(_), Some(team)) if team.name_is_local && team.name != intent.after.name => {
            Err("An owner named the team while the run was going on.")
        }
        (Some(before), Some(team)) if TeamFields::of(team) != *before => {
            Err("The team was changed while the run was going on.")
        }
        (Some(_), Some(_)) => Ok(()),
    }
}

/// Makes the synchronized members of a released team members by hand; who was added by hand as well keeps the stronger
/// role.
async fn release_members(tx: &RunTx, intent: &Intent) -> Result<(), StoreError> {
    use membership::Column;
    let operation = "release the members of a team";
    let (manual, synced) = (MembershipOriginKind::Manual, intent.key.source.origin());
    let of = |origin: MembershipOriginKind| {
        Condition::all()
            .add(Column::TeamId.eq(intent.team.0))
            .add(Column::Origin.eq(origin.as_str()))
    };
    let users = |which: Condition| -> SelectStatement {
        Query::select()
            .column(Column::UserId)
            .from(membership::Entity)
            .cond_where(which)
            .to_owned()
    };
    let leads = of(synced).add(Column::Role.eq(TeamRole::Supervisor.as_str()));
    membership::Entity::update_many()
        .col_expr(Column::Role, TeamRole::Supervisor.as_str().into())
        .filter(of(manual))
        .filter(Column::UserId.in_subquery(users(leads)))
        .exec(tx)
        .await
        .map_err(StoreError::of(operation))?;
    membership::Entity::delete_many()
        .filter(of(synced))
        .filter(Column::UserId.in_subquery(users(of(manual))))
        .exec(tx)
        .await
        .map_err(StoreError::of(operation))?;
    membership::Entity::update_many()
        .col_expr(Column::Origin, manual.as_str().into())
        .filter(of(synced))
        .exec(tx)
        .await
        .map_err(StoreError::of(operation))?;
    Ok(())
}
