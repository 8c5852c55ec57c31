//! The scheduler: wakes what waits, starts what is due. In every worker, harmless in parallel.

use std::collections::HashMap;
use std::future::Future;
use std::time::Duration;

use lockstep_domain::{RunId, TestId};
use lockstep_queue::Queue;
use lockstep_store::{Store, StoreError};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use uuid::Uuid;

use crate::Timing;
use crate::worker::span;

/// What is looked at less often is looked at once in so many ticks.
const SELDOM: u64 = 30;

/// How long what was sent to the queue is given before it is sent once more. While every worker is busy it waits there,
/// and sending it every tick would only let the queue grow.
const SEND_AGAIN: Duration = Duration::from_secs(30);

/// Looks at the database every tick until it is told to stop.
pub async fn schedule(store: Store, queue: Queue, timing: Timing, stopping: CancellationToken) {
    let mut scheduler = Scheduler {
        store,
        queue,
        timing,
        sent: HashMap::new(),
    };
    let mut ticks = interval(timing.tick.max(Duration::from_millis(10)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for tick in 0_u64.. {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stopping.cancelled() => return,
        }
        scheduler.round(tick).await;
    }
}

struct Scheduler {
    store: Store,
    queue: Queue,
    timing: Timing,
    sent: HashMap<Uuid, Instant>,
}

impl Scheduler {
    /// One look. A part that fails does not keep the others from being done.
    async fn round(&mut self, tick: u64) {
        let silence = span(self.timing.silence);
        self.sent.retain(|_, at| at.elapsed() < SEND_AGAIN);
        for run in attempt("start due runs", self.store.start_due_runs()).await {
            self.wake_run(run).await;
        }
        for run in attempt("look for waiting runs", self.store.runs_to_wake(silence)).await {
            self.wake_run(run).await;
        }
        for test in attempt("look for waiting tests", self.store.tests_to_wake(silence)).await {
            self.wake_test(test).await;
        }
        if tick.is_multiple_of(SELDOM) {
            attempt("end old holds", self.store.expire_holds()).await;
            attempt("forget old reads", self.store.forget_old_reads()).await;
            attempt("forget old keys", self.store.forget_old_keys()).await;
        }
    }

    async fn wake_run(&mut self, run: RunId) {
        if self.sent.contains_key(&run.0) {
            return;
        }
        match self.queue.wake_run(run).await {
            Ok(()) => drop(self.sent.insert(run.0, Instant::now())),
            Err(error) => {
                warn!(run.id = %run, error = %error, "A run could not be sent to the queue; it is sent again")
            }
        }
    }

    async fn wake_test(&mut self, test: TestId) {
        if self.sent.contains_key(&test.0) {
            return;
        }
        match self.queue.wake_test(test).await {
            Ok(()) => drop(self.sent.insert(test.0, Instant::now())),
            Err(error) => {
                warn!(test.id = %test, error = %error, "A test could not be sent to the queue; it is sent again")
            }
        }
    }
}

async fn attempt<T: Default>(doing: &str, work: impl Future<Output = Result<T, StoreError>>) -> T {
    work.await.unwrap_or_else(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        warn!(error = %error, cause, "The scheduler could not {doing}");
        T::default()
    })
}
