//! The table `connection_test`. Tests of settings. A test is made by a worker, which alone can open a secret.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "connection_test")]
pub struct Model {
    /// Identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The organization.
    pub organization_id: Uuid,
    /// The integration.
    pub integration_id: Uuid,
    /// Settings stamp.
    pub settings_stamp: i32,
    /// Whether saved settings are tested; only then a pass counts for activation.
    pub is_saved: bool,
    /// Unsaved tenant and client, erased at the end.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub credential: Option<Json>,
    /// Unsaved secret, sealed, erased at the end.
    #[sea_orm(column_type = "Text", nullable)]
    pub sealed_secret: Option<String>,
    /// Rules.
    #[sea_orm(column_type = "JsonBinary")]
    pub rules: Json,
    /// Status.
    #[sea_orm(column_type = "Text")]
    pub status: String,
    /// Checks.
    #[sea_orm(column_type = "JsonBinary")]
    pub checks: Json,
    /// Permissions.
    #[sea_orm(column_type = "JsonBinary")]
    pub permissions: Json,
    /// Sample users.
    #[sea_orm(column_type = "JsonBinary")]
    pub sample_users: Json,
    /// Sample groups, none in tests of a version before.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub sample_groups: Option<Json>,
    /// In scope.
    pub in_scope: Option<i64>,
    /// Problems.
    pub problems: Option<i64>,
    /// Tested at.
    pub tested_at: ChronoDateTimeUtc,
    /// Tested by.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub tested_by: Option<Json>,
    /// Lease until.
    pub lease_until: Option<ChronoDateTimeUtc>,
    /// Finished at.
    pub finished_at: Option<ChronoDateTimeUtc>,
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
