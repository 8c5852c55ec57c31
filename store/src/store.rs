//! The connection: where the database is, what time it is, and how a transaction begins.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use lockstep_domain::{Clock, IdSource, SystemClock, SystemIds};
use lockstep_migration::{Migrator, MigratorTrait as _};
use sea_orm::{
    ConnectOptions, Database, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    SqliteTransactionMode, TransactionOptions, TransactionTrait as _,
    sqlx::Executor as _,
    sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous},
};

use crate::{StoreError, connect, limits};

/// A transaction that may write.
pub type Tx = DatabaseTransaction;

/// Connections that one process keeps to PostgreSQL for reading, and as many for writing.
const POSTGRES_CONNECTIONS: u32 = 8;
/// A plan that is kept is one for tables as they were when it was made, and a run fills empty ones. A pooler in front may
/// give the connection to somebody else: that costs time, and nothing else; transactions and the role have it as well.
const PLAN_ANEW: &str = "SET plan_cache_mode = force_custom_plan";
/// How long a connection to PostgreSQL may be waited for, and the server for being started.
const POSTGRES_PATIENCE: Duration = Duration::from_secs(10);
/// Lets one migration work at a time, as long as its transaction.
pub(crate) const MIGRATION_LOCK: &str = "SELECT pg_advisory_xact_lock(7203459113)";
/// Connections that read a SQLite file. There is one more, as it has one writer.
const SQLITE_CONNECTIONS: u32 = 4;
/// Prepared statements that a connection keeps. Lists of a thousand values make large ones of ever new lengths, and a
/// hundred of those, the default, let memory grow with the tenant.
const STATEMENTS: usize = 12;
/// How long a statement waits for another process's lock on the SQLite file.
const SQLITE_BUSY: Duration = Duration::from_secs(10);

/// The database, with the clock and the source of identifiers that go with it.
///
/// Reading and writing have connections of their own: a writer waits for others, for longer than a reader should.
#[derive(Clone)]
pub struct Store {
    db: DatabaseConnection,
    writers: DatabaseConnection,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    /// Whether leases are told by the database's clock, as several machines must agree on them.
    shared_clock: bool,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("backend", &self.db.get_database_backend())
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Connects with the machine's clock. The schema is not touched.
    ///
    /// # Errors
    /// When the URL is neither `sqlite:` nor `postgres:`, or the database does not answer.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let mut store = Self::with(url, Arc::new(SystemClock), Arc::new(SystemIds)).await?;
        store.shared_clock = !store.is_sqlite();
        Ok(store)
    }

    /// Connects with a clock and a source of identifiers of the caller's.
    ///
    /// # Errors
    /// As [`Store::connect`].
    pub async fn with(
        url: &str,
        clock: Arc<dyn Clock>,
        ids: Arc<dyn IdSource>,
    ) -> Result<Self, StoreError> {
        let connect = async |role| match Database::connect(options(url, role)?).await {
            Ok(connection) => Ok(connection),
            Err(error) => Err(connect::failure(url, error).await),
        };
        // The writer first, who makes the file.
        let (writers, db) = (connect(Role::Writer).await?, connect(Role::Reader).await?);
        Ok(Self {
            db,
            writers,
            clock,
            ids,
            shared_clock: false,
        })
    }

    /// A store around a connection that only looks.
    pub(crate) fn of(db: DatabaseConnection) -> Self {
        Self {
            writers: db.clone(),
            db,
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds),
            shared_clock: false,
        }
    }

    /// Brings the schema up to date. Processes at once are safe: they take turns, and wait for each other.
    ///
    /// # Errors
    /// When a migration fails; those before it stay done. That the role could not be given limits for its statements is
    /// only logged.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        while self.migrate_one().await? {}
        self.limit_role().await;
        Ok(())
    }

    /// Does the next migration, in a transaction of its own, so that no table is closed for longer than its own change
    /// takes. Whether there was one.
    async fn migrate_one(&self) -> Result<bool, StoreError> {
        // The write lock of SQLite, or the advisory lock of PostgreSQL, lives as long as the transaction: a killed
        // migration frees it and leaves nothing half done.
        let tx = self.begin().await?;
        let migrated = async {
            if !self.is_sqlite() {
                limits::take_turn(&tx).await?;
            }
            let is_pending = !Migrator::get_pending_migrations(&tx).await?.is_empty();
            if is_pending {
                Migrator::up(&tx, Some(1)).await?;
            }
            tx.commit().await?;
            Ok(is_pending)
        };
        migrated.await.map_err(StoreError::of("migrate the schema"))
    }

    /// Whether every migration has been applied.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn is_migrated(&self) -> Result<bool, StoreError> {
        lockstep_migration::is_complete(&self.db)
            .await
            .map_err(StoreError::of("read the schema's version"))
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.db.ping().await.map_err(StoreError::Unreachable)
    }

    /// The present time.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// A fresh identifier.
    #[must_use]
    pub fn fresh_id(&self) -> uuid::Uuid {
        self.ids.fresh()
    }

    /// Whether the database is a file.
    #[must_use]
    pub fn is_sqlite(&self) -> bool {
        self.db.get_database_backend() == DbBackend::Sqlite
    }

    /// The connection, for reading. On SQLite nothing can be written over it.
    #[must_use]
    pub fn db(&self) -> &DatabaseConnection {
        &self.db
    }

    /// Begins a transaction that may write.
    ///
    /// On SQLite it takes the write lock at once: one that reads first and writes later can fail whatever the
    /// waiting time, because its snapshot may be old by then.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        let options = TransactionOptions {
            sqlite_transaction_mode: self.is_sqlite().then_some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        // A task of its own, because a caller may be dropped while it waits: a stopped run, a request whose client left.
        // sqlx 0.9 would then hand the connection back with the transaction open, and the next writer's work would be
        // lost in it. A begun transaction that nobody takes rolls back.
        let db = self.writers.clone();
        let begun = tokio::spawn(async move {
            let tx = db.begin_with_options(options).await?;
            if db.get_database_backend() == DbBackend::Postgres {
                limits::limit(&tx).await?;
            }
            Ok(tx)
        });
        begun
            .await
            .unwrap_or_else(|error| Err(DbErr::Custom(error.to_string())))
            .map_err(StoreError::of("begin a transaction"))
    }

    /// Whether leases are told by the database's clock.
    pub(crate) const fn has_shared_clock(&self) -> bool {
        self.shared_clock
    }
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Reader,
    Writer,
}

fn options(url: &str, role: Role) -> Result<ConnectOptions, StoreError> {
    let (scheme, _) = url
        .split_once(':')
        .ok_or(StoreError::Url("it has no scheme"))?;
    let mut options = ConnectOptions::new(url);
    options.sqlx_logging(false);
    match scheme {
        "sqlite" => {
            let is_reader = role == Role::Reader;
            options
                .max_connections(if is_reader { SQLITE_CONNECTIONS } else { 1 })
                .map_sqlx_sqlite_opts(move |options| {
                    options
                        .create_if_missing(true)
                        .journal_mode(SqliteJournalMode::Wal)
                        .synchronous(SqliteSynchronous::Normal)
                        .busy_timeout(SQLITE_BUSY)
                        .foreign_keys(true)
                        .statement_cache_capacity(STATEMENTS)
                        // 4 MiB a connection: larger ones did not make a run faster, only the process larger.
                        .pragma("cache_size", "-4096")
                        .pragma("query_only", if is_reader { "ON" } else { "OFF" })
                });
        }
        "postgres" | "postgresql" => {
            connect::check(url)?;
            options
                .max_connections(POSTGRES_CONNECTIONS)
                .acquire_timeout(POSTGRES_PATIENCE)
                .map_sqlx_postgres_opts(|options| {
                    options
                        .statement_cache_capacity(STATEMENTS)
                        // Floats arrive in binary, and PgBouncer refuses a setting that it does not know.
                        .extra_float_digits(None)
                })
                .map_sqlx_postgres_pool_opts(|pool| {
                    pool.after_connect(|connection, _| {
                        Box::pin(async move { connection.execute(PLAN_ANEW).await.map(drop) })
                    })
                });
        }
        _ => return Err(StoreError::Url("its scheme is neither sqlite nor postgres")),
    }
    Ok(options)
}
