//! Where half-open records lie: one allocation for many, found by hash, linked into queues by index.
//!
//! Addresses are most of a record, so each IP version has a table of its own. All that a record costs is in
//! [`Record`] and four octets of hash table (five with hashbrown's tag, at a load of 7/16 to 7/8): its place in the timer queue and
//! among the records to send are links in the record itself.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::ops::{Deref, DerefMut};
use core::time::Duration;

use handwave_wire::SeqNum;
use hashbrown::HashTable;

use crate::time::Instant;
use crate::tuple::{Endpoint, Tuple};
use crate::tuple_hash::TupleHash;

/// The end of a list.
const NONE: u32 = u32::MAX;
/// What times that need not be exact are counted in.
const STEP: Duration = Duration::from_millis(16);
/// Records that are allocated together.
const CHUNK: usize = 64;

/// The numbers of a tuple, as short as its IP version allows.
pub(super) trait Key: Copy + Eq {
    fn hash(&self, key: &TupleHash) -> u64;
    fn tuple(&self) -> Tuple;
}

/// Local address, remote address, and the local port above the remote one, in words that need no more alignment than the rest of
/// a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct KeyOf<const WORDS: usize>([u32; WORDS]);

pub(super) type KeyV4 = KeyOf<3>;
pub(super) type KeyV6 = KeyOf<9>;

/// Two ports in a word.
fn join_ports(tuple: &Tuple) -> u32 {
    u32::from(tuple.local.port) << 16 | u32::from(tuple.remote.port)
}

/// A tuple of two addresses and two ports in a word.
#[expect(clippy::cast_possible_truncation, reason = "the two halves")]
const fn tuple_of(local: IpAddr, remote: IpAddr, ports: u32) -> Tuple {
    Tuple::new(
        Endpoint::new(local, (ports >> 16) as u16),
        Endpoint::new(remote, ports as u16),
    )
}

/// A word of two.
fn wide(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

impl KeyV4 {
    fn new(local: Ipv4Addr, remote: Ipv4Addr, tuple: &Tuple) -> Self {
        Self([local.to_bits(), remote.to_bits(), join_ports(tuple)])
    }
}

impl Key for KeyV4 {
    #[inline]
    fn hash(&self, key: &TupleHash) -> u64 {
        let [local, remote, ports] = self.0;
        key.words([[wide(local, remote), ports.into()]])
    }

    #[inline]
    fn tuple(&self) -> Tuple {
        let [local, remote, ports] = self.0;
        let [local, remote] = [local, remote].map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits)));
        tuple_of(local, remote, ports)
    }
}

impl KeyV6 {
    fn new(local: Ipv6Addr, remote: Ipv6Addr, tuple: &Tuple) -> Self {
        let [[a, b, c, d], [e, f, g, h]] = [local, remote].map(|addr| {
            let octets = addr.octets();
            let (words, _) = octets.as_chunks::<4>();
            [words[0], words[1], words[2], words[3]].map(u32::from_be_bytes)
        });
        Self([a, b, c, d, e, f, g, h, join_ports(tuple)])
    }
}

impl Key for KeyV6 {
    fn hash(&self, key: &TupleHash) -> u64 {
        let [a, b, c, d, e, f, g, h, ports] = self.0;
        let (local, remote) = ([wide(a, b), wide(c, d)], [wide(e, f), wide(g, h)]);
        key.words([local, remote, [ports.into(), 0]])
    }

    fn tuple(&self) -> Tuple {
        let [a, b, c, d, e, f, g, h, ports] = self.0;
        let [local, remote] = [[a, b, c, d], [e, f, g, h]].map(|[a, b, c, d]| {
            let bits = u128::from(wide(a, b)) << 64 | u128::from(wide(c, d));
            IpAddr::V6(Ipv6Addr::from_bits(bits))
        });
        tuple_of(local, remote, ports)
    }
}

/// A tuple by its IP version.
pub(super) enum AnyKey {
    V4(KeyV4),
    V6(KeyV6),
}

impl From<&Tuple> for AnyKey {
    #[inline]
    fn from(tuple: &Tuple) -> Self {
        match (tuple.local.addr, tuple.remote.addr) {
            (IpAddr::V4(local), IpAddr::V4(remote)) => Self::V4(KeyV4::new(local, remote, tuple)),
            (local, remote) => {
                let wide = |addr| match addr {
                    IpAddr::V4(addr) => addr.to_ipv6_mapped(),
                    IpAddr::V6(addr) => addr,
                };
                Self::V6(KeyV6::new(wide(local), wide(remote), tuple))
            }
        }
    }
}

/// What is kept of a half-open connection. What the listener's configuration or its secrets give again is not in it.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Kept {
    pub(in super::super) iss: SeqNum,
    pub(in super::super) irs: SeqNum,
    /// TSval of the SYN, to be echoed.
    pub(in super::super) ts_recent: u32,
    /// What is added to the clock for timestamps on this tuple: a hash that is not computed again for each segment.
    pub(super) offset: u32,
    /// When the SYN arrived, before the first SYN+ACK; afterwards when the next one is due.
    due: [u32; 2],
    pub(super) mss: u16,
    /// 0 if the SYN named none.
    pub(super) peer_mss: u16,
    pub(in super::super) peer_window: u16,
    /// When a repeated SYN was last answered, in [`STEP`]s, modulo 2^16; 0 for never.
    repeated: u16,
    /// SYN+ACKs sent because of time: the first, and one for each timeout.
    pub(in super::super) sent: u8,
    pub(super) options: u8,
    pub(super) flags: u8,
}

/// A half-open connection as it lies in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<K> {
    pub(super) key: K,
    kept: Kept,
    prev: u32,
    /// The next in the timer queue, or of the free records.
    next: u32,
}

impl<K> Deref for Record<K> {
    type Target = Kept;

    fn deref(&self) -> &Kept {
        &self.kept
    }
}

impl<K> DerefMut for Record<K> {
    fn deref_mut(&mut self) -> &mut Kept {
        &mut self.kept
    }
}

impl Kept {
    pub(in super::super) fn due(&self) -> Instant {
        let [high, low] = self.due;
        Instant::from_nanos(u64::from(high) << 32 | u64::from(low))
    }

    #[expect(clippy::cast_possible_truncation, reason = "the halves of a u64")]
    pub(super) fn set_due(&mut self, due: Instant) {
        let nanos = due.as_nanos();
        self.due = [(nanos >> 32) as u32, nanos as u32];
    }

    /// Whether a repeated SYN may be answered: the last one that was is `interval` ago.
    pub(super) fn may_repeat(&mut self, now: Instant, interval: Duration) -> bool {
        #[expect(clippy::cast_possible_truncation, reason = "modulo 2^16")]
        let steps = |nanos: u128| (nanos / STEP.as_nanos()) as u16;
        let now = steps(now.as_nanos().into()).max(1);
        let passed = now.wrapping_sub(self.repeated);
        if self.repeated != 0 && passed < steps(interval.as_nanos()) {
            return false;
        }
        self.repeated = now;
        true
    }

    pub(super) const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(super) const fn set(&mut self, flag: u8) {
        self.flags |= flag;
    }

    /// Clears a flag; returns whether it was set.
    pub(super) const fn take(&mut self, flag: u8) -> bool {
        let was = self.has(flag);
        self.flags &= !flag;
        was
    }
}

/// Bits of [`Record::flags`].
pub(super) mod flag {
    /// A SYN+ACK had to be sent again, for whatever reason.
    pub(in super::super) const RESENT: u8 = 1;
    /// The SYN+ACK to send is the first one or due to a timeout.
    pub(in super::super) const RETRY: u8 = 1 << 1;
    /// A SYN+ACK is to be sent.
    pub(in super::super) const SYN_ACK: u8 = 1 << 2;
    /// A bare acknowledgment is to be sent.
    pub(in super::super) const ACK: u8 = 1 << 3;
    /// In the list of records to send.
    pub(super) const READY: u8 = 1 << 4;
    /// Removed; it may still have to leave that list.
    pub(super) const DEAD: u8 = 1 << 5;
    /// In a timer queue.
    pub(super) const TIMED: u8 = 1 << 6;
    /// Counted against the budget of its source.
    pub(in super::super) const COUNTED: u8 = 1 << 7;
}

/// The ends of a list.
#[derive(Clone, Copy, Debug)]
struct Ends {
    first: u32,
    last: u32,
}

const EMPTY: Ends = Ends {
    first: NONE,
    last: NONE,
};

/// All records of one IP version.
#[derive(Debug)]
pub(super) struct Table<K> {
    hash_key: TupleHash,
    chunks: Vec<Vec<Record<K>>>,
    index: HashTable<u32>,
    free: u32,
    /// The records to send. It is as long as so many are at a time, so no record pays for a place in it.
    ready: VecDeque<u32>,
    /// One queue for each number of SYN+ACKs sent. All in one queue wait equally long, so each is in order of deadline.
    waiting: Vec<Ends>,
    dead: usize,
}

impl<K: Key> Table<K> {
    pub(super) fn new(hash_key: TupleHash, levels: usize) -> Self {
        Self {
            hash_key,
            chunks: Vec::new(),
            index: HashTable::new(),
            free: NONE,
            ready: VecDeque::new(),
            waiting: alloc::vec![EMPTY; levels],
            dead: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// Slots in use: records, and those removed that wait to leave the list of records to send.
    pub(super) fn occupied(&self) -> usize {
        self.index.len() + self.dead
    }

    /// Octets of memory taken from the allocator.
    pub(super) fn memory(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<Record<K>>()
            + self.index.allocation_size()
            + self.ready.capacity() * size_of::<u32>()
    }

    fn hash(&self, key: &K) -> u64 {
        key.hash(&self.hash_key)
    }

    #[inline(always)]
    pub(super) fn find(&self, key: &K) -> Option<u32> {
        if self.index.is_empty() {
            return None;
        }
        let matches = |slot: &u32| self.at(*slot).key == *key;
        self.index.find(self.hash(key), matches).copied()
    }

    /// The same where it is seldom asked.
    pub(super) fn look_up(&self, key: &K) -> Option<u32> {
        self.find(key)
    }

    pub(super) fn at(&self, slot: u32) -> &Record<K> {
        &self.chunks[slot as usize / CHUNK][slot as usize % CHUNK]
    }

    pub(super) fn at_mut(&mut self, slot: u32) -> &mut Record<K> {
        &mut self.chunks[slot as usize / CHUNK][slot as usize % CHUNK]
    }

    /// The record at a place, to look at. The outer `None` says that there is no such place, the inner one that nothing stands
    /// there.
    pub(super) fn place(&self, slot: u32) -> Option<Option<&Record<K>>> {
        let chunk = self.chunks.get(slot as usize / CHUNK)?;
        let record = chunk.get(slot as usize % CHUNK)?;
        Some(Some(record).filter(|record| !record.has(flag::DEAD)))
    }

    /// Adds a record whose tuple has none.
    pub(super) fn insert(&mut self, record: Record<K>) -> u32 {
        let hash = self.hash(&record.key);
        let slot = self.allocate(record);
        let (key, chunks) = (self.hash_key, &self.chunks);
        let rehash = |slot: &u32| {
            let record = &chunks[*slot as usize / CHUNK][*slot as usize % CHUNK];
            record.key.hash(&key)
        };
        self.index.insert_unique(hash, slot, rehash);
        slot
    }

    fn allocate(&mut self, record: Record<K>) -> u32 {
        if self.free != NONE {
            let slot = self.free;
            self.free = self.at(slot).next;
            *self.at_mut(slot) = record;
            return slot;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let before = (self.chunks.len() - 1) * CHUNK;
        let Some(chunk) = self.chunks.last_mut() else {
            return NONE;
        };
        chunk.push(record);
        u32::try_from(before + chunk.len() - 1).unwrap_or(NONE)
    }

    /// Takes a record out and returns a copy of it.
    pub(super) fn remove(&mut self, slot: u32) -> Record<K> {
        let record = *self.at(slot);
        self.discard(slot);
        record
    }

    /// Takes a record out.
    pub(super) fn discard(&mut self, slot: u32) {
        self.unlink_timer(slot);
        let hash = self.hash(&self.at(slot).key);
        if let Ok(entry) = self.index.find_entry(hash, |found| *found == slot) {
            entry.remove();
        }
        if self.at(slot).has(flag::READY) {
            self.at_mut(slot).set(flag::DEAD);
            self.dead += 1;
        } else {
            self.release(slot);
        }
    }

    fn release(&mut self, slot: u32) {
        let free = core::mem::replace(&mut self.free, slot);
        let record = self.at_mut(slot);
        record.set(flag::DEAD);
        record.next = free;
    }

    /// Puts a record into the list of those to send, unless it is there.
    pub(super) fn push_ready(&mut self, slot: u32) {
        let record = self.at_mut(slot);
        if record.has(flag::READY) {
            return;
        }
        record.set(flag::READY);
        self.ready.push_back(slot);
    }

    /// Whether any record may be to send.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The record that has waited longest to send.
    pub(super) fn pop_ready(&mut self) -> Option<u32> {
        while let Some(slot) = self.ready.pop_front() {
            let record = self.at_mut(slot);
            record.take(flag::READY);
            if !record.has(flag::DEAD) {
                return Some(slot);
            }
            self.dead -= 1;
            self.release(slot);
        }
        None
    }

    /// Puts a record at the end of the timer queue of its level, which is one less than the SYN+ACKs it has `sent`.
    pub(super) fn push_timer(&mut self, slot: u32) {
        let level = level(self.at(slot));
        let Some(ends) = self.waiting.get_mut(level) else {
            return;
        };
        let last = core::mem::replace(&mut ends.last, slot);
        if last == NONE {
            ends.first = slot;
        }
        let record = self.at_mut(slot);
        record.set(flag::TIMED);
        (record.prev, record.next) = (last, NONE);
        if last != NONE {
            self.at_mut(last).next = slot;
        }
    }

    /// Puts a record that waits for its timer at the end of its queue, due at `due`.
    pub(super) fn restart_timer(&mut self, slot: u32, due: Instant) {
        if self.at(slot).has(flag::TIMED) {
            self.unlink_timer(slot);
            self.at_mut(slot).set_due(due);
            self.push_timer(slot);
        }
    }

    #[inline]
    fn unlink_timer(&mut self, slot: u32) {
        let record = self.at_mut(slot);
        if !record.take(flag::TIMED) {
            return;
        }
        let (level, prev, next) = (level(record), record.prev, record.next);
        if prev != NONE {
            self.at_mut(prev).next = next;
        }
        if next != NONE {
            self.at_mut(next).prev = prev;
        }
        if let Some(ends) = self.waiting.get_mut(level) {
            if prev == NONE {
                ends.first = next;
            }
            if next == NONE {
                ends.last = prev;
            }
        }
    }

    /// The earliest deadline of any record.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let fronts = self.waiting.iter().filter(|ends| ends.first != NONE);
        fronts.map(|ends| self.at(ends.first).due()).min()
    }

    /// Takes a record that is due out of its timer queue.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<u32> {
        let is_due = |ends: &&Ends| ends.first != NONE && self.at(ends.first).due() <= now;
        let slot = self.waiting.iter().find(is_due)?.first;
        self.unlink_timer(slot);
        Some(slot)
    }
}

fn level<K>(record: &Record<K>) -> usize {
    usize::from(record.sent).saturating_sub(1)
}

impl<K> Record<K> {
    /// A record in no list.
    pub(super) const fn new(key: K, kept: Kept) -> Self {
        Self {
            key,
            kept,
            prev: NONE,
            next: NONE,
        }
    }
}

impl Kept {
    /// Numbers of a SYN that has just arrived; the rest is none.
    pub(super) const fn new(iss: SeqNum, irs: SeqNum) -> Self {
        Self {
            iss,
            irs,
            ts_recent: 0,
            offset: 0,
            due: [0; 2],
            mss: 0,
            peer_mss: 0,
            peer_window: 0,
            repeated: 0,
            sent: 0,
            options: 0,
            flags: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    use super::{AnyKey, Key, KeyV4, KeyV6, Record};
    use crate::tuple::{Endpoint, Tuple};

    /// A slot of the hash table at its worst load, 7/16: just after growing.
    const HASH_SLOT: usize = (5 * 16_usize).div_ceil(7);

    #[test]
    fn a_half_open_connection_stays_small() {
        let (v4, v6) = (size_of::<Record<KeyV4>>(), size_of::<Record<KeyV6>>());
        std::println!("IPv4 {v4} + {HASH_SLOT}, IPv6 {v6} + {HASH_SLOT} octets");
        assert_eq!((v4, v6), (56, 80));
        assert!(v6 + HASH_SLOT <= 96, "budget of an IPv6 record, all in");
        assert!(v4 + 5 * 8 / 7 < 64, "aim for IPv4 at full load");
    }

    #[test]
    fn keys_give_their_tuples_again() {
        let v4 = [0x0a01_0203, 0xc000_02ff].map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits)));
        let v6 = [0x2001_0db8_0123_4567_89ab_cdef_0246_8ace, 0xfe80 << 112 | 7]
            .map(|bits| IpAddr::V6(Ipv6Addr::from_bits(bits)));
        for [local, remote] in [v4, v6] {
            let tuple = Tuple::new(Endpoint::new(local, 0x1234), Endpoint::new(remote, 0xfedc));
            let again = match AnyKey::from(&tuple) {
                AnyKey::V4(key) => key.tuple(),
                AnyKey::V6(key) => key.tuple(),
            };
            assert_eq!(again, tuple);
        }
    }
}
