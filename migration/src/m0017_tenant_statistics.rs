//! No statistics of how much each tenant has.
//!
//! Rows come by the tens of thousands under ids that the latest ANALYZE never met. From its statistics PostgreSQL would
//! conclude that there are no such rows, and join them with themselves one by one. Without any it reckons with a fixed
//! share of the table, whoever is asked for: plans do not depend on when the table was analyzed.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Columns that say whose a row is.
const COLUMNS: [(&str, &[&str]); 10] = [
    ("directory_user", &["integration_id"]),
    ("directory_group", &["integration_id"]),
    ("directory_member", &["integration_id"]),
    ("dirty_key", &["integration_id"]),
    ("read_seen", &["run_id"]),
    ("user_link", &["integration_id", "organization_id"]),
    (
        "run_change",
        &["run_id", "organization_id", "integration_id"],
    ),
    ("platform_user", &["organization_id"]),
    ("team", &["organization_id", "integration_id"]),
    ("membership", &["organization_id"]),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Statistics that are there already stay for ever when no new ones are made; a change of type, even to the same
        // one, drops them. Neither table nor index is written anew for it.
        each(manager, |column| {
            format!("ALTER COLUMN {column} TYPE uuid, ALTER COLUMN {column} SET STATISTICS 0")
        })
        .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        each(manager, |column| {
            format!("ALTER COLUMN {column} SET STATISTICS -1")
        })
        .await
    }
}

/// SQLite has no such statistics.
async fn each(manager: &SchemaManager<'_>, change: impl Fn(&str) -> String) -> Result<(), DbErr> {
    let db = manager.get_connection();
    if manager.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    for (table, columns) in COLUMNS {
        let changes: Vec<String> = columns.iter().map(|column| change(column)).collect();
        let statement = format!("ALTER TABLE {table} {}", changes.join(", "));
        db.execute_unprepared(&statement).await?;
    }
    Ok(())
}
