//! Organizations and the add-ons switched on for them.

use sea_orm_migration::prelude::*;

use crate::columns::{belongs_to, drop, key, required, table};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let organization = table("organization")
            .col(required("id").uuid().primary_key())
            .col(required("name").text())
            // How long entries of change logs are kept (D-64).
            .col(required("change_retention_days").integer())
            .col(required("created_at").timestamp_with_time_zone())
            .to_owned();
        manager.create_table(organization).await?;
        let entitlement = table("entitlement")
            .col(required("organization_id").uuid())
            .col(required("feature").text())
            .col(required("enabled").boolean())
            .col(required("changed_at").timestamp_with_time_zone())
            // Who switched it, as they were then.
            .col(required("changed_by").json_binary())
            .primary_key(&mut key(["organization_id", "feature"]))
            .foreign_key(&mut belongs_to(
                "entitlement",
                "organization_id",
                "organization",
            ))
            .to_owned();
        manager.create_table(entitlement).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, "entitlement").await?;
        drop(manager, "organization").await
    }
}
