//! Event streams: graphql-sse in distinct connections mode, one operation for each request.

use std::{convert::Infallible, sync::Arc, time::Instant};

use async_graphql::Executor;
use axum::{
    body::{Body, Bytes},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use futures::{StreamExt, stream, stream::BoxStream};
use tokio::{sync::mpsc, time};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug};

use super::{
    Transport,
    auth::{Authenticated, Authenticator, CredentialWatch},
    credentials::Credentials,
    error::{ErrorCode, Refusal, code_of},
    executor::{OperationKind, Outcome, Prepared},
    negotiation::Media,
    options::{OperationReport, TransportKind, TransportOptions},
    presence::{Full, Place},
};

/// A line that clients skip; keeps proxies from closing a quiet stream and pushes the headers out at the start.
const COMMENT: &str = ":\n\n";
/// The last event. Its `data` line is empty but there, because a browser drops events that have none, and written by
/// hand, because axum's `Event` leaves an empty one out.
const COMPLETE: &str = "event: complete\ndata:\n\n";

/// Answers with the events of a subscription, or refuses another one.
pub(super) fn open<E: Executor, A: Authenticator>(
    transport: &Transport<E, A>,
    prepared: Prepared,
    credentials: Credentials,
    authenticated: Authenticated<A::Session>,
) -> Result<Response, Refusal> {
    let options = Arc::clone(&transport.options);
    let mut place = transport.presence.enter().map_err(refusal_of)?;
    let caller = authenticated.session.as_ref().and_then(A::caller);
    place.belong_to(caller).map_err(refusal_of)?;
    let (events, queue) = mpsc::channel(options.outgoing_buffer.max(1));
    let span = prepared.span();
    let producer = Producer {
        events,
        kind: prepared.kind(),
        outcomes: transport.executor.stream(prepared, None),
        watch: CredentialWatch::start(
            Arc::clone(&transport.authenticator),
            credentials,
            authenticated,
            &options,
        ),
        shutdown: transport.shutdown.clone(),
        _place: place,
    };
    // A task of its own, because a body is not polled while its reader is slow and could then not be ended either.
    options
        .streams
        .clone()
        .spawn(producer.run(options).instrument(span));
    let body = stream::unfold(queue, |mut queue| async {
        let event: Bytes = queue.recv().await?;
        Some((Ok::<_, Infallible>(event), queue))
    });
    Ok(response(Body::from_stream(body)))
}

fn refusal_of(full: Full) -> Refusal {
    Refusal::new(
        StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::RateLimited,
        full.0,
    )
    .with(header::RETRY_AFTER, "5")
}

/// Answers with a single result as an event stream.
pub(super) fn once(outcome: &Outcome) -> Response {
    response(Body::from(next(outcome) + COMPLETE))
}

fn response(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, Media::EventStream.content_type());
    // nginx collects an answer before it passes it on, unless it is told not to.
    let buffering = HeaderName::from_static("x-accel-buffering");
    headers.insert(buffering, HeaderValue::from_static("no"));
    response
}

fn next(outcome: &Outcome) -> String {
    let json = serde_json::to_string(outcome).expect("GraphQL values are JSON");
    format!("event: next\ndata: {json}\n\n")
}

/// Feeds one stream until something ends it.
struct Producer<S> {
    events: mpsc::Sender<Bytes>,
    kind: OperationKind,
    outcomes: BoxStream<'static, Outcome>,
    watch: CredentialWatch<S>,
    shutdown: CancellationToken,
    _place: Place,
}

impl<S: Clone + Send + Sync + 'static> Producer<S> {
    async fn run(mut self, options: Arc<TransportOptions>) {
        let started = Instant::now();
        let mut error = None;
        let mut event = Step::Send(COMMENT.to_owned());
        loop {
            let (text, last) = match event {
                Step::Send(text) => (text, false),
                Step::Finish(text) => (text, true),
                Step::Stop => break,
            };
            let sent = self
                .events
                .send_timeout(text.into(), options.slow_consumer_timeout)
                .await;
            if sent.is_err() {
                debug!("The reader of an event stream is gone or too slow");
                break;
            }
            if last {
                break;
            }
            event = self.step(&options, &mut error).await;
        }
        let kind = Some(self.kind);
        OperationReport::send(
            &options,
            TransportKind::Sse,
            kind,
            error.as_deref(),
            started,
        );
    }

    async fn step(&mut self, options: &TransportOptions, error: &mut Option<String>) -> Step {
        tokio::select! {
            // Without `complete`, so that the client opens a new stream, which another instance answers.
            () = self.shutdown.cancelled() => Step::Stop,
            () = self.events.closed() => Step::Stop,
            refusal = self.watch.refused() => {
                let refused = Outcome::of_refusal(refusal);
                *error = refused.code().map(ToOwned::to_owned);
                Step::Finish(next(&refused) + COMPLETE)
            }
            outcome = self.outcomes.next() => match outcome {
                Some(outcome) => {
                    let code = outcome.response.errors.first().and_then(code_of);
                    *error = error.take().or(code.map(ToOwned::to_owned));
                    Step::Send(next(&outcome))
                }
                None => Step::Finish(COMPLETE.to_owned()),
            },
            () = time::sleep(options.keep_alive) => Step::Send(COMMENT.to_owned()),
        }
    }
}

enum Step {
    Send(String),
    Finish(String),
    Stop,
}
