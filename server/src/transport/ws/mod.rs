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
    error::{ErrorCode, Refusal, finish},
    http::authorization,
    negotiation::Media,
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
    if !origin_is_allowed(&parts.headers, &transport.options.allowed_origins) {
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
    let authorization = authorization(&parts.headers)?;
    let Ok(upgrade) = WebSocketUpgrade::from_request_parts(parts, &()).await else {
        return Err(upgrade_required());
    };
    let limit = transport.options.max_frame_bytes;
    // Counted from here on, so that a shutdown waits also for a socket that is about to open.
    let tracked = transport.options.streams.token();
    let upgrade = upgrade
        .protocols([PROTOCOL])
        .max_frame_size(limit)
        .max_message_size(limit);
    Ok(upgrade.on_upgrade(move |socket| async move {
        connection::serve(transport, socket, authorization).await;
        drop(tracked);
    }))
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

/// Whether the page that opens the socket may do so. CORS does not cover sockets, so this is the only check.
///
/// A caller without `Origin` is no browser. A page of the endpoint's own host is always let in.
fn origin_is_allowed(headers: &HeaderMap, allowed: &[String]) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    let listed = allowed
        .iter()
        .any(|entry| entry.trim_end_matches('/').eq_ignore_ascii_case(origin));
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let authority = origin
        .strip_prefix("https://")
        .or_else(|| origin.strip_prefix("http://"));
    let own = match (authority, host) {
        (Some(authority), Some(host)) => authority.eq_ignore_ascii_case(host),
        _ => false,
    };
    listed || own
}
