//! Working for the queue: two workers that are started again whenever they fail.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use lockstep_domain::{RunId, TestId};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::backend::{BackendError, MemoryQueue, RedisQueue, Terms};
use crate::desk::Desk;
use crate::error::QueueError;
use crate::housekeeping;
use crate::queue::{Backend, Queue};

/// Least time between two starts of a worker, so that one that had worked for a while is replaced at once. Short
/// beside the 15 seconds in which work must go on after a restart of Redis, long beside what a failing start takes.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// Time between two looks after the posted jobs, and rounds between two sweeps of the done ones.
const HOUSEKEEPING: (Duration, usize) = (Duration::from_secs(1), 30);

/// What is done with a wake-up. It cannot fail: attempts and pauses between them are columns of the rows.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Looks at a run: claims it, if there is anything to do, and carries it out.
    async fn run(&self, run: RunId);
    /// Looks at a connection test: claims it, if there is anything to do, and carries it out.
    async fn test(&self, test: TestId);
}

/// How [`work`] works.
#[derive(Debug, Clone)]
pub struct WorkOptions {
    /// Name of this worker for those who look into Redis, for instance the name of the machine. The process and a
    /// random number are added, because apalis takes a returning name for a worker that is still alive.
    pub name: String,
    /// Runs at the same time.
    pub run_concurrency: usize,
    /// Connection tests at the same time.
    pub test_concurrency: usize,
    /// Pause between two looks into an empty queue: how late a wake-up may come. 200 ms is a good choice.
    pub poll: Duration,
    /// Time between two signs of life, at least a second; after three missed ones the wake-ups of a worker go to
    /// others. 10 s is a good choice.
    pub heartbeat: Duration,
    /// How long handlers may go on after the shutdown began.
    pub grace: Duration,
}

/// Works until `shutdown` is cancelled: takes wake-ups from the queue and gives them to the handler.
///
/// A panic of the handler ends only the job it happened in. A failure of Redis ends no handler: the workers are
/// started again, under a new name, until they succeed. At the shutdown no more wake-ups are taken and the handlers
/// that run are waited for, up to the grace time; they must hear of the shutdown by a token of their own. Those that
/// are still running then are dropped, as they are when this future is dropped.
///
/// Wake-ups may come twice, late, or not at all, and none is repeated because its handler did not do its work.
///
/// # Errors
///
/// When the workers ended although `shutdown` was not cancelled; the process should then be restarted.
pub async fn work(
    queue: &Queue,
    handler: Arc<dyn Handler>,
    options: WorkOptions,
    shutdown: CancellationToken,
) -> Result<(), QueueError> {
    let over = CancellationToken::new();
    let _ends_the_bodies = over.clone().drop_guard();
    let bodies = TaskTracker::new();
    let mut loops = JoinSet::new();
    for (source, slots) in sources(queue, &options) {
        let desk = Desk::new(Arc::clone(&handler), slots, bodies.clone(), over.clone());
        let lane = Lane::new(source, slots, desk, &options, &shutdown);
        loops.spawn(Arc::clone(&lane).keep_house());
        loops.spawn(lane.keep_running());
    }
    tokio::select! {
        biased;
        () = shutdown.cancelled() => {}
        _ = loops.join_next() => return Err(QueueError::WorkersEnded),
    }
    bodies.close();
    let drained = timeout(options.grace, async {
        while loops.join_next().await.is_some() {}
        bodies.wait().await;
    });
    if drained.await.is_err() {
        tracing::warn!(
            handlers = bodies.len(),
            "The grace time is over; what still runs is dropped and taken up again when its lease ends"
        );
    }
    Ok(())
}

fn sources(queue: &Queue, options: &WorkOptions) -> [(Source, usize); 2] {
    let (runs, tests) = match &queue.backend {
        Backend::Memory { runs, tests } => {
            (Source::Memory(runs.clone()), Source::Memory(tests.clone()))
        }
        Backend::Redis { runs, tests } => {
            (Source::Redis(runs.clone()), Source::Redis(tests.clone()))
        }
    };
    [
        (runs, options.run_concurrency),
        (tests, options.test_concurrency),
    ]
}

/// Where wake-ups come from.
enum Source {
    Memory(MemoryQueue),
    Redis(RedisQueue),
}

/// One queue and the worker that serves it.
struct Lane {
    source: Source,
    desk: Arc<Desk>,
    options: WorkOptions,
    slots: usize,
    stop: CancellationToken,
    /// Name of the present worker; a new one for each.
    name: Mutex<String>,
}

impl Lane {
    fn new(
        source: Source,
        slots: usize,
        desk: Arc<Desk>,
        options: &WorkOptions,
        stop: &CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            source,
            desk,
            options: options.clone(),
            slots,
            stop: stop.clone(),
            name: Mutex::default(),
        })
    }

    /// Runs one worker after the other until the shutdown.
    async fn keep_running(self: Arc<Self>) {
        while !self.stop.is_cancelled() {
            let name = self.new_name();
            let next_start = Instant::now() + RESTART_PAUSE;
            match self.run_one(&name).await {
                Ok(()) if self.stop.is_cancelled() => {}
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(error, worker = name, "A worker failed and is started again");
                    self.pause_until(next_start).await;
                }
            }
            self.clear_away(&name).await;
        }
    }

    /// Runs a worker to its end; a panic of apalis is an error like any other.
    async fn run_one(&self, name: &str) -> Result<(), BackendError> {
        let terms = Terms {
            name,
            slots: self.slots,
            poll: self.options.poll,
            heartbeat: self.options.heartbeat,
            stop: &self.stop,
        };
        let running = AssertUnwindSafe(async {
            match &self.source {
                Source::Memory(queue) => queue.run(&terms, &self.desk).await?,
                Source::Redis(queue) => {
                    housekeeping::promote(queue).await?;
                    queue.run(&terms, &self.desk).await?;
                }
            }
            Ok(())
        });
        running
            .catch_unwind()
            .await
            .unwrap_or_else(|_| Err("the worker panicked".into()))
    }

    /// Gives back what a worker held, and waits until that is possible: there is no use in starting the next one
    /// before Redis answers.
    async fn clear_away(&self, name: &str) {
        let Source::Redis(queue) = &self.source else {
            return;
        };
        while let Err(error) = housekeeping::give_back(queue, name).await {
            if self.stop.is_cancelled() {
                return;
            }
            tracing::warn!(%error, "Redis is not available to the worker");
            self.pause_until(Instant::now() + RESTART_PAUSE).await;
        }
    }

    /// Keeps the queue tidy until the shutdown.
    async fn keep_house(self: Arc<Self>) {
        let (pause, rounds) = HOUSEKEEPING;
        for round in 0_usize.. {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            if let Err(error) = self.tidy_up(round % rounds == 0).await {
                tracing::debug!(%error, "The queue could not be tidied up");
            }
        }
    }

    async fn tidy_up(&self, thoroughly: bool) -> redis::RedisResult<()> {
        let Source::Redis(queue) = &self.source else {
            return Ok(());
        };
        housekeeping::promote(queue).await?;
        housekeeping::keep_description(queue, &self.name()).await?;
        if thoroughly {
            housekeeping::sweep(queue).await?;
        }
        Ok(())
    }

    /// Waits, but not beyond the shutdown.
    async fn pause_until(&self, end: Instant) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep_until(end) => {}
        }
    }

    fn new_name(&self) -> String {
        let process = std::process::id();
        let name = format!("{}-{process}-{}", self.options.name, Uuid::new_v4());
        let mut current = self.name.lock().unwrap_or_else(PoisonError::into_inner);
        current.clone_from(&name);
        name
    }

    fn name(&self) -> String {
        self.name
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
