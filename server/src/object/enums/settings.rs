//! Enums of the schema that mirror enums of the domain: integrations, their credentials and tests.

use super::mirrored_enum;
use crate::error::Failure;

/// Which way data flows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, async_graphql::Enum)]
pub(crate) enum SyncDirection {
    /// From the directory into the organization.
    Inbound,
}

/// Fewer than the domain has: nothing makes an integration of the other direction yet.
impl TryFrom<lockstep_domain::SyncDirection> for SyncDirection {
    type Error = Failure;

    fn try_from(direction: lockstep_domain::SyncDirection) -> Result<Self, Failure> {
        match direction {
            lockstep_domain::SyncDirection::Inbound => Ok(Self::Inbound),
            lockstep_domain::SyncDirection::Outbound => Err(Failure::Fault(
                "an integration flows in a direction that the schema does not have".to_owned(),
            )),
        }
    }
}

mirrored_enum! {
    /// Where an integration stands.
    IntegrationState = IntegrationState {
        /// Being set up; never activated.
        Draft,
        /// Automatic runs start on schedule.
        Active,
        /// Activated, but automatic runs wait until a problem is resolved; see `pause`.
        Paused,
        /// Switched off by an owner; no run starts until it is activated again. Users, teams and links stay as they are.
        Inactive,
    }
}

mirrored_enum! {
    /// Cause of a pause.
    PauseReason = PauseReason {
        /// A run failed for a reason that no other value names, and the error is not resolved.
        RunFailed,
        /// Microsoft Graph or its sign-in service was not available or kept asking to slow down.
        ProviderUnavailable,
        /// The client secret has expired.
        CredentialExpired,
        /// Microsoft refused the credentials.
        CredentialsRejected,
        /// A permission is missing or admin consent was withdrawn.
        PermissionMissing,
    }
}

mirrored_enum! {
    /// What ends a pause.
    PauseResolution = PauseResolution {
        /// A passing fault: the service tries again by itself and resumes at the first success; a manual run may come first.
        Automatic,
        /// A fault of the configuration: a test that passes or a manual run that succeeds resumes it.
        TestOrRun,
    }
}

mirrored_enum! {
    /// Kind of obstacle to activation.
    ActivationBlockerCode = ActivationBlocker {
        /// Tenant ID, client ID, or the client secret is missing.
        CredentialMissing,
        /// The client secret has expired.
        CredentialExpired,
        /// An inbound integration has no default language.
        DefaultLanguageMissing,
        /// The present settings have not been tested successfully.
        TestRequired,
        /// The add-on is not switched on.
        EntitlementMissing,
    }
}

mirrored_enum! {
    /// A cloud of Microsoft with sign-in service and Graph of its own.
    EntraCloud = EntraCloud {
        /// The public cloud, also used by US government customers on GCC.
        Global,
        /// US government, GCC High (L4).
        UsGovernment,
        /// US government, Department of Defense (L5).
        UsGovernmentDod,
        /// China, operated by 21Vianet.
        China,
    }
}

mirrored_enum! {
    /// Which attribute of the directory the e-mail address is taken from.
    EmailSource = EmailSource {
        /// `mail`.
        Mail,
        /// `mail`, and the user principal name when that is empty.
        MailThenUpn,
        /// The user principal name.
        Upn,
    }
}

mirrored_enum! {
    /// A part of a test.
    CheckCategory = CheckCategory {
        /// Tenant, client, and secret.
        Credentials,
        /// Permissions, per feature.
        Permissions,
        /// Reading a few objects of each kind.
        Reading,
        /// What the sync rules would do.
        Rules,
        /// What the organization may do: the add-on.
        Platform,
    }
}

mirrored_enum! {
    /// What a check looks at.
    CheckKind = CheckKind {
        /// Tenant ID and client ID are well-formed and a secret is set.
        CredentialFormat,
        /// The tenant exists and its sign-in service answers.
        Tenant,
        /// The client ID and its secret are accepted.
        ClientAuthentication,
        /// The client secret is not expired nor about to be.
        CredentialExpiry,
        /// One permission is granted with admin consent.
        Permission,
        /// Users can be read.
        ReadUsers,
        /// Managers can be read.
        ReadManagers,
        /// Groups can be read.
        ReadGroups,
        /// Members of groups can be read.
        ReadMembers,
        /// How many people are in scope of the sync rules, and how many of them have problems.
        Scope,
        /// The add-on is switched on.
        Entitlement,
    }
}

mirrored_enum! {
    /// How a check came out.
    CheckStatus = CheckStatus {
        /// Not made, because an earlier check failed or the sync rules do not need it.
        Skipped,
        /// All is well.
        Passed,
        /// It works now but needs attention.
        Warning,
        /// Not finished yet; ask again with `node`.
        Running,
        /// It does not work.
        Failed,
    }
}

mirrored_enum! {
    /// Whether a permission is granted and needed.
    PermissionStatus = PermissionStatus {
        /// Needed and granted with admin consent.
        Granted,
        /// Needed, but not granted or without admin consent.
        Missing,
        /// Granted, but no feature needs it: it may be removed.
        NotNeeded,
        /// Could not be found out.
        Unknown,
    }
}

mirrored_enum! {
    /// A part of what an integration does that needs permissions of its own.
    SyncFeature = SyncFeature {
        /// Inbound: users and their managers.
        Users,
        /// Inbound: teams for groups.
        GroupTeams,
        /// Inbound: teams for managers.
        ManagerTeams,
    }
}
