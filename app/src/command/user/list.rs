//! Lists of users, a page at a time, so that a hundred thousand take no more memory than five thousand.

use std::fmt::Write as _;

use clap::{Args, ValueEnum};
use lockstep_domain::UserStatus;
use lockstep_store::Store;
use lockstep_store::user_list::{ListedUser, WhichUsers};
use serde_json::json;

use super::{Role, find_organization, print};
use crate::settings::DatabaseSettings;

/// Users that are read and written together: some megabytes. PostgreSQL is told to expect few rows of one organization, so
/// it may sort what is left of the list for each page; with small pages a long list would take most of its time.
const PAGE: u64 = 5_000;

#[derive(Args)]
pub(super) struct List {
    /// Id or name of the organization; `lockstep org list` shows them
    #[arg(long, value_name = "ID|NAME")]
    organization: String,
    /// Only users with this role
    #[arg(long, value_enum)]
    role: Option<Role>,
    /// Only users with this status
    #[arg(long, value_enum)]
    status: Option<Status>,
    /// Print one JSON object a line, for scripts
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(super) settings: DatabaseSettings,
}

/// Whether a user may sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Status {
    /// Has never signed in.
    NotYetActivated,
    /// May sign in.
    Active,
    /// Cannot sign in.
    Deactivated,
}

impl From<Status> for UserStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::NotYetActivated => Self::NotYetActivated,
            Status::Active => Self::Active,
            Status::Deactivated => Self::Deactivated,
        }
    }
}

/// Lists users as they come.
pub(super) async fn run(store: &Store, flags: &List) -> anyhow::Result<()> {
    let organization = find_organization(store, &flags.organization).await?;
    let which = WhichUsers {
        role: flags.role.map(Into::into),
        status: flags.status.map(Into::into),
    };
    if !flags.json && !print(&head())? {
        return Ok(());
    }
    let mut after = None;
    loop {
        let page = store
            .list_users(organization.id, which, after, PAGE)
            .await?;
        after = page.last().map(|listed| listed.user.id);
        let lines: String = page
            .iter()
            .map(if flags.json { as_json } else { as_row })
            .collect();
        if after.is_none() || !print(&lines)? {
            return Ok(());
        }
    }
}

// What has a fixed width comes first, so that columns stand below each other before the last user is known.
fn head() -> String {
    row("ID", "ROLE", "STATUS", "LAST SEEN", "E-MAIL", "NAME")
}

fn as_row(listed: &ListedUser) -> String {
    let ListedUser { user, last_seen_at } = listed;
    let seen = last_seen_at.map(|at| at.format("%Y-%m-%d %H:%M UTC").to_string());
    row(
        &user.id.to_string(),
        user.role.as_str(),
        user.status.as_str(),
        seen.as_deref().unwrap_or("never"),
        &user.email,
        &user.display_name(),
    )
}

fn row(id: &str, role: &str, status: &str, seen: &str, email: &str, name: &str) -> String {
    let mut line = String::new();
    let wrote = writeln!(
        line,
        "{id:36}  {role:6}  {status:17}  {seen:20}  {email}  {name}"
    );
    debug_assert!(wrote.is_ok(), "a string takes everything");
    line
}

fn as_json(listed: &ListedUser) -> String {
    let ListedUser { user, last_seen_at } = listed;
    let line = json!({
        "id": user.id,
        "email": user.email,
        "givenName": user.given_name,
        "familyName": user.family_name,
        "role": user.role.as_str(),
        "status": user.status.as_str(),
        "origin": user.origin.as_str(),
        "language": user.language,
        "lastSeenAt": last_seen_at,
        "createdAt": user.created_at,
    });
    format!("{line}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn active_does_not_say_that_somebody_has_signed_in() {
        // Whoever was added by hand is active at once.
        let active = Status::Active.to_possible_value().unwrap();
        assert_eq!(active.get_help().unwrap().to_string(), "May sign in");
    }
}
