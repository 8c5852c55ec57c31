//! Apply: the stored rows, a chunk a transaction, until none is left.

use lockstep_domain::{InboundRules, ObjectKind, RunErrorCode, RunPhase};
use lockstep_store::apply::{Applied, CHUNK};
use lockstep_store::lease::Step;

use super::Execution;
use crate::failure::{Failure, Stop};

/// D-47: a run fails when more than this share of the rows that were tried failed …
const MAX_FAILED_PERCENT: u64 = 40;
/// … but not before so many were tried.
const MIN_TRIED: u64 = 20;

/// Kinds of objects in the order in which they are applied: each can count on those before it.
const ORDER: [(ObjectKind, RunPhase); 3] = [
    (ObjectKind::User, RunPhase::ApplyingUsers),
    (ObjectKind::Team, RunPhase::ApplyingTeams),
    (ObjectKind::Membership, RunPhase::ApplyingMemberships),
];

/// Applies what is planned.
///
/// # Errors
/// Why the run does not go on.
pub(super) async fn apply(execution: &mut Execution<'_>, rules: &InboundRules) -> Result<(), Stop> {
    let mut done = Applied::default();
    for (kind, phase) in ORDER {
        let step = Step {
            phase,
            processed: 0,
            total: None,
        };
        let store = &execution.worker.store;
        if kind == ObjectKind::Team {
            // The teams were planned against users who are not all as they were to be.
            store.spread_unmade(&execution.lease, rules).await?;
        }
        // Nothing of a user counts on anything else.
        if kind != ObjectKind::User {
            store.drop_dependents(&execution.lease, step).await?;
        }
        done = apply_kind(execution, kind, phase, done).await?;
    }
    let step = Step {
        phase: RunPhase::ApplyingMemberships,
        processed: 1,
        total: Some(1),
    };
    let store = &execution.worker.store;
    Ok(store.settle_teams(&execution.lease, step).await?)
}

/// Applies the rows of one kind of object. `before` is what was done with those of other kinds.
async fn apply_kind(
    execution: &mut Execution<'_>,
    kind: ObjectKind,
    phase: RunPhase,
    before: Applied,
) -> Result<Applied, Stop> {
    let store = &execution.worker.store;
    let total = store.count_planned(&execution.lease, kind).await?;
    // From the first place, as whoever took the run up does not know where the other one stopped.
    let (mut done, mut after) = (before, 0);
    loop {
        let processed = done.total() - before.total();
        let progress = Step {
            phase,
            processed,
            total: Some(total.max(processed)),
        };
        let (store, lease) = (&execution.worker.store, &execution.lease);
        let applied = store
            .apply_next(lease, kind, progress, after, CHUNK)
            .await?;
        let Some((run, chunk)) = applied else {
            return Ok(done);
        };
        execution.reached(run).await?;
        after = chunk.through;
        done = done.and(chunk);
        if too_many_failed(done) {
            return Err(Stop::Failed(Box::new(Failure::new(
                RunErrorCode::TooManyFailures,
                format!(
                    "{} of {} changes failed, so the run was stopped.",
                    done.failed,
                    done.applied + done.failed
                ),
                Some("Look at the failed entries of the change log."),
            ))));
        }
    }
}

/// Rows that were left out do not count as tried.
fn too_many_failed(done: Applied) -> bool {
    let tried = done.applied + done.failed;
    tried >= MIN_TRIED && done.failed * 100 > tried * MAX_FAILED_PERCENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d47_more_than_two_in_five_of_at_least_twenty_stop_the_run() {
        let done = |applied, failed| Applied {
            applied,
            failed,
            skipped: 1_000,
            through: 0,
        };
        assert!(!too_many_failed(done(0, 19)));
        assert!(!too_many_failed(done(12, 8)), "forty percent are allowed");
        assert!(too_many_failed(done(11, 9)));
    }
}
