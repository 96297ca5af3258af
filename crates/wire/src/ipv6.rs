//! The IPv6 header, its extension headers and fragments (RFC 8200).
//!
//! [`Ipv6Header::parse`] reads the fixed header, [`Ipv6Header::upper_layer`] walks the extension headers behind it to what
//! they carry. Extension headers are never sent, except the fragment header. Jumbograms (RFC 2675) are refused.

mod extensions;
mod fragment;
#[cfg(test)]
mod tests;

use core::net::Ipv6Addr;

pub(crate) use extensions::skip_extensions;
pub use extensions::{
    ExtensionError, ExtensionLimits, Fragment, HeaderProblem, ParameterProblemCode, UpperLayer,
};
pub use fragment::FragmentHeader;

use crate::octets::front_mut;
use crate::{Ecn, IpProtocol, ParseError};

const VERSION: u32 = 6;
const FLOW_LABEL: u32 = (1 << 20) - 1;

/// What the fixed IPv6 header says (RFC 8200 3).
///
/// # Examples
///
/// ```
/// use core::net::Ipv6Addr;
/// use handwave_wire::ipv6::{ExtensionLimits, Ipv6Header};
/// use handwave_wire::IpProtocol;
///
/// let header = Ipv6Header {
///     payload_len: 8,
///     ..Ipv6Header::new(Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST, IpProtocol::UDP)
/// };
/// let mut packet = [0; 48];
/// header.emit(&mut packet);
///
/// let (parsed, _) = Ipv6Header::parse(&packet)?;
/// assert_eq!(parsed, header);
/// let upper = parsed.upper_layer(&packet, ExtensionLimits::default()).unwrap();
/// assert_eq!((upper.protocol, upper.offset), (IpProtocol::UDP, 40));
/// # Ok::<(), handwave_wire::ParseError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ipv6Header {
    /// Who sent the packet.
    pub source: Ipv6Addr,
    /// Whom it is for.
    pub destination: Ipv6Addr,
    /// What follows the fixed header: an extension header or the upper layer.
    pub next_header: IpProtocol,
    /// How many more routers may pass it on.
    pub hop_limit: u8,
    /// Differentiated services codepoint, 0 to 63.
    pub dscp: u8,
    /// Explicit congestion notification.
    pub ecn: Ecn,
    /// Flow label, 20 bits (RFC 6437).
    pub flow_label: u32,
    /// How many octets follow the fixed header, extension headers included; what comes after them is padding of the link.
    pub payload_len: u16,
}

impl Ipv6Header {
    /// The length of the fixed header in octets.
    pub const LEN: usize = 40;

    /// Makes the header of a packet with a hop limit of 64 and no payload.
    #[must_use]
    pub const fn new(source: Ipv6Addr, destination: Ipv6Addr, next_header: IpProtocol) -> Self {
        Self {
            source,
            destination,
            next_header,
            hop_limit: 64,
            dscp: 0,
            ecn: Ecn::NotEct,
            flow_label: 0,
            payload_len: 0,
        }
    }

    /// Reads the fixed header at the front of a packet and returns it with its length in octets, which is always 40.
    ///
    /// # Errors
    ///
    /// [`ParseError::Truncated`] if the packet has fewer octets than the header and its payload length say,
    /// [`ParseError::BadVersion`], and [`ParseError::Unsupported`] for a jumbogram.
    #[inline]
    pub fn parse(packet: &[u8]) -> Result<(Self, usize), ParseError> {
        Self::parse_front(packet, packet.len())
    }

    /// Does what [`parse`](Self::parse) does with a packet of `packet_len` octets of which only the front, at least the
    /// fixed header, lies in one piece.
    ///
    /// # Errors
    ///
    /// Those of [`parse`](Self::parse).
    #[inline]
    pub fn parse_front(front: &[u8], packet_len: usize) -> Result<(Self, usize), ParseError> {
        let header = Self::read(front)?;
        if header.packet_len() > packet_len {
            return Err(ParseError::Truncated);
        }
        if header.payload_len == 0 && header.next_header == IpProtocol::HOP_BY_HOP {
            return Err(ParseError::Unsupported);
        }
        Ok((header, Self::LEN))
    }

    /// Reads the fixed header only, as it is quoted in an ICMPv6 error, where the packet may be cut anywhere after it.
    pub(crate) fn read(packet: &[u8]) -> Result<Self, ParseError> {
        let (fixed, addresses) = packet
            .split_first_chunk::<8>()
            .ok_or(ParseError::Truncated)?;
        let &[v0, v1, v2, v3, l0, l1, next_header, hop_limit] = fixed;
        let (source, addresses) = addresses
            .split_first_chunk::<16>()
            .ok_or(ParseError::Truncated)?;
        let destination = addresses.first_chunk::<16>().ok_or(ParseError::Truncated)?;

        let version_class_flow = u32::from_be_bytes([v0, v1, v2, v3]);
        if version_class_flow >> 28 != VERSION {
            return Err(ParseError::BadVersion);
        }
        let class = (version_class_flow >> 20 & 0xff) as u8;
        let header = Self {
            source: Ipv6Addr::from(*source),
            destination: Ipv6Addr::from(*destination),
            next_header: IpProtocol(next_header),
            hop_limit,
            dscp: class >> 2,
            ecn: Ecn::from_bits(class),
            flow_label: version_class_flow & FLOW_LABEL,
            payload_len: u16::from_be_bytes([l0, l1]),
        };
        Ok(header)
    }

    /// The length of the fixed header and the payload together, in octets.
    #[must_use]
    pub const fn packet_len(&self) -> usize {
        Self::LEN.saturating_add(self.payload_len as usize)
    }

    /// The payload of the packet this header was parsed from, without padding of the link.
    #[must_use]
    pub fn payload<'a>(&self, packet: &'a [u8]) -> &'a [u8] {
        let payload = packet.get(Self::LEN..).unwrap_or_default();
        payload
            .get(..usize::from(self.payload_len))
            .unwrap_or(payload)
    }

    /// Writes the fixed header into the first 40 octets of `buffer`.
    ///
    /// A DSCP is cut to 6 bits, a flow label to 20.
    ///
    /// # Panics
    ///
    /// If `buffer` is shorter than 40 octets.
    #[inline]
    pub fn emit(&self, buffer: &mut [u8]) {
        let class = u32::from(self.dscp << 2 | self.ecn.bits());
        let [v0, v1, v2, v3] =
            (VERSION << 28 | class << 20 | self.flow_label & FLOW_LABEL).to_be_bytes();
        let [l0, l1] = self.payload_len.to_be_bytes();
        let IpProtocol(next_header) = self.next_header;

        let header = front_mut::<{ Self::LEN }>(buffer);
        let (fixed, addresses) = header.split_at_mut(8);
        let (source, destination) = addresses.split_at_mut(16);
        fixed.copy_from_slice(&[v0, v1, v2, v3, l0, l1, next_header, self.hop_limit]);
        source.copy_from_slice(&self.source.octets());
        destination.copy_from_slice(&self.destination.octets());
    }
}
