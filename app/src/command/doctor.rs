//! `lockstep doctor`.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use lockstep_graph::{Cloud, Endpoints};
use lockstep_queue::Queue;
use lockstep_seal::Owner;
use lockstep_server::auth::JwksSource as _;

use crate::cli::Role;
use crate::jwks::HttpJwks;
use crate::keys;
use crate::parts::open_store;
use crate::settings::{JwtSource, Settings};

/// Checks what a process needs, and says what is wrong and what to do.
pub(crate) async fn run(settings: Settings, role: Role) -> anyhow::Result<ExitCode> {
    let mut report = Report::default();
    report.add("database", database(&settings).await);
    report.add("queue", queue(&settings).await);
    if role != Role::Work {
        report.add("tokens", tokens(&settings).await);
    }
    match role {
        Role::Serve => report.add(
            "seal key",
            keys::sealer(&settings).map(|_| "client secrets can be sealed".to_owned()),
        ),
        Role::Work => report.add(
            "open key",
            keys::opener(&settings).map(|_| "stored client secrets can be opened".to_owned()),
        ),
        Role::All => {
            report.add("keys", pair(&settings));
            report.add("Microsoft", microsoft(&settings).await);
        }
    }
    report.print()
}

/// Seals a probe and opens it: two halves of different pairs would be found out only by the first run.
fn pair(settings: &Settings) -> anyhow::Result<String> {
    let owner = Owner {
        organization: uuid::Uuid::nil().into(),
        integration: uuid::Uuid::nil().into(),
        tenant: String::new(),
        client: String::new(),
    };
    let sealed = keys::sealer(settings)?.seal(owner.clone(), &"probe".into())?;
    keys::opener(settings)?
        .open(&owner, &sealed)
        .context("LOCKSTEP_OPEN_KEY does not open what LOCKSTEP_SEAL_KEY seals; `lockstep keys` makes a pair")?;
    Ok("client secrets can be sealed and opened".to_owned())
}

#[derive(Default)]
struct Report(Vec<(&'static str, anyhow::Result<String>)>);

impl Report {
    fn add(&mut self, part: &'static str, outcome: anyhow::Result<String>) {
        self.0.push((part, outcome));
    }

    fn print(&self) -> anyhow::Result<ExitCode> {
        let mut out = std::io::stdout();
        for (part, outcome) in &self.0 {
            match outcome {
                Ok(found) => writeln!(out, "  ok    {part}: {found}")?,
                Err(error) => writeln!(out, "  FAIL  {part}: {error:#}")?,
            }
        }
        let all_well = self.0.iter().all(|(_, outcome)| outcome.is_ok());
        Ok(if all_well {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

async fn database(settings: &Settings) -> anyhow::Result<String> {
    let store = open_store(settings).await?;
    store.ping().await?;
    let kind = if store.is_sqlite() {
        "SQLite"
    } else {
        "PostgreSQL"
    };
    if !store.is_sqlite() && !store.is_migrated().await? {
        anyhow::bail!("{kind} answers, but is not up to date; run `lockstep migrate`");
    }
    Ok(format!("{kind} answers"))
}

async fn queue(settings: &Settings) -> anyhow::Result<String> {
    let queue = Queue::connect(&settings.queue_url).await?;
    queue.ping().await?;
    Ok(if queue.is_in_process() {
        "in process"
    } else {
        "Redis answers"
    }
    .to_owned())
}

async fn tokens(settings: &Settings) -> anyhow::Result<String> {
    Ok(match &settings.jwt.source {
        Some(JwtSource::JwksUrl(url)) => {
            HttpJwks::new(url.clone())?
                .jwks()
                .await
                .context("LOCKSTEP_JWT_JWKS_URL does not answer with keys")?;
            "checked with the issuer's published keys".to_owned()
        }
        Some(JwtSource::PublicPem(_)) => "checked with the issuer's public key".to_owned(),
        Some(JwtSource::Secret(_)) => "checked with a shared secret".to_owned(),
        None => keys::token_secret(settings).map(|_| "checked with a local secret".to_owned())?,
    })
}

async fn microsoft(settings: &Settings) -> anyhow::Result<String> {
    let endpoints = Endpoints::of(Cloud::Global)
        .overridden(settings.graph_url.clone(), settings.login_url.clone());
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(10))
        .build()?;
    for url in [&endpoints.login, &endpoints.graph] {
        // Any answer will do: what counts is that there is one.
        client.get(url.clone()).send().await.map_err(|error| {
            anyhow::Error::new(error.without_url()).context(format!(
                "{} cannot be reached; check the network and the proxy",
                url.host_str().unwrap_or("Microsoft")
            ))
        })?;
    }
    Ok("sign-in service and Graph answer".to_owned())
}
