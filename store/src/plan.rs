//! Plans: what was decided, stored as rows of the change log before anything is done.

use lockstep_domain::{
    ChangeId, ChangeOutcome, ExternalId, HeldKind, ObjectKind, RunKind, RunStage, RunWarning,
    TeamId, TeamKey, UserId, search_key,
};
use lockstep_entity::{run, run_change};
use lockstep_sync::inbound::memberships::PlannedMembership;
use lockstep_sync::inbound::teams::PlannedTeam;
use lockstep_sync::inbound::users::PlannedChange;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, ExprTrait as _, QueryFilter as _,
    UpdateMany,
};
use uuid::Uuid;

use crate::column::{rows_per_statement, signed, to_json};
use crate::dirty::DirtyKey;
use crate::held::{forget, forget_removals, forget_users, is_any_held};
use crate::lease::Step;
use crate::run::Run;
use crate::run_tx::RunTx;
use crate::team_key::DirtyTeam;
use crate::{Lease, Store, StoreError};

/// A planned change and the mark of the dirty key it was decided on.
#[derive(Debug, Clone)]
pub struct MarkedChange {
    /// The change.
    pub change: PlannedChange,
    /// The mark.
    pub mark: Uuid,
}

/// A planned change of a team or of a membership.
#[derive(Debug, Clone)]
pub struct TeamRow {
    /// Identifier of the entry.
    pub id: ChangeId,
    /// What the team is made from.
    pub key: TeamKey,
    /// The team; for one that the run creates, the id that it will have.
    pub team_id: TeamId,
    /// Name of the team.
    pub name: String,
    /// The change that must be made first.
    pub depends_on: Option<ChangeId>,
    /// What is to be done.
    pub change: TeamChange,
}

/// What is to be done with a team.
#[derive(Debug, Clone)]
pub enum TeamChange {
    /// Something with the team itself.
    Team(PlannedTeam),
    /// Something with one of its memberships.
    Membership(PlannedMembership),
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
    /// Accounts that the directory lists, so that a departure that was held is not wanted any more.
    pub listed: Vec<ExternalId>,
    /// Accounts whose users have the address that the directory gives.
    pub keep_address: Vec<ExternalId>,
}

/// What was decided about one chunk of teams.
#[derive(Debug, Clone, Default)]
pub struct PlannedTeams {
    /// The changes, in order.
    pub changes: Vec<TeamRow>,
    /// Keys that are decided on with them.
    pub decided: Vec<DirtyTeam>,
    /// Teams that the directory wants, so that an archival that was held is not wanted any more.
    pub wanted: Vec<TeamId>,
    /// Members whom the directory lists again, so that a removal that was held is not wanted any more.
    pub listed: Vec<(TeamId, UserId)>,
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
        let add = |column: run::Column, n: u64| Expr::col(column).add(signed(n));
        let count = chunk.changes.len() as u64;
        let counted = |update: UpdateMany<run::Entity>| {
            use run::Column;
            update
                .col_expr(Column::ChangeCount, add(Column::ChangeCount, count))
                .col_expr(Column::Unchanged, add(Column::Unchanged, chunk.unchanged))
                .col_expr(
                    Column::Incomplete,
                    add(Column::Incomplete, chunk.incomplete),
                )
        };
        let tx = self.begin().await?;
        let tx = self.prove(tx, lease, step, count, counted).await?;
        let rows = chunk
            .changes
            .into_iter()
            .map(|change| self.user_row(tx.run(), change))
            .collect();
        insert_rows(&tx, rows).await?;
        self.clear_dirty(&tx, &chunk.settled).await?;
        if ends_holds(&tx).await? {
            let integration = lease.integration_id;
            forget_users(&tx, integration, HeldKind::Departure, &chunk.listed).await?;
            forget_users(&tx, integration, HeldKind::Address, &chunk.keep_address).await?;
        }
        tx.commit("save a plan").await
    }

    /// Stores what was decided about teams and memberships, and which keys are decided on with it.
    ///
    /// # Errors
    /// When the database fails or the lease is lost.
    pub async fn save_team_plan(
        &self,
        lease: &Lease,
        step: Step,
        teams: PlannedTeams,
    ) -> Result<Run, StoreError> {
        let count = teams.changes.len() as u64;
        let counted = |update: UpdateMany<run::Entity>| {
            let longer = Expr::col(run::Column::ChangeCount).add(signed(count));
            update.col_expr(run::Column::ChangeCount, longer)
        };
        let tx = self.begin().await?;
        let tx = self.prove(tx, lease, step, count, counted).await?;
        let rows = teams
            .changes
            .into_iter()
            .map(|change| self.team_row(tx.run(), change))
            .collect();
        insert_rows(&tx, rows).await?;
        self.note_planned(&tx, lease, &teams.decided).await?;
        if ends_holds(&tx).await? {
            let (integration, wanted) = (lease.integration_id, teams.wanted.iter().map(|id| id.0));
            forget(&tx, integration, HeldKind::Archival, wanted).await?;
            forget_removals(&tx, integration, &teams.listed).await?;
        }
        tx.commit("save a plan").await
    }

    fn user_row(&self, run: &run::Model, marked: MarkedChange) -> run_change::ActiveModel {
        let MarkedChange { change, mark } = marked;
        let moves = change.moves_address();
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
            needs_confirmation: Set(change.needs_confirmation),
            source_hash: Set(change.source_hash.as_str().to_owned()),
            dirty_mark: Set(Some(mark)),
            reason_code: Set(reason.as_ref().map(|reason| reason.code.as_str().into())),
            reason_message: Set(reason.as_ref().map(|reason| reason.message.clone())),
            reason_field: Set(reason.and_then(|reason| reason.field)),
            ..self.blank_row(run, self.fresh_id())
        }
    }

    fn team_row(&self, run: &run::Model, row: TeamRow) -> run_change::ActiveModel {
        let TeamRow {
            id,
            key,
            team_id,
            name,
            depends_on,
            change,
        } = row;
        let row = run_change::ActiveModel {
            external_id: Set(key.external_id.0),
            source: Set(Some(key.source.as_str().into())),
            platform_id: Set(Some(team_id.0)),
            display_name: Set(name),
            depends_on: Set(depends_on.map(|id| id.0)),
            ..self.blank_row(run, id.0)
        };
        match change {
            TeamChange::Team(change) => run_change::ActiveModel {
                object_kind: Set(ObjectKind::Team.as_str().into()),
                action: Set(change.action.as_str().into()),
                before: Set(change.before.as_ref().map(to_json)),
                after: Set(Some(to_json(&change.after))),
                ..row
            },
            TeamChange::Membership(change) => {
                let (moved_from_id, moved_from_name) =
                    change.moved_from.map(|team| (team.id.0, team.name)).unzip();
                run_change::ActiveModel {
                    object_kind: Set(ObjectKind::Membership.as_str().into()),
                    action: Set(change.action.as_str().into()),
                    before: Set(change.before.as_ref().map(to_json)),
                    after: Set(change.after.as_ref().map(to_json)),
                    member_id: Set(Some(change.person.user_id.0)),
                    member_external_id: Set(Some(change.person.external_id.0)),
                    member_name: Set(Some(change.person.name)),
                    moved_from_id: Set(moved_from_id),
                    moved_from_name: Set(moved_from_name),
                    ..row
                }
            }
        }
    }

    /// A planned row of a run about nothing yet.
    fn blank_row(&self, run: &run::Model, id: Uuid) -> run_change::ActiveModel {
        run_change::ActiveModel {
            id: Set(id),
            run_id: Set(run.id),
            organization_id: Set(run.organization_id),
            integration_id: Set(run.integration_id),
            sequence: Set(0),
            object_kind: Set(String::new()),
            action: Set(String::new()),
            outcome: Set(ChangeOutcome::Planned.as_str().into()),
            external_id: Set(String::new()),
            platform_id: Set(None),
            display_name: Set(String::new()),
            before: Set(None),
            after: Set(None),
            matched_by: Set(None),
            moves_address: Set(false),
            waits_for: Set(None),
            component: Set(None),
            component_order: Set(None),
            needs_confirmation: Set(false),
            source_hash: Set(String::new()),
            dirty_mark: Set(None),
            reason_code: Set(None),
            reason_message: Set(None),
            reason_field: Set(None),
            hold_category: Set(None),
            source: Set(None),
            member_id: Set(None),
            member_external_id: Set(None),
            member_name: Set(None),
            moved_from_id: Set(None),
            moved_from_name: Set(None),
            depends_on: Set(None),
            event_sequence: Set(None),
            occurred_at: Set(self.now()),
            search_key: Set(String::new()),
            member_search_key: Set(String::new()),
        }
    }
}

/// Marks the plan as complete: a worker that takes the run up from here goes on with the stored rows.
pub(crate) async fn complete(
    tx: &mut RunTx,
    hold: Option<Uuid>,
    plan_hash: Option<String>,
    notes: &[RunWarning],
) -> Result<(), StoreError> {
    tx.set(|update| {
        update
            .col_expr(run::Column::Warnings, to_json(&notes).into())
            .col_expr(run::Column::Stage, RunStage::Apply.as_str().into())
            .col_expr(run::Column::HoldId, hold.into())
            .col_expr(run::Column::PlanHash, plan_hash.into())
    })
    .await
}

/// Whether a plan can end what earlier runs held: there is something, and the run is no preview.
async fn ends_holds(tx: &RunTx) -> Result<bool, StoreError> {
    let run = tx.run();
    let is_preview = run.kind == RunKind::Preview.as_str();
    Ok(!is_preview && is_any_held(tx, run.integration_id.into()).await?)
}

/// Looks for the rows of a run that are to be applied.
pub(crate) fn planned(lease: &Lease) -> sea_orm::Select<run_change::Entity> {
    run_change::Entity::of_run(lease.run_id.0)
        .filter(run_change::Column::Outcome.eq(ChangeOutcome::Planned.as_str()))
}

/// Inserts rows at the end of the change log, whose length the row of the run already says. What is left out is told at once.
pub(crate) async fn insert_rows(
    tx: &RunTx,
    mut rows: Vec<run_change::ActiveModel>,
) -> Result<(), StoreError> {
    let run = tx.run();
    let count = signed(rows.len() as u64);
    for (n, row) in (0_i64..).zip(&mut rows) {
        row.sequence = Set(run.change_count - count + n + 1);
        row.search_key = Set(search_key(&[row.display_name.as_ref()]));
        if let Some(member) = row.member_name.as_ref() {
            row.member_search_key = Set(search_key(&[member]));
        }
        if row.outcome.as_ref() == ChangeOutcome::Skipped.as_str() {
            row.event_sequence = Set(Some(run.sequence - count + n));
        }
    }
    for chunk in rows.chunks(rows_per_statement(36)) {
        run_change::Entity::insert_many(chunk.iter().cloned())
            .exec_without_returning(tx)
            .await
            .map_err(StoreError::of("save planned changes"))?;
    }
    Ok(())
}
