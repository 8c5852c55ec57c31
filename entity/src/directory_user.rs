//! The table `directory_user`. The mirror: people of the directory as last read, and what a complete read has seen.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "directory_user")]
pub struct Model {
    /// The integration.
    #[sea_orm(primary_key, auto_increment = false)]
    pub integration_id: Uuid,
    /// External id.
    #[sea_orm(primary_key, auto_increment = false, column_type = "Text")]
    pub external_id: String,
    /// Display name.
    #[sea_orm(column_type = "Text", nullable)]
    pub display_name: Option<String>,
    /// Given name.
    #[sea_orm(column_type = "Text", nullable)]
    pub given_name: Option<String>,
    /// Surname.
    #[sea_orm(column_type = "Text", nullable)]
    pub surname: Option<String>,
    /// Mail.
    #[sea_orm(column_type = "Text", nullable)]
    pub mail: Option<String>,
    /// Mail key.
    #[sea_orm(column_type = "Text", nullable)]
    pub mail_key: Option<String>,
    /// User principal name.
    #[sea_orm(column_type = "Text", nullable)]
    pub user_principal_name: Option<String>,
    /// Upn key.
    #[sea_orm(column_type = "Text", nullable)]
    pub upn_key: Option<String>,
    /// Account enabled.
    pub account_enabled: bool,
    /// User type.
    #[sea_orm(column_type = "Text")]
    pub user_type: String,
    /// Job title.
    #[sea_orm(column_type = "Text", nullable)]
    pub job_title: Option<String>,
    /// Employee id.
    #[sea_orm(column_type = "Text", nullable)]
    pub employee_id: Option<String>,
    /// Manager id.
    #[sea_orm(column_type = "Text", nullable)]
    pub manager_id: Option<String>,
    /// Presence.
    #[sea_orm(column_type = "Text")]
    pub presence: String,
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
