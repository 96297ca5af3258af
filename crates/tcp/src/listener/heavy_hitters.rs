//! Who sends most SYNs: the top prefixes in bounded memory (Space-Saving, Metwally et al. 2005), forgetting the past by halves.
//!
//! A prefix hashes to a set of eight counters. One that is not there takes over the least of them, and its count with it as the
//! error that its own may have. So a prefix that sends much is never missed, while each of many that send one SYN
//! is certain of no more than one.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use super::limits::{Limits, SourcePrefix};
use crate::time::Instant;
use crate::tuple_hash::TupleHash;

const SETS: usize = 16;
const WAYS: usize = 8;
/// After how long what was counted counts half.
const HALF_LIFE: Duration = Duration::from_secs(5);

/// The counters of some prefixes, each kind of field side by side: every SYN goes through all of them.
#[derive(Clone, Copy, Debug, Default)]
struct Set {
    prefixes: [u128; WAYS],
    counts: [u32; WAYS],
    /// Up to how much of each count may be another's.
    errors: [u32; WAYS],
}

impl Set {
    /// The counter of `prefix`.
    fn find(&self, prefix: u128) -> Option<usize> {
        let mut counters = self.prefixes.iter().zip(&self.counts);
        counters.position(|(known, count)| *known == prefix && *count > 0)
    }

    /// The first of the counters that say least.
    fn least(&self) -> usize {
        let ranked = self.counts.iter().zip(0_u64..);
        let ranked = ranked.map(|(count, place)| u64::from(*count) << 8 | place);
        usize::from(ranked.min().unwrap_or(0).to_le_bytes()[0]) % WAYS
    }
}

/// A prefix that sends many SYNs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TopSource {
    /// Whose SYNs they claim to be. Addresses of SYNs are easily forged.
    pub prefix: SourcePrefix,
    /// SYNs a second over the last few seconds.
    pub syns_per_second: f64,
}

/// Counts SYNs by prefix.
#[derive(Debug)]
pub(super) struct HeavyHitters {
    key: TupleHash,
    sets: Option<Box<[Set; SETS]>>,
    halved_at: Instant,
}

impl HeavyHitters {
    pub(super) fn new(key: &[u8; 16]) -> Self {
        Self {
            key: TupleHash::new(key),
            sets: None,
            halved_at: Instant::ZERO,
        }
    }

    /// Octets of memory of the counters.
    pub(super) fn memory(&self) -> usize {
        self.sets.as_ref().map_or(0, |_| size_of::<[Set; SETS]>())
    }

    /// Counts a SYN.
    pub(super) fn on_syn(&mut self, prefix: u128, now: Instant) {
        if now.is_after(self.halved_at, HALF_LIFE) {
            self.halve(now);
        }
        let hash = self.key.bits(prefix);
        let sets = self.sets.get_or_insert_default();
        let set = &mut sets[usize::from(hash.to_le_bytes()[0]) % SETS];
        let place = set.find(prefix).unwrap_or_else(|| {
            let place = set.least();
            set.prefixes[place] = prefix;
            set.errors[place] = set.counts[place];
            place
        });
        set.counts[place] = set.counts[place].saturating_add(1);
    }

    fn halve(&mut self, now: Instant) {
        let Some(sets) = &mut self.sets else {
            self.halved_at = now;
            return;
        };
        let times = (now - self.halved_at).as_nanos() / HALF_LIFE.as_nanos();
        let shift = u32::try_from(times).unwrap_or(31).min(31);
        for set in sets.iter_mut() {
            let counts = set.counts.iter_mut();
            counts.chain(&mut set.errors).for_each(|n| *n >>= shift);
        }
        self.halved_at = now;
    }

    /// The prefixes that certainly sent most, most first, no more than `max`.
    pub(super) fn top(&self, limits: &Limits, now: Instant, max: usize) -> Vec<TopSource> {
        let sets = self.sets.iter().flat_map(|sets| sets.iter());
        let mut certain: Vec<(u32, u128)> = sets
            .flat_map(|set| (0..WAYS).map(|n| (set.counts[n] - set.errors[n], set.prefixes[n])))
            .filter(|(count, _)| *count > 1)
            .collect();
        certain.sort_by(|a, b| b.cmp(a));
        certain.truncate(max);
        // What is left of a steady rate after halving is one half-life's worth.
        let since = now - self.halved_at;
        let halvings = since.as_secs_f64() / HALF_LIFE.as_secs_f64();
        let (span, fade) = if since < HALF_LIFE {
            ((HALF_LIFE + since).as_secs_f64(), 1.0)
        } else {
            // Nobody has sent since: what was counted fades as if it had been halved.
            (2.0 * HALF_LIFE.as_secs_f64(), power_of_half(halvings))
        };
        let shown = |(count, prefix)| TopSource {
            prefix: limits.shown(prefix),
            syns_per_second: f64::from(count) * fade / span,
        };
        certain.into_iter().map(shown).collect()
    }
}

/// 0.5 to the power of the whole part of `halvings`.
fn power_of_half(halvings: f64) -> f64 {
    let mut fade = 1.0;
    let mut left = halvings;
    while left >= 1.0 && fade > f64::EPSILON {
        fade /= 2.0;
        left -= 1.0;
    }
    fade
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(n: u32) -> u128 {
        core::net::Ipv4Addr::from_bits(n).to_ipv6_mapped().to_bits()
    }

    #[test]
    fn a_heavy_source_is_found_among_any_number_of_light_ones() {
        let (limits, mut hitters) = (Limits::default(), HeavyHitters::new(&[1; 16]));
        // 100,000 sources send one SYN each, three send 20, 10 and 5 in a hundred.
        let mut millis = 0;
        for n in 0..100_000_u32 {
            millis = u64::from(n / 10);
            let now = Instant::from_millis(millis);
            hitters.on_syn(prefix(1 << 24 | n), now);
            for (modulus, source) in [(5, 1), (10, 2), (20, 3)] {
                if n % modulus == 0 {
                    hitters.on_syn(prefix(source), now);
                }
            }
        }
        let top = hitters.top(&limits, Instant::from_millis(millis), 3);
        let names: Vec<_> = top.iter().map(|top| top.prefix.network()).collect();
        let expected = [1, 2, 3].map(|n: u8| core::net::IpAddr::from([0, 0, 0, n]));
        assert_eq!(names, expected, "{top:?}");
        for (found, sent) in top.iter().zip([2_000.0, 1_000.0, 500.0]) {
            let off = (found.syns_per_second - sent).abs() / sent;
            assert!(off < 0.35, "{found:?} instead of {sent}/s");
        }
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let (limits, mut hitters) = (Limits::default(), HeavyHitters::new(&[1; 16]));
        (0..1_000).for_each(|_| hitters.on_syn(prefix(7), Instant::from_secs(1)));
        let rate = |hitters: &HeavyHitters, secs| {
            let top = hitters.top(&limits, Instant::from_secs(secs), 1);
            top.first().map_or(0.0, |top| top.syns_per_second)
        };
        assert!(rate(&hitters, 2) > 100.0);
        assert!(rate(&hitters, 60) < 1.0);
        hitters.on_syn(prefix(8), Instant::from_secs(600));
        assert_eq!(hitters.top(&limits, Instant::from_secs(600), 9), []);
        assert!(hitters.memory() <= 4096);
    }
}
