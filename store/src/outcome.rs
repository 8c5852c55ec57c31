//! Outcomes: what became of rows of the change log, and the numbers of the events that tell of it.

use lockstep_domain::{ChangeOutcome, ChangeReasonCode};
use lockstep_entity::run_change;
use sea_orm::sea_query::{CaseStatement, Expr};
use sea_orm::{EntityTrait as _, ExprTrait, QueryFilter as _};
use uuid::Uuid;

use crate::StoreError;
use crate::column::rows_per_statement;
use crate::lookup::one_of;
use crate::run_tx::RunTx;

/// Gives rows their outcome and the numbers of the events that tell of it, `first_event` and up.
pub(crate) async fn conclude(
    tx: &RunTx,
    ids: &[Uuid],
    outcome: ChangeOutcome,
    reason: Option<&(ChangeReasonCode, String)>,
    first_event: i64,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<(), StoreError> {
    let mut event = first_event;
    for chunk in ids.chunks(rows_per_statement(3)) {
        let numbers = chunk.iter().fold(CaseStatement::new(), |cases, id| {
            let number = event;
            event += 1;
            cases.case(
                ExprTrait::eq(Expr::col(run_change::Column::Id), *id),
                number,
            )
        });
        run_change::Entity::update_many()
            .col_expr(run_change::Column::Outcome, outcome.as_str().into())
            .col_expr(
                run_change::Column::ReasonCode,
                reason.map(|(code, _)| code.as_str()).into(),
            )
            .col_expr(
                run_change::Column::ReasonMessage,
                reason.map(|(_, message)| message.clone()).into(),
            )
            .col_expr(run_change::Column::EventSequence, numbers.into())
            .col_expr(run_change::Column::OccurredAt, now.into())
            .filter(one_of(tx, run_change::Column::Id, chunk.iter().copied()))
            .exec(tx)
            .await
            .map_err(StoreError::of("note outcomes"))?;
    }
    Ok(())
}
