//! Sign-ins at a provider: whom they are of, and whom they may be of.

use async_graphql::{Context, ID, Object};
use lockstep_domain::UserId;
use lockstep_store::sign_in as links;
use lockstep_store::sign_in_proposal as proposals;

use super::organization::Actor;
use super::user::User;
use crate::error::{Failure, Result};
use crate::id::GlobalId as _;
use crate::loader::Loaders;
use crate::page::{Edges, connection};
use crate::scalar::{EmailAddress, Timestamp};

/// A link as stored. Reached only by owners of its organization.
#[derive(Debug, Clone)]
pub(crate) struct SignInLink(links::SignInLink);

impl From<links::SignInLink> for SignInLink {
    fn from(link: links::SignInLink) -> Self {
        Self(link)
    }
}

/// A tie between a sign-in at a provider and a user: whoever signs in there is that user here.
#[Object]
impl SignInLink {
    /// The opaque, globally unique id of the link.
    async fn id(&self) -> ID {
        self.0.id.global()
    }

    /// The user.
    async fn user(&self, ctx: &Context<'_>) -> Result<User> {
        user(ctx, self.0.user_id).await
    }

    /// Where the person signs in: the Directory (tenant) ID of Microsoft Entra ID, or the issuer of another provider.
    async fn provider(&self) -> &str {
        &self.0.sign_in.provider
    }

    /// Who the person is there: the Object ID of Microsoft Entra ID, or the subject of another provider.
    async fn subject(&self) -> &str {
        &self.0.sign_in.subject
    }

    /// When the two were linked.
    async fn linked_at(&self) -> Timestamp {
        self.0.linked_at.into()
    }

    /// Who decided it.
    async fn linked_by(&self) -> Actor {
        Actor(self.0.linked_by.clone())
    }
}

/// A proposal as stored. Reached only by owners of its organization.
#[derive(Debug, Clone)]
pub(crate) struct SignInProposal(proposals::SignInProposal);

impl From<proposals::SignInProposal> for SignInProposal {
    fn from(proposal: proposals::SignInProposal) -> Self {
        Self(proposal)
    }
}

/// Somebody signed in whom nobody is linked to, and the provider has verified an address that a user has. That links
/// nothing: an owner decides whether the two are the same person.
#[Object]
impl SignInProposal {
    /// The opaque, globally unique id of the proposal.
    async fn id(&self) -> ID {
        self.0.id.global()
    }

    /// The user who has the address.
    async fn user(&self, ctx: &Context<'_>) -> Result<User> {
        user(ctx, self.0.user_id).await
    }

    /// Where the person signed in: the Directory (tenant) ID of Microsoft Entra ID, or the issuer of another provider.
    async fn provider(&self) -> &str {
        &self.0.sign_in.provider
    }

    /// Who the person is there: the Object ID of Microsoft Entra ID, or the subject of another provider.
    async fn subject(&self) -> &str {
        &self.0.sign_in.subject
    }

    /// The address that the provider has verified, in the spelling by which addresses are compared.
    async fn email(&self) -> EmailAddress {
        EmailAddress(self.0.email.to_string())
    }

    /// When the person first tried to sign in.
    async fn proposed_at(&self) -> Timestamp {
        self.0.proposed_at.into()
    }
}

async fn user(ctx: &Context<'_>, id: UserId) -> Result<User> {
    let user = Loaders::one(ctx, id).await?;
    user.map(User::from)
        .ok_or_else(|| Failure::Fault("a sign-in has no user".to_owned()))
}

connection! {
    /// A page of proposals.
    SignInProposalConnection;
    /// A proposal in a list.
    SignInProposalEdge;
    /// The proposal.
    node: SignInProposal;
    /// Number of proposals that wait for a decision.
    total
}

impl SignInProposalConnection {
    pub(crate) fn of(page: lockstep_store::page::Page<proposals::SignInProposal>) -> Self {
        Self(Edges::of(page, |row| row.id, SignInProposal::from))
    }
}
