//! Asking for a run, and asking it to stop.

use chrono::{DateTime, Utc};
use lockstep_domain::{
    Actor, IntegrationId, RunCost, RunId, RunKind, RunPhase, RunStage, RunState, RunSummary,
    RunTriggerKind, RunWarning,
};
use lockstep_entity::{integration, run};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, EntityTrait as _, ExprTrait as _,
    QueryFilter as _,
};

use crate::column::to_json;
use crate::run::{ACTIVE, Run, found};
use crate::{Store, StoreError, Tx};

/// A run that is wanted.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// What it is for.
    pub kind: RunKind,
    /// What starts it.
    pub trigger: RunTriggerKind,
    /// Who starts it.
    pub by: Option<Actor>,
    /// Whether the whole directory is to be read.
    pub full: bool,
    /// The slot it stands for.
    pub slot_at: Option<DateTime<Utc>>,
}

/// What became of a wish for a run (D-53).
#[derive(Debug, Clone, PartialEq)]
pub enum Requested {
    /// It is queued; wake a worker after the transaction.
    Queued(Box<Run>),
    /// Another one is queued or running already.
    Busy(Box<Run>),
}

impl Requested {
    /// The run, new or old.
    #[must_use]
    pub fn run(&self) -> &Run {
        match self {
            Self::Queued(run) | Self::Busy(run) => run,
        }
    }
}

impl Store {
    /// Queues a run, or says which one is in the way. A preview is in nobody's way: a real run cancels it. The caller has
    /// locked the integration ([`Store::lock_integration`]).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn request_run(
        &self,
        tx: &Tx,
        integration: &integration::Model,
        new: &NewRun,
    ) -> Result<Requested, StoreError> {
        if new.kind != RunKind::Preview {
            self.cancel_preview(tx, integration.id.into()).await?;
        }
        // Looked at before it is inserted: that would wait until the transaction of the run in the way has ended, and no
        // other run can come between, as the integration is locked.
        if let Some(run) = self.active_run(tx, integration.id.into()).await? {
            return Ok(Requested::Busy(Box::new(run)));
        }
        // The winner of the slot can end before it is read: then the slot is free again.
        for _ in 0..3 {
            let id = self.fresh_id();
            let row = self.new_run(id, integration, new);
            let conflict = OnConflict::new().do_nothing().to_owned();
            let insert = run::Entity::insert(row)
                .on_conflict(conflict)
                .exec_without_returning(tx);
            if insert.await.map_err(StoreError::of("queue a run"))? > 0 {
                let row = run::Entity::find_by_id(id)
                    .one(tx)
                    .await
                    .map_err(StoreError::of("queue a run"))?;
                return Ok(Requested::Queued(Box::new(Run::read(found(
                    row,
                    "queue a run",
                )?)?)));
            }
            if let Some(run) = self.active_run(tx, integration.id.into()).await? {
                return Ok(Requested::Busy(Box::new(run)));
            }
            if let Some(run) = self
                .run_of_slot(tx, integration.id.into(), new.slot_at)
                .await?
            {
                return Ok(Requested::Busy(Box::new(run)));
            }
        }
        Err(StoreError::of("queue a run")(
            sea_orm::DbErr::RecordNotInserted,
        ))
    }

    fn new_run(
        &self,
        id: uuid::Uuid,
        integration: &integration::Model,
        new: &NewRun,
    ) -> run::ActiveModel {
        let now = self.now();
        run::ActiveModel {
            id: Set(id),
            organization_id: Set(integration.organization_id),
            integration_id: Set(integration.id),
            kind: Set(new.kind.as_str().into()),
            state: Set(RunState::Queued.as_str().into()),
            trigger_kind: Set(new.trigger.as_str().into()),
            triggered_by: Set(new.by.as_ref().map(to_json)),
            triggered_at: Set(now),
            slot_at: Set(new.slot_at),
            started_at: Set(None),
            finished_at: Set(None),
            full_requested: Set(new.full),
            read_mode: Set(None),
            rules_version: Set(integration.rules_version),
            stage: Set(RunStage::Read.as_str().into()),
            phase: Set(RunPhase::Queued.as_str().into()),
            processed: Set(0),
            total: Set(None),
            percent: Set(Some(0)),
            sequence: Set(1),
            change_count: Set(0),
            unchanged: Set(0),
            incomplete: Set(0),
            attempt: Set(0),
            not_before: Set(None),
            lease_until: Set(None),
            lease_owner: Set(None),
            fence: Set(0),
            summary: Set(to_json(&RunSummary::default())),
            cost: Set(to_json(&RunCost::default())),
            warnings: Set(to_json(&Vec::<RunWarning>::new())),
            error: Set(None),
            missed_by_delta: Set(None),
            hold_id: Set(None),
            plan_hash: Set(None),
            cancel_requested_at: Set(None),
            cancel_requested_by: Set(None),
            updated_at: Set(now),
        }
    }

    /// Ends whatever run of an integration is going on; the raised fence stops its worker.
    pub(crate) async fn cancel_active_run(
        &self,
        tx: &Tx,
        id: IntegrationId,
    ) -> Result<(), StoreError> {
        let active = Condition::all()
            .add(run::Column::IntegrationId.eq(id.0))
            .add(run::Column::State.is_in(ACTIVE));
        self.end_at_once(tx, active).await
    }

    /// Ends a preview that is going on: it applies nothing, so nothing is lost. The raised fence stops its worker.
    async fn cancel_preview(&self, tx: &Tx, integration: IntegrationId) -> Result<(), StoreError> {
        let preview = Condition::all()
            .add(run::Column::IntegrationId.eq(integration.0))
            .add(run::Column::Kind.eq(RunKind::Preview.as_str()))
            .add(run::Column::State.is_in(ACTIVE));
        self.end_at_once(tx, preview).await
    }

    /// Cancels what nobody works on, or what may be stopped anywhere.
    async fn end_at_once(&self, tx: &Tx, which: Condition) -> Result<(), StoreError> {
        let now = self.now();
        run::Entity::update_many()
            .col_expr(run::Column::State, RunState::Canceled.as_str().into())
            .col_expr(run::Column::Phase, RunPhase::Finished.as_str().into())
            .col_expr(run::Column::Percent, 100.into())
            .col_expr(run::Column::FinishedAt, now.into())
            .col_expr(run::Column::UpdatedAt, now.into())
            .col_expr(
                run::Column::LeaseUntil,
                Option::<DateTime<Utc>>::None.into(),
            )
            .col_expr(run::Column::Fence, Expr::col(run::Column::Fence).add(1))
            .col_expr(
                run::Column::Sequence,
                Expr::col(run::Column::Sequence).add(1),
            )
            .filter(which)
            .exec(tx)
            .await
            .map_err(StoreError::of("cancel a run"))?;
        Ok(())
    }

    /// Asks a run to stop: one that waits ends at once, one that is going on at its next safe point (D-55, D-63).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn cancel_run(&self, tx: &Tx, id: RunId, by: &Actor) -> Result<(), StoreError> {
        let now = self.now();
        run::Entity::update_many()
            .col_expr(run::Column::CancelRequestedAt, now.into())
            .col_expr(run::Column::CancelRequestedBy, to_json(by).into())
            .filter(run::Column::Id.eq(id.0))
            .filter(run::Column::State.is_in(ACTIVE))
            .filter(run::Column::CancelRequestedAt.is_null())
            .exec(tx)
            .await
            .map_err(StoreError::of("cancel a run"))?;
        let waiting = Condition::all()
            .add(run::Column::Id.eq(id.0))
            .add(run::Column::State.eq(RunState::Queued.as_str()));
        self.end_at_once(tx, waiting).await
    }

    async fn run_of_slot(
        &self,
        tx: &Tx,
        integration: IntegrationId,
        slot: Option<DateTime<Utc>>,
    ) -> Result<Option<Run>, StoreError> {
        let Some(slot) = slot else { return Ok(None) };
        let row = run::Entity::of_integration(integration.0)
            .filter(run::Column::SlotAt.eq(slot))
            .one(tx);
        row.await
            .map_err(StoreError::of("read a run"))?
            .map(Run::read)
            .transpose()
    }
}
