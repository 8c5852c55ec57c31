//! The running server.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::control::Control;
use crate::control_http;
use crate::error::{GraphError, RequestIds};
use crate::exchange::{self, GraphRequest};
use crate::inject;
use crate::options::{SandboxOptions, Settings};
use crate::server::Server;
use crate::tenant::Tenant;

/// Largest body of a request to Graph or the login.
const LARGEST_BODY: usize = 1024 * 1024;
/// How long a stop waits for requests under way.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// A running sandbox. It ends when it is stopped or dropped.
pub struct Sandbox {
    control: Control,
    url: String,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Sandbox {
    /// Serves a tenant on a listener.
    pub async fn start(
        listener: TcpListener,
        tenant: Tenant,
        options: SandboxOptions,
    ) -> std::io::Result<Sandbox> {
        let url = format!("http://{}", listener.local_addr()?);
        let base = match &options.public_base {
            Some(base) => base.trim_end_matches('/').to_owned(),
            None => url.clone(),
        };
        let instance = if options.knows_earlier_links {
            tenant.origin
        } else {
            Uuid::new_v4()
        };
        let (stop, stopped) = watch::channel(false);
        let server = Arc::new(Server::new(
            base,
            instance,
            tenant.directory,
            Settings::new(options),
            stopped.clone(),
        ));
        let control = Control::new(server.clone());
        let router = router(server, control.clone());
        let task = tokio::spawn(async move {
            let mut stopped = stopped;
            let served = axum::serve(listener, router).with_graceful_shutdown(async move {
                let _ = stopped.wait_for(|stopping| *stopping).await;
            });
            if let Err(error) = served.await {
                tracing::error!(%error, "The sandbox ended");
            }
        });
        tracing::info!(url, "The Microsoft Graph sandbox serves");
        Ok(Sandbox {
            control,
            url,
            stop,
            task,
        })
    }

    /// Where it serves: the root of Graph (`{url}/v1.0/...`) and of the login
    /// (`{url}/{tenant}/oauth2/v2.0/token`).
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The controls, for the process it runs in.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Stops it. Requests that wait, stall or sleep on request end at once, others are finished.
    pub async fn stop(self) {
        let Sandbox {
            control: _,
            url: _,
            stop,
            mut task,
        } = self;
        // Nobody listening any more means that it has stopped already.
        let _ = stop.send(true);
        if tokio::time::timeout(STOP_PATIENCE, &mut task)
            .await
            .is_err()
        {
            task.abort();
        }
    }

    /// Returns when it has ended.
    pub async fn wait(self) {
        let Sandbox {
            control: _,
            url: _,
            stop: _stop,
            task,
        } = self;
        // A task that panicked or was aborted has ended too.
        let _ = task.await;
    }
}

fn router(server: Arc<Server>, control: Control) -> Router {
    Router::new()
        .route("/{tenant}/oauth2/v2.0/token", post(token))
        .fallback(graph)
        .with_state(server)
        .nest("/sandbox", control_http::router(control))
}

async fn token(
    State(server): State<Arc<Server>>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let (answer, delivery) = exchange::token(&server, &tenant, &headers, &body).await;
    inject::deliver(&server, answer, delivery)
}

async fn graph(State(server): State<Arc<Server>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, LARGEST_BODY).await else {
        return too_large(&server, &parts.headers);
    };
    let request = GraphRequest {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body,
        batched: false,
    };
    let (answer, delivery) = exchange::graph(&server, request).await;
    inject::deliver(&server, answer, delivery)
}

fn too_large(server: &Server, headers: &HeaderMap) -> Response {
    let ids = RequestIds::of(headers, server.clock.now());
    let error = GraphError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "RequestEntityTooLarge",
        "The request is too large.",
    );
    error.into_answer(&ids).respond()
}
