//! `lockstep doctor`: looks at what a process needs, and changes nothing.

mod database;
mod secrets;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use lockstep_graph::{Cloud, Endpoints};
use lockstep_queue::Queue;
use lockstep_server::auth::JwksSource as _;

use crate::cli::Role;
use crate::jwks::HttpJwks;
use crate::keys;
use crate::settings::{JwtSource, Settings};

/// Checks what a process needs, and says what is wrong and what to do.
pub(crate) async fn run(settings: Settings, role: Role) -> anyhow::Result<ExitCode> {
    let mut report = Report::default();
    let store = database::look(&settings, &mut report).await;
    report.add("queue", queue(&settings).await);
    if role != Role::Work {
        report.add("tokens", tokens(&settings).await);
    }
    if role != Role::Serve {
        secrets::open(&settings, store.as_ref(), &mut report).await;
    }
    if role != Role::Work {
        report.add("seal key", secrets::seal(&settings, role));
    }
    if role == Role::All {
        report.add("Microsoft", microsoft(&settings).await);
    }
    report.print()
}

/// What was found.
enum Finding {
    Well(String),
    /// It works, and should be seen to.
    Warning(String),
    Wrong(anyhow::Error),
}

#[derive(Default)]
struct Report(Vec<(&'static str, Finding)>);

impl Report {
    fn add(&mut self, part: &'static str, outcome: anyhow::Result<String>) {
        let finding = outcome.map_or_else(Finding::Wrong, Finding::Well);
        self.0.push((part, finding));
    }

    fn warn(&mut self, part: &'static str, text: impl Into<String>) {
        self.0.push((part, Finding::Warning(text.into())));
    }

    fn print(&self) -> anyhow::Result<ExitCode> {
        let mut out = std::io::stdout();
        for (part, finding) in &self.0 {
            match finding {
                Finding::Well(found) => writeln!(out, "  ok    {part}: {found}")?,
                Finding::Warning(found) => writeln!(out, "  warn  {part}: {found}")?,
                Finding::Wrong(error) => writeln!(out, "  FAIL  {part}: {error:#}")?,
            }
        }
        let wrong = |(_, finding): &(_, Finding)| matches!(finding, Finding::Wrong(_));
        Ok(if self.0.iter().any(wrong) {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }
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
    let found = match &settings.jwt.source {
        Some(JwtSource::JwksUrl(url)) => {
            let wrong = "LOCKSTEP_JWT_JWKS_URL does not answer with keys";
            let answer = HttpJwks::new(url.clone())?.jwks().await.context(wrong)?;
            ensure!(
                holds_keys(&answer),
                "{wrong}; it must be the address of a JSON Web Key Set"
            );
            "checked with the issuer's published keys"
        }
        Some(JwtSource::PublicPem(pem)) => {
            lockstep_server::auth::check_public_key(pem)
                .context("LOCKSTEP_JWT_PUBLIC_KEY_FILE holds no public key in PEM")?;
            "checked with the issuer's public key"
        }
        Some(JwtSource::Secret(_)) => "checked with a shared secret",
        None => match keys::look_for_token_secret(settings)? {
            Some(_) => "checked with the secret beside the database",
            None => "no secret yet; the first start makes one beside the database",
        },
    };
    Ok(found.to_owned())
}

fn holds_keys(answer: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(answer)
        .ok()
        .and_then(|set| set["keys"].as_array().map(|keys| !keys.is_empty()))
        .unwrap_or(false)
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
