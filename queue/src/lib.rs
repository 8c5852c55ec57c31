//! What can be queued, the apalis backends and the progress bus.
//!
//! The rows of the database are the truth; what travels here is only "look at this row" (a wake-up) and "this row
//! has changed" (a signal). Both may come late, twice or never, and nothing is lost: whoever is woken claims the
//! row first, and the scheduler and the readers look at the rows again after a while.
//!
//! - [`Queue`] sends wake-ups, [`work`] hands them to a [`Handler`].
//! - [`Bus`] carries signals from those who change rows to those who show them.
//!
//! Everything that names a type of apalis is in `backend.rs`.

mod backend;
mod bus;
mod bus_redis;
mod desk;
mod error;
mod housekeeping;
mod letter;
mod link;
mod queue;
mod work;

pub use bus::{Bus, Signal, SignalStream};
pub use error::QueueError;
pub use queue::Queue;
pub use work::{Handler, WorkOptions, work};
