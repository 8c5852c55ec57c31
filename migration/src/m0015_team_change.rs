//! Changes of teams and memberships in the change log, and which run planned a key.

use sea_orm_migration::prelude::*;

use crate::columns::{index, optional};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Looks for what a run does to an account.
const ACCOUNT: [&str; 2] = ["run_id", "external_id"];

fn columns() -> [(&'static str, ColumnDef); 8] {
    let text = |name| optional(name).text().to_owned();
    let uuid = |name| optional(name).uuid().to_owned();
    [
        // What the team is made from: with the object id, the key the change was decided on.
        ("run_change", text("source")),
        ("run_change", uuid("member_id")),
        ("run_change", text("member_external_id")),
        ("run_change", text("member_name")),
        ("run_change", uuid("moved_from_id")),
        ("run_change", text("moved_from_name")),
        // The change that must be made first.
        ("run_change", uuid("depends_on")),
        // The run that decided on the key since its latest cause; none when it has to be looked at.
        ("dirty_key", uuid("planned_by")),
    ]
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, column) in columns() {
            let alter = Table::alter()
                .table(Alias::new(table))
                .add_column(column)
                .to_owned();
            manager.alter_table(alter).await?;
        }
        manager.create_index(index("run_change", &ACCOUNT)).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let account = Index::drop()
            .name(format!("ix_run_change_{}", ACCOUNT.join("_")))
            .table(Alias::new("run_change"))
            .to_owned();
        manager.drop_index(account).await?;
        for (table, column) in columns() {
            let alter = Table::alter()
                .table(Alias::new(table))
                .drop_column(Alias::new(column.get_column_name()))
                .to_owned();
            manager.alter_table(alter).await?;
        }
        Ok(())
    }
}
