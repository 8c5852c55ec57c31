//! Holds: changes that wait for an owner.

use chrono::{DateTime, Duration, Utc};
use lockstep_domain::{
    Actor, HoldCategory, HoldDecisionKind, HoldId, IntegrationId, OrganizationId, RunId,
};
use lockstep_entity::hold;
use lockstep_sync::guard::Excess;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, EntityTrait as _, JsonValue,
    QueryFilter as _, UpdateMany,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::column::{from_json, from_optional_json, parse, parse_optional, to_json};
use crate::{Lease, Store, StoreError, Tx};

/// Held changes of one category.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldCategory {
    /// The category, by its spelling.
    pub category: String,
    /// How many changes are held.
    pub count: u64,
    /// How many of such objects there are.
    pub out_of: u64,
    /// The limit in force, in words.
    pub limit: String,
}

/// Changes that wait for an owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Identifier.
    pub id: HoldId,
    /// The organization.
    pub organization_id: OrganizationId,
    /// The integration.
    pub integration_id: IntegrationId,
    /// The run that found the held changes last.
    pub run_id: RunId,
    /// What is held.
    pub categories: Vec<(HoldCategory, HeldCategory)>,
    /// Identifies exactly the held changes.
    pub plan_hash: String,
    /// When changes were first held.
    pub created_at: DateTime<Utc>,
    /// When the hold ends by itself.
    pub expires_at: DateTime<Utc>,
    /// How it ended, none while it waits.
    pub decision: Option<HoldDecisionKind>,
    /// Who decided.
    pub decided_by: Option<Actor>,
    /// When it ended.
    pub decided_at: Option<DateTime<Utc>>,
    /// Why, in the words of who decided.
    pub comment: Option<String>,
}

impl Store {
    pub(crate) async fn open_hold(
        &self,
        tx: &Tx,
        lease: &Lease,
        hash: &str,
        categories: JsonValue,
        lasts: Duration,
    ) -> Result<Uuid, StoreError> {
        let (id, now) = (self.fresh_id(), self.now());
        let row = hold::ActiveModel {
            id: Set(id),
            organization_id: Set(lease.organization_id.0),
            integration_id: Set(lease.integration_id.0),
            run_id: Set(lease.run_id.0),
            plan_hash: Set(hash.to_owned()),
            categories: Set(categories),
            created_at: Set(now),
            expires_at: Set(now + lasts),
            decision: Set(None),
            decided_by: Set(None),
            decided_at: Set(None),
            comment: Set(None),
        };
        hold::Entity::insert(row)
            .exec_without_returning(tx)
            .await
            .map_err(StoreError::of("open a hold"))?;
        Ok(id)
    }

    /// Carries the open hold on: a run found the same or other changes held. None when none is open, so that a decision that
    /// was made meanwhile stands.
    pub(crate) async fn renew_hold(
        &self,
        tx: &Tx,
        lease: &Lease,
        hash: &str,
        categories: &JsonValue,
    ) -> Result<Option<Uuid>, StoreError> {
        let renewed = hold::Entity::update_many()
            .col_expr(hold::Column::RunId, lease.run_id.0.into())
            .col_expr(hold::Column::PlanHash, hash.into())
            .col_expr(hold::Column::Categories, categories.clone().into())
            .filter(hold::Column::IntegrationId.eq(lease.integration_id.0))
            .filter(hold::Column::Decision.is_null())
            .exec_with_returning(tx)
            .await
            .map_err(StoreError::of("carry a hold on"))?;
        Ok(renewed.first().map(|row| row.id))
    }

    /// Ends the open hold without anybody having decided, if one is open.
    pub(crate) async fn end_hold(
        &self,
        tx: &Tx,
        integration: IntegrationId,
        decision: HoldDecisionKind,
    ) -> Result<(), StoreError> {
        self.ended(decision)
            .filter(hold::Column::IntegrationId.eq(integration.0))
            .exec(tx)
            .await
            .map_err(StoreError::of("close a hold"))?;
        Ok(())
    }

    /// Ends the open hold of an integration if nobody decided on it in time.
    pub(crate) async fn expire_hold(
        &self,
        tx: &Tx,
        integration: IntegrationId,
    ) -> Result<(), StoreError> {
        self.ended(HoldDecisionKind::Expired)
            .filter(hold::Column::IntegrationId.eq(integration.0))
            .filter(hold::Column::ExpiresAt.lte(self.now()))
            .exec(tx)
            .await
            .map_err(StoreError::of("end old holds"))?;
        Ok(())
    }

    /// Ends holds that nobody decided on in time. What they hold stays held: the next run opens another for it (D-49).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn expire_holds(&self) -> Result<u64, StoreError> {
        let tx = self.begin().await?;
        let ended = self
            .ended(HoldDecisionKind::Expired)
            .filter(hold::Column::ExpiresAt.lte(self.now()))
            .exec(&tx)
            .await
            .map_err(StoreError::of("end old holds"))?;
        tx.commit().await.map_err(StoreError::of("end old holds"))?;
        Ok(ended.rows_affected)
    }

    /// Ends holds that are open; a decision that was made stands.
    fn ended(&self, decision: HoldDecisionKind) -> UpdateMany<hold::Entity> {
        hold::Entity::update_many()
            .col_expr(hold::Column::Decision, decision.as_str().into())
            .col_expr(hold::Column::DecidedAt, self.now().into())
            .filter(hold::Column::Decision.is_null())
    }

    pub(crate) async fn open_hold_row(
        &self,
        db: &impl ConnectionTrait,
        integration: IntegrationId,
    ) -> Result<Option<hold::Model>, StoreError> {
        let row = hold::Entity::of_integration(integration.0)
            .filter(hold::Column::Decision.is_null())
            .one(db);
        row.await.map_err(StoreError::of("read a hold"))
    }

    /// Returns the hold of an integration that waits for an owner.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn open_hold_of(
        &self,
        integration: IntegrationId,
    ) -> Result<Option<Hold>, StoreError> {
        self.open_hold_row(self.db(), integration)
            .await?
            .map(read)
            .transpose()
    }

    /// Returns a hold of an organization.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn hold(
        &self,
        organization: OrganizationId,
        id: HoldId,
    ) -> Result<Option<Hold>, StoreError> {
        let row = hold::Entity::in_organization(organization.0)
            .filter(hold::Column::Id.eq(id.0))
            .one(self.db());
        row.await
            .map_err(StoreError::of("read a hold"))?
            .map(read)
            .transpose()
    }
}

impl Store {
    /// Returns holds of an organization by their ids, for a data loader.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn holds_by_id(
        &self,
        organization: OrganizationId,
        ids: &[HoldId],
    ) -> Result<Vec<Hold>, StoreError> {
        let ids = ids.iter().map(|id| id.0);
        let rows = hold::Entity::in_organization(organization.0)
            .filter(hold::Column::Id.is_in(ids))
            .all(self.db());
        rows.await
            .map_err(StoreError::of("read holds"))?
            .into_iter()
            .map(read)
            .collect()
    }
}

fn read(row: hold::Model) -> Result<Hold, StoreError> {
    let categories: Vec<HeldCategory> = from_json("hold.categories", row.categories)?;
    let categories = categories
        .into_iter()
        .map(|held| Ok((parse("hold.categories", &held.category)?, held)))
        .collect::<Result<_, StoreError>>()?;
    Ok(Hold {
        id: row.id.into(),
        organization_id: row.organization_id.into(),
        integration_id: row.integration_id.into(),
        run_id: row.run_id.into(),
        categories,
        plan_hash: row.plan_hash,
        created_at: row.created_at,
        expires_at: row.expires_at,
        decision: parse_optional("hold.decision", row.decision.as_deref())?,
        decided_by: from_optional_json("hold.decided_by", row.decided_by)?,
        decided_at: row.decided_at,
        comment: row.comment,
    })
}

pub(crate) fn write_categories(held: &[Excess]) -> JsonValue {
    let categories: Vec<HeldCategory> = held
        .iter()
        .map(|excess| HeldCategory {
            category: excess.category.as_str().to_owned(),
            count: excess.count,
            out_of: excess.out_of,
            limit: excess.limit.clone(),
        })
        .collect();
    to_json(&categories)
}
