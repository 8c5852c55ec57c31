//! The scheduler: wakes what waits, starts what is due. In every worker, harmless in parallel.

use std::time::Duration;

use lockstep_queue::Queue;
use lockstep_store::{Store, StoreError};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::Timing;
use crate::worker::span;

/// Holds are looked through once in so many ticks.
const HOLDS_EVERY: u64 = 30;

/// Looks at the database every tick until it is told to stop.
pub async fn schedule(store: Store, queue: Queue, timing: Timing, stopping: CancellationToken) {
    let mut ticks = interval(timing.tick.max(Duration::from_millis(10)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for tick in 0_u64.. {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stopping.cancelled() => return,
        }
        if let Err(error) = round(&store, &queue, timing, tick).await {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            warn!(error = %error, cause, "The scheduler could not look at the database");
        }
    }
}

async fn round(store: &Store, queue: &Queue, timing: Timing, tick: u64) -> Result<(), StoreError> {
    let silence = span(timing.silence);
    let started = store.start_due_runs().await?;
    let waiting = store.runs_to_wake(silence).await?;
    for run in started.into_iter().chain(waiting) {
        if let Err(error) = queue.wake_run(run).await {
            warn!(run.id = %run, error = %error, "A run could not be sent to the queue; it is sent again");
        }
    }
    for test in store.tests_to_wake(silence).await? {
        if let Err(error) = queue.wake_test(test).await {
            warn!(test.id = %test, error = %error, "A test could not be sent to the queue; it is sent again");
        }
    }
    if tick.is_multiple_of(HOLDS_EVERY) {
        store.expire_holds().await?;
    }
    Ok(())
}
