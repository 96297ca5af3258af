//! The budgets of single prefixes, in a table of fixed size.
//!
//! A prefix hashes, with a secret, to a set of eight places. A place is given to another prefix only once it says nothing: its
//! buckets are full again and it counts nothing. So nobody gains a fresh budget by pushing his own entry out, however many
//! addresses he forges. Prefixes that find their set taken share one bucket for SYNs, and are not counted otherwise: for an
//! honest one among them that means a cookie at worst.

use alloc::vec::Vec;
use core::net::IpAddr;

use super::limits::{Access, Limits, Standing};
use crate::rate::Bucket;
use crate::siphash::SipKey;
use crate::time::Instant;

/// Places of a set.
const WAYS: usize = 8;

/// A prefix and what it has used of its budgets.
#[derive(Clone, Copy, Debug, Default)]
struct Source {
    prefix: u128,
    syns: Bucket,
    handshakes: Bucket,
    half_open: u32,
    established: u32,
}

impl Source {
    /// Whether forgetting it would change nothing.
    fn is_idle(&self, now: Instant) -> bool {
        self.half_open == 0
            && self.established == 0
            && self.syns.is_full(now)
            && self.handshakes.is_full(now)
    }
}

/// What is found about a SYN or a completed handshake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Finding {
    /// Nothing speaks against it.
    #[default]
    Fine,
    /// An unverified budget is used up.
    OverUnverified(Budget),
    /// A verified budget is used up.
    OverVerified(Budget),
    /// The source is on the list of those denied.
    Denied,
}

/// A budget of [`Limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Budget {
    SynRate,
    HalfOpen,
    SynRateTotal,
    Established,
    EstablishedRate,
    EstablishedTotal,
}

/// The budgets of a listener's sources.
#[derive(Debug)]
pub(super) struct Sources {
    /// Any limit is set or any prefix listed: otherwise every SYN is fine.
    watches: bool,
    access: Access,
    key: SipKey,
    /// Sets of [`WAYS`], a power of two of them; empty if no budgets are kept.
    places: Vec<[Source; WAYS]>,
    /// One for each set: what those share who find no place in it.
    crowd: Vec<Bucket>,
    all_syns: Bucket,
    established: u32,
}

impl Sources {
    pub(super) fn new(limits: &Limits, key: &[u8; 16]) -> Self {
        let sets = if limits.keeps_budgets() {
            limits.sources_max.div_ceil(WAYS).next_power_of_two()
        } else {
            0
        };
        Self {
            watches: limits.keeps_count() || !(limits.allow.is_empty() && limits.deny.is_empty()),
            access: Access::new(limits),
            key: SipKey::new(key),
            places: alloc::vec![[Source::default(); WAYS]; sets],
            crowd: alloc::vec![Bucket::default(); sets],
            all_syns: Bucket::default(),
            established: 0,
        }
    }

    /// Whether anything is kept or looked at.
    #[inline]
    pub(super) fn watches(&self) -> bool {
        self.watches
    }

    /// Octets of memory of the table.
    pub(super) fn memory(&self) -> usize {
        self.places.len() * (size_of::<[Source; WAYS]>() + size_of::<Bucket>())
    }

    /// Charges a SYN to its source.
    #[inline]
    pub(super) fn on_syn(&mut self, limits: &Limits, addr: IpAddr, now: Instant) -> Finding {
        if !self.watches {
            return Finding::Fine;
        }
        self.charge_syn(limits, addr, now)
    }

    fn charge_syn(&mut self, limits: &Limits, addr: IpAddr, now: Instant) -> Finding {
        match self.access.standing(addr) {
            Some(Standing::Allowed) => return Finding::Fine,
            Some(Standing::Denied) => return Finding::Denied,
            None => {}
        }
        if let Some(over) = self.over_established(limits, addr) {
            return Finding::OverVerified(over);
        }
        if let Some(limit) = &limits.syn_rate_total
            && !self.all_syns.take(limit, now)
        {
            return Finding::OverUnverified(Budget::SynRateTotal);
        }
        let Some((set, place)) = self.claim(limits, addr, now) else {
            return Finding::Fine;
        };
        let (bucket, half_open) = match place {
            Some(place) => {
                let source = &mut self.places[set][place];
                (&mut source.syns, source.half_open)
            }
            None => (&mut self.crowd[set], 0),
        };
        if let Some(limit) = &limits.syn_rate
            && !bucket.take(limit, now)
        {
            return Finding::OverUnverified(Budget::SynRate);
        }
        if limits.half_open_max.is_some_and(|max| half_open >= max) {
            return Finding::OverUnverified(Budget::HalfOpen);
        }
        Finding::Fine
    }

    /// Charges a completed handshake to its source, if it may complete. The connection counts until
    /// [`on_end`](Self::on_end).
    #[inline]
    pub(super) fn on_handshake(&mut self, limits: &Limits, addr: IpAddr, now: Instant) -> Finding {
        if !self.watches {
            return Finding::Fine;
        }
        self.charge_handshake(limits, addr, now)
    }

    fn charge_handshake(&mut self, limits: &Limits, addr: IpAddr, now: Instant) -> Finding {
        match self.access.standing(addr) {
            Some(Standing::Denied) => return Finding::Denied,
            Some(Standing::Allowed) => {}
            None => {
                if let Some(over) = self.over_established(limits, addr) {
                    return Finding::OverVerified(over);
                }
                if let (Some(limit), Some((set, Some(place)))) =
                    (limits.established_rate, self.claim(limits, addr, now))
                    && !self.places[set][place].handshakes.take(&limit, now)
                {
                    return Finding::OverVerified(Budget::EstablishedRate);
                }
            }
        }
        if !limits.counts_connections() {
            return Finding::Fine;
        }
        self.established = self.established.saturating_add(1);
        if let Some((set, Some(place))) = self.claim(limits, addr, now) {
            self.places[set][place].established += 1;
        }
        Finding::Fine
    }

    /// A connection that was charged has ended.
    pub(super) fn on_end(&mut self, limits: &Limits, addr: IpAddr) {
        self.established = self.established.saturating_sub(1);
        if let Some(source) = self.find(limits, addr) {
            source.established = source.established.saturating_sub(1);
        }
    }

    /// Counts a half-open record; `false` if its source has no place in the table.
    pub(super) fn on_record(&mut self, limits: &Limits, addr: IpAddr, now: Instant) -> bool {
        let Some((set, Some(place))) = self.claim(limits, addr, now) else {
            return false;
        };
        self.places[set][place].half_open += 1;
        true
    }

    /// A half-open record that was counted is gone.
    pub(super) fn on_record_gone(&mut self, limits: &Limits, addr: IpAddr) {
        if let Some(source) = self.find(limits, addr) {
            source.half_open = source.half_open.saturating_sub(1);
        }
    }

    fn over_established(&mut self, limits: &Limits, addr: IpAddr) -> Option<Budget> {
        if limits
            .established_total_max
            .is_some_and(|max| self.established >= max)
        {
            return Some(Budget::EstablishedTotal);
        }
        let max = limits.established_max?;
        let source = self.find(limits, addr)?;
        (source.established >= max).then_some(Budget::Established)
    }

    fn set_of(&self, prefix: u128) -> Option<usize> {
        let mask = self.places.len().checked_sub(1)?;
        #[expect(clippy::cast_possible_truncation, reason = "any bits of the hash do")]
        let hash = self.key.bits(prefix) as usize;
        Some(hash & mask)
    }

    fn find(&mut self, limits: &Limits, addr: IpAddr) -> Option<&mut Source> {
        let prefix = limits.prefix_of(addr);
        let set = self.set_of(prefix)?;
        let mut places = self.places.get_mut(set)?.iter_mut();
        places.find(|source| source.prefix == prefix)
    }

    /// The set of a source and its place there, taken for it if one says nothing; `None` if no budgets are kept.
    fn claim(
        &mut self,
        limits: &Limits,
        addr: IpAddr,
        now: Instant,
    ) -> Option<(usize, Option<usize>)> {
        let prefix = limits.prefix_of(addr);
        let set = self.set_of(prefix)?;
        let places = self.places.get_mut(set)?;
        if let Some(place) = places.iter().position(|source| source.prefix == prefix) {
            return Some((set, Some(place)));
        }
        let place = places.iter().position(|source| source.is_idle(now));
        if let Some(source) = place.and_then(|place| places.get_mut(place)) {
            *source = Source {
                prefix,
                ..Source::default()
            };
        }
        Some((set, place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate::RateLimit;

    fn source(n: u32) -> IpAddr {
        core::net::Ipv4Addr::from_bits(n).into()
    }

    fn at(millis: u64) -> Instant {
        Instant::from_millis(millis)
    }

    const RATE: RateLimit = RateLimit {
        per_second: 1,
        burst: 3,
    };

    #[test]
    fn forging_other_addresses_does_not_give_a_source_its_budget_back() {
        let limits = Limits {
            syn_rate: Some(RATE),
            sources_max: 64,
            ..Limits::default()
        };
        let mut sources = Sources::new(&limits, &[1; 16]);
        let own = source(1);
        let mut admitted = 0;
        for round in 0..1_000_u32 {
            admitted += u32::from(sources.on_syn(&limits, own, at(0)) == Finding::Fine);
            for forged in 0..100 {
                sources.on_syn(&limits, source(2 + round * 100 + forged), at(0));
            }
        }
        assert_eq!(admitted, 3, "a burst, whatever was forged meanwhile");
        assert_eq!(sources.on_syn(&limits, own, at(1_000)), Finding::Fine);
    }

    #[test]
    fn counts_survive_any_number_of_other_sources() {
        let limits = Limits {
            established_max: Some(2),
            half_open_max: Some(1),
            sources_max: 8,
            ..Limits::default()
        };
        let mut sources = Sources::new(&limits, &[1; 16]);
        let own = source(1);
        for _ in 0..2 {
            assert_eq!(sources.on_handshake(&limits, own, at(0)), Finding::Fine);
        }
        assert!(sources.on_record(&limits, own, at(0)));
        for other in 2..1_000 {
            sources.on_syn(&limits, source(other), at(1));
            sources.on_record(&limits, source(other), at(1));
        }
        let over = Finding::OverVerified(Budget::Established);
        assert_eq!(sources.on_syn(&limits, own, at(2)), over);
        assert_eq!(sources.on_handshake(&limits, own, at(2)), over);
        sources.on_end(&limits, own);
        let half_open = Finding::OverUnverified(Budget::HalfOpen);
        assert_eq!(sources.on_syn(&limits, own, at(2)), half_open);
        sources.on_record_gone(&limits, own);
        assert_eq!(sources.on_syn(&limits, own, at(2)), Finding::Fine);
    }

    #[test]
    fn caps_of_all_sources_together() {
        let limits = Limits {
            established_total_max: Some(1),
            syn_rate_total: Some(RATE),
            allow: alloc::vec!["10.0.0.0/8".parse().unwrap()],
            ..Limits::default()
        };
        let mut sources = Sources::new(&limits, &[1; 16]);
        let verdicts: Vec<Finding> = (0..4)
            .map(|n| sources.on_syn(&limits, source(n), at(0)))
            .collect();
        assert_eq!(verdicts[..3], [Finding::Fine; 3]);
        assert_eq!(verdicts[3], Finding::OverUnverified(Budget::SynRateTotal));
        assert_eq!(
            sources.on_handshake(&limits, source(1), at(0)),
            Finding::Fine
        );
        let full = Finding::OverVerified(Budget::EstablishedTotal);
        assert_eq!(sources.on_handshake(&limits, source(2), at(0)), full);
        let allowed = [10, 1, 1, 1].into();
        assert_eq!(sources.on_syn(&limits, allowed, at(0)), Finding::Fine);
        assert_eq!(sources.on_handshake(&limits, allowed, at(0)), Finding::Fine);
        assert_eq!(sources.memory(), 0, "no budgets of single prefixes");
    }

    #[test]
    fn the_rate_of_handshakes_is_verified() {
        let limits = Limits {
            established_rate: Some(RATE),
            ..Limits::default()
        };
        let mut sources = Sources::new(&limits, &[1; 16]);
        for _ in 0..3 {
            assert_eq!(
                sources.on_handshake(&limits, source(1), at(0)),
                Finding::Fine
            );
        }
        let over = Finding::OverVerified(Budget::EstablishedRate);
        assert_eq!(sources.on_handshake(&limits, source(1), at(0)), over);
        assert_eq!(
            sources.on_handshake(&limits, source(2), at(0)),
            Finding::Fine
        );
    }
}
