//! The sandbox as its clients meet it: real servers, real HTTP.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on shall stop where it stands"
)]

mod batches;
mod client;
mod control;
mod deltas;
mod faults;
mod groups;
mod lists;
mod owners;
mod scale;
mod tokens;
