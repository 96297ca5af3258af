//! What IPv4 and IPv6 headers have in common: protocol numbers and the ECN codepoint.

use core::fmt;

/// An IP protocol number: what follows an IPv4 header, or an IPv6 header's *next header*.
///
/// A newtype and not an enum, because any number may arrive and must survive being passed on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct IpProtocol(pub u8);

impl IpProtocol {
    /// IPv6 hop-by-hop options (RFC 8200 4.3).
    pub const HOP_BY_HOP: Self = Self(0);
    /// ICMP for IPv4 (RFC 792).
    pub const ICMP: Self = Self(1);
    /// TCP (RFC 9293).
    pub const TCP: Self = Self(6);
    /// UDP (RFC 768).
    pub const UDP: Self = Self(17);
    /// IPv6 routing header (RFC 8200 4.4).
    pub const ROUTING: Self = Self(43);
    /// IPv6 fragment header (RFC 8200 4.5).
    pub const FRAGMENT: Self = Self(44);
    /// Encapsulating security payload (RFC 4303).
    pub const ESP: Self = Self(50);
    /// Authentication header (RFC 4302).
    pub const AUTHENTICATION: Self = Self(51);
    /// ICMP for IPv6 (RFC 4443).
    pub const ICMPV6: Self = Self(58);
    /// IPv6 "no next header" (RFC 8200 4.7).
    pub const NO_NEXT_HEADER: Self = Self(59);
    /// IPv6 destination options (RFC 8200 4.6).
    pub const DESTINATION_OPTIONS: Self = Self(60);
}

impl fmt::Display for IpProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::HOP_BY_HOP => "hop-by-hop options",
            Self::ICMP => "ICMP",
            Self::TCP => "TCP",
            Self::UDP => "UDP",
            Self::ROUTING => "routing header",
            Self::FRAGMENT => "fragment header",
            Self::ESP => "ESP",
            Self::AUTHENTICATION => "AH",
            Self::ICMPV6 => "ICMPv6",
            Self::NO_NEXT_HEADER => "no next header",
            Self::DESTINATION_OPTIONS => "destination options",
            Self(other) => return write!(f, "protocol {other}"),
        })
    }
}

/// The explicit congestion notification codepoint of an IP packet (RFC 3168 5).
///
/// It is the low two bits of the traffic class; the upper six are the DSCP.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum Ecn {
    /// `00`: the sender does not take part in ECN.
    #[default]
    NotEct,
    /// `01`: ECN-capable, ECT(1) (L4S: RFC 9331).
    Ect1,
    /// `10`: ECN-capable, ECT(0).
    Ect0,
    /// `11`: a router on the path was congested.
    Ce,
}

impl Ecn {
    /// Reads the codepoint from the low two bits of a traffic class octet.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        match bits & 0b11 {
            0b00 => Self::NotEct,
            0b01 => Self::Ect1,
            0b10 => Self::Ect0,
            _ => Self::Ce,
        }
    }

    /// The two bits as they stand in the traffic class octet.
    #[must_use]
    pub const fn bits(self) -> u8 {
        match self {
            Self::NotEct => 0b00,
            Self::Ect1 => 0b01,
            Self::Ect0 => 0b10,
            Self::Ce => 0b11,
        }
    }

    /// Whether the sender declared the packet ECN-capable (any codepoint but `NotEct`).
    #[must_use]
    pub const fn is_capable(self) -> bool {
        !matches!(self, Self::NotEct)
    }
}

impl fmt::Display for Ecn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotEct => "Not-ECT",
            Self::Ect1 => "ECT(1)",
            Self::Ect0 => "ECT(0)",
            Self::Ce => "CE",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn ecn_codepoints_follow_rfc_3168() {
        for (bits, ecn) in [
            (0, Ecn::NotEct),
            (1, Ecn::Ect1),
            (2, Ecn::Ect0),
            (3, Ecn::Ce),
        ] {
            assert_eq!(Ecn::from_bits(bits), ecn);
            assert_eq!(
                Ecn::from_bits(bits | 0xfc),
                ecn,
                "the DSCP is not looked at"
            );
            assert_eq!(ecn.bits(), bits);
            assert_eq!(ecn.is_capable(), bits != 0);
        }
    }

    #[test]
    fn protocols_print_their_names() {
        assert_eq!(IpProtocol::TCP.to_string(), "TCP");
        assert_eq!(IpProtocol(200).to_string(), "protocol 200");
    }
}
