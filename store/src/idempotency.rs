//! Idempotency keys: the same key and input within 24 hours get the first answer again (D-85).

use chrono::Duration;
use lockstep_domain::{ContentHash, OrganizationId};
use lockstep_entity::idempotency_key;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue::Set, ColumnTrait as _, EntityTrait as _, JsonValue, QueryFilter as _};

use crate::run::found;
use crate::{Store, StoreError, Tx};

/// How long a key is remembered, in hours.
const REMEMBERED_HOURS: i64 = 24;

/// Whose key it is.
#[derive(Debug, Clone)]
pub struct KeyOwner {
    /// The organization.
    pub organization: OrganizationId,
    /// The user or API key.
    pub principal: String,
    /// The key.
    pub key: String,
}

/// What is known about a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// It is new: go on, and save the outcome in the same transaction.
    New,
    /// It was used with the same input: this was the outcome.
    Before(JsonValue),
    /// It was used with another input.
    OtherInput,
}

impl Store {
    /// Takes a key, or tells what it was used for. Two requests at once: the second waits for the first to commit.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take_key(
        &self,
        tx: &Tx,
        owner: &KeyOwner,
        input: &ContentHash,
    ) -> Result<Seen, StoreError> {
        let operation = "take an idempotency key";
        use idempotency_key::Column;
        // Its own alone: those of others are locked by whoever uses them.
        idempotency_key::Entity::delete_many()
            .filter(Column::OrganizationId.eq(owner.organization.0))
            .filter(Column::Principal.eq(owner.principal.as_str()))
            .filter(Column::Key.eq(owner.key.as_str()))
            .filter(Column::CreatedAt.lt(self.now() - Duration::hours(REMEMBERED_HOURS)))
            .exec(tx)
            .await
            .map_err(StoreError::of("forget old idempotency keys"))?;
        let row = idempotency_key::ActiveModel {
            organization_id: Set(owner.organization.0),
            principal: Set(owner.principal.clone()),
            key: Set(owner.key.clone()),
            input_hash: Set(input.as_str().to_owned()),
            outcome: Set(None),
            created_at: Set(self.now()),
        };
        let taken = idempotency_key::Entity::insert(row)
            .on_conflict(OnConflict::new().do_nothing().to_owned())
            .exec_without_returning(tx)
            .await
            .map_err(StoreError::of(operation))?;
        if taken > 0 {
            return Ok(Seen::New);
        }
        let id = (
            owner.organization.0,
            owner.principal.clone(),
            owner.key.clone(),
        );
        let row = idempotency_key::Entity::find_by_id(id)
            .one(tx)
            .await
            .map_err(StoreError::of(operation))?;
        let row = found(row, operation)?;
        Ok(match row.outcome {
            _ if row.input_hash != input.as_str() => Seen::OtherInput,
            Some(outcome) => Seen::Before(outcome),
            None => Seen::New,
        })
    }

    /// Forgets keys that are too old to count.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget_old_keys(&self) -> Result<u64, StoreError> {
        let operation = "forget old idempotency keys";
        let tx = self.begin().await?;
        let forgotten = idempotency_key::Entity::delete_many()
            .filter(
                idempotency_key::Column::CreatedAt
                    .lt(self.now() - Duration::hours(REMEMBERED_HOURS)),
            )
            .exec(&tx)
            .await
            .map_err(StoreError::of(operation))?;
        tx.commit().await.map_err(StoreError::of(operation))?;
        Ok(forgotten.rows_affected)
    }

    /// Remembers what a key led to.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn save_outcome(
        &self,
        tx: &Tx,
        owner: &KeyOwner,
        outcome: JsonValue,
    ) -> Result<(), StoreError> {
        use idempotency_key::Column;
        idempotency_key::Entity::update_many()
            .col_expr(Column::Outcome, outcome.into())
            .filter(Column::OrganizationId.eq(owner.organization.0))
            .filter(Column::Principal.eq(owner.principal.as_str()))
            .filter(Column::Key.eq(owner.key.as_str()))
            .exec(tx)
            .await
            .map_err(StoreError::of("remember an outcome"))?;
        Ok(())
    }
}
