//! The guard's part of the database for teams: what a plan would archive and take away, and what of that must wait.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_domain::{
    ChangeAction, ChangeOutcome, InboundRules, MembershipOriginKind, RecordOrigin,
    TeamArchivalReason, TeamFields, TeamId, TeamStatus,
};
use lockstep_entity::{membership, run_change, team};
use lockstep_sync::guard::{Excess, Loss, all_removals, archivals, member_removals};
use sea_orm::sea_query::{Expr, Query, SelectStatement};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, JsonValue, PaginatorTrait as _,
    QueryFilter as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::column::{count, from_json, rows_per_statement};
use crate::lookup::{among, one_of};
use crate::place::{STRETCH, between, is_unmade, last_place};
use crate::plan::planned;
use crate::{Lease, Store, StoreError};

/// Actions that take someone out of a team.
pub(crate) const REMOVALS: [&str; 2] = [
    ChangeAction::RemoveMember.as_str(),
    ChangeAction::RemoveSupervisor.as_str(),
];

impl Store {
    /// Holds archivals, and losses of single teams, that are over their limits, with whatever follows from them (D-48).
    pub(crate) async fn hold_teams(
        &self,
        lease: &Lease,
        rules: &InboundRules,
    ) -> Result<Vec<Excess>, StoreError> {
        let archived = self.counted_archivals(lease).await?;
        let in_use = self.count_synced_teams(lease.integration_id.0).await?;
        let archived_excess = archivals(archived.len() as u64, in_use, &rules.limits);
        if let Some(excess) = &archived_excess {
            self.hold_those(lease, &archived, excess).await?;
            self.hold_rows(lease, follows(lease, excess), excess)
                .await?;
        }
        // Counted before those of single teams are held.
        let all = self.excess_of_removals(lease, rules).await?;
        let of_teams = self.hold_removals_of_teams(lease, rules).await?;
        if let Some(excess) = &all {
            self.hold_rows(lease, from_teams_in_use(lease), excess)
                .await?;
        }
        Ok(archived_excess
            .into_iter()
            .chain(all.or(of_teams))
            .collect())
    }

    /// Says whether the removals from all teams that are not archived are too many altogether.
    async fn excess_of_removals(
        &self,
        lease: &Lease,
        rules: &InboundRules,
    ) -> Result<Option<Excess>, StoreError> {
        let lost = planned(lease)
            .filter(from_teams_in_use(lease))
            .count(self.db());
        let lost = lost
            .await
            .map_err(StoreError::of("count what teams lose"))?;
        if lost <= u64::from(rules.limits.member_removals_per_team.allowance) {
            return Ok(None);
        }
        let had = membership::Entity::find()
            .filter(membership::Column::Origin.ne(MembershipOriginKind::Manual.as_str()))
            .filter(membership::Column::TeamId.in_subquery(teams_in_use(lease)))
            .count(self.db());
        let had = had.await.map_err(StoreError::of("count members"))?;
        Ok(all_removals(lost, had, &rules.limits))
    }

    async fn hold_removals_of_teams(
        &self,
        lease: &Lease,
        rules: &InboundRules,
    ) -> Result<Option<Excess>, StoreError> {
        let losses = self.losses(lease, rules).await?;
        let (teams, excess) = member_removals(&losses, &rules.limits);
        if let Some(excess) = &excess {
            let teams: BTreeSet<Uuid> = teams.iter().map(|team| team.0).collect();
            self.hold_taken_from(lease, &teams, excess).await?;
        }
        Ok(excess)
    }

    /// Holds what takes someone out of one of some teams, a move to another included.
    async fn hold_taken_from(
        &self,
        lease: &Lease,
        teams: &BTreeSet<Uuid>,
        excess: &Excess,
    ) -> Result<(), StoreError> {
        use run_change::Column;
        type Row = (i64, String, Option<Uuid>, Option<Uuid>);
        let is_left = |team: &Option<Uuid>| team.is_some_and(|team| teams.contains(&team));
        let (last, mut after) = (last_place(self.db(), lease).await?, 0);
        while after < last {
            let to = Ord::min(last, after + STRETCH);
            let rows: Vec<Row> = between(lease.run_id.0, after, to)
                .select_only()
                .columns([
                    Column::Sequence,
                    Column::Action,
                    Column::PlatformId,
                    Column::MovedFromId,
                ])
                .filter(Column::Outcome.eq(ChangeOutcome::Planned.as_str()))
                .into_tuple()
                .all(self.db())
                .await
                .map_err(StoreError::of("read planned changes"))?;
            after = to;
            let takes = |(_, action, team, from): &Row| {
                is_left(from) || REMOVALS.contains(&action.as_str()) && is_left(team)
            };
            let places: Vec<i64> = rows.iter().filter(|r| takes(r)).map(|r| r.0).collect();
            self.hold_at(lease, &places, excess).await?;
        }
        Ok(())
    }

    /// Number of teams in use that an integration manages.
    pub(crate) async fn count_synced_teams(&self, integration: Uuid) -> Result<u64, StoreError> {
        team::Entity::of_integration(integration)
            .filter(team::Column::Status.eq(TeamStatus::Active.as_str()))
            .filter(team::Column::Origin.eq(RecordOrigin::EntraId.as_str()))
            .count(self.db())
            .await
            .map_err(StoreError::of("count teams"))
    }

    /// What each team that stays in use would lose, for those that lose more than is never held.
    async fn losses(&self, lease: &Lease, rules: &InboundRules) -> Result<Vec<Loss>, StoreError> {
        let lost = lost_by_team(self.db(), lease).await?;
        let allowance = u64::from(rules.limits.member_removals_per_team.allowance);
        let maximum = rules.limits.member_removals_per_team.maximum;
        let least = maximum.map_or(allowance, |maximum| Ord::min(allowance, u64::from(maximum)));
        let teams: Vec<Uuid> = lost
            .iter()
            .filter(|(_, lost)| **lost > least)
            .map(|(team, _)| *team)
            .collect();
        let archived = archived_among(self.db(), lease, &teams).await?;
        let teams: Vec<Uuid> = teams
            .into_iter()
            .filter(|team| !archived.contains(team))
            .collect();
        let had = members_by_team(self.db(), &teams).await?;
        let loss = |team: &Uuid| Loss {
            team: TeamId(*team),
            lost: lost[team],
            had: had.get(team).copied().unwrap_or_default(),
        };
        Ok(teams.iter().map(loss).collect())
    }

    /// Holds what would only be done because of a change that is held (D-48): first the archivals, then what they take
    /// away. None of it is counted, as it waits already.
    pub(crate) async fn hold_followers(
        &self,
        lease: &Lease,
        held: &[Excess],
    ) -> Result<(), StoreError> {
        for excess in held.iter().flat_map(|excess| [excess, excess]) {
            self.hold_rows(lease, follows(lease, excess), excess)
                .await?;
        }
        Ok(())
    }

    /// Rows that archive teams, but for those of a rule that an owner switched off: the owner said what becomes of them.
    async fn counted_archivals(&self, lease: &Lease) -> Result<Vec<Uuid>, StoreError> {
        let rows = self.planned_archivals(lease).await?.into_iter();
        let counted = rows.filter(|(_, reason)| *reason != Some(TeamArchivalReason::RuleOff));
        Ok(counted.map(|(id, _)| id).collect())
    }

    /// Rows that archive teams, and why.
    pub(crate) async fn planned_archivals(
        &self,
        lease: &Lease,
    ) -> Result<Vec<(Uuid, Option<TeamArchivalReason>)>, StoreError> {
        let rows: Vec<(Uuid, JsonValue)> = planned(lease)
            .select_only()
            .columns([run_change::Column::Id, run_change::Column::After])
            .filter(run_change::Column::Action.eq(ChangeAction::Archive.as_str()))
            .into_tuple()
            .all(self.db())
            .await
            .map_err(StoreError::of("read planned archivals"))?;
        let reason = |(id, after)| {
            let after: TeamFields = from_json("run_change.after", after)?;
            Ok((id, after.archival_reason))
        };
        rows.into_iter().map(reason).collect()
    }
}

/// Members that each team would lose: removed, or moved to another.
async fn lost_by_team(
    db: &impl ConnectionTrait,
    lease: &Lease,
) -> Result<BTreeMap<Uuid, u64>, StoreError> {
    let removed = planned(lease).filter(run_change::Column::Action.is_in(REMOVALS));
    let moved = planned(lease).filter(run_change::Column::MovedFromId.is_not_null());
    let mut lost: BTreeMap<Uuid, u64> = BTreeMap::new();
    for (rows, team) in [
        (removed, run_change::Column::PlatformId),
        (moved, run_change::Column::MovedFromId),
    ] {
        let rows: Vec<(Uuid, i64)> = rows
            .select_only()
            .column(team)
            .column_as(run_change::Column::Id.count(), "n")
            .group_by(team)
            .into_tuple()
            .all(db)
            .await
            .map_err(StoreError::of("count what teams lose"))?;
        for (team, n) in rows {
            *lost.entry(team).or_default() += count(n);
        }
    }
    Ok(lost)
}

/// Which of some teams are archived, or will be by the plan: what they lose is counted with their archival.
async fn archived_among(
    db: &impl ConnectionTrait,
    lease: &Lease,
    teams: &[Uuid],
) -> Result<BTreeSet<Uuid>, StoreError> {
    let mut found = BTreeSet::new();
    for chunk in teams.chunks(rows_per_statement(1)) {
        let now: Vec<Uuid> = team::Entity::of_integration(lease.integration_id.0)
            .select_only()
            .column(team::Column::Id)
            .filter(team::Column::Status.eq(TeamStatus::Archived.as_str()))
            .filter(one_of(db, team::Column::Id, chunk.iter().copied()))
            // One that comes back is in use again.
            .filter(team::Column::Id.not_in_subquery(planned_teams(lease, ChangeAction::Unarchive)))
            .into_tuple()
            .all(db)
            .await
            .map_err(StoreError::of("read archived teams"))?;
        let soon: Vec<Option<Uuid>> = planned(lease)
            .select_only()
            .column(run_change::Column::PlatformId)
            .filter(run_change::Column::Action.eq(ChangeAction::Archive.as_str()))
            .filter(one_of(
                db,
                run_change::Column::PlatformId,
                chunk.iter().copied(),
            ))
            .into_tuple()
            .all(db)
            .await
            .map_err(StoreError::of("read planned archivals"))?;
        found.extend(now.into_iter().chain(soon.into_iter().flatten()));
    }
    Ok(found)
}

/// Rows that count on one that is held by a limit.
fn follows(lease: &Lease, excess: &Excess) -> Condition {
    let causes = Query::select()
        .column(run_change::Column::Id)
        .from(run_change::Entity)
        .and_where(run_change::Column::RunId.eq(lease.run_id.0))
        .and_where(is_unmade())
        .and_where(run_change::Column::Outcome.eq(ChangeOutcome::Held.as_str()))
        .and_where(run_change::Column::HoldCategory.eq(excess.category.as_str()))
        .to_owned();
    Condition::all().add(among(Expr::col(run_change::Column::DependsOn), causes))
}

/// Rows that remove someone from a team that the plan does not archive: what such a team loses is counted with it.
fn from_teams_in_use(lease: &Lease) -> Condition {
    let archived = planned_teams(lease, ChangeAction::Archive);
    Condition::all()
        .add(run_change::Column::Action.is_in(REMOVALS))
        .add(run_change::Column::PlatformId.not_in_subquery(archived))
}

/// Teams with which the plan does one thing.
fn planned_teams(lease: &Lease, action: ChangeAction) -> SelectStatement {
    Query::select()
        .column(run_change::Column::PlatformId)
        .from(run_change::Entity)
        .and_where(run_change::Column::RunId.eq(lease.run_id.0))
        .and_where(run_change::Column::Outcome.eq(ChangeOutcome::Planned.as_str()))
        .and_where(run_change::Column::Action.eq(action.as_str()))
        .to_owned()
}

fn teams_in_use(lease: &Lease) -> SelectStatement {
    Query::select()
        .column(team::Column::Id)
        .from(team::Entity)
        .and_where(team::Column::IntegrationId.eq(lease.integration_id.0))
        .and_where(team::Column::Status.eq(TeamStatus::Active.as_str()))
        .to_owned()
}

async fn members_by_team(
    db: &impl ConnectionTrait,
    teams: &[Uuid],
) -> Result<BTreeMap<Uuid, u64>, StoreError> {
    let mut found = BTreeMap::new();
    for chunk in teams.chunks(rows_per_statement(1)) {
        let rows: Vec<(Uuid, i64)> = membership::Entity::find()
            .select_only()
            .column(membership::Column::TeamId)
            .column_as(membership::Column::UserId.count(), "n")
            .filter(one_of(
                db,
                membership::Column::TeamId,
                chunk.iter().copied(),
            ))
            .filter(membership::Column::Origin.ne(MembershipOriginKind::Manual.as_str()))
            .group_by(membership::Column::TeamId)
            .into_tuple()
            .all(db)
            .await
            .map_err(StoreError::of("count members"))?;
        found.extend(rows.into_iter().map(|(team, n)| (team, count(n))));
    }
    Ok(found)
}
