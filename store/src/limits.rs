//! How long PostgreSQL works on a statement and waits for a lock.
//!
//! A pooler in front of it hands a session to one client after another, so nothing can be set for a session: PgBouncer
//! refuses such settings when a client connects, or drops them without a word. What always arrives is a setting of the
//! role, which counts for every statement, and one of a transaction, which counts whatever the role has.

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};
use tracing::warn;

use crate::store::{MIGRATION_LOCK, Tx};
use crate::{Store, StoreError};

/// Sets our limits for a transaction, where the role has none of its own, and has its statements planned anew, as a kept
/// plan may be one for tables that were empty. 300 seconds: the longest legitimate statement
/// marks who is missing in a huge tenant.
const IN_TRANSACTION: &str = "SELECT set_config(name, ours, true) \
    FROM (VALUES ('statement_timeout', '0', '300s'), ('lock_timeout', '0', '60s'), \
    ('plan_cache_mode', 'auto', 'force_custom_plan')) AS settings (name, unset, ours) \
    WHERE current_setting(name) = unset";

/// Sets them for the role in this database, where it has none. A role may do so for itself.
const FOR_ROLE: &str = "DO $$
DECLARE
  ours record;
BEGIN
  FOR ours IN SELECT * FROM (VALUES ('statement_timeout', '0', '300s'), ('lock_timeout', '0', '60s'),
      ('plan_cache_mode', 'auto', 'force_custom_plan')) AS settings (name, unset, value) LOOP
    IF current_setting(ours.name) = ours.unset THEN
      EXECUTE format('ALTER ROLE CURRENT_USER IN DATABASE %I SET %I = %L', current_database(), ours.name, ours.value);
    END IF;
  END LOOP;
END $$";

/// A migration may rewrite a large table, and another one waits for that. Afterwards locks are waited for no longer than
/// before: who waits for a table keeps everybody else from it.
const FOR_MIGRATION: [&str; 4] = [
    "SELECT set_config('lockstep.lock_timeout', current_setting('lock_timeout'), true)",
    "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0",
    MIGRATION_LOCK,
    "SELECT set_config('lock_timeout', current_setting('lockstep.lock_timeout'), true)",
];

/// What is in force for a statement outside a transaction, in PostgreSQL's words, such as `5min`; `0` is no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How long a statement may take.
    pub statement: String,
    /// How long it may wait for a lock.
    pub lock: String,
    /// The role that the statements are run by.
    pub role: String,
    /// The database that they are run in.
    pub database: String,
}

impl Limits {
    /// Whether a statement that hangs is ended.
    #[must_use]
    pub fn bound_everything(&self) -> bool {
        self.statement != "0" && self.lock != "0"
    }
}

impl Store {
    /// Measures the limits that statements have on the way they take; none on SQLite, where nobody else can be waited for
    /// longer than the file's own limit.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn limits(&self) -> Result<Option<Limits>, StoreError> {
        if self.is_sqlite() {
            return Ok(None);
        }
        let operation = "tell its limits";
        let statement = "SELECT current_setting('statement_timeout') AS statement, \
            current_setting('lock_timeout') AS lock, CAST(current_user AS text) AS role, \
            CAST(current_database() AS text) AS database";
        let statement = Statement::from_string(DbBackend::Postgres, statement);
        let row = self.db().query_one_raw(statement).await;
        let row = row
            .and_then(|row| row.ok_or(DbErr::RecordNotFound("limits".into())))
            .map_err(StoreError::of(operation))?;
        let text = |column| row.try_get("", column).map_err(StoreError::of(operation));
        Ok(Some(Limits {
            statement: text("statement")?,
            lock: text("lock")?,
            role: text("role")?,
            database: text("database")?,
        }))
    }

    /// Has the role limit its statements in this database from its next connection on, unless it does. What it is refused
    /// is only told: somebody else may have to do it.
    pub(crate) async fn limit_role(&self) {
        if self.is_sqlite() {
            return;
        }
        let operation = "limit the role's statements";
        let set = async {
            let tx = self.begin().await?;
            // One migration at a time, and by the role's own limits instead of ours.
            let steps = [
                MIGRATION_LOCK,
                "SET LOCAL statement_timeout TO DEFAULT",
                "SET LOCAL lock_timeout TO DEFAULT",
                "SET LOCAL plan_cache_mode TO DEFAULT",
                FOR_ROLE,
            ];
            for step in steps {
                tx.execute_unprepared(step)
                    .await
                    .map_err(StoreError::of(operation))?;
            }
            tx.commit().await.map_err(StoreError::of(operation))
        };
        if let Err(error) = set.await {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            warn!(error = %error, cause, "The role has no limits for its statements; `lockstep doctor` says how to set them");
        }
    }
}

/// Limits the statements of a transaction.
pub(crate) async fn limit(tx: &Tx) -> Result<(), DbErr> {
    tx.execute_unprepared(IN_TRANSACTION).await.map(drop)
}

/// Takes the limit for statements from a transaction that migrates, and waits until no other does.
pub(crate) async fn take_turn(tx: &Tx) -> Result<(), DbErr> {
    for step in FOR_MIGRATION {
        tx.execute_unprepared(step).await?;
    }
    Ok(())
}
