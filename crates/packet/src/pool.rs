//! [`ChunkPool`]: the memory that payloads are cut from, used again and again.
//!
//! A chunk is a [`BytesMut`]; whoever fills it splits frozen [`Bytes`] off its front and gives the remainder back. The
//! remainder still refers to the whole storage, so once all slices are dropped the pool can make the chunk whole again
//! without asking the allocator.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::{Bytes, BytesMut};

/// Chunks looked at before a request is answered from the allocator: bounds the work when all are still in use.
const TRIES_MAX: usize = 4;

/// Lends chunks of one size and takes them back.
///
/// At most `chunks_max` are kept; what is given back beyond that is freed (once its slices are). A pool is never a reason
/// to wait: with none to spare, [`take`](Self::take) allocates.
///
/// # Examples
///
/// ```
/// use handwave_packet::ChunkPool;
///
/// let mut pool = ChunkPool::new(64 * 1024, 8);
/// let mut chunk = pool.take();
/// chunk.extend_from_slice(b"in flight");
/// let slice = chunk.split().freeze();
/// pool.put(chunk);
///
/// // Still referred to by `slice`: another chunk has to be made.
/// let _other = pool.take();
/// assert_eq!(pool.stats().allocated, 2);
///
/// // Acknowledged and dropped: the first one serves again.
/// drop(slice);
/// assert!(pool.take().capacity() >= 64 * 1024);
/// assert_eq!(pool.stats().allocated, 2);
/// ```
#[derive(Debug)]
pub struct ChunkPool {
    chunk_size: usize,
    chunks_max: usize,
    /// Given back while slices of them were in use. Oldest first: the one whose slices are most likely gone.
    lent: VecDeque<BytesMut>,
    /// Nobody refers to them. Last is what was in use last, and most likely lies in the nearest caches.
    idle: Vec<BytesMut>,
    stats: PoolStats,
}

/// What a [`ChunkPool`] has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Chunks asked of the allocator.
    pub allocated: u64,
    /// Chunks lent a second, third, ... time.
    pub reused: u64,
    /// Chunks given back and not kept: the pool was full, or the storage too small.
    pub discarded: u64,
}

impl ChunkPool {
    /// Makes a pool of chunks of `chunk_size` octets that keeps at most `chunks_max`. Allocates on demand only.
    #[must_use]
    pub fn new(chunk_size: usize, chunks_max: usize) -> Self {
        Self {
            chunk_size,
            chunks_max,
            lent: VecDeque::new(),
            idle: Vec::new(),
            stats: PoolStats::default(),
        }
    }

    /// Lends an empty chunk with room for at least the pool's chunk size: of those that nobody uses the one that was used last.
    #[must_use]
    pub fn take(&mut self) -> BytesMut {
        // As a rule slices go in the order in which they were made.
        while let Some(chunk) = self
            .lent
            .pop_front_if(|chunk| chunk.try_reclaim(self.chunk_size))
        {
            self.idle.push(chunk);
        }
        if self.idle.is_empty() {
            self.look_further();
        }
        if let Some(chunk) = self.idle.pop() {
            self.stats.reused += 1;
            return chunk;
        }
        self.stats.allocated += 1;
        BytesMut::with_capacity(self.chunk_size)
    }

    /// Looks behind chunks whose slices are in use for long.
    fn look_further(&mut self) {
        for _ in 0..self.lent.len().min(TRIES_MAX) {
            let Some(mut chunk) = self.lent.pop_front() else {
                return;
            };
            if chunk.try_reclaim(self.chunk_size) {
                return self.idle.push(chunk);
            }
            self.lent.push_back(chunk);
        }
    }

    /// Takes a chunk back; slices that were split off it may still be in use. Octets left in it are dropped.
    pub fn put(&mut self, mut chunk: BytesMut) {
        if self.len() < self.chunks_max {
            chunk.clear();
            self.lent.push_back(chunk);
        } else {
            self.stats.discarded += 1;
        }
    }

    /// Takes the storage behind a slice back if this is the last reference to it; returns whether it was.
    ///
    /// For storage that the pool did not lend: it is kept only if it has room for a whole chunk.
    pub fn recycle(&mut self, slice: Bytes) -> bool {
        let Ok(mut chunk) = slice.try_into_mut() else {
            return false;
        };
        chunk.clear();
        if chunk.try_reclaim(self.chunk_size) {
            self.put(chunk);
        } else {
            self.stats.discarded += 1;
        }
        true
    }

    /// Octets of room in each chunk lent.
    #[must_use]
    pub const fn chunk_size(&self) -> usize {
        self.chunk_size
    }

    /// Chunks kept at the moment, whether in use or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lent.len() + self.idle.len()
    }

    /// Whether no chunk is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the pool has done so far.
    #[must_use]
    pub const fn stats(&self) -> PoolStats {
        self.stats
    }

    /// Frees the chunks nobody refers to, for times of memory pressure; returns how many.
    pub fn shrink(&mut self) -> usize {
        let before = self.len();
        let size = self.chunk_size;
        self.idle.clear();
        self.lent.retain_mut(|chunk| !chunk.try_reclaim(size));
        before - self.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(pool: &mut ChunkPool, octets: usize) -> Bytes {
        let mut chunk = pool.take();
        chunk.resize(octets, 7);
        let slice = chunk.split().freeze();
        pool.put(chunk);
        slice
    }

    #[test]
    fn a_chunk_in_use_is_not_lent_again() {
        let mut pool = ChunkPool::new(1024, 4);
        let first = filled(&mut pool, 1024);
        let second = filled(&mut pool, 1024);
        assert_eq!(
            pool.stats(),
            PoolStats {
                allocated: 2,
                reused: 0,
                discarded: 0
            }
        );
        assert_eq!((first.len(), second.len()), (1024, 1024));
        assert!(first.iter().all(|&octet| octet == 7));
    }

    #[test]
    fn a_full_chunk_serves_again_with_all_its_room() {
        let mut pool = ChunkPool::new(1024, 4);
        for _ in 0..100 {
            let slice = filled(&mut pool, 1024);
            drop(slice);
        }
        assert_eq!(
            pool.stats(),
            PoolStats {
                allocated: 1,
                reused: 99,
                discarded: 0
            }
        );
    }

    #[test]
    fn the_chunk_that_was_used_last_serves_next() {
        let mut pool = ChunkPool::new(1024, 8);
        drop([(); 4].map(|()| filled(&mut pool, 1024)));
        let first = filled(&mut pool, 1024);
        let hot = first.as_ptr();
        drop(first);
        for _ in 0..10 {
            let slice = filled(&mut pool, 1024);
            assert_eq!(slice.as_ptr(), hot);
        }
        assert_eq!((pool.len(), pool.stats().allocated), (4, 4));
    }

    #[test]
    fn a_chunk_that_is_kept_does_not_hide_those_behind_it() {
        let mut pool = ChunkPool::new(1024, 8);
        let _kept = filled(&mut pool, 1024);
        for _ in 0..10 {
            drop(filled(&mut pool, 1024));
        }
        assert_eq!(pool.stats().allocated, 2);
    }

    #[test]
    fn keeps_no_more_than_its_limit() {
        let mut pool = ChunkPool::new(64, 2);
        let slices: [Bytes; 5] = core::array::from_fn(|_| filled(&mut pool, 10));
        assert_eq!(pool.len(), 2);
        assert_eq!(pool.stats().discarded, 3);
        drop(slices);
        assert_eq!(pool.shrink(), 2);
        assert!(pool.is_empty());
    }

    #[test]
    fn recycles_only_the_last_reference() {
        let mut pool = ChunkPool::new(64, 2);
        let slice = Bytes::from(alloc::vec![1; 64]);
        let other = slice.clone();
        assert!(!pool.recycle(slice));
        assert!(pool.recycle(other));
        assert_eq!(pool.len(), 1);
        assert!(
            pool.recycle(Bytes::from(alloc::vec![1; 8])),
            "too small, freed"
        );
        assert_eq!((pool.len(), pool.stats().discarded), (1, 1));
        assert!(pool.take().capacity() >= 64);
        assert_eq!(pool.stats().allocated, 0);
    }
}
