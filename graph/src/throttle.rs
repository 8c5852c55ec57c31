//! The gate all requests of a tenant pass, and what `Retry-After` says.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::time::{Instant, sleep_until};

use crate::GraphError;

/// Longer waits than this are nonsense, and would overflow a clock.
const ABSURD: Duration = Duration::from_secs(365 * 24 * 3600);

/// Holds back every request of a tenant until the time that Graph named to one of them.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    not_before: Mutex<Option<Instant>>,
}

impl Gate {
    /// Closes the gate for this long. It never opens earlier than it was told before.
    pub(crate) fn close_for(&self, wait: Duration) {
        let until = Instant::now() + wait.min(ABSURD);
        let mut not_before = self
            .not_before
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *not_before = Some(not_before.map_or(until, |known| known.max(until)));
    }

    /// Returns how long the gate stays closed.
    pub(crate) fn remaining(&self) -> Duration {
        let not_before = *self
            .not_before
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        not_before.map_or(Duration::ZERO, |until| {
            until.saturating_duration_since(Instant::now())
        })
    }

    /// Waits until the gate is open and returns how long that took; or, when it stays closed for longer
    /// than `limit`, refuses at once with the time left.
    pub(crate) async fn pass(
        &self,
        operation: &'static str,
        limit: Duration,
    ) -> Result<Duration, GraphError> {
        let arrived = Instant::now();
        loop {
            let remaining = self.remaining();
            if remaining.is_zero() {
                return Ok(arrived.elapsed());
            }
            if remaining > limit {
                let (retry_after, answer) = (Some(remaining), Box::default());
                return Err(GraphError::Throttled {
                    operation,
                    retry_after,
                    answer,
                });
            }
            sleep_until(Instant::now() + remaining).await;
        }
    }
}

/// Reads `Retry-After`: seconds, possibly fractional, or an HTTP date. The date is compared with the
/// server's own `Date`, since our clock may be wrong. Zero and nonsense count as absent.
pub(crate) fn retry_after(value: Option<&str>, server_date: Option<&str>) -> Option<Duration> {
    let value = value?.trim();
    let wait = match value.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok()?,
        Err(_) => {
            let now = server_date.and_then(http_date).unwrap_or_else(our_time);
            http_date(value)?.signed_duration_since(now).to_std().ok()?
        }
    };
    (!wait.is_zero()).then_some(wait.min(ABSURD))
}

#[expect(
    clippy::disallowed_methods,
    reason = "only for a server that does not say what time it is"
)]
fn our_time() -> DateTime<Utc> {
    Utc::now()
}

fn http_date(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text.trim())
        .ok()
        .map(|date| date.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_all_its_forms() {
        let date = "Tue, 18 Aug 2026 12:51:51 GMT";
        assert_eq!(retry_after(Some("12"), None), Some(Duration::from_secs(12)));
        assert_eq!(
            retry_after(Some("2.128"), None),
            Some(Duration::from_millis(2128))
        );
        assert_eq!(
            retry_after(Some("Tue, 18 Aug 2026 12:52:01 GMT"), Some(date)),
            Some(Duration::from_secs(10))
        );
        for nothing in ["0", "-1", "soon", "NaN", "inf", "", date] {
            assert_eq!(retry_after(Some(nothing), Some(date)), None, "{nothing}");
        }
        assert_eq!(retry_after(None, None), None);
    }

    async fn pass(gate: &Gate) -> Option<Duration> {
        gate.pass("read", Duration::from_secs(60)).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_passes_before_the_longest_time_named() {
        let gate = Gate::default();
        gate.close_for(Duration::from_secs(12));
        gate.close_for(Duration::from_secs(3));
        assert_eq!(pass(&gate).await, Some(Duration::from_secs(12)));
        assert_eq!(pass(&gate).await, Some(Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn a_gate_closed_for_too_long_refuses_at_once() {
        let gate = Gate::default();
        gate.close_for(Duration::from_secs(3600));
        let refused = gate
            .pass("read", Duration::from_secs(60))
            .await
            .unwrap_err();
        assert_eq!(refused.retry_after(), Some(Duration::from_secs(3600)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_gate_that_closes_again_is_waited_for_again() {
        let gate = Gate::default();
        gate.close_for(Duration::from_secs(5));
        let closes_again = async {
            tokio::time::sleep(Duration::from_secs(4)).await;
            gate.close_for(Duration::from_secs(10));
        };
        let (passed, ()) = tokio::join!(pass(&gate), closes_again);
        assert_eq!(passed, Some(Duration::from_secs(14)));
    }
}
