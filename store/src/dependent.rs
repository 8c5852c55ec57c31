//! Dependents: changes that count on another one are left out when that one was not made.

use lockstep_domain::{
    ChangeAction, ChangeOutcome, ChangeReasonCode, ObjectKind, TeamArchivalReason,
};
use lockstep_entity::{directory_user, run_change};
use sea_orm::sea_query::{Alias, Expr, Query, SelectStatement, UnionType};
use sea_orm::{ColumnTrait as _, Condition, ExprTrait as _};
use uuid::Uuid;

use crate::column::rows_per_statement;
use crate::guard::Reworded;
use crate::lease::Step;
use crate::team_guard::REMOVALS;
use crate::{Lease, Store, StoreError};

/// Outcomes of what was planned and is not made.
const NOT_MADE: [ChangeOutcome; 3] = [
    ChangeOutcome::Skipped,
    ChangeOutcome::Held,
    ChangeOutcome::Failed,
];

impl Store {
    /// Leaves out what counts on changes that were not made, so that no team is archived, and nobody removed, because of a
    /// departure that did not happen. Safe to repeat.
    ///
    /// # Errors
    /// When the database fails or the lease is lost.
    pub async fn drop_dependents(&self, lease: &Lease, step: Step) -> Result<(), StoreError> {
        self.leave_out_unmade(lease, step).await?;
        // A team is archived for want of reports only when all of them have left.
        let archivals = self.planned_archivals(lease).await?.into_iter();
        let want_of_reports: Vec<Uuid> = archivals
            .filter(|(_, reason)| *reason == Some(TeamArchivalReason::NoReports))
            .map(|(id, _)| id)
            .collect();
        for ids in want_of_reports.chunks(rows_per_statement(8)) {
            let stays = Condition::any()
                .add(run_change::Column::PlatformId.in_subquery(not_left(lease)))
                .add(run_change::Column::ExternalId.in_subquery(managers_of_who_stays(lease)));
            let those = run_change::Column::Id.is_in(ids.iter().copied());
            let which = Condition::all().add(those).add(stays);
            self.leave_out(lease, step, which).await?;
        }
        self.leave_out_unmade(lease, step).await?;
        self.tell_decided(lease, step, false).await
    }

    /// Leaves out what counts on changes that are not made.
    pub(crate) async fn leave_out_unmade(
        &self,
        lease: &Lease,
        step: Step,
    ) -> Result<(), StoreError> {
        let which = Expr::exists(unmade_cause(lease)).into();
        self.leave_out(lease, step, which).await
    }

    async fn leave_out(
        &self,
        lease: &Lease,
        step: Step,
        which: Condition,
    ) -> Result<(), StoreError> {
        let outcome = Reworded {
            outcome: ChangeOutcome::Skipped,
            code: ChangeReasonCode::Dependency,
            message: "A change that this one counts on was not made.".to_owned(),
        };
        self.reword(lease, step, which, &outcome, None).await
    }
}

/// The change that a row depends on, when it came to nothing.
fn unmade_cause(lease: &Lease) -> SelectStatement {
    let cause = Alias::new("cause");
    let made = [ChangeOutcome::Planned, ChangeOutcome::Applied].map(ChangeOutcome::as_str);
    Query::select()
        .expr(Expr::val(1))
        .from_as(run_change::Entity, cause.clone())
        .and_where(Expr::col((cause.clone(), run_change::Column::RunId)).eq(lease.run_id.0))
        .and_where(
            Expr::col((cause.clone(), run_change::Column::Id))
                .equals((run_change::Entity, run_change::Column::DependsOn)),
        )
        .and_where(Expr::col((cause, run_change::Column::Outcome)).is_not_in(made))
        .to_owned()
}

/// Teams that someone was to leave and did not, by a removal or by a move to another.
fn not_left(lease: &Lease) -> SelectStatement {
    let stays = NOT_MADE.map(ChangeOutcome::as_str);
    let rows = |team: run_change::Column| {
        Query::select()
            .column(team)
            .from(run_change::Entity)
            .and_where(run_change::Column::RunId.eq(lease.run_id.0))
            .and_where(run_change::Column::ObjectKind.eq(ObjectKind::Membership.as_str()))
            .and_where(run_change::Column::Outcome.is_in(stays))
            .and_where(team.is_not_null())
            .to_owned()
    };
    rows(run_change::Column::PlatformId)
        .and_where(run_change::Column::Action.is_in(REMOVALS))
        .union(UnionType::Distinct, rows(run_change::Column::MovedFromId))
        .to_owned()
}

/// Managers of people whose departure is held or left out. Someone whom an owner removed from the team by hand still
/// reports.
fn managers_of_who_stays(lease: &Lease) -> SelectStatement {
    let stays = NOT_MADE.map(ChangeOutcome::as_str);
    let people = Query::select()
        .column(run_change::Column::ExternalId)
        .from(run_change::Entity)
        .and_where(run_change::Column::RunId.eq(lease.run_id.0))
        .and_where(run_change::Column::Action.eq(ChangeAction::Deactivate.as_str()))
        .and_where(run_change::Column::Outcome.is_in(stays))
        .to_owned();
    Query::select()
        .column(directory_user::Column::ManagerId)
        .from(directory_user::Entity)
        .and_where(directory_user::Column::IntegrationId.eq(lease.integration_id.0))
        .and_where(directory_user::Column::ExternalId.in_subquery(people))
        .and_where(directory_user::Column::ManagerId.is_not_null())
        .to_owned()
}
