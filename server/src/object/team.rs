//! Teams.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use lockstep_domain as domain;
use lockstep_store::membership::MembersRequest;
use lockstep_store::order::{ListOrder, OrderBy};
use lockstep_store::team as stored;

use super::change::{RunChangeConnection, RunChangeFilter};
use super::enums::{
    OrderDirection, RecordOrigin, TeamArchivalReason, TeamOrderField, TeamRole, TeamSource,
    TeamStatus,
};
use super::membership::TeamMemberConnection;
use crate::error::{Failure, Result};
use crate::filter;
use crate::id::GlobalId as _;
use crate::loader::{Loaders, MembersOf};
use crate::page::{self, Edges, Paging, connection};
use crate::scalar::{Decimal, Guid, Timestamp};
use crate::session::Session;

/// A team as stored.
#[derive(Debug, Clone)]
pub(crate) struct Team(Arc<domain::Team>);

impl From<domain::Team> for Team {
    fn from(team: domain::Team) -> Self {
        Self(Arc::new(team))
    }
}

/// A team: members and the supervisors who lead them.
#[Object]
impl Team {
    /// The opaque, globally unique id of the team.
    pub(crate) async fn id(&self) -> ID {
        self.0.id.global()
    }

    /// Name of the team, for example `Peter Wright's team`.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// Name that the directory gives, null for local teams; differs from `name` when an owner renamed the team or the
    /// name was taken.
    async fn source_name(&self) -> Option<&str> {
        self.0.source_name.as_deref()
    }

    /// Whether an owner set the name, so that runs leave it.
    async fn name_is_local(&self) -> bool {
        self.0.name_is_local
    }

    /// Whether the team is in use.
    async fn status(&self) -> TeamStatus {
        self.0.status.into()
    }

    /// Why and when the team was archived, null unless the status is ARCHIVED.
    async fn archival(&self) -> Option<TeamArchival> {
        Some(TeamArchival {
            reason: self.0.archival_reason?.into(),
            at: self.0.archived_at?.into(),
        })
    }

    /// Where the team is managed.
    async fn origin(&self) -> RecordOrigin {
        self.0.origin.into()
    }

    /// What the team was made from, null for local teams.
    async fn source(&self) -> Option<TeamSource> {
        self.0.key.as_ref().map(|key| key.source.into())
    }

    /// Object id of the group or manager in Microsoft Entra ID, null for local teams.
    async fn external_id(&self) -> Option<Guid> {
        Guid::read(self.0.key.as_ref()?.external_id.as_str())
    }

    /// Yearly budget in the currency of the organization, null when there is none. Runs never change it.
    async fn yearly_budget(&self) -> Option<Decimal> {
        self.0.yearly_budget.map(Decimal::of_hundredths)
    }

    /// Users of the team, with the role of each on the edge.
    #[graphql(complexity = "page::size(first, last) * child_complexity + 1")]
    async fn members(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns at most this many edges from the start of the list (1 to 100).")]
        first: Option<i32>,
        #[graphql(desc = "Returns edges after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns at most this many edges from the end of the list (1 to 100).")]
        last: Option<i32>,
        #[graphql(desc = "Returns edges before this cursor.")] before: Option<String>,
        #[graphql(desc = "Restricts the list to one role.")] role: Option<TeamRole>,
    ) -> Result<TeamMemberConnection> {
        let paging = Paging {
            first,
            after,
            last,
            before,
        };
        let request = MembersRequest {
            role: role.map(Into::into),
            page: paging.request()?,
        };
        let page = Loaders::one(ctx, MembersOf(self.0.id, request)).await?;
        let page =
            page.ok_or_else(|| Failure::Fault("a team has no list of members".to_owned()))?;
        Ok(TeamMemberConnection(Edges::of(
            page,
            |row| row.user_id,
            |row| row,
        )))
    }

    /// The history of the team: its changes and those of its memberships over all runs, newest first, moves away from it included. Null unless the
    /// viewer is an owner.
    #[graphql(complexity = "page::size(first, last) * child_complexity + 1")]
    async fn changes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns at most this many edges from the start of the list (1 to 100).")]
        first: Option<i32>,
        #[graphql(desc = "Returns edges after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns at most this many edges from the end of the list (1 to 100).")]
        last: Option<i32>,
        #[graphql(desc = "Returns edges before this cursor.")] before: Option<String>,
        #[graphql(desc = "Restricts the list.")] filter: Option<RunChangeFilter>,
    ) -> Result<Option<RunChangeConnection>> {
        if !Session::owns(ctx, self.0.organization_id) {
            return Ok(None);
        }
        let paging = Paging {
            first,
            after,
            last,
            before,
        };
        RunChangeConnection::history(ctx, self.0.id.0, filter, &paging)
            .await
            .map(Some)
    }

    /// When the integration was last in step, null for local and archived teams. A team whose group could not be read was
    /// left as it was.
    async fn last_synced_at(&self, ctx: &Context<'_>) -> Result<Option<Timestamp>> {
        let in_use = self.0.status == lockstep_domain::TeamStatus::Active;
        let Some(id) = self.0.integration_id.filter(|_| in_use) else {
            return Ok(None);
        };
        let integration = Loaders::one(ctx, id).await?;
        Ok(integration
            .and_then(|integration| integration.data_as_of)
            .map(Timestamp))
    }

    /// When the team was created here.
    async fn created_at(&self) -> Timestamp {
        self.0.created_at.into()
    }
}

/// Why and when a team was archived.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct TeamArchival {
    /// The reason.
    reason: TeamArchivalReason,
    /// When the team was archived.
    at: Timestamp,
}

connection! {
    /// A page of teams.
    TeamConnection;
    /// A team in a list.
    TeamEdge;
    /// The team.
    node: Team;
    /// Number of teams in the whole list.
    total
}

/// Restricts a list of teams; conditions are combined with AND. A list has at most 100 values.
#[derive(Debug, Clone, Default, InputObject)]
pub(crate) struct TeamFilter {
    /// Only teams with one of these statuses.
    statuses: Option<Vec<TeamStatus>>,
    /// Only teams managed in one of these places.
    origins: Option<Vec<RecordOrigin>>,
    /// Only teams made from one of these.
    sources: Option<Vec<TeamSource>>,
    /// Only teams whose name each word of this text fits: it begins a word of the name, without regard to case, accents and
    /// order. At most 256 characters and 20 words.
    search: Option<String>,
}

impl TeamFilter {
    pub(crate) fn stored(self, order: TeamOrder) -> Result<stored::TeamFilter> {
        Ok(stored::TeamFilter {
            statuses: filter::values("statuses", self.statuses)?,
            origins: filter::values("origins", self.origins)?,
            sources: filter::values("sources", self.sources)?,
            search: filter::search(self.search)?,
            order: order.stored(),
        })
    }
}

/// Order of a list of teams.
#[derive(Debug, Clone, Copy, InputObject)]
pub(crate) struct TeamOrder {
    /// What to order by.
    field: TeamOrderField,
    /// Which way.
    direction: OrderDirection,
}

impl TeamOrder {
    pub(crate) fn stored(self) -> ListOrder {
        ListOrder {
            by: match self.field {
                TeamOrderField::Name => OrderBy::Name,
                TeamOrderField::CreatedAt => OrderBy::Creation,
            },
            descending: self.direction == OrderDirection::Desc,
        }
    }
}

impl Default for TeamOrder {
    fn default() -> Self {
        Self {
            field: TeamOrderField::Name,
            direction: OrderDirection::Asc,
        }
    }
}
