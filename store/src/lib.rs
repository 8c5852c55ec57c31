//! The database as functions: domain types in and out.
//!
//! Each file is one noun. A function that writes takes a transaction or opens one, says what it wrote, and leaves
//! nothing half done. SQLite and PostgreSQL are served by the same code; where they differ, [`Store`] hides it.

mod above;
mod address;
mod column;
mod connect;
mod dependent;
mod error;
mod held;
mod limits;
mod look;
mod lookup;
mod outcome;
mod place;
mod search;
mod store;

pub mod apply;
pub mod change;
pub mod confirmation;
pub mod connection_test;
pub mod credential;
pub mod dirty;
pub mod finish;
pub mod group;
pub mod group_member;
pub mod guard;
pub mod history;
pub mod hold;
pub mod idempotency;
pub mod integration;
pub mod lease;
pub mod manager;
pub mod membership;
mod membership_apply;
pub mod mirror;
pub mod neighbourhood;
pub mod order;
pub mod organization;
pub mod page;
pub mod pause;
pub mod people_below;
pub mod person;
pub mod plan;
pub mod read;
pub mod request;
pub mod rules;
pub mod run;
mod run_tx;
pub mod schedule;
pub mod sign_in;
pub mod sign_in_proposal;
mod spread;
pub mod statistics;
pub mod team;
mod team_apply;
mod team_guard;
pub mod team_key;
pub mod team_name;
mod team_neighbourhood;
pub mod user;
pub mod user_by_hand;
pub mod user_hold;
pub mod user_list;
pub mod via_group;

pub use error::StoreError;
pub use lease::Lease;
pub use limits::Limits;
pub use look::sqlite_file;
pub use store::{Store, Tx};
