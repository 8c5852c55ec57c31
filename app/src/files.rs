//! How many files the process may open: every connection is one.

use tracing::warn;

/// Most connections when nothing is set, however many files there may be.
const MOST: u64 = 10_000;
/// Files that are not for connections, at least: the database, the queue, keys, logs.
const RESERVED: u64 = 96;
/// Limit that is assumed where it cannot be read.
const ASSUMED: u64 = 1_024;

/// Raises the limit of open files as far as it goes, and returns how many connections may be taken.
pub(crate) fn connections(wanted: Option<u16>) -> usize {
    let files = rlimit::increase_nofile_limit(u64::MAX).unwrap_or(ASSUMED);
    let room = room(files);
    match wanted.map(u64::from) {
        Some(wanted) if wanted > room => {
            warn!(
                "LOCKSTEP_MAX_CONNECTIONS is {wanted}, but with {files} open files there is room for {room}; \
                 raise the limit of open files (ulimit -n, LimitNOFILE)"
            );
            cut(room)
        }
        Some(wanted) => cut(wanted),
        None => cut(room.min(MOST)),
    }
}

/// A quarter of the files, and no less than is reserved, stays for everything else.
fn room(files: u64) -> u64 {
    files.saturating_sub(RESERVED.max(files / 4)).max(1)
}

fn cut(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_files_stays_for_everything_else() {
        assert_eq!([256, 1_024, 1_048_576].map(room), [160, 768, 786_432]);
    }

    #[test]
    fn with_hardly_any_files_there_is_one_connection() {
        assert_eq!([0, 96, 97].map(room), [1, 1, 1]);
    }
}
