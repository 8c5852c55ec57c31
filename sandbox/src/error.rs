//! Graph's own errors, in the shape Graph gives them.

use std::borrow::Cow;

use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

use crate::answer::Answer;

/// The identifiers that every Graph answer repeats.
#[derive(Debug, Clone)]
pub(crate) struct RequestIds {
    pub(crate) request: String,
    pub(crate) client: String,
    pub(crate) at: DateTime<Utc>,
}

impl RequestIds {
    /// Takes over the caller's `client-request-id`, if it is a plain one.
    pub(crate) fn of(headers: &HeaderMap, at: DateTime<Utc>) -> RequestIds {
        let request = Uuid::new_v4().to_string();
        let client = headers
            .get("client-request-id")
            .and_then(|value| value.to_str().ok())
            .filter(|value| !value.is_empty() && value.len() <= 128)
            .map_or_else(|| request.clone(), str::to_owned);
        RequestIds {
            request,
            client,
            at,
        }
    }
}

/// An error answer of Graph.
#[derive(Debug, Clone)]
pub(crate) struct GraphError {
    pub(crate) status: StatusCode,
    pub(crate) code: Cow<'static, str>,
    pub(crate) message: String,
    pub(crate) headers: Vec<(HeaderName, String)>,
}

impl GraphError {
    /// An error with any status, code and message.
    pub(crate) fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> GraphError {
        GraphError {
            status,
            code: code.into(),
            message: message.into(),
            headers: Vec::new(),
        }
    }

    /// The request is malformed.
    pub(crate) fn bad_request(message: impl Into<String>) -> GraphError {
        GraphError::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// A query option or its value is not supported on this path.
    pub(crate) fn unsupported_query(message: impl Into<String>) -> GraphError {
        GraphError::new(StatusCode::BAD_REQUEST, "Request_UnsupportedQuery", message)
    }

    /// There is no such path.
    pub(crate) fn unknown_segment(segment: &str) -> GraphError {
        GraphError::bad_request(format!("Resource not found for the segment '{segment}'."))
    }

    /// The path exists, the method does not.
    pub(crate) fn method_not_allowed() -> GraphError {
        GraphError::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "Request_BadRequest",
            "Specified HTTP method is not allowed for the request target.",
        )
    }

    /// There is no such object.
    pub(crate) fn not_found(id: &str) -> GraphError {
        GraphError::new(
            StatusCode::NOT_FOUND,
            "Request_ResourceNotFound",
            format!(
                "Resource '{id}' does not exist or one of its queried reference-property objects are not present."
            ),
        )
    }

    /// The permission is missing.
    pub(crate) fn denied() -> GraphError {
        GraphError::new(
            StatusCode::FORBIDDEN,
            "Authorization_RequestDenied",
            "Insufficient privileges to complete the operation.",
        )
    }

    /// The access token is missing, expired or unknown.
    pub(crate) fn unauthenticated(message: &str) -> GraphError {
        let mut error = GraphError::new(
            StatusCode::UNAUTHORIZED,
            "InvalidAuthenticationToken",
            message,
        );
        error.headers.push((
            header::WWW_AUTHENTICATE,
            "Bearer realm=\"\", authorization_uri=\"https://login.microsoftonline.com/common/oauth2/authorize\", client_id=\"00000003-0000-0000-c000-000000000000\"".to_owned(),
        ));
        error
    }

    /// The answer with Graph's error body.
    pub(crate) fn into_answer(self, ids: &RequestIds) -> Answer {
        let body = json!({ "error": {
            "code": self.code,
            "message": self.message,
            "innerError": {
                "date": ids.at.format("%Y-%m-%dT%H:%M:%S").to_string(),
                "request-id": ids.request,
                "client-request-id": ids.client,
            }
        }});
        let mut answer = Answer::json(self.status, body);
        answer.headers.extend(self.headers);
        answer
    }
}
