//! The log, on standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::settings::{LogFormat, Settings};

/// What is logged unless someone chose otherwise: each migration, and what the database remarks, is of no interest.
const DEFAULT: &str = "info,sea_orm_migration=warn,sqlx=warn";

/// Starts the log. The demo shows what it does by itself, so its log is quiet.
pub(crate) fn start(settings: &Settings, is_demo: bool) {
    let default = if is_demo { "warn" } else { DEFAULT };
    let filter = EnvFilter::try_new(settings.log.as_deref().unwrap_or(default));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|_| EnvFilter::new(default)))
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match settings.log_format {
        LogFormat::Text => log.with_target(false).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}
