//! Confirm: whom a complete read missed is asked for by id, one by one, before anything is done (D-21).

use lockstep_domain::RunPhase;
use lockstep_graph::{Presence, UserSelect};
use lockstep_store::confirmation::Confirmations;
use lockstep_store::lease::Step;

use super::{Execution, Frozen, patch};
use crate::failure::Stop;

/// People asked for at a time: ten batches of twenty.
const CHUNK: u64 = 200;

/// Asks for every missing person; whoever is not confirmed to be gone stays.
///
/// # Errors
/// Why the run does not go on.
pub(super) async fn confirm(execution: &mut Execution<'_>, frozen: &Frozen) -> Result<(), Stop> {
    let total = execution
        .worker
        .store
        .count_unconfirmed(&execution.lease)
        .await?;
    let mut processed = 0;
    loop {
        let rows = execution
            .worker
            .store
            .unconfirmed(&execution.lease, CHUNK)
            .await?;
        if rows.is_empty() {
            return Ok(());
        }
        processed += rows.len() as u64;
        let ids: Vec<String> = rows.iter().map(|(_, id)| id.0.clone()).collect();
        let answers = frozen
            .client
            .users_by_id(&ids, UserSelect::default())
            .await?;
        let mut said = Confirmations::default();
        for (row, external) in rows {
            match answers
                .iter()
                .find(|(id, _)| *id == external.0)
                .map(|(_, presence)| presence)
            {
                Some(Presence::Gone) => said.gone.push((row, external)),
                Some(Presence::Found(user)) => said.found.push((row, patch::patch(user.clone()))),
                Some(Presence::Unknown(_)) | None => said.unknown.push(row),
            }
        }
        let step = Step {
            phase: RunPhase::ConfirmingDepartures,
            processed,
            total: Some(total.max(processed)),
        };
        let run = execution
            .worker
            .store
            .save_confirmations(&execution.lease, step, said)
            .await?;
        execution.reached(run).await?;
    }
}
