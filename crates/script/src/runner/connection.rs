//! Which connection a packet of the script belongs to, and what its relative numbers are on the wire.
//!
//! The peer's sequence numbers and timestamps are the script's own. Ours are chosen by the stack, so they are learned from what it
//! sends: the first SYN tells the initial sequence number, each timestamp what the script calls it.

use std::collections::BTreeMap;

use super::packet::End;
use crate::language::ast::{Body, Packet, PortEnd, Ports, Segment, TcpOption};

const SYN: u16 = 2;
const RST: u16 = 4;
const ACK: u16 = 16;

/// One connection of a script.
#[derive(Clone, Debug)]
pub(super) struct Connection {
    /// The descriptor in the script, once there is one.
    pub(super) fd: Option<i64>,
    /// Our end; the port of an active open is learned from its SYN.
    pub(super) local: End,
    /// The peer's end.
    pub(super) remote: End,
    /// What to add to a number of ours in the script to have it on the wire.
    offset: Option<u32>,
    /// The stack may choose a new initial sequence number: the peer has sent a SYN.
    may_restart: bool,
    timestamps: BTreeMap<u32, u32>,
    newest_timestamp: Option<(u32, u32)>,
    /// The newest timestamp of ours, which is echoed where no names are known.
    echoed: Option<u32>,
}

impl Connection {
    pub(super) const fn new(local: End, remote: End) -> Self {
        Self {
            fd: None,
            local,
            remote,
            offset: None,
            may_restart: false,
            timestamps: BTreeMap::new(),
            newest_timestamp: None,
            echoed: None,
        }
    }

    const fn ours_on_wire(&self, number: u32) -> u32 {
        number.wrapping_add(self.offset_or_none())
    }

    const fn ours_in_script(&self, number: u32) -> u32 {
        number.wrapping_sub(self.offset_or_none())
    }

    const fn offset_or_none(&self) -> u32 {
        match self.offset {
            Some(offset) => offset,
            None => 0,
        }
    }

    /// What an inbound segment says on the wire.
    pub(super) fn wire_segment(&mut self, segment: &Segment) -> Segment {
        if segment.flags & (SYN | ACK) == SYN {
            self.may_restart = true;
        }
        let mut live = segment.clone();
        live.ack = segment.ack.map(|ack| self.ours_on_wire(ack));
        for option in live.options.iter_mut().flatten() {
            match option {
                TcpOption::Sack(blocks) => {
                    for (start, end) in blocks {
                        *start = self.ours_on_wire(*start);
                        *end = self.ours_on_wire(*end);
                    }
                }
                TcpOption::Timestamps { echo, .. } => *echo = self.timestamp_on_wire(*echo),
                _ => {}
            }
        }
        live
    }

    /// The number on the wire of a quoted segment of ours.
    pub(super) const fn quoted_on_wire(&self, seq: u32) -> u32 {
        self.ours_on_wire(seq)
    }

    fn timestamp_on_wire(&self, echo: u32) -> u32 {
        if echo == 0 {
            return 0;
        }
        match (self.timestamps.get(&echo), self.newest_timestamp) {
            (Some(live), _) => *live,
            (None, Some((script, live))) => live.wrapping_add(echo.wrapping_sub(script)),
            (None, None) => self
                .echoed
                .map_or(echo, |newest| newest.wrapping_add(echo - 1)),
        }
    }

    /// What a segment of the stack says in the script's numbers, given what the script expects there.
    pub(super) fn script_segment(&mut self, live: &Segment, wanted: &Segment) -> Segment {
        let is_first = live.flags & SYN != 0 && (self.offset.is_none() || self.may_restart);
        if is_first {
            self.offset = Some(live.seq.wrapping_sub(wanted.seq));
            self.may_restart = false;
        }
        let mut segment = live.clone();
        segment.seq = match (live.flags & RST, live.seq) {
            // The number of a reset in answer to a segment without ACK is zero, nobody's number.
            (RST, 0) => 0,
            _ => self.ours_in_script(live.seq),
        };
        for option in segment.options.iter_mut().flatten() {
            if let TcpOption::Timestamps { value, .. } = option {
                *value = self.timestamp_in_script(*value);
            }
        }
        segment
    }

    fn timestamp_in_script(&self, live: u32) -> u32 {
        match self.newest_timestamp {
            Some((script, newest)) => script.wrapping_add(live.wrapping_sub(newest)),
            None => live,
        }
    }

    /// Remembers what the script calls a timestamp of ours; with `is_name`, later ones are counted from it.
    pub(super) fn learn_timestamp(&mut self, script: u32, live: u32, is_name: bool) {
        self.timestamps.insert(script, live);
        if is_name {
            self.newest_timestamp = Some((script, live));
        }
    }

    /// Remembers a timestamp of ours that has no name: 1 stands for it, and numbers after 1 for later ones.
    pub(super) const fn echo_newest(&mut self, live: u32) {
        self.echoed = Some(live);
    }

    /// Whether a timestamp of ours has been seen.
    pub(super) const fn knows_timestamps(&self) -> bool {
        self.newest_timestamp.is_some()
    }

    /// Whether a packet of the stack, its ports complete, belongs to this connection.
    pub(super) fn sends(&self, packet: &Packet) -> bool {
        let Some(Ports {
            source,
            destination,
        }) = packet.ports
        else {
            return false;
        };
        let is = |end: PortEnd, (address, port): End| {
            end.address == Some(address)
                && (end.port == port || matches!(packet.body, Body::Icmp(_)) || port == 0)
        };
        is(source, self.local) && is(destination, self.remote)
    }
}

/// The timestamp a segment carries.
pub(super) fn timestamp_of(segment: &Segment) -> Option<u32> {
    segment
        .options
        .iter()
        .flatten()
        .find_map(|option| match option {
            TcpOption::Timestamps { value, .. } => Some(*value),
            _ => None,
        })
}
