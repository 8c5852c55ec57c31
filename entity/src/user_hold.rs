//! The table `user_hold`. What owners decided about single users and runs respect.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "user_hold")]
pub struct Model {
    /// Identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The organization.
    pub organization_id: Uuid,
    /// The user.
    pub user_id: Uuid,
    /// What runs must not do.
    #[sea_orm(column_type = "Text")]
    pub kind: String,
    /// The team that the user is kept out of.
    pub team_id: Option<Uuid>,
    /// Who set it.
    #[sea_orm(column_type = "JsonBinary")]
    pub set_by: Json,
    /// When it was set.
    pub set_at: ChronoDateTimeUtc,
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
