//! Leases: who works on a run, and how every write proves it.
//!
//! A claim raises the fence of the run. Whatever a worker writes begins with an update of the run row that names its
//! fence: if another worker has claimed the run since, or it was ended from outside, nothing is updated, and the
//! transaction is thrown away ([`crate::run_tx`]). So a worker that was thought dead and wakes up again can do no harm.

use chrono::{DateTime, Duration, Utc};
use lockstep_domain::{IntegrationId, OrganizationId, RunId, RunPhase, RunState};
use lockstep_entity::run;
use sea_orm::sea_query::{Expr, LockBehavior, LockType};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, DbBackend, EntityTrait as _, ExprTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, Statement,
};

use crate::run::{Run, found};
use crate::run_tx::held_by;
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
    /// How long it lasts from each renewal on.
    pub duration: Duration,
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
    /// Claims a run that waits, or whose worker gave no sign of life. None when there is nothing to do, or when someone
    /// else is at it: a run that is locked is being written to, so its worker is alive.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn claim_run(
        &self,
        id: RunId,
        owner: &str,
        duration: Duration,
    ) -> Result<Option<(Run, Lease)>, StoreError> {
        let operation = "claim a run";
        // Most wake-ups are late or doubled. None of those is to wait for whoever writes.
        let found = run::Entity::find_by_id(id.0).one(self.db()).await;
        let now = self.lease_now(self.db()).await?;
        if !found
            .map_err(StoreError::of(operation))?
            .is_some_and(|row| is_free(&row, now))
        {
            return Ok(None);
        }
        let tx = self.begin().await?;
        let mut query = run::Entity::find_by_id(id.0);
        if !self.is_sqlite() {
            query = query.lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked);
        }
        let found = query.one(&tx).await.map_err(StoreError::of(operation))?;
        // Only now: a claim that took the time from before it waited would set a lease that has run out already.
        let now = self.lease_now(&tx).await?;
        let Some(row) = found.filter(|row| is_free(row, now)) else {
            return Ok(None);
        };
        let row = self.take_up(&tx, row, owner, now + duration).await?;
        tx.commit().await.map_err(StoreError::of(operation))?;
        let lease = Lease {
            run_id: id,
            integration_id: row.integration_id.into(),
            organization_id: row.organization_id.into(),
            fence: row.fence,
            duration,
        };
        Ok(Some((Run::read(row)?, lease)))
    }

    /// Makes a run that was locked a worker's own.
    async fn take_up(
        &self,
        tx: &Tx,
        row: run::Model,
        owner: &str,
        until: DateTime<Utc>,
    ) -> Result<run::Model, StoreError> {
        let rows = run::Entity::update_many()
            .col_expr(run::Column::State, RunState::Running.as_str().into())
            .col_expr(
                run::Column::StartedAt,
                Some(row.started_at.unwrap_or_else(|| self.now())).into(),
            )
            .col_expr(run::Column::LeaseUntil, until.into())
            .col_expr(run::Column::LeaseOwner, owner.into())
            .col_expr(run::Column::Fence, (row.fence + 1).into())
            .col_expr(run::Column::Attempt, (row.attempt + 1).into())
            .col_expr(run::Column::Sequence, (row.sequence + 1).into())
            .col_expr(run::Column::UpdatedAt, self.now().into())
            .filter(run::Column::Id.eq(row.id))
            .exec_with_returning(tx)
            .await
            .map_err(StoreError::of("claim a run"))?;
        found(rows.into_iter().next(), "claim a run")
    }

    /// Says that the worker is alive.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn renew_lease(&self, lease: &Lease) -> Result<Renewed, StoreError> {
        let operation = "renew a lease";
        let tx = self.begin().await?;
        let update =
            run::Entity::update_many().col_expr(run::Column::LeaseUntil, self.end_of_lease(lease));
        let rows = held_by(update, lease)
            .exec_with_returning(&tx)
            .await
            .map_err(StoreError::of(operation))?;
        tx.commit().await.map_err(StoreError::of(operation))?;
        Ok(match rows.first() {
            None => Renewed::Lost,
            Some(row) if row.cancel_requested_at.is_some() => Renewed::CancelRequested,
            Some(_) => Renewed::Held,
        })
    }

    /// When a lease that is renewed now ends. On PostgreSQL the clock is read when the row is locked, not before.
    pub(crate) fn end_of_lease(&self, lease: &Lease) -> Expr {
        if self.has_shared_clock() {
            let span = lease.duration.num_milliseconds();
            return Expr::cust(format!(
                "clock_timestamp() + interval '{span} milliseconds'"
            ));
        }
        Expr::val(self.now() + lease.duration)
    }

    /// The time that leases are told by: the database's in production, so that machines agree.
    ///
    /// # Errors
    /// When the database does not answer.
    pub(crate) async fn lease_now(
        &self,
        db: &impl ConnectionTrait,
    ) -> Result<DateTime<Utc>, StoreError> {
        if !self.has_shared_clock() {
            return Ok(self.now());
        }
        let operation = "read the clock";
        let statement =
            Statement::from_string(DbBackend::Postgres, "SELECT clock_timestamp() AS now");
        let row = db.query_one_raw(statement).await;
        let row = found(row.map_err(StoreError::of(operation))?, operation)?;
        row.try_get("", "now").map_err(StoreError::of(operation))
    }

    /// Gives a run back unfinished, so that another worker takes it up at once. Does not count as a crash.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn release_run(&self, lease: &Lease) -> Result<(), StoreError> {
        let none: Option<DateTime<Utc>> = None;
        let tx = self.begin().await?;
        let update = run::Entity::update_many()
            .col_expr(run::Column::LeaseUntil, none.into())
            .col_expr(run::Column::Attempt, Expr::col(run::Column::Attempt).sub(1));
        held_by(update, lease)
            .exec(&tx)
            .await
            .map_err(StoreError::of("give a run back"))?;
        tx.commit().await.map_err(StoreError::of("give a run back"))
    }

    /// Returns the runs that waited for `silent_for` without being taken up, and those whose worker fell silent.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn runs_to_wake(&self, silent_for: Duration) -> Result<Vec<RunId>, StoreError> {
        let now = self.lease_now(self.db()).await?;
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
}

/// Whether a run can be claimed: it waits and its time has come, or its worker fell silent.
fn is_free(row: &run::Model, now: DateTime<Utc>) -> bool {
    if row.state == RunState::Queued.as_str() {
        return row.not_before.is_none_or(|at| at <= now);
    }
    row.state == RunState::Running.as_str() && row.lease_until.is_none_or(|until| until < now)
}
