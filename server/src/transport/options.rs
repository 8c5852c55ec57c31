//! What an operator or a test can set.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lockstep_domain::{Clock, SystemClock};
use tokio_util::task::TaskTracker;

use super::executor::OperationKind;

/// Settings of the transport. The defaults are those of production.
#[derive(Clone)]
pub struct TransportOptions {
    /// Greatest size of a POST body in bytes.
    pub max_body_bytes: usize,
    /// Greatest size of a document in bytes.
    pub max_document_bytes: usize,
    /// Selections of a document with every fragment spread written out.
    pub max_expanded_selections: usize,
    /// Aliased fields of a document, spreads written out.
    pub max_aliases: usize,
    /// Fields directly below an operation.
    pub max_root_fields: usize,
    /// Directives of a document, spreads written out.
    pub max_directives: usize,
    /// Arguments of a document in bytes, with spreads written out and the values of variables filled in at each mention.
    /// A few times the body, because a document may well use a large value more than once.
    pub max_argument_bytes: usize,
    /// Fields below one another. What is below `__schema` and `__type` is counted apart.
    pub max_depth: usize,
    /// Whether authenticated callers may ask for the schema. Anonymous ones never may.
    pub introspection: bool,
    /// Greatest size of one WebSocket frame or message in bytes.
    pub max_frame_bytes: usize,
    /// Operations that one socket may run at the same time.
    pub max_operations_per_socket: usize,
    /// Sockets and event streams at a time. Less than the connections there may be, so that requests find room.
    pub max_streams: usize,
    /// Sockets and event streams of one caller at a time.
    pub max_streams_per_caller: usize,
    /// Messages that may wait for a slow reader, for each socket or stream. Further ones hold the operation back.
    pub outgoing_buffer: usize,
    /// How long a reader may take nothing before it is dropped.
    pub slow_consumer_timeout: Duration,
    /// Time for `connection_init` after the upgrade, and for the authenticator to answer.
    pub init_timeout: Duration,
    /// Time between two pings of a socket. A peer silent for two of them is gone.
    pub ping_interval: Duration,
    /// Time between two comments on a quiet event stream; proxies close at 15 s or later.
    pub keep_alive: Duration,
    /// Time for reading the body and for running one query or mutation.
    pub request_timeout: Duration,
    /// Time between two questions to the authenticator while a socket or a stream lives.
    pub recheck: Duration,
    /// Origins of pages, such as `https://console.example.com`, that may open a socket besides the endpoint's own. For
    /// requests, see [`open_to`](super::open_to).
    pub allowed_origins: Vec<String>,
    /// Whether a browser that opens the endpoint gets a page that says what it is.
    pub page: bool,
    /// Path of the SDL that the page links to.
    pub sdl_path: String,
    /// Called once for each operation that has ended, for metrics; not for one that a socket's client has stopped.
    pub observer: Option<Observer>,
    /// Tracks the sockets and streams that are open. After the shutdown token, `close()` it and `wait()` for the
    /// closing frames to be sent.
    pub streams: TaskTracker,
    /// The clock that credentials are compared with.
    pub clock: Arc<dyn Clock>,
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self {
            max_body_bytes: 1 << 20,
            max_document_bytes: 64 << 10,
            max_expanded_selections: 3_000,
            max_aliases: 50,
            max_root_fields: 20,
            max_directives: 100,
            max_argument_bytes: 4 << 20,
            max_depth: 15,
            introspection: true,
            max_frame_bytes: 1 << 20,
            max_operations_per_socket: 50,
            max_streams: 750,
            max_streams_per_caller: 50,
            outgoing_buffer: 64,
            slow_consumer_timeout: Duration::from_secs(10),
            init_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(20),
            keep_alive: Duration::from_secs(12),
            request_timeout: Duration::from_secs(30),
            recheck: Duration::from_secs(30),
            allowed_origins: Vec::new(),
            page: true,
            sdl_path: "/schema.graphql".to_owned(),
            observer: None,
            streams: TaskTracker::new(),
            clock: Arc::new(SystemClock),
        }
    }
}

/// Receives an [`OperationReport`] for each operation.
pub type Observer = Arc<dyn Fn(&OperationReport) + Send + Sync>;

/// What became of one operation. Holds nothing of the caller, so that it can label metrics; codes are few.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationReport {
    /// How the operation arrived.
    pub transport: TransportKind,
    /// Query, mutation or subscription; `None` when the document was refused before that was known.
    pub kind: Option<OperationKind>,
    /// Code of the first error, or `None` for success.
    pub error: Option<String>,
    /// From the arrival to the last byte handed on.
    pub duration: Duration,
}

/// How an operation arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportKind {
    /// One request, one JSON result.
    Http,
    /// One request, an event stream.
    Sse,
    /// A message on a socket.
    WebSocket,
}

impl OperationReport {
    /// Tells the observer, if there is one.
    pub(super) fn send(
        options: &TransportOptions,
        transport: TransportKind,
        kind: Option<OperationKind>,
        error: Option<&str>,
        started: Instant,
    ) {
        if let Some(observer) = &options.observer {
            observer(&Self {
                transport,
                kind,
                error: error.map(ToOwned::to_owned),
                duration: started.elapsed(),
            });
        }
    }
}
