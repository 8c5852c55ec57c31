//! Permissions of Microsoft Graph that the sync rules need.

use async_graphql::SimpleObject;
use lockstep_domain::{InboundRules, PERMISSIONS, Permission, PermissionStatus as Status};
use lockstep_store::connection_test::ConnectionTest;

use super::enums::SyncFeature;

/// A permission of Microsoft Graph that the present sync rules need.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct RequiredPermission {
    /// Name of the application permission, for example `User.Read.All`.
    name: &'static str,
    /// The features of the present sync rules that need it.
    features: Vec<SyncFeature>,
    /// Why they need it.
    purpose: &'static str,
    /// Whether it was granted with admin consent at the latest test, null when not tested.
    granted: Option<bool>,
}

impl RequiredPermission {
    /// Returns what the rules need (E-025 to E-027, E-030), with what the latest test found.
    pub(crate) fn all(rules: &InboundRules, test: Option<&ConnectionTest>) -> Vec<Self> {
        let required = |permission: &Permission| {
            let features: Vec<SyncFeature> =
                permission.needed_by(rules).map(SyncFeature::from).collect();
            (!features.is_empty()).then(|| Self {
                name: permission.name,
                features,
                purpose: permission.purpose,
                granted: test.and_then(|test| granted(test, permission.name)),
            })
        };
        PERMISSIONS.iter().filter_map(required).collect()
    }
}

fn granted(test: &ConnectionTest, name: &str) -> Option<bool> {
    let found = test.permissions.iter().find(|found| found.name == name)?;
    match found.status {
        Status::Granted | Status::NotNeeded => Some(true),
        Status::Missing => Some(false),
        Status::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(groups: bool, managers: bool) -> Vec<(&'static str, usize)> {
        let mut rules = InboundRules::default();
        rules.group_teams.enabled = groups;
        rules.manager_teams.enabled = managers;
        RequiredPermission::all(&rules, None)
            .into_iter()
            .map(|needed| (needed.name, needed.features.len()))
            .collect()
    }

    #[test]
    fn e025_to_e030_each_rule_asks_for_what_it_needs() {
        let with_groups = [("Group.Read.All", 1), ("GroupMember.Read.All", 1)];
        assert_eq!(names(false, false), [("User.Read.All", 1)]);
        assert_eq!(names(false, true), [("User.Read.All", 2)]);
        assert_eq!(
            names(true, false),
            [[("User.Read.All", 1)].as_slice(), &with_groups].concat()
        );
        assert_eq!(names(true, true).len(), 3);
    }
}
