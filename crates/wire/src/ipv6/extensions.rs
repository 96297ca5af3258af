//! The walk over IPv6 extension headers (RFC 8200 4, RFC 7112, RFC 6946).

use core::fmt;

use super::{FragmentHeader, Ipv6Header};
use crate::octets::Reader;
use crate::{IpProtocol, ParseError};

const PAD_1: u8 = 0;
const PAD_N: u8 = 1;
const ROUTER_ALERT: u8 = 5;
const JUMBO_PAYLOAD: u8 = 0xc2;

/// Where the next header field stands in the fixed header.
const NEXT_HEADER_OFFSET: usize = 6;
/// Where the payload length field stands in the fixed header.
const PAYLOAD_LEN_OFFSET: usize = 4;
/// The largest packet that reassembly may give, without its fixed header.
const PAYLOAD_LEN_MAX: usize = 65_535;

/// How long a chain of extension headers may be before the packet is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExtensionLimits {
    /// The most extension headers in one packet.
    pub headers_max: u8,
    /// The most octets all of them take together.
    pub octets_max: u16,
}

impl Default for ExtensionLimits {
    /// 8 headers and 512 octets: far more than any honest packet carries.
    fn default() -> Self {
        Self {
            headers_max: 8,
            octets_max: 512,
        }
    }
}

/// What the extension headers lead to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UpperLayer {
    /// What is carried. It may be unknown to the receiver, or [`IpProtocol::NO_NEXT_HEADER`]. In a fragment it is what the
    /// fragmented part begins with, which can be another extension header.
    pub protocol: IpProtocol,
    /// Where it begins, in octets from the front of the packet.
    pub offset: usize,
    /// Where the octet stands that names `protocol`: the pointer for "unrecognized next header".
    pub named_at: usize,
    /// Present if what is carried must be reassembled first. Then the reassembled packet is walked again.
    pub fragment: Option<Fragment>,
}

/// A fragment header met on the walk, and where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fragment {
    /// What it says.
    pub header: FragmentHeader,
    /// Where it begins, in octets from the front of the packet; what precedes it is the per-fragment part.
    pub offset: usize,
    /// Where the octet stands that names the fragment header. Reassembly takes the header out and writes
    /// [`FragmentHeader::next_header`] here.
    pub named_at: usize,
}

/// Why a packet with extension headers goes no further.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ExtensionError {
    /// The headers cannot be read, or are more than the limits allow: drop the packet.
    Malformed(ParseError),
    /// An option that is not known asks for the packet to be dropped in silence (RFC 8200 4.2, `01`).
    Discard,
    /// Drop the packet and tell its sender.
    Problem(HeaderProblem),
}

impl From<ParseError> for ExtensionError {
    fn from(error: ParseError) -> Self {
        Self::Malformed(error)
    }
}

impl fmt::Display for ExtensionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(error) => error.fmt(f),
            Self::Discard => f.write_str("an unknown option asks for a silent drop"),
            Self::Problem(problem) => write!(f, "{} at octet {}", problem.code, problem.pointer),
        }
    }
}

impl core::error::Error for ExtensionError {}

/// What to tell the sender in an ICMPv6 Parameter Problem (RFC 4443 3.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeaderProblem {
    /// What is wrong.
    pub code: ParameterProblemCode,
    /// The octet of the packet where it is.
    pub pointer: u32,
    /// Whether to tell the sender even if the packet went to a multicast group.
    pub even_to_multicast: bool,
}

/// The code of an ICMPv6 Parameter Problem (RFC 4443 3.4, RFC 7112 5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ParameterProblemCode {
    /// 0: a header field is wrong.
    ErroneousField,
    /// 1: the next header is not known.
    UnrecognizedNextHeader,
    /// 2: an option is not known.
    UnrecognizedOption,
    /// 3: the first fragment does not hold the whole header chain.
    IncompleteFirstFragment,
    /// Any other.
    Other(u8),
}

impl ParameterProblemCode {
    /// Reads the code octet.
    #[must_use]
    pub const fn from_octet(code: u8) -> Self {
        match code {
            0 => Self::ErroneousField,
            1 => Self::UnrecognizedNextHeader,
            2 => Self::UnrecognizedOption,
            3 => Self::IncompleteFirstFragment,
            other => Self::Other(other),
        }
    }

    /// The code octet.
    #[must_use]
    pub const fn octet(self) -> u8 {
        match self {
            Self::ErroneousField => 0,
            Self::UnrecognizedNextHeader => 1,
            Self::UnrecognizedOption => 2,
            Self::IncompleteFirstFragment => 3,
            Self::Other(other) => other,
        }
    }
}

impl fmt::Display for ParameterProblemCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ErroneousField => f.write_str("erroneous header field"),
            Self::UnrecognizedNextHeader => f.write_str("unrecognized next header"),
            Self::UnrecognizedOption => f.write_str("unrecognized option"),
            Self::IncompleteFirstFragment => f.write_str("incomplete header chain"),
            Self::Other(code) => write!(f, "code {code}"),
        }
    }
}

impl Ipv6Header {
    /// Walks the extension headers of the packet this header was parsed from, acts on their options as a host does, and
    /// returns what they lead to.
    ///
    /// The walk stops at a fragment header, unless the fragment is the whole packet (RFC 6946). A first fragment is looked
    /// through up to the upper-layer header, which must be in it (RFC 7112). Of a packet in pieces, `packet` may be the front
    /// that holds the header chain and what the upper layer's own header needs.
    ///
    /// # Errors
    ///
    /// See [`ExtensionError`]. A packet too short for its headers is [`ParseError::Truncated`], a chain beyond `limits`
    /// [`ParseError::TooManyHeaders`], a jumbo payload option [`ParseError::Unsupported`].
    #[inline]
    pub fn upper_layer(
        &self,
        packet: &[u8],
        limits: ExtensionLimits,
    ) -> Result<UpperLayer, ExtensionError> {
        let mut upper = UpperLayer {
            protocol: self.next_header,
            offset: Self::LEN,
            named_at: NEXT_HEADER_OFFSET,
            fragment: None,
        };
        if is_extension(self.next_header) {
            let packet = packet.get(..self.packet_len()).unwrap_or(packet);
            let packet_len = self.packet_len();
            let mut walk = Walk {
                packet,
                packet_len,
                limits,
                headers: 0,
            };
            while is_extension(upper.protocol) && upper.fragment.is_none() {
                upper = walk.step(upper)?;
            }
        }
        Ok(upper)
    }
}

const fn is_extension(protocol: IpProtocol) -> bool {
    matches!(
        protocol,
        IpProtocol::HOP_BY_HOP
            | IpProtocol::ROUTING
            | IpProtocol::FRAGMENT
            | IpProtocol::DESTINATION_OPTIONS
    )
}

struct Walk<'a> {
    /// The packet, or its front, without padding of the link.
    packet: &'a [u8],
    /// How long the whole packet is.
    packet_len: usize,
    limits: ExtensionLimits,
    headers: u8,
}

impl Walk<'_> {
    /// Processes the extension header at `at` and moves on to what it names.
    fn step(&mut self, at: UpperLayer) -> Result<UpperLayer, ExtensionError> {
        let (next, body, len) = extension(at.protocol, self.packet.get(at.offset..))?;
        let end = at.offset.saturating_add(len);
        self.charge(end)?;
        let after = UpperLayer {
            protocol: next,
            offset: end,
            named_at: at.offset,
            fragment: None,
        };
        // The body follows the next header and the length.
        let body_offset = at.offset.saturating_add(2);
        match at.protocol {
            IpProtocol::HOP_BY_HOP if at.named_at == NEXT_HEADER_OFFSET => {
                check_options(body, body_offset, true)?;
            }
            IpProtocol::DESTINATION_OPTIONS => check_options(body, body_offset, false)?,
            IpProtocol::ROUTING => check_routing(body, body_offset)?,
            IpProtocol::FRAGMENT => return self.fragment(at, after),
            // Hop-by-hop options stand first or nowhere (RFC 8200 4.1).
            _ => {
                return Err(problem(
                    ParameterProblemCode::UnrecognizedNextHeader,
                    at.named_at,
                ));
            }
        }
        Ok(after)
    }

    /// Counts one more header, which ends at `end`.
    fn charge(&mut self, end: usize) -> Result<(), ParseError> {
        self.headers = self.headers.saturating_add(1);
        let octets = end.saturating_sub(Ipv6Header::LEN);
        if self.headers > self.limits.headers_max || octets > usize::from(self.limits.octets_max) {
            return Err(ParseError::TooManyHeaders);
        }
        Ok(())
    }

    fn fragment(&self, at: UpperLayer, after: UpperLayer) -> Result<UpperLayer, ExtensionError> {
        let octets = self.packet.get(at.offset..).unwrap_or_default();
        let (header, _) = FragmentHeader::parse(octets)?;
        if header.is_atomic() {
            return Ok(after);
        }
        let part = self.packet.get(after.offset..).unwrap_or_default();
        let part_len = self.packet_len.saturating_sub(after.offset);
        if header.more && !part_len.is_multiple_of(8) {
            return Err(problem(
                ParameterProblemCode::ErroneousField,
                PAYLOAD_LEN_OFFSET,
            ));
        }
        if usize::from(header.offset).saturating_add(part_len) > PAYLOAD_LEN_MAX {
            let offset_field = at.offset.saturating_add(2);
            return Err(problem(ParameterProblemCode::ErroneousField, offset_field));
        }
        if header.offset == 0 {
            self.check_first_fragment(header.next_header, part)?;
        }
        let fragment = Fragment {
            header,
            offset: at.offset,
            named_at: at.named_at,
        };
        Ok(UpperLayer {
            fragment: Some(fragment),
            ..after
        })
    }

    /// The header chain must be whole, up to and including the upper-layer header (RFC 7112 5).
    fn check_first_fragment(&self, next: IpProtocol, part: &[u8]) -> Result<(), ExtensionError> {
        let incomplete = if self.packet.len() < self.packet_len {
            ParseError::Truncated.into()
        } else {
            problem(ParameterProblemCode::IncompleteFirstFragment, 0)
        };
        let (protocol, offset) = match skip_extensions(next, part, self.limits) {
            Err(ParseError::Truncated) => return Err(incomplete),
            skipped => skipped?,
        };
        let header_len = match protocol {
            IpProtocol::TCP => 20,
            IpProtocol::UDP => 8,
            IpProtocol::ICMPV6 => 4,
            _ => 0,
        };
        if part.len().saturating_sub(offset) < header_len {
            return Err(incomplete);
        }
        Ok(())
    }
}

/// Steps over extension headers without acting on them and returns what follows with its offset in `octets`.
///
/// It stops at a fragment header whose fragment is not the first, because nothing after it can be named.
pub(crate) fn skip_extensions(
    first: IpProtocol,
    octets: &[u8],
    limits: ExtensionLimits,
) -> Result<(IpProtocol, usize), ParseError> {
    let (mut protocol, mut offset) = (first, 0_usize);
    for _ in 0..=limits.headers_max {
        if !is_extension(protocol) {
            return Ok((protocol, offset));
        }
        let rest = octets.get(offset..);
        if protocol == IpProtocol::FRAGMENT {
            let (header, _) = FragmentHeader::parse(rest.unwrap_or_default())?;
            if header.offset != 0 {
                return Ok((protocol, offset));
            }
        }
        let (next, _, len) = extension(protocol, rest)?;
        (protocol, offset) = (next, offset.saturating_add(len));
        if offset > usize::from(limits.octets_max) {
            break;
        }
    }
    Err(ParseError::TooManyHeaders)
}

/// Splits one extension header into what it names, its body after the length octet, and its length.
fn extension(
    kind: IpProtocol,
    octets: Option<&[u8]>,
) -> Result<(IpProtocol, &[u8], usize), ParseError> {
    let mut reader = Reader::new(octets.unwrap_or_default());
    let [next, units] = reader.array()?;
    // A fragment header has no length: that octet is reserved.
    let units = if kind == IpProtocol::FRAGMENT {
        0
    } else {
        units
    };
    let body_len = usize::from(units).saturating_mul(8).saturating_add(6);
    let body = reader.take(body_len)?;
    Ok((IpProtocol(next), body, body_len.saturating_add(2)))
}

/// Goes through options and does what the type of an unknown one asks for (RFC 8200 4.2).
fn check_options(body: &[u8], offset: usize, hop_by_hop: bool) -> Result<(), ExtensionError> {
    let mut reader = Reader::new(body);
    loop {
        let at = offset.saturating_add(body.len().saturating_sub(reader.remaining()));
        // Each turn takes at least one octet.
        let Ok([kind]) = reader.array() else {
            return Ok(());
        };
        if kind == PAD_1 {
            continue;
        }
        let [len] = reader.array()?;
        reader.take(usize::from(len))?;
        match kind {
            PAD_N => continue,
            ROUTER_ALERT if hop_by_hop => continue,
            JUMBO_PAYLOAD if hop_by_hop => return Err(ParseError::Unsupported.into()),
            _ => {}
        }
        let unrecognized = HeaderProblem {
            code: ParameterProblemCode::UnrecognizedOption,
            pointer: pointer(at),
            even_to_multicast: true,
        };
        match kind >> 6 {
            0b00 => {}
            0b01 => return Err(ExtensionError::Discard),
            0b10 => return Err(ExtensionError::Problem(unrecognized)),
            _ => {
                return Err(ExtensionError::Problem(HeaderProblem {
                    even_to_multicast: false,
                    ..unrecognized
                }));
            }
        }
    }
}

/// A host passes nothing on: a route that is not at its end is refused, whatever its type (RFC 8200 4.4, RFC 5095).
fn check_routing(body: &[u8], offset: usize) -> Result<(), ExtensionError> {
    match *body {
        [_, 0, ..] => Ok(()),
        _ => Err(problem(ParameterProblemCode::ErroneousField, offset)),
    }
}

fn problem(code: ParameterProblemCode, at: usize) -> ExtensionError {
    let pointer = pointer(at);
    ExtensionError::Problem(HeaderProblem {
        code,
        pointer,
        even_to_multicast: false,
    })
}

/// An offset in a packet, which has at most 65,575 octets.
fn pointer(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
