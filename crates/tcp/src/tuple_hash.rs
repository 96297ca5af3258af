//! A quick hash of tuples, for tables whose order nobody gets to see.
//!
//! Sums of products of keyed words, modulo 2^128: the NH hash of UMAC (Black, Halevi, Krawczyk, Krovetz, Rogaway 1999; RFC 4418),
//! on 64-bit words. Whatever two tuples somebody chooses who does not know the key, they have the same sum for one key in 2^64;
//! one more product spreads the sum over the bits that a table looks at. Unlike SipHash it must not be shown to anybody: its values
//! stay in the table.

use core::net::IpAddr;

use crate::siphash::{Rest, SipKey, words_of};
use crate::tuple::Tuple;

/// Words hashed two at a time: at most this many pairs.
const PAIRS: usize = 3;
/// Sets the words of these keys apart from whatever else is derived from the same secret.
const LABEL: u64 = u64::from_be_bytes(*b"tuples\0\0");

/// The key of one table.
///
/// ```
/// use handwave_tcp::{Endpoint, Tuple, TupleHash};
///
/// let end = |last, port| Endpoint::new([192, 0, 2, last].into(), port);
/// let tuple = Tuple::new(end(1, 80), end(2, 40_000));
/// let hash = TupleHash::new(&[7; 16]);
/// assert_eq!(hash.tuple(&tuple), TupleHash::new(&[7; 16]).tuple(&tuple));
/// assert_ne!(hash.tuple(&tuple), hash.tuple(&tuple.reversed()));
/// assert_ne!(hash.tuple(&tuple), TupleHash::new(&[8; 16]).tuple(&tuple));
/// ```
#[derive(Clone, Copy)]
pub struct TupleHash {
    pairs: [[u64; 2]; PAIRS],
    last: [u64; 2],
}

/// Says nothing about the key.
impl core::fmt::Debug for TupleHash {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("TupleHash(..)")
    }
}

impl TupleHash {
    /// Stretches sixteen secret octets into the words of the key.
    #[must_use]
    pub fn new(key: &[u8; 16]) -> Self {
        Self::from_sip(&SipKey::new(key))
    }

    /// Stretches the key of another hash.
    #[must_use]
    pub fn from_sip(key: &SipKey) -> Self {
        let word = |n: u64| key.hash24([LABEL | n], Rest::NONE);
        let pair = |n: u64| [word(2 * n), word(2 * n + 1)];
        Self {
            pairs: [pair(0), pair(1), pair(2)],
            last: pair(3),
        }
    }

    /// The hash of a tuple.
    #[must_use]
    #[inline]
    pub fn tuple(&self, tuple: &Tuple) -> u64 {
        let (local, remote) = (&tuple.local, &tuple.remote);
        let ports = u64::from(local.port) << 16 | u64::from(remote.port);
        match (local.addr, remote.addr) {
            (IpAddr::V4(here), IpAddr::V4(there)) => {
                let addresses = u64::from(here.to_bits()) << 32 | u64::from(there.to_bits());
                self.words([[addresses, ports]])
            }
            _ => self.long_tuple(tuple),
        }
    }

    /// The hash of a tuple that is not of IPv4 alone.
    #[inline(never)]
    fn long_tuple(&self, tuple: &Tuple) -> u64 {
        let (local, remote) = (&tuple.local, &tuple.remote);
        let ports = u64::from(local.port) << 16 | u64::from(remote.port);
        self.words([words_of(local.addr), words_of(remote.addr), [ports, 0]])
    }

    /// The hash of 128 bits.
    #[inline]
    pub(crate) fn bits(&self, bits: u128) -> u64 {
        self.words([halves(bits)])
    }

    /// The hash of pairs of words. What has another number of pairs belongs in another table, or must be told apart there.
    #[inline]
    pub(crate) fn words<const N: usize>(&self, words: [[u64; 2]; N]) -> u64 {
        let products = words.iter().zip(&self.pairs).map(|([a, b], [k, l])| {
            u128::from(a.wrapping_add(*k)) * u128::from(b.wrapping_add(*l))
        });
        let [low, high] = halves(products.fold(0, u128::wrapping_add));
        let [k, l] = self.last;
        let [low, high] = halves(u128::from(low ^ k) * u128::from(high ^ l));
        low ^ high
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves")]
const fn halves(bits: u128) -> [u64; 2] {
    [bits as u64, (bits >> 64) as u64]
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use core::net::{Ipv4Addr, Ipv6Addr};

    use super::*;
    use crate::tuple::Endpoint;

    const BUCKETS: usize = 1 << 12;

    /// How many tuples fall into the fullest of 4,096 buckets if there are four times as many, by the low bits of the hash and by the
    /// high ones.
    fn fullest(client: impl Fn(u32) -> Endpoint) -> [u32; 2] {
        let server = Endpoint::new([10, 0, 0, 1].into(), 80);
        let hash = TupleHash::new(&[3; 16]);
        let mut counts = [vec![0; BUCKETS], vec![0; BUCKETS]];
        for n in (0..).take(4 * BUCKETS) {
            let value = hash.tuple(&Tuple::new(server, client(n)));
            for (counts, bits) in counts.iter_mut().zip([value, value >> 52]) {
                counts[(bits & 0xfff) as usize] += 1;
            }
        }
        counts.map(|counts| counts.into_iter().max().unwrap_or(0))
    }

    /// Thrown at random, they make it 14 or so.
    #[test]
    fn tuples_in_a_row_fall_into_buckets_as_if_by_chance() {
        let v4 = |bits| Endpoint::new(Ipv4Addr::from_bits(bits).into(), 40_000);
        let v6 = |bits| Endpoint::new(Ipv6Addr::from_bits(bits).into(), 40_000);
        let found = [
            fullest(|n| Endpoint::new([10, 0, 0, 2].into(), (n & 0xffff) as u16)),
            fullest(v4),
            fullest(|n| v4(n << 16)),
            fullest(|n| v6(u128::from(n) << 64)),
            fullest(|n| v6(u128::from(n) << 112 | u128::from(n))),
        ];
        assert!(
            found.as_flattened().iter().all(|most| *most <= 20),
            "{found:?}"
        );
    }
}
