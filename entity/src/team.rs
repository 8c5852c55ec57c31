//! The table `team`. Teams, synchronized or local.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "team")]
pub struct Model {
    /// Identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The organization.
    pub organization_id: Uuid,
    /// The integration that manages the team.
    pub integration_id: Option<Uuid>,
    /// What the team was made from.
    #[sea_orm(column_type = "Text", nullable)]
    pub source: Option<String>,
    /// Object id of the group or manager.
    #[sea_orm(column_type = "Text", nullable)]
    pub external_id: Option<String>,
    /// Name.
    #[sea_orm(column_type = "Text")]
    pub name: String,
    /// What the name is compared by; computed in Rust, see `name_key`.
    #[sea_orm(column_type = "Text")]
    pub name_key: String,
    /// Name that the directory gives.
    #[sea_orm(column_type = "Text", nullable)]
    pub source_name: Option<String>,
    /// Whether an owner set the name.
    pub name_is_local: bool,
    /// Status.
    #[sea_orm(column_type = "Text")]
    pub status: String,
    /// Why the team is archived.
    #[sea_orm(column_type = "Text", nullable)]
    pub archival_reason: Option<String>,
    /// Since when the team is archived.
    pub archived_at: Option<ChronoDateTimeUtc>,
    /// Where the team is managed.
    #[sea_orm(column_type = "Text")]
    pub origin: String,
    /// In hundredths of the organization's currency.
    pub yearly_budget: Option<i64>,
    /// When the row was created.
    pub created_at: ChronoDateTimeUtc,
    /// When the row last changed.
    pub updated_at: ChronoDateTimeUtc,
    /// What the team is searched and sorted by; computed in Rust, see `search_key`.
    #[sea_orm(column_type = "Text")]
    pub search_key: String,
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
