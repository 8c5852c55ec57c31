//! The loader of histories.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::dataloader::Loader;
use lockstep_store::StoreError;
use lockstep_store::change::Change;
use lockstep_store::history::HistoryRequest;
use lockstep_store::page::Page;
use uuid::Uuid;

use super::{Reader, by_request};

/// Key of a page of the history of a user or team.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct HistoryOf(pub(crate) Uuid, pub(crate) HistoryRequest);

impl Loader<HistoryOf> for Reader {
    type Value = Page<Change>;
    type Error = Arc<StoreError>;

    async fn load(
        &self,
        keys: &[HistoryOf],
    ) -> Result<HashMap<HistoryOf, Self::Value>, Self::Error> {
        let Some(organization) = self.organization else {
            return Ok(HashMap::new());
        };
        let mut found = HashMap::with_capacity(keys.len());
        for (request, whose) in by_request(keys.iter().map(|key| (&key.1, key.0))) {
            let pages = self.store.histories(organization, &whose, request).await?;
            let keyed = |(id, page)| (HistoryOf(id, request.clone()), page);
            found.extend(pages.into_iter().map(keyed));
        }
        Ok(found)
    }
}
