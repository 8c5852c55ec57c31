//! The jobs: a run, a connection test, and the scheduler that wakes them.
//!
//! A run reads ([`inbound`]: fetch), decides (plan, guard) and writes (apply); each step is stored before the next
//! begins, so whoever takes a run up knows where it stands. The rules are not here but in the crate `sync`.

pub mod connection;
pub mod connection_test;
pub mod failure;
pub mod inbound;
mod permission;
pub mod run;
pub mod scheduler;

mod worker;

pub use worker::{Timing, Worker};
