//! Runs: asking for one, looking at them, ending one.

use chrono::{DateTime, Utc};
use lockstep_domain::{
    Actor, ChangeAction, ChangeOutcome, ChangeReasonCode, HoldId, IntegrationId, ObjectKind,
    OrganizationId, ReadMode, RunCost, RunError, RunId, RunKind, RunPhase, RunStage, RunState,
    RunSummary, RunTriggerKind, RunWarning,
};
use lockstep_entity::{run, run_change};
use sea_orm::sea_query::{Alias, CaseStatement, Expr, Func, Query, SelectStatement, UnionType};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait as _, EntityTrait as _, ExprTrait,
    PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::column::{count, from_json, from_optional_json, parse, parse_optional};
use crate::page::{Page, PageRequest};
use crate::{Store, StoreError};

/// States in which a run has not ended, as stored.
pub(crate) const ACTIVE: [&str; 2] = [RunState::Queued.as_str(), RunState::Running.as_str()];

/// One execution of an integration.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Identifier.
    pub id: RunId,
    /// The organization.
    pub organization_id: OrganizationId,
    /// The integration.
    pub integration_id: IntegrationId,
    /// What the run is for.
    pub kind: RunKind,
    /// Where the run stands.
    pub state: RunState,
    /// What started it.
    pub trigger: RunTriggerKind,
    /// Who started it, none for automatic runs.
    pub triggered_by: Option<Actor>,
    /// When it was asked for.
    pub triggered_at: DateTime<Utc>,
    /// The slot of a scheduled run.
    pub slot_at: Option<DateTime<Utc>>,
    /// When a worker first took it up.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// Whether a complete read was asked for.
    pub full_requested: bool,
    /// How the directory was read.
    pub read_mode: Option<ReadMode>,
    /// The version of the rules it works with.
    pub rules_version: i32,
    /// What a worker that takes it up goes on with.
    pub stage: RunStage,
    /// What it is doing.
    pub phase: RunPhase,
    /// Objects handled in this phase.
    pub processed: u64,
    /// Objects to handle in this phase.
    pub total: Option<u64>,
    /// Share of the whole run that is done; never falls.
    pub percent: Option<i32>,
    /// Number of the latest event.
    pub sequence: i64,
    /// Number of entries in the change log.
    pub change_count: i64,
    /// Objects that were looked at and found right.
    pub unchanged: u64,
    /// Linked users who lack a required value in the directory.
    pub incomplete: u64,
    /// How often a worker took it up.
    pub attempt: i32,
    /// Changes counted.
    pub summary: RunSummary,
    /// What it cost.
    pub cost: RunCost,
    /// Problems that did not stop it.
    pub warnings: Vec<RunWarning>,
    /// What stopped it.
    pub error: Option<RunError>,
    /// Changes that a complete read found and the reads before had missed.
    pub missed_by_delta: Option<u64>,
    /// The hold it opened or carried on.
    pub hold_id: Option<HoldId>,
    /// Identifies the changes a preview worked out.
    pub plan_hash: Option<String>,
    /// When someone asked it to stop.
    pub cancel_requested_at: Option<DateTime<Utc>>,
    /// Who asked it to stop.
    pub cancel_requested_by: Option<Actor>,
    /// When progress was last reported.
    pub updated_at: DateTime<Utc>,
}

impl Run {
    /// Reads a row.
    pub(crate) fn read(row: run::Model) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id.into(),
            organization_id: row.organization_id.into(),
            integration_id: row.integration_id.into(),
            kind: parse("run.kind", &row.kind)?,
            state: parse("run.state", &row.state)?,
            trigger: parse("run.trigger_kind", &row.trigger_kind)?,
            triggered_by: from_optional_json("run.triggered_by", row.triggered_by)?,
            triggered_at: row.triggered_at,
            slot_at: row.slot_at,
            started_at: row.started_at,
            finished_at: row.finished_at,
            full_requested: row.full_requested,
            read_mode: parse_optional("run.read_mode", row.read_mode.as_deref())?,
            rules_version: row.rules_version,
            stage: parse("run.stage", &row.stage)?,
            phase: parse("run.phase", &row.phase)?,
            processed: count(row.processed),
            total: row.total.map(count),
            percent: row.percent,
            sequence: row.sequence,
            change_count: row.change_count,
            unchanged: count(row.unchanged),
            incomplete: count(row.incomplete),
            attempt: row.attempt,
            summary: from_json("run.summary", row.summary)?,
            cost: from_json("run.cost", row.cost)?,
            warnings: from_json("run.warnings", row.warnings)?,
            error: from_optional_json("run.error", row.error)?,
            missed_by_delta: row.missed_by_delta.map(count),
            hold_id: row.hold_id.map(HoldId),
            plan_hash: row.plan_hash,
            cancel_requested_at: row.cancel_requested_at,
            cancel_requested_by: from_optional_json(
                "run.cancel_requested_by",
                row.cancel_requested_by,
            )?,
            updated_at: row.updated_at,
        })
    }
}

pub use crate::request::{NewRun, Requested};

/// Restricts a list of runs.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Only runs of this integration.
    pub integration: Option<IntegrationId>,
    /// Only runs in one of these states.
    pub states: Option<Vec<RunState>>,
    /// Only runs of one of these kinds.
    pub kinds: Option<Vec<RunKind>>,
    /// Only runs started in one of these ways.
    pub triggers: Option<Vec<RunTriggerKind>>,
    /// Only runs asked for at or after this time.
    pub from: Option<DateTime<Utc>>,
    /// Only runs asked for before this time.
    pub until: Option<DateTime<Utc>>,
    /// Oldest first instead of newest first.
    pub ascending: bool,
}

/// Key of a run in a list: when it was asked for, and its id.
pub type RunKey = (DateTime<Utc>, RunId);

impl Store {
    /// Returns the run that is queued or running.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn active_run(
        &self,
        db: &impl sea_orm::ConnectionTrait,
        integration: IntegrationId,
    ) -> Result<Option<Run>, StoreError> {
        let row = run::Entity::of_integration(integration.0)
            .filter(run::Column::State.is_in(ACTIVE))
            .one(db);
        row.await
            .map_err(StoreError::of("read a run"))?
            .map(Run::read)
            .transpose()
    }

    /// Returns a run of an organization.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn run(
        &self,
        organization: OrganizationId,
        id: RunId,
    ) -> Result<Option<Run>, StoreError> {
        let row = run::Entity::in_organization(organization.0)
            .filter(run::Column::Id.eq(id.0))
            .one(self.db());
        row.await
            .map_err(StoreError::of("read a run"))?
            .map(Run::read)
            .transpose()
    }

    /// Returns runs of an organization by their ids.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn runs_by_id(
        &self,
        organization: OrganizationId,
        ids: &[RunId],
    ) -> Result<Vec<Run>, StoreError> {
        let ids = ids.iter().map(|id| id.0);
        let rows = run::Entity::in_organization(organization.0)
            .filter(run::Column::Id.is_in(ids))
            .all(self.db());
        rows.await
            .map_err(StoreError::of("read runs"))?
            .into_iter()
            .map(Run::read)
            .collect()
    }

    /// Returns a page of runs, newest first unless asked otherwise.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn runs(
        &self,
        organization: OrganizationId,
        filter: &RunFilter,
        request: &PageRequest<RunKey>,
    ) -> Result<Page<Run>, StoreError> {
        let all = run::Entity::in_organization(organization.0).filter(condition(filter));
        let total = all
            .clone()
            .count(self.db())
            .await
            .map_err(StoreError::of("count runs"))?;
        let beyond = |key: &RunKey, later: bool| {
            let (at, id) = (run::Column::TriggeredAt, run::Column::Id);
            let tie = Condition::all().add(at.eq(key.0));
            if later {
                Condition::any()
                    .add(at.gt(key.0))
                    .add(tie.add(id.gt(key.1.0)))
            } else {
                Condition::any()
                    .add(at.lt(key.0))
                    .add(tie.add(id.lt(key.1.0)))
            }
        };
        let after = request
            .after
            .as_ref()
            .map(|key| beyond(key, filter.ascending));
        let before = request
            .before
            .as_ref()
            .map(|key| beyond(key, !filter.ascending));
        let order = if filter.ascending == request.from_end {
            sea_orm::Order::Desc
        } else {
            sea_orm::Order::Asc
        };
        let rows = all
            .filter(
                [after, before]
                    .into_iter()
                    .flatten()
                    .fold(Condition::all(), Condition::add),
            )
            .order_by(run::Column::TriggeredAt, order.clone())
            .order_by(run::Column::Id, order)
            .limit(request.limit + 1)
            .all(self.db())
            .await
            .map_err(StoreError::of("read runs"))?;
        Page::cut(rows, request, total).try_map(Run::read)
    }

    /// Returns the latest run of the kind SYNC that has ended.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn latest_finished_run(
        &self,
        integration: IntegrationId,
    ) -> Result<Option<Run>, StoreError> {
        let row = run::Entity::of_integration(integration.0)
            .filter(run::Column::Kind.eq(RunKind::Sync.as_str()))
            .filter(run::Column::FinishedAt.is_not_null())
            .order_by_desc(run::Column::TriggeredAt)
            .order_by_desc(run::Column::Id)
            .one(self.db());
        row.await
            .map_err(StoreError::of("read a run"))?
            .map(Run::read)
            .transpose()
    }

    /// Counts the change log of a run.
    pub(crate) async fn summarize(&self, id: RunId) -> Result<RunSummary, StoreError> {
        let operation = "count the changes of a run";
        let row = run::Entity::find_by_id(id.0).one(self.db()).await;
        let row = &found(row.map_err(StoreError::of(operation))?, operation)?;
        let counted: Vec<(String, String, String, i64)> = run_change::Entity::of_run(row.id)
            .select_only()
            .columns([
                run_change::Column::ObjectKind,
                run_change::Column::Action,
                run_change::Column::Outcome,
            ])
            .column_as(run_change::Column::Id.count(), "n")
            .group_by(run_change::Column::ObjectKind)
            .group_by(run_change::Column::Action)
            .group_by(run_change::Column::Outcome)
            .into_tuple()
            .all(self.db())
            .await
            .map_err(StoreError::of(operation))?;
        let mut summary = RunSummary::default();
        for (kind, action, outcome, n) in counted {
            let kind: ObjectKind = parse("run_change.object_kind", &kind)?;
            let action: ChangeAction = parse("run_change.action", &action)?;
            let outcome: ChangeOutcome = parse("run_change.outcome", &outcome)?;
            // A row that a stopped run never reached was not done; what was done with teams is counted by team.
            let is_reached =
                outcome != ChangeOutcome::Planned || row.kind == RunKind::Preview.as_str();
            if is_reached && !(kind == ObjectKind::Team && is_done(outcome)) {
                summary.add(kind, action, outcome, count(n));
            }
        }
        summary.users.unchanged = count(row.unchanged);
        self.count_teams(row, &mut summary).await?;
        summary.conflicts = run_change::Entity::of_run(row.id)
            .filter(crate::place::is_unmade())
            .filter(run_change::Column::ReasonCode.eq(ChangeReasonCode::Conflict.as_str()))
            .count(self.db())
            .await
            .map_err(StoreError::of(operation))?;
        Ok(summary)
    }

    /// Counts each team once, by the strongest of created, archived, brought back and updated; a changed membership updates
    /// its team, and a move both of its teams (2.7 of the requirements).
    async fn count_teams(
        &self,
        row: &run::Model,
        summary: &mut RunSummary,
    ) -> Result<(), StoreError> {
        let done = if row.kind == RunKind::Preview.as_str() {
            ChangeOutcome::Planned
        } else {
            ChangeOutcome::Applied
        };
        let teams = strongest_by_team(row.id, done);
        let counted = Query::select()
            .column(Alias::new(STRENGTH))
            .expr_as(
                Func::count(Expr::col(run_change::Column::PlatformId)),
                Alias::new("n"),
            )
            .from_subquery(teams, Alias::new("teams"))
            .group_by_col(Alias::new(STRENGTH))
            .to_owned();
        let operation = "count the teams of a run";
        let rows = self
            .db()
            .query_all(&counted)
            .await
            .map_err(StoreError::of(operation))?;
        for row in rows {
            let strength: i32 = row
                .try_get("", STRENGTH)
                .map_err(StoreError::of(operation))?;
            let n: i64 = row.try_get("", "n").map_err(StoreError::of(operation))?;
            let action = STRENGTHS.iter().find(|(_, s)| *s == strength);
            let action = action.map_or(ChangeAction::Update, |(action, _)| *action);
            summary.teams.add(action, done, count(n));
        }
        // Only a complete read says how many are right; what a delta names was changed, or marked for another reason.
        if row.read_mode.as_deref() == Some(ReadMode::Full.as_str())
            && done == ChangeOutcome::Applied
        {
            let changed = summary.teams.created + summary.teams.reactivated + summary.teams.updated;
            let in_use = self.count_synced_teams(row.integration_id).await?;
            summary.teams.unchanged = in_use.saturating_sub(changed);
        }
        Ok(())
    }
}

/// Name of what teams are counted by.
const STRENGTH: &str = "strength";

/// How strong an action on a team is; what is not named here updates it.
const STRENGTHS: [(ChangeAction, i32); 3] = [
    (ChangeAction::Create, 4),
    (ChangeAction::Archive, 3),
    (ChangeAction::Unarchive, 2),
];

const fn is_done(outcome: ChangeOutcome) -> bool {
    matches!(outcome, ChangeOutcome::Applied | ChangeOutcome::Planned)
}

/// The strongest thing that a run did with each team.
fn strongest_by_team(run: Uuid, done: ChangeOutcome) -> SelectStatement {
    use run_change::Column;
    let rows = |team: Column| {
        Query::select()
            .expr_as(Expr::col(team), Alias::new("platform_id"))
            .column(Column::Action)
            .column(Column::ObjectKind)
            .from(run_change::Entity)
            .and_where(Column::RunId.eq(run))
            .and_where(Column::Outcome.eq(done.as_str()))
            .and_where(Column::ObjectKind.ne(ObjectKind::User.as_str()))
            .and_where(team.is_not_null())
            .to_owned()
    };
    let both = rows(Column::PlatformId)
        .union(UnionType::All, rows(Column::MovedFromId))
        .to_owned();
    let strength = STRENGTHS
        .iter()
        .fold(CaseStatement::new(), |cases, (action, strength)| {
            let is_team = ExprTrait::eq(Expr::col(Column::ObjectKind), ObjectKind::Team.as_str());
            let is_it = ExprTrait::eq(Expr::col(Column::Action), action.as_str());
            cases.case(is_team.and(is_it), *strength)
        })
        .finally(1);
    Query::select()
        .column(Column::PlatformId)
        .expr_as(Func::max(strength), Alias::new(STRENGTH))
        .from_subquery(both, Alias::new("done"))
        .group_by_col(Column::PlatformId)
        .to_owned()
}

fn condition(filter: &RunFilter) -> Condition {
    let texts = |values: Vec<&'static str>| values;
    Condition::all()
        .add_option(
            filter
                .integration
                .map(|id| run::Column::IntegrationId.eq(id.0)),
        )
        .add_option(
            filter
                .states
                .as_ref()
                .map(|s| run::Column::State.is_in(texts(s.iter().map(|s| s.as_str()).collect()))),
        )
        .add_option(
            filter
                .kinds
                .as_ref()
                .map(|k| run::Column::Kind.is_in(texts(k.iter().map(|k| k.as_str()).collect()))),
        )
        .add_option(
            filter.triggers.as_ref().map(|t| {
                run::Column::TriggerKind.is_in(texts(t.iter().map(|t| t.as_str()).collect()))
            }),
        )
        .add_option(filter.from.map(|from| run::Column::TriggeredAt.gte(from)))
        .add_option(filter.until.map(|until| run::Column::TriggeredAt.lt(until)))
}

/// A row that was written in the same transaction must be there.
pub(crate) fn found<T>(row: Option<T>, operation: &'static str) -> Result<T, StoreError> {
    row.ok_or_else(|| {
        StoreError::of(operation)(sea_orm::DbErr::RecordNotFound(operation.to_owned()))
    })
}
