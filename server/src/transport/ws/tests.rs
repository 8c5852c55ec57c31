//! A socket as a client sees it, through channels instead of a network.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    extract::ws::Message,
    http::{HeaderMap, HeaderValue, header},
};
use chrono::DateTime;
use futures::{Sink, SinkExt, Stream, StreamExt, channel::mpsc};
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        Credentials, ExtendRequest, Transport, TransportOptions,
        executor::GuardedExecutor,
        origin::Origins,
        presence::Presence,
        toy::{self, Door, Session},
    },
    connection::serve,
};

/// The server's end.
struct Socket {
    incoming: mpsc::Receiver<Result<Message, axum::Error>>,
    outgoing: mpsc::Sender<Message>,
}

impl Stream for Socket {
    type Item = Result<Message, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.incoming.poll_next_unpin(cx)
    }
}

impl Sink<Message> for Socket {
    type Error = mpsc::SendError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.outgoing.poll_ready_unpin(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, item: Message) -> Result<(), Self::Error> {
        self.outgoing.start_send_unpin(item)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.outgoing.poll_flush_unpin(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.outgoing.poll_close_unpin(cx)
    }
}

/// The client's end.
struct Client {
    to_server: mpsc::Sender<Result<Message, axum::Error>>,
    from_server: mpsc::Receiver<Message>,
    shutdown: CancellationToken,
    server: JoinHandle<()>,
}

impl Client {
    fn open(options: TransportOptions, door: Door, header: Option<&str>) -> Self {
        let (to_server, incoming) = mpsc::channel(8);
        let (outgoing, from_server) = mpsc::channel(0);
        let extend: ExtendRequest<Session> = Arc::new(|request, _| request);
        let shutdown = CancellationToken::new();
        let presence = Presence::new(10, options.max_streams_per_caller);
        let place = presence.enter().expect("room for a socket of a test");
        let transport = Transport {
            presence,
            origins: Origins::new(&[]),
            executor: GuardedExecutor::new(toy::schema(), &options),
            authenticator: Arc::new(door),
            options: Arc::new(options),
            extend,
            shutdown: shutdown.clone(),
        };
        let socket = Socket { incoming, outgoing };
        let header = Credentials {
            authorization: header.map(ToOwned::to_owned),
            organization: None,
        };
        let server = tokio::spawn(serve(transport, socket, header, place));
        Self {
            to_server,
            from_server,
            shutdown,
            server,
        }
    }

    async fn ready(options: TransportOptions) -> Self {
        let mut client = Self::open(options, door(), None);
        client.introduce("Bearer good").await;
        assert_eq!(client.receive().await, json!({ "type": "connection_ack" }));
        client
    }

    async fn introduce(&mut self, credential: &str) {
        let payload = json!({ "Authorization": credential });
        self.send(json!({ "type": "connection_init", "payload": payload }))
            .await;
    }

    async fn send(&mut self, message: Value) {
        self.send_text(&message.to_string()).await;
    }

    async fn send_text(&mut self, text: &str) {
        self.to_server
            .send(Ok(Message::text(text)))
            .await
            .expect("a server that reads");
    }

    async fn subscribe(&mut self, id: &str, query: &str) {
        self.send(json!({ "type": "subscribe", "id": id, "payload": { "query": query } }))
            .await;
    }

    async fn frame(&mut self) -> Message {
        self.from_server
            .next()
            .await
            .expect("a server that answers")
    }

    async fn receive(&mut self) -> Value {
        let frame = self.frame().await;
        let text = frame.to_text().expect("a text frame");
        serde_json::from_str(text).expect("a JSON message")
    }

    /// Returns the code of the close frame, skipping what comes before it.
    async fn closed(mut self) -> u16 {
        let code = loop {
            if let Message::Close(close) = self.frame().await {
                break close.expect("a close frame with a code").code;
            }
        };
        drop(self.to_server);
        self.server.await.expect("a server that does not panic");
        code
    }
}

fn door() -> Door {
    Door {
        anonymous: false,
        expires_at: None,
    }
}

fn options() -> TransportOptions {
    TransportOptions::default()
}

const SOON: Duration = Duration::from_millis(10);
/// How long to wait for what is to come at once; generous, because machines are busy.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn init_that_does_not_come_closes_4408() {
    let options = TransportOptions {
        init_timeout: SOON,
        ..options()
    };
    assert_eq!(Client::open(options, door(), None).closed().await, 4408);
}

#[tokio::test]
async fn bad_credential_closes_4401_and_a_blocked_one_4403() {
    for (credential, code) in [("Bearer bad", 4401), ("Bearer blocked", 4403)] {
        let mut client = Client::open(options(), door(), None);
        client.introduce(credential).await;
        assert_eq!(client.closed().await, code);
    }
}

#[tokio::test]
async fn credential_of_the_upgrade_counts() {
    let mut client = Client::open(options(), door(), Some("Bearer good"));
    client.send(json!({ "type": "connection_init" })).await;
    assert_eq!(client.receive().await, json!({ "type": "connection_ack" }));
}

#[tokio::test]
async fn subscribe_before_init_closes_4401() {
    let mut client = Client::open(options(), door(), None);
    client.subscribe("1", "{ hello }").await;
    assert_eq!(client.closed().await, 4401);
}

#[tokio::test]
async fn socket_of_a_caller_who_has_too_many_closes_1013() {
    let options = TransportOptions {
        max_streams_per_caller: 0,
        ..TransportOptions::default()
    };
    let mut client = Client::open(options, door(), None);
    client.introduce("Bearer good").await;
    assert_eq!(client.closed().await, 1013);
}

#[tokio::test]
async fn operation_of_a_credential_that_was_withdrawn_is_refused_at_once() {
    let mut client = Client::open(TransportOptions::default(), door(), None);
    client.introduce("Bearer once").await;
    assert_eq!(client.receive().await, json!({ "type": "connection_ack" }));
    client.subscribe("1", "mutation { bump }").await;
    let refusal = client.receive().await;
    assert_eq!(refusal["type"], "error", "{refusal}");
    assert_eq!(
        refusal["payload"][0]["extensions"]["code"],
        "UNAUTHENTICATED"
    );
}

#[tokio::test]
async fn second_init_closes_4429() {
    let mut client = Client::ready(options()).await;
    client.introduce("Bearer good").await;
    assert_eq!(client.closed().await, 4429);
}

#[tokio::test]
async fn id_in_use_closes_4409() {
    let mut client = Client::ready(options()).await;
    client.subscribe("1", "subscription { silent }").await;
    client.subscribe("1", "subscription { silent }").await;
    assert_eq!(client.closed().await, 4409);
}

#[tokio::test]
async fn frame_that_is_no_message_closes_4400() {
    let mut client = Client::ready(options()).await;
    client.send_text("sing").await;
    assert_eq!(client.closed().await, 4400);
}

#[tokio::test]
async fn ping_is_answered_with_its_payload() {
    let mut client = Client::open(options(), door(), None);
    client
        .send(json!({ "type": "ping", "payload": { "a": 1 } }))
        .await;
    assert_eq!(
        client.receive().await,
        json!({ "type": "pong", "payload": { "a": 1 } })
    );
}

#[tokio::test]
async fn query_gives_one_result_and_frees_its_id() {
    let mut client = Client::ready(options()).await;
    for _ in 0..3 {
        client.subscribe("q", "{ viewer }").await;
        let next = json!({ "type": "next", "id": "q", "payload": { "data": { "viewer": "ada" } } });
        assert_eq!(client.receive().await, next);
        assert_eq!(
            client.receive().await,
            json!({ "type": "complete", "id": "q" })
        );
    }
}

#[tokio::test]
async fn subscription_gives_its_results_and_completes() {
    let mut client = Client::ready(options()).await;
    client.subscribe("s", "subscription { count(to: 2) }").await;
    for count in 1..=2 {
        assert_eq!(client.receive().await["payload"]["data"]["count"], count);
    }
    assert_eq!(client.receive().await["type"], "complete");
}

#[tokio::test]
async fn request_error_is_an_error_message_and_nothing_after() {
    let mut client = Client::ready(options()).await;
    for document in ["subscription { unknown }", "subscription {"] {
        client.subscribe("e", document).await;
        let error = client.receive().await;
        assert_eq!(error["type"], "error");
        assert!(error["payload"][0]["extensions"]["requestId"].is_string());
    }
    client.send(json!({ "type": "ping" })).await;
    assert_eq!(client.receive().await, json!({ "type": "pong" }));
}

#[tokio::test]
async fn completed_operation_is_stopped_without_an_echo() {
    let mut client = Client::ready(options()).await;
    client.subscribe("c", "subscription { silent }").await;
    client.send(json!({ "type": "complete", "id": "c" })).await;
    client.subscribe("c", "{ hello }").await;
    assert_eq!(client.receive().await["type"], "next");
}

#[tokio::test]
async fn operations_beyond_the_limit_are_refused_one_by_one() {
    let options = TransportOptions {
        max_operations_per_socket: 1,
        ..options()
    };
    let mut client = Client::ready(options).await;
    client.subscribe("1", "subscription { silent }").await;
    client.subscribe("2", "subscription { silent }").await;
    let refused = client.receive().await;
    assert_eq!(
        (&refused["type"], &refused["id"]),
        (&json!("error"), &json!("2"))
    );
    assert_eq!(refused["payload"][0]["extensions"]["code"], "RATE_LIMITED");
}

#[tokio::test]
async fn shutdown_closes_1001() {
    let client = Client::ready(options()).await;
    client.shutdown.cancel();
    assert_eq!(client.closed().await, 1001);
}

#[tokio::test]
async fn credential_that_ends_closes_4401() {
    let door = Door {
        anonymous: false,
        expires_at: Some(DateTime::UNIX_EPOCH),
    };
    let mut client = Client::open(options(), door, None);
    client.introduce("Bearer good").await;
    assert_eq!(client.closed().await, 4401);
}

#[tokio::test]
async fn credential_that_is_withdrawn_closes_4401() {
    let options = TransportOptions {
        recheck: SOON,
        ..options()
    };
    let door = Door {
        anonymous: false,
        expires_at: None,
    };
    let mut client = Client::open(options, door, None);
    client.introduce("Bearer once").await;
    assert_eq!(client.closed().await, 4401);
}

#[tokio::test]
async fn credential_that_names_somebody_else_by_now_closes_4401() {
    let options = TransportOptions {
        recheck: SOON,
        ..options()
    };
    let mut client = Client::open(options, door(), None);
    client.introduce("Bearer heir").await;
    let closed = timeout(PATIENCE, client.closed()).await;
    assert_eq!(closed.expect("an end of the socket"), 4401);
}

#[tokio::test]
async fn operation_with_a_credential_of_somebody_else_by_now_is_refused() {
    let mut client = Client::open(options(), door(), None);
    client.introduce("Bearer heir").await;
    assert_eq!(client.receive().await, json!({ "type": "connection_ack" }));
    client.subscribe("a", "{ viewer }").await;
    let answer = client.receive().await;
    assert_eq!(answer["type"], "error", "{answer}");
    let error = &answer["payload"][0];
    assert_eq!(error["extensions"]["code"], "UNAUTHENTICATED", "{answer}");
    assert_eq!(
        error["message"],
        "The credential is of somebody else by now; connect again."
    );
}

#[tokio::test]
async fn idle_socket_is_pinged_and_closed_when_nothing_comes_back() {
    let options = TransportOptions {
        ping_interval: SOON,
        ..options()
    };
    let mut client = Client::ready(options).await;
    assert_eq!(client.receive().await, json!({ "type": "ping" }));
    assert!(matches!(client.frame().await, Message::Ping(_)));
    assert_eq!(client.closed().await, 1001);
}

#[tokio::test]
async fn reader_that_takes_nothing_is_dropped() {
    let options = TransportOptions {
        slow_consumer_timeout: SOON,
        outgoing_buffer: 2,
        ..options()
    };
    let mut client = Client::ready(options).await;
    client.subscribe("f", "subscription { flood }").await;
    // Ends although nobody reads and nobody closes.
    client.server.await.expect("a server that does not panic");
}

fn headers(origin: Option<&'static str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::from_static("api.example.com"));
    if let Some(origin) = origin {
        headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
    }
    headers
}

fn may_open(headers: &HeaderMap, listed: &[String]) -> bool {
    Origins::new(listed).may_open_socket(headers)
}

#[test]
fn own_and_listed_origins_may_open_a_socket() {
    let listed = ["https://console.example.com/".to_owned()];
    assert!(may_open(&headers(None), &[]));
    assert!(may_open(&headers(Some("https://api.example.com")), &[]));
    assert!(may_open(
        &headers(Some("https://console.example.com")),
        &listed
    ));
    assert!(!may_open(
        &headers(Some("https://console.example.com")),
        &[]
    ));
    assert!(!may_open(
        &headers(Some("https://api.example.com.evil.example")),
        &listed
    ));
    assert!(!may_open(&headers(Some("null")), &listed));
}
