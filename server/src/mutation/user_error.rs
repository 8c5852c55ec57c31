//! Expected failures of mutations: data that a person can act on, not errors (D-84).

use async_graphql::Interface;

use crate::error::Failure;
use lockstep_store::StoreError;

/// Why a mutation was not done.
pub(crate) enum Stop<C> {
    /// For reasons that the caller can act on, at least one.
    Refused(Vec<Refusal<C>>),
    /// For another reason.
    Failed(Failure),
}

/// An expected failure.
pub(crate) struct Refusal<C> {
    pub(crate) code: C,
    pub(crate) message: String,
    pub(crate) path: Option<Vec<String>>,
}

/// Makes a refusal that concerns no single value.
pub(crate) fn refuse<C>(code: C, message: impl Into<String>) -> Refusal<C> {
    Refusal {
        code,
        message: message.into(),
        path: None,
    }
}

impl<C> Refusal<C> {
    /// Names the value at fault by its path below `input`, with dots.
    pub(crate) fn at(mut self, path: &str) -> Self {
        self.path = Some(
            std::iter::once("input")
                .chain(path.split('.'))
                .map(ToOwned::to_owned)
                .collect(),
        );
        self
    }
}

impl<C> From<Refusal<C>> for Stop<C> {
    fn from(refusal: Refusal<C>) -> Self {
        Self::Refused(vec![refusal])
    }
}

impl<C> From<Failure> for Stop<C> {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl<C> From<StoreError> for Stop<C> {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

/// How often a mutation is tried that another writer is in the way of.
const TRIES: u32 = 4;

/// Does a mutation, and parts its outcome from refusals, which go into the payload. When it and another writer waited for
/// each other, and the database chose to end it, it is done again as a whole.
pub(crate) async fn settle<T, C, E: From<Refusal<C>>, F: Future<Output = Result<T, Stop<C>>>>(
    mutation: impl Fn() -> F,
) -> Result<(Option<T>, Vec<E>), Failure> {
    let mut done = mutation().await;
    for _ in 1..TRIES {
        if !matches!(done, Err(Stop::Failed(Failure::Conflict(_)))) {
            break;
        }
        done = mutation().await;
    }
    match done {
        Ok(outcome) => Ok((Some(outcome), Vec::new())),
        Err(Stop::Refused(refusals)) => Ok((None, refusals.into_iter().map(E::from).collect())),
        Err(Stop::Failed(failure)) => Err(failure),
    }
}

/// Codes that every mutation can answer with.
pub(crate) trait CommonCode: Sized {
    const NOT_FOUND: Self;
    const FORBIDDEN: Self;
    const INVALID: Self;
    const IDEMPOTENCY_KEY_REUSED: Self;
}

/// Codes of mutations that take texts.
pub(crate) trait TextCode: CommonCode {
    const REQUIRED: Self;
    const TOO_LONG: Self;
}

/// Codes that every mutation of an integration or a run can answer with.
pub(crate) trait IntegrationCode: CommonCode {
    const ENTITLEMENT_MISSING: Self;
}

/// Declares the type of an expected failure and its codes.
macro_rules! user_error {
    (
        $(#[$meta:meta])* $name:ident;
        $(#[$code_meta:meta])* $code:ident { $($(#[$value_meta:meta])* $value:ident,)+ }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, async_graphql::SimpleObject)]
        pub(crate) struct $name {
            /// The kind of failure.
            code: $code,
            /// What went wrong, in English, fit to be shown to a person.
            message: String,
            /// Path of the input value at fault, starting at `input`, or null when no single value is at fault.
            path: Option<Vec<String>>,
        }

        $(#[$code_meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, async_graphql::Enum)]
        pub(crate) enum $code { $($(#[$value_meta])* $value),+ }

        impl From<Refusal<$code>> for $name {
            fn from(refusal: Refusal<$code>) -> Self {
                let Refusal { code, message, path } = refusal;
                Self { code, message, path }
            }
        }

        impl CommonCode for $code {
            const NOT_FOUND: Self = Self::NotFound;
            const FORBIDDEN: Self = Self::Forbidden;
            const INVALID: Self = Self::Invalid;
            const IDEMPOTENCY_KEY_REUSED: Self = Self::IdempotencyKeyReused;
        }
    };
}

user_error! {
    /// An expected failure of a mutation of an integration.
    IntegrationUserError;
    /// Kind of expected failure of a mutation of an integration.
    IntegrationUserErrorCode {
        /// There is no such integration, or the viewer may not see it.
        NotFound,
        /// The role of the viewer does not allow it.
        Forbidden,
        /// The add-on is not switched on.
        EntitlementMissing,
        /// A required value is missing or empty.
        Required,
        /// A value is malformed or out of range.
        Invalid,
        /// The client secret looks like the Secret ID; the Value is needed.
        SecretIdGiven,
        /// The tenant cannot be changed while users are linked.
        LinksExist,
        /// Another inbound integration of the organization reads the tenant already.
        TenantInUse,
        /// A value is too long.
        TooLong,
        /// Another integration has the name.
        NameTaken,
        /// Something keeps the integration from being activated; see `Integration.activationBlockers`.
        NotReady,
        /// The state of the integration does not allow it.
        WrongState,
        /// Someone else changed the integration in the meantime; fetch it again.
        RevisionConflict,
        /// The idempotency key was used before with another input.
        IdempotencyKeyReused,
    }
}

impl TextCode for IntegrationUserErrorCode {
    const REQUIRED: Self = Self::Required;
    const TOO_LONG: Self = Self::TooLong;
}

impl IntegrationCode for IntegrationUserErrorCode {
    const ENTITLEMENT_MISSING: Self = Self::EntitlementMissing;
}

user_error! {
    /// An expected failure of a mutation of a run.
    RunUserError;
    /// Kind of expected failure of a mutation of a run.
    RunUserErrorCode {
        /// There is no such integration or run, or the viewer may not see it.
        NotFound,
        /// The role of the viewer does not allow it.
        Forbidden,
        /// The add-on is not switched on.
        EntitlementMissing,
        /// The integration is not activated; only tests and previews are allowed.
        NotActive,
        /// Credentials are missing.
        CredentialMissing,
        /// The run has ended, so it cannot be canceled.
        AlreadyFinished,
        /// A value is malformed or out of range.
        Invalid,
        /// The idempotency key was used before with another input.
        IdempotencyKeyReused,
    }
}

impl IntegrationCode for RunUserErrorCode {
    const ENTITLEMENT_MISSING: Self = Self::EntitlementMissing;
}

user_error! {
    /// An expected failure of a mutation of access, people, teams or settings.
    AccessUserError;
    /// Kind of expected failure of a mutation of access, people, teams or settings.
    AccessUserErrorCode {
        /// There is no such object, or the viewer may not see it.
        NotFound,
        /// The role of the viewer does not allow it.
        Forbidden,
        /// A required value is missing or empty.
        Required,
        /// A value is malformed or out of range.
        Invalid,
        /// A value is too long.
        TooLong,
        /// The idempotency key was used before with another input.
        IdempotencyKeyReused,
        /// The user, the team or the organization does not allow it as it is now.
        WrongState,
    }
}

impl TextCode for AccessUserErrorCode {
    const REQUIRED: Self = Self::Required;
    const TOO_LONG: Self = Self::TooLong;
}

/// An expected failure of a mutation that a person can act on. Every concrete type adds a `code` enum.
#[derive(Interface)]
#[graphql(
    field(
        name = "message",
        ty = "&String",
        desc = "What went wrong, in English, fit to be shown to a person."
    ),
    field(
        name = "path",
        ty = "&Option<Vec<String>>",
        desc = "Path of the input value at fault, starting at `input`, or null when no single value is at fault."
    )
)]
pub(crate) enum UserError {
    /// Of an integration.
    Integration(IntegrationUserError),
    /// Of a run.
    Run(RunUserError),
    /// Of access.
    Access(AccessUserError),
}
