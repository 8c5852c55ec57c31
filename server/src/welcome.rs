//! The root of the server, for whoever opens it without knowing where to go.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
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
    let mut response = choose(&options, &headers);
    response
        .headers_mut()
        .insert(header::VARY, HeaderValue::from_static("accept"));
    response
}

fn choose(options: &TransportOptions, headers: &HeaderMap) -> Response {
    let accepts = headers.get(header::ACCEPT);
    let accepts_html = accepts
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"));
    if options.page && accepts_html {
        return page::page(options, headers);
    }
    "Lockstep. GraphQL is at /graphql: POST, GET for queries, WebSocket and event streams for subscriptions.\n"
        .into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn caches_keep_the_page_and_the_line_apart() {
        for (accept, kind) in [("text/html", "text/html"), ("*/*", "text/plain")] {
            let request = Request::get("/").header(header::ACCEPT, accept);
            let request = request.body(Body::empty()).expect("a request of a test");
            let answer = router(&TransportOptions::default()).oneshot(request).await;
            let headers = answer.expect("a router that cannot fail").headers().clone();
            let told = |name| headers.get(name).and_then(|value| value.to_str().ok());
            assert!(told(header::CONTENT_TYPE).is_some_and(|told| told.starts_with(kind)));
            assert_eq!(told(header::VARY), Some("accept"), "{accept}");
        }
    }
}
