//! Close codes, each with what the usual client does with it.

use axum::extract::ws::{CloseFrame, Message};

use super::super::{auth::AuthRefusal, presence::Full};

/// Why the server ends a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Close {
    pub(super) code: u16,
    pub(super) reason: String,
}

/// Longest reason in bytes; a close frame holds 125, of which the code takes two. A longer one loses the frame.
const MAX_REASON: usize = 123;

impl Close {
    fn new(code: u16, reason: impl Into<String>) -> Self {
        let mut reason: String = reason.into();
        reason.truncate(reason.floor_char_boundary(MAX_REASON));
        Self { code, reason }
    }

    /// The instance goes away; the client connects to the next one.
    pub(super) fn going_away() -> Self {
        Self::new(1001, "Going away")
    }

    /// The peer has answered no ping; whoever is left there connects again.
    pub(super) fn silent() -> Self {
        Self::new(1001, "No answer to ping")
    }

    /// The frame is longer than what is read.
    pub(super) fn too_big() -> Self {
        Self::new(1009, "Message too big")
    }

    /// The message is not one of the protocol; the client gives up.
    pub(super) fn bad_request(reason: &'static str) -> Self {
        Self::new(4400, reason)
    }

    /// A `subscribe` before the acknowledgement; the client gives up.
    pub(super) fn unauthorized() -> Self {
        Self::new(4401, "Unauthorized")
    }

    /// `connection_init` has not come in time.
    pub(super) fn init_timeout() -> Self {
        Self::new(4408, "Connection initialisation timeout")
    }

    /// The id belongs to an operation that still runs.
    pub(super) fn duplicate(id: &str) -> Self {
        Self::new(4409, format!("Subscriber for {id} already exists"))
    }

    /// A second `connection_init`.
    pub(super) fn too_many_inits() -> Self {
        Self::new(4429, "Too many initialisation requests")
    }

    pub(super) fn into_message(self) -> Message {
        Message::Close(Some(CloseFrame {
            code: self.code,
            reason: self.reason.into(),
        }))
    }
}

impl From<AuthRefusal> for Close {
    fn from(refusal: AuthRefusal) -> Self {
        match refusal {
            // Clients give up at once, so that the person is asked to sign in.
            AuthRefusal::Unauthenticated(message) => Self::new(4401, message),
            // Clients try again, in case access is granted meanwhile.
            AuthRefusal::Forbidden(message) => Self::new(4403, message),
            AuthRefusal::Denied(code, message) => {
                Self::new(4403, format!("{}: {message}", code.as_str()))
            }
            // "Try again later": 1011 would be as true, but clients give up on it.
            AuthRefusal::Unavailable => Self::new(1013, "The credential cannot be checked"),
        }
    }
}

impl From<Full> for Close {
    /// "Try again later": some of the caller's sockets may have ended by then.
    fn from(full: Full) -> Self {
        Self::new(1013, full.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_fits_into_a_close_frame() {
        let close = Close::duplicate(&"é".repeat(200));
        assert!(close.reason.len() <= MAX_REASON && close.reason.len() > MAX_REASON - 2);
    }

    #[test]
    fn expired_credential_is_final_and_missing_right_is_not() {
        assert_eq!(
            Close::from(AuthRefusal::Unauthenticated(String::new())).code,
            4401
        );
        assert_eq!(
            Close::from(AuthRefusal::Forbidden(String::new())).code,
            4403
        );
        assert_eq!(Close::from(AuthRefusal::Unavailable).code, 1013);
    }
}
