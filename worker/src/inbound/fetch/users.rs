//! Users and their managers.

use lockstep_domain::RunPhase;
use lockstep_graph::{DeltaLink, GraphClient, GraphError, Pages, User, UserSelect};
use lockstep_store::lease::Step;
use lockstep_store::run::Run;
use lockstep_store::{Lease, Store, StoreError};

use super::reading::Collection;
use crate::inbound::patch;

/// What every read of users asks for.
pub(super) const SELECT: UserSelect = UserSelect { manager: true };

/// The users of the directory.
pub(super) struct Users;

impl Collection for Users {
    type Item = User;
    const PHASE: RunPhase = RunPhase::ReadingUsers;

    fn list(&self, client: &GraphClient) -> Pages<User> {
        client.list_users(SELECT)
    }

    fn resume(&self, client: &GraphClient, link: &DeltaLink) -> Result<Pages<User>, GraphError> {
        client.resume_users(link)
    }

    async fn latest(&self, client: &GraphClient) -> Result<DeltaLink, GraphError> {
        client.users_delta_latest(SELECT).await
    }

    async fn save(
        &self,
        store: &Store,
        lease: &Lease,
        step: Step,
        items: Vec<User>,
        seen_in_attempt: Option<i32>,
    ) -> Result<(Run, u64), StoreError> {
        let page = items.into_iter().map(patch::patch).collect();
        let (run, outcome) = store.save_page(lease, step, page, seen_in_attempt).await?;
        Ok((run, outcome.changed))
    }

    async fn mark_missing(
        &self,
        store: &Store,
        lease: &Lease,
        step: Step,
        attempt: i32,
    ) -> Result<u64, StoreError> {
        store.mark_missing(lease, step, attempt).await
    }
}
