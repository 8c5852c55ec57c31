//! Plans: what was decided, stored as rows of the change log before anything is done.

use lockstep_domain::{ChangeOutcome, ObjectKind, RunPhase, RunStage};
use lockstep_entity::{run, run_change};
use lockstep_sync::inbound::users::PlannedChange;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, ExprTrait as _, QueryFilter as _,
};
use uuid::Uuid;

use crate::column::{rows_per_statement, signed, to_json};
use crate::dirty::DirtyKey;
use crate::lease::Step;
use crate::run::Run;
use crate::{Lease, Store, StoreError, Tx};

/// A planned change and the mark of the dirty key it was decided on.
#[derive(Debug, Clone)]
pub struct MarkedChange {
    /// The change.
    pub change: PlannedChange,
    /// The mark.
    pub mark: Uuid,
}

/// What was decided about one chunk of dirty keys.
#[derive(Debug, Clone, Default)]
pub struct PlannedChunk {
    /// The changes, in order.
    pub changes: Vec<MarkedChange>,
    /// Keys that are done with: nothing is to be changed, or only a later cause can change that.
    pub settled: Vec<DirtyKey>,
    /// Accounts that were found right.
    pub unchanged: u64,
    /// Linked users who lack a required value in the directory.
    pub incomplete: u64,
}

impl Store {
    /// Stores what was decided about a chunk of keys, and clears those that are done with.
    ///
    /// # Errors
    /// When the database fails or the lease is lost.
    pub async fn save_plan(
        &self,
        lease: &Lease,
        step: Step,
        chunk: PlannedChunk,
    ) -> Result<Run, StoreError> {
        let tx = self.begin().await?;
        let rows = signed(chunk.changes.len() as u64);
        let row = self
            .advance(&tx, lease, step, rows, |update| {
                update
                    .col_expr(
                        run::Column::ChangeCount,
                        Expr::col(run::Column::ChangeCount).add(rows),
                    )
                    .col_expr(
                        run::Column::Unchanged,
                        Expr::col(run::Column::Unchanged).add(signed(chunk.unchanged)),
                    )
                    .col_expr(
                        run::Column::Incomplete,
                        Expr::col(run::Column::Incomplete).add(signed(chunk.incomplete)),
                    )
            })
            .await?;
        self.insert_changes(&tx, &row, chunk.changes).await?;
        self.clear_dirty(&tx, &row, &chunk.settled).await?;
        tx.commit().await.map_err(StoreError::of("save a plan"))?;
        Run::read(row)
    }

    async fn insert_changes(
        &self,
        tx: &Tx,
        row: &run::Model,
        changes: Vec<MarkedChange>,
    ) -> Result<(), StoreError> {
        let count = signed(changes.len() as u64);
        let rows: Vec<_> = (0_i64..)
            .zip(changes)
            .map(|(n, marked)| {
                let place = Place {
                    sequence: row.change_count - count + n + 1,
                    event: row.sequence - count + n,
                };
                self.write_change(row, &place, marked)
            })
            .collect();
        for chunk in rows.chunks(rows_per_statement(26)) {
            run_change::Entity::insert_many(chunk.iter().cloned())
                .exec_without_returning(tx)
                .await
                .map_err(StoreError::of("save planned changes"))?;
        }
        Ok(())
    }

    fn write_change(
        &self,
        run: &run::Model,
        place: &Place,
        marked: MarkedChange,
    ) -> run_change::ActiveModel {
        let MarkedChange { change, mark } = marked;
        let moves = change.address_move().is_some();
        // What was decided against is final at once, and told; the rest is told when it is done.
        let skipped = change.skipped.is_some();
        let outcome = if skipped {
            ChangeOutcome::Skipped
        } else {
            ChangeOutcome::Planned
        };
        let platform_id = change
            .user_id
            .map(|id| id.0)
            .or_else(|| (!skipped).then(|| self.fresh_id()));
        let reason = change.skipped;
        run_change::ActiveModel {
            id: Set(self.fresh_id()),
            run_id: Set(run.id),
            organization_id: Set(run.organization_id),
            integration_id: Set(run.integration_id),
            sequence: Set(place.sequence),
            object_kind: Set(ObjectKind::User.as_str().into()),
            action: Set(change.action.as_str().into()),
            outcome: Set(outcome.as_str().into()),
            external_id: Set(change.external_id.0),
            platform_id: Set(platform_id),
            display_name: Set(change.display_name),
            before: Set(change.before.as_ref().map(to_json)),
            after: Set(change.after.as_ref().map(to_json)),
            matched_by: Set(change.matched_by.map(|matched| matched.as_str().into())),
            moves_address: Set(moves),
            waits_for: Set(change.waits_for.map(|id| id.0)),
            component: Set(None),
            component_order: Set(None),
            needs_confirmation: Set(change.needs_confirmation),
            source_hash: Set(change.source_hash.as_str().to_owned()),
            dirty_mark: Set(Some(mark)),
            reason_code: Set(reason.as_ref().map(|reason| reason.code.as_str().into())),
            reason_message: Set(reason.as_ref().map(|reason| reason.message.clone())),
            reason_field: Set(reason.and_then(|reason| reason.field)),
            hold_category: Set(None),
            event_sequence: Set(skipped.then_some(place.event)),
            occurred_at: Set(self.now()),
        }
    }

    /// Marks the plan as complete: a worker that takes the run up from here goes on with the stored rows.
    ///
    /// # Errors
    /// When the database fails or the lease is lost.
    pub(crate) async fn complete_plan(
        &self,
        tx: &Tx,
        lease: &Lease,
        events: i64,
        hold: Option<(Uuid, String)>,
        plan_hash: Option<String>,
    ) -> Result<run::Model, StoreError> {
        let step = Step {
            phase: RunPhase::Planning,
            processed: 1,
            total: Some(1),
        };
        self.advance(tx, lease, step, events, |update| {
            update
                .col_expr(run::Column::Stage, RunStage::Apply.as_str().into())
                .col_expr(run::Column::HoldId, hold.map(|(id, _)| id).into())
                .col_expr(run::Column::PlanHash, plan_hash.into())
        })
        .await
    }
}

/// Looks for the rows of a run that are to be applied.
pub(crate) fn planned(lease: &Lease) -> sea_orm::Select<run_change::Entity> {
    run_change::Entity::of_run(lease.run_id.0)
        .filter(run_change::Column::Outcome.eq(ChangeOutcome::Planned.as_str()))
}

/// Where an entry stands in the change log, and the number of the event that tells of it.
struct Place {
    sequence: i64,
    event: i64,
}
