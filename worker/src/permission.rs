//! Permissions: what is needed, what the token grants, and what may be taken away (E-025 to E-030).

use lockstep_domain::{
    Check, CheckKind, CheckStatus, InboundRules, PERMISSIONS, Permission, PermissionResult,
    PermissionStatus, READ_HIDDEN_MEMBERS,
};

/// Compares what the rules need with what the token grants, by feature; the token is for display, reading has the last
/// word.
pub(crate) fn permissions(
    granted: Option<&[String]>,
    rules: &InboundRules,
) -> Vec<PermissionResult> {
    let mut results: Vec<PermissionResult> = PERMISSIONS
        .iter()
        .flat_map(|permission| results_of(permission, granted, rules))
        .collect();
    let is_needed = |name: &str| results.iter().any(|result| result.name == name);
    let surplus: Vec<PermissionResult> = granted
        .unwrap_or_default()
        .iter()
        .filter(|name| !is_needed(name))
        .map(|name| surplus(name, granted, rules))
        .collect();
    results.extend(surplus);
    results
}

/// Sums each needed permission up as a check of its own (E-029).
pub(crate) fn permission_checks(permissions: &[PermissionResult]) -> Vec<Check> {
    let needed = |need: &Permission| {
        permissions
            .iter()
            .find(|result| result.feature.is_some() && result.name == need.name)
    };
    PERMISSIONS.iter().filter_map(needed).map(check).collect()
}

/// What a person can do about missing permissions.
pub(crate) fn remedy(names: &[&str]) -> String {
    format!(
        "Open API permissions in the app registration, add the application permission {} of Microsoft Graph, and choose Grant admin consent.",
        names.join(" and ")
    )
}

fn results_of(
    permission: &Permission,
    granted: Option<&[String]>,
    rules: &InboundRules,
) -> Vec<PermissionResult> {
    let (status, message) = status_of(permission, granted);
    let result = |feature| PermissionResult {
        name: permission.name.to_owned(),
        feature: Some(feature),
        status,
        message: message.clone(),
    };
    permission.needed_by(rules).map(result).collect()
}

fn status_of(permission: &Permission, granted: Option<&[String]>) -> (PermissionStatus, String) {
    let Some(granted) = granted else {
        let message = "The token could not be read, so the permission is not known.";
        return (PermissionStatus::Unknown, message.to_owned());
    };
    if has(granted, permission.name) {
        return (PermissionStatus::Granted, "Granted.".to_owned());
    }
    let including = permission
        .included_in
        .iter()
        .find(|name| has(granted, name));
    match including {
        Some(name) => (PermissionStatus::Granted, format!("Included in {name}.")),
        None => (
            PermissionStatus::Missing,
            "Not granted, or without admin consent.".to_owned(),
        ),
    }
}

fn has(granted: &[String], name: &str) -> bool {
    granted.iter().any(|granted| granted == name)
}

/// Says what becomes of a permission that no feature needs by its name.
fn surplus(name: &str, granted: Option<&[String]>, rules: &InboundRules) -> PermissionResult {
    let granted = granted.unwrap_or_default();
    let stands_in_for: Vec<&str> = PERMISSIONS
        .iter()
        .filter(|need| need.is_needed(rules) && !has(granted, need.name))
        .filter(|need| need.included_in.contains(&name))
        .map(|need| need.name)
        .collect();
    let advice = if !stands_in_for.is_empty() {
        let names = stands_in_for.join(" and ");
        format!("More than is needed: grant {names} instead, then remove it.")
    } else if name == READ_HIDDEN_MEMBERS && rules.group_teams.enabled {
        "Not needed. With it the members of groups that hide them are read too.".to_owned()
    } else {
        "No feature needs it; it may be removed.".to_owned()
    };
    let danger = if name.contains("Write") {
        " It allows changing the directory."
    } else {
        ""
    };
    PermissionResult {
        name: name.to_owned(),
        feature: None,
        status: PermissionStatus::NotNeeded,
        message: format!("{advice}{danger}"),
    }
}

fn check(needed: &PermissionResult) -> Check {
    let name = needed.name.as_str();
    let (status, message) = match needed.status {
        PermissionStatus::Granted => (CheckStatus::Passed, format!("{name} is granted.")),
        PermissionStatus::Unknown => (CheckStatus::Warning, needed.message.clone()),
        PermissionStatus::Missing | PermissionStatus::NotNeeded => (
            CheckStatus::Failed,
            format!("{name} is not granted, or lacks admin consent."),
        ),
    };
    let check = Check {
        permission: Some(name.to_owned()),
        ..Check::new(CheckKind::Permission, status, message)
    };
    match status {
        CheckStatus::Failed => check.remedy(remedy(&[name])),
        _ => check,
    }
}

#[cfg(test)]
mod tests {
    use lockstep_domain::SyncFeature;

    use super::*;

    fn rules(groups: bool, managers: bool) -> InboundRules {
        let mut rules = InboundRules::default();
        rules.group_teams.enabled = groups;
        rules.manager_teams.enabled = managers;
        rules
    }

    fn found(granted: &[&str], rules: &InboundRules) -> Vec<PermissionResult> {
        let granted: Vec<String> = granted.iter().map(|name| (*name).to_owned()).collect();
        permissions(Some(&granted), rules)
    }

    /// The permissions whose checks fail.
    fn missing(granted: &[&str], rules: &InboundRules) -> Vec<String> {
        let checks = permission_checks(&found(granted, rules));
        let failed = checks
            .into_iter()
            .filter(|check| check.status == CheckStatus::Failed);
        failed.filter_map(|check| check.permission).collect()
    }

    #[test]
    fn e025_users_are_read_with_user_read_all() {
        assert_eq!(missing(&[], &rules(false, false)), ["User.Read.All"]);
        assert_eq!(
            missing(&["User.ReadBasic.All"], &rules(false, true)),
            ["User.Read.All"]
        );
        for name in ["User.Read.All", "Directory.Read.All", "User.ReadWrite.All"] {
            assert_eq!(
                missing(&[name], &rules(false, false)),
                Vec::<String>::new(),
                "{name}"
            );
        }
    }

    #[test]
    fn e026_group_read_all_is_needed_only_with_teams_for_groups() {
        let granted = ["User.Read.All", "GroupMember.Read.All"];
        assert_eq!(missing(&granted, &rules(true, false)), ["Group.Read.All"]);
        assert_eq!(missing(&granted, &rules(false, true)), Vec::<String>::new());
    }

    #[test]
    fn e027_group_member_read_all_is_needed_only_with_teams_for_groups() {
        let granted = ["User.Read.All", "Group.Read.All"];
        assert_eq!(
            missing(&granted, &rules(true, true)),
            ["GroupMember.Read.All"]
        );
        assert_eq!(
            missing(&granted, &rules(false, false)),
            Vec::<String>::new()
        );
    }

    #[test]
    fn e029_each_missing_permission_is_named_with_its_remedy() {
        let checks = permission_checks(&found(&[], &rules(true, false)));
        let named: Vec<(&str, bool)> = checks
            .iter()
            .map(|check| {
                let name = check.permission.as_deref().unwrap();
                let remedy = check.remediation.as_deref().unwrap();
                (name, remedy.contains(name))
            })
            .collect();
        assert_eq!(
            named,
            [
                ("User.Read.All", true),
                ("Group.Read.All", true),
                ("GroupMember.Read.All", true)
            ]
        );
    }

    #[test]
    fn e029_what_is_needed_is_told_by_feature() {
        let found = found(&["Directory.Read.All"], &rules(true, true));
        let told: Vec<(&str, Option<SyncFeature>, &str)> = found
            .iter()
            .map(|result| {
                (
                    result.name.as_str(),
                    result.feature,
                    result.message.as_str(),
                )
            })
            .collect();
        let included = "Included in Directory.Read.All.";
        let advice = "More than is needed: grant User.Read.All and Group.Read.All and GroupMember.Read.All instead, then remove it.";
        assert_eq!(
            told,
            [
                ("User.Read.All", Some(SyncFeature::Users), included),
                ("User.Read.All", Some(SyncFeature::ManagerTeams), included),
                ("Group.Read.All", Some(SyncFeature::GroupTeams), included),
                (
                    "GroupMember.Read.All",
                    Some(SyncFeature::GroupTeams),
                    included
                ),
                ("Directory.Read.All", None, advice),
            ]
        );
    }

    #[test]
    fn e030_three_permissions_are_enough_for_everything() {
        let granted = ["User.Read.All", "Group.Read.All", "GroupMember.Read.All"];
        let results: Vec<_> = found(&granted, &rules(true, true))
            .into_iter()
            .map(|result| (result.name, result.feature, result.status))
            .collect();
        let by_feature = [
            ("User.Read.All", SyncFeature::Users),
            ("User.Read.All", SyncFeature::ManagerTeams),
            ("Group.Read.All", SyncFeature::GroupTeams),
            ("GroupMember.Read.All", SyncFeature::GroupTeams),
        ];
        let all = by_feature
            .map(|(name, feature)| (name.to_owned(), Some(feature), PermissionStatus::Granted));
        assert_eq!(results, all);
    }

    #[test]
    fn d83_what_is_not_needed_may_be_removed_and_dangers_are_told() {
        let granted = [
            "User.Read.All",
            "Group.Read.All",
            "Group.ReadWrite.All",
            "Member.Read.Hidden",
        ];
        let messages = |rules: &InboundRules| -> Vec<(String, String)> {
            let surplus = found(&granted, rules)
                .into_iter()
                .filter(|result| result.status == PermissionStatus::NotNeeded);
            surplus
                .map(|result| (result.name, result.message))
                .collect()
        };
        let told = |name: &str, message: &str| (name.to_owned(), message.to_owned());
        let none = "No feature needs it; it may be removed.";
        assert_eq!(
            messages(&rules(false, false)),
            [
                told("Group.Read.All", none),
                told(
                    "Group.ReadWrite.All",
                    &format!("{none} It allows changing the directory.")
                ),
                told("Member.Read.Hidden", none),
            ]
        );
        assert_eq!(
            messages(&rules(true, false)),
            [
                told(
                    "Group.ReadWrite.All",
                    "More than is needed: grant GroupMember.Read.All instead, then remove it. It allows changing the directory."
                ),
                told(
                    "Member.Read.Hidden",
                    "Not needed. With it the members of groups that hide them are read too."
                ),
            ]
        );
    }

    #[test]
    fn a_token_that_cannot_be_read_is_a_warning() {
        let checks = permission_checks(&permissions(None, &rules(true, false)));
        let statuses: Vec<_> = checks.iter().map(|check| check.status).collect();
        assert_eq!(statuses, [CheckStatus::Warning; 3]);
    }
}
