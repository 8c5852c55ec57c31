//! What has to be looked at, written in the same transaction as its cause.

use sea_orm_migration::prelude::*;

use crate::columns::{belongs_to, drop, key, required, table};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let dirty_key = table("dirty_key")
            .col(required("integration_id").uuid())
            .col(required("kind").text())
            .col(required("key").text())
            // Changes with every cause, so that a cause that comes while the object is planned is not cleared with it.
            .col(required("mark").uuid())
            .primary_key(&mut key(["integration_id", "kind", "key"]))
            .foreign_key(&mut belongs_to(
                "dirty_key",
                "integration_id",
                "integration",
            ))
            .to_owned();
        manager.create_table(dirty_key).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, "dirty_key").await
    }
}
