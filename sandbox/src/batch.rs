//! `POST /$batch`: up to twenty requests in one, answered in any order.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use futures::future::join_all;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::answer::{Answer, AnswerBody};
use crate::error::{GraphError, RequestIds};
use crate::exchange::{self, GraphRequest};
use crate::random::Random;
use crate::server::Server;

/// What one batch may hold.
const MOST_ITEMS: usize = 20;

#[derive(Deserialize)]
struct Envelope {
    requests: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    id: String,
    method: String,
    url: String,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default)]
    body: Option<Value>,
    #[serde(default)]
    depends_on: Vec<String>,
}

/// Answers the batch in the body of a request.
pub(crate) async fn answer(
    server: &Arc<Server>,
    request: &GraphRequest,
) -> Result<Value, GraphError> {
    let envelope: Envelope = serde_json::from_slice(&request.body).map_err(|error| {
        GraphError::bad_request(format!("Invalid batch payload format: {error}"))
    })?;
    check(&envelope.requests)?;
    let is_chained = envelope
        .requests
        .iter()
        .any(|item| !item.depends_on.is_empty());
    let mut answers = match is_chained {
        true => one_by_one(server, &request.headers, &envelope.requests).await,
        false => {
            join_all(
                envelope
                    .requests
                    .iter()
                    .map(|item| run(server, &request.headers, item)),
            )
            .await
        }
    };
    shuffle(&mut answers, server.batches.fetch_add(1, Ordering::SeqCst));
    let responses: Vec<Value> = answers
        .into_iter()
        .map(|(id, answer)| response(id, answer))
        .collect();
    Ok(json!({ "responses": responses }))
}

fn check(items: &[Item]) -> Result<(), GraphError> {
    if items.is_empty() || items.len() > MOST_ITEMS {
        return Err(GraphError::bad_request(format!(
            "Number of batch request steps must be from 1 to the maximum value of {MOST_ITEMS}."
        )));
    }
    let mut seen: HashSet<String> = HashSet::new();
    for item in items {
        let Item {
            id,
            method: _,
            url,
            headers,
            body,
            depends_on,
        } = item;
        if id.is_empty() || !url.starts_with('/') {
            return Err(GraphError::bad_request(
                "Every batch request needs an id and a relative url that starts with a slash.",
            ));
        }
        let has_type = headers
            .keys()
            .any(|name| name.eq_ignore_ascii_case("content-type"));
        if body.is_some() && !has_type {
            return Err(GraphError::bad_request(format!(
                "Write request with id '{id}' does not contain a Content-Type header."
            )));
        }
        if let Some(unknown) = depends_on
            .iter()
            .find(|other| !seen.contains(&other.to_lowercase()))
        {
            return Err(GraphError::bad_request(format!(
                "Request '{id}' depends on '{unknown}', which does not come before it."
            )));
        }
        if !seen.insert(id.to_lowercase()) {
            return Err(GraphError::bad_request(format!(
                "Request ids must be unique within a batch: '{id}'."
            )));
        }
    }
    Ok(())
}

async fn one_by_one(
    server: &Arc<Server>,
    envelope: &HeaderMap,
    items: &[Item],
) -> Vec<(String, Answer)> {
    let mut answers: Vec<(String, Answer)> = Vec::new();
    let mut succeeded: HashMap<String, bool> = HashMap::new();
    for item in items {
        let failed = item
            .depends_on
            .iter()
            .any(|other| succeeded.get(&other.to_lowercase()) != Some(&true));
        let (id, answer) = match failed {
            true => (item.id.clone(), failed_dependency(server)),
            false => run(server, envelope, item).await,
        };
        succeeded.insert(id.to_lowercase(), answer.status.is_success());
        answers.push((id, answer));
    }
    answers
}

fn failed_dependency(server: &Server) -> Answer {
    let ids = RequestIds::of(&HeaderMap::new(), server.clock.now());
    let text = "A request this one depends on failed.";
    GraphError::new(StatusCode::FAILED_DEPENDENCY, "FailedDependency", text).into_answer(&ids)
}

async fn run(server: &Arc<Server>, envelope: &HeaderMap, item: &Item) -> (String, Answer) {
    let (path, query) = item.url.split_once('?').unwrap_or((&item.url, ""));
    let request = GraphRequest {
        method: Method::from_bytes(item.method.to_uppercase().as_bytes()).unwrap_or(Method::TRACE),
        path: format!("/v1.0{path}"),
        query: query.to_owned(),
        headers: headers_of(envelope, item),
        body: item
            .body
            .as_ref()
            .map(|body| Bytes::from(body.to_string()))
            .unwrap_or_default(),
        batched: true,
    };
    let (answer, _) = exchange::graph(server, request).await;
    (item.id.clone(), answer)
}

/// The item's own headers and the envelope's token.
fn headers_of(envelope: &HeaderMap, item: &Item) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &item.headers {
        let value = value
            .as_str()
            .and_then(|value| HeaderValue::from_str(value).ok());
        if let (Ok(name), Some(value)) = (HeaderName::try_from(name.as_str()), value) {
            headers.insert(name, value);
        }
    }
    if let Some(authorization) = envelope.get(header::AUTHORIZATION) {
        headers.insert(header::AUTHORIZATION, authorization.clone());
    }
    headers
}

fn response(id: String, answer: Answer) -> Value {
    let headers: Map<String, Value> = answer
        .headers
        .iter()
        .map(|(name, value)| (canonical(name.as_str()), value.as_str().into()))
        .collect();
    let body = match answer.body {
        AnswerBody::Json(body) => body,
        AnswerBody::Html(text) => text.into(),
    };
    json!({ "id": id, "status": answer.status.as_u16(), "headers": headers, "body": body })
}

/// Items name their headers as people write them, such as `Retry-After`.
fn canonical(name: &str) -> String {
    let parts = name.split('-').map(|part| {
        let mut letters = part.chars();
        let first = letters.next().map(|letter| letter.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    });
    parts.collect::<Vec<_>>().join("-")
}

/// Fisher-Yates, by the number of the batch; two answers or more never keep their order.
fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut random = Random::new(seed);
    for at in (1..items.len()).rev() {
        // Never `at` itself (Sattolo): every item moves.
        items.swap(at, random.below(at));
    }
}
