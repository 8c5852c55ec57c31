//! `lockstep token`.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use lockstep_domain::{AddressKey, OrganizationId, PlatformUser};
use lockstep_server::auth::Claims;
use lockstep_store::Store;
use lockstep_store::page::PageRequest;
use lockstep_store::user::UserFilter;

use crate::cli::Token;
use crate::parts::Parts;
use crate::settings::Settings;

pub(crate) async fn run(settings: Settings, flags: Token) -> anyhow::Result<ExitCode> {
    let parts = Parts::open(settings).await?;
    let token = match (&flags.organization, &flags.user) {
        (Some(organization), Some(address)) => {
            let organization: OrganizationId = organization
                .parse()
                .context("--organization is not the id that `lockstep org create` printed")?;
            let user = find(&parts.store, organization, address).await?;
            parts.token(
                |end| Claims::of_user(user.id, organization, end),
                flags.hours,
            )?
        }
        _ => parts.token(|end| Claims::of_staff("Staff", end), flags.hours)?,
    };
    writeln!(std::io::stdout(), "{token}")?;
    Ok(ExitCode::SUCCESS)
}

async fn find(
    store: &Store,
    organization: OrganizationId,
    address: &str,
) -> anyhow::Result<PlatformUser> {
    let filter = UserFilter {
        search: Some(address.to_owned()),
        ..UserFilter::default()
    };
    let found = store
        .users(organization, &filter, &PageRequest::first(100))
        .await?;
    let key = AddressKey::of(address);
    found
        .items
        .into_iter()
        .find(|user| user.email_key == key)
        .with_context(|| format!("--user: nobody in the organization has the address {address}"))
}
