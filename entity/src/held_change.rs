//! The table `held_change`. What is held since when, and under which limits.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "held_change")]
pub struct Model {
    /// The integration.
    #[sea_orm(primary_key, auto_increment = false)]
    pub integration_id: Uuid,
    /// What the change would do.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub kind: String,
    /// The user or the team.
    #[sea_orm(primary_key, auto_increment = false)]
    pub object_id: Uuid,
    /// The user of a membership; nil when it is no membership.
    #[sea_orm(primary_key, auto_increment = false)]
    pub member_id: Uuid,
    /// Why it is held: the category, the limit that was in force, and of how many objects; JSON, compared as a text.
    #[sea_orm(column_type = "Text")]
    pub terms: String,
    /// When it was held first.
    pub held_since: ChronoDateTimeUtc,
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
