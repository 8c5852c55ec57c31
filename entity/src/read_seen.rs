//! The table `read_seen`. The mirror: people of the directory as last read, and what a complete read has seen.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "read_seen")]
pub struct Model {
    /// The run.
    #[sea_orm(primary_key, auto_increment = false)]
    pub run_id: Uuid,
    /// Only what the one attempt that reached the last page saw counts.
    #[sea_orm(primary_key, auto_increment = false)]
    pub attempt: i32,
    /// External id.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub external_id: String,
}

/// Relations are followed by explicit queries, so there are none to declare.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// Looks for rows of one run.
    #[must_use]
    pub fn of_run(run: Uuid) -> Select<Self> {
        Self::find().filter(Column::RunId.eq(run))
    }
}
