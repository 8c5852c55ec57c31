//! Which properties users and groups have, and which of them are returned unasked.

use serde_json::Value;

use crate::directory::Kind;
use crate::properties::Properties;

/// Returned by `GET /users` without `$select`.
pub(crate) const USER_DEFAULTS: &[&str] = &[
    "businessPhones",
    "displayName",
    "givenName",
    "id",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "userPrincipalName",
];

/// Returned by `GET /groups` without `$select`.
pub(crate) const GROUP_DEFAULTS: &[&str] = &[
    "classification",
    "createdDateTime",
    "deletedDateTime",
    "description",
    "displayName",
    "expirationDateTime",
    "groupTypes",
    "id",
    "isAssignableToRole",
    "mail",
    "mailEnabled",
    "mailNickname",
    "membershipRule",
    "membershipRuleProcessingState",
    "onPremisesDomainName",
    "onPremisesLastSyncDateTime",
    "onPremisesNetBiosName",
    "onPremisesProvisioningErrors",
    "onPremisesSamAccountName",
    "onPremisesSecurityIdentifier",
    "onPremisesSyncEnabled",
    "preferredDataLocation",
    "preferredLanguage",
    "proxyAddresses",
    "renewedDateTime",
    "resourceBehaviorOptions",
    "resourceProvisioningOptions",
    "securityEnabled",
    "securityIdentifier",
    "theme",
    "visibility",
];

const USER_PROPERTIES: &[&str] = &[
    "accountEnabled",
    "ageGroup",
    "assignedLicenses",
    "assignedPlans",
    "authorizationInfo",
    "businessPhones",
    "city",
    "companyName",
    "consentProvidedForMinor",
    "country",
    "createdDateTime",
    "creationType",
    "customSecurityAttributes",
    "deletedDateTime",
    "department",
    "displayName",
    "employeeHireDate",
    "employeeId",
    "employeeLeaveDateTime",
    "employeeOrgData",
    "employeeType",
    "externalUserState",
    "externalUserStateChangeDateTime",
    "faxNumber",
    "givenName",
    "id",
    "identities",
    "identityParentId",
    "imAddresses",
    "isManagementRestricted",
    "isResourceAccount",
    "jobTitle",
    "lastPasswordChangeDateTime",
    "legalAgeGroupClassification",
    "licenseAssignmentStates",
    "mail",
    "mailNickname",
    "mobilePhone",
    "officeLocation",
    "onPremisesDistinguishedName",
    "onPremisesDomainName",
    "onPremisesExtensionAttributes",
    "onPremisesImmutableId",
    "onPremisesLastSyncDateTime",
    "onPremisesProvisioningErrors",
    "onPremisesSamAccountName",
    "onPremisesSecurityIdentifier",
    "onPremisesSyncEnabled",
    "onPremisesUserPrincipalName",
    "otherMails",
    "passwordPolicies",
    "passwordProfile",
    "postalCode",
    "preferredDataLocation",
    "preferredLanguage",
    "provisionedPlans",
    "proxyAddresses",
    "securityIdentifier",
    "serviceProvisioningErrors",
    "showInAddressList",
    "signInSessionsValidFromDateTime",
    "state",
    "streetAddress",
    "surname",
    "usageLocation",
    "userPrincipalName",
    "userType",
];

/// Kept outside the directory: Graph refuses them in a collection.
const USER_PROPERTIES_ELSEWHERE: &[&str] = &[
    "aboutMe",
    "birthday",
    "hireDate",
    "interests",
    "mailboxSettings",
    "mySite",
    "pastProjects",
    "preferredName",
    "responsibilities",
    "schools",
    "skills",
];

const GROUP_PROPERTIES: &[&str] = &[
    "assignedLabels",
    "assignedLicenses",
    "infoCatalogs",
    "isManagementRestricted",
    "licenseProcessingState",
    "organizationId",
    "serviceProvisioningErrors",
    "uniqueName",
];

/// Collections are never null: unset ones are empty.
const COLLECTIONS: &[&str] = &[
    "assignedLabels",
    "assignedLicenses",
    "assignedPlans",
    "businessPhones",
    "groupTypes",
    "identities",
    "imAddresses",
    "infoCatalogs",
    "licenseAssignmentStates",
    "onPremisesProvisioningErrors",
    "otherMails",
    "provisionedPlans",
    "proxyAddresses",
    "resourceBehaviorOptions",
    "resourceProvisioningOptions",
    "serviceProvisioningErrors",
];

/// Returned without `$select`.
pub(crate) fn defaults(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::User => USER_DEFAULTS,
        Kind::Group => GROUP_DEFAULTS,
        Kind::Other => &["id", "displayName"],
    }
}

/// True for a property that objects of this kind have.
pub(crate) fn is_property(kind: Kind, name: &str) -> bool {
    if is_directory_extension(name) {
        return true;
    }
    match kind {
        Kind::User => USER_PROPERTIES.contains(&name),
        Kind::Group => GROUP_DEFAULTS.contains(&name) || GROUP_PROPERTIES.contains(&name),
        Kind::Other => matches!(name, "id" | "displayName" | "deletedDateTime"),
    }
}

/// True for a property that is no property of the directory, though Graph knows it.
pub(crate) fn is_kept_elsewhere(kind: Kind, name: &str) -> bool {
    kind == Kind::User && USER_PROPERTIES_ELSEWHERE.contains(&name)
}

/// The name of Graph's type, as its messages have it.
pub(crate) fn type_name(kind: Kind) -> &'static str {
    match kind {
        Kind::User => "microsoft.graph.user",
        Kind::Group => "microsoft.graph.group",
        Kind::Other => "microsoft.graph.directoryObject",
    }
}

/// What a list shows for a property that has no value.
pub(crate) fn unset(name: &str) -> Value {
    match COLLECTIONS.contains(&name) {
        true => Value::Array(Vec::new()),
        false => Value::Null,
    }
}

/// True for a Microsoft 365 group.
pub(crate) fn is_unified(group: &Properties) -> bool {
    let types = group.get("groupTypes").and_then(Value::as_array);
    types.is_some_and(|types| types.iter().any(|kind| kind == "Unified"))
}

/// `extension_{32 hexadecimal digits}_{name}`
fn is_directory_extension(name: &str) -> bool {
    let rest = name
        .strip_prefix("extension_")
        .and_then(|rest| rest.split_once('_'));
    rest.is_some_and(|(app, name)| {
        app.len() == 32 && app.bytes().all(|byte| byte.is_ascii_hexdigit()) && !name.is_empty()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelled_property_is_not_a_property() {
        assert!(is_property(Kind::User, "employeeId"));
        assert!(!is_property(Kind::User, "employeeID"));
        assert!(!is_property(Kind::User, "visibility"));
        assert!(is_property(Kind::Group, "visibility"));
        assert!(is_property(
            Kind::User,
            "extension_0123456789abcdef0123456789abcdef_costCentre"
        ));
        assert!(!is_property(Kind::User, "extension_1_costCentre"));
    }
}
