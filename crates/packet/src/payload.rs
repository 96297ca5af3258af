//! [`Payload`]: a rope of refcounted slices.
//!
//! What lives here is cutting and joining without copying. Invariant: the cached length is the sum of the pieces', and no
//! piece is empty.

use crate::copy;
use crate::pieces::Pieces;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;
use handwave_wire::Sum;

/// A sequence of octets held as refcounted slices, in order.
///
/// Cloning, slicing, splitting and joining never copy octets. Up to two pieces live inline, so that no payload of an
/// ordinary packet allocates; more go to a queue on the heap. Equality compares octets, however they are cut.
///
/// # Examples
///
/// ```
/// use bytes::Bytes;
/// use handwave_packet::Payload;
///
/// let mut rope = Payload::from(Bytes::from_static(b"hand"));
/// rope.push(Bytes::from_static(b"wave"));
/// assert_eq!(rope.len(), 8);
/// assert_eq!(rope.slice(2, 4).to_vec(), b"ndwa");
///
/// let front = rope.split_to(5);
/// assert_eq!((front.to_vec(), rope.to_vec()), (b"handw".to_vec(), b"ave".to_vec()));
/// ```
#[derive(Clone, Default)]
pub struct Payload {
    pieces: Pieces,
    len: usize,
}

impl Payload {
    /// Makes an empty payload; allocates nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            pieces: Pieces::None,
            len: 0,
        }
    }

    /// The number of octets in all pieces together.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no octet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts a piece at the end. An empty one is dropped.
    #[inline]
    pub fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.len += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// Puts a piece at the front. An empty one is dropped.
    pub fn push_front(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.len += piece.len();
            self.pieces.push_front(piece);
        }
    }

    /// Moves all pieces of `other` to the end of this payload.
    #[inline]
    pub fn append(&mut self, other: Self) {
        if self.is_empty() && !self.has_room() {
            *self = other;
            return;
        }
        match other.pieces {
            Pieces::None => {}
            Pieces::One(piece) => self.push(piece),
            pieces => IntoPieces { pieces }.for_each(|piece| self.push(piece)),
        }
    }

    /// The pieces in order. None of them is empty.
    pub fn pieces(&self) -> impl DoubleEndedIterator<Item = &Bytes> + Clone {
        let (first, second) = self.pieces.as_slices();
        first.iter().chain(second)
    }

    /// The number of pieces.
    #[must_use]
    pub fn piece_count(&self) -> usize {
        let (first, second) = self.pieces.as_slices();
        first.len() + second.len()
    }

    /// Whether there is a list on the heap for more than two pieces. It stays when pieces are taken off, for those to come.
    ///
    /// ```
    /// use handwave_packet::Payload;
    ///
    /// let mut rope: Payload = (0..3).map(|n| vec![n].into()).collect();
    /// while rope.pop_front().is_some() {}
    /// assert!(rope.is_empty() && rope.has_room());
    /// assert!(!Payload::new().has_room());
    /// ```
    #[must_use]
    pub const fn has_room(&self) -> bool {
        matches!(self.pieces, Pieces::Many(_))
    }

    /// Takes the payload apart into its pieces, in order.
    #[must_use]
    pub fn into_pieces(self) -> IntoPieces {
        IntoPieces {
            pieces: self.pieces,
        }
    }

    /// Takes off the first piece.
    #[inline]
    pub fn pop_front(&mut self) -> Option<Bytes> {
        let piece = self.pieces.pop_front()?;
        self.len -= piece.len();
        Some(piece)
    }

    /// Takes all pieces off, in order, and hands each to `take`. What is left is empty, and keeps its list on the heap if it has one.
    ///
    /// ```
    /// use handwave_packet::Payload;
    ///
    /// let mut rope: Payload = (1..4).map(|n| vec![n].into()).collect();
    /// let mut octets = 0;
    /// rope.drain(|piece| octets += piece.len());
    /// assert!(octets == 3 && rope.is_empty() && rope.has_room());
    /// ```
    #[inline]
    pub fn drain(&mut self, take: impl FnMut(Bytes)) {
        self.len = 0;
        self.pieces.drain(take);
    }

    /// Takes the piece off if it is the only one.
    #[inline]
    pub(crate) fn take_only(&mut self) -> Option<Bytes> {
        let piece = self.pieces.take_only()?;
        self.len = 0;
        Some(piece)
    }

    /// The first piece as a plain slice; empty if the payload is. With one piece this is all of it.
    #[inline]
    #[must_use]
    pub fn contiguous(&self) -> &[u8] {
        self.pieces.first().map_or(&[], |piece| piece)
    }

    /// Drops `n` octets at the front, or all if there are fewer.
    #[inline]
    pub fn advance(&mut self, n: usize) {
        let mut left = n.min(self.len);
        self.len -= left;
        while left > 0 {
            let Some(first) = self.pieces.first_mut() else {
                return;
            };
            if first.len() > left {
                // `split_off` and friends touch the reference count; moving the start of a slice does not.
                bytes::Buf::advance(first, left);
                return;
            }
            left -= first.len();
            self.pieces.pop_front();
        }
    }

    /// Keeps the first `len` octets and drops the rest; does nothing if there are no more than that.
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        let mut excess = self.len.saturating_sub(len);
        self.len -= excess;
        while excess > 0 {
            let Some(last) = self.pieces.last_mut() else {
                return;
            };
            if last.len() > excess {
                last.truncate(last.len() - excess);
                return;
            }
            excess -= last.len();
            self.pieces.pop_back();
        }
    }

    /// The `len` octets from `offset` on, sharing their storage. What lies beyond the end is left out.
    #[must_use]
    pub fn slice(&self, offset: usize, len: usize) -> Self {
        let mut part = Self::new();
        let (mut skip, mut want) = (offset, len);
        for piece in self.pieces() {
            if want == 0 {
                break;
            }
            if skip >= piece.len() {
                skip -= piece.len();
                continue;
            }
            let end = skip.saturating_add(want).min(piece.len());
            want -= end - skip;
            part.push(if skip == 0 && end == piece.len() {
                piece.clone()
            } else {
                piece.slice(skip..end)
            });
            skip = 0;
        }
        part
    }

    /// Takes off the first `n` octets (or all if there are fewer) and returns them.
    #[must_use = "use `advance` to drop the front"]
    pub fn split_to(&mut self, n: usize) -> Self {
        if n >= self.len {
            return core::mem::take(self);
        }
        let mut front = Self::new();
        let mut want = n;
        while want > 0 {
            let Some(first) = self.pieces.first_mut() else {
                break;
            };
            let piece = if first.len() > want {
                first.split_to(want)
            } else {
                let Some(piece) = self.pieces.pop_front() else {
                    break;
                };
                piece
            };
            want -= piece.len();
            self.len -= piece.len();
            front.push(piece);
        }
        front
    }

    /// Copies from the front into `target` until either ends; returns the number of octets copied. Takes nothing off.
    pub fn copy_to_slice(&self, target: &mut [u8]) -> usize {
        let mut done = 0;
        for piece in self.pieces() {
            let n = piece.len().min(target.len() - done);
            copy::copy(&piece[..n], &mut target[done..done + n]);
            done += n;
            if done == target.len() {
                break;
            }
        }
        done
    }

    /// Adds all octets to an Internet checksum in the making.
    #[inline]
    #[must_use]
    pub fn sum(&self, sum: Sum) -> Sum {
        self.pieces().fold(sum, |sum, piece| sum.add_bytes(piece))
    }

    /// Copies all octets into a vector.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut all = Vec::with_capacity(self.len);
        for piece in self.pieces() {
            copy::append(piece, &mut all);
        }
        all
    }

    /// All octets as one piece: without a copy if there is at most one, otherwise copied together.
    #[must_use]
    pub fn into_bytes(mut self) -> Bytes {
        if self.piece_count() > 1 {
            return self.to_vec().into();
        }
        self.pop_front().unwrap_or_default()
    }
}

impl From<Bytes> for Payload {
    #[inline]
    fn from(piece: Bytes) -> Self {
        if piece.is_empty() {
            return Self::new();
        }
        Self {
            len: piece.len(),
            pieces: Pieces::One(piece),
        }
    }
}

impl From<Vec<u8>> for Payload {
    fn from(octets: Vec<u8>) -> Self {
        Bytes::from(octets).into()
    }
}

impl FromIterator<Bytes> for Payload {
    fn from_iter<I: IntoIterator<Item = Bytes>>(pieces: I) -> Self {
        let mut payload = Self::new();
        payload.extend(pieces);
        payload
    }
}

impl Extend<Bytes> for Payload {
    fn extend<I: IntoIterator<Item = Bytes>>(&mut self, pieces: I) {
        for piece in pieces {
            self.push(piece);
        }
    }
}

impl PartialEq for Payload {
    fn eq(&self, other: &Self) -> bool {
        if self.len != other.len {
            return false;
        }
        let (mut ours, mut theirs) = (self.pieces(), other.pieces());
        let (mut left, mut right): (&[u8], &[u8]) = (&[], &[]);
        loop {
            if left.is_empty() {
                match ours.next() {
                    Some(piece) => left = piece,
                    // Equal lengths: the other side has ended too.
                    None => return true,
                }
            }
            if right.is_empty() {
                match theirs.next() {
                    Some(piece) => right = piece,
                    None => return left.is_empty(),
                }
            }
            let n = left.len().min(right.len());
            if left[..n] != right[..n] {
                return false;
            }
            (left, right) = (&left[n..], &right[n..]);
        }
    }
}

impl Eq for Payload {}

impl PartialEq<[u8]> for Payload {
    fn eq(&self, other: &[u8]) -> bool {
        let mut rest = other;
        self.len == other.len()
            && self.pieces().all(|piece| {
                let (front, back) = rest.split_at(piece.len());
                rest = back;
                piece == front
            })
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Payload({} octets in {} pieces)",
            self.len,
            self.piece_count()
        )
    }
}

/// The pieces of a [`Payload`], given away in order. Made by [`Payload::into_pieces`].
#[derive(Debug)]
pub struct IntoPieces {
    pieces: Pieces,
}

impl Iterator for IntoPieces {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        self.pieces.pop_front()
    }
}

#[cfg(test)]
mod tests;
