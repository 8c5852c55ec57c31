//! The database schema as migrations, for SQLite and PostgreSQL alike.
//!
//! A migration is one change, has a way back, is never edited after it was released, and leaves the code of the
//! version before working. Identifiers are UUIDs of version 7, so a primary key is also the order of creation.

use sea_orm_migration::prelude::*;
pub use sea_orm_migration::{MigratorTrait, SchemaManager};

mod columns;
mod m0001_organization;
mod m0002_platform_user;
mod m0003_integration;
mod m0004_run;
mod m0005_directory_user;
mod m0006_user_link;
mod m0007_dirty_key;
mod m0008_run_change;
mod m0009_hold;
mod m0010_connection_test;
mod m0011_idempotency_key;
mod m0012_team;
mod m0013_user_hold;
mod m0014_directory_group;
mod m0015_team_change;
mod m0016_test_groups;
mod m0017_tenant_statistics;
mod m0018_few_among_many;
mod m0023_held_change;
mod m0028_search_key;
mod m0029_change_search_key;
mod m0030_history;
mod m0031_last_seen;
mod m0032_sign_in_link;
mod m0033_sign_in_proposal;
mod m0034_fill_search_keys;
mod search;

/// Every migration, in order.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_organization::Migration),
            Box::new(m0002_platform_user::Migration),
            Box::new(m0003_integration::Migration),
            Box::new(m0004_run::Migration),
            Box::new(m0005_directory_user::Migration),
            Box::new(m0006_user_link::Migration),
            Box::new(m0007_dirty_key::Migration),
            Box::new(m0008_run_change::Migration),
            Box::new(m0009_hold::Migration),
            Box::new(m0010_connection_test::Migration),
            Box::new(m0011_idempotency_key::Migration),
            Box::new(m0012_team::Migration),
            Box::new(m0013_user_hold::Migration),
            Box::new(m0014_directory_group::Migration),
            Box::new(m0015_team_change::Migration),
            Box::new(m0016_test_groups::Migration),
            Box::new(m0017_tenant_statistics::Migration),
            Box::new(m0018_few_among_many::Migration),
            Box::new(m0023_held_change::Migration),
            Box::new(m0028_search_key::Migration),
            Box::new(m0029_change_search_key::Migration),
            Box::new(m0030_history::Migration),
            Box::new(m0031_last_seen::Migration),
            Box::new(m0032_sign_in_link::Migration),
            Box::new(m0033_sign_in_proposal::Migration),
            Box::new(m0034_fill_search_keys::Migration),
        ]
    }
}

/// Whether every migration has been applied. Only reads, whereas the migrator makes its table when there is none.
///
/// # Errors
/// When the database does not answer.
pub async fn is_complete(db: &sea_orm::DatabaseConnection) -> Result<bool, DbErr> {
    use sea_orm::{EntityTrait as _, QuerySelect as _};
    let table = Migrator::migration_table_name().to_string();
    if !SchemaManager::new(db).has_table(table).await? {
        return Ok(false);
    }
    let applied: Vec<String> = sea_orm_migration::seaql_migrations::Entity::find()
        .select_only()
        .column(sea_orm_migration::seaql_migrations::Column::Version)
        .into_tuple()
        .all(db)
        .await?;
    Ok(Migrator::migrations()
        .iter()
        .all(|migration| applied.iter().any(|name| name == migration.name())))
}
