//! What every application stands on: its world, Handwave in the middle, and how things are compared.

pub(crate) mod handwave;
pub(crate) mod packages;
pub(crate) mod table;
pub(crate) mod world;

use sha2::{Digest, Sha256};

/// What an application says: nothing, or what went wrong.
pub(crate) type Outcome = Result<(), String>;

/// Octets without a pattern that a lost or repeated piece would fit, the same ones for the same seed.
pub(crate) fn octets(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut octets = Vec::with_capacity(len + 8);
    while octets.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        octets.extend_from_slice(&state.to_le_bytes());
    }
    octets.truncate(len);
    octets
}

/// SHA-256 in hexadecimal.
pub(crate) fn digest(octets: &[u8]) -> String {
    format!("{:x}", Sha256::digest(octets))
}

/// Compares what arrived with what was sent.
pub(crate) fn same(what: &str, sent: &[u8], arrived: &[u8]) -> Outcome {
    if digest(sent) == digest(arrived) {
        return Ok(());
    }
    let equal = sent
        .iter()
        .zip(arrived)
        .take_while(|(sent, arrived)| sent == arrived);
    Err(format!(
        "{what}: {} octets sent, SHA-256 {}; {} arrived, SHA-256 {}; the first {} are equal",
        sent.len(),
        digest(sent),
        arrived.len(),
        digest(arrived),
        equal.count()
    ))
}

/// Looks for a text in what a program said.
pub(crate) fn contains(what: &str, text: &str, wanted: &str) -> Outcome {
    if text.contains(wanted) {
        return Ok(());
    }
    Err(format!("{what} does not contain `{wanted}`:\n{text}"))
}
