//! `lockstep demo`: what a frontend would do, done once, with everything in one process.

mod api;
mod report;
mod tour;

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use lockstep_domain::{Address, OrganizationId, UserId};
use lockstep_sandbox::{Sandbox, SandboxOptions};
use lockstep_server::auth::Claims;
use lockstep_store::Store;
use lockstep_worker::Worker;
use lockstep_worker::connection::Provider;
use tokio_util::sync::CancellationToken;

use crate::cli::{Demo, NewOrganization, TenantChoice};
use crate::command::{org, sandbox};
use crate::parts::{Parts, listen};
use crate::settings::Settings;
use crate::shutdown;
use api::Api;

/// The organization of the demo, and its owner.
const ORGANIZATION: (&str, &str) = (
    "Northwind Learning",
    "olga.owner@northwind-learning.example",
);
/// An empty organization, for whoever wants to set an integration up by hand, and its owner.
const PRACTICE: (&str, &str) = ("Practice", "pia.practice@practice.example");
/// How long the tokens of the demo are valid, in hours.
const TOKEN_HOURS: u32 = 12;

/// Addresses, tokens and ids of the demo.
pub(crate) struct Stage {
    pub(crate) address: String,
    pub(crate) sandbox: String,
    pub(crate) owner_token: String,
    pub(crate) practice_token: String,
    pub(crate) staff_token: String,
}

pub(crate) async fn run(mut settings: Settings, flags: Demo) -> anyhow::Result<ExitCode> {
    if settings.database_url.is_none() {
        settings.database_url = Some(database(&flags.tenant));
    }
    let listener = listen(settings.listen, "--listen").await?;
    settings.listen = listener.local_addr()?;
    let sandbox = open_sandbox(&flags).await?;
    let sandbox_url = flags
        .sandbox_url
        .clone()
        .or_else(|| sandbox.as_ref().map(|sandbox| sandbox.url().to_owned()));
    let sandbox_url = sandbox_url.context("there is no sandbox")?;
    let parts = open(settings).await?;
    let stage = set_up(&parts, &sandbox_url).await?;
    let stopping = shutdown::on_signal();
    let provider = Provider {
        graph_url: Some(
            sandbox_url
                .parse()
                .context("--sandbox-url is not an address")?,
        ),
        login_url: Some(
            sandbox_url
                .parse()
                .context("--sandbox-url is not an address")?,
        ),
        ..parts.provider()
    };
    let worker = parts.worker(provider, stopping.clone())?;
    let mut trouble = worker.trouble();
    let served = tokio::spawn(serve(parts.clone(), listener, stopping.clone()));
    let worked = tokio::spawn(work(parts.clone(), worker, stopping.clone()));
    let shown = tokio::select! {
        shown = show(&stage, &flags) => Some(shown),
        // A run that cannot be ended would be followed for ever.
        Ok(trouble) = trouble.wait_for(Option::is_some) => {
            Some(Err(anyhow!(trouble.clone().unwrap_or_default())))
        }
        () = stopping.cancelled() => None,
    };
    if flags.once || !matches!(shown, Some(Ok(_))) {
        stopping.cancel();
    }
    served.await.context("the server broke off")??;
    worked.await.context("the worker broke off")??;
    if let Some(sandbox) = sandbox {
        sandbox.stop().await;
    }
    let succeeded = shown.transpose()?.unwrap_or(!flags.once);
    Ok(if succeeded {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A database for each tenant, so that another `--data` is not taken for a directory everyone has left.
fn database(choice: &TenantChoice) -> String {
    let name = match (&choice.data, choice.users) {
        (Some(path), _) => path.file_stem().map_or_else(
            || "data".to_owned(),
            |stem| stem.to_string_lossy().into_owned(),
        ),
        (None, Some(users)) => format!("generated-{users}-{}", choice.seed),
        (None, None) => "demo".to_owned(),
    };
    let safe: String = name
        .chars()
        .map(|c| {
            if c.is_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        })
        .collect();
    format!("sqlite:lockstep-demo/{safe}.db")
}

async fn open_sandbox(flags: &Demo) -> anyhow::Result<Option<Sandbox>> {
    if flags.sandbox_url.is_some() {
        return Ok(None);
    }
    let tenant = sandbox::tenant(&flags.tenant)?;
    let listener = listen(flags.sandbox_listen, "--sandbox-listen").await?;
    let options = SandboxOptions {
        // The demo begins with a run, so that what an earlier sandbox told is compared before anything changes.
        knows_earlier_links: true,
        ..SandboxOptions::default()
    };
    sandbox::start(listener, tenant, options).await.map(Some)
}

/// The demo brings its database up to date by itself. It takes no other one: its worker would send the client secrets of
/// real organizations to the sandbox.
async fn open(settings: Settings) -> anyhow::Result<Parts> {
    let store = crate::parts::open_store(&settings).await?;
    if store.has_tables().await?
        && store
            .has_organizations_but(&[ORGANIZATION.0, PRACTICE.0])
            .await?
    {
        bail!(
            "this database holds organizations of its own; give the demo another one with --database-url, or leave LOCKSTEP_DATABASE_URL unset"
        );
    }
    store.migrate().await?;
    Parts::open(settings).await
}

async fn serve(
    parts: Parts,
    listener: tokio::net::TcpListener,
    stopping: CancellationToken,
) -> anyhow::Result<()> {
    let served = parts.serve(listener, stopping.clone()).await;
    stopping.cancel();
    served
}

async fn work(parts: Parts, worker: Worker, stopping: CancellationToken) -> anyhow::Result<()> {
    let worked = parts.work(worker, stopping.clone()).await;
    stopping.cancel();
    worked
}

/// Finds or makes the organizations and their owners.
async fn set_up(parts: &Parts, sandbox: &str) -> anyhow::Result<Stage> {
    Ok(Stage {
        address: parts.settings.listen.to_string(),
        sandbox: sandbox.to_owned(),
        owner_token: owner_token(parts, ORGANIZATION, ("Olga", "Owner")).await?,
        practice_token: owner_token(parts, PRACTICE, ("Pia", "Practice")).await?,
        staff_token: parts.token(|end| Claims::of_staff("Demo staff", end), TOKEN_HOURS)?,
    })
}

async fn owner_token(
    parts: &Parts,
    (name, address): (&str, &str),
    (given_name, family_name): (&str, &str),
) -> anyhow::Result<String> {
    let (organization, owner) = match parts.store.organization_named(name).await? {
        Some(organization) => {
            let owner = find_owner(&parts.store, organization.id, address).await?;
            (organization.id, owner)
        }
        None => {
            let new = NewOrganization {
                name: name.to_owned(),
                owner_email: address.to_owned(),
                owner_given_name: given_name.to_owned(),
                owner_family_name: family_name.to_owned(),
            };
            let (organization, owner) = org::create(&parts.store, &parts.settings, &new).await?;
            (organization, owner.id)
        }
    };
    parts.token(|end| Claims::of_user(owner, organization, end), TOKEN_HOURS)
}

/// The user of exactly this address: nobody else is given a token of the owner's.
async fn find_owner(
    store: &Store,
    organization: OrganizationId,
    address: &str,
) -> anyhow::Result<UserId> {
    let key = Address::parse(address)?.key();
    let owner = store.user_of_address(organization, &key).await?;
    let owner =
        owner.context("the database holds a demo without its owner; remove it and start again")?;
    Ok(owner.id)
}

/// Takes the tour and tells about it. Whether the run succeeded.
async fn show(stage: &Stage, flags: &Demo) -> anyhow::Result<bool> {
    let api = Api::new(
        &format!("http://{}/graphql", stage.address),
        &stage.owner_token,
    )?;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "Lockstep demo: sandbox {}, API http://{}/graphql",
        stage.sandbox, stage.address
    )?;
    let integration = tour::integration(&api, &mut out).await?;
    let run = tour::run(&api, &integration, &mut out).await?;
    report::run(&mut out, &run)?;
    if !flags.once {
        report::next_steps(&mut out, stage, &integration)?;
    }
    if flags.json {
        let organization = tour::organization(&api).await?;
        report::json(&mut out, stage, &organization, &integration, &run)?;
    }
    out.flush()?;
    Ok(run.succeeded())
}

#[cfg(test)]
mod tests {
    use lockstep_domain::Role;
    use lockstep_store::user::NewUser;

    use super::*;

    #[tokio::test]
    async fn a_token_of_the_owners_is_for_exactly_that_address() {
        let file = std::env::temp_dir().join(format!("{}.db", uuid::Uuid::new_v4()));
        let url = format!("sqlite:{}", file.display());
        let store = Store::connect(&url).await.unwrap();
        store.migrate().await.unwrap();
        let tx = store.begin().await.unwrap();
        let organization = store.create_organization(&tx, "Demo").await.unwrap().id;
        let add = async |address: &str| {
            let new = NewUser {
                given_name: "Olga".to_owned(),
                family_name: "Owner".to_owned(),
                email: Address::parse(address).unwrap(),
                role: Role::Member,
                language: "en".to_owned(),
            };
            store.create_user(&tx, organization, &new).await.unwrap().id
        };
        let (_, address) = ORGANIZATION;
        let other = add(&format!("{address}.example.com")).await;
        let owner = add(address).await;
        let last = add(&format!("{address}.example.net")).await;
        tx.commit().await.unwrap();
        let found = find_owner(&store, organization, address).await.unwrap();
        assert_eq!(found, owner, "neither {other} nor {last}");
        let nobody = find_owner(&store, organization, "olga.owner@northwind-learning").await;
        assert!(nobody.is_err());
        store.db().clone().close().await.unwrap();
        std::fs::remove_file(file).unwrap();
    }
}
