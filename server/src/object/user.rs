//! Users and how they are tied to the directory.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use lockstep_domain::{PlatformUser, TeamId, UserStatus as Status};
use lockstep_store::order::{ListOrder, OrderBy};
use lockstep_store::user::{self as stored, LinkRow};

use super::change::{RunChangeConnection, RunChangeFilter};
use super::enums::{
    DeactivationReason, OrderDirection, OrganizationRole, RecordOrigin, SyncedField,
    UserOrderField, UserStatus,
};
use super::link::DirectoryLink;
use super::membership::UserTeamConnection;
use super::organization::Actor;
use super::run::Run;
use super::user_hold::UserHold;
use crate::error::{Failure, Result};
use crate::filter;
use crate::id::GlobalId as _;
use crate::loader::{DeactivationOf, HoldsOf, LinkOf, Loaders, ManagerOf, TeamsOf};
use crate::page::{self, Edges, Paging, connection};
use crate::scalar::{EmailAddress, Guid, LanguageTag, Timestamp, Url};
use crate::session::Session;

/// A user as stored.
#[derive(Debug, Clone)]
pub(crate) struct User(Arc<PlatformUser>);

impl From<PlatformUser> for User {
    fn from(user: PlatformUser) -> Self {
        Self(Arc::new(user))
    }
}

impl User {
    fn is_shown_to_owner(&self, ctx: &Context<'_>) -> bool {
        Session::owns(ctx, self.0.organization_id)
    }

    async fn link_row(&self, ctx: &Context<'_>) -> Result<Option<LinkRow>> {
        Loaders::one(ctx, LinkOf(self.0.id)).await
    }
}

/// A user of the organization.
#[Object]
impl User {
    /// The opaque, globally unique id of the user.
    pub(crate) async fn id(&self) -> ID {
        self.0.id.global()
    }

    /// First and last name, or what stands for them.
    async fn display_name(&self) -> String {
        self.0.display_name()
    }

    /// First name.
    async fn given_name(&self) -> Option<&str> {
        self.0.given_name.as_deref()
    }

    /// Last name.
    async fn family_name(&self) -> Option<&str> {
        self.0.family_name.as_deref()
    }

    /// Whether first and last name were derived from the display name of the directory, because it gave none.
    async fn names_derived(&self) -> bool {
        self.0.names_derived
    }

    /// E-mail address. It is data, never the key: linked users are found by `externalId`.
    async fn email(&self) -> EmailAddress {
        EmailAddress(self.0.email.clone())
    }

    /// Job title.
    async fn job_title(&self) -> Option<&str> {
        self.0.job_title.as_deref()
    }

    /// Picture of the user.
    async fn image_url(&self) -> Option<Url> {
        self.0.image_url.clone().map(Url)
    }

    /// Language of e-mails to the user.
    async fn language(&self) -> LanguageTag {
        LanguageTag(self.0.language.clone())
    }

    /// Whether the user may sign in.
    async fn status(&self) -> UserStatus {
        self.0.status.into()
    }

    /// Why and when the user was deactivated, null unless the status is DEACTIVATED.
    async fn deactivation(&self, ctx: &Context<'_>) -> Result<Option<UserDeactivation>> {
        let (Status::Deactivated, Some(reason), Some(at)) = (
            self.0.status,
            self.0.deactivation_reason,
            self.0.deactivated_at,
        ) else {
            return Ok(None);
        };
        let origin = Loaders::one(ctx, DeactivationOf(self.0.id)).await?;
        let run = match origin.as_ref().and_then(|origin| origin.run_id) {
            Some(run) if self.is_shown_to_owner(ctx) => Loaders::one(ctx, run).await?,
            _ => None,
        };
        let by = origin.and_then(|origin| origin.by).map(Actor);
        Ok(Some(UserDeactivation {
            reason: reason.into(),
            at: at.into(),
            by,
            run: run.map(Run::from),
        }))
    }

    /// Role in the organization.
    async fn role(&self) -> OrganizationRole {
        self.0.role.into()
    }

    /// Where the user is managed.
    async fn origin(&self) -> RecordOrigin {
        self.0.origin.into()
    }

    /// Object id of the user in Microsoft Entra ID, null for users without a link.
    async fn external_id(&self, ctx: &Context<'_>) -> Result<Option<Guid>> {
        let row = self.link_row(ctx).await?;
        Ok(row.and_then(|row| Guid::read(row.link.external_id.as_str())))
    }

    /// How the user is tied to the directory, null for users without a link and unless the viewer is an owner.
    async fn link(&self, ctx: &Context<'_>) -> Result<Option<DirectoryLink>> {
        if !self.is_shown_to_owner(ctx) {
            return Ok(None);
        }
        Ok(self.link_row(ctx).await?.map(DirectoryLink::from))
    }

    /// Fields that runs write and that therefore cannot be edited here.
    async fn synced_fields(&self, ctx: &Context<'_>) -> Result<Vec<SyncedField>> {
        let Some(row) = self.link_row(ctx).await? else {
            return Ok(Vec::new());
        };
        let integration = Loaders::one(ctx, row.link.integration_id).await?;
        let mut fields = vec![
            SyncedField::GivenName,
            SyncedField::FamilyName,
            SyncedField::Email,
        ];
        if integration.is_some_and(|integration| integration.rules.sync_job_title) {
            fields.push(SyncedField::JobTitle);
        }
        Ok(fields)
    }

    /// What owners decided about this user that runs must respect; empty unless the viewer is an owner.
    #[graphql(complexity = "page::UNPAGED * child_complexity + 1")]
    async fn holds(&self, ctx: &Context<'_>) -> Result<Vec<UserHold>> {
        if !self.is_shown_to_owner(ctx) {
            return Ok(Vec::new());
        }
        let holds = Loaders::one(ctx, HoldsOf(self.0.id)).await?;
        let mut holds = holds.unwrap_or_default();
        page::admit(ctx, holds.len())?;
        holds.sort_by_key(|hold| (hold.set_at, hold.id));
        Ok(holds.into_iter().map(UserHold::from).collect())
    }

    /// The user's manager, null when there is none or it is not synchronized.
    async fn manager(&self, ctx: &Context<'_>) -> Result<Option<User>> {
        let Some(id) = Loaders::one(ctx, ManagerOf(self.0.id)).await? else {
            return Ok(None);
        };
        Ok(Loaders::one(ctx, id).await?.map(User::from))
    }

    /// Teams of the user, archived ones too, with the role in each on the edge.
    #[graphql(complexity = "page::size(first, last) * child_complexity + 1")]
    async fn teams(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns at most this many edges from the start of the list (1 to 100).")]
        first: Option<i32>,
        #[graphql(desc = "Returns edges after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns at most this many edges from the end of the list (1 to 100).")]
        last: Option<i32>,
        #[graphql(desc = "Returns edges before this cursor.")] before: Option<String>,
    ) -> Result<UserTeamConnection> {
        let paging = Paging {
            first,
            after,
            last,
            before,
        };
        let page = Loaders::one(ctx, TeamsOf(self.0.id, paging.request()?)).await?;
        let page = page.ok_or_else(|| Failure::Fault("a user has no list of teams".to_owned()))?;
        Ok(UserTeamConnection(Edges::of(
            page,
            |row| row.team_id,
            |row| row,
        )))
    }

    /// The history of the user: its changes and those of its memberships over all runs, newest first. Null unless the
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
        if !self.is_shown_to_owner(ctx) {
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

    /// When a run last confirmed the user, null for local users.
    async fn last_synced_at(&self, ctx: &Context<'_>) -> Result<Option<Timestamp>> {
        let Some(row) = self.link_row(ctx).await? else {
            return Ok(None);
        };
        let integration = Loaders::one(ctx, row.link.integration_id).await?;
        Ok(integration
            .and_then(|integration| integration.data_as_of)
            .map(Timestamp))
    }

    /// When the user was created here.
    async fn created_at(&self) -> Timestamp {
        self.0.created_at.into()
    }
}

/// Why and when a user was deactivated.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct UserDeactivation {
    /// The reason.
    reason: DeactivationReason,
    /// When the user was deactivated.
    at: Timestamp,
    /// The person who did it, null when a run did.
    by: Option<Actor>,
    /// The run that did it, null when a person did and unless the viewer is an owner.
    run: Option<Run>,
}

connection! {
    /// A page of users.
    UserConnection;
    /// A user in a list.
    UserEdge;
    /// The user.
    node: User;
    /// Number of users in the whole list.
    total
}

/// Restricts a list of users; conditions are combined with AND. A list has at most 100 values.
#[derive(Debug, Clone, Default, InputObject)]
pub(crate) struct UserFilter {
    /// Only users with one of these statuses.
    statuses: Option<Vec<UserStatus>>,
    /// Only users with one of these roles.
    roles: Option<Vec<OrganizationRole>>,
    /// Only users of this team.
    team_id: Option<ID>,
    /// Only users managed in one of these places.
    origins: Option<Vec<RecordOrigin>>,
    /// Only users whom each word of this text fits: it begins a word of the name, or the e-mail address or a part of it,
    /// without regard to case, accents and order. At most 256 characters and 20 words.
    search: Option<String>,
}

impl UserFilter {
    pub(crate) fn stored(self, order: UserOrder) -> Result<stored::UserFilter> {
        Ok(stored::UserFilter {
            statuses: filter::values("statuses", self.statuses)?,
            roles: filter::values("roles", self.roles)?,
            origins: filter::values("origins", self.origins)?,
            // An id of something else is of a team without anybody.
            team: self
                .team_id
                .map(|id| TeamId::local(&id).unwrap_or(TeamId(uuid::Uuid::nil()))),
            search: filter::search(self.search)?,
            order: order.stored(),
        })
    }
}

/// Order of a list of users.
#[derive(Debug, Clone, Copy, InputObject)]
pub(crate) struct UserOrder {
    /// What to order by.
    field: UserOrderField,
    /// Which way.
    direction: OrderDirection,
}

impl UserOrder {
    pub(crate) fn stored(self) -> ListOrder {
        ListOrder {
            by: match self.field {
                UserOrderField::Name => OrderBy::Name,
                UserOrderField::CreatedAt => OrderBy::Creation,
            },
            descending: self.direction == OrderDirection::Desc,
        }
    }
}

impl Default for UserOrder {
    fn default() -> Self {
        Self {
            field: UserOrderField::Name,
            direction: OrderDirection::Asc,
        }
    }
}
