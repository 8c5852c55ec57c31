//! Integrations: a tie between an organization and a directory, and where it stands.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text_enum::text_enum;

text_enum! {
    /// Which way data flows.
    pub enum SyncDirection {
        /// From the directory into the organization.
        Inbound = "INBOUND",
        /// From the roster of the organization to the directory.
        Outbound = "OUTBOUND",
    }
}

text_enum! {
    /// Where an integration stands.
    pub enum IntegrationState {
        /// Being set up; never activated.
        Draft = "DRAFT",
        /// Automatic runs start on schedule.
        Active = "ACTIVE",
        /// Activated, but automatic runs wait until a problem is resolved (E-102: not the same as inactive).
        Paused = "PAUSED",
        /// Switched off by an owner; nothing runs until it is activated again.
        Inactive = "INACTIVE",
    }
}

impl IntegrationState {
    /// Whether an owner may start a run by hand (D-66).
    #[must_use]
    pub const fn allows_manual_runs(self) -> bool {
        matches!(self, Self::Active | Self::Paused)
    }
}

text_enum! {
    /// Cause of a pause.
    pub enum PauseReason {
        /// A run failed for another reason than the ones below.
        RunFailed = "RUN_FAILED",
        /// Microsoft Graph or its sign-in service was not available.
        ProviderUnavailable = "PROVIDER_UNAVAILABLE",
        /// The client secret has expired.
        CredentialExpired = "CREDENTIAL_EXPIRED",
        /// Microsoft refused the credentials.
        CredentialsRejected = "CREDENTIALS_REJECTED",
        /// A permission is missing or admin consent was withdrawn.
        PermissionMissing = "PERMISSION_MISSING",
    }
}

text_enum! {
    /// What ends a pause.
    pub enum PauseResolution {
        /// A passing fault: the service tries again by itself.
        Automatic = "AUTOMATIC",
        /// A fault of the configuration: a test that passes or a manual run that succeeds resumes it.
        TestOrRun = "TEST_OR_RUN",
    }
}

text_enum! {
    /// A cloud of Microsoft with sign-in service and Graph of its own.
    pub enum EntraCloud {
        /// The public cloud.
        Global = "GLOBAL",
        /// US government, GCC High (L4).
        UsGovernment = "US_GOVERNMENT",
        /// US government, Department of Defense (L5).
        UsGovernmentDod = "US_GOVERNMENT_DOD",
        /// China, operated by 21Vianet.
        China = "CHINA",
    }
}

text_enum! {
    /// Something that keeps an integration from being activated.
    pub enum ActivationBlocker {
        /// Tenant ID, client ID, or the client secret is missing.
        CredentialMissing = "CREDENTIAL_MISSING",
        /// The client secret has expired.
        CredentialExpired = "CREDENTIAL_EXPIRED",
        /// An inbound integration has no default language.
        DefaultLanguageMissing = "DEFAULT_LANGUAGE_MISSING",
        /// The present settings have not been tested successfully.
        TestRequired = "TEST_REQUIRED",
        /// The add-on is not switched on.
        EntitlementMissing = "ENTITLEMENT_MISSING",
    }
}

/// Directory (tenant) ID as a GUID, or a verified domain of the tenant (E-019).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TenantName(String);

/// A text that names no tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "enter the Directory (tenant) ID, a GUID, or a verified domain such as contoso.onmicrosoft.com"
)]
pub struct InvalidTenantName;

impl TenantName {
    /// Reads a tenant ID or domain, trimming blanks. `common` and the like are refused: they name no tenant.
    ///
    /// # Errors
    /// When the text is neither a GUID nor a domain name.
    pub fn parse(text: &str) -> Result<Self, InvalidTenantName> {
        let text = text.trim();
        if let Ok(guid) = uuid::Uuid::parse_str(text) {
            return Ok(Self(guid.hyphenated().to_string()));
        }
        let label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let is_domain = text.len() <= 253 && text.contains('.') && text.split('.').all(label);
        if is_domain {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(InvalidTenantName)
        }
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i11_a_tenant_is_a_guid_or_a_domain_and_nothing_else() {
        let guid = "84bd8158-6d4d-4958-8b9f-9d6445542f95";
        assert_eq!(
            TenantName::parse(&format!(" {} ", guid.to_uppercase()))
                .unwrap()
                .as_str(),
            guid
        );
        assert_eq!(
            TenantName::parse("Contoso.onmicrosoft.com")
                .unwrap()
                .as_str(),
            "contoso.onmicrosoft.com"
        );
        for text in [
            "",
            "common",
            "organizations",
            "a/b.com",
            "../x.com",
            "a b.com",
            "-a.com",
            "a..com",
            "x.com?y",
            "x.com#",
        ] {
            assert!(TenantName::parse(text).is_err(), "{text:?}");
        }
    }
}
