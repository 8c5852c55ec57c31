//! Entry points for reading.

use async_graphql::{Context, ID, Object};
use lockstep_domain::{IntegrationId, OrganizationId, RunId, TeamId, UserId};

use crate::app;
use crate::error::{Failure, Result};
use crate::id::GlobalId;
use crate::loader::Loaders;
use crate::object::integration::{Integration, IntegrationConnection, IntegrationFilter};
use crate::object::node::Node;
use crate::object::organization::{Organization, Viewer};
use crate::object::run::{Run, RunConnection, RunFilter, RunOrder};
use crate::object::service::ServiceInfo;
use crate::object::setup::AvailableIntegration;
use crate::object::sign_in::{SignInLink, SignInProposalConnection};
use crate::object::team::Team;
use crate::object::user::User;
use crate::page::{self, Edges, Paging};
use crate::session::Session;

/// Greatest number of objects that are fetched by id at once.
const MAX_NODES: usize = 100;

/// The root of queries.
pub struct Query;

/// Entry points for reading. Everything is limited to the organization of the credential in use.
#[Object]
impl Query {
    /// Fetches any object by its global id; null when it does not exist or is not visible to the viewer.
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the object.")] id: ID,
    ) -> Result<Option<Node>> {
        Node::find(ctx, &id).await
    }

    /// Fetches up to 100 objects by their global ids, in the order asked for, with null for each one that is not
    /// visible.
    #[graphql(complexity = "ids.len().min(MAX_NODES) * child_complexity + 1")]
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global ids of the objects.")] ids: Vec<ID>,
    ) -> Result<Vec<Option<Node>>> {
        Session::of(ctx)?;
        if ids.len() > MAX_NODES {
            return Err(Failure::bad_input(format!(
                "At most {MAX_NODES} objects can be fetched at once."
            )));
        }
        // At the same time, so that the loaders read each table once.
        futures::future::try_join_all(ids.iter().map(|id| Node::find(ctx, id))).await
    }

    /// Who is asking: the user behind the credential, its organization and permissions.
    async fn viewer<'a>(&self, ctx: &Context<'a>) -> Result<Viewer<'a>> {
        Session::of(ctx).map(Viewer)
    }

    /// The organization of the viewer; null for staff who belong to none, unless they name one.
    async fn organization(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "Another organization than the viewer's own. Requires the permission MANAGE_ENTITLEMENTS."
        )]
        id: Option<ID>,
    ) -> Result<Option<Organization>> {
        let session = Session::of(ctx)?;
        let own = session.organization.clone();
        let Some(id) = id else {
            return Ok(own.map(Organization));
        };
        let id = OrganizationId::local(&id);
        if id.is_some() && id == session.organization_id() {
            return Ok(own.map(Organization));
        }
        if !session.is_staff {
            return Err(Failure::forbidden(
                "Only staff may look at another organization.",
            ));
        }
        let Some(id) = id else { return Ok(None) };
        Ok(app(ctx).store.organization(id).await?.map(Organization))
    }

    /// One user by its id; null when there is none in the organization of the viewer.
    async fn user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the user.")] id: ID,
    ) -> Result<Option<User>> {
        Session::of(ctx)?;
        let Some(id) = UserId::local(&id) else {
            return Ok(None);
        };
        Ok(Loaders::one(ctx, id).await?.map(User::from))
    }

    /// One team by its id, archived or not; null when there is none in the organization of the viewer.
    async fn team(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the team.")] id: ID,
    ) -> Result<Option<Team>> {
        Session::of(ctx)?;
        let Some(id) = TeamId::local(&id) else {
            return Ok(None);
        };
        Ok(Loaders::one(ctx, id).await?.map(Team::from))
    }

    /// What the organization could integrate with, also what was not added yet. Null with FORBIDDEN unless the viewer
    /// is an owner.
    async fn available_integrations(
        &self,
        ctx: &Context<'_>,
    ) -> Result<Option<Vec<AvailableIntegration>>> {
        let owner = Session::owner_of(ctx)?;
        AvailableIntegration::all(ctx, owner).await.map(Some)
    }

    /// One integration by its id; null when it does not exist.
    async fn integration(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the integration.")] id: ID,
    ) -> Result<Option<Integration>> {
        Session::owner_of(ctx)?;
        let Some(id) = IntegrationId::local(&id) else {
            return Ok(None);
        };
        Ok(Loaders::one(ctx, id).await?.map(Integration::from))
    }

    /// The integrations of the organization in the order of their creation. Null with FORBIDDEN unless the viewer is
    /// an owner.
    #[graphql(complexity = "page::size(first, last) * child_complexity + 1")]
    async fn integrations(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns at most this many edges from the start of the list (1 to 100).")]
        first: Option<i32>,
        #[graphql(desc = "Returns edges after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns at most this many edges from the end of the list (1 to 100).")]
        last: Option<i32>,
        #[graphql(desc = "Returns edges before this cursor.")] before: Option<String>,
        #[graphql(desc = "Restricts the list.")] filter: Option<IntegrationFilter>,
    ) -> Result<Option<IntegrationConnection>> {
        let owner = Session::owner_of(ctx)?;
        let request = Paging {
            first,
            after,
            last,
            before,
        }
        .request()?;
        let states = filter.unwrap_or_default().states()?;
        let page = app(ctx)
            .store
            .integrations(owner.organization.id, states.as_deref(), &request)
            .await?;
        Ok(Some(IntegrationConnection(Edges::of(
            page,
            |row| row.id,
            Integration::from,
        ))))
    }

    /// One run by its id; null when it does not exist.
    async fn run(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the run.")] id: ID,
    ) -> Result<Option<Run>> {
        Session::owner_of(ctx)?;
        let Some(id) = RunId::local(&id) else {
            return Ok(None);
        };
        Ok(Loaders::one(ctx, id).await?.map(Run::from))
    }

    /// The runs of every integration of the organization, newest first unless ordered otherwise. Null with FORBIDDEN
    /// unless the viewer is an owner.
    #[graphql(complexity = "page::size(first, last) * child_complexity + 1")]
    #[expect(
        clippy::too_many_arguments,
        reason = "each is an argument of the field"
    )]
    async fn runs(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns at most this many edges from the start of the list (1 to 100).")]
        first: Option<i32>,
        #[graphql(desc = "Returns edges after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns at most this many edges from the end of the list (1 to 100).")]
        last: Option<i32>,
        #[graphql(desc = "Returns edges before this cursor.")] before: Option<String>,
        #[graphql(desc = "Restricts the list.")] filter: Option<RunFilter>,
        #[graphql(
            desc = "Order of the list.",
            default_with = "Some(RunOrder::default())"
        )]
        order_by: Option<RunOrder>,
    ) -> Result<Option<RunConnection>> {
        let owner = Session::owner_of(ctx)?;
        let filter = filter
            .unwrap_or_default()
            .stored(None, order_by.unwrap_or_default())?;
        let paging = Paging {
            first,
            after,
            last,
            before,
        };
        RunConnection::load(&app(ctx).store, owner.organization.id, &filter, &paging)
            .await
            .map(Some)
    }

    /// Sign-ins at a provider that may be of users of the organization and wait for the decision of an owner, oldest
    /// first. Null with FORBIDDEN unless the viewer is an owner.
    #[graphql(complexity = "page::size(first, last) * child_complexity + 1")]
    async fn sign_in_proposals(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns at most this many edges from the start of the list (1 to 100).")]
        first: Option<i32>,
        #[graphql(desc = "Returns edges after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns at most this many edges from the end of the list (1 to 100).")]
        last: Option<i32>,
        #[graphql(desc = "Returns edges before this cursor.")] before: Option<String>,
    ) -> Result<Option<SignInProposalConnection>> {
        let organization = Session::owner_for(ctx, "Sign-ins")?.organization.id;
        let request = Paging {
            first,
            after,
            last,
            before,
        }
        .request()?;
        let page = app(ctx)
            .store
            .sign_in_proposals(organization, &request)
            .await?;
        Ok(Some(SignInProposalConnection::of(page)))
    }

    /// The sign-ins at a provider that a user has, in the order in which they were linked. Null with FORBIDDEN unless
    /// the viewer is an owner.
    #[graphql(complexity = "page::UNPAGED * child_complexity + 1")]
    async fn sign_in_links(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global id of the user.")] user_id: ID,
    ) -> Result<Option<Vec<SignInLink>>> {
        let organization = Session::owner_for(ctx, "Sign-ins")?.organization.id;
        let Some(user) = UserId::local(&user_id) else {
            return Ok(Some(Vec::new()));
        };
        let links = app(ctx).store.sign_in_links_of(organization, user).await?;
        page::admit(ctx, links.len())?;
        Ok(Some(links.into_iter().map(SignInLink::from).collect()))
    }

    /// Version and limits of this server.
    async fn service(&self, ctx: &Context<'_>) -> Result<ServiceInfo> {
        Session::of(ctx)?;
        Ok(ServiceInfo)
    }
}
