//! The table `sign_in_proposal`. Sign-ins that may be of a user; an owner decides.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sign_in_proposal")]
pub struct Model {
    /// Identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// Where the person signed in.
    #[sea_orm(column_type = "Text")]
    pub provider: String,
    /// Whom the provider says it is.
    #[sea_orm(column_type = "Text")]
    pub subject: String,
    /// The organization.
    pub organization_id: Uuid,
    /// The user who has the address.
    pub user_id: Uuid,
    /// The address that the provider has verified, as addresses are compared.
    #[sea_orm(column_type = "Text")]
    pub email: String,
    /// When the person first tried.
    pub proposed_at: ChronoDateTimeUtc,
    /// When an owner dismissed it, none while it waits.
    pub dismissed_at: Option<ChronoDateTimeUtc>,
    /// Who dismissed it.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub dismissed_by: Option<Json>,
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

    /// Looks for the rows of one sign-in.
    #[must_use]
    pub fn of_sign_in(provider: &str, subject: &str) -> Select<Self> {
        Self::find()
            .filter(Column::Provider.eq(provider))
            .filter(Column::Subject.eq(subject))
    }
}
