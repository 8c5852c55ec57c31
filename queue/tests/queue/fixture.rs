//! A Redis server for one test, and a handler that tells what it was given.

use std::io::ErrorKind;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lockstep_domain::{RunId, TestId};
use lockstep_queue::{Handler, Queue, QueueError, WorkOptions, work};
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Bound of every wait: far more than anything takes, so that only a fault reaches it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A Redis server that lives as long as the value, and can be stopped and started on the same port.
pub(crate) struct Redis {
    port: u16,
    child: Option<Child>,
}

impl Redis {
    /// Starts a server on a free port.
    pub(crate) async fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|socket| socket.local_addr())
            .unwrap()
            .port();
        let mut redis = Self { port, child: None };
        redis.start_again().await;
        redis
    }

    pub(crate) async fn start_again(&mut self) {
        let port = self.port.to_string();
        let started = Command::new("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn();
        self.child = Some(match started {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                panic!("these tests need redis-server: apt-get install redis-server")
            }
            started => started.unwrap(),
        });
        let client = redis::Client::open(self.url()).unwrap();
        until(async || client.get_multiplexed_async_connection().await.is_ok()).await;
    }

    /// Kills the server; what it held is gone.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Sends a signal of the operating system to the server.
    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status();
        assert!(sent.unwrap().success());
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) async fn queue(&self) -> Queue {
        Queue::connect(&self.url()).await.unwrap()
    }

    /// Runs a command.
    pub(crate) async fn ask<T: redis::FromRedisValue>(&self, command: &[&str]) -> T {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let mut asked = redis::cmd(command[0]);
        asked.arg(&command[1..]);
        asked.query_async(&mut connection).await.unwrap()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Waits until the condition holds.
pub(crate) async fn until(mut condition: impl AsyncFnMut() -> bool) {
    timeout(PATIENCE, async {
        while !condition().await {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("the condition does not come about");
}

/// What the handler was given.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub(crate) enum Given {
    Run(RunId),
    Test(TestId),
    Ended(RunId),
}

/// Tells what it is given; a run ends only when it is let go.
pub(crate) struct Recorder {
    told: mpsc::UnboundedSender<Given>,
    heard: Mutex<mpsc::UnboundedReceiver<Given>>,
    go: Semaphore,
    poison: Option<RunId>,
}

impl Recorder {
    fn make(go: usize, poison: Option<RunId>) -> Arc<Self> {
        let (told, heard) = mpsc::unbounded_channel();
        Arc::new(Self {
            told,
            heard: Mutex::new(heard),
            go: Semaphore::new(go),
            poison,
        })
    }

    /// Runs end at once.
    pub(crate) fn free() -> Arc<Self> {
        Self::make(1_000_000, None)
    }

    /// Runs wait to be let go.
    pub(crate) fn holding() -> Arc<Self> {
        Self::make(0, None)
    }

    /// Panics at this run.
    pub(crate) fn panicking_at(run: RunId) -> Arc<Self> {
        Self::make(1_000_000, Some(run))
    }

    pub(crate) fn let_go(&self, runs: usize) {
        self.go.add_permits(runs);
    }

    pub(crate) async fn next(&self) -> Given {
        timeout(PATIENCE, self.heard.lock().await.recv())
            .await
            .expect("nothing was handed over")
            .expect("the recorder lives")
    }

    /// Waits for one event, whatever comes before.
    pub(crate) async fn hears(&self, expected: Given) {
        while self.next().await != expected {}
    }
}

#[async_trait]
impl Handler for Recorder {
    async fn run(&self, run: RunId) {
        let _ = self.told.send(Given::Run(run));
        assert_ne!(self.poison, Some(run), "this run is poison");
        self.go.acquire().await.unwrap().forget();
        let _ = self.told.send(Given::Ended(run));
    }

    async fn test(&self, test: TestId) {
        let _ = self.told.send(Given::Test(test));
    }
}

/// A worker in the background.
pub(crate) struct Worker {
    pub(crate) shutdown: CancellationToken,
    pub(crate) ended: JoinHandle<Result<(), QueueError>>,
}

impl Worker {
    /// Starts a worker with a quick heartbeat.
    pub(crate) fn start(queue: &Queue, handler: &Arc<Recorder>, runs: usize) -> Self {
        let shutdown = CancellationToken::new();
        let options = WorkOptions {
            name: "test".to_owned(),
            run_concurrency: runs,
            test_concurrency: 1,
            poll: Duration::from_millis(50),
            heartbeat: Duration::from_secs(1),
            grace: Duration::from_secs(20),
        };
        let (queue, token) = (queue.clone(), shutdown.clone());
        let handler: Arc<dyn Handler> = handler.clone();
        let ended = tokio::spawn(async move { work(&queue, handler, options, token).await });
        Self { shutdown, ended }
    }

    /// Shuts down and waits for the end.
    pub(crate) async fn stop(self) -> Result<(), QueueError> {
        self.shutdown.cancel();
        timeout(PATIENCE, self.ended).await.unwrap().unwrap()
    }

    /// Drops the worker in the middle of what it does, like a process that is killed.
    pub(crate) async fn kill(self) {
        self.ended.abort();
        assert!(self.ended.await.unwrap_err().is_cancelled());
    }
}

pub(crate) fn run_id() -> RunId {
    RunId(Uuid::new_v4())
}

pub(crate) fn test_id() -> TestId {
    TestId(Uuid::new_v4())
}
