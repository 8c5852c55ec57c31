//! The guard's part of the database for teams: what a plan would archive and take away, and what of that must wait.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_domain::{
    ChangeAction, ChangeLimit, ChangeOutcome, InboundRules, MembershipOriginKind, RecordOrigin,
    TeamArchivalReason, TeamFields, TeamId, TeamStatus, UserStatus,
};
use lockstep_entity::{membership, platform_user, run_change, team};
use lockstep_sync::guard::{Excess, Loss, all_removals, archivals, member_removals};
use lockstep_sync::held::{Held, Ruling, Terms, base, rule, waiting};
use sea_orm::sea_query::{Expr, Query, SelectStatement};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, ExprTrait as _, JsonValue,
    PaginatorTrait as _, QueryFilter as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::column::{count, from_json, rows_per_statement};
use crate::held::{Cause, HeldGroup, Place, Taken};
use crate::lookup::{among, one_of};
use crate::place::{STRETCH, between, is_unmade, last_place};
use crate::plan::planned;
use crate::{Lease, Store, StoreError};

/// Actions that take someone out of a team.
pub(crate) const REMOVALS: [&str; 2] = [
    ChangeAction::RemoveMember.as_str(),
    ChangeAction::RemoveSupervisor.as_str(),
];

/// What earlier runs held of the members of teams and the plan wants still.
#[derive(Debug)]
struct HeldRemovals(Vec<HeldGroup>);

/// An archival in the plan.
struct Archival {
    change: Uuid,
    team: Uuid,
    /// Whether an owner switched the rule of the team off, and so said what becomes of it.
    is_rule_off: bool,
}

/// The archivals of a plan.
#[derive(Clone, Copy)]
struct Archivals<'a> {
    /// Teams that an owner switched the rule off for.
    off: &'a BTreeSet<Uuid>,
    /// The others.
    counted: &'a [Archival],
}

/// A row of the plan that may take someone out of a team: its place, the action, the team, and the one that is left for it.
type Leaving = (i64, String, Option<Uuid>, Option<Uuid>);

/// Whom a row takes out of one of some teams.
fn taken(row: &Leaving, sizes: &BTreeMap<Uuid, u64>) -> Option<Taken> {
    let (sequence, action, team, from) = row;
    let size = |team: &Option<Uuid>| sizes.get(team.as_ref()?).copied();
    let moved = size(from);
    let removed = || size(team).filter(|_| REMOVALS.contains(&action.as_str()));
    Some(Taken {
        sequence: *sequence,
        is_moved: moved.is_some(),
        out_of: moved.or_else(removed)?,
    })
}

impl Store {
    /// Holds archivals, and losses of single teams, that are over their limits or were held by earlier runs, with whatever
    /// follows from them (D-48). Remembers what is held, unless the run only shows what would be.
    pub(crate) async fn hold_teams(
        &self,
        lease: &Lease,
        rules: &InboundRules,
        preview: bool,
    ) -> Result<Vec<Excess>, StoreError> {
        let planned = self.archivals_of_plan(lease).await?;
        let (off, counted): (Vec<Archival>, Vec<Archival>) = planned
            .into_iter()
            .partition(|archival| archival.is_rule_off);
        let off: BTreeSet<Uuid> = off.into_iter().map(|archival| archival.team).collect();
        let archivals = self.hold_archivals(lease, rules, &counted, preview).await?;
        let both = Archivals {
            off: &off,
            counted: &counted,
        };
        let removals = self.hold_removals(lease, rules, both, preview).await?;
        Ok(archivals.into_iter().chain(removals).collect())
    }

    async fn hold_archivals(
        &self,
        lease: &Lease,
        rules: &InboundRules,
        counted: &[Archival],
        preview: bool,
    ) -> Result<Vec<Excess>, StoreError> {
        let (place, limit) = (Place::archivals(), rules.limits.team_archivals);
        let in_use = self.count_synced_teams(lease.integration_id.0).await?;
        let teams: BTreeSet<Uuid> = counted.iter().map(|archival| archival.team).collect();
        let mut earlier = self.still_wanted(lease, &place).await?;
        earlier.retain(|group| group.object.is_some_and(|team| teams.contains(&team)));
        let held: Vec<Held> = earlier.iter().map(|group| group.held).collect();
        let judge = |count, out_of| archivals(count, out_of, &rules.limits);
        let ruling = rule(counted.len() as u64, in_use, &held, limit, judge);
        match &ruling {
            Ruling::All(excess) => {
                let all: Vec<Uuid> = counted.iter().map(|archival| archival.change).collect();
                self.hold_those(lease, &all, excess).await?;
                if !preview {
                    let cause = Cause::of(excess, limit, false, &earlier);
                    let which = Condition::all();
                    self.remember(lease, &place, &cause, which).await?;
                }
            }
            Ruling::Held(excesses) => {
                for excess in excesses {
                    let all = Condition::all();
                    self.hold_still(lease, &earlier, limit, excess, &all)
                        .await?;
                }
            }
        }
        for excess in ruling.excesses() {
            self.hold_rows(lease, follows(lease, excess), excess)
                .await?;
        }
        Ok(ruling.excesses().to_vec())
    }

    async fn hold_removals(
        &self,
        lease: &Lease,
        rules: &InboundRules,
        archivals: Archivals<'_>,
        preview: bool,
    ) -> Result<Option<Excess>, StoreError> {
        let limit = rules.limits.member_removals_per_team;
        let earlier = self.earlier_removals(lease, archivals.off).await?;
        let with_teams = self
            .hold_archivals_with(lease, archivals.counted, &earlier, limit)
            .await?;
        // Counted before those of single teams are held.
        let all = self.excess_of_removals(lease, rules, &earlier).await?;
        let of_teams = self
            .hold_removals_of_teams(lease, rules, &earlier, preview)
            .await?;
        if let Some(excess) = &all {
            self.hold_rows(lease, from_teams_in_use(lease), excess)
                .await?;
            if !preview {
                let [removals, _] = Place::removals();
                let cause = Cause::of(excess, limit, true, &earlier.0);
                let which = Condition::all();
                self.remember(lease, &removals, &cause, which).await?;
            }
        }
        let still = self.hold_earlier(lease, &earlier.0, limit).await?;
        let add = |sum: Option<Excess>, more: Excess| {
            let count = sum.as_ref().map_or(0, |sum| sum.count) + more.count;
            Some(Excess {
                count,
                ..sum.unwrap_or(more)
            })
        };
        let waiting = [with_teams, still].into_iter().flatten();
        Ok(waiting.fold(all.or(of_teams), add))
    }

    /// Returns what earlier runs held of the members of teams and the plan wants still. Of teams that are archived nothing
    /// waits: who archived them said what becomes of their members.
    async fn earlier_removals(
        &self,
        lease: &Lease,
        off: &BTreeSet<Uuid>,
    ) -> Result<HeldRemovals, StoreError> {
        let mut earlier = Vec::new();
        for place in Place::removals() {
            earlier.extend(self.still_wanted(lease, &place).await?);
        }
        let teams: BTreeSet<Uuid> = earlier.iter().filter_map(|group| group.object).collect();
        let teams: Vec<Uuid> = teams.into_iter().collect();
        let archived = archived_now(self.db(), lease, &teams).await?;
        let waits = |team: Uuid| !off.contains(&team) && !archived.contains(&team);
        earlier.retain(|group| group.object.is_some_and(waits));
        Ok(HeldRemovals(earlier))
    }

    /// Holds archivals of teams with members whose removal waits still: without the team the wait would be for nothing.
    async fn hold_archivals_with(
        &self,
        lease: &Lease,
        archivals: &[Archival],
        earlier: &HeldRemovals,
        limit: ChangeLimit,
    ) -> Result<Option<Excess>, StoreError> {
        let (mut count, mut held, mut because) = (0, Vec::new(), None);
        for archival in archivals {
            let of_team = earlier.of_team(archival.team);
            if let Some(excess) = self.hold_earlier(lease, &of_team, limit).await? {
                count += excess.count;
                held.push(archival.change);
                because = Some(excess);
            }
        }
        let Some(excess) = because.map(|excess| Excess { count, ..excess }) else {
            return Ok(None);
        };
        self.hold_those(lease, &held, &excess).await?;
        for changes in held.chunks(rows_per_statement(1)) {
            let follows = run_change::Column::DependsOn.is_in(changes.iter().copied());
            let follows = Condition::all().add(follows);
            self.hold_rows(lease, follows, &excess).await?;
        }
        Ok(Some(excess))
    }

    /// Holds what is planned still of what earlier runs held and no owner raised the limit for. Whoever leaves the platform
    /// leaves the teams as well.
    async fn hold_earlier(
        &self,
        lease: &Lease,
        earlier: &[HeldGroup],
        limit: ChangeLimit,
    ) -> Result<Option<Excess>, StoreError> {
        let waits = earlier.iter().filter(|group| !group.is_raised_by(limit));
        let held: Vec<Held> = waits.map(|group| group.held).collect();
        let Some(excess) = waiting(&held, limit).into_iter().next() else {
            return Ok(None);
        };
        let which = of_who_stays(lease);
        let count = self
            .hold_still(lease, earlier, limit, &excess, &which)
            .await?;
        Ok((count > 0).then_some(Excess { count, ..excess }))
    }

    /// Says whether the removals from all teams that are not archived are too many altogether.
    async fn excess_of_removals(
        &self,
        lease: &Lease,
        rules: &InboundRules,
        earlier: &HeldRemovals,
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
        let had = base(had, earlier.terms_of_all_teams());
        Ok(all_removals(lost, had, &rules.limits))
    }

    async fn hold_removals_of_teams(
        &self,
        lease: &Lease,
        rules: &InboundRules,
        earlier: &HeldRemovals,
        preview: bool,
    ) -> Result<Option<Excess>, StoreError> {
        let limit = rules.limits.member_removals_per_team;
        let losses = self.losses(lease, rules, earlier).await?;
        let (over, excess) = member_removals(&losses, &rules.limits);
        let Some(excess) = excess else {
            return Ok(None);
        };
        let over: BTreeSet<TeamId> = over.into_iter().collect();
        let sizes: BTreeMap<Uuid, u64> = losses
            .iter()
            .filter(|loss| over.contains(&loss.team))
            .map(|loss| (loss.team.0, loss.had))
            .collect();
        let cause = (!preview).then(|| Cause::of(&excess, limit, false, &earlier.0));
        self.hold_taken_from(lease, &sizes, &excess, cause.as_ref())
            .await?;
        Ok(Some(excess))
    }

    /// Holds what takes someone out of one of some teams, of which the sizes are given, a move to another included; and
    /// remembers it, when a cause is given.
    async fn hold_taken_from(
        &self,
        lease: &Lease,
        sizes: &BTreeMap<Uuid, u64>,
        excess: &Excess,
        cause: Option<&Cause>,
    ) -> Result<(), StoreError> {
        use run_change::Column;
        let (last, mut after) = (last_place(self.db(), lease).await?, 0);
        while after < last {
            let to = Ord::min(last, after + STRETCH);
            let rows: Vec<Leaving> = between(lease.run_id.0, after, to)
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
            let taken: Vec<Taken> = rows.iter().filter_map(|row| taken(row, sizes)).collect();
            let places: Vec<i64> = taken.iter().map(|one| one.sequence).collect();
            self.hold_at(lease, &places, excess).await?;
            if let Some(cause) = cause {
                self.remember_taken(lease, cause, &taken).await?;
            }
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
    async fn losses(
        &self,
        lease: &Lease,
        rules: &InboundRules,
        earlier: &HeldRemovals,
    ) -> Result<Vec<Loss>, StoreError> {
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
            had: base(
                had.get(team).copied().unwrap_or_default(),
                earlier.terms_of(*team),
            ),
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

    /// Archivals that are planned.
    async fn archivals_of_plan(&self, lease: &Lease) -> Result<Vec<Archival>, StoreError> {
        let rows: Vec<(Uuid, Option<Uuid>, JsonValue)> = planned(lease)
            .select_only()
            .columns([
                run_change::Column::Id,
                run_change::Column::PlatformId,
                run_change::Column::After,
            ])
            .filter(run_change::Column::Action.eq(ChangeAction::Archive.as_str()))
            .into_tuple()
            .all(self.db())
            .await
            .map_err(StoreError::of("read planned archivals"))?;
        let archival = |(change, team, after): (Uuid, Option<Uuid>, JsonValue)| {
            let after: TeamFields = from_json("run_change.after", after)?;
            let is_rule_off = after.archival_reason == Some(TeamArchivalReason::RuleOff);
            Ok(team.map(|team| Archival {
                change,
                team,
                is_rule_off,
            }))
        };
        rows.into_iter()
            .filter_map(|row| archival(row).transpose())
            .collect()
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

impl HeldRemovals {
    /// What was held of one team.
    fn of_team(&self, team: Uuid) -> Vec<HeldGroup> {
        let of_team = |group: &&HeldGroup| group.object == Some(team);
        self.0.iter().filter(of_team).cloned().collect()
    }

    /// Terms under which members of one team were too many.
    fn terms_of(&self, team: Uuid) -> impl Iterator<Item = Terms> {
        let of_team = move |group: &&HeldGroup| group.object == Some(team) && !group.of_all_teams;
        let groups = self.0.iter().filter(of_team);
        groups.map(|group| group.held.terms)
    }

    /// Terms under which the members of all teams together were too many.
    fn terms_of_all_teams(&self) -> impl Iterator<Item = Terms> {
        let groups = self.0.iter().filter(|group| group.of_all_teams);
        groups.map(|group| group.held.terms)
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
    let mut found = archived_now(db, lease, teams).await?;
    for chunk in teams.chunks(rows_per_statement(1)) {
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
        found.extend(soon.into_iter().flatten());
    }
    Ok(found)
}

/// Which of some teams are archived, and stay so.
async fn archived_now(
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
            .filter(
                team::Column::Id.not_in_subquery(planned_objects(lease, ChangeAction::Unarchive)),
            )
            .into_tuple()
            .all(db)
            .await
            .map_err(StoreError::of("read archived teams"))?;
        found.extend(now);
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

/// Rows that remove someone from a team that is in use: what an archived team loses is counted with its archival.
fn from_teams_in_use(lease: &Lease) -> Condition {
    let team = Expr::col(run_change::Column::PlatformId);
    Condition::all()
        .add(run_change::Column::Action.is_in(REMOVALS))
        .add(among(team, teams_in_use(lease)))
}

/// Rows of members who do not leave the platform.
fn of_who_stays(lease: &Lease) -> Condition {
    let departures = Query::select()
        .columns([run_change::Column::Id, run_change::Column::PlatformId])
        .from(run_change::Entity)
        .and_where(run_change::Column::RunId.eq(lease.run_id.0))
        .and_where(run_change::Column::Outcome.eq(ChangeOutcome::Planned.as_str()))
        .and_where(run_change::Column::Action.eq(ChangeAction::Deactivate.as_str()))
        .to_owned();
    let returns = planned_objects(lease, ChangeAction::Reactivate);
    let gone = Query::select()
        .column(platform_user::Column::Id)
        .from(platform_user::Entity)
        .and_where(platform_user::Column::OrganizationId.eq(lease.organization_id.0))
        .and_where(platform_user::Column::Status.eq(UserStatus::Deactivated.as_str()))
        .and_where(platform_user::Column::Id.not_in_subquery(returns))
        .to_owned();
    let cause = Expr::col(run_change::Column::DependsOn);
    let member = || Expr::col(run_change::Column::MemberId);
    // Their own departure, not the one of a manager above.
    let leaves = among(Expr::tuple([cause, member()]), departures);
    let is_gone = among(member(), gone);
    Condition::all().add(leaves.not()).add(is_gone.not())
}

/// Users or teams with which the plan does one thing.
fn planned_objects(lease: &Lease, action: ChangeAction) -> SelectStatement {
    Query::select()
        .column(run_change::Column::PlatformId)
        .from(run_change::Entity)
        .and_where(run_change::Column::RunId.eq(lease.run_id.0))
        .and_where(run_change::Column::Outcome.eq(ChangeOutcome::Planned.as_str()))
        .and_where(run_change::Column::Action.eq(action.as_str()))
        .to_owned()
}

/// Teams that are in use after the plan.
fn teams_in_use(lease: &Lease) -> SelectStatement {
    let returns = planned_objects(lease, ChangeAction::Unarchive);
    let goes = planned_objects(lease, ChangeAction::Archive);
    let is_active = team::Column::Status.eq(TeamStatus::Active.as_str());
    Query::select()
        .column(team::Column::Id)
        .from(team::Entity)
        .and_where(team::Column::IntegrationId.eq(lease.integration_id.0))
        .and_where(is_active.or(team::Column::Id.in_subquery(returns)))
        .and_where(team::Column::Id.not_in_subquery(goes))
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
