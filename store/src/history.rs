//! The history of users and teams: their changes over all runs, a page for many of them at once.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_domain::{ChangeId, OrganizationId};
use lockstep_entity::run_change::{self, Column};
use sea_orm::sea_query::{Alias, Expr, Order, Query, SelectStatement, UnionType};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait as _, EntityTrait as _, QueryFilter as _, Select,
};
use uuid::Uuid;

use crate::change::{Change, ChangeFilter, condition, read};
use crate::column::{count, rows_per_statement};
use crate::lookup::unweighed;
use crate::page::{Page, PageRequest};
use crate::{Store, StoreError};

/// Where a change names the user or team whose history it belongs to: as its object, as the member, or as the team that a
/// member was moved away from. A change names nobody in two of them.
const NAMED_IN: [Column; 3] = [Column::PlatformId, Column::MemberId, Column::MovedFromId];
/// Whose history.
const WHOSE: &str = "whose";
/// Number of changes.
const CHANGES: &str = "changes";
/// Histories that one statement reads: SQLite puts at most 500 selects together.
const HISTORIES: usize = 100;

/// Which part of histories is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HistoryRequest {
    /// Which changes.
    pub filter: ChangeFilter,
    /// Which part of them.
    pub page: PageRequest<ChangeId>,
}

impl Store {
    /// Returns a page of the history of each of some users and teams, newest first, in a fixed number of statements.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn histories(
        &self,
        organization: OrganizationId,
        whose: &[Uuid],
        request: &HistoryRequest,
    ) -> Result<BTreeMap<Uuid, Page<Change>>, StoreError> {
        let mut pages = BTreeMap::new();
        for whose in whose.chunks(HISTORIES) {
            let totals = self.totals(organization, whose, &request.filter).await?;
            let places = self.places(organization, whose, request).await?;
            let changes = self.changes_by_id(organization, &places).await?;
            for id in whose {
                let ids = places.get(id).into_iter().flatten();
                let rows = ids.filter_map(|id| changes.get(id).cloned()).collect();
                let total = totals.get(id).copied().unwrap_or_default();
                pages.insert(*id, Page::cut(rows, &request.page, total));
            }
        }
        Ok(pages)
    }

    /// Counts the changes of histories.
    async fn totals(
        &self,
        organization: OrganizationId,
        whose: &[Uuid],
        filter: &ChangeFilter,
    ) -> Result<BTreeMap<Uuid, u64>, StoreError> {
        let operation = "count histories";
        let of = |column: Column| {
            changes(organization, filter)
                .expr_as(Expr::col(column), Alias::new(WHOSE))
                .expr_as(Column::Id.count(), Alias::new(CHANGES))
                .and_where(column.is_in(whose.iter().copied()))
                .group_by_col(column)
                .to_owned()
        };
        let mut totals = BTreeMap::new();
        let rows = self.db().query_all(&united(NAMED_IN.map(of))).await;
        for row in rows.map_err(StoreError::of(operation))? {
            let id: Uuid = row.try_get("", WHOSE).map_err(StoreError::of(operation))?;
            let n: i64 = row
                .try_get("", CHANGES)
                .map_err(StoreError::of(operation))?;
            *totals.entry(id).or_default() += count(n);
        }
        Ok(totals)
    }

    /// Finds the changes of a page of each history, and one more each to see whether there are more. The index of each
    /// column is walked from the place of the page, so that a history costs what is shown of it, however long it is.
    async fn places(
        &self,
        organization: OrganizationId,
        whose: &[Uuid],
        request: &HistoryRequest,
    ) -> Result<BTreeMap<Uuid, Vec<Uuid>>, StoreError> {
        let operation = "read histories";
        let page = |id: &Uuid| {
            let of = |column: Column| {
                let some = changes(organization, &request.filter)
                    .column(Column::Id)
                    .and_where(column.eq(*id))
                    .cond_where(in_page(&request.page))
                    .to_owned();
                nearest(some, &request.page)
            };
            let mut all = Query::select();
            all.expr_as(Expr::val(*id), Alias::new(WHOSE))
                .column(Column::Id)
                .from_subquery(united(NAMED_IN.map(of)), Alias::new(CHANGES));
            nearest(all, &request.page)
        };
        let mut places: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
        let rows = self.db().query_all(&united(whose.iter().map(page))).await;
        for row in rows.map_err(StoreError::of(operation))? {
            let get = |column: &str| row.try_get::<Uuid>("", column);
            let whose = get(WHOSE).map_err(StoreError::of(operation))?;
            let id = get("id").map_err(StoreError::of(operation))?;
            places.entry(whose).or_default().push(id);
        }
        for ids in places.values_mut() {
            ids.sort_unstable();
            if !request.page.from_end {
                ids.reverse();
            }
        }
        Ok(places)
    }

    async fn changes_by_id(
        &self,
        organization: OrganizationId,
        places: &BTreeMap<Uuid, Vec<Uuid>>,
    ) -> Result<BTreeMap<Uuid, Change>, StoreError> {
        let ids: BTreeSet<Uuid> = places.values().flatten().copied().collect();
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let mut found = BTreeMap::new();
        for chunk in ids.chunks(rows_per_statement(1)) {
            let rows = rows(organization, chunk).all(self.db());
            for row in rows.await.map_err(StoreError::of("read changes"))? {
                found.insert(row.id, read(row)?);
            }
        }
        Ok(found)
    }
}

/// Changes by their ids, as far as they are the organization's.
fn rows(organization: OrganizationId, ids: &[Uuid]) -> Select<run_change::Entity> {
    // They are found by their ids, not by the organization.
    run_change::Entity::find()
        .filter(Column::Id.is_in(ids.iter().copied()))
        .filter(unweighed(Column::OrganizationId.eq(organization.0)))
}

fn changes(organization: OrganizationId, filter: &ChangeFilter) -> SelectStatement {
    Query::select()
        .from(run_change::Entity)
        .and_where(Column::OrganizationId.eq(organization.0))
        .cond_where(condition(filter))
        .to_owned()
}

/// Whether a change stands in a page: after a place are those that are older.
fn in_page(request: &PageRequest<ChangeId>) -> Condition {
    Condition::all()
        .add_option(request.after.map(|at| Column::Id.lt(at.0)))
        .add_option(request.before.map(|at| Column::Id.gt(at.0)))
}

/// The rows of a page, and one more, as a select that can be put together with others.
fn nearest(mut all: SelectStatement, request: &PageRequest<ChangeId>) -> SelectStatement {
    let order = if request.from_end {
        Order::Asc
    } else {
        Order::Desc
    };
    all.order_by(Alias::new("id"), order)
        .limit(request.limit + 1);
    Query::select()
        .column(sea_orm::sea_query::Asterisk)
        .from_subquery(all, Alias::new("nearest"))
        .to_owned()
}

fn united(all: impl IntoIterator<Item = SelectStatement>) -> SelectStatement {
    let mut all = all.into_iter();
    let mut first = all.next().unwrap_or_default();
    for one in all {
        first.union(UnionType::All, one);
    }
    first
}

#[cfg(test)]
mod tests {
    use sea_orm::{DbBackend, QueryTrait as _};

    use super::*;

    #[test]
    fn changes_are_read_in_their_organization_alone() {
        let organization = OrganizationId(Uuid::from_u128(7));
        for backend in [DbBackend::Sqlite, DbBackend::Postgres] {
            let statement = rows(organization, &[Uuid::from_u128(9)]).build(backend);
            let values = statement.values.unwrap().0;
            assert!(values.contains(&organization.0.into()), "{}", statement.sql);
        }
    }
}
