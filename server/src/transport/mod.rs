//! The GraphQL transport: HTTP, server-sent events and WebSocket in front of an [`Executor`].
//!
//! The schema knows nothing of media types, close codes or limits. Everything a caller sends passes
//! [`GuardedExecutor`] before it reaches the schema, and everything the schema answers passes it again on the way
//! out, so that the three transports cannot differ in what they let in or in what they reveal. The schema itself
//! should be built with [`NullPropagation`], [`ValueCheck`] and [`CostLimit`].
//!
//! | path | method | answer |
//! |---|---|---|
//! | `/graphql` | POST | one JSON result, or an event stream for subscriptions |
//! | `/graphql` | GET | the same for queries; the endpoint page for a browser |
//! | `/graphql`, `/graphql/ws` | GET with `Upgrade` | `graphql-transport-ws` |

mod auth;
mod coercion;
mod cost;
mod credentials;
mod error;
mod executor;
mod guard;
mod http;
mod negotiation;
mod nulls;
mod options;
mod origin;
pub(crate) mod page;
mod params;
mod presence;
mod request_id;
mod sse;
mod weight;
mod ws;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod toy;

use std::sync::Arc;

use async_graphql::{Executor, Request as GraphqlRequest};
use axum::{
    Router,
    extract::{Request, State},
    response::Response,
    routing::any,
};
use tokio_util::sync::CancellationToken;

pub use self::{
    auth::{AuthRefusal, Authenticated, Authenticator},
    coercion::ValueCheck,
    cost::CostLimit,
    credentials::{Credentials, ORGANIZATION},
    error::ErrorCode,
    executor::{GuardedExecutor, OperationKind, Outcome, Prepared},
    nulls::NullPropagation,
    options::{Observer, OperationReport, TransportKind, TransportOptions},
    origin::{Origins, open_to},
    request_id::RequestId,
};

use self::presence::Presence;

/// The hook with which the server adds what must be fresh for each operation, such as data loaders.
pub type ExtendRequest<S> = Arc<dyn Fn(GraphqlRequest, &Option<S>) -> GraphqlRequest + Send + Sync>;

/// Returns the routes of the GraphQL endpoint for `schema`.
///
/// Sockets and streams end when `shutdown` is cancelled; wait for [`TransportOptions::streams`] to see them gone.
pub fn router<E: Executor, A: Authenticator>(
    schema: E,
    authenticator: Arc<A>,
    options: TransportOptions,
    shutdown: CancellationToken,
) -> Router {
    let extend: ExtendRequest<A::Session> = Arc::new(|request, _| request);
    router_with(schema, authenticator, options, shutdown, extend)
}

/// Does the same as [`router`] and calls `extend` for each operation before it runs.
pub fn router_with<E: Executor, A: Authenticator>(
    schema: E,
    authenticator: Arc<A>,
    options: TransportOptions,
    shutdown: CancellationToken,
    extend: ExtendRequest<A::Session>,
) -> Router {
    let transport = Transport {
        presence: Presence::new(options.max_streams, options.max_streams_per_caller),
        origins: Origins::new(&options.allowed_origins),
        executor: GuardedExecutor::new(schema, &options),
        authenticator,
        options: Arc::new(options),
        extend,
        shutdown,
    };
    Router::new()
        .route("/graphql", any(endpoint::<E, A>))
        .route("/graphql/ws", any(socket_endpoint::<E, A>))
        .with_state(transport)
}

/// What every request needs; cheap to clone.
struct Transport<E, A: Authenticator> {
    executor: GuardedExecutor<E>,
    authenticator: Arc<A>,
    options: Arc<TransportOptions>,
    extend: ExtendRequest<A::Session>,
    presence: Arc<Presence>,
    origins: Origins,
    shutdown: CancellationToken,
}

// Derived, it would ask for `A: Clone` although only the `Arc` is cloned.
impl<E: Executor, A: Authenticator> Clone for Transport<E, A> {
    fn clone(&self) -> Self {
        Self {
            executor: self.executor.clone(),
            authenticator: Arc::clone(&self.authenticator),
            options: Arc::clone(&self.options),
            extend: Arc::clone(&self.extend),
            presence: Arc::clone(&self.presence),
            origins: self.origins.clone(),
            shutdown: self.shutdown.clone(),
        }
    }
}

impl<E: Executor, A: Authenticator> Transport<E, A> {
    /// Puts the session, the request id and the server's own data into a request.
    fn dress(
        &self,
        request: GraphqlRequest,
        session: &Option<A::Session>,
        id: &RequestId,
    ) -> GraphqlRequest {
        let caller = match session {
            Some(_) => executor::Caller::Known,
            None => executor::Caller::Anonymous,
        };
        let mut request = request.data(id.clone()).data(caller);
        if let Some(session) = session {
            request = request.data(session.clone());
        }
        (self.extend)(request, session)
    }
}

async fn endpoint<E: Executor, A: Authenticator>(
    State(transport): State<Transport<E, A>>,
    request: Request,
) -> Response {
    if ws::wants_upgrade(request.headers()) {
        return ws::upgrade(transport, request).await;
    }
    http::answer(transport, request).await
}

async fn socket_endpoint<E: Executor, A: Authenticator>(
    State(transport): State<Transport<E, A>>,
    request: Request,
) -> Response {
    ws::upgrade(transport, request).await
}
