//! Limits and patience of a client.

use std::{sync::Arc, time::Duration};

/// Limits and patience of a client. The defaults suit a background run.
#[derive(Clone)]
pub struct ClientOptions {
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest life of one request, body included. Delta pages take up to 30 s in big tenants.
    pub request_timeout: Duration,
    /// Longest silence inside a body.
    pub read_timeout: Duration,
    /// Longest life of one `$batch`, which holds up to 20 requests.
    pub batch_timeout: Duration,
    /// Largest body accepted, after decompression.
    pub max_body_bytes: usize,
    /// How long one request is repeated while Graph is out of order or unreachable.
    pub retry_budget: Duration,
    /// Longest `Retry-After` that is waited for; a longer one is the caller's to schedule.
    pub max_throttle_wait: Duration,
    /// Source of randomness for back-off, in `0.0..1.0`.
    pub jitter: Arc<dyn Fn() -> f64 + Send + Sync>,
    /// Who gives way when the tenant is near its limit.
    pub priority: Priority,
    /// Length of the steps between tries.
    pub waits: Waits,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(100),
            read_timeout: Duration::from_secs(30),
            batch_timeout: Duration::from_secs(120),
            max_body_bytes: 64 * 1024 * 1024,
            retry_budget: Duration::from_secs(30 * 60),
            max_throttle_wait: Duration::from_secs(15 * 60),
            jitter: Arc::new(chance),
            priority: Priority::Low,
            waits: Waits::default(),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the default of what tests pass in"
)]
fn chance() -> f64 {
    rand::random()
}

/// The value of `x-ms-throttle-priority`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Priority {
    /// For background work: throttled first.
    #[default]
    Low,
    /// For what a person waits for, such as a connection test.
    High,
}

impl Priority {
    pub(crate) const fn header(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::High => "high",
        }
    }
}

/// Length of the steps between tries, where the server does not name one. Each step doubles the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    /// First wait after a throttled answer without `Retry-After`.
    pub throttle_first: Duration,
    /// Longest wait after a throttled answer without `Retry-After`.
    pub throttle_longest: Duration,
    /// First wait after an outage.
    pub transient_first: Duration,
    /// Longest wait after an outage.
    pub transient_longest: Duration,
    /// Wait for a consent that is too young to be known everywhere.
    pub identity: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            throttle_first: Duration::from_secs(2),
            throttle_longest: Duration::from_secs(120),
            transient_first: Duration::from_secs(1),
            transient_longest: Duration::from_secs(60),
            identity: Duration::from_secs(15),
        }
    }
}
