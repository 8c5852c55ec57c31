//! Pages of lists: a stable order, a cursor of the order's own key, and the number of all.

use sea_orm::sea_query::{Expr, ExprTrait as _, Func, LikeExpr};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, FromQueryResult, Order, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _, Select, Value,
};

use lockstep_domain::{IntegrationId, TeamId, TestId, UserId};

use crate::lookup::first;
use crate::{Store, StoreError};

/// What a list that one column orders is walked by.
pub(crate) trait Key: Copy {
    /// The value as the database compares it.
    fn value(self) -> Value;
}

impl Key for i64 {
    fn value(self) -> Value {
        self.into()
    }
}

macro_rules! id_keys {
    ($($id:ident),+) => {$(
        impl Key for $id {
            fn value(self) -> Value {
                self.0.into()
            }
        }
    )+};
}

id_keys!(UserId, TeamId, IntegrationId, TestId);

/// The pattern of LIKE for texts that contain `text`; `\\` escapes what LIKE would read as a wildcard.
pub(crate) fn contains(text: &str) -> String {
    let plain = text
        .replace('\\', "\\\\")
        .replace('%', "\\%")
        .replace('_', "\\_");
    format!("%{plain}%")
}

/// Whether a column contains a text, without regard to case as far as the database knows it: SQLite folds ASCII alone.
pub(crate) fn contains_in_any_case<C: ColumnTrait>(column: C, text: &str) -> Expr {
    let pattern = LikeExpr::new(contains(&text.to_lowercase())).escape('\\');
    Expr::expr(Func::lower(Expr::col(column))).like(pattern)
}

/// Which part of a list is asked for. `after` and `before` are keys of rows, exclusive.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PageRequest<K> {
    /// Only rows after this key.
    pub after: Option<K>,
    /// Only rows before this key.
    pub before: Option<K>,
    /// Greatest number of rows, 1 to 100.
    pub limit: u64,
    /// Whether the rows nearest to the end are meant.
    pub from_end: bool,
}

impl<K> PageRequest<K> {
    /// The first `limit` rows.
    #[must_use]
    pub const fn first(limit: u64) -> Self {
        Self {
            after: None,
            before: None,
            limit,
            from_end: false,
        }
    }
}

/// A part of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// The rows, in the order of the list.
    pub items: Vec<T>,
    /// Whether there are rows after these.
    pub has_next: bool,
    /// Whether there are rows before these.
    pub has_previous: bool,
    /// Number of rows of the whole list.
    pub total: u64,
}

impl<T> Page<T> {
    /// Cuts the surplus row that was fetched to see whether there are more, and restores the order.
    pub(crate) fn cut<K>(mut rows: Vec<T>, request: &PageRequest<K>, total: u64) -> Self {
        let more = rows.len() as u64 > request.limit;
        rows.truncate(usize::try_from(request.limit).unwrap_or(usize::MAX));
        if request.from_end {
            rows.reverse();
            Self {
                items: rows,
                has_next: request.before.is_some(),
                has_previous: more,
                total,
            }
        } else {
            Self {
                items: rows,
                has_next: more,
                has_previous: request.after.is_some(),
                total,
            }
        }
    }

    /// Turns every row into something else, or fails with the first that cannot be.
    pub(crate) fn try_map<U, E>(self, map: impl FnMut(T) -> Result<U, E>) -> Result<Page<U>, E> {
        let Self {
            items,
            has_next,
            has_previous,
            total,
        } = self;
        Ok(Page {
            items: items.into_iter().map(map).collect::<Result<_, _>>()?,
            has_next,
            has_previous,
            total,
        })
    }
}

impl Store {
    /// Reads a page of a list that one column orders, newest first when `descending`.
    pub(crate) async fn page<E, K>(
        &self,
        all: Select<E>,
        key: E::Column,
        descending: bool,
        request: &PageRequest<K>,
    ) -> Result<Page<E::Model>, StoreError>
    where
        E: EntityTrait,
        E::Model: FromQueryResult + Sized + Send + Sync,
        K: Key,
    {
        let operation = "read a page";
        let total = all
            .clone()
            .count(self.db())
            .await
            .map_err(StoreError::of(operation))?;
        let beyond = |at: Option<K>, later: bool| {
            at.map(K::value)
                .map(|at| if later { key.gt(at) } else { key.lt(at) })
        };
        let order = if request.from_end == descending {
            Order::Asc
        } else {
            Order::Desc
        };
        let rows = all
            .filter(
                Condition::all()
                    .add_option(beyond(request.after, !descending))
                    .add_option(beyond(request.before, descending)),
            )
            .order_by(key, order);
        let rows = first(self.db(), rows, request.limit + 1)
            .await
            .map_err(StoreError::of(operation))?;
        Ok(Page::cut(rows, request, total))
    }
}
