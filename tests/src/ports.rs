//! Free ports for servers.

use std::{
    net::TcpListener,
    process,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::SupportError;

/// Below the range from which Linux takes the ports of outgoing connections (32768 and up): no
/// connection can occupy the port of a server that is down for a moment.
const FIRST: u16 = 15_000;
const COUNT: u16 = 16_000;

static TAKEN: AtomicU32 = AtomicU32::new(0);

/// Returns a port of 127.0.0.1 on which nothing listens; never the same one twice in a process.
pub(crate) fn free() -> Result<u16, SupportError> {
    // Test processes that start together should not walk over the same ports.
    let offset = process::id().wrapping_mul(101);
    (0..COUNT)
        .map(|_| offset.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed)) % u32::from(COUNT))
        .filter_map(|step| u16::try_from(step).ok())
        .map(|step| FIRST + step)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .ok_or(SupportError::NoPort {
            first: FIRST,
            last: FIRST + COUNT - 1,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_out_once() {
        assert_ne!(free().unwrap(), free().unwrap());
    }

    #[test]
    fn a_free_port_can_be_bound() {
        let port = free().unwrap();
        assert!(TcpListener::bind(("127.0.0.1", port)).is_ok());
    }
}
