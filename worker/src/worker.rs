//! What every job needs: the database, the bus, the keys, and how to reach Microsoft.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use lockstep_domain::{RunId, TestId};
use lockstep_queue::{Bus, Handler, Signal};
use lockstep_seal::Opener;
use lockstep_store::run::Run;
use lockstep_store::{Store, StoreError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};
use uuid::Uuid;

use crate::connection::Provider;

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// How long a worker may be silent before another takes its run up.
    pub lease: Duration,
    /// How often a worker says that it is alive: several times within a lease.
    pub renewal: Duration,
    /// How long one test may take.
    pub test: Duration,
    /// How often the scheduler looks.
    pub tick: Duration,
    /// How long a run may wait unnoticed before it is sent to the queue again.
    pub silence: Duration,
}

impl Default for Timing {
    /// A run of a killed worker is taken up within a lease and a tick: 32 seconds.
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(30),
            renewal: Duration::from_secs(5),
            test: Duration::from_secs(60),
            tick: Duration::from_secs(2),
            silence: Duration::from_secs(10),
        }
    }
}

impl Timing {
    /// The default, but for another lease; it is renewed six times as often as it runs out.
    #[must_use]
    pub fn of_lease(lease: Duration) -> Self {
        Self {
            lease,
            renewal: lease / 6,
            ..Self::default()
        }
    }
}

/// Works on runs and tests.
#[derive(Clone)]
pub struct Worker {
    pub(crate) store: Store,
    pub(crate) bus: Bus,
    pub(crate) opener: Opener,
    pub(crate) provider: Provider,
    pub(crate) timing: Timing,
    pub(crate) name: Arc<str>,
    pub(crate) stopping: CancellationToken,
    trouble: watch::Sender<Option<String>>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Worker {
    /// Makes a worker. `name` must be another one at every start; `stopping` hands unfinished runs back.
    #[must_use]
    pub fn new(
        store: Store,
        bus: Bus,
        opener: Opener,
        provider: Provider,
        timing: Timing,
        name: &str,
        stopping: CancellationToken,
    ) -> Self {
        Self {
            store,
            bus,
            opener,
            provider,
            timing,
            name: name.into(),
            stopping,
            trouble: watch::Sender::default(),
        }
    }

    /// What keeps the worker from storing anything, with the remedy, as long as it has not stored anything since. Only
    /// the operator can help then: a row that says so cannot be written either.
    #[must_use]
    pub fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.trouble.subscribe()
    }

    /// Logs that something could not be stored; it is tried again later. What the operator must help with is an error.
    pub(crate) fn report(&self, what: &str, id: Uuid, error: &StoreError) {
        let cause = std::error::Error::source(error).map(ToString::to_string);
        if error.needs_operator() {
            error!(%id, error = %error, cause, "Could not {what}");
            let told =
                cause.map_or_else(|| error.to_string(), |cause| format!("{error} ({cause})"));
            self.trouble.send_replace(Some(told));
        } else {
            warn!(%id, error = %error, cause, "Could not {what}");
        }
    }

    /// Notes that something was stored.
    pub(crate) fn is_well(&self) {
        self.trouble
            .send_if_modified(|trouble| trouble.take().is_some());
    }

    /// The row was written first; this tells whoever listens.
    pub(crate) async fn tell(&self, run: &Run) {
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let signal = Signal::Run {
            organization_id: run.organization_id,
            integration_id: run.integration_id,
            run_id: run.id,
            sequence: run.sequence,
            state: run.state,
            phase: run.phase,
            processed: signed(run.processed),
            total: run.total.map(signed),
            percent: run.percent,
            at: run.updated_at,
        };
        self.bus.publish(&signal).await;
    }
}

#[async_trait]
impl Handler for Worker {
    async fn run(&self, run: RunId) {
        crate::run::work(self, run).await;
    }

    async fn test(&self, test: TestId) {
        crate::connection_test::work(self, test).await;
    }
}

/// Turns a time span of the standard library into one of chrono.
pub(crate) fn span(duration: Duration) -> chrono::Duration {
    chrono::Duration::from_std(duration).unwrap_or(chrono::Duration::MAX)
}
