//! The desk: where a letter is opened and its handler runs.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use lockstep_domain::{RunId, TestId};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::letter::{Letter, Wake};
use crate::work::Handler;

/// Runs the handlers of one queue. It outlives the apalis workers: when one of them fails, its jobs are dropped, but
/// the bodies go on here, and the next worker meets the same number of free slots.
pub(crate) struct Desk {
    handler: Arc<dyn Handler>,
    slots: Arc<Semaphore>,
    bodies: TaskTracker,
    /// Ends the bodies; cancelled when the work is over.
    over: CancellationToken,
}

impl Desk {
    /// Makes a desk at which `slots` handlers can run.
    pub(crate) fn new(
        handler: Arc<dyn Handler>,
        slots: usize,
        bodies: TaskTracker,
        over: CancellationToken,
    ) -> Arc<Self> {
        let slots = Arc::new(Semaphore::new(slots));
        Arc::new(Self {
            handler,
            slots,
            bodies,
            over,
        })
    }

    /// Runs the handler of a letter to its end. Dropping this future does not end the handler.
    pub(crate) async fn deliver(&self, letter: Letter) {
        let wake = match letter.open() {
            Ok(wake) => wake,
            Err(reason) => {
                tracing::warn!(%reason, "Dropped a wake-up that was not understood; the scheduler sends it again");
                return;
            }
        };
        // Fails only for a closed semaphore, and this one is never closed.
        let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else {
            return;
        };
        let (body, span) = self.body(wake);
        let over = self.over.clone();
        let guarded = async move {
            let _slot = slot;
            tokio::select! {
                () = over.cancelled() => tracing::warn!("The handler was dropped before it had ended"),
                ended = AssertUnwindSafe(body).catch_unwind() => if let Err(panic) = ended {
                    tracing::error!(panic = panic_text(&*panic), "The handler panicked");
                },
            }
        };
        // A task of its own, so that a long poll does not hold up the heartbeat of the worker.
        let _ = self.bodies.spawn(guarded.instrument(span)).await;
    }

    fn body(&self, wake: Wake) -> (BoxFuture<'static, ()>, tracing::Span) {
        let handler = Arc::clone(&self.handler);
        match wake {
            Wake::Run(id) => (
                Box::pin(run(handler, id)),
                tracing::info_span!("job", job.name = "run", run.id = %id),
            ),
            Wake::Test(id) => (
                Box::pin(test(handler, id)),
                tracing::info_span!("job", job.name = "test", test.id = %id),
            ),
        }
    }
}

async fn run(handler: Arc<dyn Handler>, id: RunId) {
    handler.run(id).await;
}

async fn test(handler: Arc<dyn Handler>, id: TestId) {
    handler.test(id).await;
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a text")
}
