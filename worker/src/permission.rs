//! Permissions: what is needed, what the token grants, and what may be taken away (E-025 to E-030).

use lockstep_domain::{
    Check, CheckKind, CheckStatus, PermissionResult, PermissionStatus, SyncFeature,
};

/// The one permission that reading users and their managers needs (E-025, E-030).
pub(crate) const USER_READ: &str = "User.Read.All";
/// Permissions that include it.
const INCLUDE_USER_READ: [&str; 3] = [
    "User.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
];

/// Compares what is needed with what the token grants; the token is for display, reading has the last word.
pub(crate) fn permissions(granted: Option<&[String]>) -> Vec<PermissionResult> {
    let result = |name: &str, feature, status, message: String| PermissionResult {
        name: name.to_owned(),
        feature,
        status,
        message,
    };
    let Some(granted) = granted else {
        let message = "The token could not be read, so the permission is not known.".to_owned();
        return vec![result(
            USER_READ,
            Some(SyncFeature::Users),
            PermissionStatus::Unknown,
            message,
        )];
    };
    let has = |name: &str| granted.iter().any(|granted| granted == name);
    let includes = INCLUDE_USER_READ.into_iter().find(|name| has(name));
    let needed = match includes {
        _ if has(USER_READ) => result(
            USER_READ,
            Some(SyncFeature::Users),
            PermissionStatus::Granted,
            "Granted.".to_owned(),
        ),
        Some(name) => result(
            USER_READ,
            Some(SyncFeature::Users),
            PermissionStatus::Granted,
            format!("Included in {name}."),
        ),
        None => result(
            USER_READ,
            Some(SyncFeature::Users),
            PermissionStatus::Missing,
            "Not granted, or without admin consent.".to_owned(),
        ),
    };
    let surplus = granted
        .iter()
        .filter(|name| name.as_str() != USER_READ)
        .map(|name| {
            let danger = if name.contains("Write") {
                " It allows changing the directory."
            } else {
                ""
            };
            result(
                name,
                None,
                PermissionStatus::NotNeeded,
                format!("No feature needs it; it may be removed.{danger}"),
            )
        });
    std::iter::once(needed).chain(surplus).collect()
}

/// Sums the one needed permission up as a check.
pub(crate) fn permission_check(permissions: &[PermissionResult]) -> Option<Check> {
    let needed = permissions
        .iter()
        .find(|permission| permission.name == USER_READ)?;
    let (status, message) = match needed.status {
        PermissionStatus::Granted => (CheckStatus::Passed, format!("{USER_READ} is granted.")),
        PermissionStatus::Unknown => (CheckStatus::Warning, needed.message.clone()),
        PermissionStatus::Missing | PermissionStatus::NotNeeded => (
            CheckStatus::Failed,
            format!("{USER_READ} is not granted, or lacks admin consent."),
        ),
    };
    let mut check = Check::new(CheckKind::Permission, status, message);
    check.permission = Some(USER_READ.to_owned());
    if status == CheckStatus::Failed {
        check = check.remedy(format!(
            "Open API permissions in the app registration, add the application permission {USER_READ} of Microsoft Graph, and choose Grant admin consent."
        ));
    }
    Some(check)
}
