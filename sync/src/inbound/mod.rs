//! From the directory into the organization.

pub mod desired;
pub mod surroundings;
pub mod users;
