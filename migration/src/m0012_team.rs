//! Teams, synchronized or local, and who belongs to them.

use sea_orm_migration::prelude::*;

use crate::columns::{belongs_to, drop, index, key, optional, required, table};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let team = table("team")
            .col(required("id").uuid().primary_key())
            .col(required("organization_id").uuid())
            // Integration, source and object id tie a synchronized team to what it was made from; all or none.
            .col(optional("integration_id").uuid())
            .col(optional("source").text())
            .col(optional("external_id").text())
            .col(required("name").text())
            // What the name is compared by; computed in Rust, see `name_key`.
            .col(required("name_key").text())
            // Name that the directory gives.
            .col(optional("source_name").text())
            // Whether an owner set the name.
            .col(required("name_is_local").boolean())
            .col(required("status").text())
            .col(optional("archival_reason").text())
            .col(optional("archived_at").timestamp_with_time_zone())
            .col(required("origin").text())
            // In hundredths of the organization's currency.
            .col(optional("yearly_budget").big_integer())
            .col(required("created_at").timestamp_with_time_zone())
            .col(required("updated_at").timestamp_with_time_zone())
            .foreign_key(&mut belongs_to("team", "organization_id", "organization"))
            // Teams outlive the integration that made them.
            .foreign_key(
                ForeignKey::create()
                    .name("fk_team_integration_id")
                    .from(Alias::new("team"), Alias::new("integration_id"))
                    .to(Alias::new("integration"), Alias::new("id"))
                    .on_delete(ForeignKeyAction::SetNull),
            )
            .to_owned();
        manager.create_table(team).await?;
        for (columns, is_unique) in [
            (&["integration_id", "source", "external_id"][..], true),
            (&["organization_id", "name_key"], false),
            (&["organization_id", "id"], false),
        ] {
            let mut index = index("team", columns);
            if is_unique {
                index.unique();
            }
            manager.create_index(index).await?;
        }
        let membership = table("membership")
            .col(required("team_id").uuid())
            .col(required("user_id").uuid())
            // A row for each origin: a run removes only what it added.
            .col(required("origin").text())
            .col(required("organization_id").uuid())
            .col(required("role").text())
            // The person who added it by hand, none for synchronized ones.
            .col(optional("added_by").json_binary())
            .col(required("added_at").timestamp_with_time_zone())
            .primary_key(&mut key(["team_id", "user_id", "origin"]))
            .foreign_key(&mut belongs_to("membership", "team_id", "team"))
            .foreign_key(&mut belongs_to("membership", "user_id", "platform_user"))
            .to_owned();
        manager.create_table(membership).await?;
        manager
            .create_index(index("membership", &["user_id", "team_id"]))
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, "membership").await?;
        drop(manager, "team").await
    }
}
