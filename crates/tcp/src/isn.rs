//! Initial sequence numbers nobody can guess (RFC 6528) and timestamp offsets nobody can read a clock from (RFC 7323 5.4).

use handwave_wire::SeqNum;

use crate::siphash::SipKey;
use crate::time::Instant;
use crate::tuple::Tuple;

/// F(tuple, key): the two halves of one keyed hash of a connection's four numbers, neither of which says anything about the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TupleSecret {
    sequence: u32,
    /// What is added to the millisecond clock to give TSval on this tuple.
    pub(crate) timestamp_offset: u32,
}

impl TupleSecret {
    #[inline]
    pub(crate) fn of(key: &[u8; 16], tuple: &Tuple) -> Self {
        let hash = SipKey::new(key).tuple24(tuple);
        Self {
            sequence: low_half(hash),
            timestamp_offset: low_half(hash >> 32),
        }
    }

    /// ISN = M + F(tuple, key): a 4 µs clock plus a keyed hash of the connection (RFC 6528 3).
    ///
    /// For one tuple the numbers rise with time, so that a new incarnation starts above the old one; between tuples they are
    /// unrelated to anyone without the key.
    #[inline]
    pub(crate) fn isn(self, now: Instant) -> SeqNum {
        SeqNum::new(self.sequence) + low_half(now.as_micros() / 4)
    }
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
        let secret = TupleSecret::of(&[7; 16], &tuple(1024));
        let start = Instant::from_secs(9);
        let first = secret.isn(start);
        assert_eq!(secret.isn(start + Duration::from_micros(4)), first + 1);
        assert_eq!(secret.isn(start + Duration::from_secs(1)), first + 250_000);
    }

    #[test]
    fn tuples_and_keys_are_unrelated() {
        // [MUST-9] [SHLD-1]
        let of = |key: u8, port| TupleSecret::of(&[key; 16], &tuple(port));
        let isn = |secret: TupleSecret| secret.isn(Instant::ZERO);
        assert_ne!(isn(of(1, 1024)), isn(of(1, 1025)));
        assert_ne!(isn(of(1, 1024)), isn(of(2, 1024)));
        let offset = |secret: TupleSecret| secret.timestamp_offset;
        assert_ne!(offset(of(1, 1)), offset(of(1, 2)));
        assert_ne!(offset(of(1, 1)), offset(of(2, 1)));
    }
}
