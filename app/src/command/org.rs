//! `lockstep org`.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use lockstep_domain::{Actor, Address, OrganizationId, PlatformUser, Role};
use lockstep_store::organization::INBOUND_SYNC;
use lockstep_store::user::NewUser;
use lockstep_store::user_list::ListedOrganization;
use lockstep_store::{Store, StoreError};
use serde_json::json;

use super::user::print;
use crate::cli::{NewOrganization, Org, OrgCommand};
use crate::parts::ready_store;
use crate::settings::Settings;

pub(crate) async fn run(settings: Settings, org: Org) -> anyhow::Result<ExitCode> {
    let store = ready_store(&settings).await?;
    match org.command {
        OrgCommand::Create(flags) => print_created(&store, &settings, &flags.organization).await,
        OrgCommand::List(flags) => list(&store, flags.json).await,
    }
}

async fn print_created(
    store: &Store,
    settings: &Settings,
    new: &NewOrganization,
) -> anyhow::Result<ExitCode> {
    let (organization, owner) = create(store, settings, new).await?;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "organization {organization}\nowner        {}",
        owner.id
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Organizations that are read and written together.
const PAGE: u64 = 500;

/// Lists organizations as they come.
async fn list(store: &Store, json: bool) -> anyhow::Result<ExitCode> {
    let head = row("ID", "CREATED", "USERS", "OWNERS", "NAME");
    if !json && !print(&head)? {
        return Ok(ExitCode::SUCCESS);
    }
    let mut after = None;
    loop {
        let page = store.list_organizations(after, PAGE).await?;
        after = page.last().map(|listed| listed.organization.id);
        let lines: String = page
            .iter()
            .map(if json { as_json } else { as_row })
            .collect();
        if after.is_none() || !print(&lines)? {
            return Ok(ExitCode::SUCCESS);
        }
    }
}

fn row(id: &str, created: &str, users: &str, owners: &str, name: &str) -> String {
    format!("{id:36}  {created:10}  {users:>7}  {owners:>6}  {name}\n")
}

fn as_row(listed: &ListedOrganization) -> String {
    row(
        &listed.organization.id.to_string(),
        &listed
            .organization
            .created_at
            .format("%Y-%m-%d")
            .to_string(),
        &listed.active_users.to_string(),
        &listed.active_owners.to_string(),
        &listed.organization.name,
    )
}

fn as_json(listed: &ListedOrganization) -> String {
    let line = json!({
        "id": listed.organization.id,
        "name": listed.organization.name,
        "activeUsers": listed.active_users,
        "activeOwners": listed.active_owners,
        "createdAt": listed.organization.created_at,
    });
    format!("{line}\n")
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
        .map_err(StoreError::of("store the organization"))?;
    Ok((organization.id, owner))
}

/// Trims a name, and refuses one that is empty or too long.
pub(crate) fn filled(flag: &str, text: &str) -> anyhow::Result<String> {
    let text = text.trim();
    anyhow::ensure!(!text.is_empty(), "{flag} is empty");
    anyhow::ensure!(
        text.chars().count() <= 100,
        "{flag} is longer than 100 characters"
    );
    Ok(text.to_owned())
}
