//! Pages of lists: a stable order, a cursor of the order's own key, and the number of all.

/// Which part of a list is asked for. `after` and `before` are keys of rows, exclusive.
#[derive(Debug, Clone)]
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
