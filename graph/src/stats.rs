//! Counters of what a client did.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// What a client and its clones did so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RequestStats {
    /// Requests sent to Graph. A `$batch` counts as one.
    pub requests: u64,
    /// Requests sent for a token.
    pub token_requests: u64,
    /// Requests and parts of batches that were sent again.
    pub retried: u64,
    /// Throttled answers, each part of a batch by itself.
    pub throttled: u64,
    /// Time spent in back-off and behind the throttle, added up over parallel requests.
    pub waited: Duration,
    /// Bytes of bodies read, after decompression.
    pub bytes_read: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) requests: AtomicU64,
    pub(crate) token_requests: AtomicU64,
    retried: AtomicU64,
    throttled: AtomicU64,
    waited_ms: AtomicU64,
    bytes_read: AtomicU64,
}

impl Counters {
    pub(crate) fn count_failure(&self, throttled: bool, retried: bool) {
        self.throttled.fetch_add(u64::from(throttled), Relaxed);
        self.retried.fetch_add(u64::from(retried), Relaxed);
    }

    pub(crate) fn count_wait(&self, wait: Duration) {
        self.waited_ms
            .fetch_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    pub(crate) fn count_bytes(&self, bytes: usize) {
        self.bytes_read.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn snapshot(&self) -> RequestStats {
        RequestStats {
            requests: self.requests.load(Relaxed),
            token_requests: self.token_requests.load(Relaxed),
            retried: self.retried.load(Relaxed),
            throttled: self.throttled.load(Relaxed),
            waited: Duration::from_millis(self.waited_ms.load(Relaxed)),
            bytes_read: self.bytes_read.load(Relaxed),
        }
    }
}
