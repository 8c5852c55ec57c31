//! What can go wrong in a resolver.
//!
//! A failure with a code is told to the caller; any other is masked by the transport and logged there.

use std::sync::Arc;

use async_graphql::ErrorExtensions as _;
use lockstep_store::StoreError;

use crate::transport::ErrorCode;

/// The result of a resolver.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why a resolver has no answer.
#[derive(Debug, Clone)]
pub(crate) enum Failure {
    /// It is up to the caller.
    Told(ErrorCode, String),
    /// What was asked for does not exist, or the caller may not see it.
    NotFound(String),
    /// Another writer was in the way, and nothing was written. The text is for the log.
    Conflict(String),
    /// It is up to us. The text is for the log.
    Fault(String),
}

impl Failure {
    pub(crate) fn bad_input(message: impl Into<String>) -> Self {
        Self::Told(ErrorCode::BadUserInput, message.into())
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::Told(ErrorCode::Forbidden, message.into())
    }

    pub(crate) fn unauthenticated() -> Self {
        Self::Told(
            ErrorCode::Unauthenticated,
            "Sign in first: send a bearer token.".to_owned(),
        )
    }

    /// Makes a fault of an error, with its causes.
    pub(crate) fn fault(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Fault(chain(error))
    }
}

/// Writes an error with its causes in one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        if error.is_conflict() {
            Self::Conflict(chain(&error))
        } else {
            of_store(&error)
        }
    }
}

/// That only the operator can mend it is told; what it is goes to the log, because it names settings and parts of the
/// installation, which callers cannot change and need not know.
fn of_store(error: &StoreError) -> Failure {
    if !error.needs_operator() {
        return Failure::fault(error);
    }
    tracing::error!(error = %chain(error), "Nothing can be stored");
    Failure::Told(
        ErrorCode::ServiceUnavailable,
        "Nothing can be stored at the moment.".to_owned(),
    )
}

/// Loaders share one error among all who wait for the same statement.
impl From<Arc<StoreError>> for Failure {
    fn from(error: Arc<StoreError>) -> Self {
        of_store(error.as_ref())
    }
}

impl From<Failure> for async_graphql::Error {
    fn from(failure: Failure) -> Self {
        let told = |message: String, code: &'static str| {
            Self::new(message).extend_with(|_, extensions| extensions.set("code", code))
        };
        match failure {
            Failure::Told(code, message) => told(message, code.as_str()),
            Failure::NotFound(message) => told(message, "NOT_FOUND"),
            Failure::Conflict(message) | Failure::Fault(message) => Self::new(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use sea_orm::DbErr;

    use super::*;

    #[test]
    fn what_only_the_operator_can_mend_is_told_without_a_word_of_the_installation() {
        let cause = || DbErr::Custom("lockstep.db".to_owned());
        for error in [
            StoreError::Full(cause()),
            StoreError::Disk(cause()),
            StoreError::ReadOnly(cause()),
        ] {
            let told = async_graphql::Error::from(Failure::from(error));
            assert_eq!(told.message, "Nothing can be stored at the moment.");
        }
    }
}
