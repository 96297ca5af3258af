//! Writes a script from a captured connection: a start for a regression test.
//!
//! A capture shows packets and nothing of the program behind them, so the system calls are guessed: a `write` for what goes up to
//! the next PSH, a `read` for what arrives in order, `shutdown` or `close` where the FIN leaves. Then the script is run. What cannot
//! be seen in a capture, such as the profile, Nagle's algorithm or when the program reads, is tried until the script gets furthest,
//! and windows that depend on the moment at which a program reads are left out where they differ.
//!
//! ```
//! use handwave_script::record::conversations;
//!
//! assert!(conversations(Vec::new()).is_empty());
//! ```

mod calls;
mod link;
mod numbers;
mod play;

use std::fmt;
use std::net::SocketAddr;

use crate::language::ast::{Body, IpFields, Packet, PortEnd, Segment};
use crate::runner::{Failure, packet};

pub use link::ip_packet;

const SYN: u16 = 2;
const ACK: u16 = 16;
const FIN: u16 = 1;
const RST: u16 = 4;

/// An IP packet and when it was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Microseconds since whenever.
    pub micros: i64,
    /// The packet, beginning with its IP header; what the capture has cut off need not be there.
    pub octets: Vec<u8>,
}

/// Whose script is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The end that sent the first SYN.
    Client,
    /// The other end.
    Server,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Server => "server",
        })
    }
}

/// A segment of a conversation, with the numbers of the wire.
#[derive(Clone, Debug)]
struct Heard {
    micros: i64,
    from: Side,
    ip: IpFields,
    segment: Segment,
}

/// What two ends said to each other over one connection.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// The end that sent the first packet captured.
    pub client: SocketAddr,
    /// The other end.
    pub server: SocketAddr,
    heard: Vec<Heard>,
}

impl Conversation {
    /// How many packets it has.
    #[must_use]
    pub fn packets(&self) -> usize {
        self.heard.len()
    }

    /// The octets of text that each end has sent: the client's, and the server's.
    #[must_use]
    pub fn octets(&self) -> (u64, u64) {
        let of = |side| {
            let sent = self.heard.iter().filter(|heard| heard.from == side);
            sent.map(|heard| u64::from(heard.segment.len)).sum()
        };
        (of(Side::Client), of(Side::Server))
    }

    fn begins_with_syn(&self) -> bool {
        let first = self.heard.first();
        first.is_some_and(|first| first.segment.flags & (SYN | ACK) == SYN)
    }

    /// Whether a SYN from `from` opens another connection between the same ends.
    fn is_over_with(&self, from: Side, segment: &Segment) -> bool {
        if segment.flags & (SYN | ACK) != SYN {
            return false;
        }
        let syns = |side| {
            let of = self.heard.iter().filter(move |heard| heard.from == side);
            of.filter(|heard| heard.segment.flags & SYN != 0)
        };
        match syns(from).next() {
            Some(first) => first.segment.seq != segment.seq,
            // Simultaneous opens have two SYNs and nothing before them.
            None => self
                .heard
                .iter()
                .any(|heard| heard.segment.flags & SYN == 0),
        }
    }
}

impl fmt::Display for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (out, back) = self.octets();
        write!(
            f,
            "{} > {}, {} packets, {out} octets out, {back} back",
            self.client,
            self.server,
            self.heard.len()
        )
    }
}

/// The TCP connections among `packets`, in the order in which they begin. What is not TCP is passed over.
#[must_use]
pub fn conversations(packets: impl IntoIterator<Item = Seen>) -> Vec<Conversation> {
    let mut found: Vec<Conversation> = Vec::new();
    for seen in packets {
        let Ok(packet) = packet::decode_captured(&seen.octets) else {
            continue;
        };
        let (Body::Tcp(segment), Some(ports)) = (packet.body, packet.ports) else {
            continue;
        };
        let address = |end: PortEnd| Some(SocketAddr::new(end.address?, end.port));
        let (Some(source), Some(destination)) = (address(ports.source), address(ports.destination))
        else {
            continue;
        };
        let known = found.iter().rposition(|conversation| {
            let ends = (conversation.client, conversation.server);
            ends == (source, destination) || ends == (destination, source)
        });
        let side_in = |conversation: &Conversation| {
            if conversation.client == source {
                Side::Client
            } else {
                Side::Server
            }
        };
        let known = known.filter(|&index| {
            let conversation = &found[index];
            !conversation.is_over_with(side_in(conversation), &segment)
        });
        let index = known.unwrap_or_else(|| {
            found.push(Conversation {
                client: source,
                server: destination,
                heard: Vec::new(),
            });
            found.len() - 1
        });
        let from = side_in(&found[index]);
        found[index].heard.push(Heard {
            micros: seen.micros,
            from,
            ip: packet.ip,
            segment,
        });
    }
    found
}

/// A script from a capture.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The script.
    pub text: String,
    /// Where the script departs from what the stack does, if it does not pass.
    pub failure: Option<Box<Failure>>,
}

/// Writes the script of one side of a conversation.
///
/// # Errors
///
/// Why there can be none: the capture does not have the connection's beginning, or nothing of that side.
pub fn record(conversation: &Conversation, side: Side) -> Result<Recording, String> {
    if !conversation.begins_with_syn() {
        return Err(
            "the capture has no SYN of this connection: it begins in the middle".to_owned(),
        );
    }
    if !conversation.heard.iter().any(|heard| heard.from == side) {
        return Err(format!("the capture has no packet that the {side} sent"));
    }
    let view = numbers::View::new(conversation, side);
    Ok(play::best(&view))
}

/// A packet as a script has it.
fn script_packet(direction: crate::language::ast::Direction, heard: &Heard) -> Packet {
    let marked = heard.ip.ecn.filter(|mark| *mark != 0);
    Packet {
        direction,
        socket: None,
        ip: IpFields {
            ecn: marked,
            ..IpFields::default()
        },
        ports: None,
        body: Body::Tcp(heard.segment.clone()),
    }
}
