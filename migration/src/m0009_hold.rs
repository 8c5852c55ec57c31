//! Changes that wait for an owner; at most one open hold per integration (D-49).

use sea_orm_migration::prelude::*;

use crate::columns::{belongs_to, drop, optional, required, table};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let hold = table("hold")
            .col(required("id").uuid().primary_key())
            .col(required("organization_id").uuid())
            .col(required("integration_id").uuid())
            // The run that found the held changes last.
            .col(required("run_id").uuid())
            // Over the sorted (action, object, after) of exactly the held changes.
            .col(required("plan_hash").text())
            .col(required("categories").json_binary())
            .col(required("created_at").timestamp_with_time_zone())
            .col(required("expires_at").timestamp_with_time_zone())
            .col(optional("decision").text())
            .col(optional("decided_by").json_binary())
            .col(optional("decided_at").timestamp_with_time_zone())
            .col(optional("comment").text())
            .foreign_key(&mut belongs_to("hold", "integration_id", "integration"))
            .to_owned();
        manager.create_table(hold).await?;
        // A partial unique index: sea-query cannot write one for both databases, and both read this.
        manager
            .get_connection()
            .execute_unprepared(
                "CREATE UNIQUE INDEX ux_hold_open ON hold (integration_id) WHERE decision IS NULL",
            )
            .await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, "hold").await
    }
}
