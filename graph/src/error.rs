//! The one error of this crate, and what a caller can do about it.

use std::{sync::Arc, time::Duration};

use crate::SignInProblem;

/// What Graph said when it did not do as asked. Holds no token, no secret and no query of a link.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Graph's error code, empty when it gave none.
    pub code: String,
    /// First line of Graph's message. For administrators' details, never to decide on.
    pub message: String,
    /// Graph's id of the request, for Microsoft's support.
    pub request_id: Option<String>,
    /// All codes, outermost first, in lower case.
    pub(crate) codes: Vec<String>,
}

/// What the login host said when it gave no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    /// What it means.
    pub problem: SignInProblem,
    /// The AADSTS number.
    pub aadsts: Option<u32>,
    /// The OAuth error.
    pub error: String,
    /// First line of the description.
    pub message: String,
    /// The login host's id of the request, for Microsoft's support.
    pub trace_id: Option<String>,
    /// The id to find the attempt by in the tenant's sign-in log.
    pub correlation_id: Option<String>,
}

/// Why a read did not succeed. All retries are over when a caller sees it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GraphError {
    /// The client was given something it cannot work with.
    #[error("the Graph client is not set up: {reason}")]
    Configuration {
        /// What is wrong.
        reason: &'static str,
    },
    /// The login host gave no token.
    #[error("could not sign in ({}): {}", .0.error, .0.message)]
    SignIn(Box<SignIn>),
    /// Graph refused a fresh token.
    #[error("Graph refused a fresh token to {operation} ({})", .answer.code)]
    AuthRejected {
        /// What was asked.
        operation: &'static str,
        /// Graph's words.
        answer: Box<Answer>,
    },
    /// The app may not do this.
    #[error("Graph does not permit to {operation} ({})", .answer.code)]
    Forbidden {
        /// What was asked.
        operation: &'static str,
        /// Graph's words.
        answer: Box<Answer>,
    },
    /// Graph asks to wait longer than we may.
    #[error("Graph asks for a longer wait than allowed to {operation}")]
    Throttled {
        /// What was asked.
        operation: &'static str,
        /// How long Graph asks to wait, if it says.
        retry_after: Option<Duration>,
        /// Graph's words.
        answer: Box<Answer>,
    },
    /// Graph or the login host is out of order.
    #[error("Graph is not available to {operation} (status {})", .answer.status)]
    Unavailable {
        /// What was asked.
        operation: &'static str,
        /// How long Graph asks to wait, if it says.
        retry_after: Option<Duration>,
        /// Graph's words.
        answer: Box<Answer>,
    },
    /// No answer came, or it broke off.
    #[error("could not reach Graph to {operation}: {reason}")]
    Transport {
        /// What was asked.
        operation: &'static str,
        /// What happened.
        reason: &'static str,
        /// The HTTP client's error, without its address.
        #[source]
        source: Option<Arc<reqwest::Error>>,
    },
    /// The delta link is no longer valid: read everything.
    #[error("Graph can no longer {operation} from this delta link ({})", .answer.code)]
    Resync {
        /// What was asked.
        operation: &'static str,
        /// Graph's words.
        answer: Box<Answer>,
    },
    /// The link to the next page is too old: begin the round again.
    #[error("Graph no longer knows the next page to {operation}")]
    ExpiredPage {
        /// What was asked.
        operation: &'static str,
        /// Graph's words.
        answer: Box<Answer>,
    },
    /// The object is not there.
    #[error("not found: {operation} ({})", .answer.code)]
    NotFound {
        /// What was asked.
        operation: &'static str,
        /// Graph's words.
        answer: Box<Answer>,
    },
    /// Graph refused the request as such.
    #[error("Graph refused to {operation}: {} ({})", .answer.message, .answer.code)]
    Refused {
        /// What was asked.
        operation: &'static str,
        /// Graph's words.
        answer: Box<Answer>,
    },
    /// The answer makes no sense, three times in a row.
    #[error("Graph gave a bad answer to {operation}: {reason}")]
    BadResponse {
        /// What was asked.
        operation: &'static str,
        /// What is wrong with the answer.
        reason: &'static str,
        /// HTTP status of the answer.
        status: u16,
    },
    /// A link leads away from the Graph we were told to ask. It was not followed.
    #[error("a link to {operation} leads to another place than Graph")]
    ForeignLink {
        /// What was asked.
        operation: &'static str,
    },
    /// The pages lead in a circle.
    #[error("the pages to {operation} lead in a circle")]
    LoopingLink {
        /// What was asked.
        operation: &'static str,
    },
}

/// What a caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// A person has to correct the settings.
    Configuration,
    /// A person has to grant a permission or consent.
    Permission,
    /// Graph refuses a fresh token: a person has to look at the app.
    AuthRejected,
    /// Come back later, at a named time.
    Throttled,
    /// Microsoft is out of order: come back later.
    Unavailable,
    /// No connection: come back later, and look at the network.
    Unreachable,
    /// The delta link is void: read everything.
    Resync,
    /// The page link is void: begin the round again.
    RestartRound,
    /// The object is gone.
    NotFound,
    /// Graph refused the request: a mistake of ours, or a state nobody foresaw.
    Refused,
    /// Graph's answers make no sense.
    BadResponse,
    /// A link leads elsewhere.
    ForeignLink,
}

impl GraphError {
    /// Returns what a caller can do about it.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Configuration { .. } => ErrorClass::Configuration,
            Self::SignIn(sign_in) => sign_in.class(),
            Self::AuthRejected { .. } => ErrorClass::AuthRejected,
            Self::Forbidden { .. } => ErrorClass::Permission,
            Self::Throttled { .. } => ErrorClass::Throttled,
            Self::Unavailable { .. } => ErrorClass::Unavailable,
            Self::Transport { .. } => ErrorClass::Unreachable,
            Self::Resync { .. } => ErrorClass::Resync,
            Self::ExpiredPage { .. } => ErrorClass::RestartRound,
            Self::NotFound { .. } => ErrorClass::NotFound,
            Self::Refused { .. } => ErrorClass::Refused,
            Self::BadResponse { .. } | Self::LoopingLink { .. } => ErrorClass::BadResponse,
            Self::ForeignLink { .. } => ErrorClass::ForeignLink,
        }
    }

    /// Returns the AADSTS number of a failed sign-in.
    pub fn aadsts(&self) -> Option<u32> {
        self.sign_in().and_then(|sign_in| sign_in.aadsts)
    }

    /// Returns what the login host said, if it gave no token.
    pub fn sign_in(&self) -> Option<&SignIn> {
        match self {
            Self::SignIn(sign_in) => Some(sign_in),
            _ => None,
        }
    }

    /// Returns Graph's words, if it answered with an error.
    pub fn answer(&self) -> Option<&Answer> {
        match self {
            Self::AuthRejected { answer, .. }
            | Self::Forbidden { answer, .. }
            | Self::Throttled { answer, .. }
            | Self::Unavailable { answer, .. }
            | Self::Resync { answer, .. }
            | Self::ExpiredPage { answer, .. }
            | Self::NotFound { answer, .. }
            | Self::Refused { answer, .. } => Some(answer),
            Self::Configuration { .. }
            | Self::SignIn(_)
            | Self::Transport { .. }
            | Self::BadResponse { .. }
            | Self::ForeignLink { .. }
            | Self::LoopingLink { .. } => None,
        }
    }

    /// Returns what was asked of Graph.
    pub fn operation(&self) -> &'static str {
        match self {
            Self::Configuration { .. } => "set up the client",
            Self::SignIn(_) => "sign in",
            Self::AuthRejected { operation, .. }
            | Self::Forbidden { operation, .. }
            | Self::Throttled { operation, .. }
            | Self::Unavailable { operation, .. }
            | Self::Transport { operation, .. }
            | Self::Resync { operation, .. }
            | Self::ExpiredPage { operation, .. }
            | Self::NotFound { operation, .. }
            | Self::Refused { operation, .. }
            | Self::BadResponse { operation, .. }
            | Self::ForeignLink { operation }
            | Self::LoopingLink { operation } => operation,
        }
    }

    /// Whether groups or their members were asked for, which need permissions of their own. Every operation of the client
    /// names what it reads.
    pub fn is_about_groups(&self) -> bool {
        self.operation().contains("group")
    }

    /// Returns how long Graph asks to wait, if it says.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after, .. } | Self::Unavailable { retry_after, .. } => {
                *retry_after
            }
            _ => None,
        }
    }

    /// Whether the status is 404 and the code says that the object, not the address, is unknown.
    pub(crate) fn says_gone(&self) -> bool {
        const GONE: [&str; 5] = [
            "request_resourcenotfound",
            "directory_objectnotfound",
            "itemnotfound",
            "resourcenotfound",
            "notfound",
        ];
        match self {
            Self::NotFound { answer, .. } => answer.has_code(&GONE),
            _ => false,
        }
    }

    /// Whether a consent is so young that not every server knows the app yet.
    pub(crate) fn says_unknown_identity(&self) -> bool {
        match self {
            Self::Forbidden { answer, .. } => answer.has_code(&["authorization_identitynotfound"]),
            _ => false,
        }
    }
}

impl SignIn {
    const fn class(&self) -> ErrorClass {
        match self.problem {
            SignInProblem::Transient => ErrorClass::Unavailable,
            SignInProblem::ConsentMissing => ErrorClass::Permission,
            _ => ErrorClass::Configuration,
        }
    }
}

impl Answer {
    /// Whether one of the codes, at any depth, is among these lower-case ones.
    pub(crate) fn has_code(&self, codes: &[&str]) -> bool {
        self.codes.iter().any(|code| codes.contains(&code.as_str()))
    }
}
