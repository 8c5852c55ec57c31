//! Changes: what a run decided, kept with before and after.

use serde::{Deserialize, Serialize};

use crate::platform::{DeactivationReason, PlatformUser, UserStatus};
use crate::text_enum::text_enum;

text_enum! {
    /// Kind of object in a change log.
    pub enum ObjectKind {
        /// A user.
        User = "USER",
        /// A team.
        Team = "TEAM",
    }
}

text_enum! {
    /// What a change does.
    pub enum ChangeAction {
        /// Creates the object.
        Create = "CREATE",
        /// Links an existing user to an account of the directory.
        Link = "LINK",
        /// Updates fields.
        Update = "UPDATE",
        /// Deactivates the user.
        Deactivate = "DEACTIVATE",
        /// Reactivates the user.
        Reactivate = "REACTIVATE",
    }
}

text_enum! {
    /// How a change came out.
    pub enum ChangeOutcome {
        /// Worked out, not applied.
        Planned = "PLANNED",
        /// Waits for an owner.
        Held = "HELD",
        /// Held back and rejected by an owner.
        Rejected = "REJECTED",
        /// Held back and dropped, because nobody decided in time or a later run replaced it.
        Dropped = "DROPPED",
        /// Applied.
        Applied = "APPLIED",
        /// Left out for a reason.
        Skipped = "SKIPPED",
        /// Failed for a reason.
        Failed = "FAILED",
    }
}

text_enum! {
    /// Kind of reason for which a change is skipped, held or failed.
    pub enum ChangeReasonCode {
        /// First name, last name or e-mail address is missing.
        MissingRequired = "MISSING_REQUIRED",
        /// A value is malformed.
        InvalidValue = "INVALID_VALUE",
        /// The account is disabled in the directory.
        Disabled = "DISABLED",
        /// The account is a guest, and guests are not synchronized.
        GuestExcluded = "GUEST_EXCLUDED",
        /// A person must decide.
        Conflict = "CONFLICT",
        /// An owner deactivated the user by hand.
        UserHold = "USER_HOLD",
        /// The organization would have no active owner left.
        LastOwnerProtected = "LAST_OWNER_PROTECTED",
        /// Asking for the person by id did not confirm that the person is gone.
        DepartureNotConfirmed = "DEPARTURE_NOT_CONFIRMED",
        /// The category is over its limit.
        LimitExceeded = "LIMIT_EXCEEDED",
        /// The object changed or vanished while the run was going on.
        ChangedMeanwhile = "CHANGED_MEANWHILE",
        /// A change that this one waits for was not made.
        Dependency = "DEPENDENCY",
        /// A fault of this service.
        Internal = "INTERNAL",
    }
}

impl ChangeReasonCode {
    /// Whether a later run tries again by itself, so that the object must stay dirty.
    ///
    /// The others are looked at again when their cause changes: the source, the rules, or whoever shares the address.
    #[must_use]
    pub const fn is_retried(self) -> bool {
        match self {
            Self::DepartureNotConfirmed
            | Self::LimitExceeded
            | Self::ChangedMeanwhile
            | Self::Internal => true,
            Self::MissingRequired
            | Self::InvalidValue
            | Self::Disabled
            | Self::GuestExcluded
            | Self::Conflict
            | Self::Dependency
            | Self::UserHold
            | Self::LastOwnerProtected => false,
        }
    }
}

/// Why a change was skipped, held or failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeReason {
    /// The kind of reason.
    pub code: ChangeReasonCode,
    /// The reason in a sentence fit to be shown to a person.
    pub message: String,
    /// Name of the directory attribute at fault, none when no single one is.
    pub field: Option<String>,
}

impl ChangeReason {
    /// Makes a reason that concerns no single field.
    #[must_use]
    pub fn new(code: ChangeReasonCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            field: None,
        }
    }

    /// Names the field at fault.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }
}

/// The fields of a user that runs write: the before and after of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserFields {
    /// First name.
    pub given_name: Option<String>,
    /// Last name.
    pub family_name: Option<String>,
    /// Whether the names were split off a display name.
    #[serde(default)]
    pub names_derived: bool,
    /// E-mail address as written.
    pub email: String,
    /// Job title.
    pub job_title: Option<String>,
    /// Whether the user may sign in.
    pub status: UserStatus,
    /// Why the user is deactivated.
    pub deactivation_reason: Option<DeactivationReason>,
}

impl UserFields {
    /// Takes the fields of a user as the user is.
    #[must_use]
    pub fn of(user: &PlatformUser) -> Self {
        Self {
            given_name: user.given_name.clone(),
            family_name: user.family_name.clone(),
            names_derived: user.names_derived,
            email: user.email.clone(),
            job_title: user.job_title.clone(),
            status: user.status,
            deactivation_reason: user.deactivation_reason,
        }
    }

    /// First and last name, or the address when there is none.
    #[must_use]
    pub fn display_name(&self) -> String {
        let names: Vec<&str> = [&self.given_name, &self.family_name]
            .into_iter()
            .filter_map(|n| n.as_deref())
            .collect();
        if names.is_empty() {
            self.email.clone()
        } else {
            names.join(" ")
        }
    }

    fn shown(&self) -> [(&'static str, Option<String>); 5] {
        [
            ("givenName", self.given_name.clone()),
            ("familyName", self.family_name.clone()),
            ("email", Some(self.email.clone())),
            ("jobTitle", self.job_title.clone()),
            ("status", Some(self.status.as_str().to_owned())),
        ]
    }
}

/// A field that changed, with its value on both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange {
    /// Name of the field, as in the API.
    pub field: &'static str,
    /// Value before, none when there was none.
    pub before: Option<String>,
    /// Value after, none when there is none.
    pub after: Option<String>,
}

impl FieldChange {
    /// Compares two versions of a user, field by field; a missing side counts as all empty.
    #[must_use]
    pub fn between(before: Option<&UserFields>, after: Option<&UserFields>) -> Vec<Self> {
        let empty = || {
            ["givenName", "familyName", "email", "jobTitle", "status"].map(|field| (field, None))
        };
        let before = before.map_or_else(empty, UserFields::shown);
        let after = after.map_or_else(empty, UserFields::shown);
        before
            .into_iter()
            .zip(after)
            .filter(|(before, after)| before.1 != after.1)
            .map(|((field, before), (_, after))| Self {
                field,
                before,
                after,
            })
            .collect()
    }
}
