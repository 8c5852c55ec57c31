//! Enums of the schema. Those of the domain are mirrored, so that the domain need not know GraphQL.

mod people;
mod reason;
mod runs;
mod settings;
mod teams;

use async_graphql::Enum;

pub(crate) use self::people::*;
pub(crate) use self::reason::ChangeReasonCode;
pub(crate) use self::runs::*;
pub(crate) use self::settings::*;
pub(crate) use self::teams::*;

/// Declares an enum of the schema with the values of an enum of the domain, and the way from one to the other.
macro_rules! mirrored_enum {
    ($(#[$meta:meta])* $name:ident = $domain:ident { $($(#[$value_meta:meta])* $value:ident,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, async_graphql::Enum)]
        pub(crate) enum $name { $($(#[$value_meta])* $value),+ }

        impl From<lockstep_domain::$domain> for $name {
            fn from(value: lockstep_domain::$domain) -> Self {
                match value { $(lockstep_domain::$domain::$value => Self::$value),+ }
            }
        }

        impl From<$name> for lockstep_domain::$domain {
            fn from(value: $name) -> Self {
                match value { $($name::$value => Self::$value),+ }
            }
        }

        #[cfg(test)]
        impl $crate::object::enums::tests::Mirrored for $name {
            fn spellings() -> Vec<(String, &'static str)> {
                let written = |value| async_graphql::resolver_utils::enum_value::<Self>(value).to_string();
                let all = lockstep_domain::$domain::ALL.iter();
                all.map(|value| (written(Self::from(*value)), value.as_str())).collect()
            }
        }
    };
}

use mirrored_enum;

/// Direction in which a list is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum OrderDirection {
    /// From the lowest value to the highest.
    Asc,
    /// From the highest value to the lowest.
    Desc,
}

/// What a list of users can be ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum UserOrderField {
    /// The display name, without regard to case and accents.
    Name,
    /// The time of creation here.
    CreatedAt,
}

/// What a list of teams can be ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum TeamOrderField {
    /// The name, without regard to case and accents.
    Name,
    /// The time of creation here.
    CreatedAt,
}

/// What a list of runs can be ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum RunOrderField {
    /// The time at which the run was asked for.
    TriggeredAt,
}

/// A single permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum Permission {
    /// Read integrations, runs and change logs.
    ReadIntegrations,
    /// Start, preview and cancel runs.
    OperateRuns,
    /// Create, configure, activate and deactivate integrations.
    ManageIntegrations,
    /// Set credentials of integrations.
    ManageCredentials,
    /// Manage teams, their members and the holds of users.
    ManageAccess,
    /// Staff of the platform only: switch add-ons on and off, for any organization.
    ManageEntitlements,
}

/// An add-on that is switched on per organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum Feature {
    /// Synchronization from Microsoft Entra ID into the organization.
    EntraInboundSync,
}

impl Feature {
    /// Every add-on.
    pub(crate) const ALL: [Self; 1] = [Self::EntraInboundSync];

    /// Name of the add-on in the database.
    pub(crate) const fn stored(self) -> &'static str {
        match self {
            Self::EntraInboundSync => lockstep_store::organization::INBOUND_SYNC,
        }
    }
}

/// A directory product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum IntegrationProvider {
    /// Microsoft Entra ID through Microsoft Graph.
    MicrosoftEntraId,
}

/// How near the expiry of a client secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum CredentialExpiry {
    /// The date is not known.
    Unknown,
    /// More than 60 days away.
    Valid,
    /// Within 60 days.
    Expiring,
    /// Past.
    Expired,
}

/// A ready-made schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum SchedulePreset {
    /// Every day at 04:00 UTC; the default of inbound integrations.
    Daily,
}

/// A field of a user that runs can write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum SyncedField {
    /// First name.
    GivenName,
    /// Last name.
    FamilyName,
    /// E-mail address.
    Email,
    /// Job title.
    JobTitle,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tells how the values of a mirrored enum are spelled in the schema and in the domain.
    pub(crate) trait Mirrored {
        fn spellings() -> Vec<(String, &'static str)>;
    }

    fn check<T: Mirrored>() {
        for (here, there) in T::spellings() {
            assert_eq!(here, there);
        }
    }

    #[test]
    fn values_are_spelled_as_in_the_database_and_the_logs() {
        check::<ActorKind>();
        check::<OrganizationRole>();
        check::<UserStatus>();
        check::<DeactivationReason>();
        check::<LinkMatch>();
        check::<RecordOrigin>();
        check::<DirectoryUserType>();
        check::<IntegrationState>();
        check::<PauseReason>();
        check::<PauseResolution>();
        check::<ActivationBlockerCode>();
        check::<EntraCloud>();
        check::<EmailSource>();
        check::<CheckCategory>();
        check::<CheckKind>();
        check::<CheckStatus>();
        check::<PermissionStatus>();
        check::<SyncFeature>();
        check::<RunKind>();
        check::<RunState>();
        check::<RunTriggerKind>();
        check::<ReadMode>();
        check::<RunPhase>();
        check::<RunErrorCode>();
        check::<RunWarningCode>();
        check::<HoldCategory>();
        check::<ChangeAction>();
        check::<ChangeOutcome>();
        check::<TeamStatus>();
        check::<TeamArchivalReason>();
        check::<TeamSource>();
        check::<TeamRole>();
        check::<MembershipOriginKind>();
        check::<UserHoldKind>();
        check::<DirectoryGroupType>();
        check::<GroupMembership>();
        check::<ManagerTeamDepth>();
        check::<SwitchedOffPolicy>();
    }
}
