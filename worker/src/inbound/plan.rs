//! Plan the users: for everyone who has to be looked at, what has to change; then the guard.

use lockstep_domain::{ExternalId, ReadMode, RunPhase};
use lockstep_store::dirty::DirtyKey;
use lockstep_store::guard::Verdict;
use lockstep_store::lease::Step;
use lockstep_store::plan::{MarkedChange, PlannedChunk};
use lockstep_store::run::Run;
use lockstep_sync::inbound::users::{self, Decision, Surroundings};

use super::{Execution, Frozen};
use crate::failure::Stop;
use crate::run::is_preview;

/// Accounts that are planned together. Memory depends on this, not on the tenant.
const CHUNK: u64 = 500;

/// Walks the dirty keys, stores what the planner decides, and has the guard look at the whole.
///
/// # Errors
/// Why the run does not go on.
pub(super) async fn plan(execution: &mut Execution<'_>, frozen: &Frozen) -> Result<Verdict, Stop> {
    let integration = frozen.integration.id;
    let total = execution
        .worker
        .store
        .count_dirty_users(integration)
        .await?;
    let mut processed = 0;
    let mut after: Option<String> = None;
    loop {
        let keys = execution
            .worker
            .store
            .dirty_users(integration, after.as_deref(), CHUNK)
            .await?;
        let Some(last) = keys.last() else { break };
        after = Some(last.key.clone());
        processed += keys.len() as u64;
        let chunk = decide(execution, frozen, keys).await?;
        let step = Step {
            phase: RunPhase::Planning,
            processed,
            total: Some(total.max(processed)),
        };
        let run = execution
            .worker
            .store
            .save_plan(&execution.lease, step, chunk)
            .await?;
        execution.reached(run).await?;
    }
    let store = &execution.worker.store;
    let preview = is_preview(&execution.run);
    let (run, verdict) = store
        .guard_users(&execution.lease, &frozen.rules, preview)
        .await?;
    execution.reached(run).await?;
    let store = &execution.worker.store;
    store.part_addresses(&execution.lease).await?;
    Ok(verdict)
}

async fn decide(
    execution: &Execution<'_>,
    frozen: &Frozen,
    keys: Vec<DirtyKey>,
) -> Result<PlannedChunk, Stop> {
    let ids: Vec<ExternalId> = keys.iter().map(|key| ExternalId(key.key.clone())).collect();
    let integration = &frozen.integration;
    let hood = execution
        .worker
        .store
        .neighbourhood(integration.organization_id, integration.id, &ids)
        .await?;
    let world = Surroundings::new(
        integration.id,
        &frozen.rules,
        hood.accounts,
        hood.users,
        hood.links,
    );
    let decisions = users::plan(&ids, &world, &frozen.rules);
    Ok(chunk(keys, decisions, &execution.run))
}

/// Sorts decisions into changes and keys that are done with. A preview is done with nothing but what is right.
fn chunk(keys: Vec<DirtyKey>, decisions: Vec<Decision>, run: &Run) -> PlannedChunk {
    let preview = is_preview(run);
    // Only a complete read says how many are right; what a delta names was changed, or marked for another reason.
    let counts_right = run.read_mode == Some(ReadMode::Full);
    let mut chunk = PlannedChunk::default();
    for (key, decision) in keys.into_iter().zip(decisions) {
        let account = || ExternalId(key.key.clone());
        chunk.listed.extend(decision.stays.then(account));
        chunk
            .keep_address
            .extend(decision.keeps_address.then(account));
        let final_ones = decision.changes.iter().all(|change| {
            change
                .skipped
                .as_ref()
                .is_some_and(|r| !r.code.is_retried())
        });
        chunk.unchanged +=
            u64::from(counts_right && decision.linked && decision.changes.is_empty());
        chunk.incomplete += u64::from(decision.incomplete);
        let is_right = decision.changes.is_empty() && !decision.incomplete;
        let is_settled = is_right || (final_ones && !preview);
        let mark = key.mark;
        chunk.changes.extend(
            decision
                .changes
                .into_iter()
                .map(|change| MarkedChange { change, mark }),
        );
        if is_settled {
            chunk.settled.push(key);
        }
    }
    chunk
}
