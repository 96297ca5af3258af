//! The pieces of a [`Payload`](crate::Payload): up to two inline, more of them in a queue.
//!
//! No piece is empty, and `Many` is only reached from two pieces upward: it is kept when pieces are taken off again (its
//! room is paid for already) but never built for fewer than three.

use alloc::collections::VecDeque;
use bytes::Bytes;
use core::mem;

/// Room for this many pieces is made at once when two are no longer enough.
const MANY_CAPACITY: usize = 8;

#[derive(Clone, Debug, Default)]
pub(crate) enum Pieces {
    #[default]
    None,
    One(Bytes),
    Two([Bytes; 2]),
    Many(VecDeque<Bytes>),
}

impl Pieces {
    /// The pieces in order, as two runs (the second is empty unless a queue wraps around).
    #[inline]
    pub(crate) fn as_slices(&self) -> (&[Bytes], &[Bytes]) {
        match self {
            Self::None => (&[], &[]),
            Self::One(piece) => (core::slice::from_ref(piece), &[]),
            Self::Two(pieces) => (pieces, &[]),
            Self::Many(pieces) => pieces.as_slices(),
        }
    }

    #[inline]
    pub(crate) fn first(&self) -> Option<&Bytes> {
        match self {
            Self::None => None,
            Self::One(piece) => Some(piece),
            Self::Two([first, _]) => Some(first),
            Self::Many(pieces) => pieces.front(),
        }
    }

    #[inline]
    pub(crate) fn first_mut(&mut self) -> Option<&mut Bytes> {
        match self {
            Self::None => None,
            Self::One(piece) => Some(piece),
            Self::Two([first, _]) => Some(first),
            Self::Many(pieces) => pieces.front_mut(),
        }
    }

    pub(crate) fn last_mut(&mut self) -> Option<&mut Bytes> {
        match self {
            Self::None => None,
            Self::One(piece) => Some(piece),
            Self::Two([_, last]) => Some(last),
            Self::Many(pieces) => pieces.back_mut(),
        }
    }

    #[inline]
    pub(crate) fn push_back(&mut self, piece: Bytes) {
        debug_assert!(!piece.is_empty());
        match self {
            Self::Many(pieces) => pieces.push_back(piece),
            few => few.push_back_to_few(piece),
        }
    }

    fn push_back_to_few(&mut self, piece: Bytes) {
        match self {
            Self::None => *self = Self::One(piece),
            Self::One(first) => *self = Self::Two([mem::take(first), piece]),
            Self::Two(pieces) => {
                let mut many = VecDeque::with_capacity(MANY_CAPACITY);
                many.extend(mem::take(pieces));
                many.push_back(piece);
                *self = Self::Many(many);
            }
            Self::Many(pieces) => pieces.push_back(piece),
        }
    }

    pub(crate) fn push_front(&mut self, piece: Bytes) {
        debug_assert!(!piece.is_empty());
        match self {
            Self::None => *self = Self::One(piece),
            Self::One(last) => *self = Self::Two([piece, mem::take(last)]),
            Self::Two(pieces) => {
                let mut many = VecDeque::with_capacity(MANY_CAPACITY);
                many.push_back(piece);
                many.extend(mem::take(pieces));
                *self = Self::Many(many);
            }
            Self::Many(pieces) => pieces.push_front(piece),
        }
    }

    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<Bytes> {
        match self {
            Self::None => None,
            Self::One(piece) => {
                let piece = mem::take(piece);
                *self = Self::None;
                Some(piece)
            }
            Self::Two([first, last]) => {
                let (first, last) = (mem::take(first), mem::take(last));
                *self = Self::One(last);
                Some(first)
            }
            Self::Many(pieces) => pieces.pop_front(),
        }
    }

    /// Takes all pieces off, in order.
    #[inline]
    pub(crate) fn drain(&mut self, mut take: impl FnMut(Bytes)) {
        if let Self::Many(pieces) = self {
            pieces.drain(..).for_each(take);
            return;
        }
        while let Some(piece) = self.pop_front() {
            take(piece);
        }
    }

    /// Takes the piece off if it is the only one.
    #[inline]
    pub(crate) fn take_only(&mut self) -> Option<Bytes> {
        let Self::One(piece) = self else {
            return None;
        };
        let piece = mem::take(piece);
        *self = Self::None;
        Some(piece)
    }

    pub(crate) fn pop_back(&mut self) -> Option<Bytes> {
        match self {
            Self::None => None,
            Self::One(piece) => {
                let piece = mem::take(piece);
                *self = Self::None;
                Some(piece)
            }
            Self::Two([first, last]) => {
                let (first, last) = (mem::take(first), mem::take(last));
                *self = Self::One(first);
                Some(last)
            }
            Self::Many(pieces) => pieces.pop_back(),
        }
    }
}
