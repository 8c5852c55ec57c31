//! Checks that need nobody to be asked: what was found, in words.

use std::time::Duration;

use chrono::{DateTime, Utc};
use lockstep_domain::{Check, CheckKind, CheckStatus};
use lockstep_graph::{GraphError, SignInProblem};
use lockstep_store::credential::SecretInfo;

use crate::failure::{Failure, provider};

/// Days before the expiry from which a test warns.
const EXPIRES_SOON_DAYS: i64 = 60;

pub(super) fn out_of_time(limit: Duration) -> Check {
    Check::new(CheckKind::Tenant, CheckStatus::Failed, format!("Microsoft did not answer within {} seconds.", limit.as_secs()))
        .remedy("Check that the server can reach login.microsoftonline.com and graph.microsoft.com, then test again.")
}

pub(super) fn expiry(info: &SecretInfo, now: DateTime<Utc>) -> Option<Check> {
    let expires_at = info.expires_at?;
    let day = expires_at.format("%-d %B %Y");
    let renew = "Create a new client secret under Certificates & secrets and enter its Value.";
    Some(if expires_at <= now {
        // Microsoft has the last word: the date was typed in by a person.
        Check::new(
            CheckKind::CredentialExpiry,
            CheckStatus::Warning,
            format!("By the date entered, the secret expired on {day}."),
        )
        .remedy(renew)
    } else if expires_at - now <= chrono::Duration::days(EXPIRES_SOON_DAYS) {
        Check::new(
            CheckKind::CredentialExpiry,
            CheckStatus::Warning,
            format!("The secret expires on {day}."),
        )
        .remedy(renew)
    } else {
        Check::new(
            CheckKind::CredentialExpiry,
            CheckStatus::Passed,
            format!("The secret is valid until {day}."),
        )
    })
}

pub(super) fn signed_in() -> Vec<Check> {
    vec![
        Check::new(
            CheckKind::Tenant,
            CheckStatus::Passed,
            "The tenant was found.",
        ),
        Check::new(
            CheckKind::ClientAuthentication,
            CheckStatus::Passed,
            "Client ID and secret were accepted.",
        ),
    ]
}

/// Says whether the tenant or the client is at fault.
pub(super) fn sign_in_checks(error: &GraphError) -> Vec<Check> {
    let tenant_is_fine = error.sign_in().is_some_and(|sign_in| {
        !matches!(
            sign_in.problem,
            SignInProblem::TenantNotFound | SignInProblem::Transient
        )
    });
    if tenant_is_fine {
        let found = Check::new(
            CheckKind::Tenant,
            CheckStatus::Passed,
            "The tenant was found.",
        );
        return vec![found, refused(CheckKind::ClientAuthentication, error)];
    }
    vec![refused(CheckKind::Tenant, error)]
}

pub(super) fn refused(kind: CheckKind, error: &GraphError) -> Check {
    let failure = Failure::from(error);
    let (provider_error_code, provider_request_id) = provider(error);
    Check {
        remediation: failure
            .remediation
            .or_else(|| Some("Try again in a few minutes.".to_owned())),
        provider_error_code,
        provider_request_id,
        ..Check::new(kind, CheckStatus::Failed, failure.message)
    }
}

pub(super) fn root(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .last()
        .map(ToString::to_string)
        .unwrap_or_default()
}
