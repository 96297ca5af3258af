//! Memory that buffers have left behind, lent again without asking the allocator.
//!
//! An empty buffer owns nothing, so a connection whose buffers run empty between bursts, as most do, would come and go to
//! the allocator with each burst. The pool stands in between. What was left last is lent first: it is the most likely to be in
//! the processor's caches.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};
use handwave_packet::Payload;

use super::receive::Store;
use super::send::{CHUNK_MAX, CHUNK_MIN, Queue};

/// Sizes of chunks: the powers of two from [`CHUNK_MIN`] to [`CHUNK_MAX`].
const SIZES: usize = (CHUNK_MAX / CHUNK_MIN).ilog2() as usize + 1;
/// Most that is kept of each kind: 2 MiB of chunks and half as much of everything else.
const KEPT_MAX: usize = 16;
/// Octets of the chunk that small copies are cut from.
const COPIES: usize = 4_096;

/// What the buffers of one stack's connections lend each other. Bounded: what is left beyond the bounds is freed.
///
/// # Examples
///
/// ```
/// use handwave_tcp::buffer::{BufferPool, SendBuffer};
///
/// let mut pool = BufferPool::default();
/// for _ in 0..3 {
///     let mut buffer = SendBuffer::default();
///     buffer.write(&[7; 1_000], 1_000, &mut pool);
///     buffer.acknowledge(1_000, &mut pool);
/// }
/// assert_eq!(pool.chunks(), 1, "the same one served all three");
/// ```
#[derive(Debug, Default)]
#[expect(
    clippy::vec_box,
    reason = "a buffer owns a box, and it is the box that is lent"
)]
pub struct BufferPool {
    /// Whole chunks, by size.
    chunks: [Vec<BytesMut>; SIZES],
    queues: Vec<Box<Queue>>,
    stores: Vec<Box<Store>>,
    ropes: Vec<Payload>,
    /// Where small copies are put; what was cut off may still be in use.
    copies: BytesMut,
}

impl BufferPool {
    /// Chunks that wait to be lent.
    #[must_use]
    pub fn chunks(&self) -> usize {
        self.chunks.iter().map(Vec::len).sum()
    }

    /// An empty payload, with room for many pieces if there is one with such room.
    #[must_use]
    pub fn take_rope(&mut self) -> Payload {
        self.ropes.pop().unwrap_or_default()
    }

    /// Takes back an empty payload for the room that its list of pieces has.
    pub(super) fn put_rope(&mut self, rope: Payload) {
        debug_assert!(rope.is_empty(), "a rope is given back with pieces");
        if rope.has_room() && self.ropes.len() < KEPT_MAX {
            self.ropes.push(rope);
        }
    }

    /// An empty chunk with room for `size` octets.
    pub(super) fn take_chunk(&mut self, size: usize) -> BytesMut {
        let kept = class(size).and_then(|class| self.chunks[class].pop());
        kept.unwrap_or_else(|| BytesMut::with_capacity(size))
    }

    /// Takes the memory behind `chunk` back, unless somebody else still refers to it.
    pub(super) fn put_chunk(&mut self, mut chunk: BytesMut) {
        chunk.clear();
        // What was cut off lies before the rest; without other references all of it is found again.
        let size = (0..SIZES)
            .rev()
            .find(|&class| chunk.try_reclaim(CHUNK_MIN << class));
        let kept = size.filter(|&class| chunk.capacity() == CHUNK_MIN << class);
        if let Some(class) = kept
            && self.chunks[class].len() < KEPT_MAX
        {
            self.chunks[class].push(chunk);
        }
    }

    /// Takes the memory behind a slice back, unless somebody else still refers to it.
    pub(super) fn put_slice(&mut self, slice: Bytes) {
        if let Ok(chunk) = slice.try_into_mut() {
            self.put_chunk(chunk);
        }
    }

    /// A copy of a few octets, in memory that it shares with other such copies.
    pub(super) fn copy_of(&mut self, octets: &[u8]) -> Bytes {
        if self.copies.capacity() < octets.len() && !self.copies.try_reclaim(COPIES) {
            self.copies = BytesMut::with_capacity(COPIES.max(octets.len()));
        }
        self.copies.extend_from_slice(octets);
        self.copies.split().freeze()
    }

    pub(super) fn take_queue(&mut self) -> Box<Queue> {
        self.queues.pop().unwrap_or_default()
    }

    pub(super) fn put_queue(&mut self, mut queue: Box<Queue>) {
        queue.empty_into(self);
        if self.queues.len() < KEPT_MAX {
            self.queues.push(queue);
        }
    }

    pub(super) fn take_store(&mut self) -> Box<Store> {
        self.stores.pop().unwrap_or_default()
    }

    pub(super) fn put_store(&mut self, mut store: Box<Store>) {
        if self.stores.len() < KEPT_MAX {
            store.empty();
            self.stores.push(store);
        }
    }
}

/// Where chunks of `size` octets are kept, if they are.
fn class(size: usize) -> Option<usize> {
    let kept = size.is_power_of_two() && (CHUNK_MIN..=CHUNK_MAX).contains(&size);
    kept.then(|| (size / CHUNK_MIN).ilog2() as usize)
}
