//! Batches: small lists are read together, large ones a page at a time.

/// What is read with one statement after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Batch<K> {
    /// Lists that together fit into one page.
    Together(Vec<K>),
    /// A list that is walked page by page.
    Alone(K),
}

/// Packs lists of known sizes into pages of at most `page` rows.
pub(super) fn batches<K>(sizes: impl IntoIterator<Item = (K, u64)>, page: u64) -> Vec<Batch<K>> {
    let (mut packed, mut open, mut room) = (Vec::new(), Vec::new(), page);
    for (key, size) in sizes {
        if size > page {
            packed.push(Batch::Alone(key));
            continue;
        }
        if size > room {
            packed.push(Batch::Together(std::mem::take(&mut open)));
            room = page;
        }
        room -= size;
        open.push(key);
    }
    if !open.is_empty() {
        packed.push(Batch::Together(open));
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_batch_is_larger_than_a_page() {
        let sizes = [("a", 4), ("b", 6), ("c", 1), ("d", 11), ("e", 9), ("f", 0)];
        assert_eq!(
            batches(sizes, 10),
            [
                Batch::Together(vec!["a", "b"]),
                Batch::Alone("d"),
                Batch::Together(vec!["c", "e", "f"]),
            ]
        );
        assert_eq!(batches(Vec::<((), u64)>::new(), 10), []);
    }
}
