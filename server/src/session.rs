//! Who is asking, and what they may do.

use async_graphql::Context;
use lockstep_domain::{Actor, ActorKind, OrganizationId, PlatformUser, Role, UserId, UserStatus};
use lockstep_store::organization::Organization;
use lockstep_store::{Store, StoreError};

use crate::error::{Failure, Result};

/// The caller: the token identifies, the row of the user authorizes.
#[derive(Debug, Clone)]
pub struct Session {
    /// The user, none for staff who belong to no organization.
    pub user: Option<PlatformUser>,
    /// The organization of the user.
    pub organization: Option<Organization>,
    /// Whether the token has the scope of the platform's staff.
    pub is_staff: bool,
    /// The subject of the token.
    pub subject: String,
    /// Name in the token, for staff who have no row.
    pub name: Option<String>,
}

/// An owner in an organization: who may see and use integrations (E-004, E-031).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner<'a> {
    pub(crate) user: &'a PlatformUser,
    pub(crate) organization: &'a Organization,
}

impl Session {
    /// Returns the caller.
    pub(crate) fn of<'a>(ctx: &Context<'a>) -> Result<&'a Self> {
        ctx.data_opt().ok_or_else(Failure::unauthenticated)
    }

    /// Returns the caller as an owner, or refuses.
    pub(crate) fn owner_of<'a>(ctx: &Context<'a>) -> Result<Owner<'a>> {
        Self::of(ctx)?.owner().ok_or_else(not_owner)
    }

    /// Returns the caller as an owner, or refuses with the name of what is for owners.
    pub(crate) fn owner_for<'a>(ctx: &Context<'a>, what: &str) -> Result<Owner<'a>> {
        let refusal = || Failure::forbidden(format!("{what} are for owners of the organization."));
        Self::of(ctx)?.owner().ok_or_else(refusal)
    }

    /// Whether the caller is an owner of the organization; nobody is one when nobody has signed in.
    pub(crate) fn owns(ctx: &Context<'_>, organization: OrganizationId) -> bool {
        let owner = ctx.data_opt::<Self>().and_then(Self::owner);
        owner.is_some_and(|owner| owner.organization.id == organization)
    }

    /// The caller as an owner.
    pub(crate) fn owner(&self) -> Option<Owner<'_>> {
        let (user, organization) = (self.user.as_ref()?, self.organization.as_ref()?);
        (user.role == Role::Owner).then_some(Owner { user, organization })
    }

    /// Whether a user is an owner by now, asked while a subscription lives.
    pub(crate) async fn is_owner(
        store: &Store,
        organization: OrganizationId,
        user: UserId,
    ) -> Result<bool, StoreError> {
        let user = store.user(organization, user).await?;
        Ok(user
            .is_some_and(|user| user.role == Role::Owner && user.status != UserStatus::Deactivated))
    }

    /// The organization of the caller.
    pub(crate) fn organization_id(&self) -> Option<OrganizationId> {
        self.organization
            .as_ref()
            .map(|organization| organization.id)
    }

    /// The caller as staff, for what only staff may do.
    pub(crate) fn staff_actor(&self) -> Actor {
        let user = self.user.as_ref();
        let name = user
            .map(PlatformUser::display_name)
            .or_else(|| self.name.clone());
        Actor {
            kind: ActorKind::Staff,
            id: None,
            name: name.unwrap_or_else(|| "Staff".to_owned()),
            email: user.map(|user| user.email.clone()),
            image_url: user.and_then(|user| user.image_url.clone()),
        }
    }
}

impl Owner<'_> {
    /// The owner as they are now, to be kept with what they do (E-076).
    pub(crate) fn actor(&self) -> Actor {
        Actor {
            kind: ActorKind::User,
            id: Some(self.user.id.0),
            name: self.user.display_name(),
            email: Some(self.user.email.clone()),
            image_url: self.user.image_url.clone(),
        }
    }
}

/// The refusal of whoever is not an owner.
pub(crate) fn not_owner() -> Failure {
    Failure::forbidden("Integrations are for owners of the organization.")
}
