//! Runs: the truth about what is queued, running and done. The queue only carries wake-ups.

use sea_orm_migration::prelude::*;

use crate::columns::{belongs_to, drop, index, optional, required, table};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let run = table("run")
            .col(required("id").uuid().primary_key())
            .col(required("organization_id").uuid())
            .col(required("integration_id").uuid())
            .col(required("kind").text())
            .col(required("state").text())
            .col(required("trigger_kind").text())
            .col(optional("triggered_by").json_binary())
            .col(required("triggered_at").timestamp_with_time_zone())
            // The slot of a scheduled run; one run a slot.
            .col(optional("slot_at").timestamp_with_time_zone())
            .col(optional("started_at").timestamp_with_time_zone())
            .col(optional("finished_at").timestamp_with_time_zone())
            .col(required("full_requested").boolean())
            .col(optional("read_mode").text())
            // The rules the run works with.
            .col(required("rules_version").integer())
            // What a worker that takes the run up goes on with: READ or APPLY.
            .col(required("stage").text())
            .col(required("phase").text())
            .col(required("processed").big_integer())
            .col(optional("total").big_integer())
            // Never falls.
            .col(optional("percent").integer())
            // Number of the latest event.
            .col(required("sequence").big_integer())
            // Number of entries in the change log.
            .col(required("change_count").big_integer())
            // Objects that were looked at and found right.
            .col(required("unchanged").big_integer())
            // Linked users who lack a required value in the directory.
            .col(required("incomplete").big_integer())
            // How often a worker took the run up.
            .col(required("attempt").integer())
            .col(optional("not_before").timestamp_with_time_zone())
            .col(optional("lease_until").timestamp_with_time_zone())
            .col(optional("lease_owner").text())
            // Rises with every claim; a write with an older one is refused.
            .col(required("fence").big_integer())
            .col(required("summary").json_binary())
            .col(required("cost").json_binary())
            .col(required("warnings").json_binary())
            .col(optional("error").json_binary())
            .col(optional("missed_by_delta").big_integer())
            .col(optional("hold_id").uuid())
            .col(optional("plan_hash").text())
            .col(optional("cancel_requested_at").timestamp_with_time_zone())
            .col(optional("cancel_requested_by").json_binary())
            .col(required("updated_at").timestamp_with_time_zone())
            .foreign_key(&mut belongs_to("run", "organization_id", "organization"))
            .foreign_key(&mut belongs_to("run", "integration_id", "integration"))
            .to_owned();
        manager.create_table(run).await?;
        manager
            .create_index(index("run", &["organization_id", "triggered_at", "id"]))
            .await?;
        manager
            .create_index(index("run", &["integration_id", "triggered_at", "id"]))
            .await?;
        // What has not ended is looked for every few seconds, among all that ever ran.
        manager
            .get_connection()
            .execute_unprepared(
                "CREATE INDEX ix_run_unfinished ON run (triggered_at) WHERE finished_at IS NULL",
            )
            .await?;
        // A partial unique index: sea-query cannot write one for both databases, and both read this.
        manager.get_connection().execute_unprepared("CREATE UNIQUE INDEX ux_run_active ON run (integration_id) WHERE state IN ('QUEUED', 'RUNNING')").await?;
        // A partial unique index: sea-query cannot write one for both databases, and both read this.
        manager.get_connection().execute_unprepared("CREATE UNIQUE INDEX ux_run_slot ON run (integration_id, slot_at) WHERE slot_at IS NOT NULL").await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, "run").await
    }
}
