//! The Address Resolution Protocol for IPv4 over Ethernet (RFC 826).

use core::net::Ipv4Addr;

use crate::ParseError;
use crate::ethernet::{EtherType, MacAddr};
use crate::octets::{Reader, Writer};

const HARDWARE_ETHERNET: u16 = 1;
const HARDWARE_LEN: u8 = 6;
const PROTOCOL_LEN: u8 = 4;

/// What an ARP packet asks or tells.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ArpOperation {
    /// Who has the target's IP address?
    Request,
    /// The sender has the sender's IP address.
    Reply,
}

/// An ARP packet for IPv4 over Ethernet.
///
/// # Examples
///
/// ```
/// use core::net::Ipv4Addr;
/// use handwave_wire::arp::{ArpOperation, ArpPacket};
/// use handwave_wire::ethernet::MacAddr;
///
/// let request = ArpPacket {
///     operation: ArpOperation::Request,
///     sender_mac: MacAddr([2, 0, 0, 0, 0, 1]),
///     sender_ip: Ipv4Addr::new(192, 0, 2, 1),
///     target_mac: MacAddr::UNSPECIFIED,
///     target_ip: Ipv4Addr::new(192, 0, 2, 2),
/// };
/// let mut octets = [0; 28];
/// request.emit(&mut octets);
/// assert_eq!(ArpPacket::parse(&octets), Ok(request));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ArpPacket {
    /// Question or answer.
    pub operation: ArpOperation,
    /// The hardware address of who sent the packet.
    pub sender_mac: MacAddr,
    /// The IP address of who sent the packet; unspecified in a probe (RFC 5227).
    pub sender_ip: Ipv4Addr,
    /// The hardware address asked for, or of who asked.
    pub target_mac: MacAddr,
    /// The IP address asked about, or of who asked.
    pub target_ip: Ipv4Addr,
}

impl ArpPacket {
    /// The length of a packet in octets.
    pub const LEN: usize = 28;

    /// Reads a packet; octets after it are padding of the link.
    ///
    /// # Errors
    ///
    /// [`ParseError::Truncated`] if there are fewer than 28 octets, [`ParseError::Unsupported`] if it is not about IPv4 over
    /// Ethernet or neither request nor reply.
    pub fn parse(octets: &[u8]) -> Result<Self, ParseError> {
        let mut reader = Reader::new(octets);
        let [h0, h1, p0, p1, hardware_len, protocol_len, o0, o1] = reader.array()?;
        let operation = match u16::from_be_bytes([o0, o1]) {
            1 => ArpOperation::Request,
            2 => ArpOperation::Reply,
            _ => return Err(ParseError::Unsupported),
        };
        if u16::from_be_bytes([h0, h1]) != HARDWARE_ETHERNET
            || u16::from_be_bytes([p0, p1]) != EtherType::IPV4.0
            || (hardware_len, protocol_len) != (HARDWARE_LEN, PROTOCOL_LEN)
        {
            return Err(ParseError::Unsupported);
        }
        Ok(Self {
            operation,
            sender_mac: MacAddr(reader.array()?),
            sender_ip: Ipv4Addr::from(reader.array::<4>()?),
            target_mac: MacAddr(reader.array()?),
            target_ip: Ipv4Addr::from(reader.array::<4>()?),
        })
    }

    /// Writes the packet into the first 28 octets of `buffer`.
    ///
    /// # Panics
    ///
    /// If `buffer` is shorter than 28 octets.
    pub fn emit(&self, buffer: &mut [u8]) {
        let operation: u16 = match self.operation {
            ArpOperation::Request => 1,
            ArpOperation::Reply => 2,
        };
        let mut writer = Writer::new(buffer);
        writer.put(&HARDWARE_ETHERNET.to_be_bytes());
        writer.put(&EtherType::IPV4.0.to_be_bytes());
        writer.put(&[HARDWARE_LEN, PROTOCOL_LEN]);
        writer.put(&operation.to_be_bytes());
        writer.put(&self.sender_mac.octets());
        writer.put(&self.sender_ip.octets());
        writer.put(&self.target_mac.octets());
        writer.put(&self.target_ip.octets());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 192.0.2.1 tells 192.0.2.2 its hardware address.
    const REPLY: [u8; 28] = [
        0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x02, 0x02, 0x00, 0x00, 0x00, 0x00, 0x01, 0xc0,
        0x00, 0x02, 0x01, 0x02, 0x00, 0x00, 0x00, 0x00, 0x02, 0xc0, 0x00, 0x02, 0x02,
    ];

    #[test]
    fn reads_and_writes_a_known_packet() {
        let reply = ArpPacket {
            operation: ArpOperation::Reply,
            sender_mac: MacAddr([2, 0, 0, 0, 0, 1]),
            sender_ip: Ipv4Addr::new(192, 0, 2, 1),
            target_mac: MacAddr([2, 0, 0, 0, 0, 2]),
            target_ip: Ipv4Addr::new(192, 0, 2, 2),
        };
        assert_eq!(ArpPacket::parse(&REPLY), Ok(reply));
        let mut octets = [0xee; 30];
        reply.emit(&mut octets);
        assert_eq!(octets[..28], REPLY);
        assert_eq!(octets[28..], [0xee; 2]);
        let padded = [&REPLY[..], &[0; 18]].concat();
        assert_eq!(ArpPacket::parse(&padded), Ok(reply));
    }

    #[test]
    fn refuses_what_it_is_not_for() {
        assert_eq!(ArpPacket::parse(&REPLY[..27]), Err(ParseError::Truncated));
        assert_eq!(ArpPacket::parse(&[]), Err(ParseError::Truncated));
        for (at, name) in [
            (1, "hardware type"),
            (3, "protocol"),
            (4, "hardware length"),
            (5, "protocol length"),
            (7, "operation"),
        ] {
            let mut other = REPLY;
            other[at] ^= 0x20;
            assert_eq!(
                ArpPacket::parse(&other),
                Err(ParseError::Unsupported),
                "{name}"
            );
        }
    }

    proptest! {
        #[test]
        fn round_trip(is_request: bool, sender: ([u8; 6], u32), target: ([u8; 6], u32)) {
            let packet = ArpPacket {
                operation: if is_request { ArpOperation::Request } else { ArpOperation::Reply },
                sender_mac: MacAddr(sender.0),
                sender_ip: sender.1.into(),
                target_mac: MacAddr(target.0),
                target_ip: target.1.into(),
            };
            let mut octets = [0; ArpPacket::LEN];
            packet.emit(&mut octets);
            prop_assert_eq!(ArpPacket::parse(&octets), Ok(packet));
        }

        #[test]
        fn arbitrary_octets_never_panic(mut octets in prop::collection::vec(any::<u8>(), 0..40), likely: bool) {
            if likely && octets.len() >= 8 {
                octets[..8].copy_from_slice(&REPLY[..8]);
            }
            let parsed = ArpPacket::parse(&octets);
            prop_assert!(parsed.is_err() || octets.len() >= ArpPacket::LEN);
        }
    }
}
