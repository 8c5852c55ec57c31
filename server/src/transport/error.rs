//! Codes of errors: which one an error gets, which text a caller may see, which HTTP status follows.

use async_graphql::{ErrorExtensionValues, ServerError, Value};
use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tracing::error;

use super::{
    negotiation::Media,
    request_id::{self, RequestId},
};

/// The values of `errors[].extensions.code`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorCode {
    /// The document is not GraphQL.
    GraphqlParseFailed,
    /// The document does not fit the schema.
    GraphqlValidationFailed,
    /// A variable, an argument or the request around the document is wrong.
    BadUserInput,
    /// The document does not say which operation to run.
    OperationResolutionFailure,
    /// A document was named by its hash, which this server does not keep.
    PersistedQueryNotSupported,
    /// The caller has to sign in, or to do so again.
    Unauthenticated,
    /// The caller may not do this.
    Forbidden,
    /// The credential holds, but nobody here is known by it.
    SignInUnknown,
    /// The credential is of a user who is deactivated.
    UserDeactivated,
    /// The credential is of a user of several organizations and does not say which is meant.
    OrganizationNeeded,
    /// Too many at once.
    RateLimited,
    /// The document asks for too much.
    CostLimitExceeded,
    /// The document is nested too deeply.
    DepthLimitExceeded,
    /// It took too long.
    Timeout,
    /// Something that the server needs is away.
    ServiceUnavailable,
    /// A fault of the server; the log has the rest under the request id.
    InternalServerError,
}

impl ErrorCode {
    /// Returns the code as written in the response.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GraphqlParseFailed => "GRAPHQL_PARSE_FAILED",
            Self::GraphqlValidationFailed => "GRAPHQL_VALIDATION_FAILED",
            Self::BadUserInput => "BAD_USER_INPUT",
            Self::OperationResolutionFailure => "OPERATION_RESOLUTION_FAILURE",
            Self::PersistedQueryNotSupported => "PERSISTED_QUERY_NOT_SUPPORTED",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Forbidden => "FORBIDDEN",
            Self::SignInUnknown => "SIGN_IN_UNKNOWN",
            Self::UserDeactivated => "USER_DEACTIVATED",
            Self::OrganizationNeeded => "ORGANIZATION_NEEDED",
            Self::RateLimited => "RATE_LIMITED",
            Self::CostLimitExceeded => "COST_LIMIT_EXCEEDED",
            Self::DepthLimitExceeded => "DEPTH_LIMIT_EXCEEDED",
            Self::Timeout => "TIMEOUT",
            Self::ServiceUnavailable => "SERVICE_UNAVAILABLE",
            Self::InternalServerError => "INTERNAL_SERVER_ERROR",
        }
    }

    /// Returns an error with this code.
    pub fn error(self, message: impl Into<String>) -> ServerError {
        let mut error = ServerError::new(message, None);
        set(&mut error, "code", self.as_str());
        error
    }
}

/// Text of every error whose own text is not for the caller.
pub(super) const MASKED: &str =
    "Something went wrong on the server. Tell the operator the request id.";

/// Completes the errors of one answer: each gets a code and the request id, and an unexpected one loses its text.
///
/// An error is expected when it carries a code or is one that async-graphql makes itself. `suggestions` says whether
/// the caller may read names of the schema.
pub(super) fn expose(errors: &mut [ServerError], id: &RequestId, suggestions: bool) {
    for error in errors {
        if code_of(error).is_none() {
            match classify(error) {
                Some(code) => set(error, "code", code.as_str()),
                None => mask(error, id),
            }
            if !suggestions {
                drop_suggestion(&mut error.message);
            }
        }
        set(error, "requestId", &id.0);
        // The cause may hold anything and has no further use.
        error.source = None;
    }
}

/// Whether an error is about the request and not about anything that ran.
///
/// async-graphql looks at the values of arguments only when it comes to their field; at the root nothing has run then.
pub(super) fn is_request_error(error: &ServerError) -> bool {
    let at_root = error.path.len() == 1 && error.source.is_none() && code_of(error).is_none();
    error.path.is_empty() || (at_root && is_coercion(&error.message))
}

/// Returns the code that an error carries.
pub(super) fn code_of(error: &ServerError) -> Option<&str> {
    match error.extensions.as_ref()?.get("code")? {
        Value::String(code) => Some(code),
        Value::Enum(code) => Some(code),
        _ => None,
    }
}

/// Returns the code of an error that async-graphql itself has made, or `None` for any other.
///
/// async-graphql has no codes, so its texts must do. A resolver's error is told apart by its cause, which `?` keeps,
/// and by its path, which the errors of validation do not have.
fn classify(error: &ServerError) -> Option<ErrorCode> {
    if error.source.is_some() {
        return None;
    }
    let message = error.message.as_str();
    if message.starts_with("The number of directives on") {
        return Some(ErrorCode::CostLimitExceeded);
    }
    if message == "Query is nested too deep."
        || message.starts_with("The recursion depth of the query")
    {
        return Some(ErrorCode::DepthLimitExceeded);
    }
    if is_coercion(message) {
        return Some(ErrorCode::BadUserInput);
    }
    let found_by_validation = error.path.is_empty() && !error.locations.is_empty();
    found_by_validation.then_some(ErrorCode::GraphqlValidationFailed)
}

/// Whether async-graphql says that a value does not fit its type.
pub(super) fn is_coercion(message: &str) -> bool {
    let starts = [
        "Invalid value for argument ",
        "Failed to parse \"",
        "Expected input type \"",
    ];
    starts.iter().any(|start| message.starts_with(start))
        || (message.starts_with("Variable ") && message.ends_with(" is not defined."))
}

fn mask(error: &mut ServerError, id: &RequestId) {
    error!(
        request.id = %id.0,
        path = ?error.path,
        error = %error.message,
        "A resolver failed unexpectedly"
    );
    MASKED.clone_into(&mut error.message);
    set(error, "code", ErrorCode::InternalServerError.as_str());
}

fn drop_suggestion(message: &mut String) {
    if let Some(start) = message.find(" Did you mean") {
        message.truncate(start);
    }
}

fn set(error: &mut ServerError, name: &str, value: &str) {
    error
        .extensions
        .get_or_insert_with(ErrorExtensionValues::default)
        .set(name, value);
}

/// Returns the status of a request that was refused with `code` before any field ran.
///
/// The one place to change when 422 for validation is wanted. Clients that accept only `application/json` take any
/// status but 2xx for a broken network, so they get 200 where the fault is in the document.
pub(super) fn status_of(code: &str, media: Media) -> StatusCode {
    match code {
        "UNAUTHENTICATED" => StatusCode::UNAUTHORIZED,
        "FORBIDDEN" => StatusCode::FORBIDDEN,
        "RATE_LIMITED" => StatusCode::TOO_MANY_REQUESTS,
        "TIMEOUT" => StatusCode::GATEWAY_TIMEOUT,
        "SERVICE_UNAVAILABLE" => StatusCode::SERVICE_UNAVAILABLE,
        "INTERNAL_SERVER_ERROR" => StatusCode::INTERNAL_SERVER_ERROR,
        _ if media == Media::Json => StatusCode::OK,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// A request that is refused before there is a document to speak of.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: ErrorCode,
    pub(super) message: String,
    pub(super) header: Option<(HeaderName, &'static str)>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            header: None,
        }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, ErrorCode::BadUserInput, message)
    }

    pub(super) fn method_not_allowed(message: &str, allow: &'static str) -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            ErrorCode::BadUserInput,
            message,
        )
        .with(header::ALLOW, allow)
    }

    pub(super) fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.header = Some((name, value));
        self
    }

    pub(super) fn into_response(self, id: &RequestId, media: Media) -> Response {
        let mut errors = [self.code.error(self.message)];
        expose(&mut errors, id, false);
        let mut response = (self.status, Json(ErrorBody { errors })).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, media.content_type());
        if let Some((name, value)) = self.header {
            headers.insert(name, HeaderValue::from_static(value));
        }
        finish(response, id)
    }
}

#[derive(Serialize)]
struct ErrorBody {
    errors: [ServerError; 1],
}

/// Adds the headers that every answer of the endpoint has.
pub(super) fn finish(mut response: Response, id: &RequestId) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::VARY,
        HeaderValue::from_static("accept, authorization, lockstep-organization"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if let Some(id) = id.header_value() {
        headers.insert(request_id::HEADER, id);
    }
    response
}

#[cfg(test)]
mod tests {
    use async_graphql::{PathSegment, Pos};

    use super::*;

    fn exposed(mut error: ServerError, suggestions: bool) -> ServerError {
        expose(
            std::slice::from_mut(&mut error),
            &RequestId("r1".to_owned()),
            suggestions,
        );
        error
    }

    fn at_field(message: &str) -> ServerError {
        ServerError::new(message, Some(Pos { line: 1, column: 3 }))
            .with_path(vec![PathSegment::Field("viewer".to_owned())])
    }

    #[test]
    fn unexpected_error_loses_its_text() {
        let error = exposed(at_field("password of postgres is hunter2"), true);
        assert_eq!(error.message, MASKED);
        assert_eq!(code_of(&error), Some("INTERNAL_SERVER_ERROR"));
    }

    #[test]
    fn error_with_a_code_keeps_its_text() {
        let mut error = at_field("No such team.");
        set(&mut error, "code", "NOT_FOUND");
        let error = exposed(error, true);
        assert_eq!(
            (error.message.as_str(), code_of(&error)),
            ("No such team.", Some("NOT_FOUND"))
        );
    }

    #[test]
    fn every_error_carries_the_request_id() {
        let error = exposed(at_field("x"), true);
        let id = error
            .extensions
            .as_ref()
            .and_then(|values| values.get("requestId"));
        assert_eq!(id, Some(&Value::from("r1")));
    }

    #[test]
    fn input_error_of_a_running_field_is_the_callers() {
        let error = exposed(
            at_field("Expected input type \"Int\", found 3000000000."),
            true,
        );
        assert_eq!(code_of(&error), Some("BAD_USER_INPUT"));
    }

    #[test]
    fn suggestion_is_kept_from_anonymous_callers() {
        let unknown = "Unknown field \"a\" on type \"Query\". Did you mean \"b\"?";
        let error = ServerError::new(unknown, Some(Pos { line: 1, column: 3 }));
        assert_eq!(exposed(error.clone(), true).message, unknown);
        assert_eq!(
            exposed(error, false).message,
            "Unknown field \"a\" on type \"Query\"."
        );
    }

    #[test]
    fn legacy_clients_get_200_for_a_bad_document_but_not_for_an_outage() {
        assert_eq!(
            status_of("GRAPHQL_PARSE_FAILED", Media::Json),
            StatusCode::OK
        );
        assert_eq!(
            status_of("GRAPHQL_PARSE_FAILED", Media::GraphqlResponse),
            StatusCode::BAD_REQUEST
        );
        assert_eq!(
            status_of("SERVICE_UNAVAILABLE", Media::Json),
            StatusCode::SERVICE_UNAVAILABLE
        );
    }
}
