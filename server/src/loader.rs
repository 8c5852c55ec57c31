//! Data loaders: the rows that the fields of one operation ask for one by one are read with one statement a kind and
//! wave; see [`wave`].

mod history;
mod integration;
mod team;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::{
    Context,
    dataloader::{DataLoader, Loader},
};
use lockstep_domain::{HoldId, IntegrationId, OrganizationId, RunId, UserId};
use lockstep_store::{
    Store, StoreError, credential::Credential, hold, integration as stored, run,
    user::Deactivation, user::LinkRow,
};

pub(crate) use self::history::HistoryOf;
pub(crate) use self::integration::{
    ActiveRunOf, EntitledTo, LatestRunOf, LatestTestOf, OpenHoldOf,
};
pub(crate) use self::team::{HoldsOf, ManagerOf, MembersOf, TeamMadeFrom, TeamsOf, ViaGroupOf};
use crate::error::Result;
use crate::wave;

/// Greatest number of rows that one statement reads. A hundred pages of a hundred fit, and two values for each row are
/// below the 32,766 that SQLite takes.
const MAX_BATCH: usize = 15_000;

/// The loaders of one operation.
pub(crate) struct Loaders(DataLoader<Reader>);

/// Reads rows of one organization.
pub(crate) struct Reader {
    store: Store,
    /// None for staff, who see nothing of any organization but its name and add-ons.
    organization: Option<OrganizationId>,
}

/// Key of the link of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LinkOf(pub(crate) UserId);

/// Key of who deactivated a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct DeactivationOf(pub(crate) UserId);

/// Key of the credentials of an integration that was looked up in its organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct CredentialOf(pub(crate) IntegrationId);

/// Key of a version of the rules of an integration that was looked up in its organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RulesOf(pub(crate) IntegrationId, pub(crate) i32);

impl Loaders {
    /// Makes the loaders of one operation.
    pub(crate) fn new(store: Store, organization: Option<OrganizationId>) -> Self {
        let reader = Reader {
            store,
            organization,
        };
        Self(
            DataLoader::new(reader, wave::join)
                .delay(Duration::ZERO)
                .max_batch_size(MAX_BATCH),
        )
    }

    /// Loads one row.
    pub(crate) async fn one<K>(
        ctx: &Context<'_>,
        key: K,
    ) -> Result<Option<<Reader as Loader<K>>::Value>>
    where
        K: Send + Sync + Hash + Eq + Clone + 'static,
        Reader: Loader<K, Error = Arc<StoreError>>,
    {
        Ok(ctx.data_unchecked::<Self>().0.load_one(key).await?)
    }
}

fn by_key<K: Hash + Eq, V>(rows: Vec<V>, key: impl Fn(&V) -> K) -> HashMap<K, V> {
    rows.into_iter().map(|row| (key(&row), row)).collect()
}

/// Puts together who is asked for with the same request, so that each distinct one is read once.
fn by_request<'a, R: Hash + Eq, I>(
    keys: impl Iterator<Item = (&'a R, I)>,
) -> HashMap<&'a R, Vec<I>> {
    let mut asked: HashMap<&R, Vec<I>> = HashMap::new();
    for (request, item) in keys {
        asked.entry(request).or_default().push(item);
    }
    asked
}

impl Loader<UserId> for Reader {
    type Value = lockstep_domain::PlatformUser;
    type Error = Arc<StoreError>;

    async fn load(&self, keys: &[UserId]) -> Result<HashMap<UserId, Self::Value>, Self::Error> {
        let Some(organization) = self.organization else {
            return Ok(HashMap::new());
        };
        Ok(by_key(
            self.store.users_by_id(organization, keys).await?,
            |row| row.id,
        ))
    }
}

impl Loader<LinkOf> for Reader {
    type Value = LinkRow;
    type Error = Arc<StoreError>;

    async fn load(&self, keys: &[LinkOf]) -> Result<HashMap<LinkOf, Self::Value>, Self::Error> {
        let Some(organization) = self.organization else {
            return Ok(HashMap::new());
        };
        let users: Vec<UserId> = keys.iter().map(|key| key.0).collect();
        let rows = self.store.links_by_user(organization, &users).await?;
        Ok(by_key(rows, |row| LinkOf(row.link.user_id)))
    }
}

impl Loader<DeactivationOf> for Reader {
    type Value = Deactivation;
    type Error = Arc<StoreError>;

    async fn load(
        &self,
        keys: &[DeactivationOf],
    ) -> Result<HashMap<DeactivationOf, Self::Value>, Self::Error> {
        let Some(organization) = self.organization else {
            return Ok(HashMap::new());
        };
        let users: Vec<UserId> = keys.iter().map(|key| key.0).collect();
        let rows = self.store.deactivations_of(organization, &users).await?;
        Ok(by_key(rows, |row| DeactivationOf(row.user_id)))
    }
}

impl Loader<IntegrationId> for Reader {
    type Value = stored::Integration;
    type Error = Arc<StoreError>;

    async fn load(
        &self,
        keys: &[IntegrationId],
    ) -> Result<HashMap<IntegrationId, Self::Value>, Self::Error> {
        let Some(organization) = self.organization else {
            return Ok(HashMap::new());
        };
        Ok(by_key(
            self.store.integrations_by_id(organization, keys).await?,
            |row| row.id,
        ))
    }
}

impl Loader<CredentialOf> for Reader {
    type Value = Credential;
    type Error = Arc<StoreError>;

    async fn load(
        &self,
        keys: &[CredentialOf],
    ) -> Result<HashMap<CredentialOf, Self::Value>, Self::Error> {
        let ids: Vec<IntegrationId> = keys.iter().map(|key| key.0).collect();
        let rows = self.store.credentials_of(&ids).await?;
        Ok(rows
            .into_iter()
            .map(|(id, row)| (CredentialOf(id), row))
            .collect())
    }
}

impl Loader<RulesOf> for Reader {
    type Value = stored::RulesVersion;
    type Error = Arc<StoreError>;

    async fn load(&self, keys: &[RulesOf]) -> Result<HashMap<RulesOf, Self::Value>, Self::Error> {
        let keys: Vec<(IntegrationId, i32)> = keys.iter().map(|key| (key.0, key.1)).collect();
        let rows = self.store.rules_versions(&keys).await?;
        Ok(by_key(rows, |row| RulesOf(row.integration_id, row.version)))
    }
}

impl Loader<RunId> for Reader {
    type Value = run::Run;
    type Error = Arc<StoreError>;

    async fn load(&self, keys: &[RunId]) -> Result<HashMap<RunId, Self::Value>, Self::Error> {
        let Some(organization) = self.organization else {
            return Ok(HashMap::new());
        };
        Ok(by_key(
            self.store.runs_by_id(organization, keys).await?,
            |row| row.id,
        ))
    }
}

impl Loader<HoldId> for Reader {
    type Value = hold::Hold;
    type Error = Arc<StoreError>;

    async fn load(&self, keys: &[HoldId]) -> Result<HashMap<HoldId, Self::Value>, Self::Error> {
        let Some(organization) = self.organization else {
            return Ok(HashMap::new());
        };
        Ok(by_key(
            self.store.holds_by_id(organization, keys).await?,
            |row| row.id,
        ))
    }
}
