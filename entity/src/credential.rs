//! The table `credential`. Integrations, their credentials and the versions of their rules.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "credential")]
pub struct Model {
    /// The integration.
    #[sea_orm(primary_key, auto_increment = false)]
    pub integration_id: Uuid,
    /// Cloud.
    #[sea_orm(column_type = "Text")]
    pub cloud: String,
    /// As entered: GUID or domain.
    #[sea_orm(column_type = "Text")]
    pub tenant_id: String,
    /// Resolved tenant id.
    #[sea_orm(column_type = "Text", nullable)]
    pub resolved_tenant_id: Option<String>,
    /// Tenant display name.
    #[sea_orm(column_type = "Text", nullable)]
    pub tenant_display_name: Option<String>,
    /// Client id.
    #[sea_orm(column_type = "Text")]
    pub client_id: String,
    /// Sealed to the public keys of the workers; see the crate `seal`.
    #[sea_orm(column_type = "Text", nullable)]
    pub sealed_secret: Option<String>,
    /// Secret set at.
    pub secret_set_at: Option<ChronoDateTimeUtc>,
    /// Secret set by.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub secret_set_by: Option<Json>,
    /// Secret expires at.
    pub secret_expires_at: Option<ChronoDateTimeUtc>,
    /// Typed in by the owner to tell secrets apart.
    #[sea_orm(column_type = "Text", nullable)]
    pub secret_key_id: Option<String>,
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
