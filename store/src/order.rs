//! In which order lists of users and teams are.

use sea_orm::sea_query::{Alias, Expr, ExprTrait as _};
use sea_orm::{ColumnTrait, Value};
use uuid::Uuid;

use crate::page::{Fit, Keys, Values};

/// What a list of users or teams is ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OrderBy {
    /// When they were created.
    #[default]
    Creation,
    /// Their names, without regard to case and accents; then when they were created.
    Name,
}

/// The order of a list of users or teams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ListOrder {
    /// What decides.
    pub by: OrderBy,
    /// Whether the last comes first.
    pub descending: bool,
}

/// A place in a list of users or teams.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Place<Id> {
    /// In one that is ordered by creation.
    Created(Id),
    /// In one that is ordered by name: the search key, then who it is.
    Named(String, Id),
}

impl<Id> Place<Id> {
    /// Whether the place is one of a list in this order.
    #[must_use]
    pub const fn is_in(&self, order: OrderBy) -> bool {
        matches!(
            (self, order),
            (Self::Created(_), OrderBy::Creation) | (Self::Named(..), OrderBy::Name)
        )
    }
}

/// The columns that order a list.
pub(crate) struct Ordered<C> {
    pub(crate) id: C,
    pub(crate) key: C,
}

impl ListOrder {
    /// The keys of a list. Rows that are found by words are put in order without an index: PostgreSQL would take the one by
    /// id for a way to the first of them.
    pub(crate) fn keys<Id: Copy + Into<Uuid>, C: ColumnTrait>(
        self,
        columns: Ordered<C>,
        fit: Fit,
    ) -> Keys<Place<Id>> {
        let id = columns.id.into_expr();
        let (expressions, values): (_, Values<Place<Id>>) = match (self.by, fit) {
            (OrderBy::Name, _) => (vec![columns.key.into_expr(), id], values),
            (OrderBy::Creation, Fit::Words) => (vec![as_text(id)], texts),
            (OrderBy::Creation, Fit::Any | Fit::Names) => (vec![id], values),
        };
        Keys {
            expressions,
            values,
            descending: self.descending,
            fit,
        }
    }
}

fn values<Id: Copy + Into<Uuid>>(place: &Place<Id>) -> Vec<Value> {
    let id = |id: Id| Value::from(id.into());
    match place {
        Place::Created(at) => vec![id(*at)],
        Place::Named(key, at) => vec![key.as_str().into(), id(*at)],
    }
}

/// As [`values`] for a list whose ids are compared as texts.
fn texts<Id: Copy + Into<Uuid>>(place: &Place<Id>) -> Vec<Value> {
    let (Place::Created(id) | Place::Named(_, id)) = place;
    vec![(*id).into().hyphenated().to_string().into()]
}

/// An id as a text that sorts as it does.
fn as_text(id: Expr) -> Expr {
    id.cast_as("text").binary(
        sea_orm::sea_query::BinOper::Custom("COLLATE"),
        Expr::col(Alias::new("C")),
    )
}
