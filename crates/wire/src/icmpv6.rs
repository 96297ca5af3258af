//! ICMP for IPv6 (RFC 4443, RFC 4884); neighbor discovery is in [`ndp`](crate::ndp).

#[cfg(test)]
mod tests;

use core::net::Ipv6Addr;

pub use crate::icmp::{Echo, QuotedPacket, QuotedPorts, TimeExceeded};
use crate::icmp::{HEADER_LEN, original_datagram, set_checksum};
pub use crate::ipv6::ParameterProblemCode;
use crate::ndp::NdpMessage;
use crate::octets::Writer;
use crate::{IpProtocol, ParseError, Sum};

const DESTINATION_UNREACHABLE: u8 = 1;
const PACKET_TOO_BIG: u8 = 2;
const TIME_EXCEEDED: u8 = 3;
const PARAMETER_PROBLEM: u8 = 4;
const FIRST_INFORMATIONAL: u8 = 128;
const ECHO_REQUEST: u8 = 128;
const ECHO_REPLY: u8 = 129;

/// An ICMPv6 message.
///
/// # Examples
///
/// ```
/// use core::net::Ipv6Addr;
/// use handwave_wire::icmpv6::{Echo, Icmpv6Message};
///
/// let (source, destination) = (Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST);
/// let request = Icmpv6Message::EchoRequest(Echo { identifier: 1, sequence: 2, data: b"ping" });
/// let mut octets = [0; 12];
/// assert_eq!(request.encoded_len(), octets.len());
/// request.emit(&mut octets, source, destination);
/// assert_eq!(Icmpv6Message::parse(&octets, source, destination), Ok(request));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Icmpv6Message<'a> {
    /// Type 128: answer this.
    EchoRequest(Echo<'a>),
    /// Type 129: the answer.
    EchoReply(Echo<'a>),
    /// A packet that the receiver of the message sent did not arrive.
    Error(Icmpv6Error<'a>),
    /// Types 133 to 136: routers and neighbors.
    Ndp(NdpMessage),
    /// Any other type.
    Other {
        /// The type.
        kind: u8,
        /// The code.
        code: u8,
        /// What follows the checksum.
        body: &'a [u8],
    },
}

/// An ICMPv6 error: what went wrong, and with which packet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Icmpv6Error<'a> {
    /// What went wrong.
    pub kind: Icmpv6ErrorKind,
    /// The beginning of the packet that caused the error, from its IPv6 header on.
    pub quoted: &'a [u8],
}

impl Icmpv6Error<'_> {
    /// How much of a packet to quote so that the error fits the minimum MTU of 1280 octets (RFC 4443 2.4 (c)).
    pub const QUOTED_LEN_MAX: usize = 1232;

    /// Reads the quoted packet.
    ///
    /// # Errors
    ///
    /// [`ParseError`] if not even its header is quoted.
    pub fn packet(&self) -> Result<QuotedPacket, ParseError> {
        QuotedPacket::parse_ipv6(self.quoted)
    }
}

/// What an ICMPv6 error says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Icmpv6ErrorKind {
    /// Type 1: the packet cannot be delivered.
    Unreachable(Icmpv6Unreachable),
    /// Type 2: the packet is larger than the next link allows.
    PacketTooBig {
        /// What the next link allows, in octets.
        mtu: u32,
    },
    /// Type 3: the packet was on its way for too long.
    TimeExceeded(TimeExceeded),
    /// Type 4: the packet's headers are wrong.
    ParameterProblem {
        /// What is wrong.
        code: ParameterProblemCode,
        /// The octet of the packet where it is.
        pointer: u32,
    },
}

impl Icmpv6ErrorKind {
    const fn kind_code_word(self) -> (u8, u8, [u8; 4]) {
        match self {
            Self::Unreachable(why) => (DESTINATION_UNREACHABLE, why.code(), [0; 4]),
            Self::PacketTooBig { mtu } => (PACKET_TOO_BIG, 0, mtu.to_be_bytes()),
            Self::TimeExceeded(what) => (TIME_EXCEEDED, what.octet(), [0; 4]),
            Self::ParameterProblem { code, pointer } => {
                (PARAMETER_PROBLEM, code.octet(), pointer.to_be_bytes())
            }
        }
    }
}

/// Why a packet cannot be delivered: the code of a Destination Unreachable message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Icmpv6Unreachable {
    /// 0: no route to the destination.
    NoRoute,
    /// 1: a filter on the way forbids it.
    Prohibited,
    /// 2: the destination is beyond the scope of the source address.
    BeyondScope,
    /// 3: the address does not answer.
    Address,
    /// 4: nobody is at the port.
    Port,
    /// 5: the source address failed a policy.
    SourcePolicy,
    /// 6: the route says to reject.
    RejectRoute,
    /// Any other code.
    Other(u8),
}

impl Icmpv6Unreachable {
    const fn from_octet(code: u8) -> Self {
        match code {
            0 => Self::NoRoute,
            1 => Self::Prohibited,
            2 => Self::BeyondScope,
            3 => Self::Address,
            4 => Self::Port,
            5 => Self::SourcePolicy,
            6 => Self::RejectRoute,
            other => Self::Other(other),
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::NoRoute => 0,
            Self::Prohibited => 1,
            Self::BeyondScope => 2,
            Self::Address => 3,
            Self::Port => 4,
            Self::SourcePolicy => 5,
            Self::RejectRoute => 6,
            Self::Other(other) => other,
        }
    }
}

impl<'a> Icmpv6Message<'a> {
    /// Reads the upper layer of an IPv6 packet as a message and verifies its checksum.
    ///
    /// # Errors
    ///
    /// [`ParseError::Truncated`] if there are fewer than 8 octets or than the type needs, [`ParseError::BadChecksum`], and what
    /// [`NdpMessage`] refuses.
    pub fn parse(
        message: &'a [u8],
        source: Ipv6Addr,
        destination: Ipv6Addr,
    ) -> Result<Self, ParseError> {
        let (&[kind, code, _, _, ref word @ ..], rest) = message
            .split_first_chunk::<HEADER_LEN>()
            .ok_or(ParseError::Truncated)?;
        let word = *word;
        if !sum(message, source, destination).is_valid() {
            return Err(ParseError::BadChecksum);
        }
        let [length, ..] = word;
        let (error, quoted_words) = match kind {
            ECHO_REQUEST => return Ok(Self::EchoRequest(Echo::parse(word, rest))),
            ECHO_REPLY => return Ok(Self::EchoReply(Echo::parse(word, rest))),
            DESTINATION_UNREACHABLE => (
                Icmpv6ErrorKind::Unreachable(Icmpv6Unreachable::from_octet(code)),
                length,
            ),
            PACKET_TOO_BIG => (
                Icmpv6ErrorKind::PacketTooBig {
                    mtu: u32::from_be_bytes(word),
                },
                0,
            ),
            TIME_EXCEEDED => (
                Icmpv6ErrorKind::TimeExceeded(TimeExceeded::from_octet(code)),
                length,
            ),
            PARAMETER_PROBLEM => {
                let code = ParameterProblemCode::from_octet(code);
                let pointer = u32::from_be_bytes(word);
                (Icmpv6ErrorKind::ParameterProblem { code, pointer }, 0)
            }
            _ => {
                let body = message.get(4..).unwrap_or_default();
                return Ok(match NdpMessage::parse(kind, code, body)? {
                    Some(message) => Self::Ndp(message),
                    None => Self::Other { kind, code, body },
                });
            }
        };
        // The length of the quoted packet counts units of 8 octets (RFC 4884 4.4).
        let quoted = original_datagram(rest, usize::from(quoted_words).saturating_mul(8));
        Ok(Self::Error(Icmpv6Error {
            kind: error,
            quoted,
        }))
    }

    /// Whether the message is an error, known or not, to which no error is ever sent in answer (RFC 4443 2.4 (e)).
    #[must_use]
    pub const fn is_error(&self) -> bool {
        match self {
            Self::Error(_) => true,
            Self::Other { kind, .. } => *kind < FIRST_INFORMATIONAL,
            Self::EchoRequest(_) | Self::EchoReply(_) | Self::Ndp(_) => false,
        }
    }

    /// How many octets [`emit`](Self::emit) writes.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        match self {
            Self::EchoRequest(echo) | Self::EchoReply(echo) => {
                HEADER_LEN.saturating_add(echo.data.len())
            }
            Self::Error(error) => HEADER_LEN.saturating_add(error.quoted.len()),
            Self::Ndp(message) => message.body_len().saturating_add(4),
            Self::Other { body, .. } => body.len().saturating_add(4),
        }
    }

    /// Writes the message with its checksum into the first [`encoded_len`](Self::encoded_len) octets of `buffer`.
    ///
    /// The quoted packet is written as it is: cut it to [`Icmpv6Error::QUOTED_LEN_MAX`] before.
    ///
    /// # Panics
    ///
    /// If `buffer` is shorter than that.
    pub fn emit(&self, buffer: &mut [u8], source: Ipv6Addr, destination: Ipv6Addr) {
        let message = buffer
            .get_mut(..self.encoded_len())
            .expect("the buffer is shorter than the message");
        let mut writer = Writer::new(message);
        match self {
            Self::EchoRequest(echo) => {
                writer.put(&[ECHO_REQUEST, 0, 0, 0]);
                writer.put(&echo.word());
                writer.put(echo.data);
            }
            Self::EchoReply(echo) => {
                writer.put(&[ECHO_REPLY, 0, 0, 0]);
                writer.put(&echo.word());
                writer.put(echo.data);
            }
            Self::Error(Icmpv6Error { kind, quoted }) => {
                let (kind, code, word) = kind.kind_code_word();
                writer.put(&[kind, code, 0, 0]);
                writer.put(&word);
                writer.put(quoted);
            }
            Self::Ndp(message) => {
                writer.put(&[message.kind(), 0, 0, 0]);
                message.emit_body(&mut writer);
            }
            Self::Other { kind, code, body } => {
                writer.put(&[*kind, *code, 0, 0]);
                writer.put(body);
            }
        }
        let checksum = sum(message, source, destination).finish();
        set_checksum(message, checksum);
    }
}

fn sum(message: &[u8], source: Ipv6Addr, destination: Ipv6Addr) -> Sum {
    let len = u32::try_from(message.len()).unwrap_or(u32::MAX);
    Sum::default()
        .pseudo_header(source.into(), destination.into(), IpProtocol::ICMPV6, len)
        .add_bytes(message)
}
