//! Credentials as they may be shown: everything but the secret.

use async_graphql::SimpleObject;
use chrono::{DateTime, TimeDelta, Utc};
use lockstep_store::credential::{Credential, SecretInfo};

use super::enums::{CredentialExpiry, EntraCloud};
use super::organization::Actor;
use crate::scalar::{Guid, Timestamp};

/// How long before the expiry a secret counts as expiring.
const EXPIRES_SOON: TimeDelta = TimeDelta::days(60);

/// Identity of the app registration in Microsoft Entra ID. Secrets and private keys are write-only.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct EntraCredential {
    /// The national cloud of the tenant.
    cloud: EntraCloud,
    /// Directory (tenant) ID, or a verified domain of the tenant, as entered.
    tenant_id: String,
    /// Directory (tenant) ID as a GUID, null while a domain was entered and not yet resolved.
    resolved_tenant_id: Option<Guid>,
    /// Name of the tenant as Microsoft shows it, null until a test read it.
    tenant_display_name: Option<String>,
    /// Application (client) ID.
    client_id: Guid,
    /// The client secret in use, null when none is stored.
    client_secret: Option<ClientSecretInfo>,
}

/// What may be known about a stored client secret. The value can never be read back.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct ClientSecretInfo {
    /// When it was stored here.
    set_at: Timestamp,
    /// Who stored it.
    set_by: Actor,
    /// When it expires, null when that is not known.
    expires_at: Option<Timestamp>,
    /// How near the expiry is.
    expiry: CredentialExpiry,
    /// Key ID as Microsoft shows it, when the owner typed it in, to tell secrets apart. No part of the value is ever
    /// shown.
    key_id: Option<String>,
}

impl EntraCredential {
    pub(crate) fn of(credential: &Credential, now: DateTime<Utc>) -> Self {
        let resolved = credential
            .resolved_tenant_id
            .as_deref()
            .unwrap_or(&credential.app.tenant_id);
        Self {
            cloud: credential.app.cloud.into(),
            tenant_id: credential.app.tenant_id.clone(),
            resolved_tenant_id: Guid::read(resolved),
            tenant_display_name: credential.tenant_display_name.clone(),
            // Stored only after it was read as a GUID.
            client_id: Guid::read(&credential.app.client_id).unwrap_or(Guid(uuid::Uuid::nil())),
            client_secret: credential
                .secret_info
                .as_ref()
                .map(|info| ClientSecretInfo::of(info, now)),
        }
    }
}

impl ClientSecretInfo {
    fn of(info: &SecretInfo, now: DateTime<Utc>) -> Self {
        Self {
            set_at: info.set_at.into(),
            set_by: Actor(info.set_by.clone()),
            expires_at: info.expires_at.map(Timestamp),
            expiry: expiry(info.expires_at, now),
            key_id: info.key_id.clone(),
        }
    }
}

fn expiry(expires_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> CredentialExpiry {
    match expires_at {
        None => CredentialExpiry::Unknown,
        Some(at) if at <= now => CredentialExpiry::Expired,
        Some(at) if at - now <= EXPIRES_SOON => CredentialExpiry::Expiring,
        Some(_) => CredentialExpiry::Valid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_expiring_for_60_days() {
        let now = DateTime::UNIX_EPOCH;
        let in_days = |days| expiry(Some(now + TimeDelta::days(days)), now);
        assert_eq!(in_days(0), CredentialExpiry::Expired);
        assert_eq!(in_days(60), CredentialExpiry::Expiring);
        assert_eq!(in_days(61), CredentialExpiry::Valid);
        assert_eq!(expiry(None, now), CredentialExpiry::Unknown);
    }
}
