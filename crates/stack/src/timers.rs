//! The timer wheel: O(1) to arm, O(1) to cancel, no cost for those that wait.
//!
//! Deadlines are rounded up to a tick of one microsecond, so nothing fires early. Level 0 has a bucket for each of
//! the next 64 ticks, level 1 a bucket for each of the next 64 groups of 64 ticks, and so on: a deadline lives at the
//! level of the highest digit (base 64) in which it differs from the wheel's position. When the wheel
//! reaches a bucket of a higher level its entries move down, at most [`LEVELS`] times in an entry's life.
//!
//! Entries are intrusive: a key is an index into the owner's own table, an entry costs 16 octets, and
//! a bucket is a doubly linked list through them.
//!
//! **Lazy re-arming.** Most deadlines of a connection only move later (each ACK restarts the retransmission timer).
//! [`TimerWheel::arm`] leaves an entry where it is when the new deadline is not earlier; when the entry fires, the
//! owner looks at the real deadline and arms again. The price is a wake-up that finds nothing to do.

use alloc::boxed::Box;
use alloc::vec::Vec;
use handwave_tcp::Instant;

/// Levels of 64 buckets: as many as there are digits in the last tick of an [`Instant`], so that it does not matter where a clock
/// begins.
const LEVELS: u32 = 10;
const BITS: u32 = 6;
const BUCKETS: usize = 1 << BITS;
const NANOS_PER_TICK: u64 = 1_000;
const _: () = assert!((u64::MAX / NANOS_PER_TICK + 1) >> (BITS * LEVELS) == 0);

/// The end of a list.
const NONE: u32 = u32::MAX;
/// Set in `prev` of the first entry of a bucket; the other bits name the bucket.
const HEAD: u32 = 1 << 31;
/// `prev` of an entry that is not armed.
const IDLE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// In ticks: when this entry leaves its bucket for good.
    due: u64,
    prev: u32,
    next: u32,
}

const UNARMED: Entry = Entry {
    due: 0,
    prev: IDLE,
    next: NONE,
};

#[derive(Clone, Copy, Debug)]
struct Bucket {
    first: u32,
    /// A lower bound of `due` of the entries: exact unless the earliest was cancelled.
    due_min: u64,
}

const EMPTY: Bucket = Bucket {
    first: NONE,
    due_min: u64::MAX,
};

/// One hierarchical wheel over keys `0..2^31`.
#[derive(Debug)]
pub(crate) struct TimerWheel {
    entries: Vec<Entry>,
    buckets: Box<[[Bucket; BUCKETS]; LEVELS as usize]>,
    /// A bit for each bucket that is not empty.
    occupied: [u64; LEVELS as usize],
    /// A bit for each level with such a bucket.
    levels: u32,
    /// The tick that the wheel stands at: everything due at or before it has been handed out or is in `expired`.
    position: u64,
    /// Entries that are due: a list of its own, so that a caller may arm and cancel while it takes them.
    expired: u32,
    armed: usize,
}

/// The bucket number that stands for the list of expired entries.
const EXPIRED: u32 = LEVELS << BITS;

impl TimerWheel {
    /// Keys that there is made room for at a time.
    const STEP: usize = 64;
    /// Octets that a key takes.
    #[cfg(test)]
    pub(crate) const COST: usize = size_of::<Entry>();

    /// A wheel that stands at `now`.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            entries: Vec::new(),
            buckets: Box::new([[EMPTY; BUCKETS]; LEVELS as usize]),
            occupied: [0; LEVELS as usize],
            levels: 0,
            position: (now.as_nanos() / NANOS_PER_TICK),
            expired: NONE,
            armed: 0,
        }
    }

    /// Makes room for the keys below `capacity`.
    pub(crate) fn reserve(&mut self, capacity: usize) {
        self.entries.reserve(capacity);
    }

    /// How many entries are armed.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.armed
    }

    /// Sees to it that `key` fires at `deadline` or earlier.
    ///
    /// An entry that fires no later than `deadline` already stays where it is (lazy re-arming).
    pub(crate) fn arm(&mut self, key: u32, deadline: Instant) {
        let due = deadline.as_nanos().div_ceil(NANOS_PER_TICK);
        if self.entries.len() <= key as usize {
            let keys = (key as usize + 1).next_multiple_of(Self::STEP);
            self.entries.resize(keys, UNARMED);
        }
        let entry = self.entries[key as usize];
        if entry.prev != IDLE {
            if entry.due <= due {
                return;
            }
            self.unlink(key);
        }
        self.armed += 1;
        self.link(key, due);
    }

    /// Makes `key` fire at `deadline`, earlier or later than it would have.
    pub(crate) fn rearm(&mut self, key: u32, deadline: Instant) {
        self.cancel(key);
        self.arm(key, deadline);
    }

    /// When `key` fires, if it is armed.
    pub(crate) fn deadline(&self, key: u32) -> Option<Instant> {
        let entry = self.entries.get(key as usize)?;
        let due = Instant::from_nanos(entry.due.saturating_mul(NANOS_PER_TICK));
        (entry.prev != IDLE).then_some(due)
    }

    /// Looks at a key, to have it near.
    pub(crate) fn glance(&self, key: u32) -> u32 {
        self.entries.get(key as usize).map_or(0, |entry| entry.next)
    }

    /// Makes `key` fire no more.
    pub(crate) fn cancel(&mut self, key: u32) {
        if self
            .entries
            .get(key as usize)
            .is_some_and(|entry| entry.prev != IDLE)
        {
            self.unlink(key);
        }
    }

    /// When the wheel wants to be advanced: never later than the earliest deadline, and at it unless an entry
    /// was cancelled.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        if self.expired != NONE {
            return Some(Instant::from_nanos(
                self.position.saturating_mul(NANOS_PER_TICK),
            ));
        }
        let (level, bucket) = self.first_bucket()?;
        let due = self.buckets[level][bucket].due_min;
        Some(Instant::from_nanos(due.saturating_mul(NANOS_PER_TICK)))
    }

    /// Takes out one key whose time has come at `now`; call until `None`.
    ///
    /// Of a clock that was set back nothing is due before it is again where it has been: a key that is armed meanwhile would be handed out
    /// again and again.
    pub(crate) fn pop_expired(&mut self, now: Instant) -> Option<u32> {
        let now = now.as_nanos() / NANOS_PER_TICK;
        if now < self.position {
            return None;
        }
        while self.expired == NONE {
            let reached = self
                .first_bucket()
                .map(|(level, bucket)| (level, bucket, self.buckets[level][bucket].due_min))
                .filter(|(_, _, due)| *due <= now);
            let Some((level, bucket, due)) = reached else {
                self.advance(now);
                return None;
            };
            self.position = self.position.max(due);
            self.spread(level, bucket);
        }
        let key = self.expired;
        self.unlink(key);
        Some(key)
    }

    /// Moves the position to `now` when nothing is due until then.
    ///
    /// A bucket whose span `now` has entered is spread over the levels below, so that a bucket always lies ahead of
    /// the position and the order of levels stays the order of time.
    fn advance(&mut self, now: u64) {
        if now <= self.position {
            return;
        }
        self.position = now;
        // From the highest down: what is spread may belong into the bucket that is looked at next.
        let mut below = LEVELS;
        while let Some(level) = (self.levels & ((1 << below) - 1)).checked_ilog2() {
            let digit = digit(now, level);
            if level > 0 && (self.occupied[level as usize] >> digit) & 1 == 1 {
                self.spread(level as usize, digit as usize);
            }
            below = level;
        }
    }

    /// The first bucket that is not empty: entries of a lower level are always due before those of a higher one.
    fn first_bucket(&self) -> Option<(usize, usize)> {
        let level = (self.levels != 0).then(|| self.levels.trailing_zeros() as usize)?;
        // Buckets behind the position hold nothing, so the lowest bit is the next in time.
        Some((level, self.occupied[level].trailing_zeros() as usize))
    }

    /// Empties a bucket that the wheel has reached: entries move down or expire.
    fn spread(&mut self, level: usize, bucket: usize) {
        let mut key = self.buckets[level][bucket].first;
        self.buckets[level][bucket] = EMPTY;
        self.set_occupied(level, bucket, false);
        while key != NONE {
            let Entry { due, next, .. } = self.entries[key as usize];
            self.link(key, due);
            key = next;
        }
    }

    /// Puts an entry that is in no list where `due` belongs.
    fn link(&mut self, key: u32, due: u64) {
        let ahead = due ^ self.position;
        let number = if due <= self.position {
            EXPIRED
        } else {
            let level = (63 - ahead.leading_zeros()) / BITS;
            (level << BITS) + digit(due, level)
        };
        let first = self.first(number);
        self.entries[key as usize] = Entry {
            due,
            prev: HEAD | number,
            next: first,
        };
        if first != NONE {
            self.entries[first as usize].prev = key;
        }
        self.set_first(number, key);
        if number != EXPIRED {
            let bucket = &mut self.buckets[number as usize / BUCKETS][number as usize % BUCKETS];
            bucket.due_min = bucket.due_min.min(due);
        }
    }

    /// Takes an armed entry out of its list.
    fn unlink(&mut self, key: u32) {
        let Entry { prev, next, .. } = self.entries[key as usize];
        self.entries[key as usize] = UNARMED;
        self.armed -= 1;
        if prev & HEAD == 0 {
            self.entries[prev as usize].next = next;
        } else {
            self.set_first(prev & !HEAD, next);
        }
        if next != NONE {
            self.entries[next as usize].prev = prev;
        }
    }

    fn first(&self, number: u32) -> u32 {
        if number == EXPIRED {
            return self.expired;
        }
        self.buckets[number as usize / BUCKETS][number as usize % BUCKETS].first
    }

    fn set_first(&mut self, number: u32, key: u32) {
        if number == EXPIRED {
            self.expired = key;
            return;
        }
        let (level, index) = (number as usize / BUCKETS, number as usize % BUCKETS);
        let bucket = &mut self.buckets[level][index];
        bucket.first = key;
        if key == NONE {
            bucket.due_min = u64::MAX;
        }
        self.set_occupied(level, index, key != NONE);
    }

    fn set_occupied(&mut self, level: usize, bucket: usize, occupied: bool) {
        let bits = self.occupied[level] & !(1 << bucket) | u64::from(occupied) << bucket;
        self.occupied[level] = bits;
        self.levels = self.levels & !(1 << level) | u32::from(bits != 0) << level;
    }
}

/// The digit (base 64) of a tick at a level.
fn digit(tick: u64, level: u32) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "masked to 6 bits")]
    let digit = ((tick >> (level * BITS)) & (BUCKETS as u64 - 1)) as u32;
    digit
}

#[cfg(test)]
mod tests;
