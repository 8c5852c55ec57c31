//! The guard's part of the database: counting what was planned, and holding what is too much.

use std::collections::BTreeMap;

use chrono::Duration;
use lockstep_domain::{
    ChangeAction, ChangeId, ChangeLimit, ChangeOutcome, ChangeReasonCode, ContentHash,
    HoldCategory, HoldDecisionKind, InboundRules, RunPhase, RunWarning, UserId,
};
use lockstep_entity::run_change;
use lockstep_sync::guard::{Excess, Tally, address_changes, departures, last_owner};
use lockstep_sync::held::{Held, Ruling, rule};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, ExprTrait as _, PaginatorTrait as _,
    QueryFilter as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::column::{count, rows_per_statement};
use crate::held::{Cause, HeldGroup, Place};
use crate::lease::Step;
use crate::lookup::one_of;
use crate::place::{STRETCH, between, has_unmade, is_unmade, last_place, next_places};
use crate::plan::{complete, planned};
use crate::run::Run;
use crate::run_tx::RunTx;
use crate::{Lease, Store, StoreError};

/// How long a hold waits for an owner (D-49).
pub const HOLD_DAYS: i64 = 7;

/// What a run is doing while its plan is guarded.
pub(crate) const GUARDING: Step = Step {
    phase: RunPhase::Planning,
    processed: 0,
    total: None,
};

/// Changes of users of one kind, and what becomes of them.
struct Ruled {
    place: Place,
    limit: ChangeLimit,
    earlier: Vec<HeldGroup>,
    ruling: Ruling,
}

/// What the guard decided.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// Categories that wait for an owner.
    pub held: Vec<Excess>,
    /// Whether the last active owner was kept from being deactivated.
    pub protected_owner: bool,
}

impl Store {
    /// Guards the planned changes of users: the last owner stays, what is over a limit is held with whatever waits for it,
    /// and address moves get their order. Teams are planned against what is left. What a crash leaves half guarded is
    /// thrown away with the plan.
    ///
    /// # Errors
    /// When the database fails or the lease is lost.
    pub async fn guard_users(
        &self,
        lease: &Lease,
        rules: &InboundRules,
        preview: bool,
    ) -> Result<(Run, Verdict), StoreError> {
        self.leave_unobtainable(lease).await?;
        let mut held = Vec::new();
        for ruled in self.rule_users(lease, rules).await? {
            self.hold_users(lease, &ruled, preview).await?;
            held.extend_from_slice(ruled.ruling.excesses());
        }
        // After the holds: an owner who is one of too many waits with them, and is remembered like them.
        let protected_owner = self.protect_last_owner(lease).await?;
        self.order_moves(lease).await?;
        let run = self.report(lease, GUARDING).await?;
        let verdict = Verdict {
            held,
            protected_owner,
        };
        Ok((run, verdict))
    }

    /// Guards the planned changes of teams and memberships, opens a hold for all that is held (`users` is what was held of
    /// them), and completes the plan. `notes` are problems that came up so far. What a crash leaves half guarded is
    /// thrown away with the plan; only the last transaction makes it complete.
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
        let mut verdict = users;
        self.hold_followers(lease, &verdict.held).await?;
        // What counts on a change that is left out already: first the archivals, then what they take away.
        for _ in 0..2 {
            self.leave_out_unmade(lease, GUARDING).await?;
        }
        let of_teams = self.hold_teams(lease, rules, preview).await?;
        verdict.held.extend(of_teams);
        if !preview {
            self.forget_done(lease).await?;
        }
        let held = self.plan_hash(lease, ChangeOutcome::Held).await?;
        let planned = self.plan_hash(lease, ChangeOutcome::Planned).await?;
        let done = Step {
            processed: 1,
            total: Some(1),
            ..GUARDING
        };
        let mut tx = self.begin_run(lease, done).await?;
        // A preview shows what would be held; only a real run asks for a decision.
        let hold = if preview {
            None
        } else {
            self.carry_hold(&tx, lease, held, &verdict.held).await?
        };
        complete(&mut tx, hold, planned, notes).await?;
        Ok((tx.commit("guard a plan").await?, verdict))
    }

    /// Tells subscribers of rows that were decided on and not told yet; of a preview all rows, as what it worked out is all
    /// there is to tell. Safe to repeat, and to be repeated by whoever takes the run up.
    ///
    /// # Errors
    /// When the database fails or the lease is lost.
    pub async fn tell_decided(
        &self,
        lease: &Lease,
        step: Step,
        preview: bool,
    ) -> Result<(), StoreError> {
        use run_change::Column;
        if !preview && !has_unmade(self.db(), lease).await? {
            return Ok(());
        }
        let untold = Condition::all()
            .add(Column::RunId.eq(lease.run_id.0))
            .add(Column::EventSequence.is_null())
            .add_option((!preview).then(is_unmade));
        let mut after = 0;
        while let Some((places, reached)) = next_places(self.db(), lease, after, &untold).await? {
            after = reached;
            for places in places.chunks(rows_per_statement(1)) {
                self.tell(lease, step, &untold, places).await?;
            }
        }
        Ok(())
    }

    /// Tells of rows at some places.
    async fn tell(
        &self,
        lease: &Lease,
        step: Step,
        untold: &Condition,
        places: &[i64],
    ) -> Result<(), StoreError> {
        use run_change::Column;
        let operation = "number events";
        if let (Some(first), Some(last)) = (places.first().copied(), places.last().copied()) {
            // The place in the change log numbers the events as well: one for each place from the first to the last.
            let span = last - first + 1;
            let tx = self.begin_telling(lease, step, count(span)).await?;
            let offset = tx.first_event(count(span)) - first;
            run_change::Entity::update_many()
                .col_expr(
                    Column::EventSequence,
                    Expr::col(Column::Sequence).add(offset),
                )
                .filter(untold.clone())
                .filter(Column::Sequence.between(first, last))
                .exec(&tx)
                .await
                .map_err(StoreError::of(operation))?;
            tx.commit(operation).await?;
        }
        Ok(())
    }

    /// Decides about the changes of users that a limit is set for.
    async fn rule_users(
        &self,
        lease: &Lease,
        rules: &InboundRules,
    ) -> Result<[Ruled; 2], StoreError> {
        let limits = &rules.limits;
        let tally = Tally {
            source_accounts: self.count_accounts(lease.integration_id).await?,
            linked_active_users: self.count_linked_active(lease.integration_id.0).await?,
        };
        let now = tally.linked_active_users;
        let judge = |count, out_of| departures(count, out_of, tally, limits);
        let limit = limits.user_deactivations;
        let departures = self
            .rule_kind(lease, Place::departures(), now, limit, judge)
            .await?;
        let judge = |count, out_of| address_changes(count, out_of, limits);
        let limit = limits.email_changes;
        let moves = self
            .rule_kind(lease, Place::addresses(), now, limit, judge)
            .await?;
        Ok([departures, moves])
    }

    /// Decides about changes of one kind, of which some may have been held by earlier runs.
    async fn rule_kind(
        &self,
        lease: &Lease,
        place: Place,
        now: u64,
        limit: ChangeLimit,
        judge: impl FnOnce(u64, u64) -> Option<Excess>,
    ) -> Result<Ruled, StoreError> {
        let planned = planned(lease).filter(place.rows.clone()).count(self.db());
        let planned = planned
            .await
            .map_err(StoreError::of("count what was planned"))?;
        let earlier = self.still_wanted(lease, &place).await?;
        let held: Vec<Held> = earlier.iter().map(|group| group.held).collect();
        Ok(Ruled {
            place,
            limit,
            ruling: rule(planned, now, &held, limit, judge),
            earlier,
        })
    }

    /// Holds what was ruled to wait, and remembers it, unless the run only shows what would be.
    async fn hold_users(
        &self,
        lease: &Lease,
        ruled: &Ruled,
        preview: bool,
    ) -> Result<(), StoreError> {
        let Ruled {
            place,
            limit,
            earlier,
            ruling,
        } = ruled;
        match ruling {
            Ruling::All(excess) => {
                self.hold_rows(lease, place.rows.clone(), excess).await?;
                if !preview {
                    let cause = Cause::of(excess, *limit, false, earlier);
                    let all = Condition::all();
                    self.remember(lease, place, &cause, all).await?;
                }
            }
            Ruling::Held(excesses) => {
                for excess in excesses {
                    let all = Condition::all();
                    self.hold_still(lease, earlier, *limit, excess, &all)
                        .await?;
                }
            }
        }
        Ok(())
    }

    /// D-19: when every active owner would go, one stays.
    async fn protect_last_owner(&self, lease: &Lease) -> Result<bool, StoreError> {
        let owners = self.active_owners(lease.organization_id).await?;
        let leaving: Vec<(Uuid, Option<Uuid>)> = planned(lease)
            .select_only()
            .columns([run_change::Column::Id, run_change::Column::PlatformId])
            .filter(run_change::Column::Action.eq(ChangeAction::Deactivate.as_str()))
            .filter(run_change::Column::PlatformId.is_in(owners.iter().map(|id| id.0)))
            .into_tuple()
            .all(self.db())
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
        let all = Condition::all();
        self.reword_those(lease, GUARDING, &[stays.0], all, &outcome, None)
            .await?;
        Ok(true)
    }

    /// Opens a hold, carries the open one on, or closes it when nothing is held any more (D-49).
    async fn carry_hold(
        &self,
        tx: &RunTx,
        lease: &Lease,
        hash: Option<String>,
        held: &[Excess],
    ) -> Result<Option<Uuid>, StoreError> {
        let integration = lease.integration_id;
        let Some(hash) = hash else {
            self.end_hold(tx, integration, HoldDecisionKind::Superseded)
                .await?;
            return Ok(None);
        };
        self.expire_hold(tx, integration).await?;
        let categories = crate::hold::write_categories(held);
        if let Some(open) = self.renew_hold(tx, lease, &hash, &categories).await? {
            return Ok(Some(open));
        }
        // None is open: nothing was held, or it was decided on, or its time was up.
        self.open_hold(tx, lease, &hash, categories, Duration::days(HOLD_DAYS))
            .await
            .map(Some)
    }

    /// Hashes what a run wants to do with rows of one outcome. None when there are none.
    ///
    /// The hashes of the rows are added up, so that the order does not matter: what is decided on together depends on what
    /// else has to be looked at.
    async fn plan_hash(
        &self,
        lease: &Lease,
        outcome: ChangeOutcome,
    ) -> Result<Option<String>, StoreError> {
        type Row = (String, Option<String>, String, Option<sea_orm::JsonValue>);
        let (mut sum, mut rows_hashed, mut after) = (0_u128, 0_u64, 0);
        let is_idle = outcome == ChangeOutcome::Held && !has_unmade(self.db(), lease).await?;
        let last = last_place(self.db(), lease).await?;
        while !is_idle && after < last {
            let to = Ord::min(last, after + STRETCH);
            let rows: Vec<Row> = between(lease.run_id.0, after, to)
                .select_only()
                .columns([
                    run_change::Column::ExternalId,
                    run_change::Column::MemberExternalId,
                    run_change::Column::Action,
                    run_change::Column::After,
                ])
                .filter(run_change::Column::Outcome.eq(outcome.as_str()))
                .into_tuple()
                .all(self.db())
                .await
                .map_err(StoreError::of("hash a plan"))?;
            after = to;
            for (object, member, action, wanted) in rows {
                let wanted = wanted.map(|wanted| sorted_text(&wanted));
                let row = ContentHash::of([
                    Some(action.as_str()),
                    Some(&object),
                    member.as_deref(),
                    wanted.as_deref(),
                ]);
                sum = sum.wrapping_add(row.as_number());
                rows_hashed += 1;
            }
        }
        let (sum, rows) = (format!("{sum:032x}"), rows_hashed.to_string());
        let hash = ContentHash::of([Some(sum.as_str()), Some(&rows)]);
        Ok((rows_hashed > 0).then(|| hash.as_str().to_owned()))
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

/// What becomes of rows of a category that is over its limit.
fn held_by(excess: &Excess) -> (Reworded, Option<HoldCategory>) {
    let held = Reworded {
        outcome: ChangeOutcome::Held,
        code: ChangeReasonCode::LimitExceeded,
        message: format!(
            "{} of {} would change; the limit is {}.",
            excess.count, excess.out_of, excess.limit
        ),
    };
    (held, Some(excess.category))
}

/// Another outcome, and why.
pub(crate) struct Reworded {
    pub(crate) outcome: ChangeOutcome,
    pub(crate) code: ChangeReasonCode,
    pub(crate) message: String,
}

impl Store {
    /// Holds planned rows of a category that is over its limit.
    pub(crate) async fn hold_rows(
        &self,
        lease: &Lease,
        which: Condition,
        excess: &Excess,
    ) -> Result<(), StoreError> {
        let (held, category) = held_by(excess);
        self.reword(lease, GUARDING, which, &held, category).await
    }

    /// Holds the planned rows at some places.
    pub(crate) async fn hold_at(
        &self,
        lease: &Lease,
        places: &[i64],
        excess: &Excess,
    ) -> Result<(), StoreError> {
        let (held, category) = held_by(excess);
        self.reword_at(lease, GUARDING, places, &held, category)
            .await
    }

    /// Holds planned rows of a category that earlier runs held and no owner raised the limit for. Returns how many there are
    /// that nothing else holds in this run. `which` restricts the rows.
    pub(crate) async fn hold_still(
        &self,
        lease: &Lease,
        earlier: &[HeldGroup],
        limit: ChangeLimit,
        excess: &Excess,
        which: &Condition,
    ) -> Result<u64, StoreError> {
        let still = Reworded {
            outcome: ChangeOutcome::Held,
            code: ChangeReasonCode::LimitExceeded,
            message: format!(
                "An earlier run held this: too many of {} would have changed at once, and the limit was {}. It waits until the directory takes it back or an owner raises the limit.",
                excess.out_of, excess.limit
            ),
        };
        let category = Some(excess.category);
        let mut count = 0;
        let of_category = earlier
            .iter()
            .filter(|group| group.held.category == excess.category && !group.is_raised_by(limit));
        let places: Vec<i64> = of_category.flat_map(|group| group.places.clone()).collect();
        for places in places.chunks(rows_per_statement(1)) {
            let places: Vec<i64> = planned(lease)
                .select_only()
                .column(run_change::Column::Sequence)
                .filter(run_change::Column::Sequence.is_in(places.iter().copied()))
                .filter(which.clone())
                .into_tuple()
                .all(self.db())
                .await
                .map_err(StoreError::of("look for planned changes"))?;
            count += places.len() as u64;
            self.reword_at(lease, GUARDING, &places, &still, category)
                .await?;
        }
        Ok(count)
    }

    /// Holds planned rows that are named by their ids.
    pub(crate) async fn hold_those(
        &self,
        lease: &Lease,
        ids: &[Uuid],
        excess: &Excess,
    ) -> Result<(), StoreError> {
        let (held, category) = held_by(excess);
        self.reword_those(lease, GUARDING, ids, Condition::all(), &held, category)
            .await
    }

    /// Gives planned rows another outcome, a batch a transaction. Safe to repeat.
    pub(crate) async fn reword(
        &self,
        lease: &Lease,
        step: Step,
        which: Condition,
        to: &Reworded,
        category: Option<HoldCategory>,
    ) -> Result<(), StoreError> {
        let is_planned = run_change::Column::Outcome.eq(ChangeOutcome::Planned.as_str());
        let which = Condition::all().add(which).add(is_planned);
        let mut after = 0;
        while let Some((places, reached)) = next_places(self.db(), lease, after, &which).await? {
            after = reached;
            self.reword_at(lease, step, &places, to, category).await?;
        }
        Ok(())
    }

    /// Gives planned rows another outcome that are named by their ids, those that meet a condition. Safe to repeat.
    pub(crate) async fn reword_those(
        &self,
        lease: &Lease,
        step: Step,
        ids: &[Uuid],
        which: Condition,
        to: &Reworded,
        category: Option<HoldCategory>,
    ) -> Result<(), StoreError> {
        for ids in ids.chunks(rows_per_statement(1)) {
            let places: Vec<i64> = planned(lease)
                .select_only()
                .column(run_change::Column::Sequence)
                .filter(one_of(
                    self.db(),
                    run_change::Column::Id,
                    ids.iter().copied(),
                ))
                .filter(which.clone())
                .into_tuple()
                .all(self.db())
                .await
                .map_err(StoreError::of("look for planned changes"))?;
            self.reword_at(lease, step, &places, to, category).await?;
        }
        Ok(())
    }

    /// Gives the rows at some places another outcome, a batch a transaction.
    pub(crate) async fn reword_at(
        &self,
        lease: &Lease,
        step: Step,
        places: &[i64],
        to: &Reworded,
        category: Option<HoldCategory>,
    ) -> Result<(), StoreError> {
        for places in places.chunks(rows_per_statement(1)) {
            let tx = self.begin_run(lease, step).await?;
            write_outcome(&tx, lease, places, to, category).await?;
            tx.commit("change an outcome").await?;
        }
        Ok(())
    }
}

async fn write_outcome(
    tx: &RunTx,
    lease: &Lease,
    places: &[i64],
    to: &Reworded,
    category: Option<HoldCategory>,
) -> Result<(), StoreError> {
    use run_change::Column;
    run_change::Entity::update_many()
        .col_expr(Column::Outcome, to.outcome.as_str().into())
        .col_expr(Column::ReasonCode, to.code.as_str().into())
        .col_expr(Column::ReasonMessage, to.message.as_str().into())
        .col_expr(
            Column::HoldCategory,
            category.map(HoldCategory::as_str).into(),
        )
        .filter(Column::RunId.eq(lease.run_id.0))
        .filter(Column::Sequence.is_in(places.iter().copied()))
        .exec(tx)
        .await
        .map_err(StoreError::of("change an outcome"))?;
    Ok(())
}
