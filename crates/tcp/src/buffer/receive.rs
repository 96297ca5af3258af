//! The receive buffer: octets in order, ready to be read, and octets beyond a gap.
//!
//! What arrives is kept as the slices it came in, without copying, unless a slice is small: less than a quarter of
//! the memory it pins, or a neighbour of another small one. So what is [`held`](ReceiveBuffer::held) stays in
//! proportion to the octets whatever the peer sends, and [`reclaim`](ReceiveBuffer::reclaim) brings it down to little
//! more than the octets themselves.
//!
//! Where two segments disagree about the same octet, the one that came first counts.

mod assembler;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use bytes::Bytes;
use handwave_packet::{Payload, copy};
use handwave_wire::{SackBlocks, SeqNum};

use super::BufferPool;
use super::piece::{JOIN_MAX, OVERHEAD, Piece, compact};
use assembler::Assembler;

pub use assembler::RUNS_MAX;

/// Octets per piece when the buffer is compacted.
const COMPACT_OCTETS_MAX: usize = 65_536;
/// Room for so many pieces is kept where a store waits to be used again.
const PIECES_KEPT: usize = 512;

/// Octets that arrived and were not read yet.
///
/// Offsets of arriving octets count from `RCV.NXT`. An empty buffer owns no heap memory.
///
/// ```
/// use bytes::Bytes;
/// use handwave_packet::Payload;
/// use handwave_tcp::buffer::{BufferPool, ReceiveBuffer};
/// use handwave_wire::SeqNum;
///
/// let payload = |octets: &'static [u8]| Payload::from(Bytes::from_static(octets));
/// let (mut buffer, mut pool) = (ReceiveBuffer::default(), BufferPool::default());
/// assert_eq!(buffer.insert(7, payload(b"world"), 5, &mut pool), 0);
/// let sack = buffer.sack_blocks(SeqNum::new(1_000), 3);
/// assert_eq!((sack.as_slice()[0].left, sack.as_slice()[0].right), (SeqNum::new(1_007), SeqNum::new(1_012)));
///
/// assert_eq!(buffer.insert(0, payload(b"hello, "), 7, &mut pool), 12);
/// let mut read = [0; 100];
/// assert_eq!(buffer.read(&mut read, &mut pool), 12);
/// assert_eq!(&read[..12], b"hello, world");
/// ```
#[derive(Debug, Default)]
pub struct ReceiveBuffer {
    store: Option<Box<Store>>,
}

#[derive(Debug, Default)]
pub(super) struct Store {
    /// In order; adjacent small pieces are joined.
    ready: VecDeque<Piece>,
    ready_octets: usize,
    ready_held: usize,
    /// Position of `RCV.NXT` in the octets that passed through this store.
    next: u64,
    beyond: Assembler,
}

/// What comes in.
impl ReceiveBuffer {
    /// Stores octets that start `offset` octets after `RCV.NXT`; returns by how many `RCV.NXT` advances.
    ///
    /// `held` is the memory the payload keeps alive. The caller has trimmed the payload to the window. Octets that are
    /// there already are ignored. Octets beyond a gap are refused when there are [`RUNS_MAX`] gaps and these would make one
    /// more ([`refuses`](Self::refuses)); the peer sends them again. Costs O(log pieces), and O(1) for what comes in order.
    pub fn insert(
        &mut self,
        offset: usize,
        payload: Payload,
        held: usize,
        pool: &mut BufferPool,
    ) -> usize {
        if payload.is_empty() {
            return 0;
        }
        let store = self.store.get_or_insert_with(|| pool.take_store());
        let advance = store.insert(offset, payload, held, pool);
        self.release_if_empty(pool);
        advance
    }

    /// Frees memory until no more than `limit` bytes are held, as far as that is possible; returns the octets dropped.
    ///
    /// First all octets move to memory of just their size, if that frees a fifth or more; if it is not enough, octets beyond a
    /// gap are dropped ([`prune`](Self::prune)). Octets in order are never dropped: they were acknowledged. A peer that
    /// makes the connection come here with each segment pays for each move with a fifth of what is held, so the
    /// octets copied stay in proportion to the octets sent.
    pub fn reclaim(&mut self, limit: usize) -> usize {
        let Some(store) = &mut self.store else {
            return 0;
        };
        let held = store.held();
        if held <= limit {
            return 0;
        }
        if store.held_compact() <= held - held / 5 {
            store.collapse();
        }
        self.prune(limit)
    }

    /// Copies all octets to memory of just their size.
    pub fn collapse(&mut self) {
        if let Some(store) = &mut self.store {
            store.collapse();
        }
    }

    /// Drops octets beyond a gap, those farthest from `RCV.NXT` first, until no more than `limit` bytes are held or none
    /// are left; returns the octets dropped.
    ///
    /// The peer was told that they arrived (SACK) and will have to send them again: RFC 2018 section 8 permits that
    /// and discourages it, so this is for memory pressure [RFC2018-13].
    pub fn prune(&mut self, limit: usize) -> usize {
        let Some(store) = &mut self.store else {
            return 0;
        };
        let dropped = store.beyond.prune(limit.saturating_sub(store.ready_held));
        if store.is_empty() {
            self.store = None;
        }
        dropped
    }

    /// Drops everything: nobody is going to read it.
    pub fn discard(&mut self) {
        self.store = None;
    }

    fn release_if_empty(&mut self, pool: &mut BufferPool) {
        if let Some(store) = self.store.take_if(|store| store.is_empty()) {
            pool.put_store(store);
        }
    }
}

/// What the application takes out.
impl ReceiveBuffer {
    /// Moves octets to `into`; returns how many.
    pub fn read(&mut self, into: &mut [u8], pool: &mut BufferPool) -> usize {
        let Some(store) = &mut self.store else {
            return 0;
        };
        let octets = store.read(into);
        self.release_if_empty(pool);
        octets
    }

    /// Copies octets to `into` and leaves them in the buffer; returns how many.
    pub fn peek(&self, into: &mut [u8]) -> usize {
        self.store.as_ref().map_or(0, |store| store.peek(into))
    }

    /// Takes the octets that lie in one piece at the front, at most `max`, without copying; `None` if there are none.
    pub fn read_chunk(&mut self, max: usize, pool: &mut BufferPool) -> Option<Bytes> {
        let store = self.store.as_mut()?;
        let mut chunk = store.ready.front()?.bytes.clone();
        chunk.truncate(max);
        store.drop_front(chunk.len());
        self.release_if_empty(pool);
        (!chunk.is_empty()).then_some(chunk)
    }

    /// Moves the pieces at the front into `chunks` without copying; returns how many.
    pub fn read_chunks(&mut self, chunks: &mut [Bytes], pool: &mut BufferPool) -> usize {
        let Some(store) = self.store.as_mut() else {
            return 0;
        };
        let count = chunks.len().min(store.ready.len());
        for (chunk, piece) in chunks.iter_mut().zip(store.ready.drain(..count)) {
            store.ready_octets -= piece.len();
            store.ready_held -= piece.charge;
            *chunk = piece.bytes;
        }
        self.release_if_empty(pool);
        count
    }
}

/// What the connection asks.
impl ReceiveBuffer {
    /// Octets in order, ready to be read.
    #[must_use]
    pub fn len(&self) -> usize {
        self.store.as_ref().map_or(0, |store| store.ready_octets)
    }

    /// Whether nothing is ready to be read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Octets beyond a gap.
    #[must_use]
    pub fn out_of_order(&self) -> usize {
        self.store.as_ref().map_or(0, |store| store.beyond.octets())
    }

    /// Whether octets are missing before others that arrived.
    #[must_use]
    pub fn has_gap(&self) -> bool {
        self.out_of_order() > 0
    }

    /// Whether [`insert`](Self::insert) would refuse `len` octets at `offset`, because they would make one gap too many.
    #[must_use]
    pub fn refuses(&self, offset: usize, len: usize) -> bool {
        self.store.as_ref().is_some_and(|store| {
            let start = store.next + offset as u64;
            offset > 0 && store.beyond.refuses(start, start + len as u64)
        })
    }

    /// The first octets of `len` at `offset` that are held already, beyond a gap: where they start, and how many they are (RFC 2883 4).
    #[must_use]
    pub fn first_held(&self, offset: usize, len: usize) -> Option<(usize, usize)> {
        let store = self.store.as_ref()?;
        let start = store.next + offset as u64;
        let (from, to) = store.beyond.first_held(start, start + len as u64)?;
        Some((distance(store.next, from), distance(from, to)))
    }

    /// Bytes of memory charged: all that the slices keep alive, and the bookkeeping.
    #[must_use]
    pub fn held(&self) -> usize {
        self.store.as_ref().map_or(0, |store| store.held())
    }

    /// The SACK blocks to report, at most `max` (RFC 2018 section 4) [RFC2018-5] [RFC2018-6] [RFC2018-7].
    ///
    /// The first is the block that the last arriving octets belong to; then those reported most recently before; then
    /// others, from `RCV.NXT` upwards.
    #[must_use]
    pub fn sack_blocks(&self, rcv_nxt: SeqNum, max: usize) -> SackBlocks {
        self.store.as_ref().map_or_else(SackBlocks::new, |store| {
            store.beyond.sack_blocks(store.next, rcv_nxt, max)
        })
    }

    /// The same without the others: what is not among the last arrivals that are remembered goes unreported.
    #[must_use]
    pub(crate) fn newest_blocks(&self, rcv_nxt: SeqNum) -> SackBlocks {
        self.store.as_ref().map_or_else(SackBlocks::new, |store| {
            store.beyond.newest_blocks(store.next, rcv_nxt)
        })
    }
}

impl Store {
    fn is_empty(&self) -> bool {
        self.ready_octets == 0 && self.beyond.is_empty()
    }

    fn held(&self) -> usize {
        self.ready_held + self.beyond.held()
    }

    /// The most that is held after [`collapse`](Self::collapse).
    fn held_compact(&self) -> usize {
        let pieces = self.ready_octets.div_ceil(COMPACT_OCTETS_MAX);
        self.ready_octets + pieces * OVERHEAD + self.beyond.held_compact()
    }

    fn insert(
        &mut self,
        offset: usize,
        payload: Payload,
        held: usize,
        pool: &mut BufferPool,
    ) -> usize {
        let before = self.next;
        let start = before + offset as u64;
        let end = start + payload.len() as u64;
        if offset == 0 && !self.beyond.starts_before(end) {
            let mut payload = payload;
            self.push_all(&mut payload, held);
            pool.put_rope(payload);
            self.next = end;
        } else {
            self.beyond.insert(start, payload, held);
            if offset > 0 {
                self.beyond.note_arrival(start);
            }
        }
        if let Some(end) = self.beyond.take_run(self.next) {
            while let Some(piece) = self.beyond.pop_below(end) {
                self.push(piece);
            }
            self.next = end;
        }
        distance(before, self.next)
    }

    /// Takes over all pieces of a payload that keeps `held` bytes of memory alive.
    fn push_all(&mut self, payload: &mut Payload, held: usize) {
        let share = Share::of(payload, held);
        payload.drain(|bytes| {
            let pinned = share.of_octets(bytes.len());
            // Most are too long to be joined to what is there.
            let stays =
                bytes.len() > JOIN_MAX || self.ready.back().is_none_or(|last| !last.joins(&bytes));
            if stays && Piece::is_worth_keeping(&bytes, pinned) {
                // And are not moved once more.
                let charge = pinned + OVERHEAD;
                self.ready_octets += bytes.len();
                self.ready_held += charge;
                self.ready.push_back(Piece { bytes, charge });
            } else {
                self.push(Piece::new(bytes, pinned));
            }
        });
    }

    fn push(&mut self, piece: Piece) {
        self.ready_octets += piece.len();
        self.ready_held += piece.charge;
        match self.ready.back_mut() {
            Some(last) if last.joins(&piece.bytes) => {
                self.ready_held -= last.charge + piece.charge;
                last.join(&piece.bytes);
                self.ready_held += last.charge;
            }
            Some(_) | None => self.ready.push_back(piece),
        }
    }

    fn peek(&self, into: &mut [u8]) -> usize {
        let mut copied = 0;
        for piece in &self.ready {
            let room = &mut into[copied..];
            let octets = piece.len().min(room.len());
            if octets == 0 {
                break;
            }
            copy::copy(&piece.bytes[..octets], &mut room[..octets]);
            copied += octets;
        }
        copied
    }

    fn read(&mut self, into: &mut [u8]) -> usize {
        // Given up together, behind all copies: each reference waits for what has been written before it is dropped.
        let copied = self.peek(into);
        self.drop_front(copied);
        copied
    }

    /// Drops octets from the front; no more than there are.
    fn drop_front(&mut self, octets: usize) {
        self.ready_octets -= octets;
        let mut left = octets;
        while let Some(piece) = self.ready.front_mut() {
            if left < piece.len() {
                if left > 0 {
                    self.ready_held -= piece.charge;
                    piece.advance(left);
                    self.ready_held += piece.charge;
                }
                return;
            }
            left -= piece.len();
            self.ready_held -= piece.charge;
            self.ready.pop_front();
        }
    }

    /// Becomes as good as new, but for the room of its list of pieces.
    pub(super) fn empty(&mut self) {
        let mut ready = core::mem::take(&mut self.ready);
        ready.clear();
        ready.shrink_to(PIECES_KEPT);
        *self = Self {
            ready,
            ..Self::default()
        };
    }

    fn collapse(&mut self) {
        let compacted = compact(self.ready.iter(), self.ready_octets, COMPACT_OCTETS_MAX);
        self.ready = compacted.into();
        self.ready_held = self.ready.iter().map(|piece| piece.charge).sum();
        self.beyond.collapse();
    }
}

/// What each octet of a payload keeps alive of the memory that all of it does.
#[derive(Clone, Copy, Debug)]
struct Share {
    /// A fraction with [`FRACTION`](Self::FRACTION) bits, so that one division is enough for all pieces.
    per_octet: u64,
}

impl Share {
    const FRACTION: u32 = 16;

    fn of(payload: &Payload, held: usize) -> Self {
        let octets = payload.len().max(1) as u64;
        let per_octet = ((held as u64) << Self::FRACTION).div_ceil(octets);
        Self { per_octet }
    }

    /// What so many octets keep alive: themselves at least.
    fn of_octets(self, octets: usize) -> usize {
        let share = (octets as u64).saturating_mul(self.per_octet) >> Self::FRACTION;
        usize::try_from(share).unwrap_or(usize::MAX).max(octets)
    }
}

/// Octets from `from` to `to`, both in the buffer.
#[expect(
    clippy::cast_possible_truncation,
    reason = "both lie within a buffer in memory"
)]
fn distance(from: u64, to: u64) -> usize {
    (to - from) as usize
}
