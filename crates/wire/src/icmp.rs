//! What ICMP for IPv4 and for IPv6 have in common: echoes, and the packet quoted in an error.

#[cfg(test)]
mod tests;

use core::net::IpAddr;

use crate::ipv4::Ipv4Header;
use crate::ipv6::{ExtensionLimits, Ipv6Header, skip_extensions};
use crate::{IpProtocol, ParseError, SeqNum};

/// The type, code and checksum every message begins with, and the word that most have after them.
pub(crate) const HEADER_LEN: usize = 8;

/// An echo request or reply (RFC 792, RFC 4443 4).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Echo<'a> {
    /// Which run of requests this one belongs to.
    pub identifier: u16,
    /// Which request of the run.
    pub sequence: u16,
    /// What the reply repeats.
    pub data: &'a [u8],
}

impl<'a> Echo<'a> {
    pub(crate) const fn parse(word: [u8; 4], data: &'a [u8]) -> Self {
        let [i0, i1, s0, s1] = word;
        Self {
            identifier: u16::from_be_bytes([i0, i1]),
            sequence: u16::from_be_bytes([s0, s1]),
            data,
        }
    }

    pub(crate) const fn word(&self) -> [u8; 4] {
        let [i0, i1] = self.identifier.to_be_bytes();
        let [s0, s1] = self.sequence.to_be_bytes();
        [i0, i1, s0, s1]
    }
}

/// What ran out: the code of a Time Exceeded message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TimeExceeded {
    /// 0: the packet passed as many routers as it may.
    InTransit,
    /// 1: a fragment was missing for too long.
    Reassembly,
    /// Any other code.
    Other(u8),
}

impl TimeExceeded {
    pub(crate) const fn from_octet(code: u8) -> Self {
        match code {
            0 => Self::InTransit,
            1 => Self::Reassembly,
            other => Self::Other(other),
        }
    }

    pub(crate) const fn octet(self) -> u8 {
        match self {
            Self::InTransit => 0,
            Self::Reassembly => 1,
            Self::Other(other) => other,
        }
    }
}

/// The ports of a quoted TCP segment or UDP datagram.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct QuotedPorts {
    /// The port of who sent the packet that caused the error.
    pub source: u16,
    /// The port the packet was sent to.
    pub destination: u16,
}

/// What can be learnt from the packet quoted in an ICMP error.
///
/// It was sent by the receiver of the error, so `source` is the receiver's own address. Anybody can write anything here:
/// RFC 5927 tells what to check before it is believed, first of all that `seq` is in flight.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct QuotedPacket {
    /// Who sent the packet that caused the error.
    pub source: IpAddr,
    /// Whom it was for.
    pub destination: IpAddr,
    /// What it carried.
    pub protocol: IpProtocol,
    /// How long it was, header included, as far as it says: what an old router means by an MTU of 0 (RFC 1191 5).
    pub packet_len: u32,
    /// The ports, if it carried TCP or UDP and enough of it is quoted.
    pub ports: Option<QuotedPorts>,
    /// SEG.SEQ, if it carried TCP and enough of it is quoted.
    pub seq: Option<SeqNum>,
}

impl QuotedPacket {
    /// Reads an IPv4 packet cut anywhere after its header.
    ///
    /// Its checksum and lengths are not verified, because routers on the way may have changed them. Of a fragment other than the
    /// first, ports and sequence number are not known.
    ///
    /// # Errors
    ///
    /// [`ParseError`] if not even the header is there.
    pub fn parse_ipv4(octets: &[u8]) -> Result<Self, ParseError> {
        let (header, header_len, total_len) = Ipv4Header::read(octets)?;
        let transport = match header.fragment_offset {
            0 => octets.get(header_len..).unwrap_or_default(),
            _ => &[],
        };
        Ok(Self {
            source: header.source.into(),
            destination: header.destination.into(),
            protocol: header.protocol,
            packet_len: u32::try_from(total_len).unwrap_or(u32::MAX),
            ports: ports(header.protocol, transport),
            seq: seq(header.protocol, transport),
        })
    }

    /// Reads an IPv6 packet cut anywhere after its fixed header, and steps over its extension headers.
    ///
    /// If they are cut or too many, `protocol` is the first of them. Of a fragment other than the first, `protocol` is
    /// [`IpProtocol::FRAGMENT`].
    ///
    /// # Errors
    ///
    /// [`ParseError`] if not even the fixed header is there.
    pub fn parse_ipv6(octets: &[u8]) -> Result<Self, ParseError> {
        let header = Ipv6Header::read(octets)?;
        let payload = octets.get(Ipv6Header::LEN..).unwrap_or_default();
        let (protocol, offset) =
            skip_extensions(header.next_header, payload, ExtensionLimits::default())
                .unwrap_or((header.next_header, 0));
        let transport = payload.get(offset..).unwrap_or_default();
        Ok(Self {
            source: header.source.into(),
            destination: header.destination.into(),
            protocol,
            packet_len: u32::try_from(header.packet_len()).unwrap_or(u32::MAX),
            ports: ports(protocol, transport),
            seq: seq(protocol, transport),
        })
    }
}

fn ports(protocol: IpProtocol, transport: &[u8]) -> Option<QuotedPorts> {
    if !matches!(protocol, IpProtocol::TCP | IpProtocol::UDP) {
        return None;
    }
    let &[s0, s1, d0, d1] = transport.first_chunk()?;
    Some(QuotedPorts {
        source: u16::from_be_bytes([s0, s1]),
        destination: u16::from_be_bytes([d0, d1]),
    })
}

fn seq(protocol: IpProtocol, transport: &[u8]) -> Option<SeqNum> {
    if protocol != IpProtocol::TCP {
        return None;
    }
    let &[_, _, _, _, s0, s1, s2, s3] = transport.first_chunk()?;
    Some(SeqNum::new(u32::from_be_bytes([s0, s1, s2, s3])))
}

/// The quoted packet without the extensions that may follow it (RFC 4884 5.1).
///
/// `len` is what the message's length field says in octets; 0 means that there are no extensions. A length beyond the message
/// comes from a router that does not know RFC 4884 and left something in a field that used to be unused.
pub(crate) fn original_datagram(octets: &[u8], len: usize) -> &[u8] {
    match len {
        0 => octets,
        _ => octets.get(..len).unwrap_or(octets),
    }
}

/// Writes `checksum` behind the type and code of a message.
pub(crate) fn set_checksum(message: &mut [u8], checksum: u16) {
    if let [_, _, c0, c1, ..] = message {
        [*c0, *c1] = checksum.to_be_bytes();
    }
}
