//! Dependents: changes that count on another one are left out when that one was not made.

use lockstep_domain::{
    ChangeAction, ChangeOutcome, ChangeReasonCode, ObjectKind, TeamArchivalReason,
};
use lockstep_entity::{directory_user, run_change};
use sea_orm::sea_query::{Expr, Query, SelectStatement, UnionType};
use sea_orm::{ColumnTrait as _, Condition};
use uuid::Uuid;

use crate::guard::Reworded;
use crate::lease::Step;
use crate::lookup::among;
use crate::place::{has_unmade, is_unmade};
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
        if !has_unmade(self.db(), lease).await? {
            return Ok(());
        }
        self.leave_out_unmade(lease, step).await?;
        // A team is archived for want of reports only when all of them have left.
        let archivals = self.planned_archivals(lease).await?.into_iter();
        let want_of_reports: Vec<Uuid> = archivals
            .filter(|(_, reason)| *reason == Some(TeamArchivalReason::NoReports))
            .map(|(id, _)| id)
            .collect();
        let stays = Condition::any()
            .add(among(
                Expr::col(run_change::Column::PlatformId),
                not_left(lease),
            ))
            .add(among(
                Expr::col(run_change::Column::ExternalId),
                managers_of_who_stays(lease),
            ));
        let (skipped, none) = (left_out(), None);
        self.reword_those(lease, step, &want_of_reports, stays, &skipped, none)
            .await?;
        self.leave_out_unmade(lease, step).await?;
        self.tell_decided(lease, step, false).await
    }

    /// Leaves out what counts on changes that are not made.
    pub(crate) async fn leave_out_unmade(
        &self,
        lease: &Lease,
        step: Step,
    ) -> Result<(), StoreError> {
        if !has_unmade(self.db(), lease).await? {
            return Ok(());
        }
        let counts_on_it = among(
            Expr::col(run_change::Column::DependsOn),
            unmade_causes(lease),
        );
        let which = Condition::all().add(counts_on_it);
        self.reword(lease, step, which, &left_out(), None).await
    }
}

fn left_out() -> Reworded {
    Reworded {
        outcome: ChangeOutcome::Skipped,
        code: ChangeReasonCode::Dependency,
        message: "A change that this one counts on was not made.".to_owned(),
    }
}

/// Changes that came to nothing. They are few as a rule, and found by an index of their own.
fn unmade_causes(lease: &Lease) -> SelectStatement {
    Query::select()
        .column(run_change::Column::Id)
        .from(run_change::Entity)
        .and_where(run_change::Column::RunId.eq(lease.run_id.0))
        .and_where(is_unmade())
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
            .and_where(is_unmade())
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
        .and_where(is_unmade())
        .and_where(run_change::Column::Outcome.is_in(stays))
        .to_owned();
    Query::select()
        .column(directory_user::Column::ManagerId)
        .from(directory_user::Entity)
        .and_where(directory_user::Column::IntegrationId.eq(lease.integration_id.0))
        .and_where(among(Expr::col(directory_user::Column::ExternalId), people))
        .and_where(directory_user::Column::ManagerId.is_not_null())
        .to_owned()
}
