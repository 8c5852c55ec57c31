//! The table `run`. Runs: the truth about what is queued, running and done. The queue only carries wake-ups.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "run")]
pub struct Model {
    /// Identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The organization.
    pub organization_id: Uuid,
    /// The integration.
    pub integration_id: Uuid,
    /// Kind.
    #[sea_orm(column_type = "Text")]
    pub kind: String,
    /// State.
    #[sea_orm(column_type = "Text")]
    pub state: String,
    /// Trigger kind.
    #[sea_orm(column_type = "Text")]
    pub trigger_kind: String,
    /// Triggered by.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub triggered_by: Option<Json>,
    /// Triggered at.
    pub triggered_at: ChronoDateTimeUtc,
    /// The slot of a scheduled run; one run a slot.
    pub slot_at: Option<ChronoDateTimeUtc>,
    /// Started at.
    pub started_at: Option<ChronoDateTimeUtc>,
    /// Finished at.
    pub finished_at: Option<ChronoDateTimeUtc>,
    /// Full requested.
    pub full_requested: bool,
    /// Read mode.
    #[sea_orm(column_type = "Text", nullable)]
    pub read_mode: Option<String>,
    /// The rules the run works with.
    pub rules_version: i32,
    /// What a worker that takes the run up goes on with: READ or APPLY.
    #[sea_orm(column_type = "Text")]
    pub stage: String,
    /// Phase.
    #[sea_orm(column_type = "Text")]
    pub phase: String,
    /// Processed.
    pub processed: i64,
    /// Total.
    pub total: Option<i64>,
    /// Never falls.
    pub percent: Option<i32>,
    /// Number of the latest event.
    pub sequence: i64,
    /// Number of entries in the change log.
    pub change_count: i64,
    /// Objects that were looked at and found right.
    pub unchanged: i64,
    /// Linked users who lack a required value in the directory.
    pub incomplete: i64,
    /// How often a worker took the run up.
    pub attempt: i32,
    /// Not before.
    pub not_before: Option<ChronoDateTimeUtc>,
    /// Lease until.
    pub lease_until: Option<ChronoDateTimeUtc>,
    /// Lease owner.
    #[sea_orm(column_type = "Text", nullable)]
    pub lease_owner: Option<String>,
    /// Rises with every claim; a write with an older one is refused.
    pub fence: i64,
    /// Summary.
    #[sea_orm(column_type = "JsonBinary")]
    pub summary: Json,
    /// Cost.
    #[sea_orm(column_type = "JsonBinary")]
    pub cost: Json,
    /// Warnings.
    #[sea_orm(column_type = "JsonBinary")]
    pub warnings: Json,
    /// Error.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub error: Option<Json>,
    /// Missed by delta.
    pub missed_by_delta: Option<i64>,
    /// Hold id.
    pub hold_id: Option<Uuid>,
    /// Plan hash.
    #[sea_orm(column_type = "Text", nullable)]
    pub plan_hash: Option<String>,
    /// Cancel requested at.
    pub cancel_requested_at: Option<ChronoDateTimeUtc>,
    /// Cancel requested by.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub cancel_requested_by: Option<Json>,
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

    /// Looks for rows of one integration.
    #[must_use]
    pub fn of_integration(integration: Uuid) -> Select<Self> {
        Self::find().filter(Column::IntegrationId.eq(integration))
    }
}
