//! What follows a commit: a worker is woken, and whoever watches is told.
//!
//! Both may fail or get lost: the scheduler sends wake-ups again, and readers look at the rows again.

use lockstep_domain::{IntegrationId, OrganizationId, RunId, TestId};
use lockstep_queue::Signal;
use lockstep_store::run::Run;
use tracing::{info, warn};

use crate::Context;
use crate::error::chain;

/// Tells of a run that was queued, and wakes a worker for it.
pub(crate) async fn run_queued(app: &Context, run: &Run) {
    info!(run.id = %run.id, integration.id = %run.integration_id, "Run was asked for");
    if let Err(error) = app.queue.wake_run(run.id).await {
        warn!(run.id = %run.id, error = %chain(&error), "No worker could be woken; the scheduler will");
    }
    app.queue.bus().publish(&signal_of(run)).await;
}

/// Tells that a run has changed.
pub(crate) async fn run_changed(app: &Context, organization: OrganizationId, id: RunId) {
    match app.store.run(organization, id).await {
        Ok(Some(run)) => app.queue.bus().publish(&signal_of(&run)).await,
        Ok(None) => {}
        Err(error) => {
            warn!(run.id = %id, error = %chain(&error), "Nobody was told of the change of a run")
        }
    }
}

/// Wakes a worker for a test.
pub(crate) async fn wake_test(app: &Context, id: TestId) {
    if let Err(error) = app.queue.wake_test(id).await {
        warn!(test.id = %id, error = %chain(&error), "No worker could be woken; the scheduler will");
    }
}

/// Tells that an integration has changed.
pub(crate) async fn integration_changed(
    app: &Context,
    organization_id: OrganizationId,
    integration_id: IntegrationId,
) {
    app.queue
        .bus()
        .publish(&Signal::Integration {
            organization_id,
            integration_id,
        })
        .await;
}

fn signal_of(run: &Run) -> Signal {
    let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    Signal::Run {
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
    }
}
