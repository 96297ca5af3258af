//! [`Stream`]: an endless sequence of octets that both the writer and the checker can compute anywhere.
//!
//! Nothing has to be stored to compare what arrives with what was written, and octets at the wrong place differ from the
//! right ones with near certainty, at any distance.

use bytes::{Bytes, BytesMut};

/// The octets one application writes, as a function of their offset.
///
/// # Examples
///
/// ```
/// use handwave_sim::Stream;
///
/// let stream = Stream::new(42);
/// let octets = stream.octets(1_000, 50);
/// assert_eq!(stream.first_difference(1_000, &octets), None);
/// assert_eq!(stream.first_difference(1_001, &octets), Some(1_001));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Stream {
    key: u64,
}

const WORD: u64 = 8;

impl Stream {
    /// The stream that belongs to `key`.
    #[must_use]
    pub const fn new(key: u64) -> Self {
        Self { key }
    }

    /// The `len` octets from `offset` on.
    #[must_use]
    pub fn octets(&self, offset: u64, len: usize) -> Bytes {
        let mut octets = BytesMut::with_capacity(len);
        let mut at = offset;
        while octets.len() < len {
            let word = self.word(at / WORD);
            let skip = usize::try_from(at % WORD).unwrap_or(0);
            let n = (word.len() - skip).min(len - octets.len());
            octets.extend_from_slice(&word[skip..skip + n]);
            at += n as u64;
        }
        octets.freeze()
    }

    /// The offset of the first of `octets` that is not what the stream has there, if they start at `offset`.
    #[must_use]
    pub fn first_difference(&self, offset: u64, octets: &[u8]) -> Option<u64> {
        let mut rest = octets;
        let mut at = offset;
        while !rest.is_empty() {
            let word = self.word(at / WORD);
            let skip = usize::try_from(at % WORD).unwrap_or(0);
            let n = (word.len() - skip).min(rest.len());
            let expected = &word[skip..skip + n];
            if rest[..n] != *expected {
                let same = rest
                    .iter()
                    .zip(expected)
                    .take_while(|(is, should)| is == should)
                    .count();
                return Some(at + same as u64);
            }
            rest = &rest[n..];
            at += n as u64;
        }
        None
    }

    /// Eight octets, mixed from their number by the finaliser of SplitMix64.
    fn word(&self, number: u64) -> [u8; 8] {
        let mut z = self.key ^ number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)).to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_join_to_the_whole() {
        let stream = Stream::new(1);
        let whole = stream.octets(0, 100);
        for cut in 0..=100 {
            assert_eq!(stream.octets(0, cut), whole[..cut]);
            assert_eq!(stream.octets(cut as u64, 100 - cut), whole[cut..]);
        }
    }

    #[test]
    fn one_wrong_octet_is_found_where_it_is() {
        let stream = Stream::new(2);
        for wrong in 0..50 {
            let mut octets = stream.octets(7, 50).to_vec();
            octets[wrong] ^= 1;
            assert_eq!(stream.first_difference(7, &octets), Some(7 + wrong as u64));
        }
    }

    #[test]
    fn streams_of_different_keys_differ() {
        let octets = Stream::new(3).octets(0, 64);
        assert!(Stream::new(4).first_difference(0, &octets).is_some());
    }
}
