//! The part of a socket's life before `connection_ack`.

use async_graphql::Executor;
use axum::extract::ws::Message;
use futures::StreamExt;
use tokio::{sync::mpsc, time};

use super::{
    super::{
        Transport,
        auth::{self, Authenticated, Authenticator},
        credentials::Credentials,
        presence::Place,
    },
    close::Close,
    connection::{Ending, Incoming, text_of},
    message::{ClientMessage, ServerMessage, credentials},
};

/// A caller that has said who they are.
pub(super) struct Introduced<S> {
    pub(super) credentials: Credentials,
    pub(super) authenticated: Authenticated<S>,
}

/// Waits for `connection_init` and acknowledges it.
///
/// `header` is the credential of the upgrade, which counts when the payload has none; `place` is told who
/// the caller is.
pub(super) async fn introduce<E: Executor, A: Authenticator>(
    transport: &Transport<E, A>,
    incoming: &mut impl Incoming,
    outgoing: &mpsc::Sender<Message>,
    header: Credentials,
    place: &mut Place,
) -> Result<Introduced<A::Session>, Ending> {
    let waiting = await_init(incoming, outgoing);
    let payload = tokio::select! {
        () = transport.shutdown.cancelled() => return Err(Close::going_away().into()),
        () = outgoing.closed() => return Err(Ending::Gone),
        waited = time::timeout(transport.options.init_timeout, waiting) => match waited {
            Ok(credential) => credential?,
            Err(_) => return Err(Close::init_timeout().into()),
        },
    };
    let credentials = payload.or(header);
    let authenticated = auth::authenticate(
        transport.authenticator.as_ref(),
        &credentials,
        &transport.options,
    )
    .await
    .map_err(Close::from)?;
    let caller = authenticated.session.as_ref().and_then(A::caller);
    place.belong_to(caller).map_err(Close::from)?;
    send(outgoing, &ServerMessage::ConnectionAck).await?;
    Ok(Introduced {
        credentials,
        authenticated,
    })
}

async fn await_init(
    incoming: &mut impl Incoming,
    outgoing: &mpsc::Sender<Message>,
) -> Result<Credentials, Ending> {
    loop {
        let Some(text) = text_of(incoming.next().await)? else {
            continue;
        };
        match ClientMessage::read(&text)? {
            ClientMessage::ConnectionInit { payload } => return Ok(credentials(payload.as_ref())?),
            ClientMessage::Ping { payload } => {
                send(outgoing, &ServerMessage::Pong { payload }).await?;
            }
            ClientMessage::Pong {} | ClientMessage::Complete { .. } => {}
            ClientMessage::Subscribe { .. } => return Err(Close::unauthorized().into()),
        }
    }
}

/// Queues a message; waits while the queue is full, which the writer ends when the reader is too slow.
pub(super) async fn send(
    outgoing: &mpsc::Sender<Message>,
    message: &ServerMessage<'_>,
) -> Result<(), Ending> {
    outgoing
        .send(message.frame())
        .await
        .map_err(|_| Ending::Gone)
}
