//! Dirty keys: what has to be looked at.
//!
//! A key is written in the transaction of its cause and cleared together with an outcome. Its mark changes with
//! every cause, so a cause that comes while the object is being planned is not cleared with it.

use std::collections::BTreeMap;

use lockstep_domain::{IntegrationId, TeamSource};
use lockstep_entity::{directory_user, dirty_key, integration};
use sea_orm::sea_query::{Expr, OnConflict, Query, SelectStatement, Value};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, ConnectionTrait, DbBackend, EntityTrait as _,
    ExprTrait, PaginatorTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::column::rows_per_statement;
use crate::lease::Step;
use crate::lookup::first;
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
        for chunk in keys.chunks(rows_per_statement(1)) {
            let keys: Vec<(&str, Uuid)> = chunk.iter().map(|k| (k.key.as_str(), k.mark)).collect();
            for which in are_marked(tx, integration.into(), USER, &keys) {
                dirty_key::Entity::delete_many()
                    .filter(which)
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

/// Whether rows are some keys of one kind.
///
/// The table is filled and emptied all the time, and PostgreSQL may take it for nearly empty when it is not: so each key
/// is looked up by itself, and the rows are named by where they are. Nobody moves them, as [`lock_keys`] keeps others from
/// it.
pub(crate) fn are_keys(
    db: &impl ConnectionTrait,
    integration: IntegrationId,
    kind: &'static str,
    keys: &[&str],
) -> Condition {
    let all = Condition::all();
    if db.get_database_backend() == DbBackend::Postgres {
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        let values: [Value; 3] = [keys.into(), integration.0.into(), kind.into()];
        return all.add(Expr::cust_with_values(
            r#""dirty_key".ctid = ANY(ARRAY(SELECT found.ctid FROM unnest($1) AS wanted (key)
            CROSS JOIN LATERAL (SELECT one.ctid FROM dirty_key AS one WHERE one.integration_id = $2
            AND one.kind = $3 AND one.key = wanted.key OFFSET 0) AS found))"#,
            values,
        ));
    }
    all.add(dirty_key::Column::IntegrationId.eq(integration.0))
        .add(dirty_key::Column::Kind.eq(kind))
        .add(dirty_key::Column::Key.is_in(keys.iter().copied()))
}

/// As [`are_keys`], for keys whose mark is still the one that is given; a condition for each statement that it takes.
pub(crate) fn are_marked(
    db: &impl ConnectionTrait,
    integration: IntegrationId,
    kind: &'static str,
    keys: &[(&str, Uuid)],
) -> Vec<Condition> {
    if db.get_database_backend() == DbBackend::Postgres {
        let (keys, marks): (Vec<String>, Vec<Uuid>) = keys
            .iter()
            .map(|(key, mark)| ((*key).to_owned(), *mark))
            .unzip();
        let values: [Value; 4] = [keys.into(), marks.into(), integration.0.into(), kind.into()];
        return vec![Condition::all().add(Expr::cust_with_values(
            r#""dirty_key".ctid = ANY(ARRAY(SELECT found.ctid FROM unnest($1, $2) AS wanted (key, mark)
            CROSS JOIN LATERAL (SELECT one.ctid FROM dirty_key AS one WHERE one.integration_id = $3
            AND one.kind = $4 AND one.key = wanted.key AND one.mark = wanted.mark OFFSET 0) AS found))"#,
            values,
        ))];
    }
    let mut of_mark: BTreeMap<Uuid, Vec<&str>> = BTreeMap::new();
    for (key, mark) in keys {
        of_mark.entry(*mark).or_default().push(key);
    }
    let marked = |(mark, keys): (Uuid, Vec<&str>)| {
        let is_marked = ExprTrait::eq(Expr::col(dirty_key::Column::Mark), mark);
        are_keys(db, integration, kind, &keys).add(is_marked)
    };
    of_mark.into_iter().map(marked).collect()
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
