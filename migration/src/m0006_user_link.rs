//! Ties between accounts of the directory and users, unique both ways (D-01).

use sea_orm_migration::prelude::*;

use crate::columns::{belongs_to, drop, index, key, optional, required, table};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let user_link = table("user_link")
            .col(required("integration_id").uuid())
            .col(required("external_id").text())
            .col(required("user_id").uuid())
            .col(required("organization_id").uuid())
            .col(required("tenant_id").text())
            .col(required("matched_by").text())
            .col(required("linked_at").timestamp_with_time_zone())
            // Who decided it, none when a run did by the rules.
            .col(optional("linked_by").json_binary())
            .primary_key(&mut key(["integration_id", "external_id"]))
            .foreign_key(&mut belongs_to(
                "user_link",
                "integration_id",
                "integration",
            ))
            .foreign_key(&mut belongs_to("user_link", "user_id", "platform_user"))
            .to_owned();
        manager.create_table(user_link).await?;
        manager
            .create_index(index("user_link", &["user_id"]).unique().to_owned())
            .await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, "user_link").await
    }
}
