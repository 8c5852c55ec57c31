//! The sandbox's own time, which a test can move on.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// The time of day plus what was skipped.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    ahead_milliseconds: AtomicI64,
}

/// A century: more is a mistake and would leave chrono's range.
const FURTHEST: i64 = 100 * 365 * 24 * 3600 * 1000;

impl Clock {
    /// The time in the sandbox.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        Clock::wall() + TimeDelta::milliseconds(self.ahead_milliseconds.load(Ordering::SeqCst))
    }

    /// The time of day, for what a client compares with its own clock.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that everyone else is passed"
    )]
    pub(crate) fn wall() -> DateTime<Utc> {
        Utc::now()
    }

    /// Moves the time on.
    pub(crate) fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis())
            .unwrap_or(FURTHEST)
            .min(FURTHEST);
        let update = |ahead: i64| Some(ahead.saturating_add(by).min(FURTHEST));
        // The closure always gives a value, so this cannot fail.
        let _ = self
            .ahead_milliseconds
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, update);
    }
}
