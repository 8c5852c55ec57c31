//! A connection to Redis that opens itself again.
//!
//! The `ConnectionManager` of the `redis` crate keeps a connection on which an answer did not come in time, so that
//! a half-open connection stays until the kernel gives it up. A [`Link`] drops it at once and opens a new one for
//! the next command.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{
    AsyncConnectionConfig, Client, Cmd, IntoConnectionInfo, Pipeline, RedisError, RedisFuture,
    RedisResult, Value,
};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::error::QueueError;

/// How long the kernel may take to notice that nobody is at the other end of an idle connection; together with one
/// missing answer this stays below the 15 seconds in which a half-open connection must be found.
const SILENCE: Duration = Duration::from_secs(5);

/// First and longest pause between two attempts to reach Redis.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Reads the address of a Redis server; does not connect.
pub(crate) fn client(url: &str) -> Result<Client, QueueError> {
    let malformed = |_| QueueError::Address {
        reason: "it does not parse as a Redis URL",
    };
    let info = url.into_connection_info().map_err(malformed)?;
    let keepalive = TcpKeepalive::new()
        .with_time(SILENCE)
        .with_interval(Duration::from_secs(1));
    let tcp = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(keepalive);
    #[cfg(target_os = "linux")]
    let tcp = tcp.set_user_timeout(SILENCE);
    Client::open(info.set_tcp_settings(tcp)).map_err(malformed)
}

/// A shared connection to Redis: one socket for all clones, opened with the first command.
#[derive(Clone)]
pub(crate) struct Link(Arc<Shared>);

struct Shared {
    client: Client,
    config: AsyncConnectionConfig,
    live: Mutex<Live>,
}

/// The present connection. The generation tells late bearers of bad news that theirs is already known.
#[derive(Default)]
struct Live {
    generation: u64,
    connection: Option<MultiplexedConnection>,
}

/// Why a command failed: whether Redis may have carried it out.
enum Failure {
    /// It never left, or was refused for now.
    NotDone(RedisError),
    /// The connection or the answer was lost, or the command was wrong.
    Unknown(RedisError),
}

impl Failure {
    fn into_error(self) -> RedisError {
        match self {
            Self::NotDone(error) | Self::Unknown(error) => error,
        }
    }
}

impl Link {
    /// Makes a link whose attempts to connect and whose commands each take `patience` at most.
    pub(crate) fn new(client: Client, patience: Duration) -> Self {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(patience))
            .set_response_timeout(Some(patience));
        let live = Mutex::default();
        Self(Arc::new(Shared {
            client,
            config,
            live,
        }))
    }

    async fn connection(&self) -> Result<(u64, MultiplexedConnection), Failure> {
        let mut live = self.0.live.lock().await;
        if let Some(connection) = &live.connection {
            return Ok((live.generation, connection.clone()));
        }
        let Shared { client, config, .. } = &*self.0;
        let connection = client
            .get_multiplexed_async_connection_with_config(config)
            .await
            .map_err(Failure::NotDone)?;
        live.generation += 1;
        live.connection = Some(connection.clone());
        Ok((live.generation, connection))
    }

    /// Sorts a failure, and drops the connection when it is no good any more.
    async fn judge(&self, generation: u64, error: RedisError) -> Failure {
        let refused = matches!(
            error.code(),
            Some("LOADING" | "READONLY" | "MASTERDOWN" | "TRYAGAIN")
        );
        // A demoted master answers READONLY for ever on this connection; a new one may find its successor.
        if refused || error.is_io_error() || error.is_unrecoverable_error() {
            let mut live = self.0.live.lock().await;
            if live.generation == generation {
                live.connection = None;
            }
        }
        if refused {
            Failure::NotDone(error)
        } else {
            Failure::Unknown(error)
        }
    }

    async fn one(&self, command: &Cmd) -> Result<Value, Failure> {
        let (generation, mut connection) = self.connection().await?;
        match connection.send_packed_command(command).await {
            Ok(value) => Ok(value),
            Err(error) => Err(self.judge(generation, error).await),
        }
    }

    async fn many(
        &self,
        commands: &Pipeline,
        offset: usize,
        count: usize,
    ) -> Result<Vec<Value>, Failure> {
        let (generation, mut connection) = self.connection().await?;
        match connection
            .send_packed_commands(commands, offset, count)
            .await
        {
            Ok(values) => Ok(values),
            Err(error) => Err(self.judge(generation, error).await),
        }
    }

    fn database(&self) -> i64 {
        self.0.client.get_connection_info().redis_settings().db()
    }
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move { self.one(command).await.map_err(Failure::into_error) })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            let answers = self.many(commands, offset, count).await;
            answers.map_err(Failure::into_error)
        })
    }

    fn get_db(&self) -> i64 {
        self.database()
    }
}

/// The connection of a worker: while Redis cannot be reached it waits instead of failing, because any error ends an
/// apalis worker.
///
/// Only commands that were certainly not carried out are sent again. Had the answer to "give me the next job" been
/// lost, asking again would leave the first job in the hands of a living worker, where no orphan sweep looks; the
/// error ends the worker instead, and what it held is given back before the next one starts.
#[derive(Clone)]
pub(crate) struct PatientLink {
    link: Link,
    patience: Duration,
}

impl PatientLink {
    /// Makes a connection that waits for `patience`, which must be shorter than the time after which a silent
    /// worker counts as dead.
    pub(crate) fn new(link: Link, patience: Duration) -> Self {
        Self { link, patience }
    }

    async fn one(&self, command: &Cmd) -> RedisResult<Value> {
        let mut wait = Wait::until(self.patience);
        loop {
            match self.link.one(command).await {
                Err(Failure::NotDone(_)) if wait.again().await => {}
                answer => return answer.map_err(Failure::into_error),
            }
        }
    }

    async fn many(&self, commands: &Pipeline, from: usize, n: usize) -> RedisResult<Vec<Value>> {
        let mut wait = Wait::until(self.patience);
        loop {
            match self.link.many(commands, from, n).await {
                Err(Failure::NotDone(_)) if wait.again().await => {}
                answer => return answer.map_err(Failure::into_error),
            }
        }
    }
}

impl ConnectionLike for PatientLink {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move { self.one(command).await })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move { self.many(commands, offset, count).await })
    }

    fn get_db(&self) -> i64 {
        self.link.database()
    }
}

/// Growing pauses up to a deadline.
pub(crate) struct Wait {
    pause: Duration,
    deadline: Option<Instant>,
}

impl Wait {
    /// Pauses that end after `patience`.
    fn until(patience: Duration) -> Self {
        let deadline = Some(Instant::now() + patience);
        Self {
            pause: PAUSE.0,
            deadline,
        }
    }

    /// Pauses without an end.
    pub(crate) fn for_ever() -> Self {
        Self {
            pause: PAUSE.0,
            deadline: None,
        }
    }

    /// Pauses, or returns false when the deadline would pass.
    pub(crate) async fn again(&mut self) -> bool {
        if self
            .deadline
            .is_some_and(|deadline| Instant::now() + self.pause > deadline)
        {
            return false;
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE.1);
        true
    }
}
