//! The verbs of a sync as pure functions: what is wanted, what has to change, what must wait.
//!
//! Nothing here reads, writes, waits, logs or knows the time. The planners take plain structs and answer with
//! plain structs, so a rule can be read, tested and printed by itself.

pub mod guard;
pub mod held;
pub mod inbound;
pub mod ordering;
