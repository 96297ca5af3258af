//! The control bits of a TCP header.

use core::fmt;
use core::ops::{BitAnd, BitOr, BitOrAssign};

/// A set of TCP control bits (RFC 9293 3.1).
///
/// [`Display`](fmt::Display) prints them as tcpdump does: `S`, `S.`, `P.`, `F.`, `R`, and `none` for the empty set.
///
/// # Examples
///
/// ```
/// use handwave_wire::TcpFlags;
///
/// let flags = TcpFlags::SYN | TcpFlags::ACK;
/// assert!(flags.contains(TcpFlags::SYN));
/// assert!(!flags.contains(TcpFlags::SYN | TcpFlags::RST));
/// assert_eq!(flags.to_string(), "S.");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TcpFlags(u16);

impl TcpFlags {
    /// No bit at all.
    pub const EMPTY: Self = Self(0);
    /// No more data from the sender.
    pub const FIN: Self = Self(1 << 0);
    /// Synchronise sequence numbers.
    pub const SYN: Self = Self(1 << 1);
    /// Reset the connection.
    pub const RST: Self = Self(1 << 2);
    /// Push: deliver what has arrived to the application.
    pub const PSH: Self = Self(1 << 3);
    /// The acknowledgment field is significant.
    pub const ACK: Self = Self(1 << 4);
    /// The urgent pointer is significant.
    pub const URG: Self = Self(1 << 5);
    /// ECN echo (RFC 3168 6.1).
    pub const ECE: Self = Self(1 << 6);
    /// Congestion window reduced (RFC 3168 6.1).
    pub const CWR: Self = Self(1 << 7);
    /// Accurate ECN (RFC 9768), the bit that was once the ECN nonce sum.
    pub const AE: Self = Self(1 << 8);

    const ALL: u16 = (1 << 9) - 1;

    /// Keeps the nine bits that have a meaning and drops the reserved ones, which a receiver ignores (RFC 9293 3.1).
    #[must_use]
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits & Self::ALL)
    }

    /// The bits as they stand in the low half of the 13th and 14th octet of the header.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// Whether no bit is set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether every bit of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether at least one bit of `other` is set.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The bits set in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The bits set here and not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOr for TcpFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl BitOrAssign for TcpFlags {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

impl BitAnd for TcpFlags {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl fmt::Display for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        let letters = [
            (Self::FIN, "F"),
            (Self::SYN, "S"),
            (Self::RST, "R"),
            (Self::PSH, "P"),
            (Self::ACK, "."),
            (Self::URG, "U"),
            (Self::ECE, "E"),
            (Self::CWR, "W"),
            (Self::AE, "e"),
        ];
        for (flag, letter) in letters {
            if self.contains(flag) {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{self}]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::format;
    use std::string::ToString;

    #[test]
    fn prints_as_tcpdump_does() {
        let table = [
            (TcpFlags::EMPTY, "none"),
            (TcpFlags::SYN, "S"),
            (TcpFlags::SYN | TcpFlags::ACK, "S."),
            (TcpFlags::FIN | TcpFlags::ACK, "F."),
            (TcpFlags::PSH | TcpFlags::ACK, "P."),
            (TcpFlags::RST | TcpFlags::ACK, "R."),
            (TcpFlags::ACK, "."),
            (TcpFlags::SYN | TcpFlags::ECE | TcpFlags::CWR, "SEW"),
            (TcpFlags::from_bits(u16::MAX), "FSRP.UEWe"),
        ];
        for (flags, text) in table {
            assert_eq!(flags.to_string(), text);
            assert_eq!(format!("{flags:?}"), format!("[{text}]"));
        }
    }

    #[test]
    fn set_operations() {
        let syn_ack = TcpFlags::SYN | TcpFlags::ACK;
        assert!(syn_ack.contains(TcpFlags::EMPTY) && syn_ack.contains(syn_ack));
        assert!(!TcpFlags::SYN.contains(syn_ack) && TcpFlags::SYN.intersects(syn_ack));
        assert!(!TcpFlags::FIN.intersects(syn_ack));
        assert_eq!(syn_ack.without(TcpFlags::SYN), TcpFlags::ACK);
        assert_eq!(syn_ack & TcpFlags::SYN, TcpFlags::SYN);
        assert_eq!(
            TcpFlags::from_bits(0xfe02),
            TcpFlags::SYN,
            "reserved bits are ignored"
        );
    }
}
