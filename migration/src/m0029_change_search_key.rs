//! What changes are searched by: the words of the object's name, and of the member's.

use lockstep_domain::search_key;
use sea_orm_migration::prelude::*;

use crate::search::{add_key, fill, run};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const KEYS: [&str; 2] = ["search_key", "member_search_key"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for key in KEYS {
            add_key(manager, "run_change", key).await?;
        }
        fill(
            manager,
            "run_change",
            "display_name, member_name",
            KEYS,
            |row| {
                let name: String = row.try_get("", "display_name")?;
                let member: Option<String> = row.try_get("", "member_name")?;
                Ok([
                    search_key(&[&name]),
                    search_key(&[member.as_deref().unwrap_or_default()]),
                ])
            },
        )
        .await
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
