//! Versions of sync rules. A run keeps the version it started with.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use lockstep_domain::{Actor, InboundRules, IntegrationId, OrganizationId, RulesVersionId};
use lockstep_entity::{integration, rules_version};
use sea_orm::{ActiveValue::Set, ColumnTrait as _, EntityTrait as _, QueryFilter as _};

use crate::column::{from_json, to_json};
use crate::integration::{Integration, Touches};
use crate::{Store, StoreError, Tx};

/// One saved version of sync rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulesVersion {
    /// Identifier.
    pub id: RulesVersionId,
    /// The integration.
    pub integration_id: IntegrationId,
    /// Counts up from 1.
    pub version: i32,
    /// The rules.
    pub rules: InboundRules,
    /// Who saved them.
    pub saved_by: Actor,
    /// When they were saved.
    pub saved_at: DateTime<Utc>,
}

impl Store {
    /// Saves rules as a new version; everyone has to be looked at again.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn save_rules(
        &self,
        tx: &Tx,
        integration: &Integration,
        rules: &InboundRules,
        by: &Actor,
    ) -> Result<(), StoreError> {
        let version = integration.rules_version + 1;
        self.save_rules_version(tx, integration.id, version, rules, by)
            .await?;
        integration::Entity::update_many()
            .col_expr(integration::Column::Rules, to_json(rules).into())
            .col_expr(integration::Column::RulesVersion, version.into())
            .filter(integration::Column::Id.eq(integration.id.0))
            .exec(tx)
            .await
            .map_err(StoreError::of("save rules"))?;
        self.mark_everyone_dirty(tx, integration.id).await?;
        self.touch_integration(tx, integration.id, Touches::WhatWasTested)
            .await
    }

    pub(crate) async fn save_rules_version(
        &self,
        tx: &Tx,
        integration: IntegrationId,
        version: i32,
        rules: &InboundRules,
        by: &Actor,
    ) -> Result<(), StoreError> {
        let row = rules_version::ActiveModel {
            id: Set(self.fresh_id()),
            integration_id: Set(integration.0),
            version: Set(version),
            rules: Set(to_json(rules)),
            saved_by: Set(to_json(by)),
            saved_at: Set(self.now()),
        };
        rules_version::Entity::insert(row)
            .exec_without_returning(tx)
            .await
            .map_err(StoreError::of("save rules"))?;
        Ok(())
    }

    /// Returns a version of the rules of an integration.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rules_version(
        &self,
        integration: IntegrationId,
        version: i32,
    ) -> Result<Option<RulesVersion>, StoreError> {
        let row = rules_version::Entity::of_integration(integration.0)
            .filter(rules_version::Column::Version.eq(version))
            .one(self.db())
            .await
            .map_err(StoreError::of("read rules"))?;
        row.map(read_rules).transpose()
    }

    /// Returns versions of rules by integration and number, for a data loader. The caller has looked the integrations
    /// up in their organization.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rules_versions(
        &self,
        keys: &[(IntegrationId, i32)],
    ) -> Result<Vec<RulesVersion>, StoreError> {
        let mut versions: BTreeMap<IntegrationId, Vec<i32>> = BTreeMap::new();
        for (integration, version) in keys {
            versions.entry(*integration).or_default().push(*version);
        }
        let mut found = Vec::with_capacity(keys.len());
        for (integration, versions) in versions {
            let rows = rules_version::Entity::find()
                .filter(rules_version::Column::IntegrationId.eq(integration.0))
                .filter(rules_version::Column::Version.is_in(versions))
                .all(self.db());
            for row in rows.await.map_err(StoreError::of("read rules"))? {
                found.push(read_rules(row)?);
            }
        }
        Ok(found)
    }

    /// Returns a version of the rules of an integration of an organization.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rules_version_by_id(
        &self,
        organization: OrganizationId,
        id: RulesVersionId,
    ) -> Result<Option<RulesVersion>, StoreError> {
        let row = rules_version::Entity::find_by_id(id.0).one(self.db());
        let Some(row) = row.await.map_err(StoreError::of("read rules"))? else {
            return Ok(None);
        };
        let owned = self
            .integration(organization, row.integration_id.into())
            .await?
            .is_some();
        owned.then(|| read_rules(row)).transpose()
    }
}

fn read_rules(row: rules_version::Model) -> Result<RulesVersion, StoreError> {
    Ok(RulesVersion {
        id: row.id.into(),
        integration_id: row.integration_id.into(),
        version: row.version,
        rules: from_json("rules_version.rules", row.rules)?,
        saved_by: from_json("rules_version.saved_by", row.saved_by)?,
        saved_at: row.saved_at,
    })
}
