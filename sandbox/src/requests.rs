//! What clients asked for: counts, and the last requests one by one.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde::Serialize;

/// How many requests are remembered one by one.
const REMEMBERED: usize = 200;
/// Longer targets are cut in the log.
const LONGEST_TARGET: usize = 2048;
/// Status of a request whose client hung up before the answer; the number is nginx's.
pub const STATUS_ABANDONED: u16 = 499;

/// One request as it was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RequestLine {
    /// When it came.
    pub at: DateTime<Utc>,
    /// The HTTP method.
    pub method: String,
    /// Path and query as sent; bodies and headers are never kept.
    pub target: String,
    /// What it asked for: `token`, `users.list`, `users.get`, `users.manager`, `users.delta`,
    /// `groups.list`, `groups.get`, `groups.members`, `groups.transitiveMembers`, `groups.owners`,
    /// `groups.delta`, `organization`, `deletedItems.users`, `deletedItems.groups`, `batch`,
    /// or `refused` for a path the sandbox does not know.
    pub kind: String,
    /// The status answered.
    pub status: u16,
    /// True for an item of a batch.
    pub batched: bool,
}

/// How often each kind of request was answered with each status.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RequestCounts {
    /// Kind of request, status, how often.
    pub by_kind: BTreeMap<String, BTreeMap<u16, u64>>,
}

impl RequestCounts {
    /// All requests, items of batches included.
    pub fn total(&self) -> u64 {
        self.by_kind.values().flat_map(BTreeMap::values).sum()
    }

    /// All requests of a kind.
    pub fn kind(&self, kind: &str) -> u64 {
        self.by_kind
            .get(kind)
            .map_or(0, |statuses| statuses.values().sum())
    }

    /// All requests answered with a status.
    pub fn status(&self, status: u16) -> u64 {
        self.by_kind
            .values()
            .filter_map(|statuses| statuses.get(&status))
            .sum()
    }

    /// All requests of a kind answered with a status.
    pub fn of(&self, kind: &str, status: u16) -> u64 {
        self.by_kind
            .get(kind)
            .and_then(|statuses| statuses.get(&status))
            .copied()
            .unwrap_or(0)
    }

    /// Requests for paths the sandbox does not know.
    pub fn refused(&self) -> u64 {
        self.kind("refused")
    }
}

#[derive(Debug, Default)]
struct Kept {
    counts: RequestCounts,
    last: VecDeque<RequestLine>,
}

/// The log of requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct RequestLog(Arc<Mutex<Kept>>);

impl RequestLog {
    /// Starts a line; it is written when the answer is known or the client hangs up.
    pub(crate) fn begin(&self, line: RequestLine) -> PendingLine {
        PendingLine {
            log: self.clone(),
            line: Some(line),
        }
    }

    /// The counts since the start or the last reset.
    pub(crate) fn counts(&self) -> RequestCounts {
        self.kept(|kept| kept.counts.clone())
    }

    /// The last requests, oldest first.
    pub(crate) fn last(&self) -> Vec<RequestLine> {
        self.kept(|kept| kept.last.iter().cloned().collect())
    }

    /// Forgets all.
    pub(crate) fn reset(&self) {
        self.kept(|kept| *kept = Kept::default());
    }

    fn write(&self, mut line: RequestLine) {
        if line.target.len() > LONGEST_TARGET {
            let end = (0..=LONGEST_TARGET)
                .rev()
                .find(|at| line.target.is_char_boundary(*at));
            line.target.truncate(end.unwrap_or(0));
        }
        self.kept(|kept| {
            let statuses = kept.counts.by_kind.entry(line.kind.clone()).or_default();
            *statuses.entry(line.status).or_default() += 1;
            if kept.last.len() == REMEMBERED {
                kept.last.pop_front();
            }
            kept.last.push_back(line);
        });
    }

    fn kept<T>(&self, read: impl FnOnce(&mut Kept) -> T) -> T {
        read(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A request that is not answered yet.
#[derive(Debug)]
pub(crate) struct PendingLine {
    log: RequestLog,
    line: Option<RequestLine>,
}

impl PendingLine {
    /// The request was answered.
    pub(crate) fn answered(mut self, status: u16) {
        if let Some(line) = self.line.take() {
            self.log.write(RequestLine { status, ..line });
        }
    }
}

impl Drop for PendingLine {
    fn drop(&mut self) {
        if let Some(line) = self.line.take() {
            self.log.write(RequestLine {
                status: STATUS_ABANDONED,
                ..line
            });
        }
    }
}
