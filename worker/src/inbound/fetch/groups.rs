//! Groups, and a second question about those that a list did not name.

use lockstep_domain::{ExternalId, InboundRules, RunPhase};
use lockstep_graph::{DeltaLink, GraphClient, GraphError, Group, GroupSelect, Pages, Presence};
use lockstep_store::group::GroupConfirmations;
use lockstep_store::lease::Step;
use lockstep_store::run::Run;
use lockstep_store::{Lease, Store, StoreError};

use super::reading::Collection;
use crate::failure::Stop;
use crate::inbound::{Execution, Frozen, patch};

/// Groups asked for by id at a time: five batches of twenty.
const CHUNK: u64 = 100;

/// What every read of groups asks for.
pub(crate) const fn select(rules: &InboundRules) -> GroupSelect {
    GroupSelect {
        members: true,
        owners: rules.group_teams.owners_are_supervisors,
    }
}

/// The groups of the directory.
pub(super) struct Groups(pub(super) GroupSelect);

impl Collection for Groups {
    type Item = Group;
    const PHASE: RunPhase = RunPhase::ReadingGroups;

    fn list(&self, client: &GraphClient) -> Pages<Group> {
        client.list_groups(self.0)
    }

    fn resume(&self, client: &GraphClient, link: &DeltaLink) -> Result<Pages<Group>, GraphError> {
        client.resume_groups(link)
    }

    async fn latest(&self, client: &GraphClient) -> Result<DeltaLink, GraphError> {
        client.groups_delta_latest(self.0).await
    }

    async fn save(
        &self,
        store: &Store,
        lease: &Lease,
        step: Step,
        items: Vec<Group>,
        seen_in_attempt: Option<i32>,
    ) -> Result<(Run, u64), StoreError> {
        let page = items.into_iter().map(patch::group).collect();
        store
            .save_group_page(lease, step, page, seen_in_attempt)
            .await
    }

    async fn mark_missing(
        &self,
        store: &Store,
        lease: &Lease,
        step: Step,
        attempt: i32,
    ) -> Result<u64, StoreError> {
        store.mark_groups_missing(lease, step, attempt).await
    }
}

/// Asks for every group that was missing from a list by its id: only what Graph says is gone counts as deleted.
///
/// # Errors
/// Why the run does not go on.
pub(super) async fn confirm_missing(
    execution: &mut Execution<'_>,
    frozen: &Frozen,
) -> Result<(), Stop> {
    let (integration, mut after, mut processed) = (frozen.integration.id, None, 0);
    loop {
        let store = &execution.worker.store;
        let missing = store
            .missing_groups(integration, after.as_ref(), CHUNK)
            .await?;
        let Some(last) = missing.last() else {
            return Ok(());
        };
        after = Some(last.clone());
        processed += missing.len() as u64;
        let ids: Vec<String> = missing.iter().map(|id| id.0.clone()).collect();
        let answers = frozen
            .client
            .groups_by_id(&ids, GroupSelect::default())
            .await?;
        let mut said = GroupConfirmations::default();
        for (id, presence) in answers {
            match presence {
                Presence::Gone => said.gone.push(ExternalId(id)),
                Presence::Found(group) => said.found.push(patch::group(group)),
                Presence::Unknown(_) => {}
            }
        }
        let step = Step {
            phase: RunPhase::ReadingGroups,
            processed,
            total: None,
        };
        let run = store
            .save_group_confirmations(&execution.lease, step, said)
            .await?;
        execution.reached(run).await?;
    }
}
