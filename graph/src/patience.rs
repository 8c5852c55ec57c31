//! Decides after each failed try whether there is another one, and when.

use std::time::Duration;

use tokio::time::Instant;

use crate::{ClientOptions, GraphError, SignInProblem};

/// Tries of a request whose answers make no sense.
const BAD_TRIES: u32 = 3;
/// Tries for a consent that is too young.
const IDENTITY_TRIES: u32 = 6;

/// What to do after a failed try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Try again.
    Again(Pause),
    /// The error is final.
    GiveUp,
}

/// How to wait for the next try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Pause {
    pub(crate) wait: Duration,
    /// Whether all requests of the tenant have to wait.
    pub(crate) everyone: bool,
    /// Whether the token has to be fetched anew.
    pub(crate) renew_token: bool,
}

/// The patience left for one request.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    began: Option<Instant>,
    transient: u32,
    throttled: u32,
    bad: u32,
    identity: u32,
    renewed: bool,
}

impl Patience {
    /// Takes note of a failure and decides.
    pub(crate) fn after(&mut self, error: &GraphError, options: &ClientOptions) -> Next {
        let Some(pause) = self.propose(error, options) else {
            return Next::GiveUp;
        };
        let began = *self.began.get_or_insert_with(Instant::now);
        let too_long = pause.everyone && pause.wait > options.max_throttle_wait;
        if too_long || began.elapsed() + pause.wait > options.retry_budget {
            Next::GiveUp
        } else {
            Next::Again(pause)
        }
    }

    fn propose(&mut self, error: &GraphError, options: &ClientOptions) -> Option<Pause> {
        match error {
            GraphError::Throttled { retry_after, .. } => {
                Some(self.throttled(*retry_after, options))
            }
            GraphError::Unavailable {
                retry_after: Some(wait),
                ..
            } => Some(everyone(*wait)),
            GraphError::Unavailable { .. } | GraphError::Transport { .. } => {
                Some(self.transient(options))
            }
            GraphError::SignIn(sign_in) if sign_in.problem == SignInProblem::Transient => {
                Some(self.transient(options))
            }
            GraphError::BadResponse { .. } => self.bad(options),
            GraphError::AuthRejected { .. } => self.rejected(),
            error if error.says_unknown_identity() => self.identity(options),
            _ => None,
        }
    }

    fn throttled(&mut self, retry_after: Option<Duration>, options: &ClientOptions) -> Pause {
        let waits = options.waits;
        let step = back_off(
            waits.throttle_first,
            waits.throttle_longest,
            self.throttled,
            options,
        );
        self.throttled += 1;
        everyone(retry_after.unwrap_or(step))
    }

    fn transient(&mut self, options: &ClientOptions) -> Pause {
        let waits = options.waits;
        let wait = back_off(
            waits.transient_first,
            waits.transient_longest,
            self.transient,
            options,
        );
        self.transient += 1;
        Pause {
            wait,
            ..Pause::default()
        }
    }

    fn bad(&mut self, options: &ClientOptions) -> Option<Pause> {
        self.bad += 1;
        (self.bad < BAD_TRIES).then(|| self.transient(options))
    }

    /// A token can end early, by revocation or by a new policy: one renewal, then the verdict stands.
    fn rejected(&mut self) -> Option<Pause> {
        let first = !self.renewed;
        self.renewed = true;
        first.then(|| Pause {
            renew_token: true,
            ..Pause::default()
        })
    }

    /// The token of a young consent may lack the app's object id for as long as it lives, hence the new one.
    fn identity(&mut self, options: &ClientOptions) -> Option<Pause> {
        self.identity += 1;
        let wait = options.waits.identity;
        (self.identity <= IDENTITY_TRIES).then_some(Pause {
            wait,
            everyone: false,
            renew_token: true,
        })
    }
}

fn everyone(wait: Duration) -> Pause {
    Pause {
        wait,
        everyone: true,
        renew_token: false,
    }
}

/// Doubles the first wait with each step. Jitter adds up to a quarter, so that it never shortens a wait.
fn back_off(first: Duration, longest: Duration, step: u32, options: &ClientOptions) -> Duration {
    let doubled = first
        .saturating_mul(2_u32.saturating_pow(step))
        .min(longest);
    let jitter = (options.jitter)().clamp(0.0, 1.0);
    doubled.mul_f64(1.0 + jitter / 4.0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::Answer;

    fn options() -> ClientOptions {
        ClientOptions {
            jitter: Arc::new(|| 0.0),
            ..ClientOptions::default()
        }
    }

    fn throttled(retry_after: Option<Duration>) -> GraphError {
        GraphError::Throttled {
            operation: "read",
            retry_after,
            answer: Box::default(),
        }
    }

    fn unavailable() -> GraphError {
        GraphError::Unavailable {
            operation: "read",
            retry_after: None,
            answer: Box::default(),
        }
    }

    /// Lives through an endless failure and returns all waits in seconds.
    async fn endure(error: &GraphError, options: &ClientOptions) -> Vec<u64> {
        let mut patience = Patience::default();
        let mut waits = Vec::new();
        while let Next::Again(pause) = patience.after(error, options) {
            waits.push(pause.wait.as_secs());
            tokio::time::sleep(pause.wait).await;
        }
        waits
    }

    #[tokio::test(start_paused = true)]
    async fn throttling_without_a_time_doubles_from_2_to_120_seconds() {
        let waits = endure(&throttled(None), &options()).await;
        assert_eq!(waits[..8], [2, 4, 8, 16, 32, 64, 120, 120]);
        assert!(waits.iter().sum::<u64>() <= 30 * 60);
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_endured_for_the_budget_and_no_longer() {
        let waits = endure(&unavailable(), &options()).await;
        assert_eq!(waits[..8], [1, 2, 4, 8, 16, 32, 60, 60]);
        let total = waits.iter().sum::<u64>();
        assert!((5 * 60..=30 * 60).contains(&total), "{total}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_named_time_is_obeyed_exactly_unless_it_is_too_long() {
        let mut patience = Patience::default();
        let next = patience.after(&throttled(Some(Duration::from_secs(7))), &options());
        assert_eq!(next, Next::Again(everyone(Duration::from_secs(7))));
        let next = patience.after(&throttled(Some(Duration::from_secs(901))), &options());
        assert_eq!(next, Next::GiveUp);
    }

    #[tokio::test(start_paused = true)]
    async fn nonsense_is_asked_for_three_times() {
        let error = GraphError::BadResponse {
            operation: "read",
            reason: "html",
            status: 200,
        };
        assert_eq!(endure(&error, &options()).await.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rejected_token_is_renewed_once() {
        let error = GraphError::AuthRejected {
            operation: "read",
            answer: Box::default(),
        };
        assert_eq!(endure(&error, &options()).await, [0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_young_consent_is_waited_for_in_six_steps() {
        let codes = vec!["authorization_identitynotfound".to_owned()];
        let answer = Box::new(Answer {
            codes,
            ..Answer::default()
        });
        let error = GraphError::Forbidden {
            operation: "read",
            answer,
        };
        assert_eq!(endure(&error, &options()).await, [15; 6]);
    }

    #[test]
    fn jitter_never_shortens_a_wait() {
        let hasty = ClientOptions {
            jitter: Arc::new(|| 0.999),
            ..ClientOptions::default()
        };
        let wait = back_off(Duration::from_secs(4), Duration::from_secs(60), 0, &hasty);
        assert!(wait > Duration::from_secs(4) && wait <= Duration::from_secs(5));
    }
}
