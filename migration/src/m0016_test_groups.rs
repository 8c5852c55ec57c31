//! Groups that a connection test read as a sample.

use sea_orm_migration::prelude::*;

use crate::columns::optional;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

fn sample_groups() -> ColumnDef {
    optional("sample_groups").json_binary().to_owned()
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let alter = Table::alter()
            .table(Alias::new("connection_test"))
            .add_column(sample_groups())
            .to_owned();
        manager.alter_table(alter).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let alter = Table::alter()
            .table(Alias::new("connection_test"))
            .drop_column(Alias::new("sample_groups"))
            .to_owned();
        manager.alter_table(alter).await
    }
}
