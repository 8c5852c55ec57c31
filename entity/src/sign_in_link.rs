//! The table `sign_in_link`. Sign-ins at a provider, and whom they are of.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sign_in_link")]
pub struct Model {
    /// Identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Where the person signs in.
    #[sea_orm(column_type = "Text")]
    pub provider: String,
    /// Whom the provider says it is.
    #[sea_orm(column_type = "Text")]
    pub subject: String,
    /// The organization.
    pub organization_id: Uuid,
    /// The user.
    pub user_id: Uuid,
    /// When it was linked.
    pub linked_at: ChronoDateTimeUtc,
    /// Who decided it.
    #[sea_orm(column_type = "JsonBinary")]
    pub linked_by: Json,
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

    /// Looks for the rows of one sign-in: one an organization.
    #[must_use]
    pub fn of_sign_in(provider: &str, subject: &str) -> Select<Self> {
        Self::find()
            .filter(Column::Provider.eq(provider))
            .filter(Column::Subject.eq(subject))
    }
}
