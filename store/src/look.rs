//! Looking at a database without changing anything.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::sync::Arc;

use sea_orm::sqlx::sqlite::SqliteConnectOptions;
use sea_orm::{ConnectOptions, Database, DbErr, RuntimeErr};

use crate::{Store, StoreError, connect};

impl Store {
    /// Connects to look: a SQLite file must be there and is only read, a server is tried once.
    ///
    /// # Errors
    /// As [`Store::connect`], but at once.
    pub async fn look(url: &str) -> Result<Self, StoreError> {
        if !url.starts_with("sqlite:") {
            if url.starts_with("postgres:") || url.starts_with("postgresql:") {
                connect::attempt(url).await?;
            }
            return Self::connect(url).await;
        }
        let file = SqliteConnectOptions::from_str(url).map_err(|error| {
            connect::explain(DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))))
        })?;
        let is_in_use = has_log(file.get_filename());
        let mut options = ConnectOptions::new(url);
        options
            .sqlx_logging(false)
            .max_connections(1)
            .map_sqlx_sqlite_opts(move |options| {
                // Even who only reads makes files beside a database with a log; one without any needs none.
                options
                    .create_if_missing(false)
                    .read_only(true)
                    .immutable(!is_in_use)
            });
        let db = Database::connect(options).await.map_err(connect::explain)?;
        Ok(Self::of(db))
    }

    /// Tries what a pooler may break: two connections that prepare statements of their own.
    ///
    /// # Errors
    /// When the statements are mixed up, or the database does not answer.
    pub async fn try_prepared_statements(&self) -> Result<(), StoreError> {
        if self.is_sqlite() {
            return Ok(());
        }
        let pool = self.db().get_postgres_connection_pool();
        let tried = async {
            let mut connections = [pool.acquire().await?, pool.acquire().await?];
            for (number, connection) in (1_i32..).zip(&mut connections) {
                let statement = sea_orm::sqlx::AssertSqlSafe(format!("SELECT $1 + {number}"));
                sea_orm::sqlx::query(statement)
                    .bind(number)
                    .execute(&mut **connection)
                    .await?;
            }
            Ok(())
        };
        tried.await.map_err(|error: sea_orm::sqlx::Error| {
            StoreError::of("prepare statements")(DbErr::Query(RuntimeErr::SqlxError(Arc::new(
                error,
            ))))
        })
    }
}

/// The file of a SQLite database; none when the address is a server's, or cannot be read.
#[must_use]
pub fn sqlite_file(url: &str) -> Option<PathBuf> {
    let options = SqliteConnectOptions::from_str(url.strip_prefix("sqlite:").map(|_| url)?).ok()?;
    Some(options.get_filename().to_owned())
}

/// Whether a program has the file open, or left it without tidying up.
fn has_log(file: &Path) -> bool {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    Path::new(&log).exists()
}
