//! Ethernet II frames and hardware addresses (RFC 894, RFC 2464).

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};

use crate::ParseError;
use crate::octets::front_mut;

/// A 48-bit hardware address.
///
/// # Examples
///
/// ```
/// use handwave_wire::ethernet::MacAddr;
///
/// assert_eq!(MacAddr([0x02, 0, 0, 0, 0, 0x2a]).to_string(), "02:00:00:00:00:2a");
/// assert!(MacAddr::BROADCAST.is_multicast());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// Every station on the link.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// No address at all, as in the target of an ARP request.
    pub const UNSPECIFIED: Self = Self([0; 6]);

    /// The octets in the order of the wire.
    #[must_use]
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }

    /// Whether the address names a group of stations, or all of them.
    #[must_use]
    pub const fn is_multicast(self) -> bool {
        let Self([first, ..]) = self;
        first & 1 == 1
    }

    /// Whether the address names every station.
    #[must_use]
    pub const fn is_broadcast(self) -> bool {
        matches!(self, Self::BROADCAST)
    }

    /// Whether the address may name one station: neither a group nor all zeros.
    #[must_use]
    pub const fn is_unicast(self) -> bool {
        !self.is_multicast() && !matches!(self, Self::UNSPECIFIED)
    }

    /// The group address that an IPv4 multicast group maps to (RFC 1112 6.4): its low 23 bits.
    #[must_use]
    pub const fn of_ipv4_group(group: Ipv4Addr) -> Self {
        let [_, b, c, d] = group.octets();
        Self([0x01, 0x00, 0x5e, b & 0x7f, c, d])
    }

    /// The group address that an IPv6 multicast group maps to (RFC 2464 7): its low 32 bits.
    #[must_use]
    pub const fn of_ipv6_group(group: Ipv6Addr) -> Self {
        let [.., a, b, c, d] = group.octets();
        Self([0x33, 0x33, a, b, c, d])
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([a, b, c, d, e, g]) = self;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What an Ethernet frame carries.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct EtherType(pub u16);

impl EtherType {
    /// IPv4 (RFC 894).
    pub const IPV4: Self = Self(0x0800);
    /// ARP (RFC 826).
    pub const ARP: Self = Self(0x0806);
    /// A VLAN tag (IEEE 802.1Q); the type of what it tags comes after.
    pub const VLAN: Self = Self(0x8100);
    /// IPv6 (RFC 2464).
    pub const IPV6: Self = Self(0x86dd);

    /// The smallest type; a field below it is an IEEE 802.3 length.
    const MIN: u16 = 0x0600;
}

/// What the header of an Ethernet II frame says.
///
/// # Examples
///
/// ```
/// use handwave_wire::ethernet::{EtherType, EthernetHeader, MacAddr};
///
/// let header = EthernetHeader {
///     destination: MacAddr::BROADCAST,
///     source: MacAddr([2, 0, 0, 0, 0, 1]),
///     ethertype: EtherType::ARP,
/// };
/// let mut frame = [0; 14];
/// header.emit(&mut frame);
/// assert_eq!(EthernetHeader::parse(&frame), Ok((header, 14)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct EthernetHeader {
    /// Whom the frame is for.
    pub destination: MacAddr,
    /// Who sent it.
    pub source: MacAddr,
    /// What it carries.
    pub ethertype: EtherType,
}

impl EthernetHeader {
    /// The length of the header in octets.
    pub const LEN: usize = 14;

    /// Reads the header at the front of a frame and returns it with its length in octets.
    ///
    /// # Errors
    ///
    /// [`ParseError::Truncated`] if there are fewer than 14 octets, [`ParseError::Unsupported`] for a frame of IEEE 802.3 with a
    /// length in place of the type.
    #[inline]
    pub fn parse(frame: &[u8]) -> Result<(Self, usize), ParseError> {
        let &[d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1]: &[u8; Self::LEN] =
            frame.first_chunk().ok_or(ParseError::Truncated)?;
        let ethertype = u16::from_be_bytes([t0, t1]);
        if ethertype < EtherType::MIN {
            return Err(ParseError::Unsupported);
        }
        let header = Self {
            destination: MacAddr([d0, d1, d2, d3, d4, d5]),
            source: MacAddr([s0, s1, s2, s3, s4, s5]),
            ethertype: EtherType(ethertype),
        };
        Ok((header, Self::LEN))
    }

    /// Writes the header into the first 14 octets of `buffer`.
    ///
    /// # Panics
    ///
    /// If `buffer` is shorter than 14 octets.
    #[inline]
    pub fn emit(&self, buffer: &mut [u8]) {
        let [d0, d1, d2, d3, d4, d5] = self.destination.octets();
        let [s0, s1, s2, s3, s4, s5] = self.source.octets();
        let [t0, t1] = self.ethertype.0.to_be_bytes();
        *front_mut(buffer) = [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::ToString;

    const FRAME: [u8; 16] = [
        0x33, 0x33, 0xff, 0x00, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0x86, 0xdd, 0xaa,
        0xbb,
    ];

    #[test]
    fn reads_and_writes_a_known_header() {
        let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00, 2);
        let expected = EthernetHeader {
            destination: MacAddr::of_ipv6_group(group),
            source: MacAddr([2, 0, 0, 0, 0, 1]),
            ethertype: EtherType::IPV6,
        };
        assert_eq!(EthernetHeader::parse(&FRAME), Ok((expected, 14)));
        let mut octets = [0xaa, 0xbb].repeat(8);
        expected.emit(&mut octets);
        assert_eq!(octets, FRAME);
    }

    #[test]
    fn refuses_what_is_no_header() {
        assert_eq!(
            EthernetHeader::parse(&FRAME[..13]),
            Err(ParseError::Truncated)
        );
        let mut ieee = FRAME;
        ieee[12..14].copy_from_slice(&1500_u16.to_be_bytes());
        assert_eq!(EthernetHeader::parse(&ieee), Err(ParseError::Unsupported));
    }

    #[test]
    fn addresses_know_what_they_name() {
        let one = MacAddr([2, 0, 0, 0, 0, 1]);
        let group = MacAddr::of_ipv4_group(Ipv4Addr::new(239, 255, 0, 1));
        assert_eq!(group.to_string(), "01:00:5e:7f:00:01");
        for (address, unicast, multicast, broadcast) in [
            (one, true, false, false),
            (group, false, true, false),
            (MacAddr::BROADCAST, false, true, true),
            (MacAddr::UNSPECIFIED, false, false, false),
        ] {
            assert_eq!(address.is_unicast(), unicast, "{address}");
            assert_eq!(address.is_multicast(), multicast, "{address}");
            assert_eq!(address.is_broadcast(), broadcast, "{address}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(destination: [u8; 6], source: [u8; 6], ethertype in 0x0600..=u16::MAX) {
            let header = EthernetHeader {
                destination: MacAddr(destination),
                source: MacAddr(source),
                ethertype: EtherType(ethertype),
            };
            let mut frame = [0; EthernetHeader::LEN];
            header.emit(&mut frame);
            prop_assert_eq!(EthernetHeader::parse(&frame), Ok((header, EthernetHeader::LEN)));
        }

        #[test]
        fn arbitrary_octets_never_panic(frame in prop::collection::vec(any::<u8>(), 0..20)) {
            let parsed = EthernetHeader::parse(&frame);
            prop_assert!(parsed.is_err() || frame.len() >= EthernetHeader::LEN);
        }
    }
}
