//! What the app signs in with.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use crate::GraphError;

/// A client id and secret in a tenant. `Debug` shows neither the secret nor its length.
#[derive(Clone)]
pub struct Credentials {
    /// Tenant id, or one of the tenant's verified domains.
    pub tenant: String,
    /// Application (client) id.
    pub client_id: String,
    /// The secret's value (not its id).
    pub client_secret: SecretString,
}

impl Credentials {
    /// Refuses what could not be a tenant, or could change the path of the token request.
    pub(crate) fn check(&self) -> Result<(), GraphError> {
        if !is_tenant(&self.tenant) {
            return Err(GraphError::Configuration {
                reason: "the tenant is neither a GUID nor a domain",
            });
        }
        if self.client_id.is_empty() || !self.client_id.chars().all(|c| c.is_ascii_graphic()) {
            return Err(GraphError::Configuration {
                reason: "the client id is missing or not plain text",
            });
        }
        if self.client_secret.expose_secret().is_empty() {
            return Err(GraphError::Configuration {
                reason: "the client secret is missing",
            });
        }
        Ok(())
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            tenant,
            client_id,
            client_secret: _,
        } = self;
        f.debug_struct("Credentials")
            .field("tenant", tenant)
            .field("client_id", client_id)
            .finish_non_exhaustive()
    }
}

/// `common`, `organizations` and `consumers` have no dot, and are refused: this grant needs a tenant.
fn is_tenant(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let is_domain = text.len() <= 253 && text.contains('.') && text.split('.').all(is_label);
    is_domain || (text.len() == 36 && Uuid::try_parse(text).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_a_guid_or_a_domain() {
        for tenant in [
            "9a3d526c-b3c1-4479-ba74-197b5c5751ae",
            "contoso.onmicrosoft.com",
            "xn--mller-kva.example",
        ] {
            assert!(is_tenant(tenant), "{tenant}");
        }
        for tenant in [
            "",
            "common",
            "organizations",
            "contoso",
            "a.b/../c.d",
            "a..b",
            ".",
            "..",
            "a.b?x",
            "a b.c",
        ] {
            assert!(!is_tenant(tenant), "{tenant}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let credentials = Credentials {
            tenant: "contoso.com".into(),
            client_id: "app".into(),
            client_secret: "hunter2".into(),
        };
        assert!(!format!("{credentials:?}").contains("hunter2"));
    }
}
