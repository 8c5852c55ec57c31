//! The root of the server, for whoever opens it without knowing where to go.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::transport::{TransportOptions, page};

/// Returns the route `/`.
pub(crate) fn router(options: &TransportOptions) -> Router {
    Router::new()
        .route("/", get(welcome))
        .with_state(Arc::new(options.clone()))
}

/// Answers a browser with the page of the endpoint, and a program with a line.
async fn welcome(State(options): State<Arc<TransportOptions>>, headers: HeaderMap) -> Response {
    let accepts = headers.get(header::ACCEPT);
    let accepts_html = accepts
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    if options.page && accepts_html {
        return page::page(&options, &headers);
    }
    "Lockstep. GraphQL is at /graphql: POST, GET for queries, WebSocket and event streams for subscriptions.\n"
        .into_response()
}
