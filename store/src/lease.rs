//! Leases: who works on a run, and how every write proves it.
//!
//! A claim raises the fence of the run. Whatever a worker writes begins with an update of the run row that names its
//! fence: if another worker has claimed the run since, or it was ended from outside, nothing is updated, and the
//! transaction is thrown away. So a worker that was thought dead and wakes up again can do no harm.

use chrono::Duration;
use lockstep_domain::{IntegrationId, OrganizationId, RunId, RunPhase, RunState};
use lockstep_entity::run;
use sea_orm::sea_query::{CaseStatement, Expr};
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, ExprTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, UpdateMany,
};

use crate::run::Run;
use crate::{Store, StoreError, Tx};

/// Runs that are waked up in one round of the scheduler.
const MAX_WAKE_UPS: u64 = 500;

/// The right to write for a run, as long as nobody has claimed it since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The run.
    pub run_id: RunId,
    /// Its integration.
    pub integration_id: IntegrationId,
    /// Its organization.
    pub organization_id: OrganizationId,
    /// Number of the claim.
    pub fence: i64,
}

/// What a renewal found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewed {
    /// The run is still the worker's.
    Held,
    /// It is, and someone asked it to stop.
    CancelRequested,
    /// It is not.
    Lost,
}

/// How far a run has come with a transaction.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// What it is doing.
    pub phase: RunPhase,
    /// Objects handled in this phase.
    pub processed: u64,
    /// Objects to handle in this phase.
    pub total: Option<u64>,
}

impl Store {
    /// Claims a run that waits, or whose worker gave no sign of life. None when there is nothing to do.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn claim_run(
        &self,
        id: RunId,
        owner: &str,
        duration: Duration,
    ) -> Result<Option<(Run, Lease)>, StoreError> {
        let now = self.lease_now().await?;
        let waits = Condition::all()
            .add(run::Column::State.eq(RunState::Queued.as_str()))
            .add(
                Condition::any()
                    .add(run::Column::NotBefore.is_null())
                    .add(run::Column::NotBefore.lte(now)),
            );
        let abandoned = Condition::all()
            .add(run::Column::State.eq(RunState::Running.as_str()))
            .add(
                Condition::any()
                    .add(run::Column::LeaseUntil.is_null())
                    .add(run::Column::LeaseUntil.lt(now)),
            );
        let started = CaseStatement::new()
            .case(run::Column::StartedAt.is_null(), Expr::val(self.now()))
            .finally(Expr::col(run::Column::StartedAt));
        let rows = run::Entity::update_many()
            .col_expr(run::Column::State, RunState::Running.as_str().into())
            .col_expr(run::Column::StartedAt, started.into())
            .col_expr(run::Column::LeaseUntil, (now + duration).into())
            .col_expr(run::Column::LeaseOwner, owner.into())
            .col_expr(run::Column::Fence, Expr::col(run::Column::Fence).add(1))
            .col_expr(run::Column::Attempt, Expr::col(run::Column::Attempt).add(1))
            .col_expr(
                run::Column::Sequence,
                Expr::col(run::Column::Sequence).add(1),
            )
            .col_expr(run::Column::UpdatedAt, self.now().into())
            .filter(run::Column::Id.eq(id.0))
            .filter(Condition::any().add(waits).add(abandoned))
            .exec_with_returning(self.db())
            .await
            .map_err(StoreError::of("claim a run"))?;
        let Some(row) = rows.into_iter().next() else {
            return Ok(None);
        };
        let lease = Lease {
            run_id: id,
            integration_id: row.integration_id.into(),
            organization_id: row.organization_id.into(),
            fence: row.fence,
        };
        Ok(Some((Run::read(row)?, lease)))
    }

    /// Says that the worker is alive.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn renew_lease(
        &self,
        lease: &Lease,
        duration: Duration,
    ) -> Result<Renewed, StoreError> {
        let until = self.lease_now().await? + duration;
        let update = run::Entity::update_many().col_expr(run::Column::LeaseUntil, until.into());
        let rows = held_by(update, lease)
            .exec_with_returning(self.db())
            .await
            .map_err(StoreError::of("renew a lease"))?;
        Ok(match rows.first() {
            None => Renewed::Lost,
            Some(row) if row.cancel_requested_at.is_some() => Renewed::CancelRequested,
            Some(_) => Renewed::Held,
        })
    }

    /// Gives a run back unfinished, so that another worker takes it up at once. Does not count as a crash.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn release_run(&self, lease: &Lease) -> Result<(), StoreError> {
        let none: Option<chrono::DateTime<chrono::Utc>> = None;
        let update = run::Entity::update_many()
            .col_expr(run::Column::LeaseUntil, none.into())
            .col_expr(run::Column::Attempt, Expr::col(run::Column::Attempt).sub(1));
        held_by(update, lease)
            .exec(self.db())
            .await
            .map_err(StoreError::of("give a run back"))?;
        Ok(())
    }

    /// Returns the runs that waited for `silent_for` without being taken up, and those whose worker fell silent.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn runs_to_wake(&self, silent_for: Duration) -> Result<Vec<RunId>, StoreError> {
        let now = self.lease_now().await?;
        let due = Condition::any()
            .add(run::Column::NotBefore.is_null())
            .add(run::Column::NotBefore.lte(now));
        let waits = Condition::all()
            .add(run::Column::State.eq(RunState::Queued.as_str()))
            .add(run::Column::TriggeredAt.lte(self.now() - silent_for))
            .add(due);
        let abandoned = Condition::all()
            .add(run::Column::State.eq(RunState::Running.as_str()))
            .add(
                Condition::any()
                    .add(run::Column::LeaseUntil.is_null())
                    .add(run::Column::LeaseUntil.lt(now)),
            );
        let ids: Vec<uuid::Uuid> = run::Entity::find()
            .select_only()
            .column(run::Column::Id)
            .filter(run::Column::FinishedAt.is_null())
            .filter(Condition::any().add(waits).add(abandoned))
            .order_by_asc(run::Column::TriggeredAt)
            .limit(MAX_WAKE_UPS)
            .into_tuple()
            .all(self.db())
            .await
            .map_err(StoreError::of("look for runs that wait"))?;
        Ok(ids.into_iter().map(RunId).collect())
    }

    /// Proves the lease and reports progress, as the first statement of a transaction.
    ///
    /// `events` is how many entries of the change log are told to subscribers with this transaction: they get the
    /// numbers before the new sequence. `more` sets what else changes on the run row.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] when the run is no longer the worker's.
    pub(crate) async fn advance(
        &self,
        tx: &Tx,
        lease: &Lease,
        step: Step,
        events: i64,
        more: impl FnOnce(UpdateMany<run::Entity>) -> UpdateMany<run::Entity>,
    ) -> Result<run::Model, StoreError> {
        let percent = step
            .phase
            .percent(step.processed, step.total)
            .map(i32::from);
        let rising = CaseStatement::new()
            .case(
                Expr::col(run::Column::Percent).lt(percent.unwrap_or_default()),
                percent.unwrap_or_default(),
            )
            .finally(Expr::col(run::Column::Percent));
        let update = run::Entity::update_many()
            .col_expr(run::Column::Phase, step.phase.as_str().into())
            .col_expr(
                run::Column::Processed,
                crate::column::signed(step.processed).into(),
            )
            .col_expr(
                run::Column::Total,
                step.total.map(crate::column::signed).into(),
            )
            .col_expr(run::Column::Percent, rising.into())
            .col_expr(
                run::Column::Sequence,
                Expr::col(run::Column::Sequence).add(events + 1),
            )
            .col_expr(run::Column::UpdatedAt, self.now().into());
        let rows = held_by(more(update), lease)
            .exec_with_returning(tx)
            .await
            .map_err(StoreError::of("report progress"))?;
        rows.into_iter().next().ok_or(StoreError::LeaseLost)
    }

    /// Reports progress by itself.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] when the run is no longer the worker's.
    pub async fn report(&self, lease: &Lease, step: Step) -> Result<Run, StoreError> {
        let tx = self.begin().await?;
        let row = self.advance(&tx, lease, step, 0, |update| update).await?;
        tx.commit()
            .await
            .map_err(StoreError::of("report progress"))?;
        Run::read(row)
    }
}

fn held_by(update: UpdateMany<run::Entity>, lease: &Lease) -> UpdateMany<run::Entity> {
    update
        .filter(run::Column::Id.eq(lease.run_id.0))
        .filter(run::Column::Fence.eq(lease.fence))
        .filter(run::Column::State.eq(RunState::Running.as_str()))
}
