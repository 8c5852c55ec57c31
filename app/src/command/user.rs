//! `lockstep user`: the people of an organization, and how they sign in.

mod edit;
mod link;
mod list;

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand, ValueEnum};
use lockstep_domain::{Address, PlatformUser, UserId};
use lockstep_store::Store;
use lockstep_store::organization::Organization;

use crate::parts::ready_store;
use crate::settings::{Flags, Settings};

#[derive(Args)]
pub(crate) struct User {
    #[command(subcommand)]
    command: UserCommand,
}

#[derive(Subcommand)]
enum UserCommand {
    /// Add somebody to an organization
    Add(edit::Add),
    /// Give a user another role; the last active owner stays one
    Role(edit::SetRole),
    /// Deactivate a user; runs do not bring the user back
    Deactivate(edit::Edit),
    /// Bring a user back who was deactivated by hand
    Reactivate(edit::Edit),
    /// List the users of an organization
    List(list::List),
    /// Link a sign-in at a provider to a user, who can sign in that way from then on
    Link(link::Link),
    /// Remove a sign-in from a user
    Unlink(link::Link),
    /// List the sign-ins of a user
    Links(link::Links),
}

impl User {
    /// The settings that were given to the command.
    pub(crate) fn settings(&self) -> Flags {
        match &self.command {
            UserCommand::Add(add) => add.settings.clone().into(),
            UserCommand::Role(role) => role.settings.clone().into(),
            UserCommand::Deactivate(edit) | UserCommand::Reactivate(edit) => {
                edit.settings.clone().into()
            }
            UserCommand::List(list) => list.settings.clone().into(),
            UserCommand::Link(link) | UserCommand::Unlink(link) => link.settings.clone().into(),
            UserCommand::Links(links) => links.settings.clone().into(),
        }
    }
}

/// Which user is meant.
#[derive(Args)]
struct Chosen {
    /// Id or name of the organization; `lockstep org list` shows them
    #[arg(long, value_name = "ID|NAME")]
    organization: String,
    /// E-mail address or id of the user; `lockstep user list` shows them
    #[arg(long, value_name = "ADDRESS|ID")]
    user: String,
}

/// A role in an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    /// Uses the product.
    Member,
    /// Owns the organization, with its integrations.
    Owner,
}

impl From<Role> for lockstep_domain::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Member => Self::Member,
            Role::Owner => Self::Owner,
        }
    }
}

pub(crate) async fn run(settings: Settings, user: User) -> anyhow::Result<ExitCode> {
    let store = ready_store(&settings).await?;
    let told = match user.command {
        UserCommand::Add(flags) => edit::add(&store, &settings, &flags).await?,
        UserCommand::Role(flags) => edit::set_role(&store, &flags).await?,
        UserCommand::Deactivate(flags) => edit::deactivate(&store, &flags.chosen).await?,
        UserCommand::Reactivate(flags) => edit::reactivate(&store, &flags.chosen).await?,
        UserCommand::Link(flags) => link::link(&store, &settings, &flags).await?,
        UserCommand::Unlink(flags) => link::unlink(&store, &settings, &flags).await?,
        UserCommand::Links(flags) => link::list(&store, &flags).await?,
        UserCommand::List(flags) => {
            list::run(&store, &flags).await?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    print(&told)?;
    Ok(ExitCode::SUCCESS)
}

/// Finds an organization by its id, or by its name when there is one of that name.
pub(crate) async fn find_organization(store: &Store, text: &str) -> anyhow::Result<Organization> {
    let text = text.trim();
    if let Ok(id) = text.parse() {
        return store.organization(id).await?.with_context(|| {
            format!(
                "--organization: there is none with the id {text}; `lockstep org list` shows them"
            )
        });
    }
    let mut named = store.organizations_named(text).await?;
    match (named.pop(), named.is_empty()) {
        (Some(only), true) => Ok(only),
        (Some(_), false) => bail!(
            "--organization: several are called {text:?}; give the id of one, `lockstep org list` shows them"
        ),
        (None, _) => {
            bail!("--organization: none is called {text:?}; `lockstep org list` shows them")
        }
    }
}

/// Finds a user of an organization by address or id.
pub(crate) async fn find_user(
    store: &Store,
    organization: &Organization,
    text: &str,
) -> anyhow::Result<PlatformUser> {
    let text = text.trim();
    let found = match text.parse::<UserId>() {
        Ok(id) => store.user(organization.id, id).await?,
        Err(_) => {
            let address = Address::parse(text).context(
                "--user is neither an e-mail address nor an id; `lockstep user list` shows both",
            )?;
            store
                .user_of_address(organization.id, &address.key())
                .await?
        }
    };
    found.with_context(|| {
        format!(
            "--user: nobody in {:?} is {text}; `lockstep user list` shows everyone",
            organization.name
        )
    })
}

/// Prints lines; whoever has read enough may go.
pub(crate) fn print(lines: &str) -> anyhow::Result<bool> {
    let mut out = std::io::stdout();
    match out.write_all(lines.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(error).context("cannot write to standard output"),
    }
}
