//! Creating and changing teams by hand. Teams are of the platform, so no add-on is asked for.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, SimpleObject};
use lockstep_domain::TeamId;

use super::desk::{Begun, Desk, Request, Work};
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
        let (id, user_errors) = settle(|| create(ctx, &input)).await?;
        let team = shown(ctx, id).await?;
        Ok(Some(CreateTeamPayload { team, user_errors }))
    }

    /// Changes a team; a name set here is kept by runs. Requires MANAGE_ACCESS.
    async fn update_team(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to change.")] input: UpdateTeamInput,
    ) -> Result<Option<UpdateTeamPayload>> {
        let (id, user_errors) = settle(|| update(ctx, &input)).await?;
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
    let request = Request {
        mutation: "createTeam",
        input,
        key: input.idempotency_key.as_deref(),
    };
    let work = match desk.begin(request).await? {
        Begun::New(work) => work,
        Begun::Before(id) => return Ok(id),
    };
    let budget = input.yearly_budget.as_ref().map(checked_budget);
    let (name, budget) = work.all((checked_name(&input.name), budget.transpose()))?;
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
    let request = Request {
        mutation: "updateTeam",
        input,
        key: input.idempotency_key.as_deref(),
    };
    let work = match desk.begin(request).await? {
        Begun::New(work) => work,
        Begun::Before(id) => return Ok(id),
    };
    let found = work.team(desk.organization(), &input.team_id).await;
    let name = match (&found, input.name.is_null()) {
        (Ok(team), true) => given_name(&desk, &work, team).await.map(NewName::Given),
        _ => NewName::of(&input.name).map_err(Stop::from),
    };
    let budget = input.yearly_budget.check(checked_budget);
    let (team, name, budget) = work.all((found, name, budget))?;
    let edited = edited(&team, name, budget);
    if edited != team {
        desk.app.store.save_team(&work.tx, &edited).await?;
    }
    work.commit(&team.id).await?;
    Ok(team.id)
}

/// What becomes of the name of a team.
enum NewName {
    /// It stays, or is asked of the directory for a team that there is not.
    Kept,
    /// An owner sets it.
    Set(String),
    /// The directory gives it.
    Given(String),
}

impl NewName {
    fn of(name: &Optional<String>) -> Result<Self, Refusal<Code>> {
        Ok(match name.check(|name| checked_name(name))? {
            MaybeUndefined::Value(name) => Self::Set(name),
            MaybeUndefined::Undefined | MaybeUndefined::Null => Self::Kept,
        })
    }
}

/// Returns the name that the directory gives a team.
async fn given_name(
    desk: &Desk<'_>,
    work: &Work<'_>,
    team: &lockstep_domain::Team,
) -> Result<String, Stop<Code>> {
    let given = desk.app.store.directory_name(&work.tx, team).await?;
    given.ok_or_else(|| {
        let message = "The directory has no name for this team: enter one.";
        refuse(Code::Required, message).at("name").into()
    })
}

/// Lays changes over a team. The budget is in hundredths.
fn edited(
    team: &lockstep_domain::Team,
    name: NewName,
    yearly_budget: MaybeUndefined<i64>,
) -> lockstep_domain::Team {
    let mut edited = team.clone();
    match name {
        NewName::Kept => {}
        NewName::Set(name) => (edited.name, edited.name_is_local) = (name, true),
        NewName::Given(name) => (edited.name, edited.name_is_local) = (name, false),
    }
    match yearly_budget {
        MaybeUndefined::Undefined => {}
        MaybeUndefined::Value(budget) => edited.yearly_budget = Some(budget),
        MaybeUndefined::Null => edited.yearly_budget = None,
    }
    edited
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
