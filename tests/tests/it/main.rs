//! The whole application in tests: a real database, the sandbox over HTTP, the real worker.
//!
//! One binary, because each links everything. A test that runs over both databases is written once, see
//! [`world::both`].

mod world;

mod crashes;
mod directory;
mod failures;
mod process;
mod runs;
mod schema;
