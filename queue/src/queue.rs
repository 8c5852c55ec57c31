//! The queue as its senders see it.

use std::fmt;
use std::time::Duration;

use lockstep_domain::{RunId, TestId};
use redis::Client;
use tokio::time::timeout;

use crate::backend::{BackendError, MemoryQueue, RedisQueue};
use crate::bus::Bus;
use crate::error::QueueError;
use crate::letter::{Letter, Wake};
use crate::link::{self, Link};

/// How long sending a wake-up may take: a mutation answers within a second even when Redis is down.
const SEND: Duration = Duration::from_millis(900);

/// How long a command of a sender may take; a little less, so that the connection learns of the silence before the
/// sender gives up, and opens itself again.
const QUICK: Duration = Duration::from_millis(800);

/// How long a command of a worker may take: ten times what a slow Redis takes.
const STEADY: Duration = Duration::from_secs(5);

/// Sends wake-ups, and knows the bus of the same kind. Clones are the same queue.
#[derive(Clone)]
pub struct Queue {
    pub(crate) backend: Backend,
    bus: Bus,
}

/// The queues of runs and of connection tests. They are two, so that an hour-long run never holds up a test.
#[derive(Clone)]
pub(crate) enum Backend {
    Memory {
        runs: MemoryQueue,
        tests: MemoryQueue,
    },
    Redis {
        runs: RedisQueue,
        tests: RedisQueue,
    },
}

impl Queue {
    /// Makes a queue that lives and dies with the process; its memory is not shared with another one.
    #[must_use]
    pub fn in_process() -> Self {
        let backend = Backend::Memory {
            runs: MemoryQueue::new(),
            tests: MemoryQueue::new(),
        };
        let bus = Bus::in_process();
        Self { backend, bus }
    }

    /// Connects to the queue at an address: `memory:` or `in-process:`, or `redis://…` or `rediss://…`.
    ///
    /// # Errors
    ///
    /// When the address is none of these, or Redis does not answer. The error names the setting and the remedy, and
    /// never repeats the address, which may hold a password.
    pub async fn connect(url: &str) -> Result<Self, QueueError> {
        match url.trim().split_once(':') {
            Some(("memory" | "in-process", "" | "//")) => Ok(Self::in_process()),
            Some(("redis", _)) => Self::over_redis(link::client(url.trim())?).await,
            Some(("rediss", _)) => {
                install_tls_provider();
                Self::over_redis(link::client(url.trim())?).await
            }
            _ => Err(QueueError::Address {
                reason: "it begins neither with memory: nor with redis:// or rediss://",
            }),
        }
    }

    async fn over_redis(client: Client) -> Result<Self, QueueError> {
        let quick = Link::new(client.clone(), QUICK);
        let steady = Link::new(client.clone(), STEADY);
        // The first that connects, so that its error tells what is wrong.
        let bus = Bus::over_redis(client, quick.clone()).await?;
        let backend = Backend::Redis {
            runs: RedisQueue::new("lockstep:runs", quick.clone(), steady.clone()),
            tests: RedisQueue::new("lockstep:tests", quick, steady),
        };
        Ok(Self { backend, bus })
    }

    /// Wakes a worker for a run.
    ///
    /// # Errors
    ///
    /// When the queue does not take it within a second. Nothing is lost then: the row is QUEUED, and the scheduler
    /// sends it again.
    pub async fn wake_run(&self, run: RunId) -> Result<(), QueueError> {
        self.wake("take a run", Wake::Run(run)).await
    }

    /// Wakes a worker for a connection test.
    ///
    /// # Errors
    ///
    /// When the queue does not take it within a second.
    pub async fn wake_test(&self, test: TestId) -> Result<(), QueueError> {
        self.wake("take a connection test", Wake::Test(test)).await
    }

    async fn wake(&self, operation: &'static str, wake: Wake) -> Result<(), QueueError> {
        let letter = Letter::from(wake);
        bounded(operation, async {
            match (&self.backend, wake) {
                (Backend::Memory { runs, .. }, Wake::Run(_)) => runs.push(letter),
                (Backend::Memory { tests, .. }, Wake::Test(_)) => tests.push(letter),
                (Backend::Redis { runs, .. }, Wake::Run(_)) => runs.push(letter).await,
                (Backend::Redis { tests, .. }, Wake::Test(_)) => tests.push(letter).await,
            }
        })
        .await
    }

    /// Tells whether wake-ups can be sent now. Redis is asked to write and not only to answer: with its memory full,
    /// or as a replica, it answers but takes nothing.
    ///
    /// # Errors
    ///
    /// When the queue is unavailable.
    pub async fn ping(&self) -> Result<(), QueueError> {
        let Backend::Redis { runs, .. } = &self.backend else {
            return Ok(());
        };
        bounded("answer", async {
            redis::cmd("SET")
                .arg("lockstep:ping")
                .arg(1)
                .arg("EX")
                .arg(60)
                .exec_async(&mut runs.quick.clone())
                .await
                .map_err(BackendError::from)
        })
        .await
    }

    /// Whether the queue lives in this process only, so that no other process can work for it.
    #[must_use]
    pub fn is_in_process(&self) -> bool {
        matches!(self.backend, Backend::Memory { .. })
    }

    /// Returns the bus that reaches as far as the queue does.
    #[must_use]
    pub fn bus(&self) -> Bus {
        self.bus.clone()
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("in_process", &self.is_in_process())
            .finish_non_exhaustive()
    }
}

async fn bounded(
    operation: &'static str,
    sending: impl Future<Output = Result<(), BackendError>>,
) -> Result<(), QueueError> {
    match timeout(SEND, sending).await {
        Ok(sent) => sent.map_err(|source| QueueError::Unavailable { operation, source }),
        Err(_) => Err(QueueError::TimedOut {
            operation,
            after: SEND,
        }),
    }
}

/// Chooses the TLS implementation when the process has not yet done so: without one the `redis` crate panics.
fn install_tls_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Fails only when another thread was faster, which serves as well.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    }
}
