//! What users and teams are searched and sorted by: one key, made in Rust, see `lockstep_domain::search`.
//!
//! They are empty until `m0034_fill_search_keys`, so that the tables are closed for a moment only.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

use crate::search::{add_key, run};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLES: [&str; 2] = ["platform_user", "team"];

/// What PostgreSQL knows organizations by in the indexes of this migration. No other index fits it, so that the planner
/// needs no statistics to choose: for an organization that it has not counted, it takes all others for as good.
const MARK: &str = "right(organization_id::text, 8)";
/// The words of a key, each with the mark of its organization, for the index that searches go by.
const WORDS: &str = "array_to_tsvector(string_to_array(\
     right(organization_id::text, 8) || ':' || replace(search_key, ' ', ' ' || right(organization_id::text, 8) || ':'), \
     ' '))";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in TABLES {
            add_key(manager, table, "search_key").await?;
        }
        for table in TABLES {
            let by_name = match manager.get_database_backend() {
                DbBackend::Postgres => format!("{MARK}, search_key, id"),
                _ => "organization_id, search_key, id".to_owned(),
            };
            let by_name = format!("CREATE INDEX ix_{table}_by_name ON {table} ({by_name})");
            run(manager, &by_name).await?;
            if manager.get_database_backend() == DbBackend::Postgres {
                let words = format!(
                    "ALTER TABLE {table} ADD COLUMN search_words tsvector GENERATED ALWAYS AS ({WORDS}) STORED"
                );
                run(manager, &words).await?;
                let index = format!(
                    "CREATE INDEX ix_{table}_search_words ON {table} USING gin (search_words)"
                );
                run(manager, &index).await?;
            }
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in TABLES {
            if manager.get_database_backend() == DbBackend::Postgres {
                run(
                    manager,
                    &format!("ALTER TABLE {table} DROP COLUMN search_words"),
                )
                .await?;
            }
            run(manager, &format!("DROP INDEX ix_{table}_by_name")).await?;
            run(
                manager,
                &format!("ALTER TABLE {table} DROP COLUMN search_key"),
            )
            .await?;
        }
        Ok(())
    }
}
