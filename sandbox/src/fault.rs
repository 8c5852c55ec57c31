//! A fault: what goes wrong, for which requests, how often.

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FaultKind {
    /// The answer is this status with an error body.
    Status {
        /// 400 to 599.
        status: u16,
        /// The `Retry-After` header, if any.
        #[serde(
            default,
            rename = "retryAfter",
            alias = "retry_after",
            skip_serializing_if = "Option::is_none"
        )]
        retry_after: Option<RetryAfter>,
        /// The error code; by default the one that goes with the status.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        /// The error message.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// The login refuses with this AADSTS code: 7000215, 7000222, 700016, 90002, 53003, ...
    TokenError {
        /// The number after `AADSTS`.
        code: u32,
    },
    /// The connection ends in the middle of the body.
    Reset,
    /// The body ends in the middle, as if it were whole.
    Truncate,
    /// The answer is a gateway's HTML page.
    Html {
        /// 502 by default; 200 is as possible.
        #[serde(default = "bad_gateway")]
        status: u16,
    },
    /// Headers come, the body never does.
    Stall,
    /// A page without items.
    Empty {
        /// What becomes of the items and the link.
        #[serde(default, rename = "nextLink", alias = "next_link")]
        next_link: EmptyPage,
    },
    /// The page has no link to the next one: the list ends early.
    DropNextLink,
    /// The page links to itself.
    LoopNextLink,
    /// The page links to another host.
    ForeignNextLink,
    /// The last item of a page is repeated on the following page.
    Duplicate,
    /// Every `modulus`-th object is missing from pages; always the same ones.
    Hide {
        /// 1 hides all.
        modulus: u64,
    },
    /// The answer comes later.
    Latency {
        /// By how much.
        milliseconds: u64,
    },
    /// The request waits until the gates are opened.
    Gate,
    /// A delta repeats changes it has told before.
    Replay {
        /// How many lines of the change log it goes back.
        count: usize,
    },
    /// The answer has one more header.
    Header {
        /// Its name, such as `x-ms-throttle-limit-percentage`.
        name: String,
        /// Its value.
        value: String,
    },
}

/// What an empty page keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmptyPage {
    /// An additional page: its link leads to the page that was asked for. Nothing is lost; legal.
    #[default]
    Extra,
    /// The items are lost, the link is kept.
    Kept,
    /// The items and the link are lost.
    None,
}

/// The value of a `Retry-After` header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RetryAfter {
    /// Seconds, whole or fractional.
    Number(Number),
    /// `http-date` or `http-date:{seconds from now}` for a date (2 seconds by default),
    /// anything else goes out as it is.
    Text(String),
}

impl RetryAfter {
    /// Whole seconds.
    pub fn seconds(seconds: u64) -> RetryAfter {
        RetryAfter::Number(seconds.into())
    }

    /// Seconds with a fraction, as Graph was seen to send.
    pub fn fractional(seconds: f64) -> RetryAfter {
        Number::from_f64(seconds).map_or_else(|| RetryAfter::seconds(0), RetryAfter::Number)
    }

    /// A date so many seconds from now.
    pub fn http_date(seconds: u32) -> RetryAfter {
        RetryAfter::Text(format!("http-date:{seconds}"))
    }
}

/// A fault: what goes wrong, and for which requests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// What goes wrong.
    #[serde(flatten)]
    pub kind: FaultKind,
    /// Only requests whose decoded path and query contain this text; all without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Only requests of this kind, such as `users.delta`; see [`crate::RequestLine::kind`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// How often it happens; for ever without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// How many matching requests are spared first.
    #[serde(default)]
    pub after: u32,
}

/// The members a fault may have in JSON; `flatten` keeps serde from checking that.
const MEMBERS: &[&str] = &[
    "kind",
    "path",
    "request",
    "times",
    "after",
    "status",
    "retryAfter",
    "retry_after",
    "code",
    "message",
    "nextLink",
    "next_link",
    "modulus",
    "milliseconds",
    "count",
    "name",
    "value",
];

impl Fault {
    /// A fault of every request, for ever.
    pub fn new(kind: FaultKind) -> Fault {
        Fault {
            kind,
            path: None,
            request: None,
            times: None,
            after: 0,
        }
    }

    /// A status with an error body and no `Retry-After`.
    pub fn status(status: u16) -> Fault {
        Fault::new(FaultKind::Status {
            status,
            retry_after: None,
            code: None,
            message: None,
        })
    }

    /// 429 with this `Retry-After`, or without one.
    pub fn throttled(retry_after: Option<RetryAfter>) -> Fault {
        Fault::new(FaultKind::Status {
            status: 429,
            retry_after,
            code: None,
            message: None,
        })
    }

    /// Restricts it to requests whose path and query contain this text.
    pub fn on(mut self, path: impl Into<String>) -> Fault {
        self.path = Some(path.into());
        self
    }

    /// Restricts it to one kind of request, such as `users.delta`.
    pub fn on_request(mut self, kind: impl Into<String>) -> Fault {
        self.request = Some(kind.into());
        self
    }

    /// Lets it happen so often and no more.
    pub fn times(mut self, times: u32) -> Fault {
        self.times = Some(times);
        self
    }

    /// Spares so many matching requests first.
    pub fn after(mut self, spared: u32) -> Fault {
        self.after = spared;
        self
    }

    /// Reads a fault; the error says what is wrong with it.
    pub fn from_json(value: Value) -> Result<Fault, String> {
        let unknown = value
            .as_object()
            .and_then(|object| object.keys().find(|name| !MEMBERS.contains(&name.as_str())));
        if let Some(name) = unknown {
            return Err(format!("a fault has no member '{name}'"));
        }
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    /// True when it is meant for a request of this kind with this path and query.
    pub(crate) fn matches(&self, target: &str, request: &str) -> bool {
        self.path
            .as_ref()
            .is_none_or(|path| target.contains(path.as_str()))
            && self.request.as_ref().is_none_or(|kind| kind == request)
            && (!self.kind.needs_page() || is_page(request))
            && (!matches!(self.kind, FaultKind::TokenError { .. }) || request == "token")
    }
}

impl FaultKind {
    fn needs_page(&self) -> bool {
        matches!(
            self,
            FaultKind::Empty { .. }
                | FaultKind::DropNextLink
                | FaultKind::LoopNextLink
                | FaultKind::ForeignNextLink
                | FaultKind::Duplicate
                | FaultKind::Hide { .. }
        ) || self.needs_delta()
    }

    fn needs_delta(&self) -> bool {
        matches!(self, FaultKind::Replay { .. })
    }

    /// True for what happens to a connection, which an item of a batch has none of.
    pub(crate) fn needs_connection(&self) -> bool {
        matches!(
            self,
            FaultKind::Reset | FaultKind::Truncate | FaultKind::Html { .. } | FaultKind::Stall
        )
    }

    /// Says what is wrong with its numbers.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self {
            FaultKind::Status { status, .. } if !(400..=599).contains(status) => {
                Err("'status' must be from 400 to 599".to_owned())
            }
            FaultKind::Html { status } if !(200..=599).contains(status) => {
                Err("'status' must be from 200 to 599".to_owned())
            }
            FaultKind::Hide { modulus: 0 } => Err("'modulus' must be at least 1".to_owned()),
            FaultKind::Latency { milliseconds } if *milliseconds > 3_600_000 => {
                Err("'milliseconds' must be at most an hour".to_owned())
            }
            _ => Ok(()),
        }
    }
}

fn bad_gateway() -> u16 {
    502
}

fn is_page(request: &str) -> bool {
    matches!(
        request,
        "users.list"
            | "users.delta"
            | "groups.list"
            | "groups.delta"
            | "groups.members"
            | "groups.transitiveMembers"
            | "groups.owners"
            | "deletedItems.users"
            | "deletedItems.groups"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn faults_read_the_json_of_the_control_api() {
        let read = |value| Fault::from_json(value);
        let throttled = read(
            json!({"kind": "status", "status": 429, "retryAfter": 2.128, "path": "/users", "times": 3}),
        );
        assert_eq!(
            throttled.unwrap(),
            Fault::throttled(Some(RetryAfter::fractional(2.128)))
                .on("/users")
                .times(3)
        );
        assert_eq!(
            read(json!({"kind": "html"})).unwrap(),
            Fault::new(FaultKind::Html { status: 502 })
        );
        assert_eq!(
            read(json!({"kind": "gate", "request": "users.delta"})).unwrap(),
            Fault::new(FaultKind::Gate).on_request("users.delta")
        );
        let empty = FaultKind::Empty {
            next_link: EmptyPage::Kept,
        };
        assert_eq!(
            read(json!({"kind": "empty", "nextLink": "kept"})).unwrap(),
            Fault::new(empty)
        );
        assert_eq!(
            read(json!({"kind": "reset", "tims": 1})).unwrap_err(),
            "a fault has no member 'tims'"
        );
        assert!(read(json!({"kind": "meteor"})).is_err());
    }
}
