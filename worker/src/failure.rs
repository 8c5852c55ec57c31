//! Failures: what an error means for a run, in a sentence an admin can act on.

use lockstep_domain::{Clock, RunError, RunErrorCode, RunPhase};
use lockstep_graph::{ErrorClass, GraphError, SignInProblem};
use lockstep_store::StoreError;

use crate::connection::ConnectionError;

/// Why a run does not go on.
#[derive(Debug)]
pub enum Stop {
    /// Someone asked it to.
    Canceled,
    /// Another worker has it, or it was ended from outside: nothing more may be written.
    Lost,
    /// The database failed; the run can be taken up again where it stands.
    Store(StoreError),
    /// It failed for good.
    Failed(Box<Failure>),
}

/// An error without the circumstances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The kind of error.
    pub code: RunErrorCode,
    /// What went wrong, fit to be shown to a person.
    pub message: String,
    /// What a person can do about it.
    pub remediation: Option<String>,
    /// Error code of Microsoft.
    pub provider_code: Option<String>,
    /// Request id of Microsoft.
    pub provider_request_id: Option<String>,
}

impl Failure {
    /// Makes an error that has nothing to do with Microsoft.
    #[must_use]
    pub fn new(code: RunErrorCode, message: impl Into<String>, remediation: Option<&str>) -> Self {
        Self {
            code,
            message: message.into(),
            remediation: remediation.map(ToOwned::to_owned),
            provider_code: None,
            provider_request_id: None,
        }
    }

    /// Adds when and where it happened.
    #[must_use]
    pub fn at(self, phase: RunPhase, clock: &dyn Clock) -> RunError {
        RunError {
            code: self.code,
            message: self.message,
            remediation: self.remediation,
            phase,
            occurred_at: clock.now(),
            provider_error_code: self.provider_code,
            provider_request_id: self.provider_request_id,
        }
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::LeaseLost => Self::Lost,
            StoreError::Full(_) => Self::Failed(Box::new(Failure::new(
                RunErrorCode::StorageFull,
                "The database has no space left.",
                Some("Free or add disk space, then start a run by hand."),
            ))),
            StoreError::Disk(_) => Self::Failed(Box::new(Failure::new(
                RunErrorCode::Internal,
                "The disk of the database cannot be read or written.",
                Some("Look at its space, its limits and its health, then start a run by hand."),
            ))),
            error @ StoreError::Corrupt { .. } => Self::Failed(Box::new(Failure::new(
                RunErrorCode::Internal,
                error.to_string(),
                Some(
                    "The database was written by another version of the service. Update this one.",
                ),
            ))),
            error if error.passes_by_itself() => Self::Store(error),
            error => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(error = %error, cause, "The database refused a statement");
                Self::Failed(Box::new(Failure::new(
                    RunErrorCode::Internal,
                    "The database refused a statement. The log of the worker says more.",
                    Some("Look at the log of the worker, then start a run by hand."),
                )))
            }
        }
    }
}

impl From<GraphError> for Stop {
    fn from(error: GraphError) -> Self {
        Self::Failed(Box::new(Failure::from(&error)))
    }
}

impl From<ConnectionError> for Stop {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::Graph(error) => error.into(),
            ConnectionError::Seal(error) => Self::Failed(Box::new(Failure::new(
                RunErrorCode::KeyUnavailable,
                format!("The stored client secret cannot be opened: {error}."),
                Some(
                    "Give the worker the key that the secret was sealed to (LOCKSTEP_OPEN_KEY), or store the secret again.",
                ),
            ))),
        }
    }
}

impl From<&GraphError> for Failure {
    fn from(error: &GraphError) -> Self {
        let (code, message, remediation) = match error {
            GraphError::SignIn(sign_in) => sign_in_words(sign_in.problem),
            other => graph_words(other),
        };
        let (provider_code, provider_request_id) = provider(error);
        Self {
            code,
            message: message.to_owned(),
            remediation: remediation.map(ToOwned::to_owned),
            provider_code,
            provider_request_id,
        }
    }
}

type Words = (RunErrorCode, &'static str, Option<&'static str>);

/// D-62: what Microsoft's sign-in service means by a refusal.
fn sign_in_words(problem: SignInProblem) -> Words {
    match problem {
        SignInProblem::WrongSecret => (
            RunErrorCode::InvalidClientSecret,
            "Microsoft refused the client secret as wrong.",
            Some(
                "Enter the Value of the client secret, not its Secret ID. If it is lost, create a new one under Certificates & secrets.",
            ),
        ),
        SignInProblem::ExpiredSecret => (
            RunErrorCode::CredentialExpired,
            "The client secret has expired.",
            Some("Create a new client secret under Certificates & secrets and enter its Value."),
        ),
        SignInProblem::AppNotFound => (
            RunErrorCode::ClientNotFound,
            "There is no app registration with this client ID in the tenant.",
            Some(
                "Compare the Application (client) ID and the Directory (tenant) ID with the overview page of the app registration.",
            ),
        ),
        SignInProblem::TenantNotFound => (
            RunErrorCode::TenantNotFound,
            "There is no such tenant.",
            Some(
                "Compare the Directory (tenant) ID with the overview page of the app registration, and check the cloud.",
            ),
        ),
        SignInProblem::ConsentMissing => (
            RunErrorCode::PermissionMissing,
            "Nobody has consented to the app in this tenant.",
            Some("Open API permissions in the app registration and choose Grant admin consent."),
        ),
        SignInProblem::ConditionalAccess => (
            RunErrorCode::BlockedByPolicy,
            "A policy of the tenant, such as Conditional Access, blocks the app.",
            Some(
                "Find the attempt in the sign-in log of the tenant (service principal sign-ins) and exclude the app from the policy.",
            ),
        ),
        SignInProblem::OtherConfiguration => (
            RunErrorCode::ClientDisabled,
            "Microsoft refused to sign the app in.",
            Some(
                "Look the error code up in the sign-in log of the tenant, and compare the app registration with the set-up guide.",
            ),
        ),
        SignInProblem::Transient => (
            RunErrorCode::ProviderUnavailable,
            "The sign-in service of Microsoft was not available.",
            None,
        ),
    }
}

fn graph_words(error: &GraphError) -> Words {
    match error.class() {
        ErrorClass::Permission => (
            RunErrorCode::PermissionMissing,
            "Microsoft Graph does not permit reading the directory: a permission or admin consent is missing.",
            Some(if error.is_about_groups() {
                "Add the application permissions Group.Read.All and GroupMember.Read.All in the app registration and choose Grant admin consent."
            } else {
                "Add the application permission User.Read.All in the app registration and choose Grant admin consent."
            }),
        ),
        ErrorClass::AuthRejected => (
            RunErrorCode::TokenRejected,
            "Microsoft Graph refused a fresh token.",
            Some(
                "Check that the app registration and its enterprise application are enabled in the tenant.",
            ),
        ),
        ErrorClass::Throttled => (
            RunErrorCode::Throttled,
            "Microsoft Graph kept asking to slow down until the time for the run was up.",
            None,
        ),
        ErrorClass::Unavailable | ErrorClass::Unreachable => (
            RunErrorCode::ProviderUnavailable,
            "Microsoft Graph did not answer, or answered with a server error.",
            None,
        ),
        ErrorClass::BadResponse | ErrorClass::ForeignLink => (
            RunErrorCode::ProviderBadResponse,
            "Microsoft Graph answered with something that cannot be used, so nothing was concluded from it.",
            None,
        ),
        ErrorClass::Resync | ErrorClass::RestartRound => (
            RunErrorCode::IncompleteRead,
            "The directory could not be read to the end, so nothing was concluded from it.",
            None,
        ),
        ErrorClass::Configuration => (
            RunErrorCode::ClientNotFound,
            "The tenant, client ID or secret is not usable.",
            Some("Enter the credentials again as the set-up guide says."),
        ),
        ErrorClass::NotFound | ErrorClass::Refused => (
            RunErrorCode::ProviderRejected,
            "Microsoft Graph refused a request.",
            Some("Report this together with the request id."),
        ),
    }
}

/// Microsoft's own code and request id, for a support case.
#[must_use]
pub fn provider(error: &GraphError) -> (Option<String>, Option<String>) {
    if let Some(sign_in) = error.sign_in() {
        let code = sign_in
            .aadsts
            .map_or_else(|| sign_in.error.clone(), |number| format!("AADSTS{number}"));
        return (Some(code), sign_in.trace_id.clone());
    }
    let answer = error.answer();
    (
        answer
            .map(|answer| answer.code.clone())
            .filter(|code| !code.is_empty()),
        answer.and_then(|answer| answer.request_id.clone()),
    )
}
