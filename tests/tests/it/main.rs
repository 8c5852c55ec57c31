//! The whole application in tests: a real database, the sandbox over HTTP, the real worker.
//!
//! One binary, because each links everything. A test that runs over both databases is written once, see
//! [`world::both`].

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on stops, and says where"
)]

mod addresses;
mod manager_teams;
mod meanwhile;
mod provider;
mod set_up;
mod team_crashes;
mod team_laws;
mod team_reading;
mod team_safety;
mod team_world;
mod teams;
mod tenants;
mod world;

mod crashes;
mod directory;
mod failures;
mod front;
mod holds;
mod leases;
mod marking;
mod misled;
mod newcomer;
mod people;
mod plans;
mod pooled;
mod private;
mod process;
mod refusals;
mod runs;
mod schema;
mod search;
mod sign_in;
mod words;
