//! The IPv4 header (RFC 791 3.1, RFC 6864 for the identification, RFC 3168 for ECN).
//!
//! Options are stepped over and never sent. Reassembly, routing and what a host does with an option are in
//! `handwave-stack`.

mod options;
#[cfg(test)]
mod tests;

use core::net::Ipv4Addr;

pub use options::{Ipv4Option, Ipv4Options};

use crate::checksum::internet_checksum;
use crate::octets::front_mut;
use crate::{Ecn, IpProtocol, ParseError};

const VERSION: u8 = 4;
const DONT_FRAGMENT: u16 = 1 << 14;
const MORE_FRAGMENTS: u16 = 1 << 13;
const FRAGMENT_OFFSET: u16 = MORE_FRAGMENTS - 1;

/// What an IPv4 header says.
///
/// # Examples
///
/// ```
/// use core::net::Ipv4Addr;
/// use handwave_wire::ipv4::Ipv4Header;
/// use handwave_wire::IpProtocol;
///
/// let header = Ipv4Header {
///     payload_len: 4,
///     ..Ipv4Header::new(Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2), IpProtocol::UDP)
/// };
/// let mut frame = [0; 46]; // Ethernet pads short packets
/// header.emit(&mut frame);
///
/// let (parsed, header_len) = Ipv4Header::parse(&frame)?;
/// assert_eq!(parsed, header);
/// assert_eq!(parsed.payload(&frame, header_len).len(), 4);
/// # Ok::<(), handwave_wire::ParseError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ipv4Header {
    /// Who sent the packet.
    pub source: Ipv4Addr,
    /// Whom it is for.
    pub destination: Ipv4Addr,
    /// What the payload is.
    pub protocol: IpProtocol,
    /// How many more routers may pass it on.
    pub ttl: u8,
    /// Differentiated services codepoint, 0 to 63.
    pub dscp: u8,
    /// Explicit congestion notification.
    pub ecn: Ecn,
    /// Tells the fragments of different packets apart; without meaning in a packet that cannot be fragmented
    /// (RFC 6864 4.1).
    pub identification: u16,
    /// Routers must not fragment the packet.
    pub dont_fragment: bool,
    /// More fragments of the same packet follow this one.
    pub more_fragments: bool,
    /// Where this fragment's payload begins in the whole, in octets: a multiple of 8.
    pub fragment_offset: u16,
    /// How many octets follow the header; what comes after them is padding of the link.
    pub payload_len: u16,
}

impl Ipv4Header {
    /// The length of a header without options, in octets; what [`emit`](Self::emit) writes.
    pub const LEN: usize = 20;
    /// The largest payload beside such a header.
    pub const PAYLOAD_LEN_MAX: u16 = 65_515;

    /// Makes the header of an unfragmented packet with a TTL of 64 (RFC 1122 3.2.1.7), DF set and no payload.
    #[must_use]
    pub const fn new(source: Ipv4Addr, destination: Ipv4Addr, protocol: IpProtocol) -> Self {
        Self {
            source,
            destination,
            protocol,
            ttl: 64,
            dscp: 0,
            ecn: Ecn::NotEct,
            identification: 0,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            payload_len: 0,
        }
    }

    /// Reads the header at the front of a packet, verifies its checksum, and returns it with its length in octets,
    /// options included.
    ///
    /// # Errors
    ///
    /// [`ParseError::Truncated`] if the packet has fewer octets than its header or its total length say,
    /// [`ParseError::BadVersion`], [`ParseError::BadChecksum`], and [`ParseError::BadLength`] if the header length is below 5
    /// words, the total length below the header length, or a fragment would end past the largest packet.
    #[inline]
    pub fn parse(packet: &[u8]) -> Result<(Self, usize), ParseError> {
        Self::parse_front(packet, packet.len())
    }

    /// Does what [`parse`](Self::parse) does with a packet of `packet_len` octets of which only the front, at least the
    /// header, lies in one piece.
    ///
    /// # Errors
    ///
    /// Those of [`parse`](Self::parse).
    #[inline]
    pub fn parse_front(front: &[u8], packet_len: usize) -> Result<(Self, usize), ParseError> {
        let (header, header_len, total_len) = Self::read(front)?;
        if total_len < header_len {
            return Err(ParseError::BadLength);
        }
        if total_len > packet_len {
            return Err(ParseError::Truncated);
        }
        // One's complement: the sum over a header that includes its checksum is all ones, and the complement zero.
        let octets = front.get(..header_len).ok_or(ParseError::Truncated)?;
        if internet_checksum(octets) != 0 {
            return Err(ParseError::BadChecksum);
        }
        if header
            .fragment_offset
            .checked_add(header.payload_len)
            .is_none()
        {
            return Err(ParseError::BadLength);
        }
        Ok((header, header_len))
    }

    /// Reads the header without believing it: gives its length and the total length it claims too.
    ///
    /// This is how a header quoted in an ICMP error is read, where the packet may be cut anywhere after it, and hosts and
    /// routers on the way may have changed the total length and what the checksum covers.
    pub(crate) fn read(packet: &[u8]) -> Result<(Self, usize, usize), ParseError> {
        let &[
            version_and_len,
            class,
            t0,
            t1,
            i0,
            i1,
            f0,
            f1,
            ttl,
            protocol,
            _,
            _,
            ref addresses @ ..,
        ]: &[u8; Self::LEN] = packet.first_chunk().ok_or(ParseError::Truncated)?;
        if version_and_len >> 4 != VERSION {
            return Err(ParseError::BadVersion);
        }
        let header_len = usize::from(version_and_len & 0x0f).saturating_mul(4);
        if header_len < Self::LEN {
            return Err(ParseError::BadLength);
        }
        if header_len > packet.len() {
            return Err(ParseError::Truncated);
        }
        let total_len = usize::from(u16::from_be_bytes([t0, t1]));
        let payload_len = total_len.saturating_sub(header_len);
        let fragment = u16::from_be_bytes([f0, f1]);
        let &[s0, s1, s2, s3, d0, d1, d2, d3] = addresses;
        let header = Self {
            source: Ipv4Addr::new(s0, s1, s2, s3),
            destination: Ipv4Addr::new(d0, d1, d2, d3),
            protocol: IpProtocol(protocol),
            ttl,
            dscp: class >> 2,
            ecn: Ecn::from_bits(class),
            identification: u16::from_be_bytes([i0, i1]),
            dont_fragment: fragment & DONT_FRAGMENT != 0,
            more_fragments: fragment & MORE_FRAGMENTS != 0,
            fragment_offset: (fragment & FRAGMENT_OFFSET) << 3,
            payload_len: u16::try_from(payload_len).unwrap_or(u16::MAX),
        };
        Ok((header, header_len, total_len))
    }

    /// Whether this is one of several fragments.
    #[must_use]
    pub const fn is_fragment(&self) -> bool {
        self.more_fragments || self.fragment_offset != 0
    }

    /// The payload of the packet this header was parsed from, without padding of the link.
    #[must_use]
    pub fn payload<'a>(&self, packet: &'a [u8], header_len: usize) -> &'a [u8] {
        let payload = packet.get(header_len..).unwrap_or_default();
        payload
            .get(..usize::from(self.payload_len))
            .unwrap_or(payload)
    }

    /// Writes the header, without options and with its checksum, into the first 20 octets of `buffer`.
    ///
    /// A DSCP is cut to 6 bits, a fragment offset to a multiple of 8, and a payload above
    /// [`PAYLOAD_LEN_MAX`](Self::PAYLOAD_LEN_MAX) is written as the largest total length there is.
    ///
    /// # Panics
    ///
    /// If `buffer` is shorter than 20 octets.
    #[inline]
    pub fn emit(&self, buffer: &mut [u8]) {
        const VERSION_AND_LEN: u8 = VERSION << 4 | 5;
        let header = front_mut::<{ Self::LEN }>(buffer);

        let [t0, t1] = self.payload_len.saturating_add(20).to_be_bytes();
        let [i0, i1] = self.identification.to_be_bytes();
        let dont_fragment = if self.dont_fragment { DONT_FRAGMENT } else { 0 };
        let more_fragments = if self.more_fragments {
            MORE_FRAGMENTS
        } else {
            0
        };
        let [f0, f1] = (dont_fragment | more_fragments | self.fragment_offset >> 3).to_be_bytes();
        let [s0, s1, s2, s3] = self.source.octets();
        let [d0, d1, d2, d3] = self.destination.octets();
        let class = self.dscp << 2 | self.ecn.bits();
        let IpProtocol(protocol) = self.protocol;
        *header = [
            VERSION_AND_LEN,
            class,
            t0,
            t1,
            i0,
            i1,
            f0,
            f1,
            self.ttl,
            protocol,
            0,
            0,
            s0,
            s1,
            s2,
            s3,
            d0,
            d1,
            d2,
            d3,
        ];

        let [c0, c1] = internet_checksum(header).to_be_bytes();
        let [.., checksum0, checksum1, _, _, _, _, _, _, _, _] = header;
        (*checksum0, *checksum1) = (c0, c1);
    }
}
