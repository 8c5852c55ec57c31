//! Organizations, add-ons, and who is asking.

use async_graphql::{Context, ID, Object, SimpleObject};
use lockstep_domain::{ActorKind as Kind, PlatformUser};
use lockstep_store::order::{OrderBy, Place};
use lockstep_store::organization as stored;

use super::enums::{ActorKind, Feature, OrganizationRole, Permission};
use super::team::{Team, TeamConnection, TeamFilter, TeamOrder};
use super::user::{User, UserConnection, UserFilter, UserOrder};
use crate::app;
use crate::error::{Failure, Result};
use crate::id::GlobalId as _;
use crate::loader::Loaders;
use crate::page::{self, Edges, Paging};
use crate::scalar::{EmailAddress, Timestamp, Url};
use crate::session::Session;

/// An organization as stored.
#[derive(Debug, Clone)]
pub(crate) struct Organization(pub(crate) stored::Organization);

impl Organization {
    /// Refuses whoever is not of the organization: its people and teams are for those who belong to it.
    fn check_belongs(&self, ctx: &Context<'_>) -> Result<()> {
        if Session::of(ctx)?.organization_id() == Some(self.0.id) {
            return Ok(());
        }
        Err(Failure::forbidden(
            "Staff see the add-ons of other organizations, not their users and teams.",
        ))
    }
}

/// A tenant of this service: one customer with its users, teams and integrations.
#[Object]
impl Organization {
    /// The opaque, globally unique id of the organization.
    pub(crate) async fn id(&self) -> ID {
        self.0.id.global()
    }

    /// Display name of the organization.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// When the organization was created.
    async fn created_at(&self) -> Timestamp {
        self.0.created_at.into()
    }

    /// Add-ons and whether the organization may use them. Owners and staff only, null for others.
    async fn entitlements(&self, ctx: &Context<'_>) -> Result<Option<Vec<Entitlement>>> {
        if !Session::of(ctx)?.is_staff && !Session::owns(ctx, self.0.id) {
            return Ok(None);
        }
        let rows = app(ctx).store.entitlements(self.0.id).await?;
        let row = |feature: Feature| rows.iter().find(|row| row.feature == feature.stored());
        Ok(Some(
            Feature::ALL
                .map(|feature| Entitlement::of(feature, row(feature)))
                .into(),
        ))
    }

    /// How many days the entries of change logs are kept (7 to 400); runs and their counters are kept for ever.
    async fn change_retention_days(&self) -> i32 {
        self.0.change_retention_days
    }

    /// Users of the organization, synchronized or local, by name unless ordered otherwise. Refused with FORBIDDEN to staff of another organization.
    #[graphql(complexity = "page::size(first, last) * child_complexity + 1")]
    #[expect(
        clippy::too_many_arguments,
        reason = "each is an argument of the field"
    )]
    async fn users(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns at most this many edges from the start of the list (1 to 100).")]
        first: Option<i32>,
        #[graphql(desc = "Returns edges after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns at most this many edges from the end of the list (1 to 100).")]
        last: Option<i32>,
        #[graphql(desc = "Returns edges before this cursor.")] before: Option<String>,
        #[graphql(desc = "Restricts the list.")] filter: Option<UserFilter>,
        #[graphql(
            desc = "Order of the list.",
            default_with = "Some(UserOrder::default())"
        )]
        order_by: Option<UserOrder>,
    ) -> Result<UserConnection> {
        self.check_belongs(ctx)?;
        let filter = filter
            .unwrap_or_default()
            .stored(order_by.unwrap_or_default())?;
        let paging = Paging {
            first,
            after,
            last,
            before,
        };
        let request = paging.ordered(filter.order)?;
        let page = app(ctx).store.users(self.0.id, &filter, &request).await?;
        let place = |user: &PlatformUser| match filter.order.by {
            OrderBy::Creation => Place::Created(user.id),
            OrderBy::Name => Place::Named(user.search_key(), user.id),
        };
        Ok(UserConnection(Edges::of(page, place, User::from)))
    }

    /// Teams of the organization, synchronized or local, archived ones too, by name unless ordered otherwise. Refused with FORBIDDEN to staff of another
    /// organization.
    #[graphql(complexity = "page::size(first, last) * child_complexity + 1")]
    #[expect(
        clippy::too_many_arguments,
        reason = "each is an argument of the field"
    )]
    async fn teams(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns at most this many edges from the start of the list (1 to 100).")]
        first: Option<i32>,
        #[graphql(desc = "Returns edges after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns at most this many edges from the end of the list (1 to 100).")]
        last: Option<i32>,
        #[graphql(desc = "Returns edges before this cursor.")] before: Option<String>,
        #[graphql(desc = "Restricts the list.")] filter: Option<TeamFilter>,
        #[graphql(
            desc = "Order of the list.",
            default_with = "Some(TeamOrder::default())"
        )]
        order_by: Option<TeamOrder>,
    ) -> Result<TeamConnection> {
        self.check_belongs(ctx)?;
        let filter = filter
            .unwrap_or_default()
            .stored(order_by.unwrap_or_default())?;
        let paging = Paging {
            first,
            after,
            last,
            before,
        };
        let request = paging.ordered(filter.order)?;
        let page = app(ctx).store.teams(self.0.id, &filter, &request).await?;
        let place = |team: &lockstep_domain::Team| match filter.order.by {
            OrderBy::Creation => Place::Created(team.id),
            OrderBy::Name => Place::Named(team.search_key(), team.id),
        };
        Ok(TeamConnection(Edges::of(page, place, Team::from)))
    }
}

/// An add-on and whether the organization may use it. Switched by staff alone.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Entitlement {
    /// The add-on.
    feature: Feature,
    /// Whether the add-on is switched on.
    enabled: bool,
    /// When the add-on was last switched, null when never.
    changed_at: Option<Timestamp>,
    /// Who last switched the add-on, null when nobody has.
    changed_by: Option<Actor>,
}

impl Entitlement {
    pub(crate) fn of(feature: Feature, row: Option<&stored::Entitlement>) -> Self {
        Self {
            feature,
            enabled: row.is_some_and(|row| row.enabled),
            changed_at: row.map(|row| row.changed_at.into()),
            changed_by: row.map(|row| Actor(row.changed_by.clone())),
        }
    }
}

/// Who did something, as kept with what they did.
#[derive(Debug, Clone)]
pub(crate) struct Actor(pub(crate) lockstep_domain::Actor);

/// Who did something, as they were at that time: later changes of name, address or picture do not show here.
#[Object]
impl Actor {
    /// The kind of actor.
    async fn kind(&self) -> ActorKind {
        self.0.kind.into()
    }

    /// Name at that time.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// E-mail address at that time, null unless the actor was a person.
    async fn email(&self) -> Option<EmailAddress> {
        self.0.email.clone().map(EmailAddress)
    }

    /// Picture at that time, null when there was none.
    async fn image_url(&self) -> Option<Url> {
        self.0.image_url.clone().map(Url)
    }

    /// The user as of now, null unless the actor was a user of the organization who still exists.
    async fn user(&self, ctx: &Context<'_>) -> Result<Option<User>> {
        let id = self.0.id.filter(|_| self.0.kind == Kind::User);
        let Some(id) = id else { return Ok(None) };
        Ok(Loaders::one(ctx, lockstep_domain::UserId(id))
            .await?
            .map(User::from))
    }
}

/// The caller.
pub(crate) struct Viewer<'a>(pub(crate) &'a Session);

/// The principal behind the request.
#[Object]
impl Viewer<'_> {
    /// The signed-in user, null for staff who belong to no organization.
    async fn user(&self) -> Option<User> {
        self.0.user.clone().map(User::from)
    }

    /// The organization the credential belongs to, null for staff who belong to none.
    async fn organization(&self) -> Option<Organization> {
        self.0.organization.clone().map(Organization)
    }

    /// The role of the principal in the organization, null for staff who belong to none.
    async fn role(&self) -> Option<OrganizationRole> {
        self.0.user.as_ref().map(|user| user.role.into())
    }

    /// Whether the credential has the staff scope of the platform.
    async fn is_staff(&self) -> bool {
        self.0.is_staff
    }

    /// What the principal may do, so that clients can hide what would be refused.
    async fn permissions(&self) -> Vec<Permission> {
        let of_owner = [
            Permission::ReadIntegrations,
            Permission::OperateRuns,
            Permission::ManageIntegrations,
            Permission::ManageCredentials,
            Permission::ManageAccess,
        ];
        let mut permissions = Vec::new();
        if self.0.owner().is_some() {
            permissions.extend(of_owner);
        }
        if self.0.is_staff {
            permissions.push(Permission::ManageEntitlements);
        }
        permissions
    }
}
