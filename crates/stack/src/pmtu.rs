//! What is known of the largest packet that reaches each destination (RFC 1191, RFC 8201).
//!
//! Only believed reports come here: a connection has checked that the quoted segment is in flight (RFC 5927 7.2). An
//! entry lowers the MTU for ten minutes and is then forgotten, so that a path that got wider is found again. The
//! table is bounded; when it is full the entry that would be forgotten soonest makes room.
//!
//! Nothing walks over the connections of a destination: the stack raises a generation when an entry
//! changes, and each connection compares before it sends.

use crate::aging::AgingMap;
use crate::keyed::Key;
use core::net::IpAddr;
use core::time::Duration;
use handwave_tcp::Instant;

/// The smallest path MTU believed over IPv4, as Linux has it: below that a report is more likely an attack
/// (CVE-2019-11479) than a link [RFC7323-30].
pub const IPV4_MTU_MIN: u16 = 552;
/// The smallest path MTU of IPv6 (RFC 8200 5).
pub const IPV6_MTU_MIN: u16 = 1_280;

#[derive(Clone, Copy, Debug)]
struct Entry {
    mtu: u16,
    expires: Instant,
}

/// Destination to path MTU.
#[derive(Debug)]
pub(crate) struct PmtuCache {
    entries: AgingMap<IpAddr, Entry>,
    entries_max: usize,
    lifetime: Duration,
}

/// The floor below which no report takes the path MTU to `destination`.
pub(crate) fn mtu_floor(destination: IpAddr) -> u16 {
    match destination {
        IpAddr::V4(_) => IPV4_MTU_MIN,
        IpAddr::V6(_) => IPV6_MTU_MIN,
    }
}

impl PmtuCache {
    pub(crate) fn new(key: Key, entries_max: usize, lifetime: Duration) -> Self {
        Self {
            entries: AgingMap::new(key),
            entries_max,
            lifetime,
        }
    }

    /// The path MTU to `destination`, if it is known to be smaller than the link's.
    pub(crate) fn find(&self, destination: IpAddr) -> Option<u16> {
        self.entries.get(&destination).map(|entry| entry.mtu)
    }

    /// Notes a report; returns whether anything changed.
    ///
    /// `current` is the path MTU believed so far: a report that does not lower it is stale or forged (RFC 8201 4).
    pub(crate) fn reduce(
        &mut self,
        now: Instant,
        destination: IpAddr,
        reported: u16,
        current: u16,
    ) -> bool {
        let mtu = reported.max(mtu_floor(destination));
        if mtu >= current || self.entries_max == 0 {
            return false;
        }
        if self.entries.get(&destination).is_none() && self.entries.len() >= self.entries_max {
            self.entries.pop_oldest();
        }
        self.entries.insert(
            destination,
            Entry {
                mtu,
                expires: now + self.lifetime,
            },
        );
        true
    }

    /// When the next entry is forgotten.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        // All live equally long, so the oldest goes first.
        self.entries.oldest().map(|(_, entry)| entry.expires)
    }

    /// Forgets what has expired; returns whether anything did.
    pub(crate) fn expire(&mut self, now: Instant) -> bool {
        let mut changed = false;
        while self.next_deadline().is_some_and(|expires| expires <= now) {
            changed |= self.entries.pop_oldest().is_some();
        }
        changed
    }

    /// How many destinations are known.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::PmtuCache;
    use crate::keyed::Key;
    use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    use core::time::Duration;
    use handwave_tcp::Instant;

    const LIFETIME: Duration = Duration::from_secs(600);

    fn cache(entries_max: usize) -> PmtuCache {
        PmtuCache::new(Key::derive(&[0; 16], b"pmtu"), entries_max, LIFETIME)
    }

    fn host(n: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, n).into()
    }

    #[test]
    fn a_report_only_lowers_and_never_below_the_floor() {
        let mut cache = cache(8);
        assert!(!cache.reduce(Instant::ZERO, host(1), 1_500, 1_500));
        assert!(cache.reduce(Instant::ZERO, host(1), 1_400, 1_500));
        assert!(!cache.reduce(Instant::ZERO, host(1), 1_450, 1_400));
        assert_eq!(cache.find(host(1)), Some(1_400));
        assert!(cache.reduce(Instant::ZERO, host(1), 68, 1_400));
        assert_eq!(cache.find(host(1)), Some(super::IPV4_MTU_MIN));
        let v6 = IpAddr::from(Ipv6Addr::LOCALHOST);
        assert!(cache.reduce(Instant::ZERO, v6, 600, 1_500));
        assert_eq!(cache.find(v6), Some(super::IPV6_MTU_MIN));
    }

    #[test]
    fn what_was_learnt_last_lives_ten_minutes() {
        let mut cache = cache(8);
        cache.reduce(Instant::ZERO, host(1), 1_400, 1_500);
        cache.reduce(Instant::from_secs(300), host(1), 1_300, 1_400);
        assert!(
            !cache.expire(Instant::from_secs(600)),
            "the later report counts"
        );
        assert_eq!(cache.find(host(1)), Some(1_300));
        assert!(cache.expire(Instant::from_secs(900)));
        assert_eq!(cache.find(host(1)), None);
        assert_eq!(cache.next_deadline(), None);
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut cache = cache(2);
        for n in 1..=3 {
            cache.reduce(Instant::from_secs(u64::from(n)), host(n), 1_400, 1_500);
        }
        assert_eq!(cache.find(host(1)), None);
        assert_eq!(
            (cache.find(host(2)), cache.find(host(3))),
            (Some(1_400), Some(1_400))
        );
        assert_eq!(cache.len(), 2);
    }
}
