//! The table `dirty_key`. What has to be looked at, written in the same transaction as its cause.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "dirty_key")]
pub struct Model {
    /// The integration.
    #[sea_orm(primary_key, auto_increment = false)]
    pub integration_id: Uuid,
    /// Kind.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub kind: String,
    /// Key.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub key: String,
    /// Changes with every cause, so that a cause that comes while the object is planned is not cleared with it.
    pub mark: Uuid,
    /// The run that decided on the key since its latest cause; none when it has to be looked at.
    pub planned_by: Option<Uuid>,
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
