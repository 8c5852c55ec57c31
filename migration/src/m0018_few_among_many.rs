//! Indexes of the few rows that a run looks for among many, instead of one that changes with every outcome.
//!
//! The change log is walked by places. What is looked for by its outcome are the few rows that were not made; an index
//! over the outcome of all rows led plans to read whole runs, and was written anew with each row that was applied.

use sea_orm_migration::prelude::*;

use crate::columns::index;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// What is replaced.
const BY_OUTCOME: [&str; 4] = ["run_id", "outcome", "component", "sequence"];

/// Partial indexes: sea-query cannot write one for both databases, and both read these.
const PARTIAL: [(&str, &str, &str, &str); 5] = [
    (
        "ix_run_change_unmade",
        "run_change",
        "(run_id, outcome, sequence)",
        "outcome <> 'PLANNED' AND outcome <> 'APPLIED'",
    ),
    (
        "ix_run_change_component",
        "run_change",
        "(run_id, component, component_order)",
        "component IS NOT NULL AND outcome = 'PLANNED'",
    ),
    (
        "ix_run_change_unconfirmed",
        "run_change",
        "(run_id, sequence)",
        "needs_confirmation",
    ),
    (
        "ix_run_change_told",
        "run_change",
        "(run_id, event_sequence)",
        "event_sequence IS NOT NULL",
    ),
    (
        "ix_platform_user_owner",
        "platform_user",
        "(organization_id)",
        "role = 'OWNER'",
    ),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let by_outcome = Index::drop()
            .name(format!("ix_run_change_{}", BY_OUTCOME.join("_")))
            .table(Alias::new("run_change"))
            .to_owned();
        manager.drop_index(by_outcome).await?;
        let db = manager.get_connection();
        for (name, table, columns, which) in PARTIAL {
            let statement = format!("CREATE INDEX {name} ON {table} {columns} WHERE {which}");
            db.execute_unprepared(&statement).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        for (name, ..) in PARTIAL {
            db.execute_unprepared(&format!("DROP INDEX {name}")).await?;
        }
        manager.create_index(index("run_change", &BY_OUTCOME)).await
    }
}
