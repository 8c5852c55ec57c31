//! The GraphQL API over HTTP, WebSocket and SSE. Never talks to Microsoft Graph.
//!
//! | module | what it holds |
//! |---|---|
//! | [`transport`] | media types, sockets, streams and limits in front of the schema |
//! | [`front`] | the serve loop: connections, their limits, their end |
//! | [`auth`] | bearer tokens |
//! | `session` | who is asking and what they may do |
//! | `query`, `mutation`, `subscription` | the entry points |
//! | `object` | the types, each around what the store has |
//! | `loader`, `wave` | one statement for the rows that the fields of one operation ask for one by one |

pub mod auth;
pub mod front;
pub mod transport;

mod error;
mod filter;
mod health;
mod id;
mod loader;
mod mutation;
mod object;
mod page;
mod query;
mod scalar;
mod session;
mod signal;
mod subscription;
#[cfg(test)]
mod tests;
mod wave;
mod welcome;

use std::sync::Arc;

use async_graphql::{Request, SDLExportOptions, SchemaBuilder};
use axum::Router;
use axum::routing::get;
use lockstep_queue::Queue;
use lockstep_seal::Sealer;
use lockstep_store::Store;
use tokio_util::sync::CancellationToken;

use self::loader::Loaders;
pub use self::mutation::Mutation;
pub use self::query::Query;
pub use self::session::Session;
pub use self::subscription::Subscription;
use self::transport::{
    Authenticator, CostLimit, ExtendRequest, NullPropagation, Origins, TransportOptions,
    ValueCheck, open_to,
};
use self::wave::Waves;

/// The schema.
pub type Schema = async_graphql::Schema<Query, Mutation, Subscription>;

/// Greatest complexity of a document: one for each field, times the size of each list around it. The largest page of
/// runs with every field has a tenth of it.
pub const MAX_COMPLEXITY: usize = 50_000;

/// Fields below one another that async-graphql lets through. The transport has the limit that clients meet; this one
/// only has to be above it, and above what an introspection needs.
const MAX_DEPTH: usize = 24;

/// What resolvers need of the application.
pub struct Context {
    /// The database.
    pub store: Store,
    /// Where workers are woken, and its bus.
    pub queue: Queue,
    /// Seals client secrets; cannot open them.
    pub sealer: Sealer,
    /// Languages that e-mails can be written in.
    pub languages: Vec<Language>,
    /// Semantic version of the server.
    pub version: String,
    /// Source revision the server was built from.
    pub revision: Option<String>,
}

/// A language that e-mails can be written in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Language {
    /// Tag of BCP 47, for example `de-AT`.
    pub tag: String,
    /// Name of the language in itself, for example `Deutsch`.
    pub name: String,
}

/// Limits of the transport, as far as clients are told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: TransportOptions::default().max_depth,
        }
    }
}

/// Returns what resolvers need of the application; put into the schema when it is built.
fn app<'a>(ctx: &async_graphql::Context<'a>) -> &'a Context {
    ctx.data_unchecked::<Arc<Context>>()
}

/// Builds the schema.
#[must_use]
pub fn schema(context: Arc<Context>) -> Schema {
    builder().data(context).finish()
}

fn builder() -> SchemaBuilder<Query, Mutation, Subscription> {
    Schema::build(Query, Mutation::default(), Subscription)
        .register_output_type::<mutation::UserError>()
        .limit_depth(MAX_DEPTH)
        .extension(NullPropagation)
        .extension(ValueCheck)
        .extension(CostLimit(MAX_COMPLEXITY))
        .extension(Waves)
}

/// Returns the schema in the schema definition language, the same for the same code.
#[must_use]
pub fn sdl() -> String {
    let options = SDLExportOptions::new()
        .sorted_fields()
        .sorted_arguments()
        .sorted_enum_items()
        .include_specified_by()
        .prefer_single_line_descriptions();
    builder().finish().sdl_with_options(options)
}

/// Adds the caller and fresh data loaders to a request, as the router does for each operation.
#[must_use]
pub fn dress(request: Request, context: &Context, session: Option<Session>) -> Request {
    let organization = session.as_ref().and_then(Session::organization_id);
    let request = request.data(Loaders::new(context.store.clone(), organization));
    match session {
        Some(session) => request.data(session),
        None => request,
    }
}

/// Returns the routes of the server: `/`, `/graphql`, `/graphql/ws`, `/schema.graphql`, `/healthz` and `/readyz`.
///
/// Sockets and streams end when `shutdown` is cancelled.
pub fn router<A: Authenticator<Session = Session>>(
    context: Arc<Context>,
    authenticator: Arc<A>,
    options: TransportOptions,
    shutdown: CancellationToken,
) -> Router {
    let welcome = welcome::router(&options);
    let sdl_path = options.sdl_path.clone();
    let shows_schema = options.introspection;
    let origins = Origins::new(&options.allowed_origins);
    let limits = Limits {
        depth: options.max_depth,
    };
    let dresser = Arc::clone(&context);
    let extend: ExtendRequest<Session> = Arc::new(move |request, session| {
        let organization = session.as_ref().and_then(Session::organization_id);
        request
            .data(limits)
            .data(Loaders::new(dresser.store.clone(), organization))
    });
    let graphql = transport::router_with(
        schema(Arc::clone(&context)),
        authenticator,
        options,
        shutdown,
        extend,
    );
    let router = graphql.merge(health_router(context)).merge(welcome);
    let router = if shows_schema {
        router.route(&sdl_path, get(health::schema))
    } else {
        router
    };
    open_to(router, origins)
}

/// Returns the routes `/healthz` and `/readyz` alone, for a listener of their own.
pub fn health_router(context: Arc<Context>) -> Router {
    health::router(context)
}
