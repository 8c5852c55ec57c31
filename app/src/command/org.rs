//! `lockstep org create`.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use lockstep_domain::{Actor, Address, OrganizationId, PlatformUser, Role};
use lockstep_store::Store;
use lockstep_store::organization::INBOUND_SYNC;
use lockstep_store::user::NewUser;

use crate::cli::{NewOrganization, Org, OrgCommand};
use crate::parts::Parts;
use crate::settings::Settings;

pub(crate) async fn run(settings: Settings, org: Org) -> anyhow::Result<ExitCode> {
    let OrgCommand::Create(flags) = org.command;
    let parts = Parts::open(settings).await?;
    let (organization, owner) = create(&parts.store, &parts.settings, &flags.organization).await?;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "organization {organization}\nowner        {}",
        owner.id
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Creates an organization with its first owner, all or nothing.
pub(crate) async fn create(
    store: &Store,
    settings: &Settings,
    new: &NewOrganization,
) -> anyhow::Result<(OrganizationId, PlatformUser)> {
    let owner = NewUser {
        given_name: filled("--owner-given-name", &new.owner_given_name)?,
        family_name: filled("--owner-family-name", &new.owner_family_name)?,
        email: Address::parse(&new.owner_email)
            .context("--owner-email is not an e-mail address")?,
        role: Role::Owner,
        language: settings
            .languages
            .first()
            .cloned()
            .unwrap_or_else(|| "en".to_owned()),
    };
    let tx = store.begin().await?;
    let organization = store
        .create_organization(&tx, &filled("--name", &new.name)?)
        .await?;
    let owner = store.create_user(&tx, organization.id, &owner).await?;
    store
        .set_entitlement(&tx, organization.id, INBOUND_SYNC, true, &Actor::service())
        .await?;
    tx.commit()
        .await
        .context("the organization could not be stored")?;
    Ok((organization.id, owner))
}

fn filled(flag: &str, text: &str) -> anyhow::Result<String> {
    let text = text.trim();
    anyhow::ensure!(!text.is_empty(), "{flag} is empty");
    anyhow::ensure!(
        text.chars().count() <= 100,
        "{flag} is longer than 100 characters"
    );
    Ok(text.to_owned())
}
