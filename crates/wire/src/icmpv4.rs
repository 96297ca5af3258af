//! ICMP for IPv4 (RFC 792, RFC 1191, RFC 4884).
//!
//! Redirects and source quenches are read as [`Icmpv4Message::Other`]: this stack acts on neither (RFC 6633).

#[cfg(test)]
mod tests;

use crate::checksum::internet_checksum;
pub use crate::icmp::{Echo, QuotedPacket, QuotedPorts, TimeExceeded};
use crate::icmp::{HEADER_LEN, original_datagram, set_checksum};
use crate::octets::Writer;
use crate::{ParseError, Sum};

const ECHO_REPLY: u8 = 0;
const DESTINATION_UNREACHABLE: u8 = 3;
const SOURCE_QUENCH: u8 = 4;
const REDIRECT: u8 = 5;
const ECHO_REQUEST: u8 = 8;
const TIME_EXCEEDED: u8 = 11;
const PARAMETER_PROBLEM: u8 = 12;

/// An ICMPv4 message.
///
/// # Examples
///
/// ```
/// use handwave_wire::icmpv4::{Echo, Icmpv4Message};
///
/// let request = Icmpv4Message::EchoRequest(Echo { identifier: 1, sequence: 2, data: b"ping" });
/// let mut octets = [0; 12];
/// assert_eq!(request.encoded_len(), octets.len());
/// request.emit(&mut octets);
/// assert_eq!(Icmpv4Message::parse(&octets), Ok(request));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Icmpv4Message<'a> {
    /// Type 8: answer this.
    EchoRequest(Echo<'a>),
    /// Type 0: the answer.
    EchoReply(Echo<'a>),
    /// A packet that the receiver of the message sent did not arrive.
    Error(Icmpv4Error<'a>),
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

/// An ICMPv4 error: what went wrong, and with which packet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Icmpv4Error<'a> {
    /// What went wrong.
    pub kind: Icmpv4ErrorKind,
    /// The beginning of the packet that caused the error, from its IPv4 header on.
    pub quoted: &'a [u8],
}

impl Icmpv4Error<'_> {
    /// How much of a packet to quote so that the error fits the 576 octets that every host accepts (RFC 1812 4.3.2.3).
    pub const QUOTED_LEN_MAX: usize = 548;

    /// Reads the quoted packet.
    ///
    /// # Errors
    ///
    /// [`ParseError`] if not even its header is quoted.
    pub fn packet(&self) -> Result<QuotedPacket, ParseError> {
        QuotedPacket::parse_ipv4(self.quoted)
    }
}

/// What an ICMPv4 error says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Icmpv4ErrorKind {
    /// Type 3: the packet cannot be delivered.
    Unreachable(Icmpv4Unreachable),
    /// Type 11: the packet was on its way for too long.
    TimeExceeded(TimeExceeded),
    /// Type 12: the packet's header is wrong.
    ParameterProblem {
        /// 0 if the pointer means something, 1 for a missing option, 2 for a bad length.
        code: u8,
        /// The octet of the packet where the problem is.
        pointer: u8,
    },
}

/// Why a packet cannot be delivered: the code of a Destination Unreachable message.
///
/// For TCP, [`Protocol`](Self::Protocol) and [`Port`](Self::Port) end a connection that is being opened, and
/// [`FragmentationNeeded`](Self::FragmentationNeeded) belongs to path MTU discovery; the rest may pass (RFC 9293 3.9.2.2,
/// RFC 5461).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Icmpv4Unreachable {
    /// 0: no route to the network.
    Network,
    /// 1: the last router cannot reach the host.
    Host,
    /// 2: the host does not know the protocol.
    Protocol,
    /// 3: nobody is at the port.
    Port,
    /// 4: the packet is larger than the next link allows and must not be fragmented.
    FragmentationNeeded {
        /// What the next link allows, in octets; 0 from a router older than RFC 1191.
        next_hop_mtu: u16,
    },
    /// 5: the source route failed.
    SourceRouteFailed,
    /// 9, 10 and 13: a filter on the way forbids it (RFC 1812 5.2.7.1).
    Prohibited(Prohibited),
    /// Any other code.
    Other(u8),
}

/// What a filter forbids.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Prohibited {
    /// 9: talking to the network.
    Network,
    /// 10: talking to the host.
    Host,
    /// 13: this communication.
    Communication,
}

impl Icmpv4Unreachable {
    fn parse(code: u8, [_, _, m0, m1]: [u8; 4]) -> Self {
        match code {
            0 => Self::Network,
            1 => Self::Host,
            2 => Self::Protocol,
            3 => Self::Port,
            4 => Self::FragmentationNeeded {
                next_hop_mtu: u16::from_be_bytes([m0, m1]),
            },
            5 => Self::SourceRouteFailed,
            9 => Self::Prohibited(Prohibited::Network),
            10 => Self::Prohibited(Prohibited::Host),
            13 => Self::Prohibited(Prohibited::Communication),
            other => Self::Other(other),
        }
    }

    const fn code(self) -> u8 {
        match self {
            Self::Network => 0,
            Self::Host => 1,
            Self::Protocol => 2,
            Self::Port => 3,
            Self::FragmentationNeeded { .. } => 4,
            Self::SourceRouteFailed => 5,
            Self::Prohibited(Prohibited::Network) => 9,
            Self::Prohibited(Prohibited::Host) => 10,
            Self::Prohibited(Prohibited::Communication) => 13,
            Self::Other(other) => other,
        }
    }

    const fn word(self) -> [u8; 4] {
        match self {
            Self::FragmentationNeeded { next_hop_mtu } => {
                let [m0, m1] = next_hop_mtu.to_be_bytes();
                [0, 0, m0, m1]
            }
            _ => [0; 4],
        }
    }
}

impl<'a> Icmpv4Message<'a> {
    /// Reads the payload of an IPv4 packet as a message and verifies its checksum.
    ///
    /// # Errors
    ///
    /// [`ParseError::Truncated`] if there are fewer than 8 octets, [`ParseError::BadChecksum`].
    pub fn parse(message: &'a [u8]) -> Result<Self, ParseError> {
        let (&[kind, code, _, _, ref word @ ..], rest) = message
            .split_first_chunk::<HEADER_LEN>()
            .ok_or(ParseError::Truncated)?;
        let word = *word;
        if !Sum::default().add_bytes(message).is_valid() {
            return Err(ParseError::BadChecksum);
        }
        let error = match kind {
            ECHO_REQUEST => return Ok(Self::EchoRequest(Echo::parse(word, rest))),
            ECHO_REPLY => return Ok(Self::EchoReply(Echo::parse(word, rest))),
            DESTINATION_UNREACHABLE => {
                Icmpv4ErrorKind::Unreachable(Icmpv4Unreachable::parse(code, word))
            }
            TIME_EXCEEDED => Icmpv4ErrorKind::TimeExceeded(TimeExceeded::from_octet(code)),
            PARAMETER_PROBLEM => {
                let [pointer, ..] = word;
                Icmpv4ErrorKind::ParameterProblem { code, pointer }
            }
            _ => {
                let body = message.get(4..).unwrap_or_default();
                return Ok(Self::Other { kind, code, body });
            }
        };
        // All three have the length of the quoted packet in the same octet, in words (RFC 4884 4).
        let [_, words, _, _] = word;
        let quoted = original_datagram(rest, usize::from(words).saturating_mul(4));
        Ok(Self::Error(Icmpv4Error {
            kind: error,
            quoted,
        }))
    }

    /// Whether the message is an error, to which no error is ever sent in answer (RFC 1122 3.2.2).
    #[must_use]
    pub const fn is_error(&self) -> bool {
        match self {
            Self::Error(_) => true,
            Self::Other { kind, .. } => matches!(*kind, SOURCE_QUENCH | REDIRECT),
            Self::EchoRequest(_) | Self::EchoReply(_) => false,
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
            Self::Other { body, .. } => body.len().saturating_add(4),
        }
    }

    /// Writes the message with its checksum into the first [`encoded_len`](Self::encoded_len) octets of `buffer`.
    ///
    /// The quoted packet is written as it is: cut it to [`Icmpv4Error::QUOTED_LEN_MAX`] before.
    ///
    /// # Panics
    ///
    /// If `buffer` is shorter than that.
    pub fn emit(&self, buffer: &mut [u8]) {
        let message = buffer
            .get_mut(..self.encoded_len())
            .expect("the buffer is shorter than the message");
        let mut writer = Writer::new(message);
        match self {
            Self::EchoRequest(echo) => {
                write(&mut writer, [ECHO_REQUEST, 0], echo.word(), echo.data)
            }
            Self::EchoReply(echo) => write(&mut writer, [ECHO_REPLY, 0], echo.word(), echo.data),
            Self::Error(Icmpv4Error { kind, quoted }) => {
                let (kind_and_code, word) = match *kind {
                    Icmpv4ErrorKind::Unreachable(why) => {
                        ([DESTINATION_UNREACHABLE, why.code()], why.word())
                    }
                    Icmpv4ErrorKind::TimeExceeded(what) => ([TIME_EXCEEDED, what.octet()], [0; 4]),
                    Icmpv4ErrorKind::ParameterProblem { code, pointer } => {
                        ([PARAMETER_PROBLEM, code], [pointer, 0, 0, 0])
                    }
                };
                write(&mut writer, kind_and_code, word, quoted);
            }
            Self::Other { kind, code, body } => {
                writer.put(&[*kind, *code, 0, 0]);
                writer.put(body);
            }
        }
        let checksum = internet_checksum(message);
        set_checksum(message, checksum);
    }
}

fn write(writer: &mut Writer<'_>, kind_and_code: [u8; 2], word: [u8; 4], rest: &[u8]) {
    writer.put(&kind_and_code);
    writer.put(&[0, 0]);
    writer.put(&word);
    writer.put(rest);
}
