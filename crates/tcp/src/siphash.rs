//! SipHash (Aumasson and Bernstein 2012) over whole words.
//!
//! Every packet is hashed a few times, always over the same few forms of input. Put into words instead of octets, they need no
//! buffer and no loop. The result is that of SipHash over the words' octets, least significant first.

use core::net::IpAddr;

use crate::tuple::Tuple;

/// A SipHash key: an attacker who chooses the input cannot foresee the hash.
///
/// ```
/// use handwave_tcp::{Endpoint, SipKey, Tuple};
///
/// let tuple = Tuple::new(Endpoint::new([192, 0, 2, 1].into(), 80), Endpoint::new([192, 0, 2, 2].into(), 4000));
/// let hash = SipKey::new(&[7; 16]).tuple(&tuple);
/// assert_eq!(hash, SipKey::new(&[7; 16]).tuple(&tuple));
/// assert_ne!(hash, SipKey::new(&[8; 16]).tuple(&tuple));
/// assert_ne!(hash, SipKey::new(&[7; 16]).tuple(&tuple.reversed()));
/// ```
#[derive(Clone, Copy)]
pub struct SipKey([u64; 2]);

/// Says nothing about the key.
impl core::fmt::Debug for SipKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("SipKey(..)")
    }
}

/// What is left after the whole words: up to seven octets, and how many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rest {
    pub(crate) octets: u64,
    pub(crate) len: u64,
}

impl Rest {
    pub(crate) const NONE: Self = Self { octets: 0, len: 0 };

    pub(crate) const fn four(octets: u32) -> Self {
        Self {
            octets: octets as u64,
            len: 4,
        }
    }
}

impl SipKey {
    /// From sixteen secret octets.
    #[must_use]
    pub fn new(key: &[u8; 16]) -> Self {
        let (halves, _) = key.as_chunks::<8>();
        Self([u64::from_le_bytes(halves[0]), u64::from_le_bytes(halves[1])])
    }

    /// From the two halves of a key.
    #[must_use]
    pub const fn from_halves(halves: [u64; 2]) -> Self {
        Self(halves)
    }

    /// SipHash-1-3 of a tuple, for tables and for spreading load.
    #[must_use]
    #[inline]
    pub fn tuple(&self, tuple: &Tuple) -> u64 {
        match short_words(tuple) {
            Some((words, rest)) => self.hash13(words, rest),
            None => self.long_tuple::<1, 3>(tuple),
        }
    }

    /// SipHash-2-4 of a tuple, for numbers that peers get to see.
    #[inline]
    pub(crate) fn tuple24(&self, tuple: &Tuple) -> u64 {
        match short_words(tuple) {
            Some((words, rest)) => self.hash24(words, rest),
            None => self.long_tuple::<2, 4>(tuple),
        }
    }

    /// The hash of a tuple that is not of IPv4 alone.
    fn long_tuple<const C: usize, const D: usize>(&self, tuple: &Tuple) -> u64 {
        let (words, rest) = long_words(tuple);
        self.hash::<C, D>(words, rest, 4)
    }

    /// SipHash-1-3 of 128 bits.
    #[inline]
    pub(crate) fn bits(&self, bits: u128) -> u64 {
        #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
        self.hash13([bits as u64, (bits >> 64) as u64], Rest::NONE)
    }

    /// SipHash-1-3.
    #[inline]
    pub(crate) fn hash13<const N: usize>(&self, words: [u64; N], rest: Rest) -> u64 {
        self.hash::<1, 3>(words, rest, N as u64)
    }

    /// SipHash-2-4.
    #[inline]
    pub(crate) fn hash24<const N: usize>(&self, words: [u64; N], rest: Rest) -> u64 {
        self.hash::<2, 4>(words, rest, N as u64)
    }

    #[inline]
    fn hash<const C: usize, const D: usize>(
        &self,
        words: impl IntoIterator<Item = u64>,
        rest: Rest,
        count: u64,
    ) -> u64 {
        let [k0, k1] = self.0;
        let mut state = State {
            v0: k0 ^ 0x736f_6d65_7073_6575,
            v1: k1 ^ 0x646f_7261_6e64_6f6d,
            v2: k0 ^ 0x6c79_6765_6e65_7261,
            v3: k1 ^ 0x7465_6462_7974_6573,
        };
        for word in words {
            state.take::<C>(word);
        }
        let len = count << 3 | rest.len;
        state.take::<C>(len << 56 | rest.octets);
        state.v2 ^= 0xff;
        for _ in 0..D {
            state.round();
        }
        state.v0 ^ state.v1 ^ state.v2 ^ state.v3
    }
}

struct State {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl State {
    #[inline]
    fn take<const C: usize>(&mut self, word: u64) {
        self.v3 ^= word;
        for _ in 0..C {
            self.round();
        }
        self.v0 ^= word;
    }

    #[inline]
    const fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.rotate_left(32);
    }
}

/// The 12 octets of a tuple of IPv4: local address and port, remote address and port, ports in little-endian order.
#[inline]
fn short_words(tuple: &Tuple) -> Option<([u64; 1], Rest)> {
    let (local, remote) = (&tuple.local, &tuple.remote);
    let (IpAddr::V4(here), IpAddr::V4(there)) = (local.addr, remote.addr) else {
        return None;
    };
    let (near, far) = (u64::from(local.port), u64::from(remote.port));
    let here = u64::from(u32::from_le_bytes(here.octets()));
    let there = u64::from(u32::from_le_bytes(there.octets()));
    let word = here | near << 32 | there << 48;
    let octets = there >> 16 | far << 16;
    Some(([word], Rest { octets, len: 4 }))
}

/// The 36 octets of a tuple, IPv4 addresses as those of IPv6 that they map to, in the same order.
fn long_words(tuple: &Tuple) -> ([u64; 4], Rest) {
    let (local, remote) = (&tuple.local, &tuple.remote);
    let (near, far) = (u64::from(local.port), u64::from(remote.port));
    let (here, there) = (words_of(local.addr), words_of(remote.addr));
    let third = near | there[0] << 16;
    let fourth = there[0] >> 48 | there[1] << 16;
    let octets = there[1] >> 48 | far << 16;
    ([here[0], here[1], third, fourth], Rest { octets, len: 4 })
}

/// The octets of an IPv6 address; of an IPv4 address, those of the IPv6 address it maps to.
pub(crate) fn words_of(addr: IpAddr) -> [u64; 2] {
    let octets = match addr {
        IpAddr::V4(addr) => addr.to_ipv6_mapped().octets(),
        IpAddr::V6(addr) => addr.octets(),
    };
    let bits = u128::from_le_bytes(octets);
    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
    [bits as u64, (bits >> 64) as u64]
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;
    use siphasher::sip::{SipHasher13, SipHasher24};

    use super::*;
    use crate::tuple::Endpoint;

    fn octets(tuple: &Tuple) -> Vec<u8> {
        let mut octets = Vec::new();
        for Endpoint { addr, port } in [tuple.local, tuple.remote] {
            match addr {
                IpAddr::V4(addr) => octets.extend(addr.octets()),
                IpAddr::V6(addr) => octets.extend(addr.octets()),
            }
            octets.extend(port.to_le_bytes());
        }
        octets
    }

    proptest! {
        #[test]
        fn words_hash_as_their_octets_do(key: [u8; 16], words: [u64; 3], last: u32) {
            let mut octets: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            let whole = SipKey::new(&key).hash24(words, Rest::NONE);
            prop_assert_eq!(whole, SipHasher24::new_with_key(&key).hash(&octets));
            octets.extend(last.to_le_bytes());
            let longer = SipKey::new(&key).hash13(words, Rest::four(last));
            prop_assert_eq!(longer, SipHasher13::new_with_key(&key).hash(&octets));
        }

        #[test]
        fn tuples_hash_as_their_octets_do(key: [u8; 16], ends: [([u8; 16], u16); 2], short: bool) {
            let [local, remote] = ends.map(|(addr, port)| {
                let [a, b, c, d, ..] = addr;
                let addr = if short { [a, b, c, d].into() } else { addr.into() };
                Endpoint::new(addr, port)
            });
            let tuple = Tuple::new(local, remote);
            let octets = octets(&tuple);
            let sip = SipKey::new(&key);
            prop_assert_eq!(sip.tuple(&tuple), SipHasher13::new_with_key(&key).hash(&octets));
            prop_assert_eq!(sip.tuple24(&tuple), SipHasher24::new_with_key(&key).hash(&octets));
        }
    }
}
