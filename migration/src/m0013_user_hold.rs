//! What owners decided about single users and runs respect.

use sea_orm_migration::prelude::*;

use crate::columns::{belongs_to, drop, index, optional, required, table};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let user_hold = table("user_hold")
            .col(required("id").uuid().primary_key())
            .col(required("organization_id").uuid())
            .col(required("user_id").uuid())
            .col(required("kind").text())
            // The team that the user is kept out of.
            .col(optional("team_id").uuid())
            .col(required("set_by").json_binary())
            .col(required("set_at").timestamp_with_time_zone())
            .foreign_key(&mut belongs_to("user_hold", "user_id", "platform_user"))
            .foreign_key(&mut belongs_to("user_hold", "team_id", "team"))
            .to_owned();
        manager.create_table(user_hold).await?;
        manager
            .create_index(
                index("user_hold", &["user_id", "kind", "team_id"])
                    .unique()
                    .to_owned(),
            )
            .await?;
        manager.create_index(index("user_hold", &["team_id"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, "user_hold").await
    }
}
