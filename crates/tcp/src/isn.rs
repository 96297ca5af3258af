//! Initial sequence numbers nobody can guess (RFC 6528) and timestamp offsets nobody can read a clock from (RFC 7323 5.4).

use handwave_wire::SeqNum;

use crate::siphash::SipKey;
use crate::time::Instant;
use crate::tuple::Tuple;

/// ISN = M + F(tuple, key): a 4 µs clock plus a keyed hash of the connection (RFC 6528 3).
///
/// For one tuple the numbers rise with time, so that a new incarnation starts above the old one; between tuples they are
/// unrelated to anyone without the key.
pub(crate) fn initial_sequence_number(key: &[u8; 16], tuple: &Tuple, now: Instant) -> SeqNum {
    SeqNum::new(low_half(SipKey::new(key).tuple24(tuple))) + low_half(now.as_micros() / 4)
}

/// What is added to the millisecond clock to give TSval on this tuple.
///
/// Who guesses it reads a clock, and can forge nothing without the sequence numbers: fewer rounds than those get are enough.
pub(crate) fn timestamp_offset(key: &[u8; 16], tuple: &Tuple) -> u32 {
    low_half(SipKey::new(key).tuple(tuple))
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the clock and the hash count modulo 2^32"
)]
const fn low_half(value: u64) -> u32 {
    value as u32
}

#[cfg(test)]
mod tests {
    use core::net::IpAddr;
    use core::time::Duration;

    use super::*;
    use crate::tuple::Endpoint;

    fn tuple(port: u16) -> Tuple {
        let end = |last, port| Endpoint::new(IpAddr::from([192, 0, 2, last]), port);
        Tuple::new(end(1, port), end(2, 80))
    }

    #[test]
    fn the_clock_ticks_every_four_microseconds() {
        // [MUST-8]
        let at = |now| initial_sequence_number(&[7; 16], &tuple(1024), now);
        let start = Instant::from_secs(9);
        assert_eq!(at(start + Duration::from_micros(4)), at(start) + 1);
        assert_eq!(at(start + Duration::from_secs(1)), at(start) + 250_000);
    }

    #[test]
    fn tuples_and_keys_are_unrelated() {
        // [MUST-9] [SHLD-1]
        let at = |key: u8, port| initial_sequence_number(&[key; 16], &tuple(port), Instant::ZERO);
        assert_ne!(at(1, 1024), at(1, 1025));
        assert_ne!(at(1, 1024), at(2, 1024));
        assert_ne!(
            timestamp_offset(&[1; 16], &tuple(1)),
            timestamp_offset(&[1; 16], &tuple(2))
        );
    }
}
