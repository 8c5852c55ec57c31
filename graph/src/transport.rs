//! Sends one request once: headers, time limits, the body cap.

use std::{
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use reqwest::{
    Client, RequestBuilder, Response, StatusCode,
    header::{ACCEPT, HeaderMap, HeaderValue},
    redirect::Policy,
};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::{ClientOptions, Endpoints, GraphError, refusal::Refusal, stats::Counters, throttle};

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) operation: &'static str,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// Generation of the token it was asked with, zero for none.
    pub(crate) generation: u64,
}

impl Reply {
    pub(crate) fn refusal(&self) -> Refusal<'_> {
        Refusal {
            operation: self.operation,
            status: self.status.as_u16(),
            retry_after: throttle::retry_after(self.header("retry-after"), self.header("date")),
            request_id: self.header("request-id"),
            body: &self.body,
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// How far requests go.
#[derive(Debug, Clone, Copy)]
struct Reach {
    loopback: bool,
    plain: bool,
}

/// The HTTP client, and what every request has in common.
pub(crate) struct Transport {
    client: Mutex<Client>,
    reach: Reach,
    options: ClientOptions,
    pub(crate) counters: Counters,
}

impl Transport {
    pub(crate) fn new(endpoints: &Endpoints, options: ClientOptions) -> Result<Self, GraphError> {
        let reach = Reach {
            loopback: endpoints.are_loopback(),
            plain: endpoints.use_plain_http(),
        };
        let client = connect(reach, &options)?;
        Ok(Self {
            client: Mutex::new(client),
            reach,
            options,
            counters: Counters::default(),
        })
    }

    /// Returns the client with its present connections.
    pub(crate) fn client(&self) -> Client {
        self.client
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Drops all connections: after a 503 Microsoft wants a new one, which may reach another server.
    pub(crate) fn reconnect(&self) {
        if let Ok(fresh) = connect(self.reach, &self.options) {
            *self.client.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        }
    }

    /// Sends a request and reads the answer, whatever its status.
    pub(crate) async fn send(
        &self,
        operation: &'static str,
        request: RequestBuilder,
        limit: Duration,
    ) -> Result<Reply, GraphError> {
        let request_id = Uuid::new_v4();
        let request = request
            .timeout(limit)
            .header("client-request-id", request_id.to_string());
        let began = Instant::now();
        let outcome = self.exchange(operation, request).await;
        let status = outcome.as_ref().map_or(0, |reply| reply.status.as_u16());
        let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(request.id = %request_id, operation, status, duration_ms, "asked Graph");
        outcome
    }

    async fn exchange(
        &self,
        operation: &'static str,
        request: RequestBuilder,
    ) -> Result<Reply, GraphError> {
        let mut response = request
            .send()
            .await
            .map_err(|error| broken(operation, error))?;
        let body = self.read_body(operation, &mut response).await?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        Ok(Reply {
            operation,
            status,
            headers,
            body,
            generation: 0,
        })
    }

    async fn read_body(
        &self,
        operation: &'static str,
        response: &mut Response,
    ) -> Result<Vec<u8>, GraphError> {
        let mut body = Vec::new();
        loop {
            let Ok(chunk) = timeout(self.options.read_timeout, response.chunk()).await else {
                return Err(GraphError::Transport {
                    operation,
                    reason: "the answer stalled",
                    source: None,
                });
            };
            let Some(chunk) = chunk.map_err(|error| broken(operation, error))? else {
                return Ok(body);
            };
            self.counters.count_bytes(chunk.len());
            // The cap is on what comes out of decompression, which knows none of its own.
            if body.len() + chunk.len() > self.options.max_body_bytes {
                let status = response.status().as_u16();
                return Err(GraphError::BadResponse {
                    operation,
                    reason: "the answer is too large",
                    status,
                });
            }
            body.extend_from_slice(&chunk);
        }
    }
}

fn connect(reach: Reach, options: &ClientOptions) -> Result<Client, GraphError> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(
        "x-ms-throttle-priority",
        HeaderValue::from_static(options.priority.header()),
    );
    let builder = Client::builder()
        .user_agent(concat!("lockstep/", env!("CARGO_PKG_VERSION")))
        .default_headers(headers)
        .connect_timeout(options.connect_timeout)
        // A redirect could lead the token away.
        .redirect(Policy::none())
        .https_only(!reach.plain);
    let builder = if reach.loopback {
        builder.no_proxy()
    } else {
        builder
    };
    builder.build().map_err(|_| GraphError::Configuration {
        reason: "the HTTP client could not be set up",
    })
}

fn broken(operation: &'static str, error: reqwest::Error) -> GraphError {
    let error = error.without_url();
    if !error.is_connect() && is_corrupt(&error) {
        return GraphError::BadResponse {
            operation,
            reason: "the answer could not be decompressed",
            status: 0,
        };
    }
    let reason = if error.is_timeout() {
        "timed out"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    };
    GraphError::Transport {
        operation,
        reason,
        source: Some(Arc::new(error)),
    }
}

/// Whether the content broke, not the connection. (A wrong certificate looks alike, but fails to connect.)
fn is_corrupt(error: &reqwest::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, InvalidInput};
    let mut cause = error.source();
    while let Some(error) = cause {
        let kind = error
            .downcast_ref::<std::io::Error>()
            .map(std::io::Error::kind);
        if matches!(kind, Some(InvalidData | InvalidInput)) {
            return true;
        }
        cause = error.source();
    }
    false
}
