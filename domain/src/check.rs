//! Checks: what a connection test found (D-67).

use serde::{Deserialize, Serialize};

use crate::text_enum::text_enum;

text_enum! {
    /// A part of a test.
    pub enum CheckCategory {
        /// Tenant, client, and secret.
        Credentials = "CREDENTIALS",
        /// Permissions, per feature.
        Permissions = "PERMISSIONS",
        /// Reading a few objects of each kind.
        Reading = "READING",
        /// What the sync rules would do.
        Rules = "RULES",
        /// What the organization has.
        Platform = "PLATFORM",
    }
}

text_enum! {
    /// What a check looks at.
    pub enum CheckKind {
        /// Tenant ID and client ID are well-formed and a secret is set.
        CredentialFormat = "CREDENTIAL_FORMAT",
        /// The tenant exists and its sign-in service answers.
        Tenant = "TENANT",
        /// The client ID and its secret are accepted.
        ClientAuthentication = "CLIENT_AUTHENTICATION",
        /// The client secret is not expired nor about to be.
        CredentialExpiry = "CREDENTIAL_EXPIRY",
        /// One permission is granted with admin consent.
        Permission = "PERMISSION",
        /// Users can be read.
        ReadUsers = "READ_USERS",
        /// Managers can be read.
        ReadManagers = "READ_MANAGERS",
        /// Groups can be read.
        ReadGroups = "READ_GROUPS",
        /// Members of groups can be read.
        ReadMembers = "READ_MEMBERS",
        /// How many people are in scope, and how many of them have problems.
        Scope = "SCOPE",
        /// The add-on is switched on.
        Entitlement = "ENTITLEMENT",
    }
}

impl CheckKind {
    /// The part of the test a check belongs to.
    #[must_use]
    pub const fn category(self) -> CheckCategory {
        match self {
            Self::CredentialFormat
            | Self::Tenant
            | Self::ClientAuthentication
            | Self::CredentialExpiry => CheckCategory::Credentials,
            Self::Permission => CheckCategory::Permissions,
            Self::ReadUsers | Self::ReadManagers | Self::ReadGroups | Self::ReadMembers => {
                CheckCategory::Reading
            }
            Self::Scope => CheckCategory::Rules,
            Self::Entitlement => CheckCategory::Platform,
        }
    }

    /// Short title of the check.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::CredentialFormat => "Credentials are complete",
            Self::Tenant => "Tenant is found",
            Self::ClientAuthentication => "Client ID and secret are accepted",
            Self::CredentialExpiry => "Client secret is valid for a while",
            Self::Permission => "Permission is granted",
            Self::ReadUsers => "Users can be read",
            Self::ReadManagers => "Managers can be read",
            Self::ReadGroups => "Groups can be read",
            Self::ReadMembers => "Members of groups can be read",
            Self::Scope => "People in scope",
            Self::Entitlement => "Add-on is switched on",
        }
    }
}

text_enum! {
    /// How a check came out, worst last.
    pub enum CheckStatus {
        /// Not made.
        Skipped = "SKIPPED",
        /// All is well.
        Passed = "PASSED",
        /// It works now but needs attention.
        Warning = "WARNING",
        /// Not finished yet.
        Running = "RUNNING",
        /// It does not work.
        Failed = "FAILED",
    }
}

/// One check of a test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was checked.
    pub kind: CheckKind,
    /// How it came out.
    pub status: CheckStatus,
    /// What was found, in a sentence fit to be shown to a person.
    pub message: String,
    /// What a person can do about it.
    pub remediation: Option<String>,
    /// The permission at issue, none unless the kind says so.
    pub permission: Option<String>,
    /// Error code of Microsoft, for example `AADSTS7000215`.
    pub provider_error_code: Option<String>,
    /// Request id of Microsoft, for a support case.
    pub provider_request_id: Option<String>,
    /// How long the check took, in milliseconds.
    pub duration_ms: u64,
}

impl Check {
    /// Makes a check with nothing but kind, status and message.
    #[must_use]
    pub fn new(kind: CheckKind, status: CheckStatus, message: impl Into<String>) -> Self {
        Self {
            kind,
            status,
            message: message.into(),
            remediation: None,
            permission: None,
            provider_error_code: None,
            provider_request_id: None,
            duration_ms: 0,
        }
    }

    /// Says what a person can do.
    #[must_use]
    pub fn remedy(mut self, remediation: impl Into<String>) -> Self {
        self.remediation = Some(remediation.into());
        self
    }

    /// The status of a whole test: the worst of its checks; skipped ones aside.
    #[must_use]
    pub fn overall(checks: &[Self]) -> CheckStatus {
        checks
            .iter()
            .map(|check| check.status)
            .max()
            .unwrap_or(CheckStatus::Skipped)
    }
}

text_enum! {
    /// A part of what an integration does that needs permissions of its own.
    pub enum SyncFeature {
        /// Inbound: users and their managers.
        Users = "USERS",
        /// Inbound: teams for groups.
        GroupTeams = "GROUP_TEAMS",
        /// Inbound: teams for managers.
        ManagerTeams = "MANAGER_TEAMS",
    }
}

text_enum! {
    /// Whether a permission is granted and needed.
    pub enum PermissionStatus {
        /// Needed and granted with admin consent.
        Granted = "GRANTED",
        /// Needed, but not granted or without admin consent.
        Missing = "MISSING",
        /// Granted, but no feature needs it: it may be removed.
        NotNeeded = "NOT_NEEDED",
        /// Could not be found out.
        Unknown = "UNKNOWN",
    }
}

/// A permission of Microsoft Graph as found by a test (E-029: named per permission).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermissionResult {
    /// Name of the application permission, for example `User.Read.All`.
    pub name: String,
    /// The feature that needs it, none when nothing does.
    pub feature: Option<SyncFeature>,
    /// What was found.
    pub status: PermissionStatus,
    /// What was found, in a sentence fit to be shown to a person.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d67_a_test_is_as_good_as_its_worst_check() {
        let check = |status| Check::new(CheckKind::ReadUsers, status, "");
        assert_eq!(
            Check::overall(&[check(CheckStatus::Passed), check(CheckStatus::Skipped)]),
            CheckStatus::Passed
        );
        assert_eq!(
            Check::overall(&[check(CheckStatus::Warning), check(CheckStatus::Passed)]),
            CheckStatus::Warning
        );
        assert_eq!(
            Check::overall(&[check(CheckStatus::Failed), check(CheckStatus::Warning)]),
            CheckStatus::Failed
        );
    }
}
