//! How people sign in: ties between sign-ins at a provider and users.

use std::fmt::Write as _;

use anyhow::{Context as _, bail};
use clap::Args;
use lockstep_domain::{Actor, UserStatus};
use lockstep_server::auth::People;
use lockstep_store::Store;
use lockstep_store::sign_in::{Linked, SignIn};
use serde_json::json;

use super::{Chosen, find_organization, find_user};
use crate::settings::{DatabaseSettings, Settings, TokenSettings};

#[derive(Args)]
pub(super) struct Link {
    #[command(flatten)]
    chosen: Chosen,
    /// Where the person signs in: the Directory (tenant) ID of Microsoft Entra ID, or the issuer of another provider
    #[arg(long, value_name = "TENANT|ISSUER")]
    provider: String,
    /// Who the person is there: the Object ID of the user in Microsoft Entra ID, or the `sub` of another provider
    #[arg(long, value_name = "ID")]
    subject: String,
    #[command(flatten)]
    pub(super) settings: TokenSettings,
}

#[derive(Args)]
pub(super) struct Links {
    #[command(flatten)]
    chosen: Chosen,
    /// Print one JSON object a line, for scripts
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(super) settings: DatabaseSettings,
}

/// Links a sign-in.
pub(super) async fn link(
    store: &Store,
    settings: &Settings,
    flags: &Link,
) -> anyhow::Result<String> {
    let sign_in = sign_in(settings, flags)?;
    let organization = find_organization(store, &flags.chosen.organization).await?;
    let user = find_user(store, &organization, &flags.chosen.user).await?;
    if user.status == UserStatus::Deactivated {
        bail!("--user: {} is deactivated and cannot sign in", user.email);
    }
    let tx = store.begin().await?;
    let linked = store
        .link_sign_in(&tx, &user, &sign_in, &Actor::service())
        .await?;
    let told = match linked {
        Linked::New(_) => format!("{} can sign in that way now\n", user.email),
        Linked::Before(_) => format!("nothing to do: {} is linked already\n", user.email),
        Linked::ToAnother(link) => bail!(
            "the sign-in is linked to user {} of {:?}; remove that with `lockstep user unlink` first",
            link.user_id,
            organization.name
        ),
    };
    tx.commit().await.context("the link could not be stored")?;
    Ok(told)
}

/// Removes a sign-in.
pub(super) async fn unlink(
    store: &Store,
    settings: &Settings,
    flags: &Link,
) -> anyhow::Result<String> {
    let sign_in = sign_in(settings, flags)?;
    let organization = find_organization(store, &flags.chosen.organization).await?;
    let user = find_user(store, &organization, &flags.chosen.user).await?;
    let tx = store.begin().await?;
    if !store.unlink_sign_in(&tx, &user, &sign_in).await? {
        bail!(
            "{} has no such sign-in; `lockstep user links` shows them",
            user.email
        );
    }
    tx.commit().await.context("the link could not be removed")?;
    Ok(format!("{} cannot sign in that way any more\n", user.email))
}

/// Lists the sign-ins of a user.
pub(super) async fn list(store: &Store, flags: &Links) -> anyhow::Result<String> {
    let organization = find_organization(store, &flags.chosen.organization).await?;
    let user = find_user(store, &organization, &flags.chosen.user).await?;
    let mut lines = String::new();
    for link in store.sign_in_links_of(organization.id, user.id).await? {
        let (SignIn { provider, subject }, at) = (link.sign_in, link.linked_at);
        let by = link.linked_by.name;
        if flags.json {
            let line =
                json!({ "provider": provider, "subject": subject, "linkedAt": at, "linkedBy": by });
            writeln!(lines, "{line}")?;
        } else {
            let at = at.format("%Y-%m-%d %H:%M UTC");
            writeln!(lines, "{provider}  {subject}  linked {at} by {by}")?;
        }
    }
    Ok(lines)
}

/// Reads what the flags name as a token would, so that the two meet.
fn sign_in(settings: &Settings, flags: &Link) -> anyhow::Result<SignIn> {
    let People::ByLink(claims) = &settings.jwt.people else {
        bail!(
            "tokens name people by our own ids, so a link would have no effect; set LOCKSTEP_JWT_PROVIDER_CLAIM and LOCKSTEP_JWT_SUBJECT_CLAIM (tid and oid for Microsoft Entra ID, iss and sub for others)"
        );
    };
    let issuers = &settings.jwt.issuers;
    let provider = flags.provider.trim();
    if claims.provider() == "iss" && !issuers.iter().any(|known| known.to_string() == provider) {
        bail!("--provider is not LOCKSTEP_JWT_ISSUER, so no token of it is trusted");
    }
    claims.sign_in(provider, &flags.subject).map_err(|claim| {
        let flag = if claim == claims.provider() {
            "--provider"
        } else {
            "--subject"
        };
        let what = match claim {
            "tid" => "the Directory (tenant) ID of Microsoft Entra ID, a UUID",
            "oid" => "the Object ID of the user in Microsoft Entra ID, a UUID",
            _ => "a text of 1 to 255 characters, as the provider writes it",
        };
        anyhow::anyhow!("{flag} is not what `{claim}` holds: {what}")
    })
}
