//! From the directory into the organization.

pub mod desired;
pub mod users;
