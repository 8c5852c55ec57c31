//! Apply: the stored rows, a chunk a transaction, until none is left.

use lockstep_domain::{RunErrorCode, RunPhase};
use lockstep_store::apply::{Applied, CHUNK};
use lockstep_store::lease::Step;

use super::Execution;
use crate::failure::{Failure, Stop};

/// D-47: a run fails when more than this share of the rows that were tried failed …
const MAX_FAILED_PERCENT: u64 = 40;
/// … but not before so many were tried.
const MIN_TRIED: u64 = 20;

/// Applies what is planned.
///
/// # Errors
/// Why the run does not go on.
pub(super) async fn apply(execution: &mut Execution<'_>) -> Result<(), Stop> {
    let total = execution
        .worker
        .store
        .count_planned(&execution.lease)
        .await?;
    let mut done = Applied::default();
    loop {
        let progress = Step {
            phase: RunPhase::ApplyingUsers,
            processed: done.total(),
            total: Some(total.max(done.total())),
        };
        let applied = execution
            .worker
            .store
            .apply_next(&execution.lease, progress, CHUNK)
            .await?;
        let Some((run, chunk)) = applied else {
            return Ok(());
        };
        execution.reached(run).await?;
        done = Applied {
            applied: done.applied + chunk.applied,
            skipped: done.skipped + chunk.skipped,
            failed: done.failed + chunk.failed,
        };
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
        };
        assert!(!too_many_failed(done(0, 19)));
        assert!(!too_many_failed(done(12, 8)), "forty percent are allowed");
        assert!(too_many_failed(done(11, 9)));
    }
}
