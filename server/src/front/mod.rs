//! The serve loop: who gets a connection, how long they may take, and what happens when there are no more.
//!
//! axum's own loop waits for ever for a request that does not come and takes as many connections as there are files.
//! Here a connection has a [`seat`](seat::Seats) from its first to its last byte, sockets included; when all are taken,
//! the connection that has waited longest without a request gives its seat up, so that idle peers keep nobody out.

mod connection;
mod seat;
#[cfg(test)]
mod tests;
mod wire;

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::warn;

use self::seat::Seats;

/// How long the loop waits after the machine refused a connection, most likely for want of files.
const BREATH: Duration = Duration::from_millis(100);

/// How much peers may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrontLimits {
    /// Connections at a time, sockets and streams included.
    pub connections: usize,
    /// Time for the head of a request, from the opening of the connection or from the first byte.
    pub head: Duration,
    /// Time between two requests of one connection. Proxies keep theirs for a minute; who closes first must not be us,
    /// or a request would be lost on its way.
    pub idle: Duration,
    /// How long a peer may take nothing of what is sent.
    pub stalled: Duration,
    /// Time for what has begun when the server stops. A peer that takes a little now and then never stalls. A little
    /// more than a request may take.
    pub last: Duration,
}

impl Default for FrontLimits {
    fn default() -> Self {
        Self {
            connections: 1_000,
            head: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            stalled: Duration::from_secs(30),
            last: Duration::from_secs(35),
        }
    }
}

/// Serves `router` until `stopping` and until the last request is answered, or [`FrontLimits::last`] is over.
///
/// Never ends by itself: when the machine refuses a connection, the loop frees one and tries again.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: FrontLimits,
    stopping: CancellationToken,
) {
    let connections = Connections::default();
    let accepting = accept(&listener, router, limits, &stopping, &connections);
    stopping.run_until_cancelled(accepting).await;
    drop(listener);
    connections.end(limits.last).await;
}

/// The connections that are open.
#[derive(Default)]
struct Connections {
    tasks: TaskTracker,
    cut: CancellationToken,
}

impl Connections {
    fn start(&self, connection: impl Future<Output = ()> + Send + 'static) {
        let cut = self.cut.clone();
        self.tasks.spawn(cut.run_until_cancelled_owned(connection));
    }

    /// Waits until all have ended, and after `last` cuts those that are left.
    async fn end(&self, last: Duration) {
        self.tasks.close();
        if timeout(last, self.tasks.wait()).await.is_err() {
            let left = self.tasks.len();
            warn!(connections = left, "Cut what was not answered in time");
            self.cut.cancel();
            self.tasks.wait().await;
        }
    }
}

async fn accept(
    listener: &TcpListener,
    router: Router,
    limits: FrontLimits,
    stopping: &CancellationToken,
    connections: &Connections,
) {
    let seats = Seats::new(limits.connections);
    let mut refused = Refusals::default();
    loop {
        let Some(stream) = refused.pass(listener.accept().await.map(|(stream, _)| stream)) else {
            if refused.is_short {
                seats.free_one();
                sleep(BREATH).await;
            }
            continue;
        };
        let seat = Arc::new(seats.take().await);
        // Small answers go out at once; where that cannot be had, they go out later.
        let _ = stream.set_nodelay(true);
        connections.start(connection::serve(
            stream,
            seat,
            router.clone(),
            limits,
            stopping.clone(),
        ));
    }
}

/// Tells refusals of the machine from those of a peer, and logs the first of a row.
#[derive(Default)]
struct Refusals {
    is_short: bool,
}

impl Refusals {
    /// Returns the connection, if there is one.
    fn pass(&mut self, accepted: io::Result<TcpStream>) -> Option<TcpStream> {
        match accepted {
            Ok(stream) => {
                self.is_short = false;
                Some(stream)
            }
            // A peer that has gone away is no reason to wait.
            Err(error) if is_the_peers(&error) => None,
            Err(error) => {
                if !std::mem::replace(&mut self.is_short, true) {
                    warn!(%error, "No connection can be taken; is the limit of open files too low?");
                }
                None
            }
        }
    }
}

fn is_the_peers(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused
    )
}
