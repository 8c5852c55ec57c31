//! What a run did and cost, in numbers.

use async_graphql::{Object, SimpleObject};
use lockstep_domain as domain;

use crate::scalar::int;

/// The counters of a run.
pub(crate) struct RunSummary(pub(crate) domain::RunSummary);

/// Changes of a run counted by kind of object.
#[Object]
impl RunSummary {
    /// Changes of users.
    async fn users(&self) -> ChangeCounts {
        self.0.users.into()
    }

    /// Changes of teams.
    async fn teams(&self) -> ChangeCounts {
        self.0.teams.into()
    }

    /// Changes of memberships of teams.
    async fn memberships(&self) -> ChangeCounts {
        self.0.memberships.into()
    }

    /// Changes of every kind of object together.
    async fn total(&self) -> ChangeCounts {
        let domain::RunSummary {
            users,
            teams,
            memberships,
            conflicts: _,
        } = self.0;
        sum([users, teams, memberships]).into()
    }

    /// People about whom the run could not decide.
    async fn conflicts(&self) -> i32 {
        int(self.0.conflicts)
    }
}

fn sum(parts: [domain::ChangeCounts; 3]) -> domain::ChangeCounts {
    parts
        .into_iter()
        .fold(domain::ChangeCounts::default(), |a, b| {
            domain::ChangeCounts {
                created: a.created + b.created,
                linked: a.linked + b.linked,
                updated: a.updated + b.updated,
                deactivated: a.deactivated + b.deactivated,
                reactivated: a.reactivated + b.reactivated,
                removed: a.removed + b.removed,
                unchanged: a.unchanged + b.unchanged,
                skipped: a.skipped + b.skipped,
                held: a.held + b.held,
                failed: a.failed + b.failed,
            }
        })
}

/// Number of objects by what was done with them; a preview counts what would be done.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct ChangeCounts {
    /// Created.
    created: i32,
    /// Existing users who were linked to an account of the directory.
    linked: i32,
    /// Updated.
    updated: i32,
    /// Deactivated; for teams, archived.
    deactivated: i32,
    /// Reactivated; for teams, brought back from the archive.
    reactivated: i32,
    /// Removed; for memberships only, as nothing else is ever deleted.
    removed: i32,
    /// Found as they should be.
    unchanged: i32,
    /// Left out for a reason given in the change log.
    skipped: i32,
    /// Held back because of a limit; see `Run.hold`.
    held: i32,
    /// Not done because of an error given in the change log.
    failed: i32,
}

impl From<domain::ChangeCounts> for ChangeCounts {
    fn from(counts: domain::ChangeCounts) -> Self {
        Self {
            created: int(counts.created),
            linked: int(counts.linked),
            updated: int(counts.updated),
            deactivated: int(counts.deactivated),
            reactivated: int(counts.reactivated),
            removed: int(counts.removed),
            unchanged: int(counts.unchanged),
            skipped: int(counts.skipped),
            held: int(counts.held),
            failed: int(counts.failed),
        }
    }
}

/// What a run cost at Microsoft Graph.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct RunCost {
    /// Requests sent, each part of a batch counted as one.
    graph_requests: i32,
    /// Requests that were refused with the demand to slow down.
    throttled: i32,
    /// Time spent waiting because of that or to keep below the limits, in milliseconds.
    waited_ms: i32,
}

impl From<domain::RunCost> for RunCost {
    fn from(cost: domain::RunCost) -> Self {
        Self {
            graph_requests: int(cost.graph_requests),
            throttled: int(cost.throttled),
            waited_ms: int(cost.waited_ms),
        }
    }
}
