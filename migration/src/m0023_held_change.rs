//! What is held since when, and under which limits: later runs know it by this, whatever becomes of the run that held it.

use sea_orm_migration::prelude::*;

use crate::columns::{belongs_to, drop, key, required, table};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let held_change = table("held_change")
            .col(required("integration_id").uuid())
            // What the change would do.
            .col(required("kind").text())
            // The user or the team.
            .col(required("object_id").uuid())
            // The user of a membership; nil when it is no membership.
            .col(required("member_id").uuid())
            // Why it is held: the category, the limit that was in force, and of how many objects; JSON, compared as a text.
            .col(required("terms").text())
            .col(required("held_since").timestamp_with_time_zone())
            .primary_key(&mut key([
                "integration_id",
                "kind",
                "object_id",
                "member_id",
            ]))
            .foreign_key(&mut belongs_to(
                "held_change",
                "integration_id",
                "integration",
            ))
            .to_owned();
        manager.create_table(held_change).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, "held_change").await
    }
}
