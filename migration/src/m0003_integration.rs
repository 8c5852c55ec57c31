//! Integrations, their credentials and the versions of their rules.

use sea_orm_migration::prelude::*;

use crate::columns::{belongs_to, drop, index, optional, required, table};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let integration = table("integration")
            .col(required("id").uuid().primary_key())
            .col(required("organization_id").uuid())
            .col(required("name").text())
            .col(required("direction").text())
            .col(required("state").text())
            .col(optional("default_language").text())
            .col(required("rules").json_binary())
            .col(required("rules_version").integer())
            // Counts up with every change of settings.
            .col(required("revision").integer())
            // Counts up with every change that a test must speak for.
            .col(required("settings_stamp").integer())
            // `settings_stamp` of the latest test that passed.
            .col(optional("tested_stamp").integer())
            .col(required("schedule_cron").text())
            .col(required("schedule_zone").text())
            // The next slot; the run starts within the jitter after it.
            .col(optional("next_slot_at").timestamp_with_time_zone())
            // When the scheduler starts the next run.
            .col(optional("next_start_at").timestamp_with_time_zone())
            // Why and since when automatic runs are paused.
            .col(optional("pause").json_binary())
            // Where the next read of changes goes on.
            .col(optional("users_delta_link").text())
            // Fingerprint of the attributes that the delta link tracks.
            .col(optional("users_select").text())
            .col(optional("last_full_read_at").timestamp_with_time_zone())
            .col(optional("data_as_of").timestamp_with_time_zone())
            .col(required("created_at").timestamp_with_time_zone())
            .col(required("updated_at").timestamp_with_time_zone())
            .foreign_key(&mut belongs_to(
                "integration",
                "organization_id",
                "organization",
            ))
            .to_owned();
        manager.create_table(integration).await?;
        manager
            .create_index(
                index("integration", &["organization_id", "name"])
                    .unique()
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(index("integration", &["next_start_at"]))
            .await?;
        let credential = table("credential")
            .col(required("integration_id").uuid().primary_key())
            .col(required("cloud").text())
            // As entered: GUID or domain.
            .col(required("tenant_id").text())
            .col(optional("resolved_tenant_id").text())
            .col(optional("tenant_display_name").text())
            .col(required("client_id").text())
            // Sealed to the public keys of the workers; see the crate `seal`.
            .col(optional("sealed_secret").text())
            .col(optional("secret_set_at").timestamp_with_time_zone())
            .col(optional("secret_set_by").json_binary())
            .col(optional("secret_expires_at").timestamp_with_time_zone())
            // Typed in by the owner to tell secrets apart.
            .col(optional("secret_key_id").text())
            .foreign_key(&mut belongs_to(
                "credential",
                "integration_id",
                "integration",
            ))
            .to_owned();
        manager.create_table(credential).await?;
        let rules_version = table("rules_version")
            .col(required("id").uuid().primary_key())
            .col(required("integration_id").uuid())
            .col(required("version").integer())
            .col(required("rules").json_binary())
            .col(required("saved_by").json_binary())
            .col(required("saved_at").timestamp_with_time_zone())
            .foreign_key(&mut belongs_to(
                "rules_version",
                "integration_id",
                "integration",
            ))
            .to_owned();
        manager.create_table(rules_version).await?;
        manager
            .create_index(
                index("rules_version", &["integration_id", "version"])
                    .unique()
                    .to_owned(),
            )
            .await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, "rules_version").await?;
        drop(manager, "credential").await?;
        drop(manager, "integration").await
    }
}
