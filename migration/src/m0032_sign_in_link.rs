//! Sign-ins at a provider, and whom they are of.

use sea_orm_migration::prelude::*;

use crate::columns::{belongs_to, drop, index, required, table};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let link = table("sign_in_link")
            .col(required("id").uuid().primary_key())
            // Where a person signs in, and whom the provider says it is.
            .col(required("provider").text())
            .col(required("subject").text())
            .col(required("organization_id").uuid())
            .col(required("user_id").uuid())
            .col(required("linked_at").timestamp_with_time_zone())
            .col(required("linked_by").json_binary())
            .foreign_key(&mut belongs_to(
                "sign_in_link",
                "organization_id",
                "organization",
            ))
            .foreign_key(&mut belongs_to("sign_in_link", "user_id", "platform_user"))
            .to_owned();
        manager.create_table(link).await?;
        // A person may be in several organizations, and is one user in each.
        manager
            .create_index(
                index("sign_in_link", &["provider", "subject", "organization_id"])
                    .unique()
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(index("sign_in_link", &["user_id"]))
            .await?;
        manager
            .create_index(index("sign_in_link", &["organization_id", "id"]))
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, "sign_in_link").await
    }
}
