//! Keys that make repeats of a mutation safe for 24 hours (D-85).

use sea_orm_migration::prelude::*;

use crate::columns::{belongs_to, drop, index, key, optional, required, table};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let idempotency_key = table("idempotency_key")
            .col(required("organization_id").uuid())
            .col(required("principal").text())
            .col(required("key").text())
            .col(required("input_hash").text())
            // None while the first request is still going on.
            .col(optional("outcome").json_binary())
            .col(required("created_at").timestamp_with_time_zone())
            .primary_key(&mut key(["organization_id", "principal", "key"]))
            .foreign_key(&mut belongs_to(
                "idempotency_key",
                "organization_id",
                "organization",
            ))
            .to_owned();
        manager.create_table(idempotency_key).await?;
        manager
            .create_index(index("idempotency_key", &["created_at"]))
            .await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, "idempotency_key").await
    }
}
