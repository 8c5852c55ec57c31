//! Whether the process lives, whether it can serve, and the schema as a text.

use std::sync::{Arc, LazyLock};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use tracing::warn;

use crate::Context;
use crate::error::chain;

/// Returns the routes for who runs the server.
pub(crate) fn router(context: Arc<Context>) -> Router {
    Router::new()
        .route("/healthz", get(alive))
        .route("/readyz", get(ready))
        .with_state(context)
}

/// Answers as long as the process does.
async fn alive() -> &'static str {
    "ok\n"
}

/// What the server needs, and whether it is there. Why something is missing is in the log.
#[derive(Serialize)]
struct Readiness {
    database: bool,
    migrations: bool,
    queue: bool,
}

/// Answers 200 when requests can be served, else 503.
async fn ready(State(context): State<Arc<Context>>) -> impl IntoResponse {
    let (database, migrations, queue) = tokio::join!(
        context.store.ping(),
        context.store.is_migrated(),
        context.queue.ping()
    );
    let readiness = Readiness {
        database: holds(database.map(|()| true), "The database does not answer"),
        migrations: holds(migrations, "The version of the database cannot be read"),
        queue: holds(queue.map(|()| true), "The queue takes nothing"),
    };
    let all = readiness.database && readiness.migrations && readiness.queue;
    let status = if all {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        [(header::CACHE_CONTROL, "no-store")],
        Json(readiness),
    )
}

fn holds<E: std::error::Error + 'static>(answer: Result<bool, E>, otherwise: &str) -> bool {
    answer.unwrap_or_else(|error| {
        warn!(error = %chain(&error), "{otherwise}");
        false
    })
}

/// Answers with the schema definition language.
pub(crate) async fn schema() -> impl IntoResponse {
    static SDL: LazyLock<String> = LazyLock::new(crate::sdl);
    (
        [(header::CONTENT_TYPE, "text/plain; charset=utf-8")],
        SDL.as_str(),
    )
}
