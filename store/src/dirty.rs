//! Dirty keys: what has to be looked at.
//!
//! A key is written in the transaction of its cause and cleared together with an outcome. Its mark changes with
//! every cause, so a cause that comes while the object is being planned is not cleared with it.

use lockstep_domain::{IntegrationId, TeamSource};
use lockstep_entity::{directory_user, dirty_key, integration};
use sea_orm::sea_query::{Expr, OnConflict, Query, SelectStatement};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait as _, DbBackend,
    EntityTrait as _, ExprTrait, PaginatorTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};
use uuid::Uuid;

use crate::column::rows_per_statement;
use crate::lease::Step;
use crate::lookup::{first, one_of};
use crate::run::Run;
use crate::run_tx::RunTx;
use crate::{Lease, Store, StoreError, Tx};

/// The kind of keys that are object ids of accounts.
pub(crate) const USER: &str = "USER";

/// The kind of the one key that says that only a list can tell how things are.
pub(crate) const LIST: &str = "LIST";

/// What PostgreSQL's advisory locks of integrations stand for: their keys.
const KEYS_OF_AN_INTEGRATION: i32 = 1;

/// The kind of keys that are object ids of groups or managers, whose teams have to be looked at.
pub(crate) const fn kind_of(source: TeamSource) -> &'static str {
    source.as_str()
}

/// An object that has to be looked at, and the mark of its latest cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirtyKey {
    /// Object id.
    pub key: String,
    /// Mark of the latest cause.
    pub mark: Uuid,
}

impl Store {
    /// Marks objects to be looked at.
    pub(crate) async fn mark_dirty(
        &self,
        tx: &Tx,
        integration: IntegrationId,
        kind: &'static str,
        keys: impl IntoIterator<Item = String>,
    ) -> Result<(), StoreError> {
        let mark = self.fresh_id();
        let mut rows = keys
            .into_iter()
            .map(|key| dirty_key::ActiveModel {
                integration_id: Set(integration.0),
                kind: Set(kind.into()),
                key: Set(key),
                mark: Set(mark),
                planned_by: Set(None),
            })
            .peekable();
        if rows.peek().is_none() {
            return Ok(());
        }
        lock_keys(tx, integration).await?;
        let rows: Vec<_> = rows.collect();
        for chunk in rows.chunks(rows_per_statement(5)) {
            dirty_key::Entity::insert_many(chunk.iter().cloned())
                .on_conflict(new_mark())
                .exec_without_returning(tx)
                .await
                .map_err(StoreError::of("mark what has to be looked at"))?;
        }
        Ok(())
    }

    /// Has everything listed: who comes back from a deletion brings relations along that no delta tells, as they never
    /// ended.
    pub(crate) async fn mark_list(
        &self,
        tx: &Tx,
        integration: IntegrationId,
    ) -> Result<(), StoreError> {
        self.mark_dirty(tx, integration, LIST, ["ALL".to_owned()])
            .await
    }

    /// Returns the mark of the latest cause to list everything, if there is one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list_mark(&self, integration: IntegrationId) -> Result<Option<Uuid>, StoreError> {
        let row = dirty_key::Entity::of_integration(integration.0)
            .filter(dirty_key::Column::Kind.eq(LIST))
            .one(self.db());
        let row = row
            .await
            .map_err(StoreError::of("read whether to list everything"))?;
        Ok(row.map(|row| row.mark))
    }

    /// Notes that everything has been listed, unless there is a cause since `mark`.
    ///
    /// # Errors
    /// When the database fails or the lease is lost.
    pub async fn clear_list(
        &self,
        lease: &Lease,
        step: Step,
        mark: Uuid,
    ) -> Result<Run, StoreError> {
        let tx = self.begin_run(lease, step).await?;
        lock_keys(&tx, lease.integration_id).await?;
        dirty_key::Entity::delete_many()
            .filter(dirty_key::Column::IntegrationId.eq(lease.integration_id.0))
            .filter(dirty_key::Column::Kind.eq(LIST))
            .filter(ExprTrait::eq(Expr::col(dirty_key::Column::Mark), mark))
            .exec(&tx)
            .await
            .map_err(StoreError::of("note that everything was listed"))?;
        tx.commit("note that everything was listed").await
    }

    /// Marks every account of an integration and everything that a team can be made from: the rules changed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn mark_everyone_dirty(
        &self,
        tx: &Tx,
        integration: IntegrationId,
    ) -> Result<(), StoreError> {
        lock_keys(tx, integration).await?;
        let everyone = Query::select()
            .expr(Expr::val(integration.0))
            .expr(Expr::val(USER))
            .column(directory_user::Column::ExternalId)
            .expr(Expr::val(self.fresh_id()))
            .from(directory_user::Entity)
            .and_where(directory_user::Column::IntegrationId.eq(integration.0))
            .to_owned();
        insert_marks(tx, everyone).await?;
        self.mark_all_teams(tx, integration).await
    }

    /// Returns the next objects to look at, in the order of their ids.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn dirty_users(
        &self,
        integration: IntegrationId,
        after: Option<&str>,
        limit: u64,
    ) -> Result<Vec<DirtyKey>, StoreError> {
        let rows = dirty_key::Entity::of_integration(integration.0)
            .filter(dirty_key::Column::Kind.eq(USER))
            .filter(Condition::all().add_option(after.map(|key| dirty_key::Column::Key.gt(key))))
            .order_by_asc(dirty_key::Column::Key);
        let rows = first(self.db(), rows, limit)
            .await
            .map_err(StoreError::of("read what has to be looked at"))?;
        Ok(rows
            .into_iter()
            .map(|row| DirtyKey {
                key: row.key,
                mark: row.mark,
            })
            .collect())
    }

    /// Number of objects that have to be looked at.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn count_dirty_users(&self, integration: IntegrationId) -> Result<u64, StoreError> {
        dirty_key::Entity::of_integration(integration.0)
            .filter(dirty_key::Column::Kind.eq(USER))
            .count(self.db())
            .await
            .map_err(StoreError::of("count what has to be looked at"))
    }

    /// Whether the rules are still those that a run works with.
    pub(crate) async fn has_same_rules(&self, tx: &RunTx) -> Result<bool, StoreError> {
        let run = tx.run();
        let rules: Option<i32> = integration::Entity::find_by_id(run.integration_id)
            .select_only()
            .column(integration::Column::RulesVersion)
            .into_tuple()
            .one(tx)
            .await
            .map_err(StoreError::of("read the version of the rules"))?;
        Ok(rules == Some(run.rules_version))
    }

    /// Clears keys whose mark is still the one their outcome was decided on, unless the rules have changed since the
    /// run began: then everyone has to be looked at by the new ones (fault E11).
    pub(crate) async fn clear_dirty(
        &self,
        tx: &RunTx,
        keys: &[DirtyKey],
    ) -> Result<(), StoreError> {
        if keys.is_empty() || !self.has_same_rules(tx).await? {
            return Ok(());
        }
        let integration = tx.run().integration_id;
        lock_keys(tx, integration.into()).await?;
        for chunk in keys.chunks(rows_per_statement(2)) {
            // Almost all keys of a chunk share a mark, so one statement a mark is one or two statements.
            let mut marks: Vec<Uuid> = chunk.iter().map(|key| key.mark).collect();
            marks.sort_unstable();
            marks.dedup();
            for mark in marks {
                let keys = chunk
                    .iter()
                    .filter(|key| key.mark == mark)
                    .map(|key| key.key.as_str());
                dirty_key::Entity::delete_many()
                    .filter(dirty_key::Column::IntegrationId.eq(integration))
                    .filter(dirty_key::Column::Kind.eq(USER))
                    .filter(ExprTrait::eq(Expr::col(dirty_key::Column::Mark), mark))
                    .filter(one_of(tx, dirty_key::Column::Key, keys))
                    .exec(tx)
                    .await
                    .map_err(StoreError::of("clear what was looked at"))?;
            }
        }
        Ok(())
    }
}

/// Keeps others from writing keys of an integration until the transaction ends. On SQLite there is one writer anyway.
///
/// Whoever writes keys takes it first, and waits for nothing else after it. So rules that mark everyone and pages that
/// mark a few can come in any order, each in another one, and neither waits for the other in a circle.
pub(crate) async fn lock_keys(tx: &Tx, integration: IntegrationId) -> Result<(), StoreError> {
    if tx.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    // Two integrations that share a number wait for each other now and then, and that is all.
    let [.., a, b, c, d] = integration.0.into_bytes();
    let number = i32::from_be_bytes([a, b, c, d]);
    let lock = format!("SELECT pg_advisory_xact_lock({KEYS_OF_AN_INTEGRATION}, {number})");
    tx.execute_unprepared(&lock)
        .await
        .map_err(StoreError::of("mark what has to be looked at"))?;
    Ok(())
}

pub(crate) async fn insert_marks(tx: &Tx, chosen: SelectStatement) -> Result<(), StoreError> {
    let mut insert = Query::insert();
    insert
        .into_table(dirty_key::Entity)
        .columns([
            dirty_key::Column::IntegrationId,
            dirty_key::Column::Kind,
            dirty_key::Column::Key,
            dirty_key::Column::Mark,
        ])
        .on_conflict(new_mark());
    insert.select_from(chosen).map_err(|error| {
        StoreError::of("mark what has to be looked at")(sea_orm::DbErr::Custom(error.to_string()))
    })?;
    tx.execute(&insert)
        .await
        .map_err(StoreError::of("mark what has to be looked at"))?;
    Ok(())
}

fn new_mark() -> OnConflict {
    OnConflict::columns([
        dirty_key::Column::IntegrationId,
        dirty_key::Column::Kind,
        dirty_key::Column::Key,
    ])
    .update_columns([dirty_key::Column::Mark, dirty_key::Column::PlannedBy])
    .to_owned()
}
