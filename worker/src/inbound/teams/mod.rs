//! Plan the teams: for every group and manager that has to be looked at, what has to change; then the guard.
//!
//! They are planned after the guard has looked at the users, against the users as this run will leave them: people who are
//! created in the same run are there already, and nothing follows from a departure that is held.

mod batches;
mod chunk;
mod joining;
mod leaving;

use std::collections::BTreeSet;

use lockstep_domain::{RunPhase, RunWarning, RunWarningCode, TeamSource, name_key};
use lockstep_store::guard::Verdict;
use lockstep_store::lease::Step;
use lockstep_store::team_key::DirtyTeam;

use self::chunk::Chunk;
use super::{Execution, Frozen};
use crate::failure::Stop;
use crate::run::is_preview;

/// Teams that are planned together.
const CHUNK: u64 = 100;

/// Pairs of team and person that are decided on together. Memory depends on this, not on the size of a team.
const PAGE: u64 = 1_000;

/// What concerns more than one team while a run plans them.
#[derive(Debug, Default)]
struct Ledger {
    /// Names that this run gives, by their keys: one for each team that is created or renamed.
    claimed: BTreeSet<String>,
    unsupported: u64,
    self_managers: u64,
    in_circles: u64,
    without_manager: u64,
}

impl Ledger {
    fn is_claimed(&self, name: &str) -> bool {
        self.claimed.contains(&name_key(name))
    }

    fn claim(&mut self, name: &str) {
        self.claimed.insert(name_key(name));
    }

    fn warnings(&self) -> impl Iterator<Item = RunWarning> {
        [
            (
                RunWarningCode::UnsupportedMembers,
                self.unsupported,
                "Members of groups that are devices, applications or contacts were left out.",
            ),
            (
                RunWarningCode::SelfManager,
                self.self_managers,
                "People are their own manager in Microsoft Entra ID; that is ignored.",
            ),
            (
                RunWarningCode::ManagerCycle,
                self.in_circles,
                "People report to each other in a circle in Microsoft Entra ID.",
            ),
            (
                RunWarningCode::ManagerOutOfScope,
                self.without_manager,
                "The managers of people are not synchronized, so the people are in no manager's team.",
            ),
        ]
        .into_iter()
        .filter(|(_, count, _)| *count > 0)
        .map(|(code, count, message)| RunWarning {
            code,
            message: message.to_owned(),
            count,
        })
    }
}

/// Walks the teams that have to be looked at, stores what the planners decide, and has the guard look at it. `users` is
/// what the guard decided about the users.
///
/// # Errors
/// Why the run does not go on.
pub(super) async fn plan(
    execution: &mut Execution<'_>,
    frozen: &Frozen,
    users: Verdict,
) -> Result<(), Stop> {
    let store = &execution.worker.store;
    let integration = frozen.integration.id;
    store.spread(&execution.lease, &frozen.rules).await?;
    let total = store.count_dirty_teams(integration).await?;
    let mut ledger = Ledger::default();
    let (mut processed, mut after) = (0, None);
    loop {
        let store = &execution.worker.store;
        let keys = store
            .dirty_teams(integration, after.as_ref(), CHUNK)
            .await?;
        let Some(last) = keys.last() else { break };
        after = Some(last.key.clone());
        processed += keys.len() as u64;
        let step = Step {
            phase: RunPhase::Planning,
            processed,
            total: Some(total.max(processed)),
        };
        let (groups, managers): (Vec<DirtyTeam>, Vec<DirtyTeam>) = keys
            .into_iter()
            .partition(|team| team.key.source == TeamSource::Group);
        for keys in [groups, managers] {
            if !keys.is_empty() {
                Chunk::plan(execution, frozen, &mut ledger, keys, step).await?;
            }
        }
    }
    for warning in ledger.warnings() {
        execution.note(warning);
    }
    guard(execution, frozen, users).await
}

async fn guard(execution: &mut Execution<'_>, frozen: &Frozen, users: Verdict) -> Result<(), Stop> {
    let store = &execution.worker.store;
    let preview = is_preview(&execution.run);
    let (run, verdict) = store
        .guard_teams(
            &execution.lease,
            &frozen.rules,
            users,
            &execution.notes,
            preview,
        )
        .await?;
    for excess in &verdict.held {
        tracing::warn!(run.id = %run.id, category = %excess.category, count = excess.count, "Changes are held");
    }
    execution.reached(run).await
}
