//! Identifiers: one type for each kind of object, so that a user cannot be passed for a run.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! id_types {
    ($($(#[$meta:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self { Self(id) }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self { id.0 }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { self.0.fmt(f) }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> { Uuid::parse_str(text).map(Self) }
        }
    )+};
}

id_types! {
    /// An organization: one customer of the platform.
    OrganizationId,
    /// A user of an organization.
    UserId,
    /// A team of an organization.
    TeamId,
    /// A decision of an owner about one user.
    UserHoldId,
    /// An integration of an organization with a directory.
    IntegrationId,
    /// One execution of an integration.
    RunId,
    /// One entry of the change log of a run.
    ChangeId,
    /// A set of held changes.
    HoldId,
    /// One test of an integration's settings.
    TestId,
    /// One saved version of sync rules.
    RulesVersionId,
    /// A tie between a sign-in at a provider and a user.
    SignInLinkId,
    /// A sign-in that may be of a user, for an owner to decide.
    SignInProposalId,
}
