//! The change log: what a run decided, kept with before and after.

use sea_orm_migration::prelude::*;

use crate::columns::{belongs_to, drop, index, optional, required, table};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let run_change = table("run_change")
            .col(required("id").uuid().primary_key())
            .col(required("run_id").uuid())
            .col(required("organization_id").uuid())
            .col(required("integration_id").uuid())
            .col(required("sequence").big_integer())
            .col(required("object_kind").text())
            .col(required("action").text())
            .col(required("outcome").text())
            .col(required("external_id").text())
            // The user; a creation carries the id that the user will have.
            .col(optional("platform_id").uuid())
            .col(required("display_name").text())
            .col(optional("before").json_binary())
            .col(optional("after").json_binary())
            .col(optional("matched_by").text())
            .col(required("moves_address").boolean())
            // The user who must give up the wanted address first.
            .col(optional("waits_for").uuid())
            // Changes of one component are applied in one transaction.
            .col(optional("component").big_integer())
            // Place in the component.
            .col(optional("component_order").big_integer())
            .col(required("needs_confirmation").boolean())
            .col(required("source_hash").text())
            // Mark of the dirty key this was decided on.
            .col(optional("dirty_mark").uuid())
            .col(optional("reason_code").text())
            .col(optional("reason_message").text())
            .col(optional("reason_field").text())
            .col(optional("hold_category").text())
            // Number of the event that told subscribers of the outcome.
            .col(optional("event_sequence").big_integer())
            .col(required("occurred_at").timestamp_with_time_zone())
            .foreign_key(&mut belongs_to("run_change", "run_id", "run"))
            .to_owned();
        manager.create_table(run_change).await?;
        manager
            .create_index(
                index("run_change", &["run_id", "sequence"])
                    .unique()
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(index(
                "run_change",
                &["run_id", "outcome", "component", "sequence"],
            ))
            .await?;
        manager
            .create_index(index("run_change", &["platform_id"]))
            .await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, "run_change").await
    }
}
