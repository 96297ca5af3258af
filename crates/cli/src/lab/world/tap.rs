//! What the world writes down about packets on their way.

use std::collections::BTreeMap;

use handwave_capture::Direction;
use handwave_packet::PacketBuf;
use handwave_sim::Fate as LinkFate;
use handwave_story::{Fate, Side, Transit};
use handwave_tcp::Instant;
use handwave_wire::ipv4::Ipv4Header;
use handwave_wire::ipv6::Ipv6Header;
use handwave_wire::{IpProtocol, TcpHeader};

/// A packet as the first side's interface saw it.
#[derive(Clone, Debug)]
pub(crate) struct Tapped {
    pub(crate) at: Instant,
    pub(crate) direction: Direction,
    pub(crate) packet: PacketBuf,
    /// The journey it belongs to, if it is a segment.
    pub(crate) transit: Option<usize>,
}

/// Whose packet it is, and the segment in it.
pub(super) struct Whose {
    pub(super) from: Side,
    pub(super) segment: Option<(TcpHeader, usize)>,
}

/// Records journeys, and octets if asked.
pub(super) struct Tap {
    transits: Vec<Transit>,
    /// Packets seen on the first side, if anybody wants them.
    octets: Option<Vec<Tapped>>,
    /// Which journey arrives at the first side when, in the order in which the link gives packets out.
    expected: BTreeMap<(Instant, u64), Option<usize>>,
    serial: u64,
}

impl Tap {
    pub(super) fn new(keep_octets: bool) -> Self {
        Self {
            transits: Vec::new(),
            octets: keep_octets.then(Vec::new),
            expected: BTreeMap::new(),
            serial: 0,
        }
    }

    /// A packet left `whose` interface.
    pub(super) fn departed(
        &mut self,
        now: Instant,
        whose: Whose,
        packet: PacketBuf,
        fate: &LinkFate,
    ) {
        let from = whose.from;
        let transit = whose.segment.map(|(header, payload_len)| {
            self.transits.push(Transit {
                from,
                sent_at: now,
                header,
                payload_len,
                fate: super::fate(fate),
                injected: false,
            });
            self.transits.len() - 1
        });
        let Some(octets) = &mut self.octets else {
            return;
        };
        match (from, fate) {
            (Side::A, _) => {
                octets.push(Tapped {
                    at: now,
                    direction: Direction::Outbound,
                    packet,
                    transit,
                });
            }
            (Side::B, LinkFate::Queued(delivery)) => {
                // The link launches the copy first, and orders equal times by launch.
                for at in [delivery.copy_at, Some(delivery.at)].into_iter().flatten() {
                    self.expected.insert((at, self.serial), transit);
                    self.serial += 1;
                }
            }
            (Side::B, _) => {}
        }
    }

    /// A packet of `from` came out of the link.
    pub(super) fn arrived(&mut self, now: Instant, from: Side, packet: &PacketBuf) {
        let (Some(octets), Side::B) = (&mut self.octets, from) else {
            return;
        };
        let transit = self.expected.pop_first().and_then(|(_, transit)| transit);
        let (direction, packet) = (Direction::Inbound, packet.clone());
        octets.push(Tapped {
            at: now,
            direction,
            packet,
            transit,
        });
    }

    /// A packet that nobody sent arrives.
    pub(super) fn injected(&mut self, now: Instant, from: Side, packet: &PacketBuf) {
        let Some((header, payload_len)) = segment(packet) else {
            return;
        };
        let fate = Fate::Arrived {
            at: now,
            copies: Vec::new(),
        };
        self.transits.push(Transit {
            from,
            sent_at: now,
            header,
            payload_len,
            fate,
            injected: true,
        });
        if let (Some(octets), Side::B) = (&mut self.octets, from) {
            let transit = Some(self.transits.len() - 1);
            let (direction, packet) = (Direction::Inbound, packet.clone());
            octets.push(Tapped {
                at: now,
                direction,
                packet,
                transit,
            });
        }
    }

    pub(super) fn into_records(self) -> (Vec<Transit>, Vec<Tapped>) {
        (self.transits, self.octets.unwrap_or_default())
    }
}

/// The TCP header in an IP packet and the length of its text.
pub(super) fn segment(packet: &PacketBuf) -> Option<(TcpHeader, usize)> {
    let front = packet.contiguous();
    let (transport, ip_len, protocol) = match front.first()? >> 4 {
        4 => {
            let (header, len) = Ipv4Header::parse_front(front, packet.len()).ok()?;
            (len, packet.len(), header.protocol)
        }
        _ => {
            let (header, len) = Ipv6Header::parse_front(front, packet.len()).ok()?;
            (len, header.packet_len(), header.next_header)
        }
    };
    if protocol != IpProtocol::TCP {
        return None;
    }
    let (header, len) = TcpHeader::parse(front.get(transport..)?).ok()?;
    Some((header, ip_len.checked_sub(transport + len)?))
}
