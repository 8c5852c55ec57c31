//! One HTTP request: method, media types, body, credential, operation, status.

use std::time::Instant;

use async_graphql::{Executor, Request as GraphqlRequest, Value};
use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts},
    response::Response,
};
use futures::StreamExt;
use tokio::time;

use super::{
    Transport,
    auth::{self, AuthRefusal, Authenticated, Authenticator},
    credentials::Credentials,
    error::{ErrorCode, Refusal, finish, status_of},
    executor::{OperationKind, Outcome, Prepared},
    negotiation::{Accepted, Media, is_json_body},
    options::{OperationReport, TransportKind},
    page, params,
    request_id::RequestId,
    sse,
};

/// The methods that the endpoint knows, for the `Allow` header.
const METHODS: &str = "GET, POST";

/// Answers a request that does not ask for a socket.
pub(super) async fn answer<E: Executor, A: Authenticator>(
    transport: Transport<E, A>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let id = RequestId::of(&parts.headers);
    let accepted = Accepted::of(&parts.headers);
    if transport.options.page && wants_page(&parts, accepted) {
        return finish(page::page(&transport.options, &parts.headers), &id);
    }
    match serve(&transport, &parts, body, accepted, &id).await {
        Ok(response) => finish(response, &id),
        Err(refusal) => refusal.into_response(&id, accepted.for_refusal()),
    }
}

fn wants_page(parts: &Parts, accepted: Accepted) -> bool {
    parts.method == Method::GET && accepted.html && !params::has_document(&parts.uri)
}

async fn serve<E: Executor, A: Authenticator>(
    transport: &Transport<E, A>,
    parts: &Parts,
    body: Body,
    accepted: Accepted,
    id: &RequestId,
) -> Result<Response, Refusal> {
    let started = Instant::now();
    check_method(&parts.method)?;
    if accepted.for_result().is_none() {
        return Err(not_acceptable(
            "Only JSON and event streams can be had here.",
        ));
    }
    if parts.method == Method::POST && !is_json_body(&parts.headers) {
        return Err(unsupported_body());
    }
    let credential = Credential::check(transport, &parts.headers).await?;
    let request = read(transport, parts, body).await?;
    let request = transport.dress(request, &credential.authenticated.session, id);
    let exchange = Exchange {
        transport,
        accepted,
        started,
    };
    match transport.executor.prepare(request) {
        Ok(prepared) => exchange.run(prepared, credential, &parts.method).await,
        Err(outcome) => Ok(exchange.single(*outcome, None)),
    }
}

fn check_method(method: &Method) -> Result<(), Refusal> {
    if method == Method::GET || method == Method::POST {
        return Ok(());
    }
    Err(Refusal::method_not_allowed(
        "Only GET and POST are supported.",
        METHODS,
    ))
}

fn not_acceptable(message: &str) -> Refusal {
    Refusal::new(StatusCode::NOT_ACCEPTABLE, ErrorCode::BadUserInput, message)
}

fn unsupported_body() -> Refusal {
    Refusal::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorCode::BadUserInput,
        "The body must be application/json in UTF-8.",
    )
}

/// A credential that the authenticator let through.
struct Credential<S> {
    shown: Credentials,
    authenticated: Authenticated<S>,
}

impl<S> Credential<S> {
    async fn check<E: Executor, A: Authenticator<Session = S>>(
        transport: &Transport<E, A>,
        headers: &HeaderMap,
    ) -> Result<Self, Refusal> {
        let shown = Credentials::of_headers(headers)?;
        let answer =
            auth::authenticate(transport.authenticator.as_ref(), &shown, &transport.options);
        let authenticated = answer.await.map_err(refusal_of)?;
        Ok(Self {
            shown,
            authenticated,
        })
    }
}

fn refusal_of(refusal: AuthRefusal) -> Refusal {
    match refusal {
        AuthRefusal::Unauthenticated(message) => Refusal::new(
            StatusCode::UNAUTHORIZED,
            ErrorCode::Unauthenticated,
            message,
        )
        .with(header::WWW_AUTHENTICATE, "Bearer"),
        AuthRefusal::Forbidden(message) => {
            Refusal::new(StatusCode::FORBIDDEN, ErrorCode::Forbidden, message)
        }
        AuthRefusal::Denied(code, message) => Refusal::new(StatusCode::FORBIDDEN, code, message),
        AuthRefusal::Unavailable => Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            ErrorCode::ServiceUnavailable,
            "The credential cannot be checked at the moment.",
        )
        .with(header::RETRY_AFTER, "5"),
    }
}

async fn read<E: Executor, A: Authenticator>(
    transport: &Transport<E, A>,
    parts: &Parts,
    body: Body,
) -> Result<GraphqlRequest, Refusal> {
    if parts.method == Method::GET {
        return params::from_uri(&parts.uri);
    }
    let limit = transport.options.max_body_bytes;
    let reading = read_body(&parts.headers, body, limit);
    match time::timeout(transport.options.request_timeout, reading).await {
        Ok(body) => params::from_json(&body?),
        // The rest of the body may come at any time, so the connection is of no further use.
        Err(_) => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            ErrorCode::Timeout,
            "The body took too long to arrive.",
        )
        .with(header::CONNECTION, "close")),
    }
}

/// Reads a body that must not be longer than `limit`, and stops at the first byte beyond.
async fn read_body(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, Refusal> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    let mut chunks = body.into_data_stream();
    let mut read = Vec::with_capacity(announced.unwrap_or_default());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Refusal::bad_request("The body broke off."))?;
        if read.len() + chunk.len() > limit {
            return Err(too_large(limit));
        }
        read.extend_from_slice(&chunk);
    }
    Ok(read.into())
}

fn too_large(limit: usize) -> Refusal {
    let message = format!("The body is longer than {limit} bytes.");
    // The rest of the body is not read, so the connection is of no further use.
    Refusal::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::BadUserInput,
        message,
    )
    .with(header::CONNECTION, "close")
}

/// One operation between its arrival and its answer.
struct Exchange<'a, E, A: Authenticator> {
    transport: &'a Transport<E, A>,
    accepted: Accepted,
    started: Instant,
}

impl<E: Executor, A: Authenticator> Exchange<'_, E, A> {
    async fn run(
        self,
        prepared: Prepared,
        credential: Credential<A::Session>,
        method: &Method,
    ) -> Result<Response, Refusal> {
        let kind = prepared.kind();
        if kind == OperationKind::Mutation && method == Method::GET {
            let message = "Mutations must be sent with POST.";
            return Err(Refusal::method_not_allowed(message, "POST"));
        }
        if kind == OperationKind::Subscription {
            if !self.accepted.event_stream {
                return Err(not_acceptable(
                    "Subscriptions need `Accept: text/event-stream` or a WebSocket.",
                ));
            }
            let Credential {
                shown,
                authenticated,
            } = credential;
            return sse::open(self.transport, prepared, shown, authenticated);
        }
        let outcome = self.transport.executor.run(prepared).await;
        Ok(self.single(outcome, Some(kind)))
    }

    /// Answers with one result.
    fn single(self, outcome: Outcome, kind: Option<OperationKind>) -> Response {
        let report = TransportKind::Http;
        OperationReport::send(
            &self.transport.options,
            report,
            kind,
            outcome.code(),
            self.started,
        );
        match self.accepted.for_result() {
            // Inside a stream, because a client that reads only streams could not show the errors of a plain 400.
            None | Some(Media::EventStream) => sse::once(&outcome),
            Some(media) => json_response(outcome, media),
        }
    }
}

fn json_response(outcome: Outcome, media: Media) -> Response {
    let status = outcome_status(&outcome, media);
    let Ok(body) = serde_json::to_vec(&outcome) else {
        return error_response();
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.extend(outcome.response.http_headers);
    headers.insert(header::CONTENT_TYPE, media.content_type());
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

// A session that has ended must show in the status also when a field found out, unless there is something to show.
fn outcome_status(outcome: &Outcome, media: Media) -> StatusCode {
    match outcome.code() {
        Some(code) if outcome.refused => status_of(code, media),
        Some("UNAUTHENTICATED") if outcome.response.data == Value::Null => StatusCode::UNAUTHORIZED,
        _ => StatusCode::OK,
    }
}

// No value that async-graphql makes fails to become JSON; the answer is for the day that this changes.
fn error_response() -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}
