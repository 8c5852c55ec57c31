//! Finish: exactly one end state for every run, with its counters, and what follows for the integration.

use chrono::{DateTime, Utc};
use lockstep_domain::{
    IntegrationState, RunCost, RunError, RunKind, RunPhase, RunState, RunSummary, RunWarning,
};
use lockstep_entity::{integration, run};
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};

use crate::column::to_json;
use crate::integration::Integration;
use crate::lease::{Renewed, Step};
use crate::run::Run;
use crate::run_tx::{advance, progress};
use crate::{Lease, Store, StoreError, Tx};

/// How a run ended.
#[derive(Debug, Clone)]
pub struct End {
    /// What stopped it, none when nothing did.
    pub error: Option<RunError>,
    /// Whether it was stopped on request.
    pub canceled: bool,
    /// Problems that did not stop it.
    pub warnings: Vec<RunWarning>,
    /// What it cost.
    pub cost: RunCost,
}

impl End {
    fn state(&self, summary: &RunSummary) -> RunState {
        match self {
            _ if self.error.is_some() => RunState::Failed,
            _ if self.canceled => RunState::Canceled,
            _ if summary.needs_attention() || !self.warnings.is_empty() => {
                RunState::SucceededWithWarnings
            }
            _ => RunState::Succeeded,
        }
    }
}

impl Store {
    /// Ends a run. Its counters are what its change log says; the integration pauses, or goes on.
    ///
    /// # Errors
    /// When the database fails or the lease is lost.
    pub async fn finish_run(&self, lease: &Lease, end: &End) -> Result<Run, StoreError> {
        let operation = "end a run";
        // Whatever this worker wrote last is there now, or never will be.
        if self.renew_lease(lease).await? == Renewed::Lost {
            return Err(StoreError::LeaseLost);
        }
        // Counted before anything is locked: a plan is long, and mutations wait for the integration.
        let summary = self.summarize(lease.run_id).await?;
        let tx = self.begin().await?;
        // The integration first, as every mutation does: in the other order the two could wait for each other.
        let integration = self
            .lock_integration(&tx, lease.organization_id, lease.integration_id)
            .await?;
        let step = Step {
            phase: RunPhase::Finished,
            processed: 0,
            total: None,
        };
        let state = end.state(&summary);
        let ended = progress(self, step, 0)
            .col_expr(run::Column::State, state.as_str().into())
            .col_expr(run::Column::FinishedAt, self.now().into())
            .col_expr(
                run::Column::LeaseUntil,
                Option::<DateTime<Utc>>::None.into(),
            )
            .col_expr(run::Column::Summary, to_json(&summary).into())
            .col_expr(run::Column::Cost, to_json(&end.cost).into())
            .col_expr(run::Column::Warnings, to_json(&end.warnings).into())
            .col_expr(run::Column::Error, end.error.as_ref().map(to_json).into());
        let run = Run::read(advance(&tx, lease, ended).await?)?;
        if run.kind == RunKind::Sync {
            self.follow_up(&tx, &run, integration.map(|(integration, _)| integration))
                .await?;
        }
        tx.commit().await.map_err(StoreError::of(operation))?;
        Ok(run)
    }

    /// D-60: a failed run pauses the schedule, a success ends the pause. One that was stopped changes nothing.
    async fn follow_up(
        &self,
        tx: &Tx,
        run: &Run,
        integration: Option<Integration>,
    ) -> Result<(), StoreError> {
        let Some(integration) = integration else {
            return Ok(());
        };
        let is_on = integration.state.allows_manual_runs();
        if let Some(error) = run.error.as_ref().filter(|_| is_on) {
            return self.pause(tx, &integration, run.id, error).await;
        }
        if !run.state.is_success() {
            return Ok(());
        }
        if integration.state == IntegrationState::Paused {
            self.resume(tx, &integration).await?;
        }
        let as_of = run.started_at.unwrap_or(run.triggered_at);
        integration::Entity::update_many()
            .col_expr(integration::Column::DataAsOf, as_of.into())
            .filter(integration::Column::Id.eq(run.integration_id.0))
            .exec(tx)
            .await
            .map_err(StoreError::of("note how old the data is"))?;
        Ok(())
    }
}
