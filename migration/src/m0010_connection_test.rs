//! Tests of settings. A test is made by a worker, which alone can open a secret.

use sea_orm_migration::prelude::*;

use crate::columns::{belongs_to, drop, index, optional, required, table};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection_test = table("connection_test")
            .col(required("id").uuid().primary_key())
            .col(required("organization_id").uuid())
            .col(required("integration_id").uuid())
            .col(required("settings_stamp").integer())
            // Whether saved settings are tested; only then a pass counts for activation.
            .col(required("is_saved").boolean())
            // Unsaved tenant and client, erased at the end.
            .col(optional("credential").json_binary())
            // Unsaved secret, sealed, erased at the end.
            .col(optional("sealed_secret").text())
            .col(required("rules").json_binary())
            .col(required("status").text())
            .col(required("checks").json_binary())
            .col(required("permissions").json_binary())
            .col(required("sample_users").json_binary())
            .col(optional("in_scope").big_integer())
            .col(optional("problems").big_integer())
            .col(required("tested_at").timestamp_with_time_zone())
            .col(optional("tested_by").json_binary())
            .col(optional("lease_until").timestamp_with_time_zone())
            .col(optional("finished_at").timestamp_with_time_zone())
            .foreign_key(&mut belongs_to(
                "connection_test",
                "integration_id",
                "integration",
            ))
            .to_owned();
        manager.create_table(connection_test).await?;
        manager
            .create_index(index("connection_test", &["integration_id", "tested_at"]))
            .await?;
        // What has not ended is looked for every few seconds, among all that were ever made.
        manager
            .get_connection()
            .execute_unprepared("CREATE INDEX ix_connection_test_unfinished ON connection_test (tested_at) WHERE finished_at IS NULL")
            .await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, "connection_test").await
    }
}
