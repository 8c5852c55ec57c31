//! The mirror: people of the directory as last read, and what a complete read has seen.

use sea_orm_migration::prelude::*;

use crate::columns::{belongs_to, drop, index, key, optional, required, table};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let directory_user = table("directory_user")
            .col(required("integration_id").uuid())
            .col(required("external_id").text())
            .col(optional("display_name").text())
            .col(optional("given_name").text())
            .col(optional("surname").text())
            .col(optional("mail").text())
            .col(optional("mail_key").text())
            .col(optional("user_principal_name").text())
            .col(optional("upn_key").text())
            .col(required("account_enabled").boolean())
            .col(required("user_type").text())
            .col(optional("job_title").text())
            .col(optional("employee_id").text())
            .col(optional("manager_id").text())
            .col(required("presence").text())
            .primary_key(&mut key(["integration_id", "external_id"]))
            .foreign_key(&mut belongs_to(
                "directory_user",
                "integration_id",
                "integration",
            ))
            .to_owned();
        manager.create_table(directory_user).await?;
        manager
            .create_index(index("directory_user", &["integration_id", "mail_key"]))
            .await?;
        manager
            .create_index(index("directory_user", &["integration_id", "upn_key"]))
            .await?;
        let read_seen = table("read_seen")
            .col(required("run_id").uuid())
            // Only what the one attempt that reached the last page saw counts.
            .col(required("attempt").integer())
            .col(required("external_id").text())
            .primary_key(&mut key(["run_id", "attempt", "external_id"]))
            .foreign_key(&mut belongs_to("read_seen", "run_id", "run"))
            .to_owned();
        manager.create_table(read_seen).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, "read_seen").await?;
        drop(manager, "directory_user").await
    }
}
