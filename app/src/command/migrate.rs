//! `lockstep migrate`.

use std::process::ExitCode;

use crate::parts::open_store;
use crate::settings::Settings;

pub(crate) async fn run(settings: Settings) -> anyhow::Result<ExitCode> {
    open_store(&settings).await?.migrate().await?;
    tracing::info!("The database is up to date");
    Ok(ExitCode::SUCCESS)
}
