//! The table `platform_user`. Users of organizations, synchronized or local.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "platform_user")]
pub struct Model {
    /// Identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The organization.
    pub organization_id: Uuid,
    /// Given name.
    #[sea_orm(column_type = "Text", nullable)]
    pub given_name: Option<String>,
    /// Family name.
    #[sea_orm(column_type = "Text", nullable)]
    pub family_name: Option<String>,
    /// Names derived.
    pub names_derived: bool,
    /// As written.
    #[sea_orm(column_type = "Text")]
    pub email: String,
    /// What the address is compared by; computed in Rust, see `AddressKey`.
    #[sea_orm(column_type = "Text")]
    pub email_key: String,
    /// Job title.
    #[sea_orm(column_type = "Text", nullable)]
    pub job_title: Option<String>,
    /// Language.
    #[sea_orm(column_type = "Text")]
    pub language: String,
    /// Language is own choice.
    pub language_is_own_choice: bool,
    /// Status.
    #[sea_orm(column_type = "Text")]
    pub status: String,
    /// Whether the user ever signed in.
    pub ever_active: bool,
    /// Deactivation reason.
    #[sea_orm(column_type = "Text", nullable)]
    pub deactivation_reason: Option<String>,
    /// Deactivated at.
    pub deactivated_at: Option<ChronoDateTimeUtc>,
    /// The person who did it, none when a run did.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub deactivated_by: Option<Json>,
    /// Deactivated by run.
    pub deactivated_by_run: Option<Uuid>,
    /// Role.
    #[sea_orm(column_type = "Text")]
    pub role: String,
    /// Origin.
    #[sea_orm(column_type = "Text")]
    pub origin: String,
    /// Image url.
    #[sea_orm(column_type = "Text", nullable)]
    pub image_url: Option<String>,
    /// When the row was created.
    pub created_at: ChronoDateTimeUtc,
    /// When the row last changed.
    pub updated_at: ChronoDateTimeUtc,
    /// What the user is searched and sorted by; computed in Rust, see `user_search_key`.
    #[sea_orm(column_type = "Text")]
    pub search_key: String,
    /// When the user last signed in, to the hour; none when never since that is noted.
    pub last_seen_at: Option<ChronoDateTimeUtc>,
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
}
