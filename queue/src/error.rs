//! What can go wrong with the queue.

use std::time::Duration;

/// An error of the queue. None of them means that work is lost: the rows are still there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueueError {
    /// The address is not one of a queue. Its text is left out because it may hold a password.
    #[error(
        "LOCKSTEP_QUEUE_URL is not the address of a queue ({reason}); set it to memory: for one process, or to \
         redis://[user:password@]host:6379 or rediss://… (TLS) for several"
    )]
    Address {
        /// What is wrong with the address.
        reason: &'static str,
    },
    /// Redis did not answer when the process started.
    #[error(
        "could not reach Redis at {address}; check that it runs, that this machine may connect to it, and that \
         LOCKSTEP_QUEUE_URL is right"
    )]
    Unreachable {
        /// Host and port, without name and password.
        address: String,
        /// What the connection said.
        #[source]
        source: redis::RedisError,
    },
    /// Redis refused or failed a command, for instance because its memory is full.
    #[error("the queue could not {operation}")]
    Unavailable {
        /// What was to be done.
        operation: &'static str,
        /// What the connection or the backend said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The queue did not answer in time.
    #[error("the queue did not {operation} within {after:?}")]
    TimedOut {
        /// What was to be done.
        operation: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// The workers ended although nobody asked them to.
    #[error(
        "the workers of the queue ended without having been told to; the process should be restarted"
    )]
    WorkersEnded,
}
