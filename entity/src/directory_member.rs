//! The table `directory_member`. The mirror: members and owners of groups as last read.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "directory_member")]
pub struct Model {
    /// The integration.
    #[sea_orm(primary_key, auto_increment = false)]
    pub integration_id: Uuid,
    /// The group.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub group_id: String,
    /// Member or owner.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub relation: String,
    /// Object id of the member.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub member_id: String,
    /// What the member is.
    #[sea_orm(column_type = "Text")]
    pub kind: String,
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
