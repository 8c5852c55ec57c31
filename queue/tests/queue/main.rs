//! The queue and the bus against a real Redis, and the same within the process.

#![expect(
    clippy::unwrap_used,
    reason = "a test may, and clippy sees only the test functions themselves as tests"
)]

mod bus;
mod delivery;
mod fixture;
mod outage;
