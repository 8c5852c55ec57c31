//! The one way to the schema: a document is guarded before it runs, and its answer is cleaned after.

use std::{any::TypeId, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use async_graphql::{
    Data, Executor, Positioned, Request, Response, ServerError, Value,
    parser::{
        parse_query,
        types::{DocumentOperations, ExecutableDocument, OperationDefinition, OperationType},
    },
};
use futures::{
    FutureExt, StreamExt,
    stream::{self, BoxStream},
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use tokio::time;
use tracing::{Instrument, Span, error, info_span};

use super::{
    auth::AuthRefusal,
    error::{ErrorCode, MASKED, code_of, expose, is_request_error},
    guard::{self, Limits},
    options::TransportOptions,
    request_id::RequestId,
};

/// Errors in the answer to a request that is refused. More of them help nobody.
const MAX_REQUEST_ERRORS: usize = 20;

/// A schema behind the guard. Everything that implements [`Executor`] can be wrapped.
#[derive(Clone)]
pub struct GuardedExecutor<E> {
    inner: E,
    limits: Limits,
    introspection: bool,
    timeout: Duration,
}

/// Whether the caller has a session; put into the request's data beside it, because the guard does not know its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caller {
    Known,
    Anonymous,
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationKind {
    /// It reads.
    Query,
    /// It writes.
    Mutation,
    /// It answers many times.
    Subscription,
}

impl OperationKind {
    /// Returns the kind as a metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Mutation => "mutation",
            Self::Subscription => "subscription",
        }
    }
}

/// A request that has passed the guard.
pub struct Prepared {
    request: Request,
    kind: OperationKind,
    view: View,
}

impl Prepared {
    /// Returns what the operation does.
    pub fn kind(&self) -> OperationKind {
        self.kind
    }

    /// Returns the span in which the operation runs.
    pub(super) fn span(&self) -> Span {
        info_span!("graphql", request.id = %self.view.id.0, operation.kind = self.kind.as_str())
    }
}

/// How much of an answer the caller may see.
#[derive(Clone)]
struct View {
    id: RequestId,
    schema: bool,
}

/// An answer that may be sent as it is.
#[derive(Debug)]
pub struct Outcome {
    /// The answer of the schema, or the errors of the guard.
    pub response: Response,
    /// Whether the request was refused before any field ran. Such an answer has no `data`.
    pub refused: bool,
}

impl Outcome {
    fn of(mut response: Response, view: &View) -> Self {
        let refused = response.data == Value::Null
            && response.is_err()
            && response.errors.iter().all(is_request_error);
        if refused {
            response.errors.truncate(MAX_REQUEST_ERRORS);
        }
        expose(&mut response.errors, &view.id, view.schema);
        Self { response, refused }
    }

    fn refusal(error: ServerError, view: &View) -> Self {
        Self::of(Response::from_errors(vec![error]), view)
    }

    /// Returns an answer outside of any operation, under a request id of its own.
    pub(super) fn from_error(error: ServerError) -> Self {
        Self::refusal(
            error,
            &View {
                id: RequestId::generate(),
                schema: false,
            },
        )
    }

    /// Returns the answer to a caller who may not go on.
    pub(super) fn of_refusal(refusal: AuthRefusal) -> Self {
        Self::from_error(match refusal {
            AuthRefusal::Unauthenticated(message) => ErrorCode::Unauthenticated.error(message),
            AuthRefusal::Forbidden(message) => ErrorCode::Forbidden.error(message),
            AuthRefusal::Denied(code, message) => code.error(message),
            AuthRefusal::Unavailable => ErrorCode::ServiceUnavailable
                .error("The credential cannot be checked at the moment."),
        })
    }

    /// Returns the code of the first error.
    pub fn code(&self) -> Option<&str> {
        self.response.errors.first().and_then(code_of)
    }
}

// Errors come first, as the specification advises, so that a person sees them above a long answer.
impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if self.response.is_err() {
            map.serialize_entry("errors", &self.response.errors)?;
        }
        if !self.refused {
            map.serialize_entry("data", &self.response.data)?;
        }
        if !self.response.extensions.is_empty() {
            map.serialize_entry("extensions", &self.response.extensions)?;
        }
        map.end()
    }
}

impl<E: Executor> GuardedExecutor<E> {
    /// Puts the guard in front of `inner`.
    pub fn new(inner: E, options: &TransportOptions) -> Self {
        Self {
            inner,
            limits: Limits::of(options),
            introspection: options.introspection,
            timeout: options.request_timeout,
        }
    }

    /// Parses a request and refuses it when it asks for too much.
    ///
    /// # Errors
    ///
    /// Returns the answer to send when the request is refused.
    pub fn prepare(&self, mut request: Request) -> Result<Prepared, Box<Outcome>> {
        let view = self.view(&request);
        match self.check(&request, &view) {
            Ok((document, kind)) => {
                request.set_parsed_query(document);
                if !view.schema {
                    request = request.disable_introspection();
                }
                Ok(Prepared {
                    request,
                    kind,
                    view,
                })
            }
            Err(error) => Err(Box::new(Outcome::refusal(*error, &view))),
        }
    }

    /// Runs a query or a mutation to its end, for no longer than the request may take.
    pub async fn run(&self, prepared: Prepared) -> Outcome {
        let span = prepared.span();
        let Prepared {
            request,
            kind: _,
            view,
        } = prepared;
        let execution = AssertUnwindSafe(self.inner.execute(request)).catch_unwind();
        match time::timeout(self.timeout, execution.instrument(span)).await {
            Ok(Ok(response)) => Outcome::of(response, &view),
            Ok(Err(_)) => Outcome::refusal(panicked(&view.id), &view),
            Err(_) => {
                let error = ErrorCode::Timeout.error("The operation took too long.");
                Outcome::refusal(error, &view)
            }
        }
    }

    /// Runs any operation; a subscription answers until it ends or the stream is dropped.
    pub fn stream(
        &self,
        prepared: Prepared,
        session_data: Option<Arc<Data>>,
    ) -> BoxStream<'static, Outcome> {
        let Prepared {
            request,
            kind: _,
            view,
        } = prepared;
        let answers = self.inner.execute_stream(request, session_data);
        // A panic ends the stream: what it has left behind must not be polled again.
        AssertUnwindSafe(answers)
            .catch_unwind()
            .map(move |answer| match answer {
                Ok(response) => Outcome::of(response, &view),
                Err(_) => Outcome::refusal(panicked(&view.id), &view),
            })
            .boxed()
    }

    fn view(&self, request: &Request) -> View {
        let known = datum(request) == Some(&Caller::Known);
        View {
            id: datum(request).cloned().unwrap_or_else(RequestId::generate),
            schema: known && self.introspection,
        }
    }

    fn check(
        &self,
        request: &Request,
        view: &View,
    ) -> Result<(ExecutableDocument, OperationKind), Box<ServerError>> {
        guard::check_size(&request.query, &self.limits)?;
        let document = parse(&request.query)?;
        let kind = kind_of(select(&document, request.operation_name.as_deref())?);
        let measure = guard::check(&document, &request.variables, &self.limits)?;
        if measure.introspects() && !view.schema {
            return Err(Box::new(self.introspection_refused()));
        }
        Ok((document, kind))
    }

    fn introspection_refused(&self) -> ServerError {
        if self.introspection {
            ErrorCode::Unauthenticated.error("Only authenticated callers may ask for the schema.")
        } else {
            ErrorCode::GraphqlValidationFailed.error("Introspection is switched off.")
        }
    }
}

impl<E: Executor> Executor for GuardedExecutor<E> {
    async fn execute(&self, request: Request) -> Response {
        match self.prepare(request) {
            Ok(prepared) => self.run(prepared).await.response,
            Err(outcome) => outcome.response,
        }
    }

    fn execute_stream(
        &self,
        request: Request,
        session_data: Option<Arc<Data>>,
    ) -> BoxStream<'static, Response> {
        match self.prepare(request) {
            Ok(prepared) => self
                .stream(prepared, session_data)
                .map(|outcome| outcome.response)
                .boxed(),
            Err(outcome) => stream::iter([outcome.response]).boxed(),
        }
    }
}

fn datum<T: 'static>(request: &Request) -> Option<&T> {
    request.data.get(&TypeId::of::<T>())?.downcast_ref()
}

fn parse(query: &str) -> Result<ExecutableDocument, ServerError> {
    parse_query(query).map_err(|error| {
        let error = ServerError::from(error);
        let coded = ErrorCode::GraphqlParseFailed.error(syntax_message(&error.message));
        ServerError {
            locations: error.locations,
            ..coded
        }
    })
}

// The parser draws the faulty line with an arrow below; only the last line says something, and the place is in
// `locations`.
fn syntax_message(message: &str) -> String {
    let reason = message
        .lines()
        .last()
        .unwrap_or_default()
        .trim_start_matches([' ', '=']);
    format!("Syntax error: {reason}")
}

fn kind_of(operation: &Positioned<OperationDefinition>) -> OperationKind {
    match operation.node.ty {
        OperationType::Query => OperationKind::Query,
        OperationType::Mutation => OperationKind::Mutation,
        OperationType::Subscription => OperationKind::Subscription,
    }
}

/// Returns the operation that will run.
fn select<'a>(
    document: &'a ExecutableDocument,
    name: Option<&str>,
) -> Result<&'a Positioned<OperationDefinition>, ServerError> {
    let found = match (&document.operations, name) {
        (DocumentOperations::Single(operation), None) => Ok(operation),
        (DocumentOperations::Multiple(operations), Some(name)) => operations
            .get(name)
            .ok_or("The document has no operation of that name."),
        (DocumentOperations::Single(_), Some(_)) => {
            Err("The document has no operation of that name.")
        }
        (DocumentOperations::Multiple(operations), None) => match operations.values().next() {
            Some(operation) if operations.len() == 1 => Ok(operation),
            _ => Err("The document has several operations: `operationName` must name one."),
        },
    };
    found.map_err(|message| ErrorCode::OperationResolutionFailure.error(message))
}

// The text and the place of a panic are in the log already, from the panic hook.
fn panicked(id: &RequestId) -> ServerError {
    error!(request.id = %id.0, "A resolver panicked");
    ErrorCode::InternalServerError.error(MASKED)
}
