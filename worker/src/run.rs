//! A run: claimed, worked on while its lease is renewed, and ended exactly once.

use std::time::Duration;

use lockstep_domain::{RunCost, RunErrorCode, RunId, RunKind, RunPhase, RunStage};
use lockstep_store::finish::End;
use lockstep_store::lease::Renewed;
use lockstep_store::run::Run;
use lockstep_store::{Lease, StoreError};
use tokio::time::sleep;
use tracing::info;

use crate::Worker;
use crate::failure::{Failure, Stop};
use crate::inbound::{self, Execution};
use crate::worker::span;

/// After so many workers died over a run it is parked (D-54).
const MAX_ATTEMPTS: i32 = 3;

/// How often a run goes on after the database failed, before it is left to the lease.
const DATABASE_TRIES: u32 = 5;

/// Works on a run, if there is anything to do: a doubled or late wake-up finds nothing to claim.
pub async fn work(worker: &Worker, id: RunId) {
    let claimed = worker
        .store
        .claim_run(id, &worker.name, span(worker.timing.lease))
        .await;
    match claimed {
        Ok(Some((run, lease))) => work_claimed(worker, run, &lease).await,
        Ok(None) => {}
        Err(error) => worker.report("claim a run", id.0, &error),
    }
}

async fn work_claimed(worker: &Worker, run: Run, lease: &Lease) {
    info!(run.id = %run.id, organization.id = %run.organization_id, attempt = run.attempt, "Run is taken up");
    worker.tell(&run).await;
    let mut execution = Execution::new(worker, run, lease.clone());
    let outcome = tokio::select! {
        outcome = execute(&mut execution) => outcome,
        stop = watch(worker, lease) => Err(stop),
        () = worker.stopping.cancelled() => return hand_back(worker, lease).await,
    };
    end(worker, &execution, lease, outcome).await;
}

/// Does the work. When the database fails, the run goes on where it stands.
async fn execute(execution: &mut Execution<'_>) -> Result<(), Stop> {
    if execution.run.cancel_requested_at.is_some() {
        return Err(Stop::Canceled);
    }
    if execution.run.attempt > MAX_ATTEMPTS {
        return Err(Stop::Failed(Box::new(Failure::new(
            RunErrorCode::WorkerLost,
            "The run lost its worker three times and was given up.",
            Some("Look at the log of the workers; a run started by hand begins anew."),
        ))));
    }
    for attempt in 1.. {
        match inbound::execute(execution).await {
            Err(Stop::Store(error)) if attempt < DATABASE_TRIES => {
                execution
                    .worker
                    .report("work on a run", execution.run.id.0, &error);
                sleep(Duration::from_secs(1 << attempt)).await;
                execution.reload().await;
            }
            outcome => return outcome,
        }
    }
    Ok(())
}

/// Renews the lease; returns when the run must stop.
async fn watch(worker: &Worker, lease: &Lease) -> Stop {
    loop {
        sleep(worker.timing.renewal).await;
        match worker.store.renew_lease(lease).await {
            Ok(Renewed::Held) => {}
            Ok(Renewed::CancelRequested) => return Stop::Canceled,
            Ok(Renewed::Lost) => return Stop::Lost,
            Err(error) => worker.report("renew the lease of a run", lease.run_id.0, &error),
        }
    }
}

/// A deploy: whatever transaction was open is rolled back, and another worker takes the run up at once.
async fn hand_back(worker: &Worker, lease: &Lease) {
    match worker.store.release_run(lease).await {
        Ok(()) => info!(run.id = %lease.run_id, "Run is handed back"),
        Err(error) => worker.report("hand back a run", lease.run_id.0, &error),
    }
}

async fn end(worker: &Worker, execution: &Execution<'_>, lease: &Lease, outcome: Result<(), Stop>) {
    let (failure, canceled) = match outcome {
        Ok(()) => (None, false),
        Err(Stop::Canceled) => (None, true),
        Err(Stop::Failed(failure)) => (Some(*failure), false),
        Err(Stop::Lost) => return info!(run.id = %lease.run_id, "Run is no longer this worker's"),
        // The lease runs out, and whoever takes the run up goes on with what is stored.
        Err(Stop::Store(error)) => {
            return worker.report("go on with a run", lease.run_id.0, &error);
        }
    };
    let phase = execution.run.phase;
    let clock = worker.store.clock();
    let end = End {
        error: failure.map(|failure| failure.at(phase, &*clock)),
        canceled,
        warnings: if canceled {
            Vec::new()
        } else {
            execution.warnings().await
        },
        cost: execution.cost(),
    };
    match worker.store.finish_run(lease, &end).await {
        Ok(run) => {
            worker.is_well();
            log_end(&run);
            worker.tell(&run).await;
            worker.bus.publish(&integration_signal(&run)).await;
        }
        Err(StoreError::LeaseLost) => info!(run.id = %lease.run_id, "Run was ended from outside"),
        Err(error) => worker.report("end a run", lease.run_id.0, &error),
    }
}

fn integration_signal(run: &Run) -> lockstep_queue::Signal {
    lockstep_queue::Signal::Integration {
        organization_id: run.organization_id,
        integration_id: run.integration_id,
    }
}

fn log_end(run: &Run) {
    let users = run.summary.users;
    let error = run.error.as_ref().map(|error| error.code.as_str());
    info!(
        run.id = %run.id, organization.id = %run.organization_id, state = %run.state, kind = %run.kind, error,
        created = users.created, updated = users.updated, deactivated = users.deactivated,
        skipped = users.skipped, held = users.held, failed = users.failed, graph_requests = run.cost.graph_requests,
        "Run has ended"
    );
}

/// Whether a run still has to be read and planned.
pub(crate) fn reads(run: &Run) -> bool {
    run.stage == RunStage::Read
}

/// Whether a run only shows what it would do.
pub(crate) fn is_preview(run: &Run) -> bool {
    run.kind == RunKind::Preview
}

/// Cost of a run in the words of the domain.
pub(crate) fn cost(stats: lockstep_graph::RequestStats) -> RunCost {
    RunCost {
        graph_requests: stats.requests,
        throttled: stats.throttled,
        waited_ms: u64::try_from(stats.waited.as_millis()).unwrap_or(u64::MAX),
    }
}

/// The phase in which nothing was read yet.
pub(crate) const SIGNING_IN: RunPhase = RunPhase::Authenticating;
