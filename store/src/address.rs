//! Moves of addresses in a plan: which of them cannot be made, in which order the others are, and what is left of a change
//! whose address has to wait.

use std::collections::BTreeMap;

use lockstep_domain::{
    ChangeAction, ChangeId, ChangeOutcome, HoldCategory, RunKind, RunPhase, UserFields, UserId,
};
use lockstep_entity::{run, run_change};
use lockstep_sync::inbound::parting::{held_with, kept_by, without_address};
use lockstep_sync::ordering::{AddressMove, Fate, order};
use sea_orm::sea_query::{Expr, OnConflict, Query};
use sea_orm::{
    ActiveModelTrait as _, ActiveValue::Set, ColumnTrait as _, Condition, EntityTrait as _,
    ExprTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, UpdateMany,
};
use uuid::Uuid;

use crate::column::{from_json, from_optional_json, parse, rows_per_statement, signed, to_json};
use crate::dirty::DirtyKey;
use crate::lease::Step;
use crate::place::{STRETCH, between, has_unmade, last_place};
use crate::plan::insert_rows;
use crate::run::Run;
use crate::run_tx::RunTx;
use crate::user::users_by_id;
use crate::{Lease, Store, StoreError};

/// What a run is doing meanwhile.
const PARTING: Step = Step {
    phase: RunPhase::Planning,
    processed: 0,
    total: None,
};

/// The field whose change waits.
const FIELD: &str = "email";

/// A row of a move, and what the rest of the plan makes of it.
struct Move {
    action: ChangeAction,
    step: AddressMove,
}

/// What was made of rows whose address waits.
#[derive(Default)]
struct Parted {
    /// The rows, with nothing but the address.
    addresses: Vec<run_change::ActiveModel>,
    /// What is left to be made.
    rests: Vec<run_change::ActiveModel>,
    /// Keys of conflicts of which nothing is left to be made.
    settled: Vec<DirtyKey>,
}

impl Parted {
    const fn is_empty(&self) -> bool {
        self.rests.is_empty() && self.settled.is_empty()
    }
}

impl Store {
    /// Leaves out moves to addresses that nobody gives up, before anything is counted: whoever has one cannot have
    /// another, or is not asked to move at all.
    pub(crate) async fn leave_unobtainable(&self, lease: &Lease) -> Result<(), StoreError> {
        let moves = self.address_moves(lease).await?;
        let steps: Vec<AddressMove> = moves.values().map(|m| m.step).collect();
        self.keep_back(lease, &moves, &order(&steps).blocked).await
    }

    /// Orders the moves that are made, and keeps those back that wait for one that is held.
    pub(crate) async fn order_moves(&self, lease: &Lease) -> Result<(), StoreError> {
        let moves = self.address_moves(lease).await?;
        let steps: Vec<AddressMove> = moves.values().map(|m| m.step).collect();
        let order = order(&steps);
        self.keep_back(lease, &moves, &order.blocked).await?;
        let components = (1_i64..).zip(&order.components);
        let places: Vec<(i64, i64, ChangeId)> = components
            .flat_map(|(component, changes)| {
                let places = (1_i64..).zip(changes);
                places.map(move |(place, change)| (component, place, *change))
            })
            .collect();
        for places in places.chunks(rows_per_statement(1)) {
            self.save_components(lease, places).await?;
        }
        Ok(())
    }

    async fn save_components(
        &self,
        lease: &Lease,
        places: &[(i64, i64, ChangeId)],
    ) -> Result<Run, StoreError> {
        let operation = "order address moves";
        let tx = self.begin_run(lease, PARTING).await?;
        for (component, place, change) in places {
            run_change::Entity::update_many()
                .col_expr(run_change::Column::Component, (*component).into())
                .col_expr(run_change::Column::ComponentOrder, (*place).into())
                .filter(run_change::Column::Id.eq(change.0))
                .exec(&tx)
                .await
                .map_err(StoreError::of(operation))?;
        }
        tx.commit(operation).await
    }

    /// Says of moves that they are not made, and who has the address.
    async fn keep_back(
        &self,
        lease: &Lease,
        moves: &BTreeMap<ChangeId, Move>,
        blocked: &[(ChangeId, Fate)],
    ) -> Result<(), StoreError> {
        for blocked in blocked.chunks(rows_per_statement(1)) {
            let holders: Vec<Uuid> = blocked
                .iter()
                .filter_map(|(id, _)| Some(moves.get(id)?.step.waits_for?.0))
                .collect();
            let names: BTreeMap<UserId, String> =
                users_by_id(self.db(), lease.organization_id, &holders)
                    .await?
                    .into_iter()
                    .map(|user| (user.id, user.display_name()))
                    .collect();
            let tx = self.begin_run(lease, PARTING).await?;
            for (id, fate) in blocked {
                if let Some(one) = moves.get(id) {
                    conclude_move(&tx, one, *fate, &names).await?;
                }
            }
            tx.commit("keep address moves back").await?;
        }
        Ok(())
    }

    /// Parts changes whose address waits: the address stays behind as a row of its own, and everything else of the change,
    /// as a new name or a return, is made. Safe to repeat.
    ///
    /// # Errors
    /// When the database fails or the lease is lost.
    pub async fn part_addresses(&self, lease: &Lease) -> Result<(), StoreError> {
        if !has_unmade(self.db(), lease).await? {
            return Ok(());
        }
        let (last, mut place) = (last_place(self.db(), lease).await?, 0);
        while place < last {
            let to = Ord::min(last, place + STRETCH);
            let parted = self.part(self.kept_back(lease, place, to).await?)?;
            place = to;
            if !parted.is_empty() {
                self.save_parted(lease, parted).await?;
            }
        }
        Ok(())
    }

    fn part(&self, rows: Vec<run_change::Model>) -> Result<Parted, StoreError> {
        let mut parted = Parted::default();
        for row in rows {
            let is_settled = row.outcome == ChangeOutcome::Skipped.as_str();
            match self.rest_of(&row, is_settled)? {
                Some((address, rest)) => {
                    parted.addresses.push(address);
                    parted.rests.push(rest);
                }
                None => parted
                    .settled
                    .extend(row.dirty_mark.filter(|_| is_settled).map(|mark| DirtyKey {
                        key: row.external_id,
                        mark,
                    })),
            }
        }
        Ok(parted)
    }

    /// A row as it waits, with nothing but the address, and what is left of it to be made.
    fn rest_of(
        &self,
        row: &run_change::Model,
        is_settled: bool,
    ) -> Result<Option<(run_change::ActiveModel, run_change::ActiveModel)>, StoreError> {
        let action: ChangeAction = parse("run_change.action", &row.action)?;
        let before: Option<UserFields> =
            from_optional_json("run_change.before", row.before.clone())?;
        let Some(after) = row.after.clone() else {
            return Ok(None);
        };
        let after: UserFields = from_json("run_change.after", after)?;
        let Some(rest) = without_address(action, before.as_ref(), &after) else {
            return Ok(None);
        };
        let rest = to_json(&rest);
        let original = run_change::ActiveModel::from(row.clone()).reset_all();
        let address = run_change::ActiveModel {
            action: Set(ChangeAction::Update.as_str().into()),
            before: Set(Some(rest.clone())),
            matched_by: Set(None),
            reason_field: Set(Some(FIELD.to_owned())),
            ..original.clone()
        };
        let rest = run_change::ActiveModel {
            id: Set(self.fresh_id()),
            outcome: Set(ChangeOutcome::Planned.as_str().into()),
            after: Set(Some(rest)),
            moves_address: Set(false),
            waits_for: Set(None),
            // While the address waits for an owner, the account is looked at in every run.
            dirty_mark: Set(row.dirty_mark.filter(|_| is_settled)),
            reason_code: Set(None),
            reason_message: Set(None),
            reason_field: Set(None),
            hold_category: Set(None),
            event_sequence: Set(None),
            ..original
        };
        Ok(Some((address, rest)))
    }

    async fn save_parted(&self, lease: &Lease, parted: Parted) -> Result<Run, StoreError> {
        let operation = "part changes of addresses";
        let count = parted.rests.len() as u64;
        let counted = |update: UpdateMany<run::Entity>| {
            let longer = Expr::col(run::Column::ChangeCount).add(signed(count));
            update.col_expr(run::Column::ChangeCount, longer)
        };
        let tx = self.begin().await?;
        let tx = self.prove(tx, lease, PARTING, count, counted).await?;
        let changed = [
            run_change::Column::Action,
            run_change::Column::Before,
            run_change::Column::MatchedBy,
            run_change::Column::ReasonField,
        ];
        for chunk in parted.addresses.chunks(rows_per_statement(40)) {
            run_change::Entity::insert_many(chunk.iter().cloned())
                .on_conflict(
                    OnConflict::column(run_change::Column::Id)
                        .update_columns(changed)
                        .to_owned(),
                )
                .exec_without_returning(&tx)
                .await
                .map_err(StoreError::of(operation))?;
        }
        insert_rows(&tx, parted.rests).await?;
        // A preview decides on nothing: the next run has to look at everything again.
        if tx.run().kind != RunKind::Preview.as_str() {
            self.clear_dirty(&tx, &parted.settled).await?;
        }
        tx.commit(operation).await
    }

    /// Loads the changes that wait for an address, and those they wait for; almost always none.
    async fn address_moves(&self, lease: &Lease) -> Result<BTreeMap<ChangeId, Move>, StoreError> {
        use run_change::Column;
        let awaited = Query::select()
            .column(Column::WaitsFor)
            .from(run_change::Entity)
            .and_where(Column::RunId.eq(lease.run_id.0))
            .and_where(Column::WaitsFor.is_not_null())
            .to_owned();
        let gives_up = Condition::all()
            .add(Column::MovesAddress.eq(true))
            .add(Column::PlatformId.in_subquery(awaited));
        type Row = (Uuid, String, Option<Uuid>, Option<Uuid>, String);
        let rows: Vec<Row> = run_change::Entity::of_run(lease.run_id.0)
            .select_only()
            .columns([
                Column::Id,
                Column::Action,
                Column::PlatformId,
                Column::WaitsFor,
                Column::Outcome,
            ])
            .filter(
                Condition::any()
                    .add(Column::WaitsFor.is_not_null())
                    .add(gives_up),
            )
            .into_tuple()
            .all(self.db())
            .await
            .map_err(StoreError::of("read address moves"))?;
        rows.into_iter()
            .map(|(id, action, user, waits_for, outcome)| {
                let action: ChangeAction = parse("run_change.action", &action)?;
                let step = AddressMove {
                    change: ChangeId(id),
                    user: user.filter(|_| action != ChangeAction::Create).map(UserId),
                    waits_for: waits_for.map(UserId),
                    fate: fate(&outcome),
                };
                Ok((step.change, Move { action, step }))
            })
            .collect()
    }

    /// Changes that take an address and that the guard did not let through, at some places.
    async fn kept_back(
        &self,
        lease: &Lease,
        after: i64,
        last: i64,
    ) -> Result<Vec<run_change::Model>, StoreError> {
        use run_change::Column;
        let outcomes = [ChangeOutcome::Held, ChangeOutcome::Skipped].map(ChangeOutcome::as_str);
        between(lease.run_id.0, after, last)
            .filter(Column::Outcome.is_in(outcomes))
            .filter(
                Condition::any()
                    .add(Column::MovesAddress.eq(true))
                    .add(Column::WaitsFor.is_not_null()),
            )
            .order_by_asc(Column::Sequence)
            .all(self.db())
            .await
            .map_err(StoreError::of("read what is kept back"))
    }
}

fn fate(outcome: &str) -> Fate {
    match outcome {
        o if o == ChangeOutcome::Planned.as_str() => Fate::Goes,
        o if o == ChangeOutcome::Held.as_str() => Fate::Held,
        _ => Fate::Dropped,
    }
}

/// Gives a move that is kept back its outcome and the reason, which names who has the address.
async fn conclude_move(
    tx: &RunTx,
    one: &Move,
    fate: Fate,
    names: &BTreeMap<UserId, String>,
) -> Result<(), StoreError> {
    use run_change::Column;
    let holder = one.step.waits_for.and_then(|holder| names.get(&holder));
    let holder = holder.map_or("another user", String::as_str);
    let held = HoldCategory::EmailChanges.as_str();
    let (outcome, reason, category) = match fate {
        Fate::Held => (ChangeOutcome::Held, held_with(holder), Some(held)),
        Fate::Goes | Fate::Dropped => (ChangeOutcome::Skipped, kept_by(holder, one.action), None),
    };
    run_change::Entity::update_many()
        .col_expr(Column::Outcome, outcome.as_str().into())
        .col_expr(Column::ReasonCode, reason.code.as_str().into())
        .col_expr(Column::ReasonMessage, reason.message.into())
        .col_expr(Column::ReasonField, reason.field.into())
        .col_expr(Column::HoldCategory, category.into())
        .filter(Column::Id.eq(one.step.change.0))
        .filter(Column::Outcome.eq(ChangeOutcome::Planned.as_str()))
        .exec(tx)
        .await
        .map_err(StoreError::of("keep an address move back"))?;
    Ok(())
}
