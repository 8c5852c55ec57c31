//! Waiting for a condition, with a deadline.

use std::{
    future::Future,
    time::{Duration, Instant},
};

/// How often a condition is looked at.
const PAUSE: Duration = Duration::from_millis(20);

/// How long to wait for what normally takes a second or two. Generous, because a busy machine that
/// compiles beside the tests is the normal case.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Calls `probe` until it returns something, and returns that; `None` after `within`.
///
/// Blocks the thread. In async code use [`eventually`].
pub fn until<T>(within: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = probe() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        pause();
    }
}

/// Awaits `probe` again and again until it returns something, and returns that.
///
/// # Panics
///
/// Panics after `within`, naming `what` was waited for.
pub async fn eventually<T, F>(what: &str, within: Duration, mut probe: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let polling = async {
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            tokio::time::sleep(PAUSE).await;
        }
    };
    match tokio::time::timeout(within, polling).await {
        Ok(found) => found,
        Err(_) => panic!("{what} did not happen within {within:?}"),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that polls; the deadline bounds it"
)]
fn pause() {
    std::thread::sleep(PAUSE);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn until_returns_what_the_probe_finds() {
        let mut calls = 0;
        let found = until(PATIENCE, || {
            calls += 1;
            (calls == 3).then_some(calls)
        });
        assert_eq!(found, Some(3));
    }

    #[test]
    fn until_gives_up_after_the_deadline() {
        assert_eq!(until(Duration::ZERO, || None::<()>), None);
    }

    #[tokio::test]
    #[should_panic(expected = "the moon did not happen within 1ms")]
    async fn eventually_names_what_did_not_happen() {
        eventually("the moon", Duration::from_millis(1), || async {
            None::<()>
        })
        .await;
    }
}
