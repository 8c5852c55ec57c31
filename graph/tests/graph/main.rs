//! The client against a server of our own, which answers as Graph and the login host do, or worse.

#[cfg(test)]
mod batches;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod paging;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tokens;
