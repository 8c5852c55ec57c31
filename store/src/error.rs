//! What can go wrong with the database.

use sea_orm::{DbErr, RuntimeErr, SqlErr, sqlx};

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
    #[error("the database has no space left; free or add disk space")]
    Full(#[source] DbErr),
    /// The disk under the database fails, or is limited.
    #[error(
        "the disk of the database cannot be read or written; look at its space, its limits and its health"
    )]
    Disk(#[source] DbErr),
    /// The database takes no writes.
    #[error(
        "the database cannot be written; LOCKSTEP_DATABASE_URL must name a file that this user may write, or the primary server"
    )]
    ReadOnly(#[source] DbErr),
    /// No connection was to be had in time.
    #[error(
        "no connection to the database became free or could be made in time; it is down, out of reach or overloaded"
    )]
    NoConnection(#[source] DbErr),
    /// A pooler hands the prepared statements of one client to another.
    #[error(
        "a connection pooler mixes up prepared statements; PgBouncer in transaction mode must be 1.21 or newer, with max_prepared_statements above 0"
    )]
    Pooler(#[source] DbErr),
    /// The database refuses the connection.
    #[error("{what}")]
    Refused {
        /// What is wrong and what to do.
        what: &'static str,
        /// What the database says.
        #[source]
        source: DbErr,
    },
}

impl StoreError {
    /// Makes an error that says what was to be done.
    pub fn of(operation: &'static str) -> impl FnOnce(DbErr) -> Self {
        move |source| match cause(&source) {
            Some(Cause::Full) => Self::Full(source),
            Some(Cause::Disk) => Self::Disk(source),
            Some(Cause::ReadOnly) => Self::ReadOnly(source),
            Some(Cause::NoConnection) => Self::NoConnection(source),
            Some(Cause::Pooler) => Self::Pooler(source),
            None => Self::Database { operation, source },
        }
    }

    /// Whether nothing can be stored until the operator has done something about the machine.
    #[must_use]
    pub fn needs_operator(&self) -> bool {
        matches!(self, Self::Full(_) | Self::Disk(_) | Self::ReadOnly(_))
    }

    /// Whether the same may succeed a little later: the database was away, overloaded, or two writers met.
    #[must_use]
    pub fn passes_by_itself(&self) -> bool {
        match self {
            // A standby may be the primary in a moment.
            Self::Unreachable(_) | Self::NoConnection(_) | Self::ReadOnly(_) => true,
            Self::Database { source, .. } | Self::Refused { source, .. } => is_passing(source),
            Self::Url(_)
            | Self::Corrupt { .. }
            | Self::LeaseLost
            | Self::Full(_)
            | Self::Disk(_)
            | Self::Pooler(_) => false,
        }
    }

    /// Whether two writers were in each other's way (40P01, 40001): nothing was written, and the same can be done again at
    /// once.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        let code = self.code();
        code.is_some_and(|code| matches!(code.as_str(), "40P01" | "40001"))
    }

    /// The code with which the database refused what a row holds; none when it failed in another way. Another row may
    /// well be written.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        self.code().filter(|code| is_refusing_code(code))
    }

    /// The code of the database.
    fn code(&self) -> Option<String> {
        let Self::Database { source, .. } = self else {
            return None;
        };
        let (DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error))) = source
        else {
            return None;
        };
        Some(error.as_database_error()?.code()?.into_owned())
    }

    /// Whether a unique key was taken already.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::Database { source, .. } if matches!(source.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))))
    }
}

/// What the database says of the values of a row: PostgreSQL's classes 22 (data), 23 (integrity), 44 (views) and 54 (too
/// long for an index), and what a trigger raises (P0001); SQLite's constraints (19), with their extended forms in the low
/// byte.
fn is_refusing_code(code: &str) -> bool {
    let of_sqlite = code.len() < 5 && code.parse::<u32>().is_ok_and(|code| code & 0xff == 19);
    of_sqlite
        || code == "P0001"
        || ["22", "23", "44", "54"]
            .iter()
            .any(|class| code.len() == 5 && code.starts_with(class))
}

fn is_passing(error: &DbErr) -> bool {
    match error {
        DbErr::Conn(_) | DbErr::ConnectionAcquire(_) => true,
        DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error)) => {
            match &**error {
                sqlx::Error::Io(_)
                | sqlx::Error::Tls(_)
                | sqlx::Error::Protocol(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed => true,
                sqlx::Error::Database(error) => {
                    error.code().is_some_and(|code| is_passing_code(&code))
                }
                _ => false,
            }
        }
        _ => false,
    }
}

/// PostgreSQL: connection lost (class 08), shutting down (57P), too many connections (53300), lock and statement timeouts (55P03, 57014), serialization failure and
/// deadlock (40). SQLite: busy (5) and locked (6), with their extended forms in the low byte.
fn is_passing_code(code: &str) -> bool {
    let of_sqlite = code.len() < 5
        && code
            .parse::<u32>()
            .is_ok_and(|code| matches!(code & 0xff, 5 | 6));
    of_sqlite
        || matches!(code, "53300" | "55P03" | "57014")
        || ["08", "57P", "40"]
            .iter()
            .any(|class| code.len() == 5 && code.starts_with(class))
}

/// Causes that the operator has to know of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Full,
    Disk,
    ReadOnly,
    NoConnection,
    Pooler,
}

fn cause(error: &DbErr) -> Option<Cause> {
    if matches!(error, DbErr::ConnectionAcquire(_)) {
        return Some(Cause::NoConnection);
    }
    match sqlx_error(error)? {
        sqlx::Error::PoolTimedOut => Some(Cause::NoConnection),
        sqlx::Error::Database(error) => cause_of_code(&error.code()?),
        _ => None,
    }
}

/// PostgreSQL's codes have five characters; SQLite's are numbers, the kind of error in the low byte.
fn cause_of_code(code: &str) -> Option<Cause> {
    if code.len() == 5 {
        return match code {
            "53100" => Some(Cause::Full),
            "58030" => Some(Cause::Disk),
            "25006" => Some(Cause::ReadOnly),
            // A statement that was never prepared, and one that was prepared already.
            "26000" | "42P05" => Some(Cause::Pooler),
            _ => None,
        };
    }
    match code.parse::<u32>().ok()? & 0xff {
        13 => Some(Cause::Full),
        10 => Some(Cause::Disk),
        8 => Some(Cause::ReadOnly),
        _ => None,
    }
}

/// What the driver said.
pub(crate) fn sqlx_error(error: &DbErr) -> Option<&sqlx::Error> {
    match error {
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => Some(error),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_pass_by_itself_is_tried_again() {
        for code in [
            "40001", "40P01", "57P01", "08006", "53300", "55P03", "57014", "5", "517", "6",
        ] {
            assert!(is_passing_code(code), "{code}");
        }
        for code in ["23505", "42703", "22001", "2067", "1"] {
            assert!(!is_passing_code(code), "{code}");
        }
    }

    #[test]
    fn only_what_a_row_holds_is_refused() {
        for code in [
            "23505", "23514", "22021", "P0001", "44000", "19", "2067", "1811",
        ] {
            assert!(is_refusing_code(code), "{code}");
        }
        for code in ["40P01", "42703", "53100", "57014", "5", "13"] {
            assert!(!is_refusing_code(code), "{code}");
        }
    }

    #[test]
    fn what_the_operator_must_know_is_told_by_its_code() {
        for (code, cause) in [
            ("13", Some(Cause::Full)),
            ("53100", Some(Cause::Full)),
            ("778", Some(Cause::Disk)),
            ("58030", Some(Cause::Disk)),
            ("8", Some(Cause::ReadOnly)),
            ("25006", Some(Cause::ReadOnly)),
            ("26000", Some(Cause::Pooler)),
            ("42P05", Some(Cause::Pooler)),
            ("23505", None),
            ("2067", None),
            ("5", None),
        ] {
            assert_eq!(cause_of_code(code), cause, "{code}");
        }
    }
}
