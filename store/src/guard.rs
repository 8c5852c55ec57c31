//! The guard's part of the database: counting what was planned, and holding what is too much.

use std::collections::BTreeMap;

use chrono::Duration;
use lockstep_domain::{
    ChangeAction, ChangeId, ChangeOutcome, ChangeReasonCode, ContentHash, HoldCategory,
    InboundRules, RunKind, RunPhase, RunWarning, UserId,
};
use lockstep_entity::{hold as hold_row, run, run_change};
use lockstep_sync::guard::{Excess, Tally, excesses, last_owner};
use lockstep_sync::ordering::{AddressMove, Fate, Order, order};
use sea_orm::sea_query::{Expr, Query};
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, ExprTrait as _, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::dependent::leave_out_unmade;
use crate::lease::Step;
use crate::plan::planned;
use crate::run::Run;
use crate::team_guard::hold_followers;
use crate::{Lease, Store, StoreError, Tx};

/// How long a hold waits for an owner (D-49).
pub const HOLD_DAYS: i64 = 7;

/// Rows read at a time when the whole plan is walked.
const WALK: u64 = 1_000;

/// What a run is doing while its plan is guarded.
const GUARDING: Step = Step {
    phase: RunPhase::Planning,
    processed: 0,
    total: None,
};

/// What the guard decided.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// Categories that wait for an owner.
    pub held: Vec<Excess>,
    /// Whether the last active owner was kept from being deactivated.
    pub protected_owner: bool,
}

impl Store {
    /// Guards the planned changes of users in one transaction: the last owner stays, what is over a limit is held with
    /// whatever waits for it, and address moves get their order. Teams are planned against what is left.
    ///
    /// # Errors
    /// When the database fails or the lease is lost.
    pub async fn guard_users(
        &self,
        lease: &Lease,
        rules: &InboundRules,
    ) -> Result<(Run, Verdict), StoreError> {
        let tx = self.begin().await?;
        let row = self
            .advance(&tx, lease, GUARDING, 0, |update| update)
            .await?;
        // Counted before the last owner is spared, who is one of those who would go.
        let held = excesses(&self.tally(&tx, lease).await?, &rules.limits);
        let protected_owner = self.protect_last_owner(&tx, lease).await?;
        for excess in &held {
            self.hold_users(&tx, lease, excess).await?;
        }
        let order = order(&self.address_moves(&tx, lease).await?);
        self.save_order(&tx, lease, &order).await?;
        tx.commit().await.map_err(StoreError::of("guard a plan"))?;
        let verdict = Verdict {
            held,
            protected_owner,
        };
        Ok((Run::read(row)?, verdict))
    }

    /// Guards the planned changes of teams and memberships, opens a hold for all that is held (`users` is what was held of
    /// them), and completes the plan. `notes` are problems that came up so far.
    ///
    /// # Errors
    /// When the database fails or the lease is lost.
    pub async fn guard_teams(
        &self,
        lease: &Lease,
        rules: &InboundRules,
        users: Verdict,
        notes: &[RunWarning],
        preview: bool,
    ) -> Result<(Run, Verdict), StoreError> {
        let tx = self.begin().await?;
        self.advance(&tx, lease, GUARDING, 0, |update| update)
            .await?;
        let mut verdict = users;
        hold_followers(&tx, lease, &verdict.held).await?;
        // What counts on a change that is left out already: first the archivals, then what they take away.
        for _ in 0..2 {
            leave_out_unmade(&tx, lease).await?;
        }
        verdict
            .held
            .extend(self.hold_teams(&tx, lease, rules).await?);
        // A preview shows what would be held; only a real run asks for a decision.
        let hold = if preview {
            None
        } else {
            self.carry_hold(&tx, lease, &verdict.held).await?
        };
        let plan_hash = self.plan_hash(&tx, lease, ChangeOutcome::Planned).await?;
        let row = self.tell_held(&tx, lease, hold, plan_hash, notes).await?;
        tx.commit().await.map_err(StoreError::of("guard a plan"))?;
        Ok((Run::read(row)?, verdict))
    }

    async fn tell_held(
        &self,
        tx: &Tx,
        lease: &Lease,
        hold: Option<(Uuid, String)>,
        plan_hash: Option<String>,
        notes: &[RunWarning],
    ) -> Result<run::Model, StoreError> {
        let row = self
            .complete_plan(tx, lease, hold, plan_hash, notes)
            .await?;
        // The place in the change log is unique and rising, so it numbers the events of this transaction as well.
        let base = row.sequence;
        let told = run_change::Entity::update_many()
            .col_expr(
                run_change::Column::EventSequence,
                Expr::col(run_change::Column::Sequence).add(base),
            )
            .filter(run_change::Column::RunId.eq(lease.run_id.0))
            .filter(run_change::Column::EventSequence.is_null())
            .filter(
                Condition::all().add_option(
                    // What a preview worked out is all there is to tell; a real run tells when it has applied.
                    (row.kind != RunKind::Preview.as_str())
                        .then(|| run_change::Column::Outcome.ne(ChangeOutcome::Planned.as_str())),
                ),
            )
            .exec(tx)
            .await
            .map_err(StoreError::of("number held changes"))?;
        if told.rows_affected == 0 {
            return Ok(row);
        }
        self.advance(tx, lease, GUARDING, row.change_count, |update| update)
            .await
    }

    async fn tally(&self, tx: &Tx, lease: &Lease) -> Result<Tally, StoreError> {
        let deactivations =
            planned(lease).filter(run_change::Column::Action.eq(ChangeAction::Deactivate.as_str()));
        let moves = planned(lease).filter(run_change::Column::MovesAddress.eq(true));
        let operation = "count what was planned";
        Ok(Tally {
            source_accounts: self.count_accounts(tx, lease.integration_id).await?,
            linked_active_users: self.count_linked_active(tx, lease.integration_id.0).await?,
            user_deactivations: deactivations
                .count(tx)
                .await
                .map_err(StoreError::of(operation))?,
            email_changes: moves.count(tx).await.map_err(StoreError::of(operation))?,
        })
    }

    async fn hold_users(&self, tx: &Tx, lease: &Lease, excess: &Excess) -> Result<(), StoreError> {
        let of_category = if excess.category == HoldCategory::EmailChanges {
            run_change::Column::MovesAddress.eq(true)
        } else {
            run_change::Column::Action.eq(ChangeAction::Deactivate.as_str())
        };
        hold(tx, lease, Condition::all().add(of_category), excess).await
    }

    /// D-19: when every active owner would go, one stays.
    async fn protect_last_owner(&self, tx: &Tx, lease: &Lease) -> Result<bool, StoreError> {
        let owners = self.active_owners(tx, lease.organization_id).await?;
        let leaving: Vec<(Uuid, Option<Uuid>)> = planned(lease)
            .select_only()
            .columns([run_change::Column::Id, run_change::Column::PlatformId])
            .filter(run_change::Column::Action.eq(ChangeAction::Deactivate.as_str()))
            .filter(run_change::Column::PlatformId.is_in(owners.iter().map(|id| id.0)))
            .into_tuple()
            .all(tx)
            .await
            .map_err(StoreError::of("look for leaving owners"))?;
        let leaving: Vec<_> = leaving
            .into_iter()
            .filter_map(|(id, user)| Some((ChangeId(id), UserId(user?))))
            .collect();
        let Some(stays) = last_owner(&owners, &leaving) else {
            return Ok(false);
        };
        let outcome = Reworded {
            outcome: ChangeOutcome::Skipped,
            code: ChangeReasonCode::LastOwnerProtected,
            message: "The organization would have no active owner left.".to_owned(),
        };
        reword(
            tx,
            lease,
            Condition::all().add(run_change::Column::Id.eq(stays.0)),
            &outcome,
            None,
        )
        .await?;
        Ok(true)
    }

    /// Loads the changes that wait for an address, and those they wait for; almost always none.
    async fn address_moves(&self, tx: &Tx, lease: &Lease) -> Result<Vec<AddressMove>, StoreError> {
        let awaited = Query::select()
            .column(run_change::Column::WaitsFor)
            .from(run_change::Entity)
            .and_where(run_change::Column::RunId.eq(lease.run_id.0))
            .and_where(run_change::Column::WaitsFor.is_not_null())
            .to_owned();
        let gives_up = Condition::all()
            .add(run_change::Column::MovesAddress.eq(true))
            .add(run_change::Column::PlatformId.in_subquery(awaited));
        type Row = (Uuid, String, Option<Uuid>, Option<Uuid>, String);
        let rows: Vec<Row> = run_change::Entity::of_run(lease.run_id.0)
            .select_only()
            .columns([
                run_change::Column::Id,
                run_change::Column::Action,
                run_change::Column::PlatformId,
                run_change::Column::WaitsFor,
                run_change::Column::Outcome,
            ])
            .filter(
                Condition::any()
                    .add(run_change::Column::WaitsFor.is_not_null())
                    .add(gives_up),
            )
            .order_by_asc(run_change::Column::Sequence)
            .into_tuple()
            .all(tx)
            .await
            .map_err(StoreError::of("read address moves"))?;
        let fate = |outcome: &str| match outcome {
            o if o == ChangeOutcome::Planned.as_str() => Fate::Goes,
            o if o == ChangeOutcome::Held.as_str() => Fate::Held,
            _ => Fate::Dropped,
        };
        Ok(rows
            .into_iter()
            .map(|(id, action, user, waits_for, outcome)| AddressMove {
                change: ChangeId(id),
                user: user
                    .filter(|_| action != ChangeAction::Create.as_str())
                    .map(UserId),
                waits_for: waits_for.map(UserId),
                fate: fate(&outcome),
            })
            .collect())
    }

    async fn save_order(&self, tx: &Tx, lease: &Lease, order: &Order) -> Result<(), StoreError> {
        for (change, fate) in &order.blocked {
            let outcome = match fate {
                Fate::Held => Reworded {
                    outcome: ChangeOutcome::Held,
                    code: ChangeReasonCode::LimitExceeded,
                    message: "The wanted address is given up by a change that is held.".to_owned(),
                },
                Fate::Goes | Fate::Dropped => Reworded {
                    outcome: ChangeOutcome::Skipped,
                    code: ChangeReasonCode::Dependency,
                    message: "The wanted address belongs to a user who cannot give it up."
                        .to_owned(),
                },
            };
            let held = (*fate == Fate::Held).then_some(HoldCategory::EmailChanges);
            reword(
                tx,
                lease,
                Condition::all().add(run_change::Column::Id.eq(change.0)),
                &outcome,
                held,
            )
            .await?;
        }
        for (component, changes) in (1_i64..).zip(&order.components) {
            for (place, change) in (1_i64..).zip(changes) {
                run_change::Entity::update_many()
                    .col_expr(run_change::Column::Component, component.into())
                    .col_expr(run_change::Column::ComponentOrder, place.into())
                    .filter(run_change::Column::Id.eq(change.0))
                    .exec(tx)
                    .await
                    .map_err(StoreError::of("order address moves"))?;
            }
        }
        Ok(())
    }

    /// Opens a hold, carries the open one on, or closes it when nothing is held any more (D-49).
    async fn carry_hold(
        &self,
        tx: &Tx,
        lease: &Lease,
        held: &[Excess],
    ) -> Result<Option<(Uuid, String)>, StoreError> {
        let hash = self.plan_hash(tx, lease, ChangeOutcome::Held).await?;
        let open = self.open_hold_row(tx, lease.integration_id).await?;
        let Some(hash) = hash else {
            if let Some(open) = open {
                self.close_hold(
                    tx,
                    open.id,
                    lockstep_domain::HoldDecisionKind::Superseded,
                    None,
                    None,
                )
                .await?;
            }
            return Ok(None);
        };
        let categories = crate::hold::write_categories(held);
        match open {
            Some(open) => {
                hold_row::Entity::update_many()
                    .col_expr(hold_row::Column::RunId, lease.run_id.0.into())
                    .col_expr(hold_row::Column::PlanHash, hash.clone().into())
                    .col_expr(hold_row::Column::Categories, categories.into())
                    .filter(hold_row::Column::Id.eq(open.id))
                    .exec(tx)
                    .await
                    .map_err(StoreError::of("carry a hold on"))?;
                Ok(Some((open.id, hash)))
            }
            None => self
                .open_hold(tx, lease, &hash, categories, Duration::days(HOLD_DAYS))
                .await
                .map(|id| Some((id, hash))),
        }
    }

    /// Hashes what a run wants to do with rows of one outcome. None when there are none.
    ///
    /// The hashes of the rows are added up, so that the order does not matter: what is decided on together depends on what
    /// else has to be looked at.
    async fn plan_hash(
        &self,
        tx: &Tx,
        lease: &Lease,
        outcome: ChangeOutcome,
    ) -> Result<Option<String>, StoreError> {
        type Row = (
            i64,
            String,
            Option<String>,
            String,
            Option<sea_orm::JsonValue>,
        );
        let (mut sum, mut count, mut after) = (0_u128, 0_u64, 0);
        loop {
            let rows: Vec<Row> = run_change::Entity::of_run(lease.run_id.0)
                .select_only()
                .columns([
                    run_change::Column::Sequence,
                    run_change::Column::ExternalId,
                    run_change::Column::MemberExternalId,
                    run_change::Column::Action,
                    run_change::Column::After,
                ])
                .filter(run_change::Column::Outcome.eq(outcome.as_str()))
                .filter(run_change::Column::Sequence.gt(after))
                .order_by_asc(run_change::Column::Sequence)
                .limit(WALK)
                .into_tuple()
                .all(tx)
                .await
                .map_err(StoreError::of("hash a plan"))?;
            let Some((last, ..)) = rows.last() else { break };
            after = *last;
            for (_, object, member, action, wanted) in rows {
                let wanted = wanted.map(|wanted| sorted_text(&wanted));
                let row = ContentHash::of([
                    Some(action.as_str()),
                    Some(&object),
                    member.as_deref(),
                    wanted.as_deref(),
                ]);
                sum = sum.wrapping_add(row.as_number());
                count += 1;
            }
        }
        let (sum, rows) = (format!("{sum:032x}"), count.to_string());
        let hash = ContentHash::of([Some(sum.as_str()), Some(&rows)]);
        Ok((count > 0).then(|| hash.as_str().to_owned()))
    }
}

/// PostgreSQL's jsonb orders keys its own way, so they are sorted before they are hashed.
fn sorted_text(json: &sea_orm::JsonValue) -> String {
    match json.as_object() {
        Some(object) => object
            .iter()
            .collect::<BTreeMap<_, _>>()
            .into_iter()
            .map(|(key, value)| format!("{key}={value};"))
            .collect(),
        None => json.to_string(),
    }
}

/// Holds planned rows of a category that is over its limit.
pub(crate) async fn hold(
    tx: &Tx,
    lease: &Lease,
    which: Condition,
    excess: &Excess,
) -> Result<(), StoreError> {
    let outcome = Reworded {
        outcome: ChangeOutcome::Held,
        code: ChangeReasonCode::LimitExceeded,
        message: format!(
            "{} of {} would change; the limit is {}.",
            excess.count, excess.out_of, excess.limit
        ),
    };
    reword(tx, lease, which, &outcome, Some(excess.category)).await
}

/// Another outcome, and why.
pub(crate) struct Reworded {
    pub(crate) outcome: ChangeOutcome,
    pub(crate) code: ChangeReasonCode,
    pub(crate) message: String,
}

/// Gives planned rows another outcome.
pub(crate) async fn reword(
    tx: &Tx,
    lease: &Lease,
    which: Condition,
    to: &Reworded,
    category: Option<HoldCategory>,
) -> Result<(), StoreError> {
    run_change::Entity::update_many()
        .col_expr(run_change::Column::Outcome, to.outcome.as_str().into())
        .col_expr(run_change::Column::ReasonCode, to.code.as_str().into())
        .col_expr(
            run_change::Column::ReasonMessage,
            to.message.as_str().into(),
        )
        .col_expr(
            run_change::Column::HoldCategory,
            category.map(HoldCategory::as_str).into(),
        )
        .filter(run_change::Column::RunId.eq(lease.run_id.0))
        .filter(run_change::Column::Outcome.eq(ChangeOutcome::Planned.as_str()))
        .filter(which)
        .exec(tx)
        .await
        .map_err(StoreError::of("change an outcome"))?;
    Ok(())
}
