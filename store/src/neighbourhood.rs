//! Neighbourhoods: everything that the decision about a few accounts can depend on.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_domain::{
    DirectoryUser, ExternalId, IntegrationId, OrganizationId, PlatformUser, UserLink,
};
use lockstep_entity::{directory_user, platform_user, user_link};
use sea_orm::{EntityTrait as _, QueryFilter as _};

use crate::column::rows_per_statement;
use crate::lookup::one_of;
use crate::mirror::{CLAIMS, accounts, read_account};
use crate::user::{read_link, read_user};
use crate::{Store, StoreError};

/// Accounts, whoever shares an address with them on either side, and the accounts behind those users.
#[derive(Debug, Clone, Default)]
pub struct Neighbourhood {
    /// Accounts of the directory.
    pub accounts: Vec<DirectoryUser>,
    /// Users of the organization.
    pub users: Vec<PlatformUser>,
    /// Ties between them; also those of other integrations.
    pub links: Vec<UserLink>,
}

impl Store {
    /// Loads the neighbourhood of accounts, in a fixed number of statements for each thousand of them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn neighbourhood(
        &self,
        organization: OrganizationId,
        integration: IntegrationId,
        keys: &[ExternalId],
    ) -> Result<Neighbourhood, StoreError> {
        let mut found = accounts(self.db(), integration, keys.iter()).await?;
        let addresses = addresses_of(found.values());
        found.extend(self.accounts_sharing(integration, &addresses).await?);
        let mut links = self.links_of_accounts(integration, found.keys()).await?;
        let mut users = self.users_of(organization, &links).await?;
        let holders = self.users_holding(organization, &addresses).await?;
        let unknown: Vec<_> = holders
            .iter()
            .map(|user| user.id.0)
            .filter(|id| !links.contains_key(id))
            .collect();
        links.extend(self.links_of_users(&unknown).await?);
        users.extend(holders.into_iter().map(|user| (user.id.0, user)));
        // Whether a holder gives its address up is told by the account behind it.
        let behind: Vec<&ExternalId> = links
            .values()
            .filter(|link| {
                link.integration_id == integration && !found.contains_key(&link.external_id)
            })
            .map(|link| &link.external_id)
            .collect();
        let behind = accounts(self.db(), integration, behind.into_iter()).await?;
        found.extend(behind);
        Ok(Neighbourhood {
            accounts: found.into_values().collect(),
            users: users.into_values().collect(),
            links: links.into_values().collect(),
        })
    }

    async fn accounts_sharing(
        &self,
        integration: IntegrationId,
        addresses: &[String],
    ) -> Result<BTreeMap<ExternalId, DirectoryUser>, StoreError> {
        let mut found = BTreeMap::new();
        for chunk in addresses.chunks(rows_per_statement(1)) {
            for column in CLAIMS {
                let rows = directory_user::Entity::of_integration(integration.0)
                    .filter(one_of(self.db(), column, chunk.iter().map(String::as_str)))
                    .all(self.db());
                for row in rows.await.map_err(StoreError::of("read accounts"))? {
                    let account = read_account(row)?;
                    found.insert(account.external_id.clone(), account);
                }
            }
        }
        Ok(found)
    }

    async fn links_of_accounts(
        &self,
        integration: IntegrationId,
        ids: impl Iterator<Item = &ExternalId>,
    ) -> Result<BTreeMap<uuid::Uuid, UserLink>, StoreError> {
        let ids: Vec<&str> = ids.map(ExternalId::as_str).collect();
        let mut found = BTreeMap::new();
        for chunk in ids.chunks(rows_per_statement(1)) {
            let rows = user_link::Entity::of_integration(integration.0)
                .filter(one_of(
                    self.db(),
                    user_link::Column::ExternalId,
                    chunk.iter().copied(),
                ))
                .all(self.db());
            for row in rows.await.map_err(StoreError::of("read links"))? {
                found.insert(row.user_id, read_link(row)?);
            }
        }
        Ok(found)
    }

    async fn links_of_users(
        &self,
        users: &[uuid::Uuid],
    ) -> Result<BTreeMap<uuid::Uuid, UserLink>, StoreError> {
        let mut found = BTreeMap::new();
        for chunk in users.chunks(rows_per_statement(1)) {
            let rows = user_link::Entity::find()
                .filter(one_of(
                    self.db(),
                    user_link::Column::UserId,
                    chunk.iter().copied(),
                ))
                .all(self.db());
            for row in rows.await.map_err(StoreError::of("read links"))? {
                found.insert(row.user_id, read_link(row)?);
            }
        }
        Ok(found)
    }

    async fn users_of(
        &self,
        organization: OrganizationId,
        links: &BTreeMap<uuid::Uuid, UserLink>,
    ) -> Result<BTreeMap<uuid::Uuid, PlatformUser>, StoreError> {
        let ids: Vec<uuid::Uuid> = links.keys().copied().collect();
        let users = crate::user::users_by_id(self.db(), organization, &ids).await?;
        Ok(users.into_iter().map(|user| (user.id.0, user)).collect())
    }

    async fn users_holding(
        &self,
        organization: OrganizationId,
        addresses: &[String],
    ) -> Result<Vec<PlatformUser>, StoreError> {
        let mut found = Vec::new();
        for chunk in addresses.chunks(rows_per_statement(1)) {
            let rows = platform_user::Entity::in_organization(organization.0)
                .filter(one_of(
                    self.db(),
                    platform_user::Column::EmailKey,
                    chunk.iter().map(String::as_str),
                ))
                .all(self.db());
            for row in rows.await.map_err(StoreError::of("read users"))? {
                found.push(read_user(row)?);
            }
        }
        Ok(found)
    }
}

fn addresses_of<'a>(accounts: impl Iterator<Item = &'a DirectoryUser>) -> Vec<String> {
    let keys: BTreeSet<_> = accounts
        .flat_map(|account| [account.mail_key(), account.upn_key()])
        .flatten()
        .collect();
    keys.into_iter()
        .map(|key| key.as_str().to_owned())
        .collect()
}
