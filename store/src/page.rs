//! Pages of lists: a stable order, a cursor of the order's own key, and the number of all.

use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait, FromQueryResult, Order, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, Select, Value,
};

use lockstep_domain::{IntegrationId, SignInProposalId, TeamId, TestId, UserId};

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

id_keys!(UserId, TeamId, IntegrationId, TestId, SignInProposalId);

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

/// Tells what the keys of a list are for a row at a place.
pub(crate) type Values<K> = fn(&K) -> Vec<Value>;

/// What a list is ordered by, expression by expression, of which the last tells all rows apart.
pub(crate) struct Keys<K> {
    /// The expressions.
    pub(crate) expressions: Vec<Expr>,
    /// What they are for a row at a place.
    pub(crate) values: Values<K>,
    /// Whether the greatest comes first.
    pub(crate) descending: bool,
    /// Which indexes fit the statement.
    pub(crate) fit: Fit,
}

/// Which indexes PostgreSQL can read the rows of a list by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    /// Those of the organization, one of which has the order.
    Any,
    /// The one by name alone.
    Names,
    /// The one over words alone, which has no order.
    Words,
}

impl<K> Keys<K> {
    /// Whether a row stands after, or before, a place.
    fn beyond(&self, place: &K, after: bool) -> Expr {
        let row = Expr::tuple(self.expressions.clone());
        let place = Expr::tuple((self.values)(place).into_iter().map(Expr::val));
        if after == self.descending {
            row.lt(place)
        } else {
            row.gt(place)
        }
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
        let keys = Keys {
            expressions: vec![key.into_expr()],
            values: |key: &K| vec![key.value()],
            descending,
            fit: Fit::Any,
        };
        self.page_by(all.clone(), all, &keys, request).await
    }

    /// Reads a page of a list. `walked` are the same rows as `all`, where another statement for them suits the order.
    pub(crate) async fn page_by<E, K>(
        &self,
        all: Select<E>,
        walked: Select<E>,
        keys: &Keys<K>,
        request: &PageRequest<K>,
    ) -> Result<Page<E::Model>, StoreError>
    where
        E: EntityTrait,
        E::Model: FromQueryResult + Sized + Send + Sync,
    {
        let operation = "read a page";
        let total = all
            .count(self.db())
            .await
            .map_err(StoreError::of(operation))?;
        let beyond = |place: &Option<K>, after| place.as_ref().map(|at| keys.beyond(at, after));
        let mut rows = walked.filter(
            Condition::all()
                .add_option(beyond(&request.after, true))
                .add_option(beyond(&request.before, false)),
        );
        for key in &keys.expressions {
            let order = if request.from_end == keys.descending {
                Order::Asc
            } else {
                Order::Desc
            };
            rows = rows.order_by(key.clone(), order);
        }
        let limit = request.limit + 1;
        let rows = match keys.fit {
            // Told how few rows are wanted, PostgreSQL would sort what is left of the list, see `lookup`.
            Fit::Any => first(self.db(), rows, limit).await,
            Fit::Names | Fit::Words => rows.limit(limit).all(self.db()).await,
        };
        let rows = rows.map_err(StoreError::of(operation))?;
        Ok(Page::cut(rows, request, total))
    }
}
