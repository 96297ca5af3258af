//! The UDP header (RFC 768, RFC 8200 8.1).

#[cfg(test)]
mod tests;

use core::net::IpAddr;

use crate::octets::front_mut;
use crate::{IpProtocol, ParseError, Sum};

/// What a UDP header says.
///
/// The checksum is not a field, because it covers the addresses and the payload: see
/// [`checksum_is_valid`](Self::checksum_is_valid), [`checksum`](Self::checksum) and
/// [`CHECKSUM_OFFSET`](Self::CHECKSUM_OFFSET).
///
/// # Examples
///
/// ```
/// use handwave_wire::udp::UdpHeader;
///
/// let header = UdpHeader { source_port: 5353, destination_port: 53, payload_len: 2 };
/// let mut datagram = [0; 10];
/// header.emit(&mut datagram);
/// assert_eq!(UdpHeader::parse(&datagram), Ok((header, 8)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct UdpHeader {
    /// The sender's port; 0 if it wants no answer.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// How many octets follow the header.
    pub payload_len: u16,
}

impl UdpHeader {
    /// The length of the header in octets.
    pub const LEN: usize = 8;
    /// The largest payload the length field can tell.
    pub const PAYLOAD_LEN_MAX: u16 = 65_527;
    /// Where the 16-bit checksum stands in the header.
    pub const CHECKSUM_OFFSET: usize = 6;

    /// Reads the header at the front of a datagram and returns it with its length in octets.
    ///
    /// Octets after the payload are left out of `payload_len`. The checksum is not looked at.
    ///
    /// # Errors
    ///
    /// [`ParseError::Truncated`] if there are fewer octets than the header or its length field say,
    /// [`ParseError::BadLength`] if that field is below 8.
    #[inline]
    pub fn parse(datagram: &[u8]) -> Result<(Self, usize), ParseError> {
        Self::parse_front(datagram, datagram.len())
    }

    /// Does what [`parse`](Self::parse) does with a datagram of `datagram_len` octets of which only the front, at least the
    /// header, lies in one piece.
    ///
    /// # Errors
    ///
    /// Those of [`parse`](Self::parse).
    #[inline]
    pub fn parse_front(front: &[u8], datagram_len: usize) -> Result<(Self, usize), ParseError> {
        let &[s0, s1, d0, d1, l0, l1, _, _]: &[u8; Self::LEN] =
            front.first_chunk().ok_or(ParseError::Truncated)?;
        let len = u16::from_be_bytes([l0, l1]);
        let payload_len = len.checked_sub(8).ok_or(ParseError::BadLength)?;
        if usize::from(len) > datagram_len {
            return Err(ParseError::Truncated);
        }
        let header = Self {
            source_port: u16::from_be_bytes([s0, s1]),
            destination_port: u16::from_be_bytes([d0, d1]),
            payload_len,
        };
        Ok((header, Self::LEN))
    }

    /// Writes the header into the first 8 octets of `buffer`, with a checksum field of zero.
    ///
    /// A payload above [`PAYLOAD_LEN_MAX`](Self::PAYLOAD_LEN_MAX) is written as the largest length there is.
    ///
    /// # Panics
    ///
    /// If `buffer` is shorter than 8 octets.
    #[inline]
    pub fn emit(&self, buffer: &mut [u8]) {
        let [s0, s1] = self.source_port.to_be_bytes();
        let [d0, d1] = self.destination_port.to_be_bytes();
        let [l0, l1] = self.payload_len.saturating_add(8).to_be_bytes();
        *front_mut(buffer) = [s0, s1, d0, d1, l0, l1, 0, 0];
    }

    /// Turns the sum over pseudo-header, header and payload into what the checksum field holds.
    ///
    /// A checksum of zero is sent as 0xffff, because a field of zero says that there is none (RFC 768).
    #[must_use]
    pub fn checksum(sum: Sum) -> u16 {
        match sum.finish() {
            0 => 0xffff,
            checksum => checksum,
        }
    }

    /// Whether the checksum of a whole contiguous datagram is right.
    ///
    /// A field of zero means that the sender computed none, which is allowed over IPv4 only (RFC 8200 8.1). Octets past the
    /// length field are not covered.
    #[must_use]
    pub fn checksum_is_valid(datagram: &[u8], source: IpAddr, destination: IpAddr) -> bool {
        let Ok((header, header_len)) = Self::parse(datagram) else {
            return false;
        };
        let len = header_len.saturating_add(usize::from(header.payload_len));
        let (Some(covered), Ok(len)) = (datagram.get(..len), u32::try_from(len)) else {
            return false;
        };
        if let Some(&[.., 0, 0]) = covered.first_chunk::<{ Self::LEN }>() {
            return source.is_ipv4();
        }
        Sum::default()
            .pseudo_header(source, destination, IpProtocol::UDP, len)
            .add_bytes(covered)
            .is_valid()
    }

    /// Writes `checksum` into the checksum field of the header at the front of `datagram`.
    ///
    /// # Panics
    ///
    /// If `datagram` is shorter than 8 octets.
    pub fn set_checksum(datagram: &mut [u8], checksum: u16) {
        let [.., c0, c1] = front_mut::<{ Self::LEN }>(datagram);
        [*c0, *c1] = checksum.to_be_bytes();
    }
}
