//! Reasons of changes, fewer than the domain has.

use async_graphql::Enum;
use lockstep_domain::ChangeReasonCode as Domain;

/// Kind of reason for which a change is skipped, held or failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum ChangeReasonCode {
    /// First name, last name or e-mail address is missing; see `field`.
    MissingRequired,
    /// A value is malformed, such as an e-mail address.
    InvalidValue,
    /// The account is disabled in the directory.
    Disabled,
    /// The account is a guest, and guests are not synchronized.
    GuestExcluded,
    /// A person must decide.
    Conflict,
    /// A change that this one counts on was not made.
    Dependency,
    /// An owner set a hold on the user.
    UserHold,
    /// The organization would have no active owner left.
    LastOwnerProtected,
    /// Asking for the person by id did not confirm that the person is gone.
    DepartureNotConfirmed,
    /// The category is over its limit.
    LimitExceeded,
    /// The object changed or vanished while the run was going on.
    ChangedMeanwhile,
    /// A fault of this service.
    Internal,
}

impl ChangeReasonCode {
    /// The reasons of the domain that are shown as this one.
    pub(crate) fn domain(self) -> Vec<Domain> {
        Domain::ALL
            .iter()
            .copied()
            .filter(|code| Self::from(*code) == self)
            .collect()
    }

    /// The problem in a sentence, for many changes at once.
    pub(crate) fn explain(self, field: Option<&str>) -> String {
        match (self, field) {
            (Self::MissingRequired, Some(field)) => {
                format!("The directory gives no `{field}`, which is required.")
            }
            (Self::MissingRequired, None) => {
                "The directory gives no value for something that is required.".to_owned()
            }
            (Self::InvalidValue, Some(field)) => {
                format!("The value of `{field}` in the directory cannot be used.")
            }
            (Self::InvalidValue, None) => "A value in the directory cannot be used.".to_owned(),
            (Self::Disabled, _) => "The account is disabled in the directory.".to_owned(),
            (Self::GuestExcluded, _) => {
                "The account is a guest, and guests are not synchronized.".to_owned()
            }
            (Self::Conflict, _) => "A person must decide.".to_owned(),
            (Self::Dependency, _) => "A change that this one counts on was not made.".to_owned(),
            (Self::UserHold, _) => {
                "An owner deactivated the user, or removed the user from the team, by hand."
                    .to_owned()
            }
            (Self::LastOwnerProtected, _) => {
                "The organization would have no active owner left.".to_owned()
            }
            (Self::DepartureNotConfirmed, _) => {
                "The person is missing, but is not confirmed to be gone.".to_owned()
            }
            (Self::LimitExceeded, _) => {
                "There are more such changes than the limit allows. They stay held until the directory takes them back or the limit is raised."
                    .to_owned()
            }
            (Self::ChangedMeanwhile, _) => {
                "The user or team was changed while the run was going on; the next run looks again."
                    .to_owned()
            }
            (Self::Internal, _) => {
                "The change failed because of a fault of this service; the next run tries again."
                    .to_owned()
            }
        }
    }
}

impl From<Domain> for ChangeReasonCode {
    fn from(code: Domain) -> Self {
        match code {
            Domain::MissingRequired => Self::MissingRequired,
            Domain::InvalidValue => Self::InvalidValue,
            Domain::Disabled => Self::Disabled,
            Domain::GuestExcluded => Self::GuestExcluded,
            Domain::Conflict => Self::Conflict,
            Domain::Dependency => Self::Dependency,
            Domain::UserHold => Self::UserHold,
            Domain::LastOwnerProtected => Self::LastOwnerProtected,
            Domain::DepartureNotConfirmed => Self::DepartureNotConfirmed,
            Domain::LimitExceeded => Self::LimitExceeded,
            Domain::ChangedMeanwhile => Self::ChangedMeanwhile,
            Domain::Internal => Self::Internal,
        }
    }
}
