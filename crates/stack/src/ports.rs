//! Ephemeral ports that an outsider cannot guess (RFC 6056 3.3.4, algorithm 4: double hash).
//!
//! A keyed hash of the addresses and the remote port gives where in the range a destination starts; another, which is the other
//! half of the same 64 bits, picks one of many counters, so that ports are handed out in sequence per group of destinations (which keeps a port
//! unused for as long as possible) while an outsider sees nothing of the sequence that others get.

use crate::keyed::Key;
use alloc::boxed::Box;
use core::net::IpAddr;
use handwave_tcp::{Endpoint, Tuple};

/// Counters shared by all destinations.
const COUNTERS: usize = 256;

/// The ports that the stack chooses from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PortRange {
    /// The first one.
    pub first: u16,
    /// The last one.
    pub last: u16,
}

/// The range that Linux uses.
impl Default for PortRange {
    fn default() -> Self {
        Self {
            first: 32_768,
            last: 60_999,
        }
    }
}

impl PortRange {
    fn len(self) -> u32 {
        u32::from(self.last).saturating_sub(u32::from(self.first)) + 1
    }
}

/// Hands out ephemeral ports.
#[derive(Debug)]
pub(crate) struct EphemeralPorts {
    range: PortRange,
    attempts_max: u32,
    key: Key,
    counters: Box<[u32; COUNTERS]>,
    /// The way that was asked about last, and its hash: a client's connections mostly go to one server.
    last: Option<(IpAddr, Endpoint, u64)>,
}

impl EphemeralPorts {
    /// Draws all that must not be guessed from `root`.
    pub(crate) fn new(range: PortRange, attempts_max: u32, root: &[u8; 16]) -> Self {
        let start = Key::derive(root, b"port counters");
        let mut counters = Box::new([0; COUNTERS]);
        for (n, counter) in (0u8..=255).zip(counters.iter_mut()) {
            *counter = fold(start.hash(&[n]));
        }
        Self {
            range,
            attempts_max,
            key: Key::derive(root, b"port offset"),
            counters,
            last: None,
        }
    }

    /// The hash of a way.
    #[inline]
    fn hash(&mut self, local: IpAddr, remote: Endpoint) -> u64 {
        match self.last {
            Some((from, to, hash)) if (from, to) == (local, remote) => hash,
            _ => {
                let way = Tuple::new(Endpoint::new(local, 0), remote);
                let hash = self.key.hash_tuple(&way);
                self.last = Some((local, remote, hash));
                hash
            }
        }
    }

    /// A port for a way from `local` to `remote` that `is_free` agrees to.
    ///
    /// Looks at each port of the range once at most, and at no more than the configured number of them.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "reduced modulo a range of 65,536 at most"
    )]
    pub(crate) fn pick(
        &mut self,
        local: IpAddr,
        remote: Endpoint,
        is_free: impl Fn(u16) -> bool,
    ) -> Option<u16> {
        let hash = self.hash(local, remote);
        let offset = fold(hash);
        let counter = &mut self.counters[(hash >> 32) as usize % COUNTERS];
        let len = self.range.len();
        for _ in 0..len.min(self.attempts_max) {
            let port = self.range.first + (offset.wrapping_add(*counter) % len) as u16;
            *counter = counter.wrapping_add(1);
            if port != 0 && is_free(port) {
                return Some(port);
            }
        }
        None
    }
}

fn fold(hash: u64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "any 32 bits of the hash do"
    )]
    let low = hash as u32;
    low
}

#[cfg(test)]
mod tests {
    use super::{EphemeralPorts, PortRange};
    use alloc::collections::BTreeSet;
    use core::net::{IpAddr, Ipv4Addr};
    use handwave_tcp::Endpoint;

    const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

    fn remote(n: u8) -> Endpoint {
        Endpoint::new(Ipv4Addr::new(192, 0, 2, n).into(), 443)
    }

    #[test]
    fn hands_out_each_port_of_the_range_once_before_any_again() {
        let range = PortRange {
            first: 50_000,
            last: 50_099,
        };
        let mut ports = EphemeralPorts::new(range, u32::MAX, &[3; 16]);
        let mut taken = BTreeSet::new();
        for _ in 0..100 {
            let port = ports
                .pick(LOCAL, remote(1), |port| !taken.contains(&port))
                .unwrap();
            assert!((50_000..=50_099).contains(&port));
            assert!(taken.insert(port));
        }
        assert_eq!(
            ports.pick(LOCAL, remote(1), |port| !taken.contains(&port)),
            None
        );
        // Another destination is another tuple.
        assert!(ports.pick(LOCAL, remote(2), |_| true).is_some());
    }

    #[test]
    fn the_search_is_bounded() {
        let mut ports = EphemeralPorts::new(PortRange::default(), 10, &[3; 16]);
        let looked = core::cell::Cell::new(0);
        let refuse = |_| {
            looked.set(looked.get() + 1);
            false
        };
        assert_eq!(ports.pick(LOCAL, remote(1), refuse), None);
        assert_eq!(looked.get(), 10);
    }

    #[test]
    fn the_key_decides_and_destinations_start_apart() {
        let first = |root: u8, to: u8| {
            EphemeralPorts::new(PortRange::default(), u32::MAX, &[root; 16]).pick(
                LOCAL,
                remote(to),
                |_| true,
            )
        };
        assert_eq!(first(1, 1), first(1, 1));
        assert_ne!(first(1, 1), first(2, 1));
        assert_ne!(first(1, 1), first(1, 2));
    }

    #[test]
    fn a_range_of_one_port_works() {
        let mut ports = EphemeralPorts::new(
            PortRange {
                first: 65_535,
                last: 65_535,
            },
            u32::MAX,
            &[3; 16],
        );
        assert_eq!(ports.pick(LOCAL, remote(1), |_| true), Some(65_535));
        assert_eq!(ports.pick(LOCAL, remote(1), |_| true), Some(65_535));
    }
}
