//! The table `membership`. Who belongs to teams: a row for each origin, so that a run removes only what it added.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "membership")]
pub struct Model {
    /// The team.
    #[sea_orm(primary_key, auto_increment = false)]
    pub team_id: Uuid,
    /// The user.
    #[sea_orm(primary_key, auto_increment = false)]
    pub user_id: Uuid,
    /// Where the membership comes from.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub origin: String,
    /// The organization.
    pub organization_id: Uuid,
    /// Role that this origin gives.
    #[sea_orm(column_type = "Text")]
    pub role: String,
    /// The person who added it by hand, none for synchronized ones.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub added_by: Option<Json>,
    /// When it was added.
    pub added_at: ChronoDateTimeUtc,
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

    /// Looks for rows of one team.
    #[must_use]
    pub fn of_team(team: Uuid) -> Select<Self> {
        Self::find().filter(Column::TeamId.eq(team))
    }
}
