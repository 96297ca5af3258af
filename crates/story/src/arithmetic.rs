//! How an ACK field comes about: the sum a student should be able to do by hand.

use std::fmt;

use crate::model::{Number, Segment};
use handwave_wire::TcpFlags;

/// The sum behind one ACK field (RFC 9293 3.4: a SYN and a FIN take one number each, every octet of text takes one).
///
/// Prints without words, so that it needs no translation: `ACK = SEQ X+1 + LEN 1460 = X+1461`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arithmetic {
    /// The sequence number of the last segment acknowledged.
    pub seq: Number,
    /// Its octets of text.
    pub len: u32,
    /// Whether a SYN adds one.
    pub syn: bool,
    /// Whether a FIN adds one.
    pub fin: bool,
    /// The result: the next number expected.
    pub ack: Number,
}

impl Arithmetic {
    /// The sum by which receiving all of `segment` leads to an ACK.
    pub fn of(segment: &Segment) -> Self {
        Self {
            seq: segment.seq,
            len: segment.len,
            syn: segment.has(TcpFlags::SYN),
            fin: segment.has(TcpFlags::FIN),
            ack: segment.end(),
        }
    }
}

impl fmt::Display for Arithmetic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ACK = SEQ {}", self.seq)?;
        if self.len > 0 {
            write!(f, " + LEN {}", self.len)?;
        }
        if self.syn {
            f.write_str(" + 1 (SYN)")?;
        }
        if self.fin {
            f.write_str(" + 1 (FIN)")?;
        }
        write!(f, " = {}", self.ack)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Side;

    fn sum(offset: i64, len: u32, syn: bool, fin: bool) -> String {
        let seq = Number {
            side: Side::A,
            offset,
        };
        let ack = seq + i64::from(len) + i64::from(syn) + i64::from(fin);
        Arithmetic {
            seq,
            len,
            syn,
            fin,
            ack,
        }
        .to_string()
    }

    #[test]
    fn the_sum_can_be_done_by_hand() {
        assert_eq!(sum(0, 0, true, false), "ACK = SEQ X + 1 (SYN) = X+1");
        assert_eq!(
            sum(1, 1460, false, false),
            "ACK = SEQ X+1 + LEN 1460 = X+1461"
        );
        assert_eq!(
            sum(1461, 0, false, true),
            "ACK = SEQ X+1461 + 1 (FIN) = X+1462"
        );
        assert_eq!(
            sum(1, 9, false, true),
            "ACK = SEQ X+1 + LEN 9 + 1 (FIN) = X+11"
        );
        assert_eq!(
            sum(-300, 100, false, false),
            "ACK = SEQ X-300 + LEN 100 = X-200"
        );
    }
}
