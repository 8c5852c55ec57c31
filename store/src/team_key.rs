//! Team keys: groups and managers whose teams have to be looked at, and how that spreads.
//!
//! A key stays until the run that planned it has made every change that it planned for it.

use std::collections::{BTreeMap, BTreeSet};

use lockstep_domain::{
    ChangeAction, ChangeOutcome, ExternalId, GroupMembership, InboundRules, IntegrationId,
    ManagerTeamDepth, MemberRelation, ObjectKind, RunPhase, TeamKey, TeamSource, UserFields,
};
use lockstep_entity::{
    directory_group, directory_member, directory_user, dirty_key, run_change, team,
};
use lockstep_sync::inbound::reach::{Walk, reach};
use sea_orm::sea_query::{Expr, Query, SelectStatement};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, ExprTrait, JsonValue,
    PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, UpdateMany,
};
use uuid::Uuid;

use crate::column::{from_optional_json, parse, rows_per_statement};
use crate::dirty::{insert_marks, kind_of};
use crate::lease::Step;
use crate::{Lease, Store, StoreError, Tx};

/// Rows that are looked at together.
const WALK: u64 = 1_000;
/// Ids whose neighbours are looked up together.
const STEP: usize = 500;

/// Kinds of keys that stand for teams.
const TEAMS: [&str; 2] = [kind_of(TeamSource::Group), kind_of(TeamSource::Manager)];

/// A team that has to be looked at, and the mark of its latest cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirtyTeam {
    /// What the team is or would be made from.
    pub key: TeamKey,
    /// Mark of the latest cause.
    pub mark: Uuid,
}

/// Which planned changes of users reach teams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reaching {
    /// Those that are to be made.
    Planned,
    /// Those that were to be made and were not: their teams were planned against users who are not as they were to be.
    Unmade,
}

impl Store {
    /// Returns the next teams to look at, those of groups first, each in the order of the ids.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn dirty_teams(
        &self,
        integration: IntegrationId,
        after: Option<&TeamKey>,
        limit: u64,
    ) -> Result<Vec<DirtyTeam>, StoreError> {
        let beyond = after.map(|key| {
            let kind = kind_of(key.source);
            Condition::any().add(dirty_key::Column::Kind.gt(kind)).add(
                Condition::all()
                    .add(dirty_key::Column::Kind.eq(kind))
                    .add(dirty_key::Column::Key.gt(key.external_id.as_str())),
            )
        });
        let rows = teams_of(integration)
            .filter(Condition::all().add_option(beyond))
            .order_by_asc(dirty_key::Column::Kind)
            .order_by_asc(dirty_key::Column::Key)
            .limit(limit)
            .all(self.db())
            .await
            .map_err(StoreError::of("read which teams have to be looked at"))?;
        rows.into_iter()
            .map(|row| {
                Ok(DirtyTeam {
                    key: TeamKey {
                        source: parse("dirty_key.kind", &row.kind)?,
                        external_id: ExternalId(row.key),
                    },
                    mark: row.mark,
                })
            })
            .collect()
    }

    /// Number of teams that have to be looked at.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn count_dirty_teams(&self, integration: IntegrationId) -> Result<u64, StoreError> {
        teams_of(integration)
            .count(self.db())
            .await
            .map_err(StoreError::of("count teams to be looked at"))
    }

    /// Marks the teams that the planned changes of users reach, and whatever these are nested in. Changes that are held or
    /// left out reach nothing.
    ///
    /// # Errors
    /// When the database fails or the lease is lost.
    pub async fn spread(&self, lease: &Lease, rules: &InboundRules) -> Result<(), StoreError> {
        self.spread_from(lease, rules, Reaching::Planned).await
    }

    /// Marks again the teams that changes of users reach which were not made after all, so that the next run looks at them.
    ///
    /// # Errors
    /// When the database fails or the lease is lost.
    pub async fn spread_unmade(
        &self,
        lease: &Lease,
        rules: &InboundRules,
    ) -> Result<(), StoreError> {
        self.spread_from(lease, rules, Reaching::Unmade).await
    }

    async fn spread_from(
        &self,
        lease: &Lease,
        rules: &InboundRules,
        which: Reaching,
    ) -> Result<(), StoreError> {
        let phase = match which {
            Reaching::Planned => RunPhase::Planning,
            Reaching::Unmade => RunPhase::ApplyingUsers,
        };
        let step = Step {
            phase,
            processed: 0,
            total: None,
        };
        let operation = "mark which teams have to be looked at";
        let mut after = 0;
        loop {
            let tx = self.begin().await?;
            self.advance(&tx, lease, step, 0, |update| update).await?;
            let changes = reaching_users(&tx, lease, which, after).await?;
            let Some(last) = changes.last() else { break };
            after = last.sequence;
            self.spread_users(&tx, lease.integration_id, rules, changes)
                .await?;
            tx.commit().await.map_err(StoreError::of(operation))?;
        }
        // What the unmade changes reach was reached by the planned ones, with everything above.
        let tx = self.begin().await?;
        self.advance(&tx, lease, step, 0, |update| update).await?;
        if rules.group_teams.enabled && rules.group_teams.membership == GroupMembership::Transitive
        {
            self.spread_up(&tx, lease.integration_id, TeamSource::Group)
                .await?;
        }
        if rules.manager_teams.enabled && rules.manager_teams.depth == ManagerTeamDepth::AllLevels {
            self.spread_up(&tx, lease.integration_id, TeamSource::Manager)
                .await?;
        }
        tx.commit().await.map_err(StoreError::of(operation))
    }

    async fn spread_users(
        &self,
        tx: &Tx,
        integration: IntegrationId,
        rules: &InboundRules,
        changes: Vec<PlannedUser>,
    ) -> Result<(), StoreError> {
        let (mut in_groups, mut own, mut below) = (Vec::new(), Vec::new(), Vec::new());
        for change in changes {
            let far = reach(change.action, change.before.as_ref(), change.after.as_ref());
            let id = ExternalId(change.external_id);
            if far.groups && rules.group_teams.enabled {
                in_groups.push(id.clone());
            }
            if far.managers && rules.manager_teams.enabled {
                below.push(id.clone());
            }
            if far.own_team && rules.manager_teams.enabled {
                own.push(id);
            }
        }
        let groups = containers(tx, integration, &in_groups).await?;
        self.mark_teams(tx, integration, TeamSource::Group, groups)
            .await?;
        let mut managers = those_with_reports(tx, integration, &own).await?;
        managers.extend(managers_of(tx, integration, &below).await?.into_values());
        self.mark_teams(tx, integration, TeamSource::Manager, managers)
            .await
    }

    /// Marks everything above what is marked.
    async fn spread_up(
        &self,
        tx: &Tx,
        integration: IntegrationId,
        source: TeamSource,
    ) -> Result<(), StoreError> {
        let marked: Vec<String> = dirty_key::Entity::of_integration(integration.0)
            .select_only()
            .column(dirty_key::Column::Key)
            .filter(dirty_key::Column::Kind.eq(kind_of(source)))
            .into_tuple()
            .all(tx)
            .await
            .map_err(StoreError::of("read which teams have to be looked at"))?;
        let marked: BTreeSet<ExternalId> = marked.into_iter().map(ExternalId).collect();
        let mut walk = Walk::from(marked.iter().cloned());
        loop {
            let ids = walk.next(STEP);
            if ids.is_empty() {
                break;
            }
            let above: BTreeSet<ExternalId> = match source {
                TeamSource::Group => containers(tx, integration, &ids).await?,
                TeamSource::Manager => {
                    let managers = managers_of(tx, integration, &ids).await?;
                    managers.into_values().collect()
                }
            };
            walk.found(above);
        }
        let above = walk.into_seen();
        self.mark_teams(tx, integration, source, above.difference(&marked).cloned())
            .await
    }

    pub(crate) async fn mark_teams(
        &self,
        tx: &Tx,
        integration: IntegrationId,
        source: TeamSource,
        ids: impl IntoIterator<Item = ExternalId>,
    ) -> Result<(), StoreError> {
        self.mark_dirty(
            tx,
            integration,
            kind_of(source),
            ids.into_iter().map(|id| id.0),
        )
        .await
    }

    /// Marks every group, every manager, and whatever a team was made from: the rules changed.
    pub(crate) async fn mark_all_teams(
        &self,
        tx: &Tx,
        integration: IntegrationId,
    ) -> Result<(), StoreError> {
        let group = kind_of(TeamSource::Group);
        let groups = Query::select()
            .expr(Expr::val(integration.0))
            .expr(Expr::val(group))
            .column(directory_group::Column::ExternalId)
            .expr(Expr::val(self.fresh_id()))
            .from(directory_group::Entity)
            .and_where(directory_group::Column::IntegrationId.eq(integration.0))
            .to_owned();
        insert_marks(tx, groups).await?;
        self.mark_all_managers(tx, integration).await?;
        for source in [TeamSource::Group, TeamSource::Manager] {
            let teams = Query::select()
                .expr(Expr::val(integration.0))
                .expr(Expr::val(kind_of(source)))
                .column(team::Column::ExternalId)
                .expr(Expr::val(self.fresh_id()))
                .from(team::Entity)
                .and_where(team::Column::IntegrationId.eq(integration.0))
                .and_where(team::Column::Source.eq(source.as_str()))
                .to_owned();
            insert_marks(tx, teams).await?;
        }
        Ok(())
    }

    /// Marks every manager: the language in which their teams are named changed.
    pub(crate) async fn mark_all_managers(
        &self,
        tx: &Tx,
        integration: IntegrationId,
    ) -> Result<(), StoreError> {
        let managers = Query::select()
            .distinct()
            .expr(Expr::val(integration.0))
            .expr(Expr::val(kind_of(TeamSource::Manager)))
            .column(directory_user::Column::ManagerId)
            .expr(Expr::val(self.fresh_id()))
            .from(directory_user::Entity)
            .and_where(directory_user::Column::IntegrationId.eq(integration.0))
            .and_where(directory_user::Column::ManagerId.is_not_null())
            .to_owned();
        insert_marks(tx, managers).await
    }

    /// Notes that a run has decided on keys.
    pub(crate) async fn note_planned(
        &self,
        tx: &Tx,
        lease: &Lease,
        teams: &[DirtyTeam],
    ) -> Result<(), StoreError> {
        // Almost all keys share a mark, so one statement a kind and mark is a few statements.
        let mut marked: BTreeMap<(TeamSource, Uuid), Vec<&str>> = BTreeMap::new();
        for DirtyTeam { key, mark } in teams {
            let ids = marked.entry((key.source, *mark)).or_default();
            ids.push(key.external_id.as_str());
        }
        for ((source, mark), ids) in marked {
            for chunk in ids.chunks(rows_per_statement(1)) {
                planned_by(lease, source, chunk, Some(lease.run_id.0))
                    // Not what was marked again while it was planned: its cause was not seen.
                    .filter(ExprTrait::eq(Expr::col(dirty_key::Column::Mark), mark))
                    .exec(tx)
                    .await
                    .map_err(StoreError::of("note which teams were planned"))?;
            }
        }
        Ok(())
    }

    /// Takes back [`Store::note_planned`]: the keys stay to be looked at.
    async fn look_again(&self, tx: &Tx, lease: &Lease, keys: &[TeamKey]) -> Result<(), StoreError> {
        for source in [TeamSource::Group, TeamSource::Manager] {
            let ids: Vec<&str> = keys
                .iter()
                .filter(|key| key.source == source)
                .map(|key| key.external_id.as_str())
                .collect();
            for chunk in ids.chunks(rows_per_statement(1)) {
                planned_by(lease, source, chunk, None)
                    .exec(tx)
                    .await
                    .map_err(StoreError::of("note which teams were planned"))?;
            }
        }
        Ok(())
    }

    /// Clears the keys for which the run has made every change that it planned, unless something happened to them since,
    /// or the rules have changed: then they are looked at again (fault E11).
    ///
    /// # Errors
    /// When the database fails or the lease is lost.
    pub async fn settle_teams(&self, lease: &Lease, step: Step) -> Result<(), StoreError> {
        let tx = self.begin().await?;
        let row = self.advance(&tx, lease, step, 0, |update| update).await?;
        if self.has_same_rules(&tx, &row).await? {
            let unmade_moves = left_by_unmade_moves(&tx, lease).await?;
            self.look_again(&tx, lease, &unmade_moves).await?;
            dirty_key::Entity::delete_many()
                .filter(dirty_key::Column::IntegrationId.eq(lease.integration_id.0))
                .filter(dirty_key::Column::Kind.is_in(TEAMS))
                .filter(dirty_key::Column::PlannedBy.eq(lease.run_id.0))
                .filter(Expr::exists(unmade(lease)).not())
                .exec(&tx)
                .await
                .map_err(StoreError::of("clear which teams were looked at"))?;
        }
        tx.commit()
            .await
            .map_err(StoreError::of("clear which teams were looked at"))
    }
}

fn planned_by(
    lease: &Lease,
    source: TeamSource,
    ids: &[&str],
    run: Option<Uuid>,
) -> UpdateMany<dirty_key::Entity> {
    dirty_key::Entity::update_many()
        .col_expr(dirty_key::Column::PlannedBy, run.into())
        .filter(dirty_key::Column::IntegrationId.eq(lease.integration_id.0))
        .filter(dirty_key::Column::Kind.eq(kind_of(source)))
        .filter(dirty_key::Column::Key.is_in(ids.iter().copied()))
}

/// Changes of a key that were not made.
fn unmade(lease: &Lease) -> SelectStatement {
    let of_key = |column: run_change::Column, key: dirty_key::Column| {
        Expr::col((run_change::Entity, column)).equals((dirty_key::Entity, key))
    };
    unapplied(lease)
        .expr(Expr::val(1))
        .and_where(of_key(
            run_change::Column::ExternalId,
            dirty_key::Column::Key,
        ))
        .and_where(of_key(run_change::Column::Source, dirty_key::Column::Kind))
        .to_owned()
}

/// Keys of the teams that someone was to leave by a move that was not made.
async fn left_by_unmade_moves(tx: &Tx, lease: &Lease) -> Result<Vec<TeamKey>, StoreError> {
    let operation = "read moves that were not made";
    let moves = unapplied(lease)
        .distinct()
        .column((team::Entity, team::Column::Source))
        .column((team::Entity, team::Column::ExternalId))
        .inner_join(
            team::Entity,
            Expr::col((team::Entity, team::Column::Id))
                .equals((run_change::Entity, run_change::Column::MovedFromId)),
        )
        .and_where(run_change::Column::MovedFromId.is_not_null())
        .and_where(Expr::col((team::Entity, team::Column::Source)).is_not_null())
        .to_owned();
    let rows = tx
        .query_all(&moves)
        .await
        .map_err(StoreError::of(operation))?;
    let read = |row: sea_orm::QueryResult| {
        let text = |column| {
            row.try_get::<String>("", column)
                .map_err(StoreError::of(operation))
        };
        Ok(TeamKey {
            source: parse("team.source", &text("source")?)?,
            external_id: ExternalId(text("external_id")?),
        })
    };
    rows.into_iter().map(read).collect()
}

fn unapplied(lease: &Lease) -> SelectStatement {
    Query::select()
        .from(run_change::Entity)
        .and_where(run_change::Column::RunId.eq(lease.run_id.0))
        .and_where(run_change::Column::Outcome.ne(ChangeOutcome::Applied.as_str()))
        .to_owned()
}

fn teams_of(integration: IntegrationId) -> sea_orm::Select<dirty_key::Entity> {
    dirty_key::Entity::of_integration(integration.0).filter(dirty_key::Column::Kind.is_in(TEAMS))
}

/// A planned change of a user, as far as it can reach teams.
struct PlannedUser {
    sequence: i64,
    external_id: String,
    action: ChangeAction,
    before: Option<UserFields>,
    after: Option<UserFields>,
}

async fn reaching_users(
    tx: &Tx,
    lease: &Lease,
    which: Reaching,
    after: i64,
) -> Result<Vec<PlannedUser>, StoreError> {
    type Row = (i64, String, String, Option<JsonValue>, Option<JsonValue>);
    let outcomes = match which {
        Reaching::Planned => &[ChangeOutcome::Planned][..],
        Reaching::Unmade => &[ChangeOutcome::Skipped, ChangeOutcome::Failed],
    };
    let rows: Vec<Row> = run_change::Entity::of_run(lease.run_id.0)
        .filter(run_change::Column::Outcome.is_in(outcomes.iter().map(|o| o.as_str())))
        // What was decided against when it was planned says nothing of what the user was to become.
        .filter(run_change::Column::After.is_not_null())
        .select_only()
        .columns([
            run_change::Column::Sequence,
            run_change::Column::ExternalId,
            run_change::Column::Action,
            run_change::Column::Before,
            run_change::Column::After,
        ])
        .filter(run_change::Column::ObjectKind.eq(ObjectKind::User.as_str()))
        .filter(run_change::Column::Sequence.gt(after))
        .order_by_asc(run_change::Column::Sequence)
        .limit(WALK)
        .into_tuple()
        .all(tx)
        .await
        .map_err(StoreError::of("read planned changes"))?;
    rows.into_iter()
        .map(|(sequence, external_id, action, before, after)| {
            Ok(PlannedUser {
                sequence,
                external_id,
                action: parse("run_change.action", &action)?,
                before: from_optional_json("run_change.before", before)?,
                after: from_optional_json("run_change.after", after)?,
            })
        })
        .collect()
}

/// Groups of which some objects are direct members.
pub(crate) async fn containers(
    db: &impl ConnectionTrait,
    integration: IntegrationId,
    members: &[ExternalId],
) -> Result<BTreeSet<ExternalId>, StoreError> {
    let mut found = BTreeSet::new();
    for chunk in members.chunks(rows_per_statement(1)) {
        let ids: Vec<String> = directory_member::Entity::of_integration(integration.0)
            .select_only()
            // Not DISTINCT: for that, SQLite would walk through all members of all groups in the order of the groups.
            .column(directory_member::Column::GroupId)
            .filter(directory_member::Column::Relation.eq(MemberRelation::Member.as_str()))
            .filter(directory_member::Column::MemberId.is_in(chunk.iter().map(ExternalId::as_str)))
            .into_tuple()
            .all(db)
            .await
            .map_err(StoreError::of("read groups of members"))?;
        found.extend(ids.into_iter().map(ExternalId));
    }
    Ok(found)
}

/// The managers of some people.
pub(crate) async fn managers_of(
    db: &impl ConnectionTrait,
    integration: IntegrationId,
    people: &[ExternalId],
) -> Result<BTreeMap<ExternalId, ExternalId>, StoreError> {
    let mut found = BTreeMap::new();
    for chunk in people.chunks(rows_per_statement(1)) {
        let rows: Vec<(String, String)> = directory_user::Entity::of_integration(integration.0)
            .select_only()
            .columns([
                directory_user::Column::ExternalId,
                directory_user::Column::ManagerId,
            ])
            .filter(directory_user::Column::ManagerId.is_not_null())
            .filter(directory_user::Column::ExternalId.is_in(chunk.iter().map(ExternalId::as_str)))
            .into_tuple()
            .all(db)
            .await
            .map_err(StoreError::of("read managers"))?;
        found.extend(
            rows.into_iter()
                .map(|(person, manager)| (ExternalId(person), ExternalId(manager))),
        );
    }
    Ok(found)
}

/// Those of some people who are somebody's manager.
async fn those_with_reports(
    db: &impl ConnectionTrait,
    integration: IntegrationId,
    people: &[ExternalId],
) -> Result<BTreeSet<ExternalId>, StoreError> {
    let mut found = BTreeSet::new();
    for chunk in people.chunks(rows_per_statement(1)) {
        let ids: Vec<String> = directory_user::Entity::of_integration(integration.0)
            .select_only()
            .distinct()
            .column(directory_user::Column::ManagerId)
            .filter(directory_user::Column::ManagerId.is_in(chunk.iter().map(ExternalId::as_str)))
            .into_tuple()
            .all(db)
            .await
            .map_err(StoreError::of("read managers"))?;
        found.extend(ids.into_iter().map(ExternalId));
    }
    Ok(found)
}
