//! One connection from its first byte to its last.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use tracing::debug;

use super::FrontLimits;
use super::seat::Seat;
use super::wire::Wire;

/// Time for a request that is on its way when the server stops.
const LAST: Duration = Duration::from_secs(1);

/// Serves one connection.
pub(super) async fn serve(
    stream: TcpStream,
    seat: Arc<Seat>,
    router: Router,
    limits: FrontLimits,
    stopping: CancellationToken,
) {
    let wire = TokioIo::new(Wire::new(stream, Arc::clone(&seat), limits.stalled));
    let asked = Arc::clone(&seat);
    let service = service_fn(move |request| answer(router.clone(), Arc::clone(&asked), request));
    let mut http = http1::Builder::new();
    // Names of headers are spelled as the client spelled them, where an answer says so: see the upgrade to a socket.
    http.preserve_header_case(true);
    let mut connection = pin!(http.serve_connection(wire, service).with_upgrades());
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = seat.overdue(limits.head, limits.idle) => return debug!("A peer was too slow"),
        () = seat.given_up() => return debug!("An idle connection made room"),
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => ended,
                () = seat.overdue(LAST, LAST) => return,
            }
        }
    };
    if let Err(error) = ended {
        debug!(%error, "A connection broke off");
    }
}

async fn answer(
    router: Router,
    seat: Arc<Seat>,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let turn = Turn::begin(seat);
    let response = router.oneshot(request.map(Body::new)).await?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        turn.stay();
        return Ok(response);
    }
    Ok(response.map(|body| Body::new(Answer { body, _turn: turn })))
}

/// A request that is being answered, until its last byte was taken or the connection broke off.
struct Turn(Option<Arc<Seat>>);

impl Turn {
    fn begin(seat: Arc<Seat>) -> Self {
        seat.begin();
        Self(Some(seat))
    }

    /// Keeps the seat busy for good, because the connection becomes a socket.
    fn stay(mut self) {
        self.0 = None;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(seat) = &self.0 {
            seat.finish();
        }
    }
}

/// The body of an answer, which ends the turn with itself.
struct Answer {
    body: Body,
    _turn: Turn,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
