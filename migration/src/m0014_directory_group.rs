//! The mirror of groups and their members, and where the next read of their changes goes on.

use sea_orm_migration::prelude::*;

use crate::columns::{belongs_to, drop, index, key, optional, required, table};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// What an integration keeps of the last read of groups.
const LINK: [&str; 2] = ["groups_delta_link", "groups_select"];

/// Looks for the reports of a manager.
const REPORTS: [&str; 3] = ["integration_id", "manager_id", "external_id"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let directory_group = table("directory_group")
            .col(required("integration_id").uuid())
            .col(required("external_id").text())
            .col(optional("display_name").text())
            .col(required("mail_enabled").boolean())
            .col(required("security_enabled").boolean())
            .col(required("is_unified").boolean())
            .col(required("is_dynamic").boolean())
            .col(required("hides_members").boolean())
            // What is known of the members.
            .col(required("members").text())
            .col(required("presence").text())
            .primary_key(&mut key(["integration_id", "external_id"]))
            .foreign_key(&mut belongs_to(
                "directory_group",
                "integration_id",
                "integration",
            ))
            .to_owned();
        manager.create_table(directory_group).await?;
        let directory_member = table("directory_member")
            .col(required("integration_id").uuid())
            .col(required("group_id").text())
            // Member or owner.
            .col(required("relation").text())
            .col(required("member_id").text())
            .col(required("kind").text())
            .primary_key(&mut key([
                "integration_id",
                "group_id",
                "relation",
                "member_id",
            ]))
            .foreign_key(&mut belongs_to(
                "directory_member",
                "integration_id",
                "integration",
            ))
            .to_owned();
        manager.create_table(directory_member).await?;
        manager
            .create_index(index(
                "directory_member",
                &["integration_id", "member_id", "relation", "group_id"],
            ))
            .await?;
        manager
            .create_index(index("directory_user", &REPORTS))
            .await?;
        for name in LINK {
            let column = optional(name).text().to_owned();
            let alter = Table::alter()
                .table(Alias::new("integration"))
                .add_column(column)
                .to_owned();
            manager.alter_table(alter).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in LINK {
            let alter = Table::alter()
                .table(Alias::new("integration"))
                .drop_column(Alias::new(name))
                .to_owned();
            manager.alter_table(alter).await?;
        }
        let reports = Index::drop()
            .name(format!("ix_directory_user_{}", REPORTS.join("_")))
            .table(Alias::new("directory_user"))
            .to_owned();
        manager.drop_index(reports).await?;
        drop(manager, "directory_member").await?;
        drop(manager, "directory_group").await
    }
}
