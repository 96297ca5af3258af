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
use crate::octets::{Reader, Writer, front_mut};
use crate::{Ecn, IpProtocol, ParseError, Sum};

const VERSION: u8 = 4;
const DONT_FRAGMENT_BIT: u16 = 14;
const MORE_FRAGMENTS_BIT: u16 = 13;
const FRAGMENT_OFFSET: u16 = (1 << MORE_FRAGMENTS_BIT) - 1;

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
        let fixed = packet
            .first_chunk::<{ Self::LEN }>()
            .ok_or(ParseError::Truncated)?;
        // The length is known from here on, so the compiler removes the reader's checks.
        let mut fields = Reader::new(fixed);
        let [version_and_len, class] = fields.array()?;
        let total_len = usize::from(fields.u16()?);
        let identification = fields.u16()?;
        let fragment = fields.u16()?;
        let [ttl, protocol] = fields.array()?;
        let _checksum = fields.u16()?;
        let source = Ipv4Addr::from(fields.u32()?);
        let destination = Ipv4Addr::from(fields.u32()?);

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
        let payload_len = total_len.saturating_sub(header_len);
        let header = Self {
            source,
            destination,
            protocol: IpProtocol(protocol),
            ttl,
            dscp: class >> 2,
            ecn: Ecn::from_bits(class),
            identification,
            dont_fragment: fragment >> DONT_FRAGMENT_BIT & 1 == 1,
            more_fragments: fragment >> MORE_FRAGMENTS_BIT & 1 == 1,
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
        let class = self.dscp << 2 | self.ecn.bits();
        let version_and_class = u16::from_be_bytes([VERSION_AND_LEN, class]);
        let total_len = self.payload_len.saturating_add(20);
        let dont_fragment = u16::from(self.dont_fragment) << DONT_FRAGMENT_BIT;
        let more_fragments = u16::from(self.more_fragments) << MORE_FRAGMENTS_BIT;
        let fragment = dont_fragment | more_fragments | self.fragment_offset >> 3;
        let ttl_and_protocol = u16::from_be_bytes([self.ttl, self.protocol.0]);
        // Summed from the fields and not from the octets, which have hardly been written.
        let checksum = Sum::default()
            .add_u16(version_and_class)
            .add_u16(total_len)
            .add_u16(self.identification)
            .add_u16(fragment)
            .add_u16(ttl_and_protocol)
            .add_u32(self.source.to_bits())
            .add_u32(self.destination.to_bits())
            .finish();

        let mut writer = Writer::new(front_mut::<{ Self::LEN }>(buffer));
        writer.u16(version_and_class);
        writer.u16(total_len);
        writer.u16(self.identification);
        writer.u16(fragment);
        writer.u16(ttl_and_protocol);
        writer.u16(checksum);
        writer.u32(self.source.to_bits());
        writer.u32(self.destination.to_bits());
    }
}
