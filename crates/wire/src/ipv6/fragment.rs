//! The IPv6 fragment header (RFC 8200 4.5).

use crate::octets::front_mut;
use crate::{IpProtocol, ParseError};

/// What a fragment header says.
///
/// # Examples
///
/// ```
/// use handwave_wire::ipv6::FragmentHeader;
/// use handwave_wire::IpProtocol;
///
/// let header = FragmentHeader { next_header: IpProtocol::UDP, offset: 1232, more: true, identification: 7 };
/// let mut octets = [0; 8];
/// header.emit(&mut octets);
/// assert_eq!(FragmentHeader::parse(&octets), Ok((header, 8)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FragmentHeader {
    /// What the fragmented part begins with.
    pub next_header: IpProtocol,
    /// Where this fragment begins in the fragmented part, in octets: a multiple of 8.
    pub offset: u16,
    /// More fragments of the same packet follow this one.
    pub more: bool,
    /// Tells the fragments of different packets apart.
    pub identification: u32,
}

impl FragmentHeader {
    /// The length of the header in octets.
    pub const LEN: usize = 8;

    const OFFSET: u16 = 0xfff8;

    /// Reads the header at the front of `octets` and returns it with its length.
    ///
    /// # Errors
    ///
    /// [`ParseError::Truncated`] if there are fewer than 8 octets.
    pub fn parse(octets: &[u8]) -> Result<(Self, usize), ParseError> {
        let &[next_header, _, o0, o1, i0, i1, i2, i3]: &[u8; Self::LEN] =
            octets.first_chunk().ok_or(ParseError::Truncated)?;
        let header = Self {
            next_header: IpProtocol(next_header),
            offset: u16::from_be_bytes([o0, o1]) & Self::OFFSET,
            more: o1 & 1 != 0,
            identification: u32::from_be_bytes([i0, i1, i2, i3]),
        };
        Ok((header, Self::LEN))
    }

    /// Whether the packet is whole in spite of the header (RFC 6946): it is processed at once and alone.
    #[must_use]
    pub const fn is_atomic(&self) -> bool {
        self.offset == 0 && !self.more
    }

    /// Writes the header into the first 8 octets of `buffer`; an offset is cut to a multiple of 8.
    ///
    /// # Panics
    ///
    /// If `buffer` is shorter than 8 octets.
    pub fn emit(&self, buffer: &mut [u8]) {
        let IpProtocol(next_header) = self.next_header;
        let [o0, o1] = (self.offset & Self::OFFSET | u16::from(self.more)).to_be_bytes();
        let [i0, i1, i2, i3] = self.identification.to_be_bytes();
        *front_mut(buffer) = [next_header, 0, o0, o1, i0, i1, i2, i3];
    }
}
