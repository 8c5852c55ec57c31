//! Why there is no connection: in words, with the setting and the remedy.

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::{self, ConnectOptions as _};
use sea_orm::{ConnAcquireErr, DbErr, RuntimeErr};

use crate::StoreError;
use crate::error::sqlx_error;

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Whether the address of a server can be read. A pool would repeat one that cannot, with its password.
pub(crate) fn check(url: &str) -> Result<(), StoreError> {
    match PgConnectOptions::from_str(url) {
        Ok(_) => Ok(()),
        Err(error) => Err(explain(DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error))))),
    }
}

/// Says why a pool could not connect.
///
/// A pool tries again until its time is up, and then tells only that; one more attempt without it tells what is wrong.
pub(crate) async fn failure(url: &str, error: DbErr) -> StoreError {
    let timed_out = matches!(sqlx_error(&error), Some(sqlx::Error::PoolTimedOut))
        || matches!(error, DbErr::ConnectionAcquire(ConnAcquireErr::Timeout));
    if !timed_out {
        return explain(error);
    }
    match attempt(url).await {
        Err(error) => error,
        Ok(()) => StoreError::NoConnection(error),
    }
}

/// Connects once to a PostgreSQL server, and lets go.
pub(crate) async fn attempt(url: &str) -> Result<(), StoreError> {
    let connect = async {
        let connection = PgConnectOptions::from_str(url)?
            .extra_float_digits(None)
            .disable_statement_logging()
            .connect()
            .await?;
        sqlx::Connection::close(connection).await
    };
    match tokio::time::timeout(ATTEMPT, connect).await {
        Ok(outcome) => {
            outcome.map_err(|error| explain(DbErr::Conn(RuntimeErr::SqlxError(Arc::new(error)))))
        }
        Err(_) => Err(StoreError::Unreachable(DbErr::Conn(RuntimeErr::Internal(
            format!("no answer within {} seconds", ATTEMPT.as_secs()),
        )))),
    }
}

/// Finds the remedy.
pub(crate) fn explain(source: DbErr) -> StoreError {
    let what = match sqlx_error(&source) {
        Some(sqlx::Error::Configuration(_)) => {
            return StoreError::Url(
                "it cannot be read; in a user or a password, @ : / ? # are written as %40 %3A %2F %3F %23",
            );
        }
        Some(sqlx::Error::Database(error)) => error.code().and_then(|code| remedy(&code)),
        Some(sqlx::Error::Tls(_)) => Some(
            "the database and this machine do not agree on TLS; see sslmode and sslrootcert in LOCKSTEP_DATABASE_URL",
        ),
        _ => None,
    };
    match what {
        Some(what) => StoreError::Refused { what, source },
        None => StoreError::Unreachable(source),
    }
}

/// What to do about a refusal: by PostgreSQL's codes of five characters, or SQLite's numbers with the kind of error in the
/// low byte.
fn remedy(code: &str) -> Option<&'static str> {
    if code.len() == 5 {
        return Some(match code {
            "28P01" | "28000" => {
                "the database refuses the sign-in; check user and password in LOCKSTEP_DATABASE_URL"
            }
            "3D000" => {
                "the server has no database of that name; create it, or name another in LOCKSTEP_DATABASE_URL"
            }
            "42501" => {
                "the user in LOCKSTEP_DATABASE_URL may not connect to that database; grant it CONNECT"
            }
            "53300" => {
                "the database has no connection left; raise its max_connections, or put PgBouncer in front of it"
            }
            "57P03" => "the database is starting up or shutting down; try again in a moment",
            "08P01" => {
                "the database refuses how it is asked for a connection; behind PgBouncer, leave options out of LOCKSTEP_DATABASE_URL and PGOPTIONS"
            }
            _ => return None,
        });
    }
    Some(match code.parse::<u32>().ok()? & 0xff {
        14 => {
            "the SQLite file cannot be opened; LOCKSTEP_DATABASE_URL must name a file that this user may read and write, in a folder that is there and that they may write"
        }
        26 | 11 => {
            "the file that LOCKSTEP_DATABASE_URL names is no SQLite database, or is damaged; name another, or restore a backup"
        }
        8 => "the SQLite file cannot be written by this user; see its owner and mode",
        10 => {
            "the SQLite file cannot be read or written; look at the disk, its space and its limits"
        }
        13 => "the disk of the SQLite file is full; free or add space",
        5 | 6 => "the SQLite file is in use by another program; end that, or wait for it",
        _ => return None,
    })
}
