//! Organizations and the add-ons switched on for them.

use chrono::{DateTime, Utc};
use lockstep_domain::{Actor, OrganizationId};
use lockstep_entity::{entitlement, organization};
use lockstep_migration::SchemaManager;
use sea_orm::sea_query::{LockType, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _, QuerySelect as _,
};

use crate::column::{from_json, to_json};
use crate::run::found;
use crate::{Store, StoreError, Tx};

/// Name of the add-on that inbound integrations need (E-006).
pub const INBOUND_SYNC: &str = "ENTRA_INBOUND_SYNC";

/// How many days entries of change logs are kept unless an owner chose otherwise (D-64).
const CHANGE_RETENTION_DAYS: i32 = 90;

/// An organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// Identifier.
    pub id: OrganizationId,
    /// Name.
    pub name: String,
    /// How many days entries of change logs are kept.
    pub change_retention_days: i32,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

/// An add-on and whether it is switched on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entitlement {
    /// Name of the add-on.
    pub feature: String,
    /// Whether it is switched on.
    pub enabled: bool,
    /// When it was last switched.
    pub changed_at: DateTime<Utc>,
    /// Who last switched it.
    pub changed_by: Actor,
}

impl Store {
    /// Creates an organization.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn create_organization(
        &self,
        tx: &Tx,
        name: &str,
    ) -> Result<Organization, StoreError> {
        let organization = Organization {
            id: OrganizationId(self.fresh_id()),
            name: name.to_owned(),
            change_retention_days: CHANGE_RETENTION_DAYS,
            created_at: self.now(),
        };
        let row = organization::ActiveModel {
            id: Set(organization.id.0),
            name: Set(organization.name.clone()),
            change_retention_days: Set(organization.change_retention_days),
            created_at: Set(organization.created_at),
        };
        organization::Entity::insert(row)
            .exec_without_returning(tx)
            .await
            .map_err(StoreError::of("create an organization"))?;
        Ok(organization)
    }

    /// Returns an organization.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn organization(
        &self,
        id: OrganizationId,
    ) -> Result<Option<Organization>, StoreError> {
        let row = organization::Entity::find_by_id(id.0)
            .one(self.db())
            .await
            .map_err(StoreError::of("read an organization"))?;
        Ok(row.map(read))
    }

    /// Returns organizations of that name: none, one, or more than one of them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn organizations_named(&self, name: &str) -> Result<Vec<Organization>, StoreError> {
        let rows = organization::Entity::find()
            .filter(organization::Column::Name.eq(name))
            .limit(2)
            .all(self.db())
            .await
            .map_err(StoreError::of("read an organization"))?;
        Ok(rows.into_iter().map(read).collect())
    }

    /// Has others who lock the organization wait until the end of the transaction. On SQLite whoever writes has waited already.
    pub(crate) async fn lock_organization(
        &self,
        tx: &Tx,
        id: OrganizationId,
    ) -> Result<(), StoreError> {
        let mut query = organization::Entity::find_by_id(id.0);
        if !self.is_sqlite() {
            // Not FOR UPDATE: that would wait for every row that refers to the organization.
            query = query.lock(LockType::NoKeyUpdate);
        }
        let row = query.one(tx).await;
        row.map_err(StoreError::of("lock an organization"))?;
        Ok(())
    }

    /// Returns the organization of that name, if there is exactly one such.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn organization_named(&self, name: &str) -> Result<Option<Organization>, StoreError> {
        let named = self.organizations_named(name).await?;
        Ok(<[_; 1]>::try_from(named).ok().map(|[one]| one))
    }

    /// Whether there are organizations of other names.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn has_organizations_but(&self, names: &[&str]) -> Result<bool, StoreError> {
        let other = organization::Entity::find()
            .filter(organization::Column::Name.is_not_in(names.iter().copied()))
            .one(self.db())
            .await
            .map_err(StoreError::of("read an organization"))?;
        Ok(other.is_some())
    }

    /// Whether the database has tables of ours at all.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn has_tables(&self) -> Result<bool, StoreError> {
        let manager = SchemaManager::new(self.db());
        manager
            .has_table("organization")
            .await
            .map_err(StoreError::of("look at the schema"))
    }

    /// Switches an add-on on or off. Staff alone may (E-007).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_entitlement(
        &self,
        tx: &Tx,
        organization: OrganizationId,
        feature: &str,
        enabled: bool,
        by: &Actor,
    ) -> Result<Entitlement, StoreError> {
        let operation = "switch an add-on";
        let row = entitlement::ActiveModel {
            organization_id: Set(organization.0),
            feature: Set(feature.to_owned()),
            enabled: Set(enabled),
            changed_at: Set(self.now()),
            changed_by: Set(to_json(by)),
        };
        let key = [
            entitlement::Column::OrganizationId,
            entitlement::Column::Feature,
        ];
        let all = [
            entitlement::Column::Enabled,
            entitlement::Column::ChangedAt,
            entitlement::Column::ChangedBy,
        ];
        entitlement::Entity::insert(row)
            .on_conflict(OnConflict::columns(key).update_columns(all).to_owned())
            .exec_without_returning(tx)
            .await
            .map_err(StoreError::of(operation))?;
        let key = (organization.0, feature.to_owned());
        let row = entitlement::Entity::find_by_id(key)
            .one(tx)
            .await
            .map_err(StoreError::of(operation))?;
        read_entitlement(found(row, operation)?)
    }

    /// Returns the add-ons that were ever switched for an organization.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn entitlements(
        &self,
        organization: OrganizationId,
    ) -> Result<Vec<Entitlement>, StoreError> {
        let rows = entitlement::Entity::in_organization(organization.0).all(self.db());
        rows.await
            .map_err(StoreError::of("read add-ons"))?
            .into_iter()
            .map(read_entitlement)
            .collect()
    }

    /// Whether an add-on is switched on.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn is_entitled(
        &self,
        organization: OrganizationId,
        feature: &str,
    ) -> Result<bool, StoreError> {
        let rows = self.entitlements(organization).await?;
        Ok(rows.iter().any(|row| row.feature == feature && row.enabled))
    }
}

pub(crate) fn read(row: organization::Model) -> Organization {
    Organization {
        id: row.id.into(),
        name: row.name,
        change_retention_days: row.change_retention_days,
        created_at: row.created_at,
    }
}

fn read_entitlement(row: entitlement::Model) -> Result<Entitlement, StoreError> {
    Ok(Entitlement {
        feature: row.feature,
        enabled: row.enabled,
        changed_at: row.changed_at,
        changed_by: from_json("entitlement.changed_by", row.changed_by)?,
    })
}
