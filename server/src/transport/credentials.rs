//! What a caller shows: who they are, and which of their organizations they mean.

use std::fmt;

use axum::http::{HeaderMap, HeaderName, header};
use serde_json::{Map, Value};

use super::error::Refusal;

/// The header that says which organization is meant, and the entry of the payload of `connection_init`.
pub const ORGANIZATION: HeaderName = HeaderName::from_static("lockstep-organization");

/// What a caller shows.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The whole value of the `Authorization` header (`Bearer …`), none when there was none.
    pub authorization: Option<String>,
    /// The organization that is meant, none when the caller leaves that to the credential.
    pub organization: Option<String>,
}

/// A credential does not belong into a log.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("authorization", &self.authorization.as_ref().map(|_| "…"))
            .field("organization", &self.organization)
            .finish()
    }
}

impl Credentials {
    /// Reads those of a request; two of a kind, or one that is no text, are refused.
    pub(super) fn of_headers(headers: &HeaderMap) -> Result<Self, Refusal> {
        Ok(Self {
            authorization: single(headers, &header::AUTHORIZATION)?,
            organization: single(headers, &ORGANIZATION)?,
        })
    }

    /// Reads those in the payload of `connection_init`; the error is the name of an entry that is no text.
    pub(super) fn of_payload(payload: Option<&Map<String, Value>>) -> Result<Self, &'static str> {
        Ok(Self {
            authorization: entry(payload, "Authorization")?,
            organization: entry(payload, "Lockstep-Organization")?,
        })
    }

    /// Takes what is not there from others.
    pub(super) fn or(self, others: Self) -> Self {
        Self {
            authorization: self.authorization.or(others.authorization),
            organization: self.organization.or(others.organization),
        }
    }
}

fn single(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, Refusal> {
    let title = if *name == ORGANIZATION {
        "Lockstep-Organization"
    } else {
        "Authorization"
    };
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => match value.to_str() {
            Ok("") => Ok(None),
            Ok(value) => Ok(Some(value.to_owned())),
            Err(_) => Err(Refusal::bad_request(format!(
                "The {title} header is not plain text."
            ))),
        },
        (Some(_), Some(_)) => Err(Refusal::bad_request(format!(
            "There are two {title} headers."
        ))),
    }
}

fn entry(
    payload: Option<&Map<String, Value>>,
    name: &'static str,
) -> Result<Option<String>, &'static str> {
    let mut entries = payload.into_iter().flatten();
    match entries.find(|(known, _)| known.eq_ignore_ascii_case(name)) {
        None | Some((_, Value::Null)) => Ok(None),
        Some((_, Value::String(value))) => {
            Ok(Some(value.clone()).filter(|value| !value.is_empty()))
        }
        Some(_) => Err(name),
    }
}
