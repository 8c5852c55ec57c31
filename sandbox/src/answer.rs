//! An answer before it becomes HTTP, so that faults and batches can still change it.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::Value;

/// The content type of every Graph answer in JSON.
pub(crate) const GRAPH_JSON: &str = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8";

/// Status, headers and body of one answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: Vec<(HeaderName, String)>,
    pub(crate) body: AnswerBody,
}

/// What an answer carries.
#[derive(Debug, Clone)]
pub(crate) enum AnswerBody {
    Json(Value),
    Html(String),
}

impl Answer {
    /// An answer in Graph's JSON.
    pub(crate) fn json(status: StatusCode, body: Value) -> Answer {
        Answer {
            status,
            headers: vec![(header::CONTENT_TYPE, GRAPH_JSON.to_owned())],
            body: AnswerBody::Json(body),
        }
    }

    /// An answer of some machine between the client and Graph.
    pub(crate) fn html(status: StatusCode) -> Answer {
        let reason = status.canonical_reason().unwrap_or("Error");
        Answer {
            status,
            headers: vec![(header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned())],
            body: AnswerBody::Html(format!(
                "<html><head><title>{0} {reason}</title></head><body><h2>{0} {reason}</h2><hr>gateway</body></html>",
                status.as_u16()
            )),
        }
    }

    /// Adds or replaces a header.
    pub(crate) fn set_header(&mut self, name: HeaderName, value: String) {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value));
    }

    /// The JSON body, when there is one.
    pub(crate) fn json_mut(&mut self) -> Option<&mut Value> {
        match &mut self.body {
            AnswerBody::Json(value) => Some(value),
            AnswerBody::Html(_) => None,
        }
    }

    /// The body as it goes over the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        match &self.body {
            // A `Value` always serializes: its keys are strings.
            AnswerBody::Json(value) => serde_json::to_vec(value).unwrap_or_default(),
            AnswerBody::Html(text) => text.clone().into_bytes(),
        }
    }

    /// The HTTP response with this status and these headers around `body`.
    pub(crate) fn respond_with(&self, body: Body) -> Response {
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        for (name, value) in &self.headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                response.headers_mut().insert(name.clone(), value);
            }
        }
        response
    }

    /// The whole HTTP response.
    pub(crate) fn respond(self) -> Response {
        let body = Body::from(self.bytes());
        self.respond_with(body)
    }
}
