//! The keys of names that were there before keys were. Nothing here changes a table, so all can be read meanwhile.

use lockstep_domain::{search_key, user_search_key};
use sea_orm_migration::prelude::*;

use crate::search::fill;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const KEY: &str = "search_key";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = "given_name, family_name, email";
        fill(manager, "platform_user", columns, [KEY], |row| {
            let name = |column| row.try_get::<Option<String>>("", column);
            let email: String = row.try_get("", "email")?;
            let (given, family) = (name("given_name")?, name("family_name")?);
            Ok([user_search_key(given.as_deref(), family.as_deref(), &email)])
        })
        .await?;
        fill(manager, "team", "name", [KEY], |row| {
            let name: String = row.try_get("", "name")?;
            Ok([search_key(&[&name])])
        })
        .await?;
        let (columns, keys) = ("display_name, member_name", [KEY, "member_search_key"]);
        fill(manager, "run_change", columns, keys, |row| {
            let name: String = row.try_get("", "display_name")?;
            let member: Option<String> = row.try_get("", "member_name")?;
            Ok([
                search_key(&[&name]),
                search_key(&[member.as_deref().unwrap_or_default()]),
            ])
        })
        .await
    }

    /// The columns go with the migrations that made them.
    async fn down(&self, _: &SchemaManager) -> Result<(), DbErr> {
        Ok(())
    }
}
