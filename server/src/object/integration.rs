//! Integrations.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use lockstep_store::integration as stored;

use super::check::{IntegrationTest, IntegrationTestConnection};
use super::credential::EntraCredential;
use super::enums::{
    IntegrationProvider, IntegrationState, PauseReason, PauseResolution, SyncDirection,
};
use super::hold::Hold;
use super::permission::RequiredPermission;
use super::readiness::{self, ActivationBlocker};
use super::rules::{InboundSyncRules, SyncRules};
use super::run::{Run, RunConnection, RunError, RunFilter, RunOrder};
use super::schedule::{DataFreshness, SyncSchedule};
use super::setup::SetupGuide;
use crate::app;
use crate::error::Result;
use crate::filter;
use crate::id::GlobalId as _;
use crate::loader::{
    ActiveRunOf, CredentialOf, EntitledTo, LatestRunOf, LatestTestOf, Loaders, OpenHoldOf,
};
use crate::page::{self, Edges, Paging, connection};
use crate::scalar::{LanguageTag, Timestamp, int};
use crate::session::Session;

/// An integration as stored. Reached only by owners of its organization.
#[derive(Debug, Clone)]
pub(crate) struct Integration(pub(crate) Arc<stored::Integration>);

impl From<stored::Integration> for Integration {
    fn from(integration: stored::Integration) -> Self {
        Self(Arc::new(integration))
    }
}

/// An integration of the organization with a directory.
#[Object]
impl Integration {
    /// The opaque, globally unique id of the integration.
    pub(crate) async fn id(&self) -> ID {
        self.0.id.global()
    }

    /// Name shown to people.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The directory product on the other side.
    async fn provider(&self) -> IntegrationProvider {
        IntegrationProvider::MicrosoftEntraId
    }

    /// Which way data flows.
    async fn direction(&self) -> Result<SyncDirection> {
        self.0.direction.try_into()
    }

    /// Where the integration stands.
    async fn state(&self) -> IntegrationState {
        self.0.state.into()
    }

    /// Why automatic runs are paused, null unless the state is PAUSED.
    async fn pause(&self, ctx: &Context<'_>) -> Result<Option<IntegrationPause>> {
        let Some(pause) = self.0.pause.as_ref() else {
            return Ok(None);
        };
        let run = match pause.run_id {
            Some(run) => Loaders::one(ctx, run).await?.map(Run::from),
            None => None,
        };
        Ok(Some(IntegrationPause::of(pause, run)))
    }

    /// Tenant, client and secret, null until set. The secret itself is never returned.
    async fn credential(&self, ctx: &Context<'_>) -> Result<Option<EntraCredential>> {
        let credential = Loaders::one(ctx, CredentialOf(self.0.id)).await?;
        Ok(credential.map(|credential| EntraCredential::of(&credential, app(ctx).store.now())))
    }

    /// Language of e-mails to users an inbound run creates.
    async fn default_language(&self) -> Option<LanguageTag> {
        self.0.default_language.clone().map(LanguageTag)
    }

    /// What is synchronized.
    async fn sync_rules(&self) -> SyncRules {
        InboundSyncRules::of(self.0.rules_version, &self.0.rules).into()
    }

    /// When automatic runs start.
    async fn schedule(&self) -> SyncSchedule {
        SyncSchedule(Arc::clone(&self.0))
    }

    /// How old the data is.
    async fn freshness(&self) -> DataFreshness {
        DataFreshness(Arc::clone(&self.0))
    }

    /// How to set the integration up, step by step.
    async fn setup_guide(&self) -> SetupGuide {
        SetupGuide::entra()
    }

    /// Permissions of Microsoft Graph that the present sync rules need, for copying into the app registration.
    async fn required_permissions(&self, ctx: &Context<'_>) -> Result<Vec<RequiredPermission>> {
        let test = Loaders::one(ctx, LatestTestOf(self.0.id)).await?;
        Ok(RequiredPermission::all(&self.0.rules, test.as_ref()))
    }

    /// Result of the latest test of saved settings, null when never tested.
    async fn latest_test(&self, ctx: &Context<'_>) -> Result<Option<IntegrationTest>> {
        Ok(Loaders::one(ctx, LatestTestOf(self.0.id))
            .await?
            .map(IntegrationTest::from))
    }

    /// Tests of the last 30 days, newest first.
    #[graphql(complexity = "page::size(first, last) * child_complexity + page::STATEMENTS")]
    async fn tests(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns at most this many edges from the start of the list (1 to 100).")]
        first: Option<i32>,
        #[graphql(desc = "Returns edges after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns at most this many edges from the end of the list (1 to 100).")]
        last: Option<i32>,
        #[graphql(desc = "Returns edges before this cursor.")] before: Option<String>,
    ) -> Result<IntegrationTestConnection> {
        let request = Paging {
            first,
            after,
            last,
            before,
        }
        .request()?;
        let page = app(ctx).store.tests(self.0.id, &request).await?;
        Ok(IntegrationTestConnection(Edges::of(
            page,
            |test| test.id,
            IntegrationTest::from,
        )))
    }

    /// What keeps the integration from being activated; empty when nothing does.
    async fn activation_blockers(&self, ctx: &Context<'_>) -> Result<Vec<ActivationBlocker>> {
        let now = app(ctx).store.now();
        let credential = Loaders::one(ctx, CredentialOf(self.0.id)).await?;
        let entitled = Loaders::one(ctx, EntitledTo(self.0.organization_id)).await?;
        let entitled = entitled.unwrap_or_default();
        let blockers = readiness::blockers(&self.0, credential.as_ref(), entitled, now);
        Ok(blockers.into_iter().map(ActivationBlocker::from).collect())
    }

    /// The run that is queued or running now, null when there is none.
    async fn active_run(&self, ctx: &Context<'_>) -> Result<Option<Run>> {
        Ok(Loaders::one(ctx, ActiveRunOf(self.0.id))
            .await?
            .map(Run::from))
    }

    /// The run that found the held changes last, null when nothing is held.
    async fn run_awaiting_approval(&self, ctx: &Context<'_>) -> Result<Option<Run>> {
        let Some(hold) = Loaders::one(ctx, OpenHoldOf(self.0.id)).await? else {
            return Ok(None);
        };
        Ok(Loaders::one(ctx, hold.run_id).await?.map(Run::from))
    }

    /// The open hold, null when nothing is held.
    async fn open_hold(&self, ctx: &Context<'_>) -> Result<Option<Hold>> {
        Ok(Loaders::one(ctx, OpenHoldOf(self.0.id))
            .await?
            .map(Hold::from))
    }

    /// The latest run of kind SYNC that has finished, null when there is none.
    async fn latest_finished_run(&self, ctx: &Context<'_>) -> Result<Option<Run>> {
        Ok(Loaders::one(ctx, LatestRunOf(self.0.id))
            .await?
            .map(Run::from))
    }

    /// When the next automatic run starts, null when none is planned.
    async fn next_run_at(&self) -> Option<Timestamp> {
        self.0.next_start_at.map(Timestamp)
    }

    /// Runs of the integration.
    #[graphql(complexity = "page::size(first, last) * child_complexity + page::STATEMENTS")]
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
    ) -> Result<RunConnection> {
        let filter = filter
            .unwrap_or_default()
            .stored(Some(self.0.id), order_by.unwrap_or_default())?;
        let paging = Paging {
            first,
            after,
            last,
            before,
        };
        RunConnection::load(&app(ctx).store, self.0.organization_id, &filter, &paging).await
    }

    /// Counts up with every change of settings; send it back as `expectedRevision` to detect concurrent edits.
    async fn revision(&self) -> i32 {
        self.0.revision
    }

    /// Whether the viewer may change settings, activate and deactivate.
    async fn viewer_can_manage(&self, ctx: &Context<'_>) -> bool {
        Session::owns(ctx, self.0.organization_id)
    }

    /// Whether the viewer may start, preview and cancel runs.
    async fn viewer_can_operate(&self, ctx: &Context<'_>) -> bool {
        Session::owns(ctx, self.0.organization_id)
    }

    /// When the integration was created.
    async fn created_at(&self) -> Timestamp {
        self.0.created_at.into()
    }

    /// When settings last changed.
    async fn updated_at(&self) -> Timestamp {
        self.0.updated_at.into()
    }
}

/// Why and since when automatic runs are paused.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct IntegrationPause {
    /// The kind of cause.
    reason: PauseReason,
    /// The cause in a sentence fit to be shown to a person.
    message: String,
    /// What a person can do about it.
    remediation: String,
    /// When automatic runs were paused.
    since: Timestamp,
    /// The run whose failure caused the pause, null when no run did.
    run: Option<Run>,
    /// The error of that run, null when no run caused the pause.
    error: Option<RunError>,
    /// What ends the pause.
    resolution: PauseResolution,
    /// How often the service has tried again by itself.
    attempts: i32,
    /// When the service tries again by itself, null when a person must act.
    next_attempt_at: Option<Timestamp>,
}

impl IntegrationPause {
    fn of(pause: &stored::Pause, run: Option<Run>) -> Self {
        Self {
            reason: pause.reason.into(),
            message: pause.message.clone(),
            remediation: pause.remediation.clone(),
            since: pause.since.into(),
            run,
            error: pause.error.as_ref().map(RunError::from),
            resolution: pause.resolution.into(),
            attempts: int(pause.attempts),
            next_attempt_at: pause.next_attempt_at.map(Timestamp),
        }
    }
}

connection! {
    /// A page of integrations.
    IntegrationConnection;
    /// An integration in a list.
    IntegrationEdge;
    /// The integration.
    node: Integration;
    /// Number of integrations that match.
    total
}

/// Restricts a list of integrations; conditions are combined with AND. A list has at most 100 values.
#[derive(Debug, Clone, Default, InputObject)]
pub(crate) struct IntegrationFilter {
    /// Only integrations in one of these states.
    states: Option<Vec<IntegrationState>>,
}

impl IntegrationFilter {
    pub(crate) fn states(self) -> Result<Option<Vec<lockstep_domain::IntegrationState>>> {
        filter::values("states", self.states)
    }
}
