//! What the integration tests stand on: real servers and the real binary.
//!
//! * [`postgres`], [`pgbouncer`] and [`redis`] start servers from the installed binaries, on free ports of
//!   127.0.0.1, and end them with the test process, however it ends.
//! * [`smtp`] is a mail server inside the test that keeps what it receives.
//! * [`process`] starts the `lockstep` binary, reads its output and sends it signals.
//! * [`http`] sends GraphQL requests.
//! * [`clients`] are a browser and GraphQL clients in Python and JavaScript.
//!
//! A server that is not installed is an error that says what to install. No test is skipped for it.

mod account;
pub mod clients;
mod error;
pub mod http;
pub mod pgbouncer;
mod ports;
pub mod postgres;
pub mod process;
mod programs;
pub mod redis;
mod server;
mod signal;
pub mod smtp;
pub mod wait;
mod watchdog;

pub use error::SupportError;
pub use signal::Signal;
