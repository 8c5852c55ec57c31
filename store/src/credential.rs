//! Credentials: tenant, client, and a secret that only workers can open.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use lockstep_domain::{
    Actor, EntraCloud, IntegrationId, IntegrationState, OrganizationId, SyncDirection,
};
use lockstep_entity::{
    credential, directory_group, directory_member, directory_user, dirty_key, integration,
    user_link,
};
use lockstep_seal::{Owner, SealedSecret};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, EntityTrait as _, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, QueryTrait as _,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::column::{from_optional_json, parse, to_json};
use crate::{Store, StoreError, Tx};

/// Which app registration in which tenant. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppRegistration {
    /// National cloud.
    pub cloud: EntraCloud,
    /// Directory (tenant) ID or domain, as entered.
    pub tenant_id: String,
    /// Application (client) ID.
    pub client_id: String,
}

impl AppRegistration {
    /// What a secret of this app registration is sealed for.
    #[must_use]
    pub fn owner(&self, organization: OrganizationId, integration: IntegrationId) -> Owner {
        Owner {
            organization,
            integration,
            tenant: self.tenant_id.clone(),
            client: self.client_id.clone(),
        }
    }
}

/// What may be known about a stored secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretInfo {
    /// When it was stored.
    pub set_at: DateTime<Utc>,
    /// Who stored it.
    pub set_by: Actor,
    /// When it expires.
    pub expires_at: Option<DateTime<Utc>>,
    /// Typed in by the owner to tell secrets apart.
    pub key_id: Option<String>,
}

/// Credentials of an integration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// The app registration.
    pub app: AppRegistration,
    /// Directory (tenant) ID as a GUID, once a test has read it.
    pub resolved_tenant_id: Option<String>,
    /// Name of the tenant, once a test has read it.
    pub tenant_display_name: Option<String>,
    /// The sealed secret.
    pub secret: Option<SealedSecret>,
    /// What may be known about the secret.
    pub secret_info: Option<SecretInfo>,
}

impl Credential {
    /// Whether an app registration is of the same tenant, as far as that is known. A domain may be another name of the
    /// tenant, but only the GUID that was read for it says so.
    #[must_use]
    pub fn is_of(&self, app: &AppRegistration) -> bool {
        let names = [Some(&self.app.tenant_id), self.resolved_tenant_id.as_ref()];
        self.app.cloud == app.cloud && names.contains(&Some(&app.tenant_id))
    }

    /// Whether a tenant is the same, as far as that is known: it has one of the names of an app registration and `resolved`,
    /// the GUID that was read for it.
    fn is_same_tenant(&self, app: &AppRegistration, resolved: Option<&str>) -> bool {
        let is_known = |guid: &str| {
            self.app.tenant_id == guid || self.resolved_tenant_id.as_deref() == Some(guid)
        };
        self.is_of(app) || resolved.is_some_and(is_known)
    }
}

/// Another integration that reads a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantReader {
    /// The integration.
    pub integration: IntegrationId,
    /// Its name.
    pub name: String,
    /// Whether it is activated, or users are linked through it.
    pub is_in_use: bool,
}

/// A secret that is to be stored.
#[derive(Debug, Clone)]
pub struct NewSecret {
    /// The sealed secret.
    pub sealed: SealedSecret,
    /// When it expires.
    pub expires_at: Option<DateTime<Utc>>,
    /// Typed in by the owner to tell secrets apart.
    pub key_id: Option<String>,
}

impl Store {
    /// Stores tenant and client, and a secret when one is given. What a test found about another tenant is forgotten.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn save_credential(
        &self,
        tx: &Tx,
        integration: IntegrationId,
        app: &AppRegistration,
        secret: Option<&NewSecret>,
        by: &Actor,
    ) -> Result<(), StoreError> {
        use credential::Column;
        let before = self.credential_in(tx, integration).await?;
        if before.as_ref().is_some_and(|before| !before.is_of(app)) {
            self.forget_directory(tx, integration).await?;
        }
        // What a test found holds for as long as the tenant is the same, whatever its secret.
        let (resolved, name) = before
            .filter(|before| before.is_of(app))
            .map_or((None, None), |before| {
                (before.resolved_tenant_id, before.tenant_display_name)
            });
        let row = credential::ActiveModel {
            integration_id: Set(integration.0),
            cloud: Set(app.cloud.as_str().into()),
            tenant_id: Set(app.tenant_id.clone()),
            resolved_tenant_id: Set(resolved),
            tenant_display_name: Set(name),
            client_id: Set(app.client_id.clone()),
            sealed_secret: Set(secret.map(|secret| secret.sealed.as_str().to_owned())),
            secret_set_at: Set(secret.map(|_| self.now())),
            secret_set_by: Set(secret.map(|_| to_json(by))),
            secret_expires_at: Set(secret.and_then(|secret| secret.expires_at)),
            secret_key_id: Set(secret.and_then(|secret| secret.key_id.clone())),
        };
        let mut written = vec![
            Column::Cloud,
            Column::TenantId,
            Column::ResolvedTenantId,
            Column::TenantDisplayName,
            Column::ClientId,
        ];
        if secret.is_some() {
            written.extend([
                Column::SealedSecret,
                Column::SecretSetAt,
                Column::SecretSetBy,
                Column::SecretExpiresAt,
                Column::SecretKeyId,
            ]);
        }
        credential::Entity::insert(row)
            .on_conflict(
                OnConflict::column(Column::IntegrationId)
                    .update_columns(written)
                    .to_owned(),
            )
            .exec_without_returning(tx)
            .await
            .map_err(StoreError::of("store credentials"))?;
        Ok(())
    }

    /// Forgets all that was read from a tenant, and stops who reads it: another tenant is another directory.
    async fn forget_directory(&self, tx: &Tx, id: IntegrationId) -> Result<(), StoreError> {
        let operation = "forget a directory";
        let nothing = || sea_orm::sea_query::Expr::from(Option::<String>::None);
        self.cancel_active_run(tx, id).await?;
        directory_user::Entity::delete_many()
            .filter(directory_user::Column::IntegrationId.eq(id.0))
            .exec(tx)
            .await
            .map_err(StoreError::of(operation))?;
        directory_group::Entity::delete_many()
            .filter(directory_group::Column::IntegrationId.eq(id.0))
            .exec(tx)
            .await
            .map_err(StoreError::of(operation))?;
        directory_member::Entity::delete_many()
            .filter(directory_member::Column::IntegrationId.eq(id.0))
            .exec(tx)
            .await
            .map_err(StoreError::of(operation))?;
        dirty_key::Entity::delete_many()
            .filter(dirty_key::Column::IntegrationId.eq(id.0))
            .exec(tx)
            .await
            .map_err(StoreError::of(operation))?;
        integration::Entity::update_many()
            .col_expr(integration::Column::UsersDeltaLink, nothing())
            .col_expr(integration::Column::UsersSelect, nothing())
            .col_expr(integration::Column::GroupsDeltaLink, nothing())
            .col_expr(integration::Column::GroupsSelect, nothing())
            .col_expr(
                integration::Column::LastFullReadAt,
                Option::<DateTime<Utc>>::None.into(),
            )
            .filter(integration::Column::Id.eq(id.0))
            .exec(tx)
            .await
            .map_err(StoreError::of(operation))?;
        Ok(())
    }

    /// Returns the credentials of an integration.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn credential(
        &self,
        integration: IntegrationId,
    ) -> Result<Option<Credential>, StoreError> {
        self.credential_in(self.db(), integration).await
    }

    /// Returns the credentials of an integration, inside a transaction.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn credential_in(
        &self,
        db: &impl ConnectionTrait,
        integration: IntegrationId,
    ) -> Result<Option<Credential>, StoreError> {
        let row = credential::Entity::find_by_id(integration.0).one(db);
        row.await
            .map_err(StoreError::of("read credentials"))?
            .map(read)
            .transpose()
    }

    /// Returns the secrets that were stored last, each with what it is sealed for, to see whether they can be opened.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn latest_secrets(
        &self,
        limit: u64,
    ) -> Result<Vec<(Owner, SealedSecret)>, StoreError> {
        let rows = credential::Entity::find()
            .filter(credential::Column::SealedSecret.is_not_null())
            .order_by_desc(credential::Column::SecretSetAt)
            .limit(limit)
            .all(self.db());
        let rows = rows.await.map_err(StoreError::of("read secrets"))?;
        let organizations = self
            .organizations_of(rows.iter().map(|row| row.integration_id))
            .await?;
        let mut secrets = Vec::new();
        for row in rows {
            let integration = row.integration_id;
            let credential = read(row)?;
            if let (Some(secret), Some(organization)) =
                (credential.secret, organizations.get(&integration))
            {
                let owner = credential
                    .app
                    .owner((*organization).into(), integration.into());
                secrets.push((owner, secret));
            }
        }
        Ok(secrets)
    }

    /// The organizations of integrations.
    async fn organizations_of(
        &self,
        integrations: impl Iterator<Item = Uuid>,
    ) -> Result<BTreeMap<Uuid, Uuid>, StoreError> {
        let rows = integration::Entity::find()
            .select_only()
            .column(integration::Column::Id)
            .column(integration::Column::OrganizationId)
            .filter(integration::Column::Id.is_in(integrations))
            .into_tuple::<(Uuid, Uuid)>()
            .all(self.db());
        let rows = rows.await.map_err(StoreError::of("read integrations"))?;
        Ok(rows.into_iter().collect())
    }

    /// Notes which tenant a test found behind the credentials.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn save_tenant(
        &self,
        integration: IntegrationId,
        id: &str,
        name: Option<&str>,
    ) -> Result<(), StoreError> {
        let tx = self.begin().await?;
        credential::Entity::update_many()
            .col_expr(credential::Column::ResolvedTenantId, id.into())
            .col_expr(
                credential::Column::TenantDisplayName,
                name.map(ToOwned::to_owned).into(),
            )
            .filter(credential::Column::IntegrationId.eq(integration.0))
            .exec(&tx)
            .await
            .map_err(StoreError::of("note the tenant"))?;
        tx.commit().await.map_err(StoreError::of("note the tenant"))
    }

    /// Returns the other inbound integrations of an organization that read the tenant of an app registration, by one of the
    /// names that are known of it; `resolved` is the GUID that was read for it. Oldest first. Until the end of the transaction
    /// nobody else can ask for the organization.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn tenant_readers(
        &self,
        tx: &Tx,
        organization: OrganizationId,
        own: Option<IntegrationId>,
        app: &AppRegistration,
        resolved: Option<&str>,
    ) -> Result<Vec<TenantReader>, StoreError> {
        self.lock_organization(tx, organization).await?;
        let operation = "read which integrations read a tenant";
        let inbound = integration::Entity::in_organization(organization.0)
            .filter(integration::Column::Direction.eq(SyncDirection::Inbound.as_str()));
        let ids = inbound
            .clone()
            .select_only()
            .column(integration::Column::Id)
            .into_query();
        let credentials = credential::Entity::find()
            .filter(credential::Column::IntegrationId.in_subquery(ids))
            .all(tx);
        let mut same: BTreeSet<IntegrationId> = BTreeSet::new();
        for row in credentials.await.map_err(StoreError::of(operation))? {
            let id = IntegrationId(row.integration_id);
            if own != Some(id) && read(row)?.is_same_tenant(app, resolved) {
                same.insert(id);
            }
        }
        let others = inbound.order_by_asc(integration::Column::Id).all(tx);
        let mut readers = Vec::new();
        for integration in others.await.map_err(StoreError::of(operation))? {
            let id = IntegrationId(integration.id);
            if !same.contains(&id) {
                continue;
            }
            let state: IntegrationState = parse("integration.state", &integration.state)?;
            readers.push(TenantReader {
                integration: id,
                name: integration.name,
                is_in_use: state.allows_manual_runs() || self.has_links(tx, id).await?,
            });
        }
        Ok(readers)
    }

    /// Whether users are linked to the directory, so that another tenant cannot be set (D-59).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn has_links(&self, tx: &Tx, integration: IntegrationId) -> Result<bool, StoreError> {
        let links = user_link::Entity::of_integration(integration.0).count(tx);
        Ok(links.await.map_err(StoreError::of("count links"))? > 0)
    }
}

impl Store {
    /// Returns the credentials of integrations, for a data loader. The caller has looked the integrations up in their
    /// organization.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn credentials_of(
        &self,
        ids: &[IntegrationId],
    ) -> Result<Vec<(IntegrationId, Credential)>, StoreError> {
        let ids = ids.iter().map(|id| id.0);
        let rows = credential::Entity::find()
            .filter(credential::Column::IntegrationId.is_in(ids))
            .all(self.db());
        let rows = rows.await.map_err(StoreError::of("read credentials"))?;
        rows.into_iter()
            .map(|row| Ok((row.integration_id.into(), read(row)?)))
            .collect()
    }
}

fn read(row: credential::Model) -> Result<Credential, StoreError> {
    let set_by = from_optional_json("credential.secret_set_by", row.secret_set_by)?;
    let secret_info = row
        .secret_set_at
        .zip(set_by)
        .map(|(set_at, set_by)| SecretInfo {
            set_at,
            set_by,
            expires_at: row.secret_expires_at,
            key_id: row.secret_key_id,
        });
    Ok(Credential {
        app: AppRegistration {
            cloud: parse("credential.cloud", &row.cloud)?,
            tenant_id: row.tenant_id,
            client_id: row.client_id,
        },
        resolved_tenant_id: row.resolved_tenant_id,
        tenant_display_name: row.tenant_display_name,
        secret: row.sealed_secret.map(SealedSecret::from_stored),
        secret_info,
    })
}
