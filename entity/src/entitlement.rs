//! The table `entitlement`. Organizations and the add-ons switched on for them.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "entitlement")]
pub struct Model {
    /// The organization.
    #[sea_orm(primary_key, auto_increment = false)]
    pub organization_id: Uuid,
    /// Feature.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub feature: String,
    /// Enabled.
    pub enabled: bool,
    /// Changed at.
    pub changed_at: ChronoDateTimeUtc,
    /// Who switched it, as they were then.
    #[sea_orm(column_type = "JsonBinary")]
    pub changed_by: Json,
}

/// Relations are followed by explicit queries, so there are none to declare.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// Looks for rows of one organization.
    #[must_use]
    pub fn in_organization(organization: Uuid) -> Select<Self> {
        Self::find().filter(Column::OrganizationId.eq(organization))
    }
}
