//! Sign-ins that may be of a user because a verified address is the same; an owner decides.

use sea_orm_migration::prelude::*;

use crate::columns::{belongs_to, drop, index, optional, required, table};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Looks for users by their address in all organizations, for a sign-in of which nothing else is known.
const ADDRESS: [&str; 1] = ["email_key"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let proposal = table("sign_in_proposal")
            .col(required("id").uuid().primary_key())
            .col(required("provider").text())
            .col(required("subject").text())
            .col(required("organization_id").uuid())
            .col(required("user_id").uuid())
            // As the provider wrote it.
            .col(required("email").text())
            .col(required("proposed_at").timestamp_with_time_zone())
            // Kept, so that what was dismissed is not proposed again.
            .col(optional("dismissed_at").timestamp_with_time_zone())
            .col(optional("dismissed_by").json_binary())
            .foreign_key(&mut belongs_to(
                "sign_in_proposal",
                "organization_id",
                "organization",
            ))
            .foreign_key(&mut belongs_to(
                "sign_in_proposal",
                "user_id",
                "platform_user",
            ))
            .to_owned();
        manager.create_table(proposal).await?;
        manager
            .create_index(
                index("sign_in_proposal", &["provider", "subject", "user_id"])
                    .unique()
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(index("sign_in_proposal", &["user_id"]))
            .await?;
        manager
            .create_index(index("sign_in_proposal", &["organization_id", "id"]))
            .await?;
        manager.create_index(index("platform_user", &ADDRESS)).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let address = Index::drop()
            .name(format!("ix_platform_user_{}", ADDRESS.join("_")))
            .table(Alias::new("platform_user"))
            .to_owned();
        manager.drop_index(address).await?;
        drop(manager, "sign_in_proposal").await
    }
}
