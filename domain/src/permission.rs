//! Permissions of Microsoft Graph that the features of an integration need (E-025 to E-030).

use crate::check::SyncFeature;
use crate::rules::InboundRules;

/// The permission that shows the members of groups that hide them. No feature needs it: such groups are left as they are
/// without it.
pub const READ_HIDDEN_MEMBERS: &str = "Member.Read.Hidden";

/// A permission that features need.
#[derive(Debug, Clone, Copy)]
pub struct Permission {
    /// Name of the application permission, for example `User.Read.All`.
    pub name: &'static str,
    /// Features that need it.
    pub features: &'static [SyncFeature],
    /// Why they need it, fit to be shown to a person.
    pub purpose: &'static str,
    /// Permissions that include it.
    pub included_in: &'static [&'static str],
}

/// Everything that any inbound feature needs (E-030). Managers are read with the users.
pub const PERMISSIONS: [Permission; 3] = [
    Permission {
        name: "User.Read.All",
        features: &[SyncFeature::Users, SyncFeature::ManagerTeams],
        purpose: "Reads the users of the directory and their managers.",
        included_in: &[
            "User.ReadWrite.All",
            "Directory.Read.All",
            "Directory.ReadWrite.All",
        ],
    },
    Permission {
        name: "Group.Read.All",
        features: &[SyncFeature::GroupTeams],
        purpose: "Reads the groups of the directory.",
        included_in: &[
            "Group.ReadWrite.All",
            "Directory.Read.All",
            "Directory.ReadWrite.All",
        ],
    },
    // Graph lists members with Group.Read.All too, but the set-up guide asks for both, and each is told of (E-027).
    Permission {
        name: "GroupMember.Read.All",
        features: &[SyncFeature::GroupTeams],
        purpose: "Reads the members of the groups.",
        included_in: &[
            "GroupMember.ReadWrite.All",
            "Group.ReadWrite.All",
            "Directory.Read.All",
            "Directory.ReadWrite.All",
        ],
    },
];

impl Permission {
    /// The features among those that need it that the rules switch on.
    pub fn needed_by(self, rules: &InboundRules) -> impl Iterator<Item = SyncFeature> {
        let on = move |feature: &SyncFeature| feature.is_on(rules);
        self.features.iter().copied().filter(on)
    }

    /// Whether a feature that the rules switch on needs it.
    #[must_use]
    pub fn is_needed(self, rules: &InboundRules) -> bool {
        self.needed_by(rules).next().is_some()
    }
}

impl SyncFeature {
    /// Whether the rules switch it on.
    #[must_use]
    pub const fn is_on(self, rules: &InboundRules) -> bool {
        match self {
            Self::Users => true,
            Self::GroupTeams => rules.group_teams.enabled,
            Self::ManagerTeams => rules.manager_teams.enabled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e026_e027_groups_need_permissions_of_their_own_and_only_when_they_become_teams() {
        let needed = |rules: &InboundRules| -> Vec<&str> {
            let needed = PERMISSIONS.iter().filter(|p| p.is_needed(rules));
            needed.map(|permission| permission.name).collect()
        };
        let mut rules = InboundRules::default();
        rules.manager_teams.enabled = true;
        assert_eq!(needed(&rules), ["User.Read.All"], "e030");
        rules.group_teams.enabled = true;
        assert_eq!(
            needed(&rules),
            ["User.Read.All", "Group.Read.All", "GroupMember.Read.All"]
        );
    }
}
