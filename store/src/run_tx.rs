//! Transactions of a run: each proves the lease with its first statement, and renews it.
//!
//! There is no other way to write for a run: what writes its plan, its mirror or its outcomes takes a [`RunTx`]. Each is
//! over long before the lease is, so whatever walks over a plan or a mirror does it in several of them, and can be begun
//! again after any.

use std::ops::Deref;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use lockstep_domain::RunState;
use lockstep_entity::run;
use sea_orm::sea_query::{CaseStatement, Expr};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbBackend, DbErr, EntityTrait as _, ExecResult,
    ExprTrait as _, QueryFilter as _, QueryResult, Statement, UpdateMany,
};

use crate::column::signed;
use crate::lease::Step;
use crate::run::Run;
use crate::{Lease, Store, StoreError, Tx};

/// Rows that one transaction of a run looks at or writes: a fraction of a second, where a lease lasts many.
pub(crate) const BATCH: u64 = 1_000;

/// A transaction of a run whose lease was proved: nobody can claim the run until it ends.
pub(crate) struct RunTx {
    tx: Tx,
    store: Store,
    lease: Lease,
    row: run::Model,
    renewed_at: DateTime<Utc>,
}

impl Store {
    /// Begins a transaction of a run with a report of progress.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] when the run is no longer the worker's.
    pub(crate) async fn begin_run(&self, lease: &Lease, step: Step) -> Result<RunTx, StoreError> {
        self.begin_telling(lease, step, 0).await
    }

    /// As [`Store::begin_run`], in which so many entries of the change log are told to subscribers: they get the numbers
    /// from [`RunTx::first_event`] on.
    pub(crate) async fn begin_telling(
        &self,
        lease: &Lease,
        step: Step,
        events: u64,
    ) -> Result<RunTx, StoreError> {
        let tx = self.begin().await?;
        self.prove(tx, lease, step, events, |update| update).await
    }

    /// Proves and renews the lease in a transaction that has begun. `more` sets what else changes on the row of the run.
    pub(crate) async fn prove(
        &self,
        tx: Tx,
        lease: &Lease,
        step: Step,
        events: u64,
        more: impl FnOnce(UpdateMany<run::Entity>) -> UpdateMany<run::Entity>,
    ) -> Result<RunTx, StoreError> {
        let renewed_at = self.now();
        let update = more(progress(self, step, signed(events)));
        let update = update.col_expr(run::Column::LeaseUntil, self.end_of_lease(lease));
        let row = advance(&tx, lease, update).await?;
        Ok(RunTx {
            tx,
            store: self.clone(),
            lease: lease.clone(),
            row,
            renewed_at,
        })
    }

    /// Reports progress by itself.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] when the run is no longer the worker's.
    pub async fn report(&self, lease: &Lease, step: Step) -> Result<Run, StoreError> {
        let tx = self.begin_run(lease, step).await?;
        tx.commit("report progress").await
    }
}

impl RunTx {
    /// The row of the run, as this transaction leaves it.
    pub(crate) const fn run(&self) -> &run::Model {
        &self.row
    }

    /// Number of the first of so many events that this transaction tells.
    pub(crate) fn first_event(&self, events: u64) -> i64 {
        self.row.sequence - signed(events)
    }

    /// Changes more of the row of the run.
    pub(crate) async fn set(
        &mut self,
        what: impl FnOnce(UpdateMany<run::Entity>) -> UpdateMany<run::Entity>,
    ) -> Result<(), StoreError> {
        let update = what(run::Entity::update_many());
        self.row = advance(&self.tx, &self.lease, update).await?;
        Ok(())
    }

    /// Ends the transaction; what it wrote is there. Returns the run as it is now.
    pub(crate) async fn commit(self, operation: &'static str) -> Result<Run, StoreError> {
        // One that took long says again that its worker is alive: whoever waited for it reads the lease next.
        if self.store.now() - self.renewed_at > self.lease.duration / 6 {
            let update = run::Entity::update_many().col_expr(
                run::Column::LeaseUntil,
                self.store.end_of_lease(&self.lease),
            );
            advance(&self.tx, &self.lease, update).await?;
        }
        self.tx.commit().await.map_err(StoreError::of(operation))?;
        Run::read(self.row)
    }
}

/// A report of progress, with room for so many events before its own number.
pub(crate) fn progress(store: &Store, step: Step, events: i64) -> UpdateMany<run::Entity> {
    let percent = step.phase.percent(step.processed, step.total);
    let percent = percent.map(i32::from).unwrap_or_default();
    let rising = CaseStatement::new()
        .case(Expr::col(run::Column::Percent).lt(percent), percent)
        .finally(Expr::col(run::Column::Percent));
    run::Entity::update_many()
        .col_expr(run::Column::Phase, step.phase.as_str().into())
        .col_expr(run::Column::Processed, signed(step.processed).into())
        .col_expr(run::Column::Total, step.total.map(signed).into())
        .col_expr(run::Column::Percent, rising.into())
        .col_expr(
            run::Column::Sequence,
            Expr::col(run::Column::Sequence).add(events + 1),
        )
        .col_expr(run::Column::UpdatedAt, store.now().into())
}

/// Changes the row of a run that the lease is still good for.
pub(crate) async fn advance(
    tx: &Tx,
    lease: &Lease,
    update: UpdateMany<run::Entity>,
) -> Result<run::Model, StoreError> {
    let rows = held_by(update, lease)
        .exec_with_returning(tx)
        .await
        .map_err(StoreError::of("report progress"))?;
    rows.into_iter().next().ok_or(StoreError::LeaseLost)
}

/// Restricts an update to a run that the lease is still good for.
pub(crate) fn held_by(update: UpdateMany<run::Entity>, lease: &Lease) -> UpdateMany<run::Entity> {
    update
        .filter(run::Column::Id.eq(lease.run_id.0))
        .filter(run::Column::Fence.eq(lease.fence))
        .filter(run::Column::State.eq(RunState::Running.as_str()))
}

/// What every writer shares takes a transaction of any kind.
impl Deref for RunTx {
    type Target = Tx;

    fn deref(&self) -> &Tx {
        &self.tx
    }
}

#[async_trait]
impl ConnectionTrait for RunTx {
    fn get_database_backend(&self) -> DbBackend {
        self.tx.get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.tx.execute_raw(statement).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.tx.execute_unprepared(sql).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.tx.query_one_raw(statement).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.tx.query_all_raw(statement).await
    }
}
