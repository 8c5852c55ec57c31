//! What changes are searched by: the words of the object's name, and of the member's.
//! Filled by `m0034_fill_search_keys`.

use sea_orm_migration::prelude::*;

use crate::search::{add_key, run};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const KEYS: [&str; 2] = ["search_key", "member_search_key"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for key in KEYS {
            add_key(manager, "run_change", key).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for key in KEYS {
            run(
                manager,
                &format!("ALTER TABLE run_change DROP COLUMN {key}"),
            )
            .await?;
        }
        Ok(())
    }
}
