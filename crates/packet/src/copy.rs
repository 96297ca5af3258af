//! Copying octets, in strides that stay in the nearest cache.
//!
//! Most C libraries copy more than a page or so with the processor's string instruction. On some processors that falls to a
//! tenth of its speed when source and target lie badly to each other within their pages, and buffers of a power of two lie like that
//! as a rule. A stride below the threshold is copied with vector moves, which are as fast wherever the buffers lie; and
//! whoever sums the octets next finds them in the nearest cache.

use alloc::vec::Vec;
use bytes::BytesMut;
use handwave_wire::Sum;

/// Octets copied at a time: the text of a segment at MTU 1500 in one stride.
const STRIDE: usize = 1_536;

/// Copies `from` over `to`.
///
/// # Panics
///
/// If the two are not of one length.
///
/// # Examples
///
/// ```
/// let mut to = [0; 5];
/// handwave_packet::copy::copy(b"octet", &mut to);
/// assert_eq!(&to, b"octet");
/// ```
#[inline]
pub fn copy(from: &[u8], to: &mut [u8]) {
    assert_eq!(from.len(), to.len(), "a copy of another length");
    if from.len() <= STRIDE {
        to.copy_from_slice(from);
        return;
    }
    // Two iterators in step: of a plain loop over strides the compiler makes one large copy again.
    for (from, to) in from.chunks(STRIDE).zip(to.chunks_mut(STRIDE)) {
        to.copy_from_slice(from);
    }
}

/// Appends `from` to `to`.
///
/// # Examples
///
/// ```
/// let mut to = vec![1];
/// handwave_packet::copy::append(&[2, 3], &mut to);
/// assert_eq!(to, [1, 2, 3]);
/// ```
#[inline]
pub fn append(from: &[u8], to: &mut Vec<u8>) {
    to.reserve(from.len());
    let mut rest = from;
    while rest.len() > STRIDE {
        let (stride, behind) = rest.split_at(STRIDE);
        to.extend_from_slice(stride);
        rest = behind;
    }
    to.extend_from_slice(rest);
}

/// Appends `from` to a chunk.
///
/// # Examples
///
/// ```
/// let mut chunk = bytes::BytesMut::new();
/// handwave_packet::copy::fill(b"text", &mut chunk);
/// assert_eq!(&chunk[..], b"text");
/// ```
#[inline]
pub fn fill(from: &[u8], chunk: &mut BytesMut) {
    if from.len() <= STRIDE {
        chunk.extend_from_slice(from);
        return;
    }
    chunk.reserve(from.len());
    let mut rest = from;
    while rest.len() > STRIDE {
        let (stride, behind) = rest.split_at(STRIDE);
        chunk.extend_from_slice(stride);
        rest = behind;
    }
    chunk.extend_from_slice(rest);
}

/// Does what [`fill`] does, and adds the octets to a sum: each stride where it came from, which lies in the nearest cache then, while its
/// copy is still on its way there.
pub(crate) fn fill_summed(from: &[u8], chunk: &mut BytesMut, mut sum: Sum) -> Sum {
    chunk.reserve(from.len());
    let mut rest = from;
    while rest.len() > STRIDE {
        let (stride, behind) = rest.split_at(STRIDE);
        chunk.extend_from_slice(stride);
        sum = sum.add_bytes(stride);
        rest = behind;
    }
    chunk.extend_from_slice(rest);
    sum.add_bytes(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_length_every_octet_is_copied() {
        let from: Vec<u8> = (0..=u8::MAX).cycle().take(3 * STRIDE + 7).collect();
        for len in [0, 1, STRIDE - 1, STRIDE, STRIDE + 1, from.len()] {
            let from = &from[..len];
            let mut to = alloc::vec![0; len];
            copy(from, &mut to);
            assert_eq!(to, from);
            let (mut grown, mut chunk) = (alloc::vec![7], BytesMut::from(&[7][..]));
            append(from, &mut grown);
            fill(from, &mut chunk);
            assert_eq!((&grown[1..], &chunk[1..]), (from, from));
            let (mut chunk, begun) = (BytesMut::new(), Sum::default().add_bytes(&[7]));
            let sum = fill_summed(from, &mut chunk, begun);
            assert_eq!(&chunk, from);
            assert_eq!(sum.folded(), begun.add_bytes(from).folded());
        }
    }
}
