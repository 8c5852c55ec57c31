//! The database tables as entities, one file a table.
//!
//! Columns that hold an enum hold its spelling; the crate `store` turns rows into domain types. What belongs to an
//! organization or an integration is looked for through the scoped finders alone.

pub mod connection_test;
pub mod credential;
pub mod directory_group;
pub mod directory_member;
pub mod directory_user;
pub mod dirty_key;
pub mod entitlement;
pub mod held_change;
pub mod hold;
pub mod idempotency_key;
pub mod integration;
pub mod membership;
pub mod organization;
pub mod platform_user;
pub mod read_seen;
pub mod rules_version;
pub mod run;
pub mod run_change;
pub mod sign_in_link;
pub mod sign_in_proposal;
pub mod team;
pub mod user_hold;
pub mod user_link;
