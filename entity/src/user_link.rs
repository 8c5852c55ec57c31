//! The table `user_link`. Ties between accounts of the directory and users, unique both ways (D-01).

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "user_link")]
pub struct Model {
    /// The integration.
    #[sea_orm(primary_key, auto_increment = false)]
    pub integration_id: Uuid,
    /// External id.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub external_id: String,
    /// User id.
    pub user_id: Uuid,
    /// The organization.
    pub organization_id: Uuid,
    /// Tenant id.
    #[sea_orm(column_type = "Text")]
    pub tenant_id: String,
    /// Matched by.
    #[sea_orm(column_type = "Text")]
    pub matched_by: String,
    /// Linked at.
    pub linked_at: ChronoDateTimeUtc,
    /// Who decided it, none when a run did by the rules.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub linked_by: Option<Json>,
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

    /// Looks for rows of one integration.
    #[must_use]
    pub fn of_integration(integration: Uuid) -> Select<Self> {
        Self::find().filter(Column::IntegrationId.eq(integration))
    }
}
