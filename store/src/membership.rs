//! Memberships: who belongs to teams, read a page for many teams at once, and edited by hand.
//!
//! There is a row for each origin of a membership; the role of a user in a team is the strongest of them.

use std::collections::BTreeMap;

use lockstep_domain::{
    Actor, MembershipOrigin, MembershipOriginKind, OrganizationId, Team, TeamId, TeamRole, UserId,
};
use lockstep_entity::membership::{self, Column};
use sea_orm::sea_query::{
    Alias, Expr, ExprTrait as _, Func, IntoIden as _, OnConflict, Order, Query, SelectStatement,
    WindowStatement,
};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait as _, EntityTrait as _, IdenStatic as _,
    QueryFilter as _,
};
use uuid::Uuid;

use crate::column::{count, from_optional_json, parse, rows_per_statement, to_json};
use crate::page::{Page, PageRequest};
use crate::{Store, StoreError, Tx};

/// A user of a team, or a team of a user: the role, and everything the membership comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The team.
    pub team_id: TeamId,
    /// The user.
    pub user_id: UserId,
    /// Role of the user in the team.
    pub role: TeamRole,
    /// Where the membership comes from, never empty.
    pub origins: Vec<MembershipOrigin>,
}

/// Which part of the members of teams is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MembersRequest {
    /// Only users with this role.
    pub role: Option<TeamRole>,
    /// Which part of the list.
    pub page: PageRequest<UserId>,
}

/// What was removed by hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// The user was not in the team.
    NotThere,
    /// A membership of a team that is managed by hand.
    Manual,
    /// A membership of a synchronized team: runs do not add it again.
    Synchronized,
}

/// Names of what the statements compute.
const ROLE: &str = "strongest";
const PLACE: &str = "place";
const PEOPLE: &str = "people";
const RANKED: &str = "ranked";

/// One side of memberships, seen from the other.
#[derive(Clone, Copy)]
struct Side {
    /// The column that the lists are told apart by.
    list: Column,
    /// The column that a list is walked by.
    item: Column,
}

const OF_TEAMS: Side = Side {
    list: Column::TeamId,
    item: Column::UserId,
};
const OF_USERS: Side = Side {
    list: Column::UserId,
    item: Column::TeamId,
};

impl Store {
    /// Returns a page of the members of each of some teams, in the order of the users' creation, in a fixed number of
    /// statements.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn members_of_teams(
        &self,
        organization: OrganizationId,
        teams: &[TeamId],
        request: &MembersRequest,
    ) -> Result<BTreeMap<TeamId, Page<Membership>>, StoreError> {
        let lists: Vec<Uuid> = teams.iter().map(|id| id.0).collect();
        let page = raw(&request.page, |id| id.0);
        let pages = self
            .belongings(organization, OF_TEAMS, &lists, request.role, &page)
            .await?;
        Ok(pages
            .into_iter()
            .map(|(id, page)| (TeamId(id), page))
            .collect())
    }

    /// Returns a page of the teams of each of some users, in the order of the teams' creation, in a fixed number of
    /// statements.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn teams_of_users(
        &self,
        organization: OrganizationId,
        users: &[UserId],
        request: &PageRequest<TeamId>,
    ) -> Result<BTreeMap<UserId, Page<Membership>>, StoreError> {
        let lists: Vec<Uuid> = users.iter().map(|id| id.0).collect();
        let page = raw(request, |id| id.0);
        let pages = self
            .belongings(organization, OF_USERS, &lists, None, &page)
            .await?;
        Ok(pages
            .into_iter()
            .map(|(id, page)| (UserId(id), page))
            .collect())
    }

    async fn belongings(
        &self,
        organization: OrganizationId,
        side: Side,
        lists: &[Uuid],
        role: Option<TeamRole>,
        request: &PageRequest<Uuid>,
    ) -> Result<BTreeMap<Uuid, Page<Membership>>, StoreError> {
        let operation = "read members of teams";
        let people = |cursor| people(organization, side, lists, role, cursor);
        let totals = self
            .db()
            .query_all(&totals(side, people(None)))
            .await
            .map_err(StoreError::of(operation))?;
        let ranked = self
            .db()
            .query_all(&ranked(side, people(Some(request)), request))
            .await
            .map_err(StoreError::of(operation))?;
        let mut rows: BTreeMap<Uuid, Vec<(Uuid, TeamRole)>> = BTreeMap::new();
        for row in ranked {
            let get = |column: Column| row.try_get::<Uuid>("", column.as_str());
            let list = get(side.list).map_err(StoreError::of(operation))?;
            let item = get(side.item).map_err(StoreError::of(operation))?;
            let role: String = row.try_get("", ROLE).map_err(StoreError::of(operation))?;
            let role = parse("membership.role", &role)?;
            rows.entry(list).or_default().push((item, role));
        }
        let mut origins = self.origins(side, &rows).await?;
        let mut total_of = BTreeMap::new();
        for row in totals {
            let list: Uuid = row
                .try_get("", side.list.as_str())
                .map_err(StoreError::of(operation))?;
            let n: i64 = row.try_get("", PLACE).map_err(StoreError::of(operation))?;
            total_of.insert(list, count(n));
        }
        let page = |list: &Uuid| {
            let rows = rows.remove(list).unwrap_or_default();
            let items = rows
                .into_iter()
                .map(|(item, role)| belonging(side, *list, item, role, &mut origins))
                .collect();
            Page::cut(
                items,
                request,
                total_of.get(list).copied().unwrap_or_default(),
            )
        };
        let pages: Vec<_> = lists.iter().map(page).collect();
        Ok(lists.iter().copied().zip(pages).collect())
    }

    /// Reads every origin of the memberships on some pages.
    async fn origins(
        &self,
        side: Side,
        rows: &BTreeMap<Uuid, Vec<(Uuid, TeamRole)>>,
    ) -> Result<BTreeMap<(Uuid, Uuid), Vec<MembershipOrigin>>, StoreError> {
        let items: std::collections::BTreeSet<Uuid> =
            rows.values().flatten().map(|(item, _)| *item).collect();
        let mut found: BTreeMap<(Uuid, Uuid), Vec<MembershipOrigin>> = BTreeMap::new();
        if items.is_empty() {
            return Ok(found);
        }
        let items: Vec<Uuid> = items.into_iter().collect();
        for chunk in items.chunks(rows_per_statement(1)) {
            let stored = membership::Entity::find()
                .filter(side.list.is_in(rows.keys().copied()))
                .filter(side.item.is_in(chunk.iter().copied()))
                .all(self.db())
                .await
                .map_err(StoreError::of("read where memberships come from"))?;
            for row in stored {
                let origin = read_origin(row)?;
                let pair = (origin.team_id.0, origin.user_id.0);
                found.entry(pair).or_default().push(origin);
            }
        }
        Ok(found)
    }

    /// Adds a user to a team by hand; runs never remove that. Lifts the hold that kept the user out.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn add_member(
        &self,
        tx: &Tx,
        team: &Team,
        user: UserId,
        role: TeamRole,
        by: &Actor,
    ) -> Result<(), StoreError> {
        let row = membership::ActiveModel {
            team_id: Set(team.id.0),
            user_id: Set(user.0),
            origin: Set(MembershipOriginKind::Manual.as_str().into()),
            organization_id: Set(team.organization_id.0),
            role: Set(role.as_str().into()),
            added_by: Set(Some(to_json(by))),
            added_at: Set(self.now()),
        };
        membership::Entity::insert(row)
            .on_conflict(
                OnConflict::columns([Column::TeamId, Column::UserId, Column::Origin])
                    .update_columns([Column::Role, Column::AddedBy, Column::AddedAt])
                    .to_owned(),
            )
            .exec_without_returning(tx)
            .await
            .map_err(StoreError::of("add a member"))?;
        self.let_into_team(tx, team, user).await?;
        self.mark_team_dirty(tx, team).await
    }

    /// Removes a user from a team, whatever the membership comes from. Runs do not put the user into a synchronized team
    /// again, also when none has come to it since the user was added by hand (D-35).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn remove_member(
        &self,
        tx: &Tx,
        team: &Team,
        user: UserId,
        by: &Actor,
    ) -> Result<Removal, StoreError> {
        let removed = membership::Entity::delete_many()
            .filter(Column::TeamId.eq(team.id.0))
            .filter(Column::UserId.eq(user.0))
            .exec_with_returning(tx)
            .await
            .map_err(StoreError::of("remove a member"))?;
        if removed.is_empty() {
            return Ok(Removal::NotThere);
        }
        if team.key.is_none() {
            return Ok(Removal::Manual);
        }
        self.keep_out_of_team(tx, team, user, by).await?;
        self.mark_team_dirty(tx, team).await?;
        Ok(Removal::Synchronized)
    }
}

/// Everyone of the lists, once, with the strongest role.
fn people(
    organization: OrganizationId,
    side: Side,
    lists: &[Uuid],
    role: Option<TeamRole>,
    cursor: Option<&PageRequest<Uuid>>,
) -> SelectStatement {
    // The spellings of the roles sort as their strength does; a test of the domain holds that.
    let strongest = || Expr::from(Func::max(Expr::col(Column::Role)));
    let mut people = Query::select();
    people
        .columns([side.list, side.item])
        .expr_as(strongest(), Alias::new(ROLE))
        .from(membership::Entity)
        .and_where(Column::OrganizationId.eq(organization.0))
        .and_where(side.list.is_in(lists.iter().copied()))
        .group_by_columns([side.list, side.item]);
    if let Some(role) = role {
        people.and_having(strongest().eq(role.as_str()));
    }
    if let Some(after) = cursor.and_then(|request| request.after) {
        people.and_where(side.item.gt(after));
    }
    if let Some(before) = cursor.and_then(|request| request.before) {
        people.and_where(side.item.lt(before));
    }
    people
}

fn totals(side: Side, people: SelectStatement) -> SelectStatement {
    Query::select()
        .column(side.list)
        .expr_as(Func::count(Expr::col(side.item)), Alias::new(PLACE))
        .from_subquery(people, Alias::new(PEOPLE))
        .group_by_col(side.list)
        .to_owned()
}

/// The first rows of each list, and one more to see whether there are more.
fn ranked(side: Side, people: SelectStatement, request: &PageRequest<Uuid>) -> SelectStatement {
    let order = if request.from_end {
        Order::Desc
    } else {
        Order::Asc
    };
    let window = WindowStatement::partition_by(side.list)
        .order_by(side.item, order.clone())
        .to_owned();
    let numbered = Query::select()
        .columns([side.list, side.item])
        .column(Alias::new(ROLE))
        .expr_window_as(
            Func::cust(Alias::new("ROW_NUMBER")),
            window,
            Alias::new(PLACE),
        )
        .from_subquery(people, Alias::new(PEOPLE))
        .to_owned();
    let last = i64::try_from(request.limit + 1).unwrap_or(i64::MAX);
    Query::select()
        .columns([side.list, side.item])
        .column(Alias::new(ROLE))
        .from_subquery(numbered, Alias::new(RANKED))
        .and_where(Expr::col(Alias::new(PLACE).into_iden()).lte(last))
        .order_by(side.list, Order::Asc)
        .order_by(side.item, order)
        .to_owned()
}

fn raw<K: Copy>(request: &PageRequest<K>, id: impl Fn(K) -> Uuid) -> PageRequest<Uuid> {
    PageRequest {
        after: request.after.map(&id),
        before: request.before.map(&id),
        limit: request.limit,
        from_end: request.from_end,
    }
}

fn belonging(
    side: Side,
    list: Uuid,
    item: Uuid,
    role: TeamRole,
    origins: &mut BTreeMap<(Uuid, Uuid), Vec<MembershipOrigin>>,
) -> Membership {
    let (team, user) = match side.list {
        Column::TeamId => (list, item),
        _ => (item, list),
    };
    Membership {
        team_id: TeamId(team),
        user_id: UserId(user),
        role,
        origins: origins.remove(&(team, user)).unwrap_or_default(),
    }
}

pub(crate) fn read_origin(row: membership::Model) -> Result<MembershipOrigin, StoreError> {
    Ok(MembershipOrigin {
        team_id: row.team_id.into(),
        user_id: row.user_id.into(),
        origin: parse("membership.origin", &row.origin)?,
        role: parse("membership.role", &row.role)?,
        added_by: from_optional_json("membership.added_by", row.added_by)?,
        added_at: row.added_at,
    })
}
