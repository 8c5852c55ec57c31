//! The history of a user or team: its changes over all runs, newest first, whether it was the object, the member, or the
//! team that a member was moved away from.

use sea_orm_migration::prelude::*;

use crate::columns::index;
use crate::search::run;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Few rows have a member, and fewer a team that was left.
const OF_FEW: [&str; 2] = ["member_id", "moved_from_id"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_index(index("run_change", &["platform_id", "id"]))
            .await?;
        for column in OF_FEW {
            let create = format!(
                "CREATE INDEX ix_run_change_{column}_id ON run_change ({column}, id) WHERE {column} IS NOT NULL"
            );
            run(manager, &create).await?;
        }
        // The new one begins with the same column.
        run(manager, "DROP INDEX ix_run_change_platform_id").await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_index(index("run_change", &["platform_id"]))
            .await?;
        for column in ["platform_id", OF_FEW[0], OF_FEW[1]] {
            run(manager, &format!("DROP INDEX ix_run_change_{column}_id")).await?;
        }
        Ok(())
    }
}
