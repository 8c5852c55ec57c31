//! Statistics: what PostgreSQL knows of the tables that runs fill.
//!
//! No plan of a run depends on them being fresh, see `lookup`; they make the lists of the API cheaper before autovacuum
//! comes by. Tables belong to all organizations, so one run counts for the others, and none waits for another.

use sea_orm::{ConnectionTrait as _, DbBackend, Statement};

use crate::{Store, StoreError};

/// Tables that a read fills. Those that the run fills later are left to autovacuum: counted while they are nearly empty,
/// they would be taken for nearly empty.
const TABLES: [&str; 5] = [
    "directory_user",
    "directory_group",
    "directory_member",
    "read_seen",
    "dirty_key",
];

/// Least time between two counts of a table, by whichever process, in minutes.
const MINUTES: u32 = 10;

impl Store {
    /// Has PostgreSQL count its tables anew, those that nobody counted for a while: each by itself, outside of any
    /// transaction, and none that somebody else is counting or changing the shape of.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn refresh_statistics(&self) -> Result<(), StoreError> {
        if self.is_sqlite() {
            return Ok(());
        }
        for table in self.long_uncounted().await? {
            // A lock that others hold is not waited for, as two who count one table would wait for each other.
            self.db()
                .execute_unprepared(&format!("ANALYZE (SKIP_LOCKED) \"{table}\""))
                .await
                .map_err(StoreError::of("refresh statistics"))?;
        }
        Ok(())
    }

    async fn long_uncounted(&self) -> Result<Vec<&'static str>, StoreError> {
        let operation = "read how old statistics are";
        // Told by the database's clock, whose marks these are.
        let counted = format!(
            "SELECT relname::text AS name FROM pg_stat_user_tables WHERE schemaname = current_schema() \
             AND greatest(last_analyze, last_autoanalyze) > clock_timestamp() - interval '{MINUTES} minutes'"
        );
        let rows = self
            .db()
            .query_all_raw(Statement::from_string(DbBackend::Postgres, counted))
            .await
            .map_err(StoreError::of(operation))?;
        let counted: Vec<String> = rows
            .iter()
            .map(|row| row.try_get("", "name"))
            .collect::<Result<_, _>>()
            .map_err(StoreError::of(operation))?;
        let old = |table: &&'static str| !counted.iter().any(|name| name == table);
        Ok(TABLES.into_iter().filter(old).collect())
    }
}
