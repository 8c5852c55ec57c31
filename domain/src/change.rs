//! Changes: what a run decided, kept with before and after.

use serde::{Deserialize, Serialize};

use crate::platform::{DeactivationReason, PlatformUser, RecordOrigin, UserStatus};
use crate::team::{Team, TeamArchivalReason, TeamRole, TeamStatus};
use crate::text_enum::text_enum;

text_enum! {
    /// Kind of object in a change log.
    pub enum ObjectKind {
        /// A user.
        User = "USER",
        /// A team.
        Team = "TEAM",
        /// A membership of a team.
        Membership = "MEMBERSHIP",
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
        /// Archives the team.
        Archive = "ARCHIVE",
        /// Brings the team back from the archive.
        Unarchive = "UNARCHIVE",
        /// Adds a member.
        AddMember = "ADD_MEMBER",
        /// Adds a supervisor.
        AddSupervisor = "ADD_SUPERVISOR",
        /// Moves a member from one manager's team to another's (D-41).
        MoveMember = "MOVE_MEMBER",
        /// Removes a member.
        RemoveMember = "REMOVE_MEMBER",
        /// Removes a supervisor.
        RemoveSupervisor = "REMOVE_SUPERVISOR",
    }
}

text_enum! {
    /// How a change came out.
    pub enum ChangeOutcome {
        /// Worked out, not applied.
        Planned = "PLANNED",
        /// Waits for an owner.
        Held = "HELD",
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
        /// An owner set a hold on the user.
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

    /// Whether nobody has edited the user since; a first sign-in is no edit.
    #[must_use]
    pub fn is_unedited_since(&self, before: &Self) -> bool {
        let signed_in =
            self.status == UserStatus::Active && before.status == UserStatus::NotYetActivated;
        let status = if signed_in {
            self.status
        } else {
            before.status
        };
        *self
            == Self {
                status,
                ..before.clone()
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
}

/// The fields of a team that runs write: the before and after of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeamFields {
    /// Name.
    pub name: String,
    /// Name that the directory gives.
    pub source_name: Option<String>,
    /// Whether the team is in use.
    pub status: TeamStatus,
    /// Why the team is archived.
    pub archival_reason: Option<TeamArchivalReason>,
    /// Where the team is managed.
    pub origin: RecordOrigin,
}

impl TeamFields {
    /// Takes the fields of a team as the team is.
    #[must_use]
    pub fn of(team: &Team) -> Self {
        Self {
            name: team.name.clone(),
            source_name: team.source_name.clone(),
            status: team.status,
            archival_reason: team.archival_reason,
            origin: team.origin,
        }
    }
}

/// The fields of a membership that runs write: the before and after of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MembershipFields {
    /// Role of the user in the team, as the directory gives it.
    pub role: TeamRole,
}

/// The fields of an object of a change log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectFields {
    /// Of a user.
    User(UserFields),
    /// Of a team.
    Team(TeamFields),
    /// Of a membership.
    Membership(MembershipFields),
}

impl ObjectFields {
    /// The fields of a user, none when they are of something else.
    #[must_use]
    pub const fn user(&self) -> Option<&UserFields> {
        match self {
            Self::User(fields) => Some(fields),
            Self::Team(_) | Self::Membership(_) => None,
        }
    }

    /// The fields of a team, none when they are of something else.
    #[must_use]
    pub const fn team(&self) -> Option<&TeamFields> {
        match self {
            Self::Team(fields) => Some(fields),
            Self::User(_) | Self::Membership(_) => None,
        }
    }

    fn shown(&self) -> Vec<(&'static str, Option<String>)> {
        match self {
            Self::User(fields) => vec![
                ("givenName", fields.given_name.clone()),
                ("familyName", fields.family_name.clone()),
                (
                    "email",
                    Some(fields.email.clone()).filter(|email| !email.is_empty()),
                ),
                ("jobTitle", fields.job_title.clone()),
                ("status", Some(fields.status.as_str().to_owned())),
            ],
            Self::Team(fields) => vec![
                ("name", Some(fields.name.clone())),
                ("sourceName", fields.source_name.clone()),
                ("status", Some(fields.status.as_str().to_owned())),
                (
                    "archivalReason",
                    fields
                        .archival_reason
                        .map(|reason| reason.as_str().to_owned()),
                ),
                ("origin", Some(fields.origin.as_str().to_owned())),
            ],
            Self::Membership(fields) => vec![("role", Some(fields.role.as_str().to_owned()))],
        }
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
    /// Compares two versions of an object, field by field; a missing side counts as all empty. Users and teams are never
    /// taken away, so of one that has no version after, nothing changes.
    #[must_use]
    pub fn between(before: Option<&ObjectFields>, after: Option<&ObjectFields>) -> Vec<Self> {
        if matches!(before, Some(ObjectFields::User(_) | ObjectFields::Team(_))) && after.is_none()
        {
            return Vec::new();
        }
        let before = before.map(ObjectFields::shown);
        let after = after.map(ObjectFields::shown);
        let fields: Vec<&'static str> = before
            .as_ref()
            .or(after.as_ref())
            .map(|shown| shown.iter().map(|(field, _)| *field).collect())
            .unwrap_or_default();
        let value = |side: &Option<Vec<(&'static str, Option<String>)>>, at: usize| {
            side.as_ref()
                .and_then(|shown| shown.get(at))
                .and_then(|(_, value)| value.clone())
        };
        fields
            .into_iter()
            .enumerate()
            .map(|(at, field)| Self {
                field,
                before: value(&before, at),
                after: value(&after, at),
            })
            .filter(|change| change.before != change.after)
            .collect()
    }
}
