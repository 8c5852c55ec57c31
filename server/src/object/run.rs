//! Runs.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use lockstep_domain::IntegrationId;
use lockstep_store::Store;
use lockstep_store::change::ChangeFilter;
use lockstep_store::run as stored;

use super::change::{RunChangeConnection, RunChangeFilter};
use super::enums::{
    OrderDirection, ReadMode, RunErrorCode, RunKind, RunOrderField, RunPhase, RunState,
    RunTriggerKind, RunWarningCode,
};
use super::hold::Hold;
use super::integration::Integration;
use super::organization::Actor;
use super::problem::ProblemGroup;
use super::rules::SyncRulesVersion;
use super::summary::{RunCost, RunSummary};
use crate::app;
use crate::error::{Failure, Result};
use crate::filter;
use crate::id::GlobalId as _;
use crate::loader::{Loaders, RulesOf};
use crate::page::{self, Edges, Paging, connection};
use crate::scalar::{Timestamp, int};
use crate::session::Session;

/// A run as stored. Reached only by owners of its organization.
#[derive(Debug, Clone)]
pub(crate) struct Run(pub(crate) Arc<stored::Run>);

impl From<stored::Run> for Run {
    fn from(run: stored::Run) -> Self {
        Self(Arc::new(run))
    }
}

/// One execution of an integration.
#[Object]
impl Run {
    /// The opaque, globally unique id of the run.
    pub(crate) async fn id(&self) -> ID {
        self.0.id.global()
    }

    /// The integration that was executed.
    async fn integration(&self, ctx: &Context<'_>) -> Result<Integration> {
        let integration = Loaders::one(ctx, self.0.integration_id).await?;
        integration
            .map(Integration::from)
            .ok_or_else(|| Failure::Fault("a run has no integration".to_owned()))
    }

    /// Whether changes were applied or only worked out.
    async fn kind(&self) -> RunKind {
        self.0.kind.into()
    }

    /// Where the run stands.
    async fn state(&self) -> RunState {
        self.0.state.into()
    }

    /// What started the run.
    async fn trigger(&self) -> RunTrigger {
        RunTrigger {
            kind: self.0.trigger.into(),
            by: self.0.triggered_by.clone().map(Actor),
        }
    }

    /// When the run was asked for.
    async fn triggered_at(&self) -> Timestamp {
        self.0.triggered_at.into()
    }

    /// When a worker took the run up, null while it is queued.
    async fn started_at(&self) -> Option<Timestamp> {
        self.0.started_at.map(Timestamp)
    }

    /// When the run ended, null until then.
    async fn finished_at(&self) -> Option<Timestamp> {
        self.0.finished_at.map(Timestamp)
    }

    /// Time from start to end or to now, in milliseconds, null while it is queued.
    async fn duration_ms(&self, ctx: &Context<'_>) -> Option<i32> {
        let end = self.0.finished_at.unwrap_or_else(|| app(ctx).store.now());
        Some(int((end - self.0.started_at?).num_milliseconds().max(0)))
    }

    /// How far the run has come.
    async fn progress(&self) -> RunProgress {
        RunProgress::of(&self.0)
    }

    /// Changes counted by kind of object, complete once the run has finished.
    async fn summary(&self) -> RunSummary {
        RunSummary(self.0.summary)
    }

    /// How the directory was read, null until that is decided.
    async fn read_mode(&self) -> Option<ReadMode> {
        self.0.read_mode.map(ReadMode::from)
    }

    /// The sync rules the run works with, as they were when it started.
    async fn rules(&self, ctx: &Context<'_>) -> Result<SyncRulesVersion> {
        let version =
            Loaders::one(ctx, RulesOf(self.0.integration_id, self.0.rules_version)).await?;
        version
            .map(SyncRulesVersion)
            .ok_or_else(|| Failure::Fault("a run has no rules".to_owned()))
    }

    /// What the run cost at Microsoft Graph.
    async fn cost(&self) -> RunCost {
        self.0.cost.into()
    }

    /// How many changes a complete read found that the reads since the last complete one had missed, null unless
    /// `readMode` is FULL.
    async fn missed_by_delta(&self) -> Option<i32> {
        self.0.missed_by_delta.map(int)
    }

    /// The hold that the run opened or carried on, also after it ended; null when nothing was held.
    async fn hold(&self, ctx: &Context<'_>) -> Result<Option<Hold>> {
        let Some(id) = self.0.hold_id else {
            return Ok(None);
        };
        Ok(Loaders::one(ctx, id).await?.map(Hold::from))
    }

    /// Identifies exactly the changes that a preview worked out, null for other runs.
    async fn plan_hash(&self) -> Option<&str> {
        self.0.plan_hash.as_deref()
    }

    /// Why the run failed, null unless the state is FAILED.
    async fn error(&self) -> Option<RunError> {
        self.0.error.as_ref().map(RunError::from)
    }

    /// Changes that were skipped, held or failed, grouped by cause, greatest group first.
    async fn problem_groups(&self, ctx: &Context<'_>) -> Result<Vec<ProblemGroup>> {
        let problems = app(ctx).store.problems(self.0.id).await?;
        Ok(ProblemGroup::all(self.0.id, problems))
    }

    /// Problems that did not stop the run and concern no single change, the first 100.
    async fn warnings(&self) -> Vec<RunWarning> {
        self.0
            .warnings
            .iter()
            .take(100)
            .map(RunWarning::from)
            .collect()
    }

    /// The change log, in the order of `RunChange.sequence`.
    #[graphql(complexity = "page::size(first, last) * child_complexity + 1")]
    async fn changes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns at most this many edges from the start of the list (1 to 100).")]
        first: Option<i32>,
        #[graphql(desc = "Returns edges after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns at most this many edges from the end of the list (1 to 100).")]
        last: Option<i32>,
        #[graphql(desc = "Returns edges before this cursor.")] before: Option<String>,
        #[graphql(desc = "Restricts the list.")] filter: Option<RunChangeFilter>,
    ) -> Result<RunChangeConnection> {
        let filter = filter.unwrap_or_default().stored(ChangeFilter::default())?;
        let paging = Paging {
            first,
            after,
            last,
            before,
        };
        RunChangeConnection::load(&app(ctx).store, self.0.id, filter, &paging).await
    }

    /// When someone asked the run to stop, null when nobody did; a run that has not ended then is stopping.
    async fn cancel_requested_at(&self) -> Option<Timestamp> {
        self.0.cancel_requested_at.map(Timestamp)
    }

    /// Who asked the run to stop, null when nobody did.
    async fn cancel_requested_by(&self) -> Option<Actor> {
        self.0.cancel_requested_by.clone().map(Actor)
    }

    /// Number of this attempt, starting at 1.
    async fn attempt(&self) -> i32 {
        self.0.attempt.max(1)
    }

    /// Whether the viewer may cancel the run now.
    async fn viewer_can_cancel(&self, ctx: &Context<'_>) -> bool {
        let goes_on = !self.0.state.has_ended() && self.0.cancel_requested_at.is_none();
        goes_on && Session::owns(ctx, self.0.organization_id)
    }
}

/// What started a run.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct RunTrigger {
    /// The kind of trigger.
    kind: RunTriggerKind,
    /// Who started the run, as they were then: name, e-mail address and picture are kept. Null for automatic runs.
    by: Option<Actor>,
}

/// How far a run has come.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct RunProgress {
    /// Strictly rising within the run; a report with a smaller number is older.
    sequence: i32,
    /// What the run is doing.
    phase: RunPhase,
    /// Objects handled so far in this phase.
    processed: i32,
    /// Objects to handle in this phase, null while that is not known.
    total: Option<i32>,
    /// Share of the whole run that is done, from 0 to 100, never falling, null while that is not known.
    percent: Option<i32>,
    /// When progress was last reported.
    updated_at: Timestamp,
}

impl RunProgress {
    pub(crate) fn of(run: &stored::Run) -> Self {
        Self {
            sequence: int(run.sequence),
            phase: run.phase.into(),
            processed: int(run.processed),
            total: run.total.map(int),
            percent: run.percent,
            updated_at: run.updated_at.into(),
        }
    }
}

/// The error that stopped a run.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct RunError {
    /// The kind of error.
    code: RunErrorCode,
    /// What went wrong, in a sentence fit to be shown to a person; contains no secrets.
    message: String,
    /// What a person can do about it, null when there is nothing to do.
    remediation: Option<String>,
    /// What the run was doing.
    phase: RunPhase,
    /// When it happened.
    occurred_at: Timestamp,
    /// Whether the service tries again by itself.
    retryable: bool,
    /// Error code of Microsoft, for example `AADSTS7000222` or `Authorization_RequestDenied`.
    provider_error_code: Option<String>,
    /// The request-id of Microsoft Graph, for a support case at Microsoft.
    provider_request_id: Option<String>,
}

impl From<&lockstep_domain::RunError> for RunError {
    fn from(error: &lockstep_domain::RunError) -> Self {
        Self {
            code: error.code.into(),
            message: error.message.clone(),
            remediation: error.remediation.clone(),
            phase: error.phase.into(),
            occurred_at: error.occurred_at.into(),
            retryable: error.code.passes_by_itself(),
            provider_error_code: error.provider_error_code.clone(),
            provider_request_id: error.provider_request_id.clone(),
        }
    }
}

/// A problem that did not stop the run and concerns no single change.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct RunWarning {
    /// The kind of problem.
    code: RunWarningCode,
    /// The problem in a sentence fit to be shown to a person.
    message: String,
    /// How many objects it concerns.
    count: i32,
}

impl From<&lockstep_domain::RunWarning> for RunWarning {
    fn from(warning: &lockstep_domain::RunWarning) -> Self {
        Self {
            code: warning.code.into(),
            message: warning.message.clone(),
            count: int(warning.count),
        }
    }
}

connection! {
    /// A page of runs.
    RunConnection;
    /// A run in a list.
    RunEdge;
    /// The run.
    node: Run;
    /// Number of runs that match.
    total
}

impl RunConnection {
    pub(crate) async fn load(
        store: &Store,
        organization: lockstep_domain::OrganizationId,
        filter: &stored::RunFilter,
        paging: &Paging,
    ) -> Result<Self> {
        let page = store.runs(organization, filter, &paging.request()?).await?;
        Ok(Self(Edges::of(
            page,
            |run| (run.triggered_at, run.id),
            Run::from,
        )))
    }
}

/// Restricts a list of runs; conditions are combined with AND. A list has at most 100 values.
#[derive(Debug, Clone, Default, InputObject)]
pub(crate) struct RunFilter {
    /// Only runs in one of these states.
    states: Option<Vec<RunState>>,
    /// Only runs of one of these kinds.
    kinds: Option<Vec<RunKind>>,
    /// Only runs started by one of these kinds of trigger.
    triggers: Option<Vec<RunTriggerKind>>,
    /// Only runs asked for at or after this time.
    triggered_from: Option<Timestamp>,
    /// Only runs asked for before this time.
    triggered_until: Option<Timestamp>,
}

impl RunFilter {
    pub(crate) fn stored(
        self,
        integration: Option<IntegrationId>,
        order: RunOrder,
    ) -> Result<stored::RunFilter> {
        Ok(stored::RunFilter {
            integration,
            states: filter::values("states", self.states)?,
            kinds: filter::values("kinds", self.kinds)?,
            triggers: filter::values("triggers", self.triggers)?,
            from: self.triggered_from.map(|at| at.0),
            until: self.triggered_until.map(|at| at.0),
            ascending: order.direction == OrderDirection::Asc,
        })
    }
}

/// Order of a list of runs.
#[derive(Debug, Clone, InputObject)]
pub(crate) struct RunOrder {
    /// What to order by.
    field: RunOrderField,
    /// Which way.
    direction: OrderDirection,
}

impl Default for RunOrder {
    fn default() -> Self {
        Self {
            field: RunOrderField::TriggeredAt,
            direction: OrderDirection::Desc,
        }
    }
}
