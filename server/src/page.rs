//! Connections: which page a client wants, and the page in the shape that Relay has defined.

use async_graphql::{Context, SimpleObject};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, SecondsFormat, Utc};
use lockstep_domain::{
    ChangeId, HoldId, IntegrationId, RunId, SignInProposalId, TeamId, TestId, UserId,
};
use lockstep_store::order::{ListOrder, Place};
use lockstep_store::page::{Page, PageRequest};
use uuid::Uuid;

use crate::error::{Failure, Result};
use crate::id::GlobalId as _;
use crate::scalar::int;
use crate::wave;

/// Greatest number of edges of a page.
pub(crate) const MAX_PAGE: i32 = 100;
/// Number of edges of a page when the client does not say.
const DEFAULT_PAGE: i32 = 20;

/// The four arguments of a connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Paging {
    pub(crate) first: Option<i32>,
    pub(crate) after: Option<String>,
    pub(crate) last: Option<i32>,
    pub(crate) before: Option<String>,
}

impl Paging {
    /// Checks the arguments.
    pub(crate) fn request<K: CursorKey>(&self) -> Result<PageRequest<K>> {
        let (limit, from_end) = match (self.first, self.last) {
            (Some(_), Some(_)) => {
                return Err(Failure::bad_input("Give `first` or `last`, not both."));
            }
            (Some(first), None) => (first, false),
            (None, Some(last)) => (last, true),
            (None, None) => (DEFAULT_PAGE, false),
        };
        if !(1..=MAX_PAGE).contains(&limit) {
            return Err(Failure::bad_input(format!(
                "`first` and `last` go from 1 to {MAX_PAGE}."
            )));
        }
        Ok(PageRequest {
            after: cursor(self.after.as_deref())?,
            before: cursor(self.before.as_deref())?,
            limit: u64::try_from(limit).unwrap_or_default(),
            from_end,
        })
    }
}

impl Paging {
    /// Checks the arguments of a list of users or teams, whose cursors go with its order.
    pub(crate) fn ordered<Id>(&self, order: ListOrder) -> Result<PageRequest<Place<Id>>>
    where
        Place<Id>: CursorKey,
    {
        let request: PageRequest<Place<Id>> = self.request()?;
        let places = [&request.after, &request.before];
        if places.into_iter().flatten().all(|at| at.is_in(order.by)) {
            return Ok(request);
        }
        Err(Failure::bad_input(
            "The cursor is of the same list in another order.",
        ))
    }
}

/// Number of edges that a page can have, for the complexity of a document.
pub(crate) fn size(first: Option<i32>, last: Option<i32>) -> usize {
    let asked = first.or(last).unwrap_or(DEFAULT_PAGE);
    usize::try_from(asked.clamp(1, MAX_PAGE)).unwrap_or_default()
}

/// What a list that is not a page counts, for the complexity of a document. It may be longer, so what it gives is counted
/// as well: see [`admit`].
pub(crate) const UNPAGED: usize = 50;

/// Greatest number of items that lists which are not pages give in one answer: as many as a hundred for each user of the
/// largest page.
const MAX_UNPAGED: usize = 10_000;

/// Counts items that a list which is not a page is about to give. Lists that lead to each other multiply, and the
/// complexity of the document cannot tell how long they are.
///
/// # Errors
/// When the answer would have too many.
pub(crate) fn admit(ctx: &Context<'_>, items: usize) -> Result<()> {
    if wave::count_unpaged(items) > MAX_UNPAGED {
        return Err(Failure::bad_input(format!(
            "`{}` has more than {MAX_UNPAGED} items here altogether: ask for fewer users at a time.",
            ctx.field().name()
        )));
    }
    Ok(())
}

/// What a page counts that takes statements of its own for each object it belongs to, for the complexity of a document.
pub(crate) const STATEMENTS: usize = 100;

/// The key of a row in its list, which a cursor stands for.
pub(crate) trait CursorKey: Sized {
    fn write(&self) -> String;
    fn read(text: &str) -> Option<Self>;

    fn cursor(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.write())
    }
}

fn cursor<K: CursorKey>(text: Option<&str>) -> Result<Option<K>> {
    let Some(text) = text else { return Ok(None) };
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    let key = bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|text| K::read(&text));
    key.map(Some)
        .ok_or_else(|| Failure::bad_input("The cursor is none of this list."))
}

macro_rules! cursor_ids {
    ($($id:ident),+ $(,)?) => {$(
        impl CursorKey for $id {
            fn write(&self) -> String {
                format!("{}:{}", Self::TYPE, self.0.simple())
            }

            fn read(text: &str) -> Option<Self> {
                let (kind, id) = text.split_once(':')?;
                let id = Uuid::parse_str(id).ok()?;
                (kind == Self::TYPE).then_some(Self(id))
            }
        }
    )+};
}

cursor_ids!(
    UserId,
    TeamId,
    IntegrationId,
    TestId,
    ChangeId,
    HoldId,
    SignInProposalId,
);

/// Place in a list of users or teams. A name has no control characters, and PostgreSQL refuses one of them in any text.
impl<Id: CursorKey> CursorKey for Place<Id> {
    fn write(&self) -> String {
        match self {
            Self::Created(id) => id.write(),
            Self::Named(key, id) => format!("name:{}:{key}", id.write()),
        }
    }

    fn read(text: &str) -> Option<Self> {
        let Some(named) = text.strip_prefix("name:") else {
            return Id::read(text).map(Self::Created);
        };
        let (kind, rest) = named.split_once(':')?;
        let (id, key) = rest.split_once(':')?;
        let id = Id::read(&format!("{kind}:{id}"))?;
        (!key.contains(char::is_control)).then(|| Self::Named(key.to_owned(), id))
    }
}

/// Place in a change log.
impl CursorKey for i64 {
    fn write(&self) -> String {
        format!("at:{self}")
    }

    fn read(text: &str) -> Option<Self> {
        text.strip_prefix("at:")?.parse().ok()
    }
}

/// Place in a list of runs.
impl CursorKey for (DateTime<Utc>, RunId) {
    fn write(&self) -> String {
        let at = self.0.to_rfc3339_opts(SecondsFormat::Micros, true);
        format!("{at}/{}", self.1.0.simple())
    }

    fn read(text: &str) -> Option<Self> {
        let (at, id) = text.split_once('/')?;
        let at = DateTime::parse_from_rfc3339(at).ok()?.with_timezone(&Utc);
        Some((at, RunId(Uuid::parse_str(id).ok()?)))
    }
}

/// Information about the page of a connection.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct PageInfo {
    /// Cursor of the first edge of the page, null when the page is empty.
    start_cursor: Option<String>,
    /// Cursor of the last edge of the page, null when the page is empty.
    end_cursor: Option<String>,
    /// Whether there are more edges after this page.
    has_next_page: bool,
    /// Whether there are edges before this page.
    has_previous_page: bool,
}

/// An edge of a list, made of its cursor and of what the list has there.
pub(crate) trait EdgeOf<T> {
    fn of(cursor: String, item: T) -> Self;
}

/// The edges of a page.
#[derive(Debug, Clone)]
pub(crate) struct Edges<E> {
    pub(crate) items: Vec<E>,
    pub(crate) info: PageInfo,
    pub(crate) total: i32,
}

impl<E> Edges<E> {
    /// Makes the edges of a page of rows.
    pub(crate) fn of<R, K: CursorKey, T>(
        page: Page<R>,
        key: impl Fn(&R) -> K,
        item: impl Fn(R) -> T,
    ) -> Self
    where
        E: EdgeOf<T>,
    {
        let Page {
            items,
            has_next,
            has_previous,
            total,
        } = page;
        let cursors: Vec<String> = items.iter().map(|row| key(row).cursor()).collect();
        let info = PageInfo {
            start_cursor: cursors.first().cloned(),
            end_cursor: cursors.last().cloned(),
            has_next_page: has_next,
            has_previous_page: has_previous,
        };
        let edge = |(cursor, row)| E::of(cursor, item(row));
        Self {
            items: cursors.into_iter().zip(items).map(edge).collect(),
            info,
            total: int(total),
        }
    }
}

/// Declares a connection type with a description of its own, and its edge type, unless that one says something of the
/// relation and is declared by hand: then `Connection of Edge`.
macro_rules! connection {
    (
        $(#[$page_meta:meta])* $connection:ident;
        $(#[$edge_meta:meta])* $edge:ident;
        $(#[$node_meta:meta])* node: $node:ty;
        $(#[$total_meta:meta])* total
    ) => {
        $crate::page::connection! {
            $(#[$page_meta])* $connection of $edge;
            $(#[$total_meta])* total
            {
                /// The nodes of the page, without their cursors.
                async fn nodes(&self) -> Vec<$node> {
                    self.0.items.iter().map(|edge| edge.node.clone()).collect()
                }
            }
        }

        $(#[$edge_meta])*
        #[derive(Debug, Clone, async_graphql::SimpleObject)]
        pub(crate) struct $edge {
            /// Cursor of the edge.
            cursor: String,
            $(#[$node_meta])*
            node: $node,
        }

        impl $crate::page::EdgeOf<$node> for $edge {
            fn of(cursor: String, node: $node) -> Self {
                Self { cursor, node }
            }
        }
    };
    (
        $(#[$page_meta:meta])* $connection:ident of $edge:ident;
        $(#[$total_meta:meta])* total
        $({ $($more:tt)* })?
    ) => {
        #[derive(Debug, Clone)]
        pub(crate) struct $connection(pub(crate) $crate::page::Edges<$edge>);

        $(#[$page_meta])*
        #[async_graphql::Object]
        impl $connection {
            /// The edges of the page.
            async fn edges(&self) -> &[$edge] {
                &self.0.items
            }

            $($($more)*)?

            /// Information about the page.
            async fn page_info(&self) -> $crate::page::PageInfo {
                self.0.info.clone()
            }

            $(#[$total_meta])*
            async fn total_count(&self) -> i32 {
                self.0.total
            }
        }
    };
}

pub(crate) use connection;

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(first: Option<i32>, last: Option<i32>) -> Option<(u64, bool)> {
        let paging = Paging {
            first,
            last,
            ..Paging::default()
        };
        paging
            .request::<UserId>()
            .ok()
            .map(|request| (request.limit, request.from_end))
    }

    #[test]
    fn d88_a_page_has_1_to_100_edges_and_20_by_default() {
        assert_eq!(asked(None, None), Some((20, false)));
        assert_eq!(asked(Some(100), None), Some((100, false)));
        assert_eq!(asked(None, Some(1)), Some((1, true)));
        for (first, last) in [
            (Some(0), None),
            (Some(101), None),
            (None, Some(-1)),
            (Some(1), Some(1)),
        ] {
            assert_eq!(asked(first, last), None, "{first:?} {last:?}");
        }
    }

    #[test]
    fn cursors_come_back_and_those_of_other_lists_are_refused() {
        let key = (DateTime::UNIX_EPOCH, RunId(Uuid::from_u128(3)));
        let text = key.cursor();
        assert_eq!(
            cursor::<(DateTime<Utc>, RunId)>(Some(&text)).ok().flatten(),
            Some(key)
        );
        assert!(cursor::<i64>(Some(&text)).is_err());
        assert!(cursor::<UserId>(Some("%%%")).is_err());
        let user = UserId(Uuid::from_u128(3)).cursor();
        assert!(cursor::<UserId>(Some(&user)).is_ok());
        assert!(cursor::<TeamId>(Some(&user)).is_err());
    }
}
