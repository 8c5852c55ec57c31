//! Wiring: the parts of the program, put together as the settings say.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use chrono::TimeDelta;
use lockstep_graph::ClientOptions;
use lockstep_queue::{Queue, WorkOptions};
use lockstep_server::Language;
use lockstep_server::auth::{Claims, JwtKey, JwtSettings, TokenAuthenticator, mint};
use lockstep_server::front::{self, FrontLimits};
use lockstep_server::transport::TransportOptions;
use lockstep_store::Store;
use lockstep_worker::connection::Provider;
use lockstep_worker::{Timing, Worker, scheduler};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::files;
use crate::jwks::HttpJwks;
use crate::keys;
use crate::settings::{JwtSource, Settings};
use crate::version;

/// How long a stopping worker may take to reach a safe point.
const GRACE: Duration = Duration::from_secs(10);
/// Tests that one worker makes at a time.
const TEST_CONCURRENCY: usize = 4;
/// Connections for who asks after the health of the server.
const HEALTH_CONNECTIONS: usize = 16;
/// How often a worker asks Redis for work.
const POLL: Duration = Duration::from_millis(200);
/// How often a worker tells Redis that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Database and queue.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) settings: Settings,
    pub(crate) store: Store,
    pub(crate) queue: Queue,
}

impl Parts {
    /// Connects to both. A database that is a file is brought up to date; a server is only looked at.
    pub(crate) async fn open(settings: Settings) -> anyhow::Result<Self> {
        let store = ready_store(&settings).await?;
        let queue = Queue::connect(&settings.queue_url).await?;
        Ok(Self {
            settings,
            store,
            queue,
        })
    }

    /// Serves the API until `stopping`, then lets go of its clients in an orderly way.
    pub(crate) async fn serve(
        &self,
        listener: TcpListener,
        stopping: CancellationToken,
    ) -> anyhow::Result<()> {
        let context = lockstep_server::Context {
            store: self.store.clone(),
            queue: self.queue.clone(),
            sealer: keys::sealer(&self.settings)?,
            languages: self
                .settings
                .languages
                .iter()
                .map(|tag| language(tag))
                .collect(),
            version: version::VERSION.to_owned(),
            revision: version::REVISION.map(ToOwned::to_owned),
        };
        let context = Arc::new(context);
        let authenticator = TokenAuthenticator::new(self.store.clone(), self.jwt()?)?;
        let limits = FrontLimits {
            connections: files::connections(self.settings.max_connections),
            ..FrontLimits::default()
        };
        let options = TransportOptions {
            allowed_origins: self.settings.allowed_origins.clone(),
            // A quarter of the connections stays for requests.
            max_streams: (limits.connections - limits.connections / 4).max(1),
            max_streams_per_caller: self.settings.max_streams_per_user,
            clock: self.store.clock(),
            ..TransportOptions::default()
        };
        let streams = options.streams.clone();
        let router = lockstep_server::router(
            Arc::clone(&context),
            Arc::new(authenticator),
            options,
            stopping.clone(),
        );
        let address = listener.local_addr().context("the address of the server")?;
        let health = self.health(context, stopping.clone()).await?;
        info!(%address, connections = limits.connections, "Serving GraphQL at http://{address}/graphql");
        let served = front::serve(listener, router, limits, stopping);
        tokio::join!(served, health);
        streams.close();
        streams.wait().await;
        Ok(())
    }

    /// Serves `/healthz` and `/readyz` at an address of their own, if there is one.
    async fn health(
        &self,
        context: Arc<lockstep_server::Context>,
        stopping: CancellationToken,
    ) -> anyhow::Result<impl Future<Output = ()>> {
        let listener = match self.settings.health_listen {
            Some(address) => Some(listen(address, "--health-listen").await?),
            None => None,
        };
        let limits = FrontLimits {
            connections: HEALTH_CONNECTIONS,
            ..FrontLimits::default()
        };
        Ok(async move {
            if let Some(listener) = listener {
                let router = lockstep_server::health_router(context);
                front::serve(listener, router, limits, stopping).await;
            }
        })
    }

    /// Makes a worker.
    pub(crate) fn worker(
        &self,
        provider: Provider,
        stopping: CancellationToken,
    ) -> anyhow::Result<Worker> {
        let name = format!(
            "{}-{}-{}",
            host(),
            std::process::id(),
            self.store.fresh_id()
        );
        Ok(Worker::new(
            self.store.clone(),
            self.queue.bus(),
            keys::opener(&self.settings)?,
            provider,
            Timing::of_lease(self.settings.lease),
            &name,
            stopping,
        ))
    }

    /// Works on runs and tests, and schedules, until `stopping`.
    pub(crate) async fn work(
        &self,
        worker: Worker,
        stopping: CancellationToken,
    ) -> anyhow::Result<()> {
        let timing = Timing::of_lease(self.settings.lease);
        let options = WorkOptions {
            name: host(),
            run_concurrency: self.settings.run_concurrency,
            test_concurrency: TEST_CONCURRENCY,
            poll: POLL,
            heartbeat: HEARTBEAT,
            grace: GRACE,
        };
        let schedule = scheduler::schedule(
            self.store.clone(),
            self.queue.clone(),
            timing,
            stopping.clone(),
        );
        let work = lockstep_queue::work(&self.queue, Arc::new(worker), options, stopping);
        let (worked, ()) = tokio::join!(work, schedule);
        worked.context("the workers ended by themselves")
    }

    /// How Microsoft is reached.
    pub(crate) fn provider(&self) -> Provider {
        Provider {
            graph_url: self.settings.graph_url.clone(),
            login_url: self.settings.login_url.clone(),
            options: ClientOptions::default(),
        }
    }

    /// How tokens are checked.
    pub(crate) fn jwt(&self) -> anyhow::Result<JwtSettings> {
        let jwt = &self.settings.jwt;
        let key = match &jwt.source {
            Some(JwtSource::Secret(secret)) => JwtKey::Secret(secret.clone()),
            Some(JwtSource::PublicPem(pem)) => JwtKey::PublicPem(pem.clone()),
            Some(JwtSource::JwksUrl(url)) => JwtKey::Jwks(Arc::new(HttpJwks::new(url.clone())?)),
            None => JwtKey::Secret(keys::token_secret(&self.settings)?),
        };
        Ok(JwtSettings {
            issuers: jwt.issuers.clone(),
            audiences: jwt.audiences.clone(),
            key,
            people: jwt.people.clone(),
            staff_claim: jwt.staff_claim.clone(),
        })
    }

    /// Makes a token, when tokens are signed with a secret that is at hand.
    pub(crate) fn token(
        &self,
        claims: impl FnOnce(chrono::DateTime<chrono::Utc>) -> Claims,
        hours: u32,
    ) -> anyhow::Result<String> {
        let expires_at = self.store.now() + TimeDelta::hours(i64::from(hours));
        mint(&self.jwt()?, &claims(expires_at))
            .context("tokens can be made only where they are signed with a secret (LOCKSTEP_JWT_SECRET, or a local database)")
    }
}

/// The name of this machine, for the log.
fn host() -> String {
    std::env::var("HOSTNAME").unwrap_or_else(|_| "worker".to_owned())
}

/// A language with its own name; one we have no name for is shown by its tag.
fn language(tag: &str) -> Language {
    let name = match tag.split('-').next().unwrap_or(tag) {
        "de" => "Deutsch",
        "en" => "English",
        "es" => "Español",
        "fr" => "Français",
        "it" => "Italiano",
        "nl" => "Nederlands",
        "pl" => "Polski",
        "pt" => "Português",
        _ => tag,
    };
    Language {
        tag: tag.to_owned(),
        name: name.to_owned(),
    }
}

/// Connects to the database. A file is brought up to date; a server is only looked at.
pub(crate) async fn ready_store(settings: &Settings) -> anyhow::Result<Store> {
    let store = open_store(settings).await?;
    if store.is_sqlite() {
        store.migrate().await?;
    } else if !store.is_migrated().await? {
        bail!("the database is not up to date; run `lockstep migrate` first");
    }
    Ok(store)
}

/// Connects to the database. A file that is not there is made, for its owner alone: it holds personal data.
pub(crate) async fn open_store(settings: &Settings) -> anyhow::Result<Store> {
    if let Some(file) = settings.file() {
        make_private(&file)?;
    }
    Ok(Store::connect(settings.database_url()).await?)
}

/// Makes an empty file with its folder. What SQLite puts beside it is as private as the file.
fn make_private(file: &Path) -> anyhow::Result<()> {
    refuse_folder(file)?;
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(|| {
            format!(
                "LOCKSTEP_DATABASE_URL: cannot make the folder {}",
                folder.display()
            )
        })?;
    }
    match keys::create_private(file) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            if let Some(others) = others_may(file) {
                warn!(file = %file.display(), "Others may {others} the database; chmod 600 keeps it to its owner");
            }
            Ok(())
        }
        made => made.map(drop).with_context(|| {
            format!(
                "LOCKSTEP_DATABASE_URL: cannot make the file {}",
                file.display()
            )
        }),
    }
}

/// Refuses a folder in place of the database's file.
pub(crate) fn refuse_folder(file: &Path) -> anyhow::Result<()> {
    if file.is_dir() {
        bail!(
            "LOCKSTEP_DATABASE_URL: {} is a folder; name a file in it",
            file.display()
        );
    }
    Ok(())
}

/// What others than its owner may do with a file, none when nothing or when there is no such file.
pub(crate) fn others_may(file: &Path) -> Option<&'static str> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(file).ok()?.permissions().mode();
        match (mode & 0o044 != 0, mode & 0o022 != 0) {
            (_, true) => Some("write"),
            (true, false) => Some("read"),
            (false, false) => None,
        }
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        None
    }
}

/// Takes an address, or says that it is in use and how to choose another.
pub(crate) async fn listen(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => anyhow::anyhow!(
                "{address} is in use by another program; choose another address with {flag}"
            ),
            _ => anyhow::Error::new(error).context(format!(
                "cannot listen on {address}; choose another address with {flag}"
            )),
        })
}
