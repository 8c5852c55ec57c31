//! `lockstep token`.

use std::io::Write as _;
use std::process::ExitCode;

use lockstep_server::auth::Claims;

use super::user::{find_organization, find_user};
use crate::cli::Token;
use crate::parts::Parts;
use crate::settings::Settings;

pub(crate) async fn run(settings: Settings, flags: Token) -> anyhow::Result<ExitCode> {
    let parts = Parts::open(settings).await?;
    let token = match (&flags.organization, &flags.user) {
        (Some(organization), Some(user)) => {
            let organization = find_organization(&parts.store, organization).await?;
            let user = find_user(&parts.store, &organization, user).await?;
            let claims = |end| Claims::of_user(user.id, organization.id, end);
            parts.token(claims, flags.hours)?
        }
        _ => parts.token(|end| Claims::of_staff("Staff", end), flags.hours)?,
    };
    writeln!(std::io::stdout(), "{token}")?;
    Ok(ExitCode::SUCCESS)
}
