//! The table `hold`. Changes that wait for an owner; at most one open hold per integration (D-49).

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "hold")]
pub struct Model {
    /// Identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The organization.
    pub organization_id: Uuid,
    /// The integration.
    pub integration_id: Uuid,
    /// The run that found the held changes last.
    pub run_id: Uuid,
    /// Over the sorted (action, object, after) of exactly the held changes.
    #[sea_orm(column_type = "Text")]
    pub plan_hash: String,
    /// Categories.
    #[sea_orm(column_type = "JsonBinary")]
    pub categories: Json,
    /// When the row was created.
    pub created_at: ChronoDateTimeUtc,
    /// Expires at.
    pub expires_at: ChronoDateTimeUtc,
    /// Decision.
    #[sea_orm(column_type = "Text", nullable)]
    pub decision: Option<String>,
    /// Decided by.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub decided_by: Option<Json>,
    /// Decided at.
    pub decided_at: Option<ChronoDateTimeUtc>,
    /// Comment.
    #[sea_orm(column_type = "Text", nullable)]
    pub comment: Option<String>,
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

    /// Looks for rows of one run.
    #[must_use]
    pub fn of_run(run: Uuid) -> Select<Self> {
        Self::find().filter(Column::RunId.eq(run))
    }
}
