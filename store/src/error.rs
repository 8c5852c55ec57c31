//! What can go wrong with the database.

use sea_orm::{DbErr, SqlErr};

/// A failure of the database, or a refusal by what it holds.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The address of the database cannot be used.
    #[error(
        "LOCKSTEP_DATABASE_URL cannot be used: {0}; give sqlite:FILE or postgres://USER:PASSWORD@HOST/NAME"
    )]
    Url(&'static str),
    /// The database does not answer.
    #[error(
        "the database cannot be reached; check LOCKSTEP_DATABASE_URL and that the server is up"
    )]
    Unreachable(#[source] DbErr),
    /// A statement failed.
    #[error("the database refused to {operation}")]
    Database {
        /// What was to be done.
        operation: &'static str,
        /// The cause.
        #[source]
        source: DbErr,
    },
    /// A stored value is none that this version knows.
    #[error("column {column} holds {text:?}, which this version does not know")]
    Corrupt {
        /// Name of the column.
        column: &'static str,
        /// What it holds.
        text: String,
    },
    /// Another worker has taken the run over, or it was ended from outside: nothing more may be written.
    #[error("the run is no longer held by this worker")]
    LeaseLost,
    /// The file or server has no space left.
    #[error("the database has no space left")]
    Full(#[source] DbErr),
}

impl StoreError {
    /// Makes an error that says what was to be done.
    pub(crate) fn of(operation: &'static str) -> impl FnOnce(DbErr) -> Self {
        move |source| {
            if is_full(&source) {
                Self::Full(source)
            } else {
                Self::Database { operation, source }
            }
        }
    }

    /// Whether a unique key was taken already.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::Database { source, .. } if matches!(source.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))))
    }
}

/// SQLite says so in words; PostgreSQL has the class 53100.
fn is_full(error: &DbErr) -> bool {
    let text = error.to_string();
    text.contains("database or disk is full")
        || text.contains("No space left on device")
        || text.contains("53100")
}
