//! WebSocket: the sub-protocol `graphql-transport-ws` and no other.
//!
//! An envelope of our own around the executor, because that of async-graphql closes with other codes than clients
//! expect, and the code decides whether a client tries again.

mod close;
mod connection;
mod handshake;
mod message;
mod operations;
#[cfg(test)]
mod tests;

use async_graphql::Executor;
use axum::{
    extract::{FromRequestParts, Request, ws::WebSocketUpgrade},
    http::{HeaderMap, StatusCode, header, request::Parts},
    response::Response,
};

use super::{
    Transport,
    auth::Authenticator,
    credentials::Credentials,
    error::{ErrorCode, Refusal, finish},
    negotiation::Media,
    presence::Full,
    request_id::RequestId,
};

/// The sub-protocol. The retired one of subscriptions-transport-ws is called `graphql-ws` and is not spoken here.
const PROTOCOL: &str = "graphql-transport-ws";

/// Whether a request asks for a socket.
pub(super) fn wants_upgrade(headers: &HeaderMap) -> bool {
    has_token(headers, &header::UPGRADE, "websocket")
}

/// Opens a socket, or says why not.
pub(super) async fn upgrade<E: Executor, A: Authenticator>(
    transport: Transport<E, A>,
    request: Request,
) -> Response {
    let (mut parts, _) = request.into_parts();
    let id = RequestId::of(&parts.headers);
    match accept(transport, &mut parts).await {
        Ok(response) => finish(response, &id),
        Err(refusal) => refusal.into_response(&id, Media::Json),
    }
}

async fn accept<E: Executor, A: Authenticator>(
    transport: Transport<E, A>,
    parts: &mut Parts,
) -> Result<Response, Refusal> {
    if !wants_upgrade(&parts.headers) {
        return Err(upgrade_required());
    }
    if !transport.origins.may_open_socket(&parts.headers) {
        let message = "This origin may not open a socket.";
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            ErrorCode::Forbidden,
            message,
        ));
    }
    if !has_token(&parts.headers, &header::SEC_WEBSOCKET_PROTOCOL, PROTOCOL) {
        return Err(Refusal::bad_request(format!(
            "The sub-protocol must be {PROTOCOL}."
        )));
    }
    let credentials = Credentials::of_headers(&parts.headers)?;
    let Ok(upgrade) = WebSocketUpgrade::from_request_parts(parts, &()).await else {
        return Err(upgrade_required());
    };
    let place = transport.presence.enter().map_err(no_room)?;
    let limit = transport.options.max_frame_bytes;
    // Counted from here on, so that a shutdown waits also for a socket that is about to open.
    let tracked = transport.options.streams.token();
    let upgrade = upgrade
        .protocols([PROTOCOL])
        .max_frame_size(limit)
        .max_message_size(limit);
    let mut response = upgrade.on_upgrade(move |socket| async move {
        connection::serve(transport, socket, credentials, place).await;
        drop(tracked);
    });
    // hyper keeps here how the client has spelled the names of headers, and spells them so in the answer. Python's gql
    // looks for `Sec-WebSocket-Protocol` in its own spelling and otherwise falls back to a protocol of the past.
    response
        .extensions_mut()
        .extend(std::mem::take(&mut parts.extensions));
    Ok(response)
}

fn no_room(full: Full) -> Refusal {
    Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::RateLimited,
        full.0,
    )
    .with(header::RETRY_AFTER, "5")
}

fn upgrade_required() -> Refusal {
    let message = "This address is for WebSockets.";
    Refusal::new(
        StatusCode::UPGRADE_REQUIRED,
        ErrorCode::BadUserInput,
        message,
    )
    .with(header::UPGRADE, "websocket")
}

fn has_token(headers: &HeaderMap, name: &header::HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|entry| entry.trim().eq_ignore_ascii_case(token))
}
