//! From the directory into the organization.

pub mod desired;
pub mod memberships;
pub mod names;
pub mod parting;
pub mod reach;
pub mod selection;
pub mod surroundings;
pub mod teams;
pub mod users;

#[cfg(test)]
mod laws;
