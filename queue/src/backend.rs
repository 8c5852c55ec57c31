//! apalis: the backends and the worker loop. No other file of the product names a type of apalis, except for the
//! key names that `housekeeping.rs` asks of its configuration.
//!
//! The settings, and why: one job a fetch, because jobs in the buffer of apalis stop its heartbeat; our own poll,
//! because apalis does not poll by default and its own interval can sleep through; no events and no leases, because
//! nothing listens to the first and the second are a round trip that can only fail.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use apalis::prelude::{
    BackendExt, Codec, MemorySink, MemoryStorage, MemoryStorageError, PollSnapshot, PollStrategy,
    Task, TaskBuilder, TaskSink, WorkerBuilder, WorkerBuilderExt, WorkerContext, WorkerError,
};
use apalis_redis::{Config, RedisStorage};
use futures::channel::mpsc;
use futures::{SinkExt, StreamExt, lock::Mutex, stream};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

use crate::desk::Desk;
use crate::letter::Letter;
use crate::link::{Link, PatientLink};

/// The error of a backend, whichever it is.
pub(crate) type BackendError = Box<dyn std::error::Error + Send + Sync>;

/// Heartbeats that a worker may miss before its jobs are given to others.
const MISSED_HEARTBEATS: usize = 3;

/// How long a worker waits for Redis, in heartbeats: below [`MISSED_HEARTBEATS`], so that it knows of its own death
/// before the others do.
const PATIENCE_IN_HEARTBEATS: u32 = 2;

/// How a worker is run.
pub(crate) struct Terms<'a> {
    /// Name of the worker, never used before.
    pub(crate) name: &'a str,
    /// Jobs at the same time.
    pub(crate) slots: usize,
    /// Pause between two looks into an empty queue.
    pub(crate) poll: Duration,
    /// Time between two signs of life.
    pub(crate) heartbeat: Duration,
    /// Tells the worker to take no new job and to end when those in hand have ended.
    pub(crate) stop: &'a CancellationToken,
}

/// Builds a worker over any backend and runs it until it is told to stop, or until the backend fails. A macro and
/// not a function, because the bounds that a generic function would have to repeat are longer than the body.
macro_rules! run_worker {
    ($backend:expr, $terms:expr, $desk:expr) => {{
        let context = WorkerContext::new($terms.name);
        let desk = Arc::clone($desk);
        let worker = WorkerBuilder::new(&context)
            .backend($backend)
            .concurrency($terms.slots)
            .build(move |letter: Letter| {
                let desk = Arc::clone(&desk);
                async move { desk.deliver(letter).await }
            });
        let mut running = std::pin::pin!(worker.run());
        // Biased, because a worker can be stopped only after its first poll.
        tokio::select! {
            biased;
            ended = &mut running => ended,
            () = $terms.stop.cancelled() => match context.stop() {
                Ok(()) => running.await,
                Err(error) => Err(error),
            },
        }
    }};
}

/// A queue in the memory of the process: what is posted lies in a channel, from which one worker at a time reads.
#[derive(Clone)]
pub(crate) struct MemoryQueue {
    post: mpsc::UnboundedSender<Task<Letter>>,
    tray: Arc<Mutex<mpsc::UnboundedReceiver<Task<Letter>>>>,
}

impl MemoryQueue {
    /// Makes an empty queue.
    pub(crate) fn new() -> Self {
        let (post, tray) = mpsc::unbounded();
        let tray = Arc::new(Mutex::new(tray));
        Self { post, tray }
    }

    /// Posts a letter. Directly into the channel: `MemorySink` panics when two post at the same time.
    pub(crate) fn push(&self, letter: Letter) -> Result<(), BackendError> {
        let task = TaskBuilder::new(letter).build();
        self.post.unbounded_send(task).map_err(Into::into)
    }

    /// Makes a backend that ends without closing the channel, so that the next worker finds what is left.
    fn storage(&self) -> MemoryStorage<Letter> {
        let sink = self.post.clone().sink_map_err(MemoryStorageError::from);
        let tray = stream::unfold(Arc::clone(&self.tray), async |tray| {
            let letter = tray.lock().await.next().await?;
            Some((letter, tray))
        });
        let sink = MemorySink::new(Arc::new(Mutex::new(Box::new(sink))));
        MemoryStorage::new_with(sink, tray.boxed())
    }

    /// Runs a worker.
    pub(crate) async fn run(&self, terms: &Terms<'_>, desk: &Arc<Desk>) -> Result<(), WorkerError> {
        run_worker!(self.storage(), terms, desk)
    }
}

/// A queue in Redis.
#[derive(Clone)]
pub(crate) struct RedisQueue {
    name: &'static str,
    /// For posting: gives up quickly.
    pub(crate) quick: Link,
    /// For working: bears a slow Redis.
    pub(crate) steady: Link,
}

impl RedisQueue {
    /// Names a queue.
    pub(crate) fn new(name: &'static str, quick: Link, steady: Link) -> Self {
        Self {
            name,
            quick,
            steady,
        }
    }

    /// Returns the settings of apalis, which also know the names of its keys.
    pub(crate) fn config(&self) -> Config {
        Config::default()
            .queue(self.name)
            .batch_size(1)
            .missed_heartbeats(MISSED_HEARTBEATS)
            .lock_tasks(false)
            .emit_events(false)
    }

    /// Posts a letter.
    pub(crate) async fn push(&self, letter: Letter) -> Result<(), BackendError> {
        RedisStorage::<Letter, _>::new(self.quick.clone())
            .with_config(self.config())
            .with_codec(Sealed)
            .push(letter)
            .await
            .map_err(Into::into)
    }

    /// Runs a worker.
    pub(crate) async fn run(&self, terms: &Terms<'_>, desk: &Arc<Desk>) -> Result<(), WorkerError> {
        let patience = terms.heartbeat * PATIENCE_IN_HEARTBEATS;
        let link = PatientLink::new(self.steady.clone(), patience);
        let storage = RedisStorage::<Letter, _>::new(link)
            .with_config(self.config().heartbeat_interval(terms.heartbeat))
            .with_codec(Sealed)
            .poll_with_strategy(SteadyPoll::every(terms.poll));
        run_worker!(storage, terms, desk)
    }
}

/// Passes letters through unopened. The JSON codec of apalis would end the worker at the first letter it cannot
/// read, and again when that letter comes back.
#[derive(Debug, Clone, Copy)]
struct Sealed;

impl Codec<Letter> for Sealed {
    type Compact = Vec<u8>;
    type Error = Infallible;

    fn encode(&self, letter: &Letter) -> Result<Vec<u8>, Infallible> {
        Ok(letter.0.clone())
    }

    fn decode(&self, bytes: &Vec<u8>) -> Result<Letter, Infallible> {
        Ok(Letter(bytes.clone()))
    }
}

/// Wakes the worker at a fixed interval. The `IntervalStrategy` of apalis sets a new timer without polling it, so
/// that nothing wakes the worker before its next heartbeat.
struct SteadyPoll {
    every: Duration,
    sleep: Pin<Box<Sleep>>,
}

impl SteadyPoll {
    fn every(every: Duration) -> Self {
        let sleep = Box::pin(tokio::time::sleep(every));
        Self { every, sleep }
    }
}

impl PollStrategy for SteadyPoll {
    fn poll_drive(&mut self, context: &mut Context<'_>, _: &PollSnapshot) -> Poll<Option<()>> {
        let mut fired = false;
        // Until it is pending: only then is the waker registered.
        while self.sleep.as_mut().poll(context).is_ready() {
            fired = true;
            self.sleep.as_mut().reset(Instant::now() + self.every);
        }
        if fired {
            Poll::Ready(Some(()))
        } else {
            Poll::Pending
        }
    }
}
