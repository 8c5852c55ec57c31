//! Held changes: what waits since when, and under which limits (D-48).
//!
//! A fact of its own and not a look at what the latest run left, so that it outlives runs that fail, previews, and the
//! change logs of old runs. It is written when a run holds a change, and ends with what ends the wait: the directory lists
//! the object again, or the change is made because an owner raised the limit, or by itself. It does not end when the change
//! is only planned: a run that is canceled or fails makes nothing, and an owner can take back what was raised.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use lockstep_domain::{
    ChangeAction, ChangeLimit, ChangeOutcome, ExternalId, HeldKind, HoldCategory, IntegrationId,
    MembershipOriginKind, TeamId, TeamStatus, UserId, UserStatus,
};
use lockstep_entity::{held_change, membership, platform_user, run_change, team, user_link};
use lockstep_sync::guard::Excess;
use lockstep_sync::held::{Held, Terms};
use sea_orm::sea_query::{Expr, OnConflict, Query};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, ExprTrait as _,
    QueryFilter as _, QuerySelect as _, QueryTrait as _,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::column::{rows_per_statement, to_json};
use crate::guard::GUARDING;
use crate::place::{STRETCH, between, is_unmade, last_place, next_places};
use crate::run_tx::RunTx;
use crate::team_guard::REMOVALS;
use crate::{Lease, Store, StoreError};

/// How changes of one kind are found in a plan, and how each is known again in the plan of a later run.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) kind: HeldKind,
    /// The user or team that a row concerns.
    object: run_change::Column,
    /// Whether rows of one object are told apart by the user.
    by_member: bool,
    /// Rows of the kind.
    pub(crate) rows: Condition,
}

impl Place {
    pub(crate) fn departures() -> Self {
        let rows = run_change::Column::Action.eq(ChangeAction::Deactivate.as_str());
        Self::of_object(HeldKind::Departure, Condition::all().add(rows))
    }

    pub(crate) fn addresses() -> Self {
        let rows = run_change::Column::MovesAddress.eq(true);
        Self::of_object(HeldKind::Address, Condition::all().add(rows))
    }

    pub(crate) fn archivals() -> Self {
        let rows = run_change::Column::Action.eq(ChangeAction::Archive.as_str());
        Self::of_object(HeldKind::Archival, Condition::all().add(rows))
    }

    /// What takes people out of teams, a move to another one apart: that is told by the team it leaves.
    pub(crate) fn removals() -> [Self; 2] {
        let of = |object, rows| Self {
            kind: HeldKind::Removal,
            object,
            by_member: true,
            rows: Condition::all().add(rows),
        };
        [
            of(
                run_change::Column::PlatformId,
                run_change::Column::Action.is_in(REMOVALS),
            ),
            of(
                run_change::Column::MovedFromId,
                run_change::Column::MovedFromId.is_not_null(),
            ),
        ]
    }

    fn of_object(kind: HeldKind, rows: Condition) -> Self {
        Self {
            kind,
            object: run_change::Column::PlatformId,
            by_member: false,
            rows,
        }
    }

    /// The fact and the row are about the same thing.
    fn is_same(&self) -> Condition {
        let object = Expr::col((held_change::Entity, held_change::Column::ObjectId))
            .equals((run_change::Entity, self.object));
        let member = Expr::col((held_change::Entity, held_change::Column::MemberId));
        let member = if self.by_member {
            member.equals((run_change::Entity, run_change::Column::MemberId))
        } else {
            sea_orm::ExprTrait::eq(member, Uuid::nil())
        };
        Condition::all().add(object).add(member)
    }

    /// Planned rows of the kind in the plan of a run.
    fn planned(&self, lease: &Lease) -> Condition {
        self.rows
            .clone()
            .add(run_change::Column::RunId.eq(lease.run_id.0))
            .add(run_change::Column::Outcome.eq(ChangeOutcome::Planned.as_str()))
    }

    /// Under what an earlier run held a row. A query of its own for each row, so that it is looked up by its key whatever the
    /// size that PostgreSQL takes the tables for.
    fn terms(&self, lease: &Lease) -> Expr {
        let terms = Query::select()
            .column((held_change::Entity, held_change::Column::Terms))
            .from(held_change::Entity)
            .and_where(held_change::Column::IntegrationId.eq(lease.integration_id.0))
            .and_where(held_change::Column::Kind.eq(self.kind.as_str()))
            .cond_where(self.is_same())
            .to_owned();
        Expr::SubQuery(None, Box::new(terms.into()))
    }
}

/// Changes that were held under the same terms and that a plan wants still.
#[derive(Debug, Clone)]
pub(crate) struct HeldGroup {
    /// The team; users are not told apart.
    pub(crate) object: Option<Uuid>,
    /// Whether the members of all teams together were too many.
    pub(crate) of_all_teams: bool,
    pub(crate) held: Held,
    /// Where they are in the plan.
    pub(crate) places: Vec<i64>,
    /// The terms as they are stored.
    text: String,
}

impl HeldGroup {
    /// Whether an owner has raised the limit since.
    pub(crate) fn is_raised_by(&self, limit: ChangeLimit) -> bool {
        let limit = judged_by(limit, self.of_all_teams);
        self.held.terms.is_raised_by(limit)
    }
}

/// The limit that changes are judged by: a maximum is one of each team, all teams together have none.
fn judged_by(limit: ChangeLimit, of_all_teams: bool) -> ChangeLimit {
    let maximum = limit.maximum.filter(|_| !of_all_teams);
    ChangeLimit { maximum, ..limit }
}

/// A row of the plan that takes someone out of a team.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    pub(crate) sequence: i64,
    /// Whether into another team.
    pub(crate) is_moved: bool,
    /// How many members the team has.
    pub(crate) out_of: u64,
}

/// Terms as they are stored. Two that are the same have the same text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct StoredTerms {
    category: HoldCategory,
    of_all_teams: bool,
    limit: ChangeLimit,
    out_of: u64,
}

impl StoredTerms {
    fn text(&self) -> String {
        to_json(self).to_string()
    }

    fn read(text: &str) -> Result<Self, StoreError> {
        serde_json::from_str(text).map_err(|error| StoreError::Corrupt {
            column: "held_change.terms",
            text: error.to_string(),
        })
    }
}

/// Why rows are remembered as held.
#[derive(Debug, Clone)]
pub(crate) struct Cause {
    terms: StoredTerms,
    /// Earlier terms that these take the place of; what is held under others keeps them.
    raised: BTreeSet<String>,
}

impl Cause {
    /// `earlier` is what was held before. What no limit holds leaves its terms as they are.
    pub(crate) fn of(
        excess: &Excess,
        limit: ChangeLimit,
        of_all_teams: bool,
        earlier: &[HeldGroup],
    ) -> Self {
        Self {
            terms: StoredTerms {
                category: excess.category,
                of_all_teams,
                limit: judged_by(limit, of_all_teams),
                out_of: excess.out_of,
            },
            raised: match excess.category {
                HoldCategory::EmptySource | HoldCategory::AllUsersGone => BTreeSet::new(),
                _ => raised(earlier, limit),
            },
        }
    }

    /// The same of another number of objects.
    fn out_of(&self, out_of: u64) -> Self {
        let mut cause = self.clone();
        cause.terms.out_of = out_of;
        cause
    }
}

/// Terms that an owner has raised since.
fn raised(earlier: &[HeldGroup], limit: ChangeLimit) -> BTreeSet<String> {
    earlier
        .iter()
        .filter(|group| group.is_raised_by(limit))
        .map(|group| group.text.clone())
        .collect()
}

/// Facts under one of some terms; none when there are no terms.
fn under(terms: &BTreeSet<String>) -> Option<Expr> {
    let terms = || terms.iter().map(String::as_str);
    (terms().next().is_some()).then(|| held_change::Column::Terms.is_in(terms()))
}

const READ: &str = "read what is held";
const WRITE: &str = "note what is held";

/// Ends what is held of some objects.
pub(crate) async fn forget(
    tx: &impl ConnectionTrait,
    integration: IntegrationId,
    kind: HeldKind,
    objects: impl IntoIterator<Item = Uuid>,
) -> Result<(), StoreError> {
    let objects: Vec<Uuid> = objects.into_iter().collect();
    for chunk in objects.chunks(rows_per_statement(1)) {
        facts(integration, kind)
            .filter(held_change::Column::ObjectId.is_in(chunk.iter().copied()))
            .exec(tx)
            .await
            .map_err(StoreError::of(WRITE))?;
    }
    Ok(())
}

/// Ends what is held of the users of some accounts: the directory lists them again.
pub(crate) async fn forget_users(
    tx: &impl ConnectionTrait,
    integration: IntegrationId,
    kind: HeldKind,
    accounts: &[ExternalId],
) -> Result<(), StoreError> {
    for chunk in accounts.chunks(rows_per_statement(1)) {
        let users = user_link::Entity::of_integration(integration.0)
            .select_only()
            .column(user_link::Column::UserId)
            .filter(user_link::Column::ExternalId.is_in(chunk.iter().map(ExternalId::as_str)))
            .into_query();
        facts(integration, kind)
            .filter(held_change::Column::ObjectId.in_subquery(users))
            .exec(tx)
            .await
            .map_err(StoreError::of(WRITE))?;
    }
    Ok(())
}

/// Ends what is held of some memberships: the directory lists the members again.
pub(crate) async fn forget_removals(
    tx: &impl ConnectionTrait,
    integration: IntegrationId,
    places: &[(TeamId, UserId)],
) -> Result<(), StoreError> {
    let mut users: BTreeMap<TeamId, Vec<Uuid>> = BTreeMap::new();
    for (team, user) in places {
        users.entry(*team).or_default().push(user.0);
    }
    for (team, users) in users {
        for chunk in users.chunks(rows_per_statement(1)) {
            facts(integration, HeldKind::Removal)
                .filter(held_change::Column::ObjectId.eq(team.0))
                .filter(held_change::Column::MemberId.is_in(chunk.iter().copied()))
                .exec(tx)
                .await
                .map_err(StoreError::of(WRITE))?;
        }
    }
    Ok(())
}

/// What is held and has nothing left to change, by kind.
fn done(integration: IntegrationId) -> [(HeldKind, Expr); 4] {
    let object = || Expr::col((held_change::Entity, held_change::Column::ObjectId));
    let linked = Query::select()
        .expr(Expr::val(1))
        .from(user_link::Entity)
        .and_where(user_link::Column::IntegrationId.eq(integration.0))
        .and_where(object().equals((user_link::Entity, user_link::Column::UserId)))
        .to_owned();
    let user = Query::select()
        .expr(Expr::val(1))
        .from(platform_user::Entity)
        .and_where(object().equals((platform_user::Entity, platform_user::Column::Id)))
        .to_owned();
    let deactivated = user
        .clone()
        .and_where(platform_user::Column::Status.eq(UserStatus::Deactivated.as_str()))
        .to_owned();
    let in_use = Query::select()
        .expr(Expr::val(1))
        .from(team::Entity)
        .and_where(team::Column::IntegrationId.eq(integration.0))
        .and_where(object().equals((team::Entity, team::Column::Id)))
        .and_where(team::Column::Status.eq(TeamStatus::Active.as_str()))
        .to_owned();
    let member = Query::select()
        .expr(Expr::val(1))
        .from(membership::Entity)
        .and_where(object().equals((membership::Entity, membership::Column::TeamId)))
        .and_where(
            Expr::col((held_change::Entity, held_change::Column::MemberId))
                .equals((membership::Entity, membership::Column::UserId)),
        )
        .and_where(membership::Column::Origin.ne(MembershipOriginKind::Manual.as_str()))
        .to_owned();
    let departed = Expr::exists(linked).not().or(Expr::exists(deactivated));
    [
        (HeldKind::Departure, departed),
        // Not linked yet is whoever is to be linked by the plan that moves the address.
        (HeldKind::Address, Expr::exists(user).not()),
        (HeldKind::Archival, Expr::exists(in_use).not()),
        (HeldKind::Removal, Expr::exists(member).not()),
    ]
}

async fn write_facts(
    tx: &RunTx,
    lease: &Lease,
    place: &Place,
    cause: &Cause,
    places: &[i64],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    use held_change::Column;
    let mut rows = Query::select();
    rows.expr(Expr::val(lease.integration_id.0))
        .expr(Expr::val(place.kind.as_str()))
        .column(place.object);
    if place.by_member {
        rows.column(run_change::Column::MemberId);
    } else {
        rows.expr(Expr::val(Uuid::nil()));
    }
    rows.expr(Expr::val(cause.terms.text()))
        .expr(Expr::val(now))
        .from(run_change::Entity)
        .and_where(run_change::Column::RunId.eq(lease.run_id.0))
        .and_where(run_change::Column::Sequence.is_in(places.iter().copied()));
    let mut insert = Query::insert();
    insert
        .into_table(held_change::Entity)
        .columns(KEY.into_iter().chain([Column::Terms, Column::HeldSince]))
        .on_conflict(unless_held_before(&cause.raised));
    insert
        .select_from(rows)
        .map_err(|error| StoreError::of(WRITE)(sea_orm::DbErr::Custom(error.to_string())))?;
    tx.execute(&insert).await.map_err(StoreError::of(WRITE))?;
    Ok(())
}

/// What was held before keeps its terms, but for the raised ones.
fn unless_held_before(raised: &BTreeSet<String>) -> OnConflict {
    let mut conflict = OnConflict::columns(KEY);
    match under(raised) {
        None => conflict.do_nothing(),
        Some(under) => conflict
            .update_column(held_change::Column::Terms)
            .action_and_where(under),
    };
    conflict
}

/// What tells a held change from others.
const KEY: [held_change::Column; 4] = [
    held_change::Column::IntegrationId,
    held_change::Column::Kind,
    held_change::Column::ObjectId,
    held_change::Column::MemberId,
];

/// Whether anything is held.
pub(crate) async fn is_any_held(
    db: &impl ConnectionTrait,
    integration: IntegrationId,
) -> Result<bool, StoreError> {
    let found: Option<String> = held_change::Entity::of_integration(integration.0)
        .select_only()
        .column(held_change::Column::Kind)
        .limit(1)
        .into_tuple()
        .one(db)
        .await
        .map_err(StoreError::of(READ))?;
    Ok(found.is_some())
}

fn facts(integration: IntegrationId, kind: HeldKind) -> sea_orm::DeleteMany<held_change::Entity> {
    held_change::Entity::delete_many()
        .filter(held_change::Column::IntegrationId.eq(integration.0))
        .filter(held_change::Column::Kind.eq(kind.as_str()))
}

impl Store {
    /// Returns what earlier runs held of one kind and the plan wants still.
    pub(crate) async fn still_wanted(
        &self,
        lease: &Lease,
        place: &Place,
    ) -> Result<Vec<HeldGroup>, StoreError> {
        if !is_any_held(self.db(), lease.integration_id).await? {
            return Ok(Vec::new());
        }
        let mut found: BTreeMap<(Option<Uuid>, String), Vec<i64>> = BTreeMap::new();
        let (last, mut after) = (last_place(self.db(), lease).await?, 0);
        while after < last {
            let to = Ord::min(last, after + STRETCH);
            let rows: Vec<(i64, Option<Uuid>, Option<String>)> = between(lease.run_id.0, after, to)
                .select_only()
                .column(run_change::Column::Sequence)
                .column(place.object)
                .expr_as(place.terms(lease), "terms")
                .filter(place.planned(lease))
                .into_tuple()
                .all(self.db())
                .await
                .map_err(StoreError::of(READ))?;
            after = to;
            for (sequence, object, terms) in rows {
                if let Some(terms) = terms {
                    let object = object.filter(|_| place.kind.is_of_team());
                    found.entry((object, terms)).or_default().push(sequence);
                }
            }
        }
        let group = |((object, text), places): ((Option<Uuid>, String), Vec<i64>)| {
            let terms = StoredTerms::read(&text)?;
            Ok(HeldGroup {
                object,
                of_all_teams: terms.of_all_teams,
                held: Held {
                    category: terms.category,
                    terms: Terms {
                        limit: judged_by(terms.limit, terms.of_all_teams),
                        out_of: terms.out_of,
                    },
                    count: places.len() as u64,
                },
                places,
                text,
            })
        };
        found.into_iter().map(group).collect()
    }

    /// Remembers which rows of the plan are held, a batch a transaction. What was held before keeps its terms, unless an
    /// owner has raised them since. `which` restricts the rows.
    pub(crate) async fn remember(
        &self,
        lease: &Lease,
        place: &Place,
        cause: &Cause,
        which: Condition,
    ) -> Result<(), StoreError> {
        let which = place
            .rows
            .clone()
            .add(is_unmade())
            .add(run_change::Column::Outcome.eq(ChangeOutcome::Held.as_str()))
            .add(run_change::Column::HoldCategory.eq(cause.terms.category.as_str()))
            .add(which);
        let mut after = 0;
        while let Some((places, reached)) = next_places(self.db(), lease, after, &which).await? {
            after = reached;
            for places in places.chunks(rows_per_statement(1)) {
                let tx = self.begin_run(lease, GUARDING).await?;
                write_facts(&tx, lease, place, cause, places, self.now()).await?;
                tx.commit(WRITE).await?;
            }
        }
        Ok(())
    }

    /// Remembers removals that are held, under terms of the teams that they are from.
    pub(crate) async fn remember_taken(
        &self,
        lease: &Lease,
        cause: &Cause,
        taken: &[Taken],
    ) -> Result<(), StoreError> {
        let mut alike: BTreeMap<(bool, u64), Vec<i64>> = BTreeMap::new();
        for one in taken {
            let kind = (one.is_moved, one.out_of);
            alike.entry(kind).or_default().push(one.sequence);
        }
        if alike.is_empty() {
            return Ok(());
        }
        let [removals, moves] = Place::removals();
        let tx = self.begin_run(lease, GUARDING).await?;
        for ((is_moved, out_of), places) in alike {
            let place = if is_moved { &moves } else { &removals };
            let cause = cause.out_of(out_of);
            for places in places.chunks(rows_per_statement(1)) {
                write_facts(&tx, lease, place, &cause, places, self.now()).await?;
            }
        }
        tx.commit(WRITE).await?;
        Ok(())
    }

    /// Ends what has nothing left to change: the user is deactivated or tied to nothing any more, the team is archived or
    /// managed by hand, the member is not in it.
    pub(crate) async fn forget_done(&self, lease: &Lease) -> Result<(), StoreError> {
        if !is_any_held(self.db(), lease.integration_id).await? {
            return Ok(());
        }
        for (kind, is_done) in done(lease.integration_id) {
            let tx = self.begin_run(lease, GUARDING).await?;
            facts(lease.integration_id, kind)
                .filter(is_done)
                .exec(&tx)
                .await
                .map_err(StoreError::of(WRITE))?;
            tx.commit(WRITE).await?;
        }
        Ok(())
    }

    /// Returns which removals of some users from some teams are held.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn held_removals(
        &self,
        integration: IntegrationId,
        teams: &[TeamId],
        users: &[UserId],
    ) -> Result<BTreeSet<(TeamId, UserId)>, StoreError> {
        let mut found = BTreeSet::new();
        if !is_any_held(self.db(), integration).await? {
            return Ok(found);
        }
        for users in users.chunks(rows_per_statement(1)) {
            let rows: Vec<(Uuid, Uuid)> = held_change::Entity::of_integration(integration.0)
                .select_only()
                .columns([held_change::Column::ObjectId, held_change::Column::MemberId])
                .filter(held_change::Column::Kind.eq(HeldKind::Removal.as_str()))
                .filter(held_change::Column::ObjectId.is_in(teams.iter().map(|id| id.0)))
                .filter(held_change::Column::MemberId.is_in(users.iter().map(|id| id.0)))
                .into_tuple()
                .all(self.db())
                .await
                .map_err(StoreError::of(READ))?;
            found.extend(rows.into_iter().map(|(t, u)| (TeamId(t), UserId(u))));
        }
        Ok(found)
    }
}
