//! Apply, for memberships: a chunk a transaction, written and concluded with a fixed number of statements for each team.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_domain::{
    ChangeOutcome, ChangeReasonCode, MembershipFields, ObjectKind, RunPhase, Team, TeamId,
    TeamRole, TeamStatus, UserId, UserStatus,
};
use lockstep_entity::{membership, platform_user, run_change};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, EntityTrait as _, ExprTrait as _,
    QueryFilter as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::apply::Applied;
use crate::column::{count, from_optional_json, parse, rows_per_statement};
use crate::lease::Step;
use crate::lookup::one_of;
use crate::outcome::conclude;
use crate::place::next_planned;
use crate::run::Run;
use crate::run_tx::RunTx;
use crate::{Lease, Store, StoreError};

/// A row of a membership that is to be applied.
pub(crate) struct Intent {
    pub(crate) id: Uuid,
    sequence: i64,
    team: TeamId,
    user: UserId,
    before: Option<TeamRole>,
    role: Option<TeamRole>,
    moved_from: Option<TeamId>,
}

/// What is there now.
struct Present {
    teams: BTreeMap<TeamId, Team>,
    active: BTreeSet<UserId>,
    kept_out: BTreeSet<(TeamId, UserId)>,
    /// Roles that runs gave the users in the teams, and in the teams that they leave.
    roles: BTreeMap<(TeamId, UserId), TeamRole>,
}

impl Store {
    /// Applies rows of memberships in one transaction, or none of them. They are in the order of the plan.
    pub(crate) async fn try_memberships(
        &self,
        lease: &Lease,
        progress: Step,
        intents: &[Intent],
    ) -> Result<(Run, Applied), StoreError> {
        let places = |row: Option<&Intent>| row.map_or(0, |row| row.sequence);
        // The place in the change log numbers the events as well: one for each place from the first to the last.
        let (from, to) = (places(intents.first()), places(intents.last()));
        let step = Step {
            phase: RunPhase::ApplyingMemberships,
            processed: progress.processed + intents.len() as u64,
            ..progress
        };
        let span = count(to - from + 1);
        let tx = self.begin_telling(lease, step, span).await?;
        let offset = tx.first_event(span) - from;
        let present = self.present_for(&tx, lease, intents).await?;
        let (mut good, mut skipped) = (Vec::new(), 0);
        for intent in intents {
            match present.judge(intent) {
                Ok(()) => good.push(intent),
                Err((code, message)) => {
                    let reason = (code, message.to_owned());
                    let event = intent.sequence + offset;
                    let outcome = ChangeOutcome::Skipped;
                    conclude(&tx, &[intent.id], outcome, Some(&reason), event, self.now()).await?;
                    skipped += 1;
                }
            }
        }
        self.write_memberships(&tx, lease, &good, &present).await?;
        self.conclude_range(&tx, lease, from, to, offset).await?;
        let applied = Applied {
            applied: good.len() as u64,
            skipped,
            ..Applied::default()
        };
        Ok((tx.commit("apply changes of memberships").await?, applied))
    }

    async fn present_for(
        &self,
        tx: &RunTx,
        lease: &Lease,
        intents: &[Intent],
    ) -> Result<Present, StoreError> {
        let left = intents.iter().filter_map(|intent| intent.moved_from);
        let teams = intents.iter().map(|intent| intent.team).chain(left);
        let teams = self.locked_teams(tx, lease, teams).await?;
        let users: BTreeSet<Uuid> = intents.iter().map(|intent| intent.user.0).collect();
        let users: Vec<Uuid> = users.into_iter().collect();
        let mut active = BTreeSet::new();
        for chunk in users.chunks(rows_per_statement(1)) {
            let ids: Vec<Uuid> = platform_user::Entity::in_organization(lease.organization_id.0)
                .select_only()
                .column(platform_user::Column::Id)
                .filter(one_of(tx, platform_user::Column::Id, chunk.iter().copied()))
                .filter(platform_user::Column::Status.ne(UserStatus::Deactivated.as_str()))
                .into_tuple()
                .all(tx)
                .await
                .map_err(StoreError::of("read users"))?;
            active.extend(ids.into_iter().map(UserId));
        }
        let users: Vec<UserId> = users.into_iter().map(UserId).collect();
        let kept_out = crate::person::kept_out(tx, lease.organization_id, &users).await?;
        let roles = roles_in(tx, &teams, intents).await?;
        Ok(Present {
            teams,
            active,
            kept_out,
            roles,
        })
    }

    async fn write_memberships(
        &self,
        tx: &RunTx,
        lease: &Lease,
        intents: &[&Intent],
        present: &Present,
    ) -> Result<(), StoreError> {
        let mut leaving: BTreeMap<TeamId, Vec<UserId>> = BTreeMap::new();
        let mut rows = Vec::new();
        for intent in intents {
            let origin = |team: &TeamId| {
                let key = present.teams.get(team).and_then(|team| team.key.as_ref());
                key.map(|key| key.source.origin())
            };
            let left = intent
                .moved_from
                .or(intent.role.is_none().then_some(intent.team));
            if let Some(left) = left {
                leaving.entry(left).or_default().push(intent.user);
            }
            if let (Some(role), Some(origin)) = (intent.role, origin(&intent.team)) {
                rows.push(membership::ActiveModel {
                    team_id: Set(intent.team.0),
                    user_id: Set(intent.user.0),
                    origin: Set(origin.as_str().into()),
                    organization_id: Set(lease.organization_id.0),
                    role: Set(role.as_str().into()),
                    added_by: Set(None),
                    added_at: Set(self.now()),
                });
            }
        }
        for (team, users) in leaving {
            let key = present.teams.get(&team).and_then(|team| team.key.as_ref());
            if let Some(key) = key {
                remove(tx, team, key.source.origin().as_str(), &users).await?;
            }
        }
        for chunk in rows.chunks(rows_per_statement(7)) {
            use membership::Column;
            membership::Entity::insert_many(chunk.iter().cloned())
                .on_conflict(
                    OnConflict::columns([Column::TeamId, Column::UserId, Column::Origin])
                        .update_column(Column::Role)
                        .to_owned(),
                )
                .exec_without_returning(tx)
                .await
                .map_err(StoreError::of("write memberships"))?;
        }
        Ok(())
    }

    /// Concludes all rows of memberships of a range that were not concluded otherwise.
    async fn conclude_range(
        &self,
        tx: &RunTx,
        lease: &Lease,
        from: i64,
        to: i64,
        offset: i64,
    ) -> Result<(), StoreError> {
        use run_change::Column;
        run_change::Entity::update_many()
            .col_expr(Column::Outcome, ChangeOutcome::Applied.as_str().into())
            .col_expr(
                Column::EventSequence,
                Expr::col(Column::Sequence).add(offset),
            )
            .col_expr(Column::OccurredAt, self.now().into())
            .filter(Column::RunId.eq(lease.run_id.0))
            .filter(Column::Sequence.between(from, to))
            .filter(Column::Outcome.eq(ChangeOutcome::Planned.as_str()))
            .filter(Column::ObjectKind.eq(ObjectKind::Membership.as_str()))
            .exec(tx)
            .await
            .map_err(StoreError::of("note outcomes"))?;
        Ok(())
    }
}

impl Present {
    /// Says whether a row can still be applied.
    fn judge(&self, intent: &Intent) -> Result<(), (ChangeReasonCode, &'static str)> {
        let team = self
            .teams
            .get(&intent.team)
            .filter(|team| team.key.is_some());
        let Some(team) = team else {
            let message = "The team is not there, or is managed by hand by now.";
            return Err((ChangeReasonCode::ChangedMeanwhile, message));
        };
        if intent.role.is_none() {
            return self.judge_removal(intent);
        }
        if team.status != TeamStatus::Active {
            let message = "The team is not in use.";
            return Err((ChangeReasonCode::ChangedMeanwhile, message));
        }
        if !self.active.contains(&intent.user) {
            let message = "The user is not there, or was deactivated.";
            return Err((ChangeReasonCode::ChangedMeanwhile, message));
        }
        if self.kept_out.contains(&(intent.team, intent.user)) {
            let message = "An owner removed the user from the team while the run was going on.";
            return Err((ChangeReasonCode::UserHold, message));
        }
        let left = intent.moved_from.map(|team| (team, intent.user));
        if left.is_some_and(|place| !self.roles.contains_key(&place)) {
            let message =
                "An owner removed the user from the former team while the run was going on.";
            return Err((ChangeReasonCode::ChangedMeanwhile, message));
        }
        if self.role_of(intent) != intent.before {
            let message = "The membership was changed while the run was going on.";
            return Err((ChangeReasonCode::ChangedMeanwhile, message));
        }
        Ok(())
    }

    /// A removal that an owner made meanwhile is not one of the run.
    fn judge_removal(&self, intent: &Intent) -> Result<(), (ChangeReasonCode, &'static str)> {
        if self.role_of(intent) == intent.before {
            return Ok(());
        }
        let message = "The membership was changed or removed while the run was going on.";
        Err((ChangeReasonCode::ChangedMeanwhile, message))
    }

    fn role_of(&self, intent: &Intent) -> Option<TeamRole> {
        self.roles.get(&(intent.team, intent.user)).copied()
    }
}

impl Intent {
    fn read(row: run_change::Model) -> Result<Self, StoreError> {
        let missing = |column| StoreError::Corrupt {
            column,
            text: format!("nothing in change {}", row.id),
        };
        let (team, user) = (row.platform_id, row.member_id);
        let before: Option<MembershipFields> = from_optional_json("run_change.before", row.before)?;
        let after: Option<MembershipFields> = from_optional_json("run_change.after", row.after)?;
        Ok(Self {
            id: row.id,
            sequence: row.sequence,
            team: TeamId(team.ok_or_else(|| missing("run_change.platform_id"))?),
            user: UserId(user.ok_or_else(|| missing("run_change.member_id"))?),
            before: before.map(|before| before.role),
            role: after.map(|after| after.role),
            moved_from: row.moved_from_id.map(TeamId),
        })
    }
}

/// The next rows of memberships in the order of the plan.
pub(crate) async fn next(
    db: &impl ConnectionTrait,
    lease: &Lease,
    after: i64,
    limit: u64,
) -> Result<(Vec<Intent>, i64), StoreError> {
    let (rows, through) = next_planned(db, lease, ObjectKind::Membership, after, limit).await?;
    let intents: Result<_, _> = rows.into_iter().map(Intent::read).collect();
    Ok((intents?, through))
}

/// Reads the roles that runs gave users, a statement for each team.
async fn roles_in(
    tx: &RunTx,
    teams: &BTreeMap<TeamId, Team>,
    intents: &[Intent],
) -> Result<BTreeMap<(TeamId, UserId), TeamRole>, StoreError> {
    use membership::Column;
    let mut users: BTreeMap<TeamId, BTreeSet<Uuid>> = BTreeMap::new();
    for intent in intents {
        for team in intent.moved_from.into_iter().chain([intent.team]) {
            users.entry(team).or_default().insert(intent.user.0);
        }
    }
    let mut roles = BTreeMap::new();
    for (team, users) in users {
        let Some(key) = teams.get(&team).and_then(|team| team.key.as_ref()) else {
            continue;
        };
        let users: Vec<Uuid> = users.into_iter().collect();
        for chunk in users.chunks(rows_per_statement(1)) {
            let rows: Vec<(Uuid, String)> = membership::Entity::find()
                .select_only()
                .columns([Column::UserId, Column::Role])
                .filter(Column::TeamId.eq(team.0))
                .filter(Column::Origin.eq(key.source.origin().as_str()))
                .filter(one_of(tx, Column::UserId, chunk.iter().copied()))
                .into_tuple()
                .all(tx)
                .await
                .map_err(StoreError::of("read memberships"))?;
            for (user, role) in rows {
                roles.insert((team, UserId(user)), parse("membership.role", &role)?);
            }
        }
    }
    Ok(roles)
}

async fn remove(
    tx: &RunTx,
    team: TeamId,
    origin: &str,
    users: &[UserId],
) -> Result<(), StoreError> {
    for chunk in users.chunks(rows_per_statement(1)) {
        membership::Entity::delete_many()
            .filter(membership::Column::TeamId.eq(team.0))
            .filter(membership::Column::Origin.eq(origin))
            .filter(one_of(
                tx,
                membership::Column::UserId,
                chunk.iter().map(|id| id.0),
            ))
            .exec(tx)
            .await
            .map_err(StoreError::of("remove memberships"))?;
    }
    Ok(())
}
