//! The binary `lockstep`.

mod cli;
mod command;
mod files;
mod jwks;
mod keys;
mod memory;
mod parts;
mod settings;
mod shutdown;
mod telemetry;
mod version;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    // Two TLS providers are linked in; without a choice the first connection would panic.
    if rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .is_err()
    {
        return fail(&anyhow::anyhow!(
            "another TLS provider was installed before"
        ));
    }
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            return fail(&anyhow::Error::new(error).context("could not start the runtime"));
        }
    };
    match runtime.block_on(run(cli)) {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let settings = cli.command.settings().resolve()?;
    telemetry::start(&settings, matches!(cli.command, Command::Demo(_)));
    match cli.command {
        Command::Demo(demo) => command::demo::run(settings, demo).await,
        Command::All { .. } => command::serve::all(settings).await,
        Command::Serve { .. } => command::serve::serve(settings).await,
        Command::Work { .. } => command::serve::work(settings).await,
        Command::Migrate { .. } => command::migrate::run(settings).await,
        Command::Schema => command::schema::run(),
        Command::Sandbox(sandbox) => command::sandbox::run(sandbox).await,
        Command::Doctor(doctor) => command::doctor::run(settings, doctor.of).await,
        Command::Org(org) => command::org::run(settings, org).await,
        Command::User(user) => command::user::run(settings, user).await,
        Command::Token(token) => command::token::run(settings, token).await,
        Command::Keys => command::keys::run(),
    }
}

/// Says what went wrong, and why, in one line each.
#[expect(
    clippy::print_stderr,
    reason = "the log may not be there yet, and a person is looking"
)]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("lockstep: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  because: {cause}");
    }
    ExitCode::FAILURE
}
