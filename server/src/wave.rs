//! Waves: when the statements of data loaders run.
//!
//! A loader that waited for a time would cut a page of answers wherever the clock happens to stand. Here a wave begins
//! when nothing of the operation can go on without it, and the next one when all of it is there: what the fields of a
//! page ask for is one statement a kind, however many fields there are and however busy the machine is.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use async_graphql::Response;
use async_graphql::async_trait::async_trait;
use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextExecute};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::task::AtomicWaker;
use tokio::task::yield_now;

tokio::task_local! {
    /// Loads that wait for the next wave of the operation that runs.
    static WAITING: Waiting;
    /// Items that lists which are not pages gave so far in this answer.
    static UNPAGED: AtomicUsize;
}

type Load = BoxFuture<'static, ()>;

#[derive(Clone, Default)]
struct Waiting(Arc<Mutex<Vec<Load>>>);

impl Waiting {
    fn push(&self, load: Load) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(load);
    }

    fn is_empty(&self) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }

    fn take(&self) -> Vec<Load> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Has a load run with the next wave. Outside of an operation, as where a subscription begins, it runs at once.
pub(crate) fn join(load: Load) {
    match WAITING.try_with(Waiting::clone) {
        Ok(waiting) => waiting.push(load),
        Err(_) => drop(tokio::spawn(load)),
    }
}

/// Counts items that a list which is not a page is about to give, and returns how many there are in the answer with them.
pub(crate) fn count_unpaged(items: usize) -> usize {
    let counted = UNPAGED.try_with(|count| count.fetch_add(items, Ordering::Relaxed));
    counted.unwrap_or_default().saturating_add(items)
}

/// Tells whether an operation was woken, and wakes the task around it.
#[derive(Default)]
struct Bell {
    has_rung: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.has_rung.store(true, Ordering::Release);
        self.task.wake();
    }
}

/// Runs an operation, and its loads in waves.
async fn run<T>(operation: impl Future<Output = T>) -> T {
    let waiting = Waiting::default();
    let operation = UNPAGED.scope(AtomicUsize::new(0), operation);
    let mut operation = pin!(WAITING.scope(waiting.clone(), operation));
    let mut wave: FuturesUnordered<Load> = FuturesUnordered::new();
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let mut turn = None;
    poll_fn(move |cx| {
        bell.task.register(cx.waker());
        loop {
            if bell.has_rung.swap(false, Ordering::AcqRel) {
                turn = None;
            }
            if let Poll::Ready(answer) = operation.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Poll::Ready(answer);
            }
            let mut has_more = false;
            while let Poll::Ready(Some(())) = wave.poll_next_unpin(cx) {
                has_more = true;
            }
            if has_more {
                continue;
            }
            if !wave.is_empty() || waiting.is_empty() || bell.has_rung.load(Ordering::Acquire) {
                return Poll::Pending;
            }
            // An operation of many fields lets others have a turn before it has come to all of them. One turn later it
            // has been woken, if that was why it stopped.
            let turn_of_others = turn.get_or_insert_with(|| Box::pin(yield_now()));
            if turn_of_others.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            turn = None;
            wave.extend(waiting.take());
        }
    })
    .await
}

/// Runs every operation of a schema, and each answer of a subscription, in waves.
pub(crate) struct Waves;

impl ExtensionFactory for Waves {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_trait]
impl Extension for Waves {
    async fn execute(
        &self,
        ctx: &ExtensionContext<'_>,
        operation_name: Option<&str>,
        next: NextExecute<'_>,
    ) -> Response {
        run(next.run(ctx, operation_name)).await
    }
}

#[cfg(test)]
mod tests {
    use futures::channel::oneshot;
    use futures::future::{join, join_all};

    use super::{Arc, Mutex, count_unpaged, run, yield_now};

    /// Joins a load that notes its name and then answers.
    async fn load(log: &Arc<Mutex<Vec<&'static str>>>, name: &'static str) {
        let (answer, answered) = oneshot::channel();
        let log = Arc::clone(log);
        super::join(Box::pin(async move {
            yield_now().await;
            log.lock().unwrap().push(name);
            _ = answer.send(());
        }));
        answered.await.unwrap();
    }

    #[tokio::test]
    async fn a_wave_begins_when_the_one_before_is_there() {
        let log = Arc::new(Mutex::new(Vec::new()));
        let fields = (0..2).map(|_| async {
            load(&log, "first").await;
            load(&log, "then").await;
        });
        run(join_all(fields)).await;
        assert_eq!(*log.lock().unwrap(), ["first", "first", "then", "then"]);
    }

    #[tokio::test]
    async fn an_operation_that_lets_others_have_a_turn_is_waited_for() {
        let log = Arc::new(Mutex::new(Vec::new()));
        let early = load(&log, "load");
        let late = async {
            for _ in 0..3 {
                yield_now().await;
                log.lock().unwrap().push("turn");
            }
            load(&log, "load").await;
        };
        run(join(early, late)).await;
        assert_eq!(
            *log.lock().unwrap(),
            ["turn", "turn", "turn", "load", "load"]
        );
    }

    #[tokio::test]
    async fn items_of_lists_that_are_no_pages_are_counted_for_each_answer() {
        for _ in 0..2 {
            let counted = run(async { (count_unpaged(3), count_unpaged(2)) });
            assert_eq!(counted.await, (3, 5));
        }
    }

    #[tokio::test]
    async fn outside_of_an_operation_a_load_runs_at_once() {
        let log = Arc::new(Mutex::new(Vec::new()));
        load(&log, "alone").await;
        assert_eq!(*log.lock().unwrap(), ["alone"]);
    }
}
