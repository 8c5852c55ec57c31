//! Creating and changing teams by hand. Teams are of the platform, so no add-on is asked for.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, SimpleObject};
use lockstep_domain::TeamId;

use super::desk::{Begun, Desk, Request};
use super::optional::Optional;
use super::text::TextRule;
use super::user_error::{
    AccessUserError, AccessUserErrorCode as Code, Refusal, Stop, refuse, settle,
};
use crate::error::Result;
use crate::loader::Loaders;
use crate::object::team::Team;
use crate::scalar::Decimal;

/// The refusal of whoever is not an owner.
pub(super) const FOR_OWNERS: &str = "Teams are changed by owners of the organization.";
/// Names of groups and of managers' teams are no longer.
const NAME: TextRule = TextRule {
    what: "A name",
    max: 256,
};
/// Greatest budget in hundredths, far above any and far below what the database keeps.
const MAX_BUDGET: i64 = 99_999_999_999_999;

/// Mutations of teams.
#[derive(Default)]
pub(crate) struct TeamMutations;

#[Object]
impl TeamMutations {
    /// Creates a team by hand; runs never change it. Requires MANAGE_ACCESS.
    async fn create_team(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to create.")] input: CreateTeamInput,
    ) -> Result<Option<CreateTeamPayload>> {
        let (id, user_errors) = settle(create(ctx, &input).await)?;
        let team = shown(ctx, id).await?;
        Ok(Some(CreateTeamPayload { team, user_errors }))
    }

    /// Changes a team; a name set here is kept by runs. Requires MANAGE_ACCESS.
    async fn update_team(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to change.")] input: UpdateTeamInput,
    ) -> Result<Option<UpdateTeamPayload>> {
        let (id, user_errors) = settle(update(ctx, &input).await)?;
        let team = shown(ctx, id).await?;
        Ok(Some(UpdateTeamPayload { team, user_errors }))
    }
}

/// Returns the team of a payload as it is now, none when there are errors.
pub(super) async fn shown(ctx: &Context<'_>, id: Option<TeamId>) -> Result<Option<Team>> {
    let Some(id) = id else { return Ok(None) };
    Ok(Loaders::one(ctx, id).await?.map(Team::from))
}

async fn create(ctx: &Context<'_>, input: &CreateTeamInput) -> Result<TeamId, Stop<Code>> {
    let desk = Desk::of_owner(ctx, FOR_OWNERS)?;
    let name = checked_name(&input.name)?;
    let budget = input
        .yearly_budget
        .as_ref()
        .map(checked_budget)
        .transpose()?;
    let request = Request {
        mutation: "createTeam",
        input,
        key: input.idempotency_key.as_deref(),
    };
    let work = match desk.begin(request).await? {
        Begun::New(work) => work,
        Begun::Before(id) => return Ok(id),
    };
    let team = desk
        .app
        .store
        .create_team(&work.tx, desk.organization(), &name, budget)
        .await?;
    work.commit(&team.id).await?;
    Ok(team.id)
}

async fn update(ctx: &Context<'_>, input: &UpdateTeamInput) -> Result<TeamId, Stop<Code>> {
    let desk = Desk::of_owner(ctx, FOR_OWNERS)?;
    let edit = Edit::check(input)?;
    let request = Request {
        mutation: "updateTeam",
        input,
        key: input.idempotency_key.as_deref(),
    };
    let work = match desk.begin(request).await? {
        Begun::New(work) => work,
        Begun::Before(id) => return Ok(id),
    };
    let team = work.team(desk.organization(), &input.team_id).await?;
    let given = match edit.name {
        MaybeUndefined::Null => desk.app.store.directory_name(&work.tx, &team).await?,
        MaybeUndefined::Undefined | MaybeUndefined::Value(_) => None,
    };
    let edited = edit.over(&team, given)?;
    if edited != team {
        desk.app.store.save_team(&work.tx, &edited).await?;
    }
    work.commit(&team.id).await?;
    Ok(team.id)
}

/// What is to be changed on a team, checked as far as that goes without the team.
struct Edit {
    name: MaybeUndefined<String>,
    /// In hundredths.
    yearly_budget: MaybeUndefined<i64>,
}

impl Edit {
    fn check(input: &UpdateTeamInput) -> Result<Self, Refusal<Code>> {
        Ok(Self {
            name: input.name.check(|name| checked_name(name))?,
            yearly_budget: input.yearly_budget.check(checked_budget)?,
        })
    }

    /// Lays the changes over the team. `given` is the name that the directory would give it, where that is asked for.
    fn over(
        self,
        team: &lockstep_domain::Team,
        given: Option<String>,
    ) -> Result<lockstep_domain::Team, Refusal<Code>> {
        let Self {
            name,
            yearly_budget,
        } = self;
        let mut edited = team.clone();
        match name {
            MaybeUndefined::Undefined => {}
            MaybeUndefined::Value(name) => (edited.name, edited.name_is_local) = (name, true),
            MaybeUndefined::Null => {
                edited.name = given.ok_or_else(|| {
                    let message = "The directory has no name for this team: enter one.";
                    refuse(Code::Required, message).at("name")
                })?;
                edited.name_is_local = false;
            }
        }
        match yearly_budget {
            MaybeUndefined::Undefined => {}
            MaybeUndefined::Value(budget) => edited.yearly_budget = Some(budget),
            MaybeUndefined::Null => edited.yearly_budget = None,
        }
        Ok(edited)
    }
}

fn checked_name(name: &str) -> Result<String, Refusal<Code>> {
    NAME.check(name).map_err(|refusal| refusal.at("name"))
}

fn checked_budget(budget: &Decimal) -> Result<i64, Refusal<Code>> {
    budget
        .hundredths()
        .filter(|hundredths| (0..=MAX_BUDGET).contains(hundredths))
        .ok_or_else(|| {
            let message =
                "A budget has at most two decimal places and goes from 0 to 999999999999.99.";
            refuse(Code::Invalid, message).at("yearlyBudget")
        })
}

/// Input of `createTeam`.
#[derive(InputObject)]
pub(crate) struct CreateTeamInput {
    /// Name of the team, up to 256 characters.
    name: String,
    /// Yearly budget in the currency of the organization, 0 or more with at most two decimal places.
    yearly_budget: Option<Decimal>,
    /// Makes repeats of the request safe; up to 255 characters, best a fresh UUID.
    idempotency_key: Option<String>,
}

/// Payload of `createTeam`.
#[derive(SimpleObject)]
pub(crate) struct CreateTeamPayload {
    /// The new team, null when there are errors.
    team: Option<Team>,
    /// Expected failures; empty on success.
    user_errors: Vec<AccessUserError>,
}

/// Input of `updateTeam`; fields that are left out keep their value.
#[derive(InputObject)]
pub(crate) struct UpdateTeamInput {
    /// The global id of the team.
    team_id: ID,
    /// Name of the team, up to 256 characters, kept by runs from then on; null gives a synchronized team the name of
    /// the directory again.
    name: Optional<String>,
    /// Yearly budget in the currency of the organization, 0 or more with at most two decimal places; null for none.
    yearly_budget: Optional<Decimal>,
    /// Makes repeats of the request safe; up to 255 characters, best a fresh UUID.
    idempotency_key: Option<String>,
}

/// Payload of `updateTeam`.
#[derive(SimpleObject)]
pub(crate) struct UpdateTeamPayload {
    /// The team after the change, null when there are errors.
    team: Option<Team>,
    /// Expected failures; empty on success.
    user_errors: Vec<AccessUserError>,
}
