//! Internet checksums with the widest vectors of the processor that the program runs on.
//!
//! A program is compiled for the least processor that it may meet, whose vectors have 16 octets on x86-64. Most have two or four times
//! that, and a data path that copies little spends a third of its time on sums (RFC 1071). [`install`] looks once what there is, and tells
//! [`handwave_wire::checksum`], which is without `std` and cannot look itself.
//!
//! `handwave::Builder` does it for every program that uses the async stack. A program that drives `handwave_stack::Stack`
//! itself calls it before it begins:
//!
//! ```
//! use handwave_wire::checksum::internet_checksum;
//!
//! let packet = [0x5a; 1_500];
//! let before = internet_checksum(&packet);
//! handwave_simd::install();
//! assert_eq!(internet_checksum(&packet), before, "the sum is the same, sooner");
//! ```
#![forbid(unsafe_code)]

use fearless_simd::{Bytes, Level, Simd, SimdBase, dispatch};
use handwave_wire::checksum::{BLOCK, WideSum};

static WIDE: WideSum = WideSum::new(sum_blocks);

/// Has checksums computed with the processor's widest vectors from here on, in the whole program.
///
/// Calling it again changes nothing. Where the vectors are those that the program was compiled for, it changes nothing either.
pub fn install() {
    let level = Level::new();
    if level.as_avx2().is_some() || level.as_avx512().is_some() {
        handwave_wire::checksum::set_wide_sum(&WIDE);
    }
}

/// Sums blocks as 64-bit words in the machine's order, brought around: what [`WideSum`] asks for.
fn sum_blocks(blocks: &[[u8; BLOCK]]) -> u64 {
    dispatch!(Level::new(), simd => sum_with(simd, blocks.as_flattened()))
}

/// Adds the words as they are, letting them wrap, and beside them their upper halves, which cannot wrap for any slice that fits in
/// memory: the lower halves are then the one less the other.
#[inline(always)]
fn sum_with<S: Simd>(simd: S, octets: &[u8]) -> u64 {
    let vector = S::u8s::LEN;
    let load = |octets: &[u8]| -> S::u64s { S::u8s::from_slice(simd, octets).bitcast() };
    let zero = S::u64s::splat(simd, 0);
    let (mut whole, mut upper) = ([zero; 2], [zero; 2]);
    let mut pairs = octets.chunks_exact(2 * vector);
    for pair in &mut pairs {
        let (first, second) = pair.split_at(vector);
        let words = [load(first), load(second)];
        for lane in 0..2 {
            whole[lane] += words[lane];
            upper[lane] += words[lane] >> 32;
        }
    }
    let rest = pairs.remainder();
    if !rest.is_empty() {
        let words = load(rest);
        whole[0] += words;
        upper[0] += words >> 32;
    }
    let (whole, upper) = (whole[0] + whole[1], upper[0] + upper[1]);
    let lower = whole - (upper << 32);
    let halves = [lower, upper];
    let sum = |half: &S::u64s| {
        half.as_slice()
            .iter()
            .fold(0_u64, |sum, word| sum.wrapping_add(*word))
    };
    halves.iter().map(sum).fold(0, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The sum as RFC 1071 4.1 writes it.
    fn reference(octets: &[u8]) -> u16 {
        let (words, _) = octets.as_chunks::<2>();
        let total: u64 = words
            .iter()
            .map(|word| u64::from(u16::from_ne_bytes(*word)))
            .sum();
        folded(total)
    }

    fn folded(mut total: u64) -> u16 {
        while total > 0xffff {
            total = (total >> 16) + (total & 0xffff);
        }
        u16::try_from(total).expect("folded")
    }

    proptest! {
        #[test]
        fn every_width_gives_the_same_sum(
            blocks in proptest::collection::vec(any::<[u8; BLOCK]>(), 0..40),
            ones in any::<bool>(),
        ) {
            let mut blocks = blocks;
            if ones {
                // The words that wrap most.
                blocks.iter_mut().for_each(|block| block.fill(0xff));
            }
            let octets = blocks.as_flattened();
            let expected = reference(octets);
            prop_assert_eq!(folded(sum_blocks(&blocks)), expected);
            let least = dispatch!(Level::baseline(), simd => sum_with(simd, octets));
            prop_assert_eq!(folded(least), expected);
            if let Some(avx2) = Level::new().as_avx2() {
                prop_assert_eq!(folded(sum_with(avx2, octets)), expected);
            }
        }
    }

    #[test]
    fn once_installed_it_serves_every_checksum() {
        use handwave_wire::checksum::internet_checksum;
        let octets: Vec<u8> = (0..=u8::MAX).cycle().take(3_000).collect();
        let lengths = [0, 1, 63, 64, 65, 127, 128, 129, 1_448, 1_460, 2_999, 3_000];
        let before = lengths.map(|len| internet_checksum(&octets[..len]));
        install();
        assert_eq!(lengths.map(|len| internet_checksum(&octets[..len])), before);
    }
}
