//! The objects of the schema, each around what the store has.

pub(crate) mod change;
pub(crate) mod check;
pub(crate) mod credential;
pub(crate) mod enums;
pub(crate) mod event;
pub(crate) mod hold;
pub(crate) mod integration;
pub(crate) mod link;
pub(crate) mod membership;
pub(crate) mod node;
pub(crate) mod organization;
pub(crate) mod permission;
pub(crate) mod problem;
pub(crate) mod readiness;
pub(crate) mod reference;
pub(crate) mod rules;
pub(crate) mod run;
pub(crate) mod schedule;
pub(crate) mod service;
pub(crate) mod setup;
pub(crate) mod sign_in;
pub(crate) mod summary;
pub(crate) mod team;
pub(crate) mod team_rules;
pub(crate) mod user;
pub(crate) mod user_hold;
