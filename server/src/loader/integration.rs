//! Loaders of what belongs to single integrations. An organization has few of them, so each is asked for by itself, but
//! once, however many rows of a page name it.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::Loader;
use lockstep_domain::{IntegrationId, OrganizationId};
use lockstep_store::StoreError;
use lockstep_store::connection_test::ConnectionTest;
use lockstep_store::hold::Hold;
use lockstep_store::organization::INBOUND_SYNC;
use lockstep_store::run::Run;

use super::Reader;

/// Key of the latest test of an integration that was looked up in its organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LatestTestOf(pub(crate) IntegrationId);

/// Key of the latest finished run of an integration that was looked up in its organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LatestRunOf(pub(crate) IntegrationId);

/// Key of the queued or running run of an integration that was looked up in its organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ActiveRunOf(pub(crate) IntegrationId);

/// Key of the open hold of an integration that was looked up in its organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct OpenHoldOf(pub(crate) IntegrationId);

/// Key of whether an organization has the add-on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct EntitledTo(pub(crate) OrganizationId);

/// A loader whose rows are read one by one.
macro_rules! one_by_one {
    ($key:ident => $value:ty, |$store:ident, $id:ident| $row:expr) => {
        impl Loader<$key> for Reader {
            type Value = $value;
            type Error = Arc<StoreError>;

            async fn load(&self, keys: &[$key]) -> Result<HashMap<$key, $value>, Self::Error> {
                let $store = &self.store;
                let mut found = HashMap::with_capacity(keys.len());
                for key in keys {
                    let $id = key.0;
                    if let Some(row) = $row.await? {
                        found.insert(*key, row);
                    }
                }
                Ok(found)
            }
        }
    };
}

one_by_one!(LatestTestOf => ConnectionTest, |store, id| store.latest_test(id));
one_by_one!(LatestRunOf => Run, |store, id| store.latest_finished_run(id));
one_by_one!(ActiveRunOf => Run, |store, id| store.active_run(store.db(), id));
one_by_one!(OpenHoldOf => Hold, |store, id| store.open_hold_of(id));
one_by_one!(EntitledTo => bool, |store, id| async {
    store.is_entitled(id, INBOUND_SYNC).await.map(Some)
});
