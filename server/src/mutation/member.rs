//! Adding and removing members of teams by hand, and lifting what that leaves behind.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use lockstep_domain::{
    PlatformUser, Team as Stored, TeamId, TeamStatus, UserHoldId, UserId, UserStatus,
};
use lockstep_store::membership::Removal;

use super::desk::{Begun, Desk, Request, Work};
use super::team::{FOR_OWNERS, shown};
use super::user_error::{
    AccessUserError, AccessUserErrorCode as Code, Refusal, Stop, refuse, settle,
};
use crate::error::Result;
use crate::id::GlobalId as _;
use crate::loader::Loaders;
use crate::object::enums::TeamRole;
use crate::object::team::Team;
use crate::object::user::User;

/// Mutations of memberships.
#[derive(Default)]
pub(crate) struct MemberMutations;

#[Object]
impl MemberMutations {
    /// Adds a user to a team by hand, or changes the role given by hand; of all origins the strongest role counts. Lifts the
    /// hold KEEP_OUT_OF_TEAM. Runs never remove the membership. Requires MANAGE_ACCESS.
    async fn add_team_member(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whom to add.")] input: AddTeamMemberInput,
    ) -> Result<Option<AddTeamMemberPayload>> {
        let (id, user_errors) = settle(|| add(ctx, &input)).await?;
        let team = shown(ctx, id).await?;
        Ok(Some(AddTeamMemberPayload { team, user_errors }))
    }

    /// Removes a user from a team, however the user came into it; for a synchronized team this sets the hold
    /// KEEP_OUT_OF_TEAM, so that no run adds the user again. Requires MANAGE_ACCESS.
    async fn remove_team_member(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whom to remove.")] input: RemoveTeamMemberInput,
    ) -> Result<Option<RemoveTeamMemberPayload>> {
        let (id, user_errors) = settle(|| remove(ctx, &input)).await?;
        let team = shown(ctx, id).await?;
        Ok(Some(RemoveTeamMemberPayload { team, user_errors }))
    }

    /// Lifts a hold of a user; the next run does what it kept from happening. Requires MANAGE_ACCESS.
    async fn lift_user_hold(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to lift.")] input: LiftUserHoldInput,
    ) -> Result<Option<LiftUserHoldPayload>> {
        let (id, user_errors) = settle(|| lift(ctx, &input)).await?;
        let user = match id {
            Some(id) => Loaders::one(ctx, id).await?.map(User::from),
            None => None,
        };
        Ok(Some(LiftUserHoldPayload { user, user_errors }))
    }
}

async fn add(ctx: &Context<'_>, input: &AddTeamMemberInput) -> Result<TeamId, Stop<Code>> {
    let desk = Desk::of_owner(ctx, FOR_OWNERS)?;
    let request = Request {
        mutation: "addTeamMember",
        input,
        key: input.idempotency_key.as_deref(),
    };
    let work = match desk.begin(request).await? {
        Begun::New(work) => work,
        Begun::Before(id) => return Ok(id),
    };
    let (team, user) = work.all((
        team_to_join(&desk, &work, &input.team_id).await,
        user_to_add(&desk, &work, &input.user_id).await,
    ))?;
    let role = input.role.into();
    let store = &desk.app.store;
    store
        .add_member(&work.tx, &team, user.id, role, &desk.actor())
        .await?;
    work.commit(&team.id).await?;
    Ok(team.id)
}

/// Returns a user of the organization, none when there is none.
async fn user_of(desk: &Desk<'_>, work: &Work<'_>, id: &ID) -> Result<Option<PlatformUser>> {
    let Some(id) = UserId::local(id) else {
        return Ok(None);
    };
    let store = &desk.app.store;
    Ok(store.user_in(&work.tx, desk.organization(), id).await?)
}

async fn team_to_join(desk: &Desk<'_>, work: &Work<'_>, id: &ID) -> Result<Stored, Stop<Code>> {
    let team = work.team(desk.organization(), id).await?;
    if team.status == TeamStatus::Archived {
        let message = "The team is archived, so nobody can be added.";
        return Err(refuse(Code::WrongState, message).at("teamId").into());
    }
    Ok(team)
}

async fn user_to_add(
    desk: &Desk<'_>,
    work: &Work<'_>,
    id: &ID,
) -> Result<PlatformUser, Stop<Code>> {
    let user = user_of(desk, work, id)
        .await?
        .ok_or_else(|| refuse(Code::NotFound, "There is no such user.").at("userId"))?;
    if user.status == UserStatus::Deactivated {
        let message = "The user is deactivated and cannot be added to a team.";
        return Err(refuse(Code::WrongState, message).at("userId").into());
    }
    Ok(user)
}

async fn remove(ctx: &Context<'_>, input: &RemoveTeamMemberInput) -> Result<TeamId, Stop<Code>> {
    let desk = Desk::of_owner(ctx, FOR_OWNERS)?;
    let request = Request {
        mutation: "removeTeamMember",
        input,
        key: input.idempotency_key.as_deref(),
    };
    let work = match desk.begin(request).await? {
        Begun::New(work) => work,
        Begun::Before(id) => return Ok(id),
    };
    let user = user_of(&desk, &work, &input.user_id).await?;
    let (team, user) = work.all((
        work.team(desk.organization(), &input.team_id).await,
        user.ok_or_else(not_in_team),
    ))?;
    let store = &desk.app.store;
    let removal = store
        .remove_member(&work.tx, &team, user.id, &desk.actor())
        .await?;
    match removal {
        Removal::Manual | Removal::Synchronized => {}
        Removal::NotThere => return Err(not_in_team().into()),
    }
    work.commit(&team.id).await?;
    Ok(team.id)
}

fn not_in_team() -> Refusal<Code> {
    refuse(Code::NotFound, "The user is not in the team.").at("userId")
}

async fn lift(ctx: &Context<'_>, input: &LiftUserHoldInput) -> Result<UserId, Stop<Code>> {
    let desk = Desk::of_owner(ctx, "Holds of users are for owners of the organization.")?;
    let request = Request {
        mutation: "liftUserHold",
        input,
        key: input.idempotency_key.as_deref(),
    };
    let work = match desk.begin(request).await? {
        Begun::New(work) => work,
        Begun::Before(id) => return Ok(id),
    };
    let store = &desk.app.store;
    let lifted = match UserHoldId::local(&input.hold_id) {
        Some(id) => {
            store
                .lift_user_hold(&work.tx, desk.organization(), id)
                .await?
        }
        None => None,
    };
    let lifted =
        lifted.ok_or_else(|| refuse(Code::NotFound, "There is no such hold.").at("holdId"));
    let (hold,) = work.all((lifted,))?;
    work.commit(&hold.user_id).await?;
    Ok(hold.user_id)
}

/// Input of `addTeamMember`.
#[derive(InputObject)]
pub(crate) struct AddTeamMemberInput {
    /// The global id of the team.
    team_id: ID,
    /// The global id of the user.
    user_id: ID,
    /// Role of the user in the team.
    #[graphql(default_with = "TeamRole::Member")]
    role: TeamRole,
    /// Makes repeats of the request safe; up to 255 characters, best a fresh UUID.
    idempotency_key: Option<String>,
}

/// Payload of `addTeamMember`.
#[derive(SimpleObject)]
pub(crate) struct AddTeamMemberPayload {
    /// The team after the change, null when there are errors.
    team: Option<Team>,
    /// Expected failures; empty on success.
    user_errors: Vec<AccessUserError>,
}

/// Input of `removeTeamMember`.
#[derive(InputObject)]
pub(crate) struct RemoveTeamMemberInput {
    /// The global id of the team.
    team_id: ID,
    /// The global id of the user.
    user_id: ID,
    /// Makes repeats of the request safe; up to 255 characters, best a fresh UUID.
    idempotency_key: Option<String>,
}

/// Payload of `removeTeamMember`.
#[derive(SimpleObject)]
pub(crate) struct RemoveTeamMemberPayload {
    /// The team after the change, null when there are errors.
    team: Option<Team>,
    /// Expected failures; empty on success.
    user_errors: Vec<AccessUserError>,
}

/// Input of `liftUserHold`.
#[derive(InputObject)]
pub(crate) struct LiftUserHoldInput {
    /// The global id of the hold.
    hold_id: ID,
    /// Makes repeats of the request safe; up to 255 characters, best a fresh UUID.
    idempotency_key: Option<String>,
}

/// Payload of `liftUserHold`.
#[derive(SimpleObject)]
pub(crate) struct LiftUserHoldPayload {
    /// The user after the change, null when there are errors.
    user: Option<User>,
    /// Expected failures; empty on success.
    user_errors: Vec<AccessUserError>,
}
