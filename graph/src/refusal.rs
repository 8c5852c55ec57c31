//! Reads error answers, of Graph and of the login host, and sorts them by what can be done.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::{Answer, GraphError, SignIn, SignInProblem, text};

/// Tokens that Graph wants thrown away, wherever the code stands.
const RESYNC: [&str; 3] = ["syncstatenotfound", "resyncrequired", "syncstateinvalid"];
const THROTTLED: [&str; 3] = [
    "toomanyrequests",
    "activitylimitreached",
    "request_throttledtemporarily",
];

/// An answer that is not a success, reduced to what its meaning depends on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refusal<'a> {
    pub(crate) operation: &'static str,
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) request_id: Option<&'a str>,
    pub(crate) body: &'a [u8],
}

impl Refusal<'_> {
    /// Returns what an error answer of Graph means.
    pub(crate) fn of_graph(self) -> GraphError {
        let Self {
            operation,
            status,
            retry_after,
            ..
        } = self;
        let (answer, is_graph) = self.answer();
        let is = |codes: &[&str]| answer.has_code(codes);
        let resync = status == 410 || (matches!(status, 400 | 404) && is(&RESYNC));
        let busy = matches!(status, 408 | 500 | 502..=504 | 506..=599)
            || is(&["directory_concurrencyviolation"]);
        match status {
            200..=399 => GraphError::BadResponse {
                operation,
                reason: "an unexpected status",
                status,
            },
            _ if is(&["request_throttledpermanently"]) => GraphError::Refused { operation, answer },
            429 => GraphError::Throttled {
                operation,
                retry_after,
                answer,
            },
            _ if resync => GraphError::Resync { operation, answer },
            _ if is(&["directory_expiredpagetoken"]) => {
                GraphError::ExpiredPage { operation, answer }
            }
            _ if busy => GraphError::Unavailable {
                operation,
                retry_after,
                answer,
            },
            400..=499 if is(&THROTTLED) => GraphError::Throttled {
                operation,
                retry_after,
                answer,
            },
            401 => GraphError::AuthRejected { operation, answer },
            403 => GraphError::Forbidden { operation, answer },
            404 if is_graph => GraphError::NotFound { operation, answer },
            // Some proxy's page: it must not be taken for the absence of a person.
            404 => GraphError::BadResponse {
                operation,
                reason: "not found, but not in Graph's words",
                status,
            },
            _ => GraphError::Refused { operation, answer },
        }
    }

    /// Returns what an error answer of the login host means.
    pub(crate) fn of_login(self) -> GraphError {
        let Self {
            operation,
            status,
            retry_after,
            ..
        } = self;
        let (answer, _) = self.answer();
        match status {
            429 => GraphError::Throttled {
                operation,
                retry_after,
                answer,
            },
            408 | 500..=599 => GraphError::Unavailable {
                operation,
                retry_after,
                answer,
            },
            _ => match serde_json::from_slice::<OauthError>(self.body) {
                Ok(error) if status >= 400 => GraphError::SignIn(Box::new(error.into())),
                _ => GraphError::BadResponse {
                    operation,
                    reason: "an unexpected answer of the login host",
                    status,
                },
            },
        }
    }

    /// Reads the words of the answer, and tells whether they are in one of Graph's shapes.
    fn answer(&self) -> (Box<Answer>, bool) {
        let body: Value = serde_json::from_slice(self.body).unwrap_or(Value::Null);
        let error = ["error", "odata.error"]
            .iter()
            .find_map(|name| body.get(name))
            .filter(|error| error.is_object());
        let mut answer = Answer {
            status: self.status,
            ..Answer::default()
        };
        answer.request_id = self.request_id.map(text::code);
        if let Some(error) = error {
            answer.read(error);
        }
        (Box::new(answer), error.is_some())
    }
}

impl Answer {
    fn read(&mut self, error: &Value) {
        let message = &error["message"];
        // The legacy shape wraps the message with its language.
        let message = message.as_str().or_else(|| message["value"].as_str());
        self.message = text::message(message.unwrap_or_default());
        let mut level = Some(error);
        while let Some(at) = level {
            self.read_level(at);
            level = ["innerError", "innererror"]
                .iter()
                .find_map(|name| at.get(name));
        }
    }

    fn read_level(&mut self, level: &Value) {
        if let Some(code) = level["code"].as_str().filter(|code| !code.is_empty()) {
            if self.code.is_empty() {
                self.code = text::code(code);
            }
            self.codes.push(code.to_ascii_lowercase());
        }
        if self.request_id.is_none() {
            self.request_id = ["request-id", "requestId"]
                .iter()
                .find_map(|name| level[*name].as_str())
                .map(text::code);
        }
    }
}

#[derive(Deserialize)]
struct OauthError {
    error: String,
    #[serde(default)]
    error_description: Value,
    #[serde(default)]
    error_codes: Value,
    #[serde(default)]
    trace_id: Value,
    #[serde(default)]
    correlation_id: Value,
}

impl From<OauthError> for SignIn {
    fn from(raw: OauthError) -> Self {
        let number = raw.error_codes[0]
            .as_u64()
            .and_then(|number| u32::try_from(number).ok());
        Self {
            problem: SignInProblem::of(number, &raw.error),
            aadsts: number,
            error: text::code(&raw.error),
            message: text::message(raw.error_description.as_str().unwrap_or_default()),
            trace_id: raw.trace_id.as_str().map(text::code),
            correlation_id: raw.correlation_id.as_str().map(text::code),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorClass;

    fn graph(status: u16, body: &str) -> GraphError {
        Refusal {
            operation: "read users",
            status,
            retry_after: None,
            request_id: None,
            body: body.as_bytes(),
        }
        .of_graph()
    }

    fn login(status: u16, body: &str) -> GraphError {
        Refusal {
            operation: "sign in",
            status,
            retry_after: None,
            request_id: None,
            body: body.as_bytes(),
        }
        .of_login()
    }

    fn with_code(code: &str) -> String {
        format!(r#"{{"error":{{"code":"{code}","message":"m"}}}}"#)
    }

    #[test]
    fn statuses_and_codes_have_their_class() {
        use ErrorClass as Class;
        let table = [
            (400, "Request_BadRequest", Class::Refused),
            (400, "SyncStateNotFound", Class::Resync),
            (404, "resyncRequired", Class::Resync),
            (410, "", Class::Resync),
            (400, "Directory_ExpiredPageToken", Class::RestartRound),
            (401, "InvalidAuthenticationToken", Class::AuthRejected),
            (403, "Authorization_RequestDenied", Class::Permission),
            (404, "Request_ResourceNotFound", Class::NotFound),
            (409, "Directory_ConcurrencyViolation", Class::Unavailable),
            (429, "Request_ThrottledPermanently", Class::Refused),
            (429, "", Class::Throttled),
            (403, "activityLimitReached", Class::Throttled),
            (501, "NotImplemented", Class::Refused),
            (502, "", Class::Unavailable),
            (503, "serviceNotAvailable", Class::Unavailable),
            (302, "", Class::BadResponse),
        ];
        for (status, code, class) in table {
            assert_eq!(
                graph(status, &with_code(code)).class(),
                class,
                "{status} {code}"
            );
        }
    }

    #[test]
    fn codes_are_found_at_any_depth() {
        let nested = r#"{"error":{"code":"","message":"m","innerError":{"code":"BadRequest",
            "innererror":{"code":"syncStateNotFound","request-id":"r1"}}}}"#;
        let error = graph(400, nested);
        assert_eq!(error.class(), ErrorClass::Resync);
        let answer = error.answer().unwrap();
        assert_eq!(
            (answer.code.as_str(), answer.request_id.as_deref()),
            ("BadRequest", Some("r1"))
        );
    }

    #[test]
    fn the_legacy_shape_is_read() {
        let legacy = r#"{"odata.error":{"code":"Request_BadRequest","message":{"lang":"en","value":"no"},"requestId":"r"}}"#;
        let answer = graph(400, legacy).answer().unwrap().clone();
        assert_eq!(
            (answer.message.as_str(), answer.request_id.as_deref()),
            ("no", Some("r"))
        );
    }

    #[test]
    fn a_page_of_a_proxy_is_neither_shown_nor_taken_for_an_absence() {
        let error = graph(404, "<html>Blocked</html>");
        assert_eq!(error.class(), ErrorClass::BadResponse);
        assert!(!error.to_string().contains("Blocked"));
    }

    #[test]
    fn a_refused_sign_in_keeps_its_number_and_first_line() {
        let body = r#"{"error":"invalid_client","error_description":"AADSTS7000222: expired.\r\nTrace ID: x",
            "error_codes":[7000222],"timestamp":"2023-01-09 14:06:14Z","trace_id":"t","correlation_id":"c"}"#;
        let error = login(401, body);
        assert_eq!(
            (error.aadsts(), error.class()),
            (Some(7_000_222), ErrorClass::Configuration)
        );
        let sign_in = error.sign_in().unwrap();
        assert_eq!(sign_in.problem, SignInProblem::ExpiredSecret);
        assert_eq!(sign_in.message, "AADSTS7000222: expired.");
        assert_eq!(sign_in.correlation_id.as_deref(), Some("c"));
    }

    #[test]
    fn a_login_host_out_of_order_is_no_verdict_on_the_secret() {
        assert_eq!(login(503, "<html>").class(), ErrorClass::Unavailable);
        assert_eq!(login(403, "<html>").class(), ErrorClass::BadResponse);
        assert_eq!(
            login(400, r#"{"error":"temporarily_unavailable"}"#).class(),
            ErrorClass::Unavailable
        );
    }
}
