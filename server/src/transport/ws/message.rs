//! The messages of `graphql-transport-ws`.

use async_graphql::ServerError;
use axum::extract::ws::Message;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    super::{credentials::Credentials, executor::Outcome},
    close::Close,
};

/// Longest id of an operation in bytes; a UUID has 36. It comes back with every result.
const MAX_ID: usize = 256;

/// What a client sends.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ClientMessage {
    ConnectionInit { payload: Option<Map<String, Value>> },
    Ping { payload: Option<Map<String, Value>> },
    Pong {},
    Subscribe { id: String, payload: Value },
    Complete { id: String },
}

impl ClientMessage {
    /// Reads a text frame.
    pub(super) fn read(text: &str) -> Result<Self, Close> {
        let message =
            serde_json::from_str(text).map_err(|_| Close::bad_request("Invalid message"))?;
        if let Self::Subscribe { id, .. } = &message
            && (id.is_empty() || id.len() > MAX_ID)
        {
            return Err(Close::bad_request("Invalid id"));
        }
        Ok(message)
    }
}

/// What the server sends.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum ServerMessage<'a> {
    ConnectionAck,
    Ping,
    Pong {
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<Map<String, Value>>,
    },
    Next {
        id: &'a str,
        payload: &'a Outcome,
    },
    Error {
        id: &'a str,
        payload: &'a [ServerError],
    },
    Complete {
        id: &'a str,
    },
}

impl ServerMessage<'_> {
    pub(super) fn frame(&self) -> Message {
        Message::text(serde_json::to_string(self).expect("GraphQL values are JSON"))
    }
}

/// Returns the credentials in the payload of `connection_init`.
pub(super) fn credentials(payload: Option<&Map<String, Value>>) -> Result<Credentials, Close> {
    Credentials::of_payload(payload).map_err(|name| match name {
        "Authorization" => Close::bad_request("Authorization must be a string"),
        _ => Close::bad_request("Lockstep-Organization must be a string"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(text: &str) -> u16 {
        ClientMessage::read(text)
            .expect_err("a message that must be refused")
            .code
    }

    #[test]
    fn broken_messages_are_bad_requests() {
        for text in [
            "no json",
            "[]",
            r#"{"type":"sing"}"#,
            r#"{"id":"1","payload":{}}"#,
            r#"{"type":"subscribe","payload":{"query":"{a}"}}"#,
            r#"{"type":"subscribe","id":"","payload":{"query":"{a}"}}"#,
            r#"{"type":"ping","payload":1}"#,
        ] {
            assert_eq!(refused(text), 4400, "{text}");
        }
    }

    #[test]
    fn credential_is_found_in_either_case() {
        for (name, organization) in [
            ("Authorization", "Lockstep-Organization"),
            ("authorization", "lockstep-organization"),
        ] {
            let payload = json!({ name: "Bearer x", organization: "y" });
            let found = credentials(payload.as_object()).unwrap();
            assert_eq!(found.authorization.as_deref(), Some("Bearer x"));
            assert_eq!(found.organization.as_deref(), Some("y"));
        }
        assert_eq!(credentials(None), Ok(Credentials::default()));
    }

    #[test]
    fn credential_that_is_no_text_is_a_bad_request() {
        for name in ["Authorization", "Lockstep-Organization"] {
            let payload = json!({ name: 1 });
            let refused = credentials(payload.as_object());
            assert_eq!(refused.map_err(|close| close.code), Err(4400), "{name}");
        }
    }
}
