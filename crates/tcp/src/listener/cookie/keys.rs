//! The keys of SYN cookies: which one is in force when, how they change, and how several nodes come to share them.
//!
//! Cookies count time in periods of one minute. A *root* is secret material that was handed in; from it one key is derived
//! for each *generation*, a fixed number of periods. Which key a cookie was made with follows from its period alone, so that
//! changing keys neither loses a cookie nor gives a forger a second key to try.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use siphasher::sip::SipHasher24;

use crate::siphash::SipKey;
use crate::time::Instant;

/// How long cookies name the same period.
pub(super) const PERIOD: Duration = Duration::from_secs(60);
/// Periods that one derived key is in force: an hour.
const ROTATION: u64 = 60;
/// Roots remembered: the one in force, the one before, and one handed in for the next period.
const ROOTS_MAX: usize = 3;

/// Keys of SYN cookies, shared by all listeners of a host.
///
/// Derived keys change by themselves every hour; the one before stays valid for as long as a cookie is. A program that can
/// draw entropy hands in new material with [`rotate`](Self::rotate) from time to time, since derived keys are no safer than
/// their root.
///
/// Several nodes that share an address complete each other's handshakes once they share keys and clock:
///
/// ```
/// use core::time::Duration;
/// use handwave_tcp::{CookieKeys, Instant, SharedCookieKeys};
///
/// let first = CookieKeys::new([7; 16]);
/// let octets = first.export(Instant::from_secs(1_000)).to_bytes();
/// // On another node, whose clock began elsewhere, 2 seconds later:
/// let shared = SharedCookieKeys::from_bytes(&octets).expect("octets of an export");
/// let mut second = CookieKeys::new([9; 16]);
/// second.import(Instant::from_secs(50), &shared, Duration::from_secs(2));
/// assert!(second.is_shared());
/// ```
#[derive(Clone)]
pub struct CookieKeys {
    /// Oldest first.
    roots: Vec<Root>,
    /// What the shared clock reads when this host's reads zero, in nanoseconds.
    ahead: i64,
    shared: bool,
    derived: [Option<Derived>; 2],
    /// The key asked for last, and the period it was for.
    last: Option<(u64, SipKey)>,
}

/// Material handed in, and the period from which it is in force.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Root {
    since: u64,
    key: [u8; 16],
}

/// A key derived from a root.
#[derive(Clone, Copy)]
struct Derived {
    root: Root,
    generation: u64,
    key: SipKey,
}

impl CookieKeys {
    /// Keys derived from `root`, in force from the start of the clock.
    #[must_use]
    pub fn new(root: [u8; 16]) -> Self {
        Self {
            roots: alloc::vec![Root {
                since: 0,
                key: root
            }],
            ahead: 0,
            shared: false,
            derived: [None; 2],
            last: None,
        }
    }

    /// Hands in new material, in force from the next period on; cookies made before stay valid for their time.
    ///
    /// The last three are remembered. Handing in more than one a period shortens the life of cookies under way.
    pub fn rotate(&mut self, now: Instant, root: [u8; 16]) {
        let since = self.period(now) + 1;
        self.roots.retain(|known| known.since < since);
        self.roots.push(Root { since, key: root });
        let surplus = self.roots.len().saturating_sub(ROOTS_MAX);
        self.roots.drain(..surplus);
        self.last = None;
    }

    /// What other nodes need to make and to check the same cookies.
    #[must_use]
    pub fn export(&self, now: Instant) -> SharedCookieKeys {
        SharedCookieKeys {
            clock: self.clock(now),
            roots: self.roots.clone(),
        }
    }

    /// Takes keys and clock over from another node; `since_export` is how long ago it exported them. An error of a few
    /// seconds is tolerated.
    pub fn import(&mut self, now: Instant, shared: &SharedCookieKeys, since_export: Duration) {
        let reads = i128::from(shared.clock) + i128::try_from(since_export.as_nanos()).unwrap_or(0);
        let ahead = reads - i128::from(now.as_nanos());
        self.ahead = i64::try_from(ahead).unwrap_or(i64::MAX);
        self.roots.clone_from(&shared.roots);
        self.shared = true;
        self.derived = [None; 2];
        self.last = None;
    }

    /// Whether the keys came from another node: then so may cookies.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        self.shared
    }

    /// What the clock that all nodes share reads, in nanoseconds.
    fn clock(&self, now: Instant) -> u64 {
        now.as_nanos().saturating_add_signed(self.ahead)
    }

    /// The period that `now` lies in.
    pub(super) fn period(&self, now: Instant) -> u64 {
        Duration::from_nanos(self.clock(now)).as_secs() / PERIOD.as_secs()
    }

    /// How long the current period has lasted.
    pub(super) fn since_period_began(&self, now: Instant) -> Duration {
        let start = self.period(now).saturating_mul(PERIOD.as_secs());
        Duration::from_nanos(self.clock(now)).saturating_sub(Duration::from_secs(start))
    }

    /// The key that cookies of `period` are made with; `None` if none was in force then.
    pub(super) fn key(&mut self, period: u64) -> Option<SipKey> {
        match self.last {
            Some((known, key)) if known == period => Some(key),
            _ => {
                let key = self.derived_key(period)?;
                self.last = Some((period, key));
                Some(key)
            }
        }
    }

    fn derived_key(&mut self, period: u64) -> Option<SipKey> {
        let root = *self.roots.iter().rev().find(|root| root.since <= period)?;
        let generation = period / ROTATION;
        let cached = &mut self.derived[usize::from(generation % 2 == 1)];
        if let Some(known) = cached
            && known.generation == generation
            && known.root == root
        {
            return Some(known.key);
        }
        let key = derive(&root.key, generation);
        *cached = Some(Derived {
            root,
            generation,
            key,
        });
        Some(key)
    }
}

/// The key of one generation.
fn derive(root: &[u8; 16], generation: u64) -> SipKey {
    let half = |label: u8| {
        let mut input = *b"SYN cookie ?........";
        input[11] = label;
        input[12..].copy_from_slice(&generation.to_le_bytes());
        SipHasher24::new_with_key(root).hash(&input)
    };
    SipKey::from_halves([half(b'0'), half(b'1')])
}

/// Says nothing about the keys.
impl fmt::Debug for CookieKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CookieKeys")
            .field("roots", &self.roots.len())
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}

/// Keys and clock of SYN cookies on their way from one node to others. Whoever reads them can forge handshakes.
#[derive(Clone, PartialEq, Eq)]
pub struct SharedCookieKeys {
    clock: u64,
    roots: Vec<Root>,
}

/// First octets of an export: what it is, and the version of its form.
const MAGIC: [u8; 4] = *b"HWC1";

impl SharedCookieKeys {
    /// As octets, to be carried over a channel that keeps them secret.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut octets = MAGIC.to_vec();
        octets.extend_from_slice(&self.clock.to_be_bytes());
        for root in &self.roots {
            octets.extend_from_slice(&root.since.to_be_bytes());
            octets.extend_from_slice(&root.key);
        }
        octets
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote; `None` if it is anything else.
    #[must_use]
    pub fn from_bytes(octets: &[u8]) -> Option<Self> {
        let (clock, roots) = octets.strip_prefix(&MAGIC)?.split_first_chunk::<8>()?;
        let (roots, rest) = roots.as_chunks::<24>();
        if !rest.is_empty() || roots.is_empty() || roots.len() > ROOTS_MAX {
            return None;
        }
        let root = |octets: &[u8; 24]| {
            let (since, key) = octets.split_first_chunk::<8>()?;
            Some(Root {
                since: u64::from_be_bytes(*since),
                key: key.try_into().ok()?,
            })
        };
        let roots: Vec<Root> = roots.iter().filter_map(root).collect();
        let in_order = roots.windows(2).all(|pair| pair[0].since < pair[1].since);
        in_order.then(|| Self {
            clock: u64::from_be_bytes(*clock),
            roots,
        })
    }
}

/// Says nothing about the keys.
impl fmt::Debug for SharedCookieKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedCookieKeys(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(keys: &mut CookieKeys, period: u64) -> Option<u64> {
        keys.key(period).map(|key| key.bits(7))
    }

    #[test]
    fn derived_keys_change_every_hour_and_the_last_stays_at_hand() {
        let mut keys = CookieKeys::new([1; 16]);
        let (before, after) = (probe(&mut keys, 59), probe(&mut keys, 60));
        assert_eq!(before, probe(&mut keys, 0));
        assert_ne!(before, after);
        assert_eq!(before, probe(&mut keys, 59), "the old one is still known");
    }

    #[test]
    fn material_handed_in_counts_from_the_next_period() {
        let mut keys = CookieKeys::new([1; 16]);
        let before = probe(&mut keys, 5);
        keys.rotate(Instant::from_secs(5 * 60 + 30), [2; 16]);
        assert_eq!(probe(&mut keys, 5), before);
        assert_ne!(probe(&mut keys, 6), before);
        assert_eq!(probe(&mut keys, 6), probe(&mut CookieKeys::new([2; 16]), 6));
        for minute in 6..10 {
            keys.rotate(Instant::from_secs(minute * 60), [3; 16]);
        }
        assert_eq!(keys.roots.len(), ROOTS_MAX);
        assert_eq!(probe(&mut keys, 5), None, "nobody remembers that key");
    }

    #[test]
    fn an_export_is_read_back_and_nothing_else_is() {
        let mut keys = CookieKeys::new([1; 16]);
        keys.rotate(Instant::from_secs(90), [2; 16]);
        let shared = keys.export(Instant::from_secs(100));
        let octets = shared.to_bytes();
        assert_eq!(SharedCookieKeys::from_bytes(&octets), Some(shared));
        assert_eq!(SharedCookieKeys::from_bytes(&octets[1..]), None);
        assert_eq!(
            SharedCookieKeys::from_bytes(&octets[..octets.len() - 1]),
            None
        );
        assert_eq!(SharedCookieKeys::from_bytes(&octets[..12]), None);
    }
}
