//! The table `run_change`. The change log: what a run decided, kept with before and after.

use sea_orm::entity::prelude::*;

/// A row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "run_change")]
pub struct Model {
    /// Identifier.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The run.
    pub run_id: Uuid,
    /// The organization.
    pub organization_id: Uuid,
    /// The integration.
    pub integration_id: Uuid,
    /// Sequence.
    pub sequence: i64,
    /// Object kind.
    #[sea_orm(column_type = "Text")]
    pub object_kind: String,
    /// Action.
    #[sea_orm(column_type = "Text")]
    pub action: String,
    /// Outcome.
    #[sea_orm(column_type = "Text")]
    pub outcome: String,
    /// External id.
    #[sea_orm(column_type = "Text")]
    pub external_id: String,
    /// The user or team; a creation carries the id that it will have.
    pub platform_id: Option<Uuid>,
    /// Display name.
    #[sea_orm(column_type = "Text")]
    pub display_name: String,
    /// Before.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub before: Option<Json>,
    /// After.
    #[sea_orm(column_type = "JsonBinary", nullable)]
    pub after: Option<Json>,
    /// Matched by.
    #[sea_orm(column_type = "Text", nullable)]
    pub matched_by: Option<String>,
    /// Moves address.
    pub moves_address: bool,
    /// The user who must give up the wanted address first.
    pub waits_for: Option<Uuid>,
    /// Changes of one component are applied in one transaction.
    pub component: Option<i64>,
    /// Place in the component.
    pub component_order: Option<i64>,
    /// Needs confirmation.
    pub needs_confirmation: bool,
    /// Source hash.
    #[sea_orm(column_type = "Text")]
    pub source_hash: String,
    /// Mark of the dirty key this was decided on.
    pub dirty_mark: Option<Uuid>,
    /// Reason code.
    #[sea_orm(column_type = "Text", nullable)]
    pub reason_code: Option<String>,
    /// Reason message.
    #[sea_orm(column_type = "Text", nullable)]
    pub reason_message: Option<String>,
    /// Reason field.
    #[sea_orm(column_type = "Text", nullable)]
    pub reason_field: Option<String>,
    /// Hold category.
    #[sea_orm(column_type = "Text", nullable)]
    pub hold_category: Option<String>,
    /// What the team is made from: with the object id, the key the change was decided on.
    #[sea_orm(column_type = "Text", nullable)]
    pub source: Option<String>,
    /// The user whose membership it is.
    pub member_id: Option<Uuid>,
    /// Object id of that user.
    #[sea_orm(column_type = "Text", nullable)]
    pub member_external_id: Option<String>,
    /// Name of that user.
    #[sea_orm(column_type = "Text", nullable)]
    pub member_name: Option<String>,
    /// The team that a move leaves.
    pub moved_from_id: Option<Uuid>,
    /// Name of that team.
    #[sea_orm(column_type = "Text", nullable)]
    pub moved_from_name: Option<String>,
    /// The change that must be made first.
    pub depends_on: Option<Uuid>,
    /// Number of the event that told subscribers of the outcome.
    pub event_sequence: Option<i64>,
    /// Occurred at.
    pub occurred_at: ChronoDateTimeUtc,
    /// What the name is searched by; computed in Rust, see `search_key`.
    #[sea_orm(column_type = "Text")]
    pub search_key: String,
    /// What the name of the member is searched by.
    #[sea_orm(column_type = "Text")]
    pub member_search_key: String,
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

    /// Looks for rows of one run.
    #[must_use]
    pub fn of_run(run: Uuid) -> Select<Self> {
        Self::find().filter(Column::RunId.eq(run))
    }
}
