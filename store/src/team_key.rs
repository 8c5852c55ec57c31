//! Team keys: groups and managers whose teams have to be looked at.
//!
//! A key stays until the run that planned it has made every change that it planned for it.

use std::collections::BTreeSet;

use lockstep_domain::{ChangeOutcome, ExternalId, IntegrationId, TeamKey, TeamSource};
use lockstep_entity::{directory_group, directory_user, dirty_key, run_change, team};
use sea_orm::sea_query::{Expr, Query, SelectStatement};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, ExprTrait as _,
    PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, UpdateMany,
};
use uuid::Uuid;

use crate::column::{parse, rows_per_statement};
use crate::dirty::{are_keys, are_marked, insert_marks, kind_of, lock_keys};
use crate::lease::Step;
use crate::lookup::{first, first_of, one_of};
use crate::run_tx::{BATCH, RunTx};
use crate::{Lease, Store, StoreError, Tx};

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
        let mut found = Vec::new();
        // One kind after the other: over both, the order would have to be made by sorting.
        for source in [TeamSource::Group, TeamSource::Manager] {
            let after = match after {
                Some(key) if key.source > source => continue,
                Some(key) if key.source == source => key.external_id.as_str(),
                _ => "",
            };
            let room = limit - found.len() as u64;
            let rows = dirty_key::Entity::of_integration(integration.0)
                .filter(dirty_key::Column::Kind.eq(kind_of(source)))
                .filter(dirty_key::Column::Key.gt(after))
                .order_by_asc(dirty_key::Column::Key);
            let rows = first(self.db(), rows, room)
                .await
                .map_err(StoreError::of("read which teams have to be looked at"))?;
            found.extend(rows.into_iter().map(|row| DirtyTeam {
                key: TeamKey {
                    source,
                    external_id: ExternalId(row.key),
                },
                mark: row.mark,
            }));
        }
        Ok(found)
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
        lock_keys(tx, integration).await?;
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
        lock_keys(tx, integration).await?;
        insert_marks(tx, managers).await
    }

    /// Notes that a run has decided on keys.
    pub(crate) async fn note_planned(
        &self,
        tx: &RunTx,
        lease: &Lease,
        teams: &[DirtyTeam],
    ) -> Result<(), StoreError> {
        if teams.is_empty() {
            return Ok(());
        }
        lock_keys(tx, lease.integration_id).await?;
        for source in [TeamSource::Group, TeamSource::Manager] {
            let of_source = teams.iter().filter(|team| team.key.source == source);
            let keys: Vec<(&str, Uuid)> = of_source
                .map(|team| (team.key.external_id.as_str(), team.mark))
                .collect();
            for chunk in keys.chunks(rows_per_statement(1)) {
                // Not what was marked again while it was planned: its cause was not seen.
                for which in are_marked(tx, lease.integration_id, kind_of(source), chunk) {
                    planned_by(which, Some(lease.run_id.0))
                        .exec(tx)
                        .await
                        .map_err(StoreError::of("note which teams were planned"))?;
                }
            }
        }
        Ok(())
    }

    /// Takes back [`Store::note_planned`]: the keys stay to be looked at.
    async fn look_again(
        &self,
        lease: &Lease,
        step: Step,
        keys: &[TeamKey],
    ) -> Result<(), StoreError> {
        let operation = "note which teams were planned";
        for source in [TeamSource::Group, TeamSource::Manager] {
            let ids: Vec<&str> = keys
                .iter()
                .filter(|key| key.source == source)
                .map(|key| key.external_id.as_str())
                .collect();
            for chunk in ids.chunks(rows_per_statement(1)) {
                let tx = self.begin_run(lease, step).await?;
                lock_keys(&tx, lease.integration_id).await?;
                let keys = are_keys(&tx, lease.integration_id, kind_of(source), chunk);
                planned_by(keys, None)
                    .exec(&tx)
                    .await
                    .map_err(StoreError::of(operation))?;
                tx.commit(operation).await?;
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
        let unmade_moves = left_by_unmade_moves(self.db(), lease).await?;
        self.look_again(lease, step, &unmade_moves).await?;
        for kind in TEAMS {
            let mut after = String::new();
            while let Some(last) = self.settle_some(lease, step, kind, &after).await? {
                after = last;
            }
        }
        Ok(())
    }

    /// Clears keys of one kind, of a batch of them after one; returns the last of the batch.
    async fn settle_some(
        &self,
        lease: &Lease,
        step: Step,
        kind: &'static str,
        after: &str,
    ) -> Result<Option<String>, StoreError> {
        let operation = "clear which teams were looked at";
        let keys = dirty_key::Entity::of_integration(lease.integration_id.0)
            .select_only()
            .columns([dirty_key::Column::Key, dirty_key::Column::PlannedBy])
            .filter(dirty_key::Column::Kind.eq(kind))
            .filter(dirty_key::Column::Key.gt(after))
            .order_by_asc(dirty_key::Column::Key);
        let keys: Vec<(String, Option<Uuid>)> = first_of(self.db(), keys, BATCH)
            .await
            .map_err(StoreError::of(operation))?;
        let last = keys.last().map(|(key, _)| key.clone());
        let planned: Vec<&str> = keys
            .iter()
            .filter(|(_, run)| *run == Some(lease.run_id.0))
            .map(|(key, _)| key.as_str())
            .collect();
        let unmade = unmade(self.db(), lease, kind, &planned).await?;
        let made = planned.into_iter().filter(|key| !unmade.contains(*key));
        let made: Vec<&str> = made.collect();
        if made.is_empty() {
            return Ok(last);
        }
        let tx = self.begin_run(lease, step).await?;
        if !self.has_same_rules(&tx).await? {
            return Ok(None);
        }
        lock_keys(&tx, lease.integration_id).await?;
        dirty_key::Entity::delete_many()
            .filter(are_keys(&tx, lease.integration_id, kind, &made))
            .filter(dirty_key::Column::PlannedBy.eq(lease.run_id.0))
            .exec(&tx)
            .await
            .map_err(StoreError::of(operation))?;
        tx.commit(operation).await?;
        Ok(last)
    }
}

fn planned_by(which: Condition, run: Option<Uuid>) -> UpdateMany<dirty_key::Entity> {
    dirty_key::Entity::update_many()
        .col_expr(dirty_key::Column::PlannedBy, run.into())
        .filter(which)
}

/// Keys of one kind, among some, of which a change was not made.
async fn unmade(
    db: &impl ConnectionTrait,
    lease: &Lease,
    kind: &'static str,
    keys: &[&str],
) -> Result<BTreeSet<String>, StoreError> {
    let keys: Vec<String> = run_change::Entity::of_run(lease.run_id.0)
        .select_only()
        .column(run_change::Column::ExternalId)
        .filter(run_change::Column::Outcome.ne(ChangeOutcome::Applied.as_str()))
        .filter(run_change::Column::Source.eq(kind))
        .filter(one_of(
            db,
            run_change::Column::ExternalId,
            keys.iter().copied(),
        ))
        .into_tuple()
        .all(db)
        .await
        .map_err(StoreError::of("read changes that were not made"))?;
    Ok(keys.into_iter().collect())
}

/// Keys of the teams that someone was to leave by a move that was not made.
async fn left_by_unmade_moves(
    db: &impl ConnectionTrait,
    lease: &Lease,
) -> Result<Vec<TeamKey>, StoreError> {
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
    let rows = db
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
