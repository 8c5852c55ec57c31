//! Faults applied: before an answer is made, to the finished answer, and to its way over the wire.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, StatusCode, header};
use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};
use futures::stream::{self, StreamExt as _};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::clock::Clock;
use crate::error::{GraphError, RequestIds};
use crate::fault::{EmptyPage, FaultKind, RetryAfter};
use crate::faults::Active;
use crate::login;
use crate::query::decode_path;
use crate::server::Server;

/// How the bytes of an answer travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    Whole,
    Reset,
    Truncated,
    Stalled,
}

/// Waits where a fault says so; gives the answer of a fault that replaces the whole exchange.
pub(crate) async fn before(
    server: &Server,
    active: &[Active],
    ids: &RequestIds,
    is_login: bool,
) -> Option<Answer> {
    let latency = server.settings(|settings| settings.shown.latency_ms);
    pause(server, latency).await;
    let mut replaced = None;
    for fault in active {
        match &fault.kind {
            FaultKind::Latency { milliseconds } => pause(server, *milliseconds).await,
            FaultKind::Gate => server.gates.hold(server.stop.clone()).await,
            FaultKind::Html { status } if replaced.is_none() => {
                replaced = Some(Answer::html(status_code(*status)));
            }
            FaultKind::TokenError { code } if replaced.is_none() => {
                replaced = Some(login::refusal(*code, ids));
            }
            FaultKind::Status {
                status,
                retry_after,
                code,
                message,
            } if replaced.is_none() => {
                let mut answer = match is_login {
                    true => login::failure(status_code(*status), ids),
                    false => status_error(*status, code.clone(), message.clone()).into_answer(ids),
                };
                if let Some(retry_after) = retry_after {
                    answer.set_header(
                        header::RETRY_AFTER,
                        retry_after_text(retry_after, Clock::wall()),
                    );
                }
                replaced = Some(answer);
            }
            _ => {}
        }
    }
    replaced
}

/// Changes a finished answer. `own_url` is the absolute URL of the request.
pub(crate) fn after(server: &Server, active: &[Active], answer: &mut Answer, own_url: &str) {
    for fault in active {
        if let FaultKind::Header { name, value } = &fault.kind {
            if let Ok(name) = HeaderName::try_from(name.as_str()) {
                answer.set_header(name, value.clone());
            }
            continue;
        }
        if answer.status != StatusCode::OK {
            continue;
        }
        if let Some(page) = answer.json_mut() {
            change_page(server, fault, page, own_url);
        }
    }
}

/// How the answer travels.
pub(crate) fn delivery(active: &[Active]) -> Delivery {
    active
        .iter()
        .find_map(|fault| match fault.kind {
            FaultKind::Reset => Some(Delivery::Reset),
            FaultKind::Truncate => Some(Delivery::Truncated),
            FaultKind::Stall => Some(Delivery::Stalled),
            _ => None,
        })
        .unwrap_or(Delivery::Whole)
}

/// Puts the answer on the wire.
pub(crate) fn deliver(server: &Server, answer: Answer, delivery: Delivery) -> Response {
    let half = |answer: &Answer| {
        let mut bytes = answer.bytes();
        bytes.truncate(bytes.len() / 2);
        Bytes::from(bytes)
    };
    let cut = io::Error::other("the sandbox cuts this connection on request");
    match delivery {
        Delivery::Whole => answer.respond(),
        Delivery::Truncated => answer.respond_with(Body::from(half(&answer))),
        Delivery::Reset => {
            let first = stream::iter([Ok(half(&answer))]);
            // Without the pause the first half would never leave the buffer.
            let end = stream::once(async move {
                tokio::time::sleep(Duration::from_millis(25)).await;
                Err(cut)
            });
            answer.respond_with(Body::from_stream(first.chain(end)))
        }
        Delivery::Stalled => {
            let mut stop = server.stop.clone();
            let never = stream::once(async move {
                let _ = stop.wait_for(|stopping| *stopping).await;
                Err::<Bytes, io::Error>(cut)
            });
            answer.respond_with(Body::from_stream(never))
        }
    }
}

async fn pause(server: &Server, milliseconds: u64) {
    if milliseconds == 0 {
        return;
    }
    let mut stop = server.stop.clone();
    tokio::select! {
        () = tokio::time::sleep(Duration::from_millis(milliseconds)) => {}
        _ = stop.wait_for(|stopping| *stopping) => {}
    }
}

fn change_page(server: &Server, fault: &Active, page: &mut Value, own_url: &str) {
    let Some(page) = page.as_object_mut() else {
        return;
    };
    let link = "@odata.nextLink".to_owned();
    let has_next = page.contains_key(&link);
    match &fault.kind {
        FaultKind::Empty { next_link } => {
            page.insert("value".to_owned(), json!([]));
            match next_link {
                EmptyPage::Kept => {}
                EmptyPage::None => {
                    page.remove(&link);
                }
                EmptyPage::Extra => {
                    page.remove("@odata.deltaLink");
                    // Graph ignores options without `$`; this one makes the link a new one.
                    let sign = if own_url.contains('?') { '&' } else { '?' };
                    page.insert(link, format!("{own_url}{sign}page={}", fault.id).into());
                }
            }
        }
        FaultKind::DropNextLink => {
            page.remove(&link);
        }
        FaultKind::LoopNextLink if has_next => {
            page.insert(link, own_url.into());
        }
        FaultKind::ForeignNextLink if has_next => {
            let path = own_url.strip_prefix(&server.base).unwrap_or("/v1.0/users");
            page.insert(link, format!("http://other.invalid{path}").into());
        }
        FaultKind::Duplicate => {
            let next = page.get(&link).and_then(Value::as_str).map(decode_path);
            if let Some(items) = page.get_mut("value").and_then(Value::as_array_mut) {
                let faults = &server.faults;
                let repeated = faults.take_duplicate(fault.id, &decode_path(own_url));
                if let Some((next, last)) = next.zip(items.last().cloned()) {
                    faults.hold_duplicate(fault.id, next, last);
                }
                items.splice(0..0, repeated);
            }
        }
        FaultKind::Hide { modulus } => {
            if let Some(items) = page.get_mut("value").and_then(Value::as_array_mut) {
                items.retain(|item| !is_hidden(item, *modulus));
            }
        }
        _ => {}
    }
}

/// FNV-1a of the id: every run hides the same objects.
fn is_hidden(item: &Value, modulus: u64) -> bool {
    let id = item.get("id").and_then(Value::as_str).unwrap_or_default();
    let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash >> 16) % modulus.max(1) == 0
}

fn status_error(status: u16, code: Option<String>, message: Option<String>) -> GraphError {
    let (usual_code, usual_message) = match status {
        401 => (
            "InvalidAuthenticationToken",
            "Access token has expired or is not yet valid.",
        ),
        403 => (
            "Authorization_RequestDenied",
            "Insufficient privileges to complete the operation.",
        ),
        404 => (
            "Request_ResourceNotFound",
            "Resource does not exist or one of its queried reference-property objects are not present.",
        ),
        409 => (
            "Directory_ConcurrencyViolation",
            "Error due to concurrent requests being made to the tenant. Please wait briefly and retry.",
        ),
        410 => (
            "resyncRequired",
            "Resync required. Replace any local items with the server's version.",
        ),
        429 => ("TooManyRequests", "Please retry again later."),
        500 => (
            "Service_InternalServerError",
            "Encountered an internal server error.",
        ),
        501 => (
            "NotImplemented",
            "This operation target is not yet supported.",
        ),
        502 => ("BadGateway", "Failed to execute backend request."),
        503 => ("ServiceUnavailable", "Failed to execute backend request."),
        504 => ("GatewayTimeout", "Failed to execute backend request."),
        _ => ("UnknownError", "The sandbox answers so on request."),
    };
    let code = code.unwrap_or_else(|| usual_code.to_owned());
    GraphError::new(
        status_code(status),
        code,
        message.unwrap_or_else(|| usual_message.to_owned()),
    )
}

fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn retry_after_text(value: &RetryAfter, now: DateTime<Utc>) -> String {
    match value {
        RetryAfter::Number(number) => number.to_string(),
        RetryAfter::Text(text) => match text.strip_prefix("http-date") {
            Some(rest) => {
                let seconds: u32 = rest.trim_start_matches(':').parse().unwrap_or(2);
                let date = now + TimeDelta::seconds(i64::from(seconds));
                date.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
            }
            None => text.clone(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_has_all_the_forms_that_http_allows() {
        let now = DateTime::parse_from_rfc3339("2026-09-01T08:15:30Z")
            .unwrap()
            .to_utc();
        let text = |value: RetryAfter| retry_after_text(&value, now);
        assert_eq!(text(RetryAfter::seconds(12)), "12");
        assert_eq!(text(RetryAfter::fractional(2.128)), "2.128");
        assert_eq!(
            text(RetryAfter::http_date(5)),
            "Tue, 01 Sep 2026 08:15:35 GMT"
        );
        assert_eq!(
            text(RetryAfter::Text("http-date".into())),
            "Tue, 01 Sep 2026 08:15:32 GMT"
        );
        assert_eq!(text(RetryAfter::Text("soon".into())), "soon");
    }
}
