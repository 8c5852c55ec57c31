//! The table `rules_version`. Integrations, their credentials and the versions of their rules.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "rules_version")]
pub struct Model {
    /// Identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The integration.
    pub integration_id: Uuid,
    /// Version.
    pub version: i32,
    /// Rules.
    #[sea_orm(column_type = "JsonBinary")]
    pub rules: Json,
    /// Saved by.
    #[sea_orm(column_type = "JsonBinary")]
    pub saved_by: Json,
    /// Saved at.
    pub saved_at: ChronoDateTimeUtc,
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
