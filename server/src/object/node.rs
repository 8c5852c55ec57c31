//! Objects that can be fetched again by their global id.

use async_graphql::{Context, ID, Interface};
use lockstep_domain::{
    ChangeId, HoldId, IntegrationId, OrganizationId, RulesVersionId, RunId, TeamId, TestId,
    UserHoldId, UserId,
};

use super::change::RunChange;
use super::check::IntegrationTest;
use super::hold::Hold;
use super::integration::Integration;
use super::organization::Organization;
use super::rules::SyncRulesVersion;
use super::run::Run;
use super::team::Team;
use super::user::User;
use super::user_hold::UserHold;
use crate::app;
use crate::error::Result;
use crate::id::GlobalId;
use crate::loader::Loaders;
use crate::session::Session;

/// An object with a global id that can be fetched again with `Query.node`.
#[derive(Clone, Interface)]
#[graphql(field(
    name = "id",
    ty = "ID",
    desc = "The opaque, globally unique id of the object."
))]
pub(crate) enum Node {
    /// An organization.
    Organization(Organization),
    /// A user.
    User(User),
    /// A team.
    Team(Team),
    /// A hold of a user.
    UserHold(UserHold),
    /// An integration.
    Integration(Integration),
    /// A test.
    IntegrationTest(IntegrationTest),
    /// A version of sync rules.
    SyncRulesVersion(SyncRulesVersion),
    /// A run.
    Run(Run),
    /// An entry of a change log.
    RunChange(RunChange),
    /// A hold.
    Hold(Hold),
}

impl Node {
    /// Fetches an object, none when it does not exist or the viewer may not see it: the two are not told apart.
    pub(crate) async fn find(ctx: &Context<'_>, id: &ID) -> Result<Option<Self>> {
        let session = Session::of(ctx)?;
        if let Some(id) = OrganizationId::local(id) {
            let own = session.organization.clone().filter(|own| own.id == id);
            return Ok(own.map(|own| Self::Organization(Organization(own))));
        }
        if let Some(id) = UserId::local(id) {
            return Ok(Loaders::one(ctx, id)
                .await?
                .map(|user| Self::User(user.into())));
        }
        if let Some(id) = TeamId::local(id) {
            return Ok(Loaders::one(ctx, id)
                .await?
                .map(|team| Self::Team(team.into())));
        }
        match session.owner() {
            Some(owner) => Self::find_for_owner(ctx, owner.organization.id, id).await,
            None => Ok(None),
        }
    }

    async fn find_for_owner(
        ctx: &Context<'_>,
        organization: OrganizationId,
        id: &ID,
    ) -> Result<Option<Self>> {
        let store = &app(ctx).store;
        if let Some(id) = IntegrationId::local(id) {
            return Ok(Loaders::one(ctx, id)
                .await?
                .map(|row| Self::Integration(row.into())));
        }
        if let Some(id) = RunId::local(id) {
            return Ok(Loaders::one(ctx, id)
                .await?
                .map(|row| Self::Run(row.into())));
        }
        if let Some(id) = HoldId::local(id) {
            return Ok(Loaders::one(ctx, id)
                .await?
                .map(|row| Self::Hold(row.into())));
        }
        if let Some(id) = UserHoldId::local(id) {
            return Ok(Loaders::one(ctx, id)
                .await?
                .map(|row| Self::UserHold(row.into())));
        }
        if let Some(id) = TestId::local(id) {
            return Ok(store
                .test(organization, id)
                .await?
                .map(|row| Self::IntegrationTest(row.into())));
        }
        if let Some(id) = ChangeId::local(id) {
            return Ok(store
                .change(organization, id)
                .await?
                .map(|row| Self::RunChange(row.into())));
        }
        if let Some(id) = RulesVersionId::local(id) {
            let row = store.rules_version_by_id(organization, id).await?;
            return Ok(row.map(|row| Self::SyncRulesVersion(SyncRulesVersion(row))));
        }
        Ok(None)
    }
}
