//! Fetch: the directory into the mirror (D-52), users first, then groups and their members when teams are made from them.
//!
//! A complete read takes the delta link first and lists afterwards, so that whatever happens while it lists comes
//! again with the next read of changes. When a delta link is there already, its changes are taken over before the
//! list: what the list then still finds was missed by delta, and is counted. They are taken over once more after it, as
//! they have the last word.

mod groups;
mod members;
mod reading;
mod users;

use lockstep_domain::{ReadMode, RunErrorCode, RunPhase};
use lockstep_graph::DeltaLink;
use lockstep_store::lease::Step;
use lockstep_store::read::{NextRead, ReadEnd};
use uuid::Uuid;

use self::groups::Groups;
pub(crate) use self::groups::select as groups_select;
use self::reading::{Reading, Round};
use self::users::Users;
use super::{Execution, Frozen};
use crate::failure::{Failure, Stop};

/// How often a round begins again because Graph forgot its pages.
const ROUNDS: u32 = 3;

/// Reads the directory into the mirror, completely or what changed.
///
/// # Errors
/// Why the read was not complete; nothing is concluded from it then.
pub(super) async fn fetch(execution: &mut Execution<'_>, frozen: &Frozen) -> Result<(), Stop> {
    let integration = &frozen.integration;
    let link = usable_link(
        integration.users_delta_link.as_deref(),
        integration.users_select.as_deref(),
        &users::SELECT.fingerprint(),
    );
    let mode = read_mode(execution, frozen, link.is_some()).await?;
    let store = &execution.worker.store;
    let run = store.begin_read(&execution.lease, mode).await?;
    execution.reached(run).await?;
    let users = Reading::of(execution, frozen, Users)
        .read(mode, link)
        .await?;
    let (mode, missed_users, list_mark) = (users.mode, users.missed_by_delta, users.list_mark);
    let users_link = Reading::of(execution, frozen, Users)
        .catch_up(users)
        .await?;
    let groups = fetch_groups(execution, frozen, mode).await?;
    let groups_mark = groups.as_ref().and_then(|groups| groups.list_mark);
    // What came up after the users were listed is for the next run.
    let listed_for = match mode {
        ReadMode::Full => list_mark,
        ReadMode::Delta => groups_mark,
    };
    if let Some(mark) = listed_for {
        note_listed(execution, mark).await?;
    }
    if mode == ReadMode::Full {
        execution.worker.store.refresh_statistics().await?;
    }
    let (groups, missed) = groups.map(|groups| (groups.next, groups.missed)).unzip();
    let missed_by_delta = match (missed_users, missed.flatten()) {
        (None, None) => None,
        (users, groups) => Some(users.unwrap_or_default() + groups.unwrap_or_default()),
    };
    let end = ReadEnd {
        mode,
        users: NextRead {
            delta_link: users_link.into_string(),
            select: users::SELECT.fingerprint(),
        },
        groups,
        missed_by_delta,
    };
    let store = &execution.worker.store;
    let run = store.end_read(&execution.lease, &end).await?;
    execution.reached(run).await
}

/// How groups were read.
struct GroupsRead {
    /// Where the next read goes on.
    next: NextRead,
    /// How much the reads of changes had missed.
    missed: Option<u64>,
    /// The cause for which everything was listed.
    list_mark: Option<Uuid>,
}

/// Reads groups and members, if teams are made from groups; without that, no permission for groups is needed (E-026).
async fn fetch_groups(
    execution: &mut Execution<'_>,
    frozen: &Frozen,
    mode: ReadMode,
) -> Result<Option<GroupsRead>, Stop> {
    if !frozen.rules.group_teams.enabled {
        return Ok(None);
    }
    let select = groups::select(&frozen.rules);
    let integration = &frozen.integration;
    let link = usable_link(
        integration.groups_delta_link.as_deref(),
        integration.groups_select.as_deref(),
        &select.fingerprint(),
    );
    let mut read = Reading::of(execution, frozen, Groups(select))
        .read(mode, link.clone())
        .await?;
    groups::confirm_missing(execution, frozen).await?;
    let is_full = read.mode == ReadMode::Full;
    let members = members::list(execution, frozen, is_full).await?;
    if members.asked > 0 && read.mode == ReadMode::Delta {
        // Of a new group the changes may say more than a list that lags behind.
        read.since = link;
    }
    let missed = read
        .missed_by_delta
        .map(|missed| missed + members.different);
    let list_mark = read.list_mark;
    let link = Reading::of(execution, frozen, Groups(select))
        .in_phase(RunPhase::ReadingMembers)
        .catch_up(read)
        .await?;
    let next = NextRead {
        delta_link: link.into_string(),
        select: select.fingerprint(),
    };
    Ok(Some(GroupsRead {
        next,
        missed,
        list_mark,
    }))
}

async fn note_listed(execution: &mut Execution<'_>, mark: Uuid) -> Result<(), Stop> {
    let step = Step {
        phase: RunPhase::ReadingMembers,
        processed: 0,
        total: None,
    };
    let store = &execution.worker.store;
    let run = store.clear_list(&execution.lease, step, mark).await?;
    execution.reached(run).await
}

/// A link tracks the attributes it was asked with; with others it is of no use.
fn usable_link(link: Option<&str>, tracked: Option<&str>, wanted: &str) -> Option<DeltaLink> {
    link.filter(|_| tracked == Some(wanted)).map(DeltaLink::new)
}

/// Everything is read the first time, once a week, when someone asks for it, when a worker that was lost had begun to,
/// and when only a list can tell how things are: someone was missing from the last one, or came back from a deletion.
async fn read_mode(
    execution: &Execution<'_>,
    frozen: &Frozen,
    has_link: bool,
) -> Result<ReadMode, Stop> {
    let store = &execution.worker.store;
    let age = frozen
        .integration
        .last_full_read_at
        .map(|at| store.now() - at);
    let limit = chrono::Duration::days(i64::from(frozen.rules.full_read_every_days));
    let began_full = execution.run.read_mode == Some(ReadMode::Full);
    let full = !has_link
        || execution.run.full_requested
        || began_full
        || age.is_none_or(|age| age >= limit)
        || store.waits_for_a_list(frozen.integration.id).await?;
    Ok(if full {
        ReadMode::Full
    } else {
        ReadMode::Delta
    })
}

fn incomplete() -> Stop {
    Stop::Failed(Box::new(Failure::new(
        RunErrorCode::IncompleteRead,
        "The directory could not be read to the end, so nothing was concluded from it.",
        None,
    )))
}
