//! The table `integration`. Integrations, their credentials and the versions of their rules.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "integration")]
pub struct Model {
    /// Identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The organization.
    pub organization_id: Uuid,
    /// Name.
    #[sea_orm(column_type = "Text")]
    pub name: String,
    /// Direction.
    #[sea_orm(column_type = "Text")]
    pub direction: String,
    /// State.
    #[sea_orm(column_type = "Text")]
    pub state: String,
    /// Default language.
    #[sea_orm(column_type = "Text", nullable)]
    pub default_language: Option<String>,
    /// Rules.
    #[sea_orm(column_type = "JsonBinary")]
    pub rules: Json,
    /// Rules version.
    pub rules_version: i32,
    /// Counts up with every change of settings.
    pub revision: i32,
    /// Counts up with every change that a test must speak for.
    pub settings_stamp: i32,
    /// `settings_stamp` of the latest test that passed.
    pub tested_stamp: Option<i32>,
    /// Schedule cron.
    #[sea_orm(column_type = "Text")]
    pub schedule_cron: String,
    /// Schedule zone.
    #[sea_orm(column_type = "Text")]
    pub schedule_zone: String,
    /// The next slot; the run starts within the jitter after it.
    pub next_slot_at: Option<ChronoDateTimeUtc>,
    /// When the scheduler starts the next run.
    pub next_start_at: Option<ChronoDateTimeUtc>,
    /// Why and since when automatic runs are paused.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub pause: Option<Json>,
    /// Where the next read of changes goes on.
    #[sea_orm(column_type = "Text", nullable)]
    pub users_delta_link: Option<String>,
    /// Fingerprint of the attributes that the delta link tracks.
    #[sea_orm(column_type = "Text", nullable)]
    pub users_select: Option<String>,
    /// Where the next read of changes of groups goes on.
    #[sea_orm(column_type = "Text", nullable)]
    pub groups_delta_link: Option<String>,
    /// Fingerprint of the attributes that the link of groups tracks.
    #[sea_orm(column_type = "Text", nullable)]
    pub groups_select: Option<String>,
    /// Last full read at.
    pub last_full_read_at: Option<ChronoDateTimeUtc>,
    /// Data as of.
    pub data_as_of: Option<ChronoDateTimeUtc>,
    /// When the row was created.
    pub created_at: ChronoDateTimeUtc,
    /// When the row last changed.
    pub updated_at: ChronoDateTimeUtc,
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
