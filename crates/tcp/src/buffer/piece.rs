//! One run of octets in memory, and what keeping it costs.

use alloc::vec::Vec;
use core::mem;

use bytes::{Bytes, BytesMut};

/// Bookkeeping for one piece: the [`Piece`], its place in a queue or tree, the allocation's own header.
pub(super) const OVERHEAD: usize = 64;

/// Neighbours that fit into this many octets together are kept as one piece.
///
/// It bounds the bookkeeping of a peer that sends single octets: of two neighbours at least one has half of this.
pub(super) const JOIN_MAX: usize = 1_024;

/// A piece must be at least one part in this many of the memory it pins; otherwise its octets are copied.
const PINNED_PER_OCTET_MAX: usize = 4;

/// What is left of a piece that was read in part stays where it is if it pins no more than this.
pub(super) const PINNED_FREELY: usize = 512;

/// Octets in memory together with the bytes of memory they keep alive.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) bytes: Bytes,
    /// Bytes of memory released when this piece goes, [`OVERHEAD`] included.
    pub(super) charge: usize,
}

impl Piece {
    /// Takes over octets that pin `pinned` bytes of memory, copying them if they are too few to be worth it.
    pub(super) fn new(bytes: Bytes, pinned: usize) -> Self {
        let pinned = pinned.max(bytes.len());
        if Self::is_worth_keeping(&bytes, pinned) {
            Self {
                bytes,
                charge: pinned + OVERHEAD,
            }
        } else {
            Self::copy_of(&bytes)
        }
    }

    /// Whether octets are enough of the `pinned` bytes of memory that they keep alive.
    pub(super) fn is_worth_keeping(octets: &[u8], pinned: usize) -> bool {
        pinned <= PINNED_PER_OCTET_MAX * octets.len()
    }

    /// Copies octets into memory of their own, of just their size.
    pub(super) fn copy_of(octets: &[u8]) -> Self {
        Self {
            bytes: Bytes::copy_from_slice(octets),
            charge: octets.len() + OVERHEAD,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Drops octets from the front; if what is left pins too much, it moves to memory of its own.
    pub(super) fn advance(&mut self, octets: usize) {
        drop(self.bytes.split_to(octets));
        let pinned = self.charge - OVERHEAD;
        if pinned > PINNED_FREELY && pinned > PINNED_PER_OCTET_MAX * self.len() {
            *self = Self::copy_of(&self.bytes);
        }
    }

    /// Whether the two are small enough to share memory.
    pub(super) fn joins(&self, next: &[u8]) -> bool {
        self.len() + next.len() <= JOIN_MAX
    }

    /// Appends octets, in memory of its own.
    ///
    /// Room is left to grow, so that a flood of single octets, each joined to the last, is copied a logarithmic number
    /// of times.
    pub(super) fn join(&mut self, next: &[u8]) {
        let len = self.len() + next.len();
        match mem::take(&mut self.bytes).try_into_mut() {
            Ok(mut own) if (len..=PINNED_PER_OCTET_MAX * len).contains(&own.capacity()) => {
                own.extend_from_slice(next);
                self.charge = self.charge.max(own.capacity() + OVERHEAD);
                self.bytes = own.freeze();
            }
            Ok(own) => *self = Self::concatenate(&own, next),
            Err(shared) => *self = Self::concatenate(&shared, next),
        }
    }

    fn concatenate(first: &[u8], next: &[u8]) -> Self {
        let capacity = (first.len() + next.len()).next_power_of_two();
        let mut joined = BytesMut::with_capacity(capacity);
        joined.extend_from_slice(first);
        joined.extend_from_slice(next);
        let charge = joined.capacity() + OVERHEAD;
        Self {
            bytes: joined.freeze(),
            charge,
        }
    }
}

/// Copies pieces that follow each other, `octets` in all, into as few as hold at most `octets_max` each.
pub(super) fn compact<'a>(
    pieces: impl Iterator<Item = &'a Piece>,
    octets: usize,
    octets_max: usize,
) -> Vec<Piece> {
    let mut compacted = Vec::with_capacity(octets.div_ceil(octets_max));
    let mut left = octets;
    let mut filling = BytesMut::with_capacity(left.min(octets_max));
    for piece in pieces {
        let mut rest = &piece.bytes[..];
        while !rest.is_empty() {
            let (fits, later) = rest.split_at(rest.len().min(octets_max - filling.len()));
            filling.extend_from_slice(fits);
            rest = later;
            left = left.saturating_sub(fits.len());
            if filling.len() == octets_max || left == 0 {
                let full =
                    mem::replace(&mut filling, BytesMut::with_capacity(left.min(octets_max)));
                let charge = full.len() + OVERHEAD;
                compacted.push(Piece {
                    bytes: full.freeze(),
                    charge,
                });
            }
        }
    }
    compacted
}

#[cfg(test)]
mod tests {
    use super::{JOIN_MAX, OVERHEAD, Piece};
    use alloc::vec;
    use bytes::Bytes;

    #[test]
    fn a_flood_of_joins_copies_a_logarithmic_number_of_times() {
        let mut piece = Piece::copy_of(b"0");
        let mut moves = 0;
        while piece.len() < JOIN_MAX {
            let place = piece.bytes.as_ptr();
            piece.join(b"1");
            moves += u32::from(piece.bytes.as_ptr() != place);
            assert!(piece.charge >= piece.len() + OVERHEAD);
            assert!(piece.charge < 2 * piece.len() + OVERHEAD);
        }
        assert!(moves <= JOIN_MAX.ilog2(), "{moves}");
    }

    #[test]
    fn a_join_leaves_memory_that_is_too_large_and_memory_that_is_shared() {
        // Alone in 4 KiB of which it says little.
        let mut piece = Piece::new(Bytes::from(vec![0; 4_096]).slice(..10), 10);
        piece.join(&[1; 10]);
        assert_eq!((piece.len(), piece.charge), (20, 32 + OVERHEAD));
        let shared = piece.bytes.clone();
        piece.join(&[2; 2]);
        assert_eq!((shared.len(), piece.len()), (20, 22));
        assert_ne!(shared.as_ptr(), piece.bytes.as_ptr());
    }

    #[test]
    fn a_join_in_place_charges_for_the_place() {
        let mut piece = Piece::new(Bytes::from(vec![0; 100]).slice(..40), 40);
        let place = piece.bytes.as_ptr();
        piece.join(&[1; 10]);
        assert_eq!(piece.bytes.as_ptr(), place);
        assert_eq!(piece.charge, 100 + OVERHEAD);
    }
}
