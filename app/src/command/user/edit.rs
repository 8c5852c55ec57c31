//! Adding people, and what is done to single users by hand.

use anyhow::{Context as _, bail};
use clap::Args;
use lockstep_domain::{Actor, Address, PlatformUser};
use lockstep_store::Store;
use lockstep_store::organization::Organization;
use lockstep_store::user::NewUser;
use lockstep_store::user_by_hand::Edited;

use super::{Chosen, Role, find_organization, find_user};
use crate::command::org::filled;
use crate::settings::{DatabaseSettings, PeopleSettings, Settings};

#[derive(Args)]
pub(super) struct Add {
    /// Id or name of the organization; `lockstep org list` shows them
    #[arg(long, value_name = "ID|NAME")]
    organization: String,
    /// E-mail address
    #[arg(long, value_name = "ADDRESS")]
    email: String,
    /// First name
    #[arg(long, value_name = "NAME")]
    given_name: String,
    /// Last name
    #[arg(long, value_name = "NAME")]
    family_name: String,
    /// Role in the organization
    #[arg(long, value_enum, default_value_t = Role::Member)]
    role: Role,
    /// Language of e-mails to the user, one of --languages [default: the first of them]
    #[arg(long, value_name = "TAG")]
    language: Option<String>,
    #[command(flatten)]
    pub(super) settings: PeopleSettings,
}

#[derive(Args)]
pub(super) struct SetRole {
    #[command(flatten)]
    chosen: Chosen,
    /// The new role
    #[arg(long, value_enum)]
    role: Role,
    #[command(flatten)]
    pub(super) settings: DatabaseSettings,
}

#[derive(Args)]
pub(super) struct Edit {
    #[command(flatten)]
    pub(super) chosen: Chosen,
    #[command(flatten)]
    pub(super) settings: DatabaseSettings,
}

/// Adds somebody, all or nothing.
pub(super) async fn add(store: &Store, settings: &Settings, flags: &Add) -> anyhow::Result<String> {
    let organization = find_organization(store, &flags.organization).await?;
    let new = NewUser {
        given_name: filled("--given-name", &flags.given_name)?,
        family_name: filled("--family-name", &flags.family_name)?,
        email: Address::parse(&flags.email).context("--email is not an e-mail address")?,
        role: flags.role.into(),
        language: language(settings, flags.language.as_deref())?,
    };
    refuse_known(store, &organization, &new.email).await?;
    let tx = store.begin().await?;
    let user = match store.create_user(&tx, organization.id, &new).await {
        // Somebody else has added the same person since the look.
        Err(error) if error.is_taken() => {
            drop(tx);
            refuse_known(store, &organization, &new.email).await?;
            return Err(error.into());
        }
        created => created?,
    };
    store.mark_around(&tx, &user).await?;
    tx.commit().await.context("the user could not be stored")?;
    Ok(format!("user         {}\n{}", user.id, line(&user)))
}

async fn refuse_known(
    store: &Store,
    organization: &Organization,
    email: &Address,
) -> anyhow::Result<()> {
    let known = store.user_of_address(organization.id, &email.key()).await?;
    match known {
        None => Ok(()),
        Some(user) => bail!(
            "--email: {email} is in {:?} already, as user {} ({}, {}); nothing was changed. `lockstep user role` gives another role",
            organization.name,
            user.id,
            user.role.as_str(),
            user.status.as_str()
        ),
    }
}

fn language(settings: &Settings, chosen: Option<&str>) -> anyhow::Result<String> {
    let known = &settings.languages;
    let Some(chosen) = chosen else {
        return known
            .first()
            .cloned()
            .context("LOCKSTEP_LANGUAGES names no language");
    };
    let found = known
        .iter()
        .find(|tag| tag.eq_ignore_ascii_case(chosen.trim()));
    found.cloned().with_context(|| {
        format!(
            "--language: {chosen:?} is none of LOCKSTEP_LANGUAGES ({})",
            known.join(", ")
        )
    })
}

/// Gives a user another role.
pub(super) async fn set_role(store: &Store, flags: &SetRole) -> anyhow::Result<String> {
    let organization = find_organization(store, &flags.chosen.organization).await?;
    let user = find_user(store, &organization, &flags.chosen.user).await?;
    let tx = store.begin().await?;
    let edited = store
        .set_role(&tx, organization.id, user.id, flags.role.into())
        .await?;
    let told = outcome(edited)?;
    tx.commit().await.context("the role could not be stored")?;
    Ok(told)
}

/// Deactivates a user by hand.
pub(super) async fn deactivate(store: &Store, chosen: &Chosen) -> anyhow::Result<String> {
    let organization = find_organization(store, &chosen.organization).await?;
    let user = find_user(store, &organization, &chosen.user).await?;
    let tx = store.begin().await?;
    let edited = store
        .deactivate_user(&tx, organization.id, user.id, &Actor::service())
        .await?;
    let told = outcome(edited)?;
    tx.commit()
        .await
        .context("the deactivation could not be stored")?;
    Ok(told)
}

/// Brings a user back who was deactivated by hand.
pub(super) async fn reactivate(store: &Store, chosen: &Chosen) -> anyhow::Result<String> {
    let organization = find_organization(store, &chosen.organization).await?;
    let user = find_user(store, &organization, &chosen.user).await?;
    let tx = store.begin().await?;
    let edited = store.reactivate_user(&tx, organization.id, user.id).await?;
    let told = outcome(edited)?;
    tx.commit()
        .await
        .context("the return could not be stored")?;
    Ok(told)
}

fn outcome(edited: Edited) -> anyhow::Result<String> {
    match edited {
        Edited::Done(user) => Ok(line(&user)),
        Edited::Before(user) => Ok(format!("nothing to do: {}", line(&user))),
        Edited::LastOwner(user) => bail!(
            "{} is the last active owner of the organization, which would have nobody left who can manage it; make somebody else an owner first, with `lockstep user add --role owner` or `lockstep user role`",
            user.email
        ),
        Edited::WrongState(user) => bail!(
            "{} was deactivated by a run because of the directory ({}); the next run brings the user back when the directory does",
            user.email,
            user.deactivation_reason
                .map_or("", |reason| reason.as_str())
        ),
        Edited::NotFound => bail!("--user: the user is gone"),
    }
}

fn line(user: &PlatformUser) -> String {
    format!(
        "{} <{}> {} {}\n",
        user.display_name(),
        user.email,
        user.role.as_str(),
        user.status.as_str()
    )
}
