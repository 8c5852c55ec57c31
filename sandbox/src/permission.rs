//! Which application permissions open which path.

use crate::error::GraphError;

/// The reads that need a permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Users,
    Groups,
    DeletedGroups,
    Organization,
    HiddenMembers,
}

const USERS: &[&str] = &[
    "User.Read.All",
    "User.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
];
const GROUPS: &[&str] = &[
    "GroupMember.Read.All",
    "Group.Read.All",
    "Directory.Read.All",
    "GroupMember.ReadWrite.All",
    "Group.ReadWrite.All",
    "Directory.ReadWrite.All",
];
const DELETED_GROUPS: &[&str] = &[
    "Group.Read.All",
    "Group.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
];
const ORGANIZATION: &[&str] = &[
    "User.Read.All",
    "User.ReadWrite.All",
    "Organization.Read.All",
    "Organization.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
];
const HIDDEN_MEMBERS: &[&str] = &["Member.Read.Hidden"];

impl Access {
    /// True when one of the granted permissions suffices.
    pub(crate) fn is_granted(self, granted: &[String]) -> bool {
        let sufficient = match self {
            Access::Users => USERS,
            Access::Groups => GROUPS,
            Access::DeletedGroups => DELETED_GROUPS,
            Access::Organization => ORGANIZATION,
            Access::HiddenMembers => HIDDEN_MEMBERS,
        };
        granted
            .iter()
            .any(|name| sufficient.contains(&name.as_str()))
    }

    /// Refuses a caller without it.
    pub(crate) fn check(self, granted: &[String]) -> Result<(), GraphError> {
        match self.is_granted(granted) {
            true => Ok(()),
            false => Err(GraphError::denied()),
        }
    }
}
