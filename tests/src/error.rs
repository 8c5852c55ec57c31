//! What can go wrong around a test, apart from the test.

use std::{error::Error, fmt, io, process::ExitStatus, time::Duration};

/// A server, a process or a request of the test infrastructure failed.
#[derive(thiserror::Error)]
pub enum SupportError {
    /// A server is not installed.
    #[error(
        "{program} was not found in {searched}; install it with `apt-get install {package}` \
         (Debian), with your system's package manager, or run scripts/servers.sh"
    )]
    Missing {
        /// The program that was looked for.
        program: &'static str,
        /// Where it was looked for.
        searched: &'static str,
        /// The Debian package that holds it.
        package: &'static str,
    },

    /// The operating system refused something.
    #[error("could not {operation}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },

    /// A program ended with an error.
    #[error("{program} failed ({status}):\n{output}")]
    Failed {
        /// The program.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// What it printed.
        output: String,
    },

    /// A server ended while the test was waiting for it to accept connections.
    #[error("{program} ended before it was ready ({status}):\n{log}")]
    Ended {
        /// The program.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The end of its log.
        log: String,
    },

    /// Something that was waited for did not happen.
    #[error("{what} did not happen within {within:?}; so far:\n{seen}")]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        within: Duration,
        /// What had been seen until then.
        seen: String,
    },

    /// PostgreSQL refuses to run as root, and there is no other account for it.
    #[error("PostgreSQL does not run as root, and there is no account `postgres` or `nobody`")]
    NoAccount,

    /// No port is free.
    #[error("no free port between {first} and {last}")]
    NoPort {
        /// The first port that was tried.
        first: u16,
        /// The last port that was tried.
        last: u16,
    },

    /// A database name that would need quoting.
    #[error("database names in tests are lower-case letters, digits and `_`, not {0:?}")]
    DatabaseName(String),

    /// A request got no usable answer.
    #[error("could not {operation}")]
    Http {
        /// What was tried.
        operation: &'static str,
        /// Why it failed.
        #[source]
        source: reqwest::Error,
    },
}

impl SupportError {
    /// Returns a function that puts `operation` in front of an I/O error.
    pub(crate) fn io(operation: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { operation, source }
    }

    /// Returns a function that puts `operation` in front of an HTTP error.
    pub(crate) fn http(operation: &'static str) -> impl FnOnce(reqwest::Error) -> Self {
        move |source| Self::Http { operation, source }
    }
}

/// The message and its causes, a line each: `unwrap` in a test shows this form, and a person reads it.
impl fmt::Debug for SupportError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")?;
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(formatter, "\n  because: {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_server_is_reported_with_what_to_install() {
        let error = SupportError::Missing {
            program: "redis-server",
            searched: "PATH",
            package: "redis-server",
        };
        assert!(format!("{error:?}").contains("`apt-get install redis-server`"));
    }

    #[test]
    fn debug_form_names_the_cause() {
        let error = SupportError::io("run psql")(io::ErrorKind::NotFound.into());
        let lines = "could not run psql\n  because: entity not found";
        assert_eq!(format!("{error:?}"), lines);
    }
}
