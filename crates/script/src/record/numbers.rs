//! A conversation as one side sees it, in the numbers of a script.

use super::{ACK, Conversation, Heard, RST, SYN, Side};
use crate::language::ast::{Segment, TcpOption};

/// What the first timestamp of each side is called.
const FIRST_TIMESTAMP: u32 = 100;
/// A way to the place of the capture that is too short to matter, in microseconds.
const NEAR: i64 = 1_000;

/// A conversation as one side sees it: its clock, relative numbers, and the order of packets at its end.
#[derive(Debug)]
pub(super) struct View {
    pub(super) side: Side,
    pub(super) title: String,
    pub(super) is_ipv6: bool,
    pub(super) heard: Vec<Heard>,
}

impl View {
    pub(super) fn new(conversation: &Conversation, side: Side) -> Self {
        let mut heard = conversation.heard.clone();
        let way = way_to_capture(&heard, side);
        let start = heard.first().map_or(0, |first| first.micros);
        for packet in &mut heard {
            packet.micros -= start;
            packet.micros += if packet.from == side { -way } else { way };
        }
        heard.sort_by_key(|packet| packet.micros);
        let start = heard.first().map_or(0, |first| first.micros);
        let bases = Bases::of(&heard, side);
        for packet in &mut heard {
            packet.micros -= start;
            bases.apply(&mut packet.segment, packet.from == side);
        }
        Self {
            side,
            title: format!(
                "the {side} of {} > {}",
                conversation.client, conversation.server
            ),
            is_ipv6: conversation.client.is_ipv6(),
            heard,
        }
    }

    /// The first SYN of this side.
    pub(super) fn own_syn(&self) -> Option<&Segment> {
        self.syn(true)
    }

    /// The first SYN of the peer.
    pub(super) fn peer_syn(&self) -> Option<&Segment> {
        self.syn(false)
    }

    fn syn(&self, own: bool) -> Option<&Segment> {
        let mut segments = self
            .heard
            .iter()
            .filter(|heard| (heard.from == self.side) == own)
            .map(|heard| &heard.segment);
        segments.find(|segment| segment.flags & SYN != 0)
    }
}

/// How long packets take from `side` to where they were captured: half of what this side seems to need to answer a SYN or a SYN+ACK.
fn way_to_capture(heard: &[Heard], side: Side) -> i64 {
    let (asks, answers): (u16, u16) = match side {
        Side::Client => (SYN | ACK, ACK),
        Side::Server => (SYN, SYN | ACK),
    };
    let is = |packet: &Heard, own: bool, flags: u16| {
        (packet.from == side) == own && packet.segment.flags & (SYN | ACK | RST) == flags
    };
    let Some(answer) = heard.iter().position(|packet| is(packet, true, answers)) else {
        return 0;
    };
    let asked = heard[..answer]
        .iter()
        .rfind(|packet| is(packet, false, asks));
    let took = asked.map_or(0, |asked| heard[answer].micros - asked.micros);
    if took < NEAR { 0 } else { took / 2 }
}

/// What relative numbers count from.
struct Bases {
    own_seq: u32,
    peer_seq: u32,
    own_time: u32,
    peer_time: u32,
}

impl Bases {
    fn of(heard: &[Heard], side: Side) -> Self {
        let of = |own: bool| {
            heard
                .iter()
                .filter(move |packet| (packet.from == side) == own)
        };
        let seq = |own| {
            let mut syns = of(own).filter(|packet| packet.segment.flags & SYN != 0);
            syns.next().map_or(0, |packet| packet.segment.seq)
        };
        let time = |own| {
            let mut values = of(own).filter_map(|packet| timestamp(&packet.segment));
            values
                .next()
                .map_or(0, |value| value.wrapping_sub(FIRST_TIMESTAMP))
        };
        Self {
            own_seq: seq(true),
            peer_seq: seq(false),
            own_time: time(true),
            peer_time: time(false),
        }
    }

    fn apply(&self, segment: &mut Segment, own: bool) {
        let (seq, ack) = if own {
            (self.own_seq, self.peer_seq)
        } else {
            (self.peer_seq, self.own_seq)
        };
        // The number of a reset in answer to a segment without ACK is nobody's.
        if segment.flags & (RST | ACK) != RST || segment.seq != 0 {
            segment.seq = segment.seq.wrapping_sub(seq);
        }
        segment.ack = segment.ack.map(|number| number.wrapping_sub(ack));
        let (time, echoed) = if own {
            (self.own_time, self.peer_time)
        } else {
            (self.peer_time, self.own_time)
        };
        for option in segment.options.iter_mut().flatten() {
            match option {
                TcpOption::Sack(blocks) => {
                    for (start, end) in blocks {
                        *start = start.wrapping_sub(ack);
                        *end = end.wrapping_sub(ack);
                    }
                }
                TcpOption::Timestamps { value, echo } => {
                    *value = value.wrapping_sub(time);
                    if *echo != 0 {
                        *echo = echo.wrapping_sub(echoed);
                    }
                }
                _ => {}
            }
        }
    }
}

fn timestamp(segment: &Segment) -> Option<u32> {
    let mut options = segment.options.iter().flatten();
    options.find_map(|option| match option {
        TcpOption::Timestamps { value, .. } => Some(*value),
        _ => None,
    })
}
