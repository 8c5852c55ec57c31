//! A GraphQL request as it arrives: one JSON object, or the query string of a GET.

use async_graphql::{Request, Variables};
use axum::{
    extract::Query,
    http::{StatusCode, Uri},
};
use serde_json::{Map, Value};

use super::error::{ErrorCode, Refusal};

/// Reads a POST body or the payload of a `subscribe` message.
pub(super) fn from_json(body: &[u8]) -> Result<Request, Refusal> {
    match serde_json::from_slice(body) {
        Ok(value) => from_value(value),
        Err(_) => Err(Refusal::bad_request("The body is not valid JSON.")),
    }
}

/// Reads the parameters from a JSON value.
pub(super) fn from_value(value: Value) -> Result<Request, Refusal> {
    let mut members = match value {
        Value::Object(members) => members,
        Value::Array(_) => return Err(Refusal::bad_request("Batches are not supported.")),
        _ => return Err(Refusal::bad_request("The body must be a JSON object.")),
    };
    let extensions = object(&mut members, "extensions")?;
    let query = match members.remove("query") {
        Some(Value::String(query)) => query,
        None | Some(Value::Null) => return Err(without_document(&extensions)),
        Some(_) => return Err(Refusal::bad_request("`query` must be a string.")),
    };
    let mut request = Request::new(query);
    request.operation_name = operation_name(&mut members)?;
    let variables = Value::Object(object(&mut members, "variables")?);
    request.variables = Variables::from_json(variables);
    Ok(request)
}

/// Reads the query string of a GET. Every parameter is optional; without `query` the caller decides.
pub(super) fn from_uri(uri: &Uri) -> Result<Request, Refusal> {
    let Ok(Query(pairs)) = Query::<Vec<(String, String)>>::try_from_uri(uri) else {
        return Err(Refusal::bad_request("The query string cannot be read."));
    };
    let mut members = Map::new();
    for (name, value) in pairs {
        let value = match name.as_str() {
            "query" | "operationName" => Value::String(value),
            "variables" | "extensions" if value.is_empty() => Value::Null,
            "variables" | "extensions" => serde_json::from_str(&value)
                .map_err(|_| Refusal::bad_request(format!("`{name}` is not valid JSON.")))?,
            _ => continue,
        };
        if members.insert(name, value).is_some() {
            return Err(Refusal::bad_request("A parameter is given twice."));
        }
    }
    from_value(Value::Object(members))
}

/// Whether the query string has a document.
pub(super) fn has_document(uri: &Uri) -> bool {
    let query = uri.query().unwrap_or_default();
    query
        .split('&')
        .any(|pair| pair.split('=').next() == Some("query"))
}

// Apollo's clients send the hash alone at first, and the whole document once they are told that it is of no use.
fn without_document(extensions: &Map<String, Value>) -> Refusal {
    if extensions.contains_key("persistedQuery") {
        return Refusal::new(
            StatusCode::OK,
            ErrorCode::PersistedQueryNotSupported,
            "PersistedQueryNotSupported",
        );
    }
    Refusal::bad_request("`query` is missing.")
}

fn operation_name(members: &mut Map<String, Value>) -> Result<Option<String>, Refusal> {
    match members.remove("operationName") {
        None | Some(Value::Null) => Ok(None),
        // Some clients send an empty name for an anonymous operation.
        Some(Value::String(name)) => Ok(Some(name).filter(|name| !name.is_empty())),
        Some(_) => Err(Refusal::bad_request("`operationName` must be a string.")),
    }
}

fn object(members: &mut Map<String, Value>, name: &str) -> Result<Map<String, Value>, Refusal> {
    match members.remove(name) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(object)) => Ok(object),
        Some(_) => Err(Refusal::bad_request(format!("`{name}` must be an object."))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(body: &str) -> String {
        from_json(body.as_bytes())
            .expect_err("a body that must be refused")
            .message
    }

    #[test]
    fn batch_is_refused() {
        assert_eq!(
            refused(r#"[{"query":"{a}"}]"#),
            "Batches are not supported."
        );
    }

    #[test]
    fn members_of_the_wrong_type_are_named() {
        assert_eq!(refused(r#"{"query":1}"#), "`query` must be a string.");
        assert_eq!(
            refused(r#"{"query":"{a}","variables":[]}"#),
            "`variables` must be an object."
        );
        assert_eq!(
            refused(r#"{"query":"{a}","operationName":1}"#),
            "`operationName` must be a string."
        );
    }

    #[test]
    fn hash_without_a_document_asks_for_the_document() {
        let error = refused(r#"{"extensions":{"persistedQuery":{"version":1}}}"#);
        assert_eq!(error, "PersistedQueryNotSupported");
    }

    #[test]
    fn query_string_is_read_in_camel_case() {
        let uri =
            Uri::from_static("/graphql?query=%7Ba%7D&operationName=B&variables=%7B%22x%22:1%7D");
        let request = from_uri(&uri).expect("a good query string");
        assert_eq!(request.query, "{a}");
        assert_eq!(request.operation_name.as_deref(), Some("B"));
        assert_eq!(
            request.variables.get("x"),
            Some(&async_graphql::Value::from(1))
        );
    }

    #[test]
    fn parameter_given_twice_is_refused() {
        let uri = Uri::from_static("/graphql?query=%7Ba%7D&query=%7Bb%7D");
        assert!(from_uri(&uri).is_err());
    }
}
