//! Deciding whom a sign-in at a provider is of.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use lockstep_domain::{PlatformUser, SignInLinkId, SignInProposalId, UserId, UserStatus};
use lockstep_store::sign_in::Linked;
use lockstep_store::sign_in_proposal::SignInProposal;

use super::desk::{Begun, Desk, Request, Work};
use super::user_error::{
    AccessUserError, AccessUserErrorCode as Code, Refusal, Stop, refuse, settle,
};
use crate::error::Result;
use crate::id::GlobalId as _;
use crate::loader::Loaders;
use crate::object::user::User;

/// Who may decide.
const FOR_OWNERS: &str = "Sign-ins are for owners of the organization.";

/// Mutations of sign-ins.
#[derive(Default)]
pub(crate) struct SignInMutations;

#[Object]
impl SignInMutations {
    /// Links a sign-in to the user it was proposed for: whoever signs in there is that user from then on. Requires
    /// MANAGE_ACCESS.
    async fn confirm_sign_in_proposal(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to confirm.")] input: ConfirmSignInProposalInput,
    ) -> Result<Option<ConfirmSignInProposalPayload>> {
        let (id, user_errors) = settle(|| confirm(ctx, &input)).await?;
        let user = shown(ctx, id).await?;
        Ok(Some(ConfirmSignInProposalPayload { user, user_errors }))
    }

    /// Dismisses a proposal for good: the same sign-in is not proposed for the same user again. Requires MANAGE_ACCESS.
    async fn dismiss_sign_in_proposal(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to dismiss.")] input: DismissSignInProposalInput,
    ) -> Result<Option<DismissSignInProposalPayload>> {
        let (id, user_errors) = settle(|| dismiss(ctx, &input)).await?;
        let user = shown(ctx, id).await?;
        Ok(Some(DismissSignInProposalPayload { user, user_errors }))
    }

    /// Ends the tie between a sign-in and a user, who cannot sign in that way any more. Requires MANAGE_ACCESS.
    async fn remove_sign_in_link(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to remove.")] input: RemoveSignInLinkInput,
    ) -> Result<Option<RemoveSignInLinkPayload>> {
        let (id, user_errors) = settle(|| remove(ctx, &input)).await?;
        let user = shown(ctx, id).await?;
        Ok(Some(RemoveSignInLinkPayload { user, user_errors }))
    }
}

async fn shown(ctx: &Context<'_>, id: Option<UserId>) -> Result<Option<User>> {
    match id {
        Some(id) => Ok(Loaders::one(ctx, id).await?.map(User::from)),
        None => Ok(None),
    }
}

async fn confirm(
    ctx: &Context<'_>,
    input: &ConfirmSignInProposalInput,
) -> Result<UserId, Stop<Code>> {
    let desk = Desk::of_owner(ctx, FOR_OWNERS)?;
    let request = Request {
        mutation: "confirmSignInProposal",
        input,
        key: input.idempotency_key.as_deref(),
    };
    let work = match desk.begin(request).await? {
        Begun::New(work) => work,
        Begun::Before(id) => return Ok(id),
    };
    let found = proposal(&desk, &work, &input.proposal_id).await;
    let (proposal,) = work.all((found,))?;
    let store = &desk.app.store;
    // Before anything else is read: whoever decided it meanwhile has committed by now, or waits for us.
    if !store.take_sign_in_proposal(&work.tx, &proposal).await? {
        return Err(no_such_proposal().into());
    }
    let user = user_of(&desk, &work, &proposal).await?;
    let linked = store
        .link_sign_in(&work.tx, &user, &proposal.sign_in, &desk.actor())
        .await?;
    if matches!(linked, Linked::ToAnother(_)) {
        let message =
            "The sign-in is linked to another user of the organization; remove that link first.";
        return Err(refuse(Code::WrongState, message).at("proposalId").into());
    }
    work.commit(&user.id).await?;
    Ok(user.id)
}

async fn dismiss(
    ctx: &Context<'_>,
    input: &DismissSignInProposalInput,
) -> Result<UserId, Stop<Code>> {
    let desk = Desk::of_owner(ctx, FOR_OWNERS)?;
    let request = Request {
        mutation: "dismissSignInProposal",
        input,
        key: input.idempotency_key.as_deref(),
    };
    let work = match desk.begin(request).await? {
        Begun::New(work) => work,
        Begun::Before(id) => return Ok(id),
    };
    let found = proposal(&desk, &work, &input.proposal_id).await;
    let (proposal,) = work.all((found,))?;
    let store = &desk.app.store;
    let is_dismissed = store
        .dismiss_sign_in(&work.tx, &proposal, &desk.actor())
        .await?;
    if !is_dismissed {
        return Err(no_such_proposal().into());
    }
    work.commit(&proposal.user_id).await?;
    Ok(proposal.user_id)
}

async fn remove(ctx: &Context<'_>, input: &RemoveSignInLinkInput) -> Result<UserId, Stop<Code>> {
    let desk = Desk::of_owner(ctx, FOR_OWNERS)?;
    let request = Request {
        mutation: "removeSignInLink",
        input,
        key: input.idempotency_key.as_deref(),
    };
    let work = match desk.begin(request).await? {
        Begun::New(work) => work,
        Begun::Before(id) => return Ok(id),
    };
    let store = &desk.app.store;
    let removed = match SignInLinkId::local(&input.link_id) {
        Some(id) => {
            store
                .remove_sign_in_link(&work.tx, desk.organization(), id)
                .await?
        }
        None => None,
    };
    let no_such_link = || refuse(Code::NotFound, "There is no such link.").at("linkId");
    let (user,) = work.all((removed.ok_or_else(no_such_link),))?;
    work.commit(&user).await?;
    Ok(user)
}

async fn proposal(desk: &Desk<'_>, work: &Work<'_>, id: &ID) -> Result<SignInProposal, Stop<Code>> {
    let store = &desk.app.store;
    let found = match SignInProposalId::local(id) {
        Some(id) => {
            store
                .sign_in_proposal(&work.tx, desk.organization(), id)
                .await?
        }
        None => None,
    };
    found.ok_or_else(|| no_such_proposal().into())
}

fn no_such_proposal() -> Refusal<Code> {
    let message = "There is no such proposal that waits for a decision.";
    refuse(Code::NotFound, message).at("proposalId")
}

async fn user_of(
    desk: &Desk<'_>,
    work: &Work<'_>,
    proposal: &SignInProposal,
) -> Result<PlatformUser, Stop<Code>> {
    let store = &desk.app.store;
    let user = store
        .user_in(&work.tx, desk.organization(), proposal.user_id)
        .await?
        .ok_or_else(no_such_proposal)?;
    if user.status == UserStatus::Deactivated {
        let message = "The user is deactivated; bring the user back first.";
        return Err(refuse(Code::WrongState, message).at("proposalId").into());
    }
    // An address goes to somebody else one day; then the sign-in is not of this user.
    if user.email_key != proposal.email {
        let message = "The user has another address by now; dismiss the proposal.";
        return Err(refuse(Code::WrongState, message).at("proposalId").into());
    }
    Ok(user)
}

/// Input of `confirmSignInProposal`.
#[derive(InputObject)]
pub(crate) struct ConfirmSignInProposalInput {
    /// The global id of the proposal.
    proposal_id: ID,
    /// Makes repeats of the request safe; up to 255 characters, best a fresh UUID.
    idempotency_key: Option<String>,
}

/// Payload of `confirmSignInProposal`.
#[derive(SimpleObject)]
pub(crate) struct ConfirmSignInProposalPayload {
    /// The user who can sign in that way now, null when there are errors.
    user: Option<User>,
    /// Expected failures; empty on success.
    user_errors: Vec<AccessUserError>,
}

/// Input of `dismissSignInProposal`.
#[derive(InputObject)]
pub(crate) struct DismissSignInProposalInput {
    /// The global id of the proposal.
    proposal_id: ID,
    /// Makes repeats of the request safe; up to 255 characters, best a fresh UUID.
    idempotency_key: Option<String>,
}

/// Payload of `dismissSignInProposal`.
#[derive(SimpleObject)]
pub(crate) struct DismissSignInProposalPayload {
    /// The user whom the sign-in was proposed for, null when there are errors.
    user: Option<User>,
    /// Expected failures; empty on success.
    user_errors: Vec<AccessUserError>,
}

/// Input of `removeSignInLink`.
#[derive(InputObject)]
pub(crate) struct RemoveSignInLinkInput {
    /// The global id of the link.
    link_id: ID,
    /// Makes repeats of the request safe; up to 255 characters, best a fresh UUID.
    idempotency_key: Option<String>,
}

/// Payload of `removeSignInLink`.
#[derive(SimpleObject)]
pub(crate) struct RemoveSignInLinkPayload {
    /// The user who could sign in that way, null when there are errors.
    user: Option<User>,
    /// Expected failures; empty on success.
    user_errors: Vec<AccessUserError>,
}
