//! The serve loop over real connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{FrontLimits, serve};
use crate::transport::{TransportOptions, toy};

/// How long to wait for what is to come at once; generous, because machines are busy.
const PATIENCE: Duration = Duration::from_secs(30);
/// Never, in a test.
const NEVER: Duration = Duration::from_secs(3_600);

const REQUEST: &[u8] = b"GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";

struct Front {
    address: SocketAddr,
    /// One permit lets one request of `/gate` go.
    gate: Arc<Semaphore>,
    /// One permit for each request that has come to `/gate`.
    reached: Arc<Semaphore>,
    stopping: CancellationToken,
    served: JoinHandle<()>,
}

impl Front {
    async fn open(limits: FrontLimits) -> Self {
        let (gate, reached) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (opened, came) = (Arc::clone(&gate), Arc::clone(&reached));
        let wait = || async move {
            came.add_permits(1);
            opened
                .acquire()
                .await
                .expect("a gate that is never closed")
                .forget();
            "gone"
        };
        let router = Router::new()
            .route("/hello", get(|| async { "world" }))
            .route("/gate", get(wait))
            .route("/large", get(|| async { "x".repeat(64 << 20) }))
            .merge(crate::transport::router(
                toy::schema(),
                Arc::new(toy::Door {
                    anonymous: true,
                    expires_at: None,
                }),
                TransportOptions::default(),
                CancellationToken::new(),
            ));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stopping = CancellationToken::new();
        let served = tokio::spawn(serve(listener, router, limits, stopping.clone()));
        Self {
            address,
            gate,
            reached,
            stopping,
            served,
        }
    }

    async fn connect(&self) -> Peer {
        Peer(TcpStream::connect(self.address).await.unwrap())
    }

    /// A connection whose request waits at the gate.
    async fn busy(&self) -> Peer {
        let mut peer = self.connect().await;
        peer.send(b"GET /gate HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let reached = timeout(PATIENCE, self.reached.acquire()).await;
        reached.expect("a request at the gate").unwrap().forget();
        peer
    }

    async fn end(self) {
        self.stopping.cancel();
        timeout(PATIENCE, self.served)
            .await
            .expect("an end")
            .unwrap();
    }
}

struct Peer(TcpStream);

impl Peer {
    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// Reads until `end` has come, or the connection is closed.
    async fn read(&mut self, end: &str) -> String {
        let mut read = Vec::new();
        let reading = async {
            while !String::from_utf8_lossy(&read).contains(end) {
                if !matches!(self.0.read_buf(&mut read).await, Ok(1..)) {
                    break;
                }
            }
        };
        timeout(PATIENCE, reading)
            .await
            .expect("an answer or an end");
        String::from_utf8(read).unwrap()
    }

    async fn says_hello(&mut self) {
        self.send(REQUEST).await;
        let answer = self.read("world").await;
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("world"),
            "{answer:?}"
        );
    }

    async fn is_closed(&mut self) {
        assert_eq!(self.read("HTTP").await, "");
    }
}

fn limits() -> FrontLimits {
    FrontLimits {
        connections: 4,
        head: NEVER,
        idle: NEVER,
        stalled: NEVER,
        last: NEVER,
    }
}

#[tokio::test]
async fn peer_whose_request_does_not_come_is_cut() {
    let front = Front::open(FrontLimits {
        head: Duration::from_millis(50),
        ..limits()
    })
    .await;
    front.connect().await.is_closed().await;
    let mut half = front.connect().await;
    half.send(&REQUEST[..20]).await;
    half.is_closed().await;
    // The second request of a connection is no different.
    let mut second = front.connect().await;
    second.says_hello().await;
    second.send(&REQUEST[..20]).await;
    second.is_closed().await;
    front.end().await;
}

#[tokio::test]
async fn idle_connection_is_cut_and_a_busy_one_is_not() {
    let front = Front::open(FrontLimits {
        idle: Duration::from_millis(50),
        ..limits()
    })
    .await;
    let mut busy = front.busy().await;
    let mut idle = front.connect().await;
    idle.says_hello().await;
    idle.is_closed().await;
    front.gate.add_permits(1);
    assert!(busy.read("gone").await.ends_with("gone"));
    front.end().await;
}

#[tokio::test]
async fn peer_that_takes_nothing_is_cut() {
    let front = Front::open(FrontLimits {
        connections: 1,
        stalled: Duration::from_millis(50),
        ..limits()
    })
    .await;
    let mut greedy = front.connect().await;
    greedy.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
    // There is one seat, and a busy connection gives it up only when it is cut.
    front.connect().await.says_hello().await;
    front.end().await;
}

#[tokio::test]
async fn when_all_seats_are_taken_the_longest_idle_gives_way_and_busy_ones_stay() {
    let front = Front::open(limits()).await;
    let mut busy = front.busy().await;
    let mut first = front.connect().await;
    first.says_hello().await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(front.connect().await);
    }
    first.is_closed().await;
    let mut late = front.connect().await;
    late.says_hello().await;
    silent[0].is_closed().await;
    front.gate.add_permits(1);
    assert!(busy.read("gone").await.ends_with("gone"));
    front.end().await;
}

#[tokio::test]
async fn who_finds_all_seats_busy_waits_for_one() {
    let front = Front::open(FrontLimits {
        connections: 1,
        ..limits()
    })
    .await;
    let mut busy = front.busy().await;
    let mut late = front.connect().await;
    late.send(REQUEST).await;
    front.gate.add_permits(1);
    assert!(busy.read("gone").await.ends_with("gone"));
    assert!(late.read("world").await.ends_with("world"));
    front.end().await;
}

#[tokio::test]
async fn socket_keeps_its_seat_and_is_answered_in_the_spelling_of_its_client() {
    let front = Front::open(FrontLimits {
        connections: 1,
        head: Duration::from_millis(50),
        idle: Duration::from_millis(50),
        ..limits()
    })
    .await;
    let mut socket = front.connect().await;
    socket
        .send(
            b"GET /graphql/ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
              Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
              Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n",
        )
        .await;
    let answer = socket.read("\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    assert!(
        answer.contains("\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n"),
        "{answer}"
    );
    let mut late = front.connect().await;
    late.send(REQUEST).await;
    drop(socket);
    assert!(late.read("world").await.ends_with("world"));
    front.end().await;
}

#[tokio::test]
async fn stop_answers_what_has_begun_and_closes_the_rest() {
    let front = Front::open(limits()).await;
    let mut busy = front.busy().await;
    let mut idle = front.connect().await;
    idle.says_hello().await;
    let mut silent = front.connect().await;
    front.stopping.cancel();
    idle.is_closed().await;
    silent.is_closed().await;
    front.gate.add_permits(1);
    assert!(busy.read("gone").await.ends_with("gone"));
    front.end().await;
}

#[tokio::test]
async fn stop_waits_for_no_peer_longer_than_it_may() {
    let front = Front::open(FrontLimits {
        last: Duration::from_millis(50),
        ..limits()
    })
    .await;
    let mut busy = front.busy().await;
    let mut slow = front.connect().await;
    slow.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").await;
    slow.read("HTTP/1.1 200").await;
    front.end().await;
    busy.is_closed().await;
    let mut rest = 0;
    let reading = async {
        let mut piece = vec![0; 1 << 16];
        while let Ok(read @ 1..) = slow.0.read(&mut piece).await {
            rest += read;
        }
    };
    timeout(PATIENCE, reading).await.expect("an end");
    assert!(rest < 64 << 20, "a connection that outlived the stop");
}
