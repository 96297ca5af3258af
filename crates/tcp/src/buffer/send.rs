//! The send buffer: octets from `SND.UNA` on, until they are acknowledged.
//!
//! What the application writes is copied once, into a chunk that is only ever appended to; what it hands over as
//! [`Bytes`] is not copied at all. Segments are slices of those chunks: sending, and sending again, share memory with
//! the buffer. The exception is a slice of a few hundred octets from the chunk still being written. Copying those is
//! cheaper than the piece of bookkeeping that sharing them would leave behind, and it keeps a flood of single-octet
//! writes from costing more than the octets.
//!
//! Chunks start small and grow with what is queued, up to [`CHUNK_MAX`]. They come from a [`BufferPool`] and go back to it once
//! all of their octets are acknowledged, so that a connection in its stride asks the allocator for nothing.

#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::mem;

use bytes::{Buf, Bytes, BytesMut};
use handwave_packet::{Payload, copy};

use super::BufferPool;
use super::piece::OVERHEAD;

/// The least chunk to write into, in octets.
pub const CHUNK_MIN: usize = 512;
/// The largest chunk to write into, in octets: one super-segment.
pub const CHUNK_MAX: usize = 65_536;
/// Fewer octets than this are copied rather than shared, on the way in and on the way out.
const SHARE_MIN: usize = 512;
/// Room for so many pieces is kept where a queue waits to be used again.
const PIECES_KEPT: usize = 128;

/// Octets from `SND.UNA` on, both in flight and unsent.
///
/// Offsets count from `SND.UNA`. An empty buffer owns no heap memory.
///
/// ```
/// use handwave_tcp::buffer::{BufferPool, SendBuffer};
///
/// let (mut buffer, mut pool) = (SendBuffer::default(), BufferPool::default());
/// assert_eq!(buffer.write(b"hello, world", 10, &mut pool), 10);
/// assert_eq!(buffer.slice(7, 100, &mut pool).to_vec(), b"wor");
/// buffer.acknowledge(7, &mut pool);
/// assert_eq!(buffer.slice(0, 3, &mut pool).to_vec(), b"wor");
/// assert_eq!(buffer.len(), 3);
/// ```
#[derive(Debug, Default)]
pub struct SendBuffer {
    queue: Option<Box<Queue>>,
}

/// Invariant: `end - front` is the number of octets in `pieces` and `tail` together, and it is not zero.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pieces: VecDeque<Piece>,
    /// The chunk being written. What it holds comes after all pieces.
    tail: BytesMut,
    /// What the chunk being written costs, its sealed parts included.
    tail_charge: usize,
    /// Position of `SND.UNA` in the octets that passed through this queue.
    front: u64,
    /// Position after the last octet.
    end: u64,
    /// The piece that the last slice ended in: where the next one most likely starts.
    cursor: usize,
    held: usize,
}

/// A run of octets that is no longer written to.
#[derive(Debug)]
struct Piece {
    /// Position of the first octet.
    start: u64,
    bytes: Bytes,
    /// Memory released when this piece goes. A chunk is charged to the last piece cut from it.
    charge: usize,
}

impl SendBuffer {
    /// Octets queued, sent or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.len())
    }

    /// Whether nothing is queued.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_none()
    }

    /// Bytes of memory charged: chunks whole as long as one octet of them is queued, and the bookkeeping.
    ///
    /// At most twice what the buffer is allowed to hold, and two chunks: the oldest, of which little may be left, and
    /// the one being written.
    #[must_use]
    pub fn held(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.held)
    }

    /// Copies what fits of `data` while the buffer holds at most `limit` octets; returns the number taken.
    pub fn write(&mut self, data: &[u8], limit: usize, pool: &mut BufferPool) -> usize {
        let taken = data.len().min(limit.saturating_sub(self.len()));
        if taken > 0 {
            let data = &data[..taken];
            self.queue(pool).write(data, Spare::AsMuchAgain, pool);
        }
        taken
    }

    /// Copies what fits of `data` as [`write`](Self::write) does, into memory of its size: what is held grows by no more than the octets
    /// taken and 1 KiB.
    pub fn write_sparingly(&mut self, data: &[u8], limit: usize, pool: &mut BufferPool) -> usize {
        let taken = data.len().min(limit.saturating_sub(self.len()));
        if taken > 0 {
            let data = &data[..taken];
            self.queue(pool).write(data, Spare::Nothing, pool);
        }
        taken
    }

    /// Takes over what fits of `chunk` without copying it, while the buffer holds at most `limit` octets; returns the
    /// number of octets taken.
    ///
    /// The rest of the memory behind the [`Bytes`] stays alive as well and is the caller's to account for. A chunk of less
    /// than 512 octets is copied.
    pub fn write_chunk(&mut self, chunk: Bytes, limit: usize, pool: &mut BufferPool) -> usize {
        let taken = chunk.len().min(limit.saturating_sub(self.len()));
        if taken < SHARE_MIN {
            return self.write(&chunk[..taken], limit, pool);
        }
        let mut chunk = chunk;
        chunk.truncate(taken);
        self.queue(pool).push(chunk);
        taken
    }

    fn queue(&mut self, pool: &mut BufferPool) -> &mut Queue {
        self.queue.get_or_insert_with(|| pool.take_queue())
    }

    /// Drops `octets` from the front: they were acknowledged [RFC2018-12].
    ///
    /// More than [`len`](Self::len) is a bug of the caller; the buffer is empty afterwards.
    pub fn acknowledge(&mut self, octets: usize, pool: &mut BufferPool) {
        debug_assert!(
            octets <= self.len(),
            "{octets} octets acknowledged of {}",
            self.len()
        );
        match &mut self.queue {
            Some(queue) if octets < queue.len() => queue.drop_front(octets, pool),
            queue => {
                if let Some(queue) = queue.take() {
                    pool.put_queue(queue);
                }
            }
        }
    }

    /// Octets from `offset` on, at most `len` and at most what is there, sharing memory with the buffer.
    ///
    /// Slices in order cost O(1), any other O(log pieces).
    pub fn slice(&mut self, offset: usize, len: usize, pool: &mut BufferPool) -> Payload {
        match &mut self.queue {
            Some(queue) if offset < queue.len() => {
                let len = len.min(queue.len() - offset);
                queue.slice(offset, len, pool)
            }
            Some(_) | None => Payload::new(),
        }
    }

    /// How many of the `len` octets from `offset` on lie in two pieces, which is what a [`Payload`] holds without a list on the heap.
    #[must_use]
    pub(crate) fn reach_of_two(&self, offset: usize, len: usize) -> usize {
        self.queue
            .as_ref()
            .map_or(0, |queue| queue.reach_of_two(offset, len))
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.queue = None;
    }
}

/// What a new chunk has room for beside the octets it is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spare {
    /// As much again as is queued.
    AsMuchAgain,
    Nothing,
}

impl Queue {
    fn len(&self) -> usize {
        distance(self.front, self.end)
    }

    fn write(&mut self, data: &[u8], spare: Spare, pool: &mut BufferPool) {
        let mut rest = data;
        while !rest.is_empty() {
            let room = self.tail.capacity() - self.tail.len();
            if room == 0 {
                self.open_chunk(rest.len(), spare, pool);
                continue;
            }
            let (fits, later) = rest.split_at(rest.len().min(room));
            copy::fill(fits, &mut self.tail);
            self.end += fits.len() as u64;
            rest = later;
        }
    }

    /// Replaces the full chunk by one for `needed` octets, or as many as a chunk holds, and more.
    fn open_chunk(&mut self, needed: usize, spare: Spare, pool: &mut BufferPool) {
        self.seal_tail();
        let charge = mem::take(&mut self.tail_charge);
        // Without a piece there was no chunk either: an empty queue is dropped.
        if let Some(last) = self.pieces.back_mut() {
            last.charge += charge;
        }
        let wanted = match spare {
            Spare::AsMuchAgain => (self.len() + needed).min(CHUNK_MAX).next_power_of_two(),
            Spare::Nothing => needed.min(CHUNK_MAX),
        }
        .max(CHUNK_MIN);
        pool.put_chunk(mem::take(&mut self.tail));
        self.tail = pool.take_chunk(wanted);
        self.tail_charge = self.tail.capacity() + OVERHEAD;
        self.held += self.tail_charge;
    }

    /// Cuts what was written off the open chunk, so that it can be shared.
    fn seal_tail(&mut self) {
        if !self.tail.is_empty() {
            let start = self.tail_start();
            let bytes = self.tail.split().freeze();
            self.push_piece(Piece {
                start,
                bytes,
                charge: OVERHEAD,
            });
        }
    }

    fn push(&mut self, bytes: Bytes) {
        self.seal_tail();
        let start = self.end;
        self.end += bytes.len() as u64;
        let charge = bytes.len() + OVERHEAD;
        self.push_piece(Piece {
            start,
            bytes,
            charge,
        });
    }

    fn push_piece(&mut self, piece: Piece) {
        self.held += piece.charge;
        self.pieces.push_back(piece);
    }

    /// Position of the first octet in the open chunk.
    fn tail_start(&self) -> u64 {
        self.end - self.tail.len() as u64
    }

    fn drop_front(&mut self, octets: usize, pool: &mut BufferPool) {
        self.front += octets as u64;
        while let Some(piece) = self.pieces.front_mut() {
            if piece.end() > self.front {
                piece
                    .bytes
                    .advance(distance(piece.start, self.front.max(piece.start)));
                piece.start = piece.start.max(self.front);
                return;
            }
            self.held -= piece.charge;
            pool.put_slice(mem::take(&mut piece.bytes));
            self.pieces.pop_front();
            self.cursor = self.cursor.saturating_sub(1);
        }
        let in_tail = distance(self.tail_start(), self.front);
        self.tail.advance(in_tail);
    }

    /// Gives the memory behind all octets back and becomes as good as new, but for the room of its list of pieces.
    pub(super) fn empty_into(&mut self, pool: &mut BufferPool) {
        let mut pieces = mem::take(&mut self.pieces);
        for piece in pieces.drain(..) {
            pool.put_slice(piece.bytes);
        }
        pieces.shrink_to(PIECES_KEPT);
        pool.put_chunk(mem::take(&mut self.tail));
        *self = Self {
            pieces,
            ..Self::default()
        };
    }

    /// `len` octets from `offset` on, all of them present.
    fn slice(&mut self, offset: usize, len: usize, pool: &mut BufferPool) -> Payload {
        let start = self.front + offset as u64;
        let end = start + len as u64;
        let wanted_of_tail = distance(self.tail_start().max(start), end.max(self.tail_start()));
        if wanted_of_tail >= SHARE_MIN {
            self.seal_tail();
        }
        let mut payload = self.slice_pieces(start, end);
        if self.tail_start() < end {
            let from = distance(self.tail_start(), start.max(self.tail_start()));
            let to = distance(self.tail_start(), end);
            payload.push(pool.copy_of(&self.tail[from..to]));
        }
        payload
    }

    fn reach_of_two(&self, offset: usize, len: usize) -> usize {
        let start = self.front + offset as u64;
        let second = self.pieces.get(self.find(start) + 1);
        // Behind the last piece there is only the open chunk.
        let end = second.map_or(self.end, Piece::end);
        len.min(distance(start, end.max(start)))
    }

    /// What the pieces hold of `[start, end)`.
    fn slice_pieces(&mut self, start: u64, end: u64) -> Payload {
        let mut payload = Payload::new();
        let mut index = self.find(start);
        while let Some(piece) = self.pieces.get(index) {
            if piece.start >= end {
                break;
            }
            self.cursor = index;
            let from = distance(piece.start, start.max(piece.start));
            let to = distance(piece.start, end.min(piece.end()));
            payload.push(piece.bytes.slice(from..to));
            index += 1;
        }
        payload
    }

    /// Index of the piece that holds `position`; the number of pieces if it lies in the open chunk.
    fn find(&self, position: u64) -> usize {
        [self.cursor, self.cursor + 1]
            .into_iter()
            .find(|&index| {
                self.pieces
                    .get(index)
                    .is_some_and(|piece| piece.contains(position))
            })
            .unwrap_or_else(|| self.pieces.partition_point(|piece| piece.end() <= position))
    }
}

impl Piece {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    fn contains(&self, position: u64) -> bool {
        self.start <= position && position < self.end()
    }
}

/// Octets from `from` to `to`, both in the queue.
#[expect(
    clippy::cast_possible_truncation,
    reason = "both lie within a buffer in memory"
)]
fn distance(from: u64, to: u64) -> usize {
    (to - from) as usize
}
