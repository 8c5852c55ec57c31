//! Credentials: tenant, client, and a secret that only workers can open.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use lockstep_domain::{Actor, EntraCloud, IntegrationId, OrganizationId};
use lockstep_entity::{
    credential, directory_group, directory_member, directory_user, dirty_key, integration,
    user_link,
};
use lockstep_seal::{Owner, SealedSecret};
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, EntityTrait as _, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
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
        let same_tenant = |before: &Credential| {
            before.app.tenant_id == app.tenant_id && before.app.cloud == app.cloud
        };
        if before.is_some_and(|before| !same_tenant(&before)) {
            self.forget_directory(tx, integration).await?;
        }
        let row = credential::ActiveModel {
            integration_id: Set(integration.0),
            cloud: Set(app.cloud.as_str().into()),
            tenant_id: Set(app.tenant_id.clone()),
            resolved_tenant_id: Set(None),
            tenant_display_name: Set(None),
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
