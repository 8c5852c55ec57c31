//! The table `directory_group`. The mirror: groups of the directory as last read.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "directory_group")]
pub struct Model {
    /// The integration.
    #[sea_orm(primary_key, auto_increment = false)]
    pub integration_id: Uuid,
    /// Object id.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub external_id: String,
    /// Display name.
    #[sea_orm(column_type = "Text", nullable)]
    pub display_name: Option<String>,
    /// Whether the group receives mail.
    pub mail_enabled: bool,
    /// Whether the group is a security group.
    pub security_enabled: bool,
    /// Whether the group is a Microsoft 365 group.
    pub is_unified: bool,
    /// Whether the directory computes the members.
    pub is_dynamic: bool,
    /// Whether the group hides its members.
    pub hides_members: bool,
    /// What is known of the members.
    #[sea_orm(column_type = "Text")]
    pub members: String,
    /// Whether the group is there.
    #[sea_orm(column_type = "Text")]
    pub presence: String,
}

/// Relations are followed by explicit queries, so there are none to declare.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// Looks for rows of one integration.
    #[must_use]
    pub fn of_integration(integration: Uuid) -> Select<Self> {
        Self::find().filter(Column::IntegrationId.eq(integration))
    }
}
