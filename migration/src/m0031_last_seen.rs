//! When users last signed in.

use sea_orm_migration::prelude::*;

use crate::columns::optional;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Without an index: a write of it must stay cheap.
        let last_seen = optional("last_seen_at")
            .timestamp_with_time_zone()
            .to_owned();
        let alter = Table::alter()
            .table(Alias::new("platform_user"))
            .add_column(last_seen)
            .to_owned();
        manager.alter_table(alter).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let alter = Table::alter()
            .table(Alias::new("platform_user"))
            .drop_column(Alias::new("last_seen_at"))
            .to_owned();
        manager.alter_table(alter).await
    }
}
