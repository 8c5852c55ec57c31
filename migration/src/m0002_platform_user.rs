//! Users of organizations, synchronized or local.

use sea_orm_migration::prelude::*;

use crate::columns::{belongs_to, drop, index, optional, required, table};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let platform_user = table("platform_user")
            .col(required("id").uuid().primary_key())
            .col(required("organization_id").uuid())
            .col(optional("given_name").text())
            .col(optional("family_name").text())
            .col(required("names_derived").boolean())
            // As written.
            .col(required("email").text())
            // What the address is compared by; computed in Rust, see `AddressKey`.
            .col(required("email_key").text())
            .col(optional("job_title").text())
            .col(required("language").text())
            .col(required("language_is_own_choice").boolean())
            .col(required("status").text())
            // Whether the user ever signed in.
            .col(required("ever_active").boolean())
            .col(optional("deactivation_reason").text())
            .col(optional("deactivated_at").timestamp_with_time_zone())
            // The person who did it, none when a run did.
            .col(optional("deactivated_by").json_binary())
            .col(optional("deactivated_by_run").uuid())
            .col(required("role").text())
            .col(required("origin").text())
            .col(optional("image_url").text())
            .col(required("created_at").timestamp_with_time_zone())
            .col(required("updated_at").timestamp_with_time_zone())
            .foreign_key(&mut belongs_to(
                "platform_user",
                "organization_id",
                "organization",
            ))
            .to_owned();
        manager.create_table(platform_user).await?;
        manager
            .create_index(
                index("platform_user", &["organization_id", "email_key"])
                    .unique()
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(index("platform_user", &["organization_id", "id"]))
            .await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop(manager, "platform_user").await
    }
}
