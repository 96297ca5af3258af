//! ICMP messages (RFC 792, RFC 4443): echoes are answered, errors go to the socket that caused them.
//!
//! Anybody can write anything into an error. It is believed only if it quotes a packet of ours that is in flight: the
//! connection checks the sequence number (RFC 5927 4.1), a UDP socket must have sent to that peer lately. Source
//! Quench is dropped in silence (RFC 9293 3.9.2.2 [MUST-55], RFC 6633), redirects are not followed.

use super::Arrival;
use crate::demux::Owner;
use crate::output::{encode_icmpv4, encode_icmpv6};
use crate::pmtu::mtu_floor;
use crate::stack::Stack;
use core::net::IpAddr;
use handwave_packet::PacketBuf;
use handwave_tcp::{Endpoint, Events, IcmpError, IcmpKind, Instant, Tuple, Unreachable};
use handwave_wire::icmpv4::{
    Echo, Icmpv4Error, Icmpv4ErrorKind, Icmpv4Message, Icmpv4Unreachable, Prohibited, QuotedPacket,
};
use handwave_wire::icmpv6::{
    Icmpv6Error, Icmpv6ErrorKind, Icmpv6Message, Icmpv6Unreachable, ParameterProblemCode,
};
use handwave_wire::{IpProtocol, ParseError};

const SOURCE_QUENCH: u8 = 4;

/// Sizes of packets on links that are in use, to guess the next smaller one for a router that does not say (RFC 1191
/// 7.1).
const PLATEAUS: [u16; 10] = [
    32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, 508, 296, 68,
];

impl Stack {
    pub(super) fn input_icmpv4(&mut self, now: Instant, arrival: Arrival, packet: &mut PacketBuf) {
        self.counters.icmp_received += 1;
        packet.linearize();
        let octets = packet
            .contiguous()
            .get(arrival.offset..)
            .unwrap_or_default();
        match Icmpv4Message::parse(octets) {
            Ok(Icmpv4Message::EchoRequest(echo)) => self.answer_echo(now, &arrival, echo),
            Ok(Icmpv4Message::Error(Icmpv4Error { kind, quoted })) => {
                let packet = QuotedPacket::parse_ipv4(quoted);
                let kind = packet
                    .ok()
                    .and_then(|packet| Report::of_icmpv4(kind, &packet));
                self.handle_report(now, quoted, kind);
            }
            Ok(Icmpv4Message::Other {
                kind: SOURCE_QUENCH,
                ..
            }) => {
                self.counters.icmp_source_quenches += 1;
            }
            Ok(Icmpv4Message::EchoReply(_) | Icmpv4Message::Other { .. }) => {}
            Err(ParseError::BadChecksum) => self.counters.icmp_checksum_errors += 1,
            Err(_) => self.counters.icmp_malformed += 1,
        }
    }

    pub(super) fn input_icmpv6(&mut self, now: Instant, arrival: Arrival, packet: &mut PacketBuf) {
        self.counters.icmp_received += 1;
        let (IpAddr::V6(source), IpAddr::V6(destination)) = (arrival.source, arrival.destination)
        else {
            return;
        };
        packet.linearize();
        let octets = packet
            .contiguous()
            .get(arrival.offset..)
            .unwrap_or_default();
        match Icmpv6Message::parse(octets, source, destination) {
            Ok(Icmpv6Message::EchoRequest(echo)) => self.answer_echo(now, &arrival, echo),
            Ok(Icmpv6Message::Error(Icmpv6Error { kind, quoted })) => {
                self.handle_report(now, quoted, Report::of_icmpv6(kind));
            }
            Ok(Icmpv6Message::Ndp(message)) => {
                self.input_ndp(now, &arrival, source, destination, message);
            }
            Ok(Icmpv6Message::EchoReply(_) | Icmpv6Message::Other { .. }) => {}
            Err(ParseError::BadChecksum) => self.counters.icmp_checksum_errors += 1,
            Err(_) => self.counters.icmp_malformed += 1,
        }
    }

    /// Answers an echo request to a single host; one to a group could make many answer a forged sender.
    /// RFC 1122 3.2.2.6: an echo request is answered with what it carried; one to a group is not [RFC1122-7] [RFC1122-8].
    fn answer_echo(&mut self, now: Instant, arrival: &Arrival, echo: Echo<'_>) {
        // Nobody has asked whether a host that we forward for is there.
        if arrival.to_group
            || self.forwards(arrival.link.interface, arrival.destination)
            || self.is_borrowed(arrival.link.interface, &arrival.destination)
        {
            return;
        }
        if !self.echo_bucket.take(now) {
            self.counters.icmp_echoes_limited += 1;
            return;
        }
        let message = match (arrival.destination, arrival.source) {
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                encode_icmpv6(&Icmpv6Message::EchoReply(echo), ours, theirs)
            }
            _ => encode_icmpv4(&Icmpv4Message::EchoReply(echo)),
        };
        self.counters.icmp_echoes += 1;
        self.send_icmp(now, arrival.destination, arrival.source, message);
    }

    fn handle_report(&mut self, now: Instant, quoted: &[u8], report: Option<IcmpKind>) {
        let believed = report.is_some_and(|kind| self.icmp_about(now, quoted, kind));
        if believed {
            self.counters.icmp_errors_delivered += 1;
        } else {
            self.counters.icmp_errors_unmatched += 1;
        }
    }

    /// Tells the socket that sent the quoted packet what became of it (RFC 9293 3.9.2.2 [MUST-54]); returns whether
    /// anybody believes it.
    pub(crate) fn icmp_about(&mut self, now: Instant, quoted: &[u8], kind: IcmpKind) -> bool {
        let packet = match quoted.first().map(|first| first >> 4) {
            Some(4) => QuotedPacket::parse_ipv4(quoted),
            _ => QuotedPacket::parse_ipv6(quoted),
        };
        let Ok(packet) = packet else { return false };
        let Some(ports) = packet
            .ports
            .filter(|_| self.addresses.is_ours(&packet.source) || self.borrowed.is_some())
        else {
            return false;
        };
        let tuple = Tuple::new(
            Endpoint::new(packet.source, ports.source),
            Endpoint::new(packet.destination, ports.destination),
        );
        let kind = match kind {
            IcmpKind::PacketTooBig { mtu } => match self.plausible_mtu(&packet, mtu) {
                Some(mtu) => IcmpKind::PacketTooBig { mtu },
                None => return false,
            },
            other => other,
        };
        let believed = match (packet.protocol, packet.seq) {
            (IpProtocol::TCP, Some(seq)) => self.icmp_for_tcp(now, &tuple, IcmpError { kind, seq }),
            (IpProtocol::UDP, _) => self.icmp_for_udp(&tuple, kind),
            _ => false,
        };
        if let IcmpKind::PacketTooBig { mtu } = kind
            && believed
        {
            self.learn_path_mtu(now, packet.destination, mtu);
        }
        believed
    }

    fn icmp_for_tcp(&mut self, now: Instant, tuple: &Tuple, error: IcmpError) -> bool {
        match self.owner_of(tuple) {
            Some(Owner::Connection(slot)) => {
                let told = self.with_slot(now, slot, |connection, cx| {
                    connection.handle_icmp(cx, error)
                });
                told.unwrap_or(false)
            }
            Some(Owner::TimeWait(_)) => false,
            None => {
                let Some(slot) = self.listening.find(&tuple.local) else {
                    return false;
                };
                let Some(entry) = self.listening.at_mut(slot) else {
                    return false;
                };
                let mut cx = handwave_tcp::Context::new(now, &mut self.host);
                entry.listener.handle_icmp(&mut cx, tuple, error)
            }
        }
    }

    fn icmp_for_udp(&mut self, tuple: &Tuple, kind: IcmpKind) -> bool {
        let Some(slot) = self.udp.find(&tuple.local) else {
            return false;
        };
        if !self
            .udp
            .at(slot)
            .is_some_and(|socket| socket.sent_recently(&tuple.remote))
        {
            return false;
        }
        self.udp.notify(slot, |socket| {
            socket.counters.icmp_errors += 1;
            if let IcmpKind::Unreachable(why) = kind {
                socket.error = Some((tuple.remote, why));
                socket.events |= Events::SOFT_ERROR;
            }
        });
        true
    }

    /// The path MTU that a report means, if it can be true: smaller than the packet it is about, and no smaller than
    /// IPv6 allows (RFC 8201 4); over IPv4 no smaller than we go.
    fn plausible_mtu(&self, packet: &QuotedPacket, mtu: u16) -> Option<u16> {
        let floor = mtu_floor(packet.destination);
        if u32::from(mtu) >= packet.packet_len || packet.destination.is_ipv6() && mtu < floor {
            return None;
        }
        let hop = self.route_to(packet.destination)?;
        let mtu = mtu.max(floor);
        (mtu < self.mtu_to(packet.destination, &hop)).then_some(mtu)
    }

    fn learn_path_mtu(&mut self, now: Instant, destination: IpAddr, mtu: u16) {
        let Some(hop) = self.route_to(destination) else {
            return;
        };
        let current = self.mtu_to(destination, &hop);
        if self.path_mtus.reduce(now, destination, mtu, current) {
            self.counters.path_mtu_reduced += 1;
            self.paths_changed();
        }
    }
}

/// From what a message says to what it means for a socket.
struct Report;

impl Report {
    /// RFC 1122 3.2.2.1: what cannot be reached is told to the transport [RFC1122-6].
    fn of_icmpv4(kind: Icmpv4ErrorKind, packet: &QuotedPacket) -> Option<IcmpKind> {
        let why = match kind {
            Icmpv4ErrorKind::TimeExceeded(_) => return Some(IcmpKind::TimeExceeded),
            Icmpv4ErrorKind::ParameterProblem { .. } => return Some(IcmpKind::ParameterProblem),
            Icmpv4ErrorKind::Unreachable(why) => why,
        };
        let why = match why {
            Icmpv4Unreachable::FragmentationNeeded { next_hop_mtu: 0 } => {
                let smaller = |plateau: &u16| u32::from(*plateau) < packet.packet_len;
                return PLATEAUS
                    .into_iter()
                    .find(smaller)
                    .map(|mtu| IcmpKind::PacketTooBig { mtu });
            }
            Icmpv4Unreachable::FragmentationNeeded { next_hop_mtu: mtu } => {
                return Some(IcmpKind::PacketTooBig { mtu });
            }
            // 6 and 11: network unknown, or unreachable for the type of service (RFC 1122 3.2.2.1).
            Icmpv4Unreachable::Network | Icmpv4Unreachable::Other(6 | 11) => Unreachable::Network,
            // 12: host unreachable for the type of service.
            Icmpv4Unreachable::Host | Icmpv4Unreachable::Other(12) => Unreachable::Host,
            Icmpv4Unreachable::Other(7) => Unreachable::HostUnknown,
            Icmpv4Unreachable::Other(8) => Unreachable::HostIsolated,
            Icmpv4Unreachable::Protocol => Unreachable::Protocol,
            Icmpv4Unreachable::Port => Unreachable::Port,
            Icmpv4Unreachable::SourceRouteFailed => Unreachable::SourceRoute,
            Icmpv4Unreachable::Prohibited(Prohibited::Network) => Unreachable::NetworkProhibited,
            // 14 and 15: the precedence is not allowed (RFC 1812 5.2.7.1).
            Icmpv4Unreachable::Prohibited(_) | Icmpv4Unreachable::Other(14 | 15) => {
                Unreachable::Prohibited
            }
            Icmpv4Unreachable::Other(_) => return None,
        };
        Some(IcmpKind::Unreachable(why))
    }

    fn of_icmpv6(kind: Icmpv6ErrorKind) -> Option<IcmpKind> {
        let why = match kind {
            Icmpv6ErrorKind::TimeExceeded(_) => return Some(IcmpKind::TimeExceeded),
            Icmpv6ErrorKind::PacketTooBig { mtu } => {
                return Some(IcmpKind::PacketTooBig {
                    mtu: u16::try_from(mtu).unwrap_or(u16::MAX),
                });
            }
            // The peer does not know what an IPv4 host would call a protocol.
            Icmpv6ErrorKind::ParameterProblem {
                code: ParameterProblemCode::UnrecognizedNextHeader,
                ..
            } => Unreachable::Protocol,
            Icmpv6ErrorKind::ParameterProblem { .. } => return Some(IcmpKind::ParameterProblem),
            Icmpv6ErrorKind::Unreachable(why) => match why {
                Icmpv6Unreachable::NoRoute => Unreachable::Network,
                Icmpv6Unreachable::Address | Icmpv6Unreachable::BeyondScope => Unreachable::Host,
                Icmpv6Unreachable::Port => Unreachable::Port,
                Icmpv6Unreachable::Prohibited
                | Icmpv6Unreachable::SourcePolicy
                | Icmpv6Unreachable::RejectRoute => Unreachable::Prohibited,
                Icmpv6Unreachable::Other(_) => return None,
            },
        };
        Some(IcmpKind::Unreachable(why))
    }
}
