//! One socket from the upgrade to the close frame.

use std::{sync::Arc, time::Duration};

use async_graphql::Executor;
use axum::extract::ws::{Message, Utf8Bytes};
use futures::{Sink, SinkExt, Stream, StreamExt};
use serde_json::Value;
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{self, Instant, Interval, MissedTickBehavior},
};
use tracing::debug;

use super::{
    super::{
        Transport,
        auth::{Authenticator, CredentialWatch},
        credentials::Credentials,
        error::{ErrorCode, expose},
        params,
        presence::Place,
        request_id::RequestId,
    },
    close::Close,
    handshake::{introduce, send},
    message::{ClientMessage, ServerMessage},
    operations::{Asked, Operation, Operations},
};

/// How long a peer may take to answer the close frame before its connection is cut.
const CLOSING: Duration = Duration::from_secs(2);

/// The reading half of a socket.
pub(super) trait Incoming:
    Stream<Item = Result<Message, axum::Error>> + Send + Unpin
{
}
impl<T: Stream<Item = Result<Message, axum::Error>> + Send + Unpin> Incoming for T {}

/// How a socket ends.
#[derive(Debug)]
pub(super) enum Ending {
    /// The server closes it.
    Close(Close),
    /// The peer is gone, or takes nothing any more.
    Gone,
}

impl From<Close> for Ending {
    fn from(close: Close) -> Self {
        Self::Close(close)
    }
}

/// Serves a socket until it ends. `header` is the credential of the upgrade, `place` what counts the socket.
pub(super) async fn serve<E, A, S>(
    transport: Transport<E, A>,
    socket: S,
    header: Credentials,
    mut place: Place,
) where
    E: Executor,
    A: Authenticator,
    S: Stream<Item = Result<Message, axum::Error>> + Sink<Message> + Send + Unpin + 'static,
{
    let (sink, mut incoming) = socket.split();
    let patience = transport.options.slow_consumer_timeout;
    let (outgoing, queue) = mpsc::channel(transport.options.outgoing_buffer.max(1));
    let writer = tokio::spawn(write(sink, queue, patience));
    let Err(ending) = converse(&transport, &mut incoming, &outgoing, header, &mut place).await;
    debug!(?ending, "A socket ends");
    end(ending, incoming, outgoing, writer, patience).await;
}

/// Writes what is queued until the queue is dropped or the peer takes nothing for `patience`.
async fn write<S: Sink<Message> + Unpin>(
    mut sink: S,
    mut queue: mpsc::Receiver<Message>,
    patience: Duration,
) {
    while let Some(message) = queue.recv().await {
        match time::timeout(patience, sink.send(message)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return,
            Err(_) => {
                debug!("The reader of a socket is too slow");
                return;
            }
        }
    }
}

async fn end(
    ending: Ending,
    mut incoming: impl Incoming,
    outgoing: mpsc::Sender<Message>,
    writer: JoinHandle<()>,
    patience: Duration,
) {
    let cut = writer.abort_handle();
    let polite = matches!(ending, Ending::Close(_));
    let closing = async {
        if let Ending::Close(close) = ending {
            // An error means that the writer has given up, and then there is nobody to tell.
            let _ = outgoing.send(close.into_message()).await;
        }
        drop(outgoing);
        let _ = writer.await;
    };
    if time::timeout(patience, closing).await.is_ok() && polite {
        // Read on until the peer has answered: a connection cut with bytes unread may lose the close frame.
        let answered = async { while let Some(Ok(_)) = incoming.next().await {} };
        let _ = time::timeout(CLOSING, answered).await;
    }
    cut.abort();
}

/// Returns the text of a frame, or `None` for a frame that says nothing.
pub(super) fn text_of(
    frame: Option<Result<Message, axum::Error>>,
) -> Result<Option<Utf8Bytes>, Ending> {
    match frame {
        Some(Ok(Message::Text(text))) => Ok(Some(text)),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
        Some(Ok(Message::Binary(_))) => Err(Close::bad_request("Only text frames are read").into()),
        Some(Ok(Message::Close(_))) | None => Err(Ending::Gone),
        // The only name axum gives to this fault is its text.
        Some(Err(error)) if error.to_string().contains("Space limit exceeded") => {
            Err(Close::too_big().into())
        }
        Some(Err(_)) => Err(Ending::Gone),
    }
}

enum Never {}

async fn converse<E: Executor, A: Authenticator>(
    transport: &Transport<E, A>,
    incoming: &mut impl Incoming,
    outgoing: &mpsc::Sender<Message>,
    header: Credentials,
    place: &mut Place,
) -> Result<Never, Ending> {
    let introduced = introduce(transport, incoming, outgoing, header, place).await?;
    let watch = CredentialWatch::start(
        Arc::clone(&transport.authenticator),
        introduced.credentials.clone(),
        introduced.authenticated,
        &transport.options,
    );
    let conversation = Conversation {
        transport,
        outgoing,
        credentials: introduced.credentials,
        watch,
        operations: Operations::default(),
        pulse: Pulse::start(transport.options.ping_interval),
    };
    conversation.run(incoming).await
}

/// A socket after `connection_ack`.
struct Conversation<'a, E, A: Authenticator> {
    transport: &'a Transport<E, A>,
    outgoing: &'a mpsc::Sender<Message>,
    credentials: Credentials,
    watch: CredentialWatch<A::Session>,
    operations: Operations,
    pulse: Pulse,
}

impl<E: Executor, A: Authenticator> Conversation<'_, E, A> {
    async fn run(mut self, incoming: &mut impl Incoming) -> Result<Never, Ending> {
        loop {
            tokio::select! {
                () = self.transport.shutdown.cancelled() => return Err(Close::going_away().into()),
                () = self.outgoing.closed() => return Err(Ending::Gone),
                refusal = self.watch.refused() => return Err(Close::from(refusal).into()),
                Some(ended) = self.operations.ended() => {
                    if let Some(ended) = self.operations.forget(ended)
                        && ended.completes
                    {
                        self.send(&ServerMessage::Complete { id: &ended.id }).await?;
                    }
                }
                () = self.pulse.beat() => self.ping()?,
                frame = incoming.next() => {
                    self.pulse.seen();
                    if let Some(text) = text_of(frame)? {
                        self.receive(ClientMessage::read(&text)?).await?;
                    }
                }
            }
        }
    }

    async fn receive(&mut self, message: ClientMessage) -> Result<(), Ending> {
        match message {
            ClientMessage::ConnectionInit { .. } => Err(Close::too_many_inits().into()),
            ClientMessage::Ping { payload } => self.send(&ServerMessage::Pong { payload }).await,
            ClientMessage::Pong {} => Ok(()),
            ClientMessage::Complete { id } => {
                self.operations.stop(&id);
                Ok(())
            }
            ClientMessage::Subscribe { id, payload } => self.subscribe(id, payload).await,
        }
    }

    async fn subscribe(&mut self, id: String, payload: Value) -> Result<(), Ending> {
        if self.operations.contains(&id) {
            return Err(Close::duplicate(&id).into());
        }
        let request = params::from_value(payload)
            .map_err(|_| Close::bad_request("Invalid payload of subscribe"))?;
        let request_id = RequestId::generate();
        if self.operations.len() >= self.transport.options.max_operations_per_socket {
            return self.refuse_another(&id, &request_id).await;
        }
        let operation = Operation {
            id: id.clone(),
            asked: Asked {
                request,
                request_id,
                credentials: self.credentials.clone(),
                session: self.watch.session(),
            },
            transport: self.transport.clone(),
            outgoing: self.outgoing.clone(),
        };
        self.operations.start(id, operation.run());
        Ok(())
    }

    async fn refuse_another(&self, id: &str, request_id: &RequestId) -> Result<(), Ending> {
        let limit = self.transport.options.max_operations_per_socket;
        let message = format!("A socket may run {limit} operations at the same time.");
        let mut errors = [ErrorCode::RateLimited.error(message)];
        expose(&mut errors, request_id, false);
        self.send(&ServerMessage::Error {
            id,
            payload: &errors,
        })
        .await
    }

    /// Pings in both ways: browsers answer the frame by themselves, some clients only the message.
    fn ping(&self) -> Result<(), Ending> {
        if self.pulse.is_silent() {
            return Err(Close::silent().into());
        }
        // A full queue keeps the connection busy enough.
        let _ = self.outgoing.try_send(ServerMessage::Ping.frame());
        let _ = self.outgoing.try_send(Message::Ping(Vec::new().into()));
        Ok(())
    }

    async fn send(&self, message: &ServerMessage<'_>) -> Result<(), Ending> {
        send(self.outgoing, message).await
    }
}

/// Tells when to ping and whether anything has come back.
struct Pulse {
    interval: Interval,
    last_seen: Instant,
}

impl Pulse {
    fn start(period: Duration) -> Self {
        let mut interval = time::interval_at(Instant::now() + period, period);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            interval,
            last_seen: Instant::now(),
        }
    }

    async fn beat(&mut self) {
        self.interval.tick().await;
    }

    fn seen(&mut self) {
        self.last_seen = Instant::now();
    }

    fn is_silent(&self) -> bool {
        self.last_seen.elapsed() > self.interval.period() * 2
    }
}
