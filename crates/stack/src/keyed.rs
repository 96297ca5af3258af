//! Hashing with a secret: an attacker who chooses addresses and ports cannot choose the bucket.
//!
//! SipHash-1-3 wherever a value may be seen or guessed at: fast on short inputs and not invertible without the key. The table of
//! tuples, whose hashes stay in it, has the quicker [`TupleHash`]. The keys are derived from the stack's secrets, one for each
//! use, so what one use shows says nothing about another.

use core::hash::{BuildHasher, Hasher};
use core::net::IpAddr;
use handwave_tcp::{SipKey, Tuple, TupleHash};
use siphasher::sip::SipHasher13;

/// A SipHash-1-3 key. As a [`BuildHasher`] it keys the maps of this crate.
#[derive(Clone, Copy)]
pub(crate) struct Key(u64, u64);

impl Key {
    /// Derives the key of one use from a root secret.
    pub(crate) fn derive(root: &[u8; 16], label: &[u8]) -> Self {
        let half = |tag: u8| {
            let mut hasher = SipHasher13::new_with_key(root);
            hasher.write(label);
            hasher.write_u8(tag);
            hasher.finish()
        };
        Self(half(0), half(1))
    }

    /// The hash of a byte string.
    pub(crate) fn hash(&self, bytes: &[u8]) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.0, self.1);
        hasher.write(bytes);
        hasher.finish()
    }

    /// The hash of a tuple.
    pub(crate) fn hash_tuple(&self, tuple: &Tuple) -> u64 {
        SipKey::from_halves([self.0, self.1]).tuple(tuple)
    }

    /// The key of a table of tuples, in place of this one.
    pub(crate) fn for_table(&self) -> TupleHash {
        TupleHash::from_sip(&SipKey::from_halves([self.0, self.1]))
    }

    /// The same for both directions of a connection.
    pub(crate) fn hash_pair(&self, tuple: &Tuple) -> u64 {
        match tuple.local <= tuple.remote {
            true => self.hash_tuple(tuple),
            false => self.hash_tuple(&tuple.reversed()),
        }
    }

    /// The hash of an endpoint and an address, for ports and identifications.
    pub(crate) fn hash_addresses(&self, local: IpAddr, remote: IpAddr, extra: u16) -> u64 {
        let mut input = Input::default();
        input.address(local);
        input.address(remote);
        input.push(&extra.to_be_bytes());
        self.hash(input.bytes())
    }
}

/// Says nothing about the key.
impl core::fmt::Debug for Key {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Key(..)")
    }
}

impl BuildHasher for Key {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.0, self.1)
    }
}

/// What is hashed, gathered in place so that the hash runs over whole words.
#[derive(Default)]
struct Input {
    bytes: [[u8; 4]; 10],
    len: usize,
}

impl Input {
    fn push(&mut self, part: &[u8]) {
        let end = self.len + part.len();
        if let Some(room) = self.bytes.as_flattened_mut().get_mut(self.len..end) {
            room.copy_from_slice(part);
            self.len = end;
        }
    }

    fn address(&mut self, addr: IpAddr) {
        match addr {
            IpAddr::V4(addr) => self.push(&addr.octets()),
            IpAddr::V6(addr) => self.push(&addr.octets()),
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes.as_flattened()[..self.len]
    }
}

/// A fast hash without a secret, for tables whose keys only the operator chooses: an attacker may look up what they
/// like, but cannot make entries collide.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Plain;

impl BuildHasher for Plain {
    type Hasher = PlainHasher;

    fn build_hasher(&self) -> PlainHasher {
        PlainHasher(0)
    }
}

/// Multiplies and rotates word by word.
#[derive(Debug)]
pub(crate) struct PlainHasher(u64);

impl PlainHasher {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(26) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for PlainHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.add(u64::from_le_bytes(*word));
        }
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            self.add(u64::from_le_bytes(word));
        }
    }

    fn write_u16(&mut self, word: u16) {
        self.add(word.into());
    }

    fn write_u32(&mut self, word: u32) {
        self.add(word.into());
    }

    fn write_u64(&mut self, word: u64) {
        self.add(word);
    }

    fn write_usize(&mut self, word: usize) {
        self.add(word as u64);
    }

    fn finish(&self) -> u64 {
        // The table looks at the high and at the low bits: both must depend on everything.
        self.0 ^ (self.0 >> 32)
    }
}

/// A small deterministic generator (SplitMix64) for choices that need no secrecy beyond their seed.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 if `bound` is 0.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        (((self.next() >> 32) * u64::from(bound)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, Random};
    use handwave_tcp::{Endpoint, Tuple};

    fn tuple(port: u16) -> Tuple {
        Tuple {
            local: Endpoint::new([10, 0, 0, 1].into(), 80),
            remote: Endpoint::new([10, 0, 0, 2].into(), port),
        }
    }

    #[test]
    fn another_key_or_another_tuple_is_another_hash() {
        let key = Key::derive(&[7; 16], b"demux");
        let other = Key::derive(&[7; 16], b"ports");
        assert_eq!(key.hash_tuple(&tuple(1)), key.hash_tuple(&tuple(1)));
        assert_ne!(key.hash_tuple(&tuple(1)), key.hash_tuple(&tuple(2)));
        assert_ne!(
            key.hash_tuple(&tuple(1)),
            key.hash_tuple(&tuple(1).reversed())
        );
        assert_ne!(key.hash_tuple(&tuple(1)), other.hash_tuple(&tuple(1)));
    }

    #[test]
    fn below_stays_below() {
        let mut random = Random::new(1);
        let mut seen = [false; 3];
        for _ in 0..100 {
            seen[random.below(3) as usize] = true;
        }
        assert_eq!(seen, [true; 3]);
        assert_eq!(random.below(0), 0);
    }
}
