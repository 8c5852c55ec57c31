//! `lockstep sandbox`.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use lockstep_sandbox::{
    DEMO_CLIENT_ID, DEMO_CLIENT_SECRET, DEMO_TENANT_ID, GenerateOptions, Sandbox, SandboxOptions,
    Tenant,
};
use tokio::net::TcpListener;

use crate::cli::{Sandbox as Flags, TenantChoice};
use crate::parts::listen;
use crate::shutdown;

pub(crate) async fn run(flags: Flags) -> anyhow::Result<ExitCode> {
    let tenant = tenant(&flags.tenant)?;
    let listener = listen(flags.listen, "--listen").await?;
    let sandbox = start(listener, tenant, SandboxOptions::default()).await?;
    let mut out = std::io::stdout();
    writeln!(out, "Microsoft Graph sandbox at {}", sandbox.url())?;
    writeln!(
        out,
        "  tenant {DEMO_TENANT_ID}\n  client {DEMO_CLIENT_ID}\n  secret {DEMO_CLIENT_SECRET}"
    )?;
    writeln!(
        out,
        "  changes and faults on request below {}/sandbox/, for example:",
        sandbox.url()
    )?;
    writeln!(
        out,
        "  curl -X POST {}/sandbox/churn -d '{{\"users\":10,\"groups\":0,\"seed\":1}}'",
        sandbox.url()
    )?;
    out.flush()?;
    shutdown::on_signal().cancelled().await;
    sandbox.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// Starts a sandbox.
pub(crate) async fn start(
    listener: TcpListener,
    tenant: Tenant,
    options: SandboxOptions,
) -> anyhow::Result<Sandbox> {
    Sandbox::start(listener, tenant, options)
        .await
        .context("the sandbox could not be started")
}

/// The tenant that was chosen: from a file, made up, or the built-in one.
pub(crate) fn tenant(choice: &TenantChoice) -> anyhow::Result<Tenant> {
    if let Some(path) = &choice.data {
        return read(path);
    }
    Ok(match choice.users {
        Some(users) => Tenant::generate(GenerateOptions {
            users,
            groups: choice.groups,
            members_per_group: choice.members,
            big_group: choice.big_group,
            seed: choice.seed,
        }),
        None => Tenant::demo(),
    })
}

fn read(path: &Path) -> anyhow::Result<Tenant> {
    let bytes =
        std::fs::read(path).with_context(|| format!("--data: cannot read {}", path.display()))?;
    Tenant::from_json(&bytes).with_context(|| format!("--data: {} is not a tenant", path.display()))
}
