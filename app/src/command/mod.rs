//! One file a command.

pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod keys;
pub(crate) mod migrate;
pub(crate) mod org;
pub(crate) mod sandbox;
pub(crate) mod schema;
pub(crate) mod serve;
pub(crate) mod token;
pub(crate) mod user;
