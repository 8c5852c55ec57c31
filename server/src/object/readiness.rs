//! What keeps an integration from being activated.

use async_graphql::SimpleObject;
use chrono::{DateTime, Utc};
use lockstep_domain::ActivationBlocker as Blocker;
use lockstep_store::credential::Credential;
use lockstep_store::integration::Integration;

use super::enums::ActivationBlockerCode;

/// Something that keeps an integration from being activated.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct ActivationBlocker {
    /// The kind of obstacle.
    code: ActivationBlockerCode,
    /// The obstacle in a sentence fit to be shown to a person.
    message: String,
}

impl From<Blocker> for ActivationBlocker {
    fn from(blocker: Blocker) -> Self {
        Self {
            code: blocker.into(),
            message: message(blocker).to_owned(),
        }
    }
}

/// Returns what is missing for an activation (E-038, E-057, D-57).
pub(crate) fn blockers(
    integration: &Integration,
    credential: Option<&Credential>,
    entitled: bool,
    now: DateTime<Utc>,
) -> Vec<Blocker> {
    let has_secret = credential.is_some_and(|credential| credential.secret.is_some());
    let expires_at = credential.and_then(|credential| credential.secret_info.as_ref()?.expires_at);
    let obstacles = [
        (!entitled, Blocker::EntitlementMissing),
        (!has_secret, Blocker::CredentialMissing),
        (
            expires_at.is_some_and(|at| at <= now),
            Blocker::CredentialExpired,
        ),
        (
            integration.default_language.is_none(),
            Blocker::DefaultLanguageMissing,
        ),
        (!integration.is_tested(), Blocker::TestRequired),
    ];
    obstacles
        .into_iter()
        .filter_map(|(stands, blocker)| stands.then_some(blocker))
        .collect()
}

/// Says in a sentence what is in the way.
pub(crate) const fn message(blocker: Blocker) -> &'static str {
    match blocker {
        Blocker::CredentialMissing => "Tenant ID, client ID or client secret is missing.",
        Blocker::CredentialExpired => "The client secret has expired. Enter a new one.",
        Blocker::DefaultLanguageMissing => "Choose the default language.",
        Blocker::TestRequired => {
            "The present settings have not been tested successfully. Test them first."
        }
        Blocker::EntitlementMissing => "The add-on is not switched on. Ask your account manager.",
    }
}
