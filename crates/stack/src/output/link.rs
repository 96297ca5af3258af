//! The last step: back to ourselves, or onto the link.

use crate::id::InterfaceId;
use crate::input::Link;
use crate::interface::{Medium, solicited_node};
use crate::neighbours::{Question, Resolution};
use crate::routes::NextHop;
use crate::stack::Stack;
use alloc::collections::VecDeque;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use handwave_packet::{PacketBuf, Payload};
use handwave_tcp::{IcmpKind, Instant, Unreachable};
use handwave_wire::IpProtocol;
use handwave_wire::arp::{ArpOperation, ArpPacket};
use handwave_wire::ethernet::{EtherType, EthernetHeader, MacAddr};
use handwave_wire::icmpv6::Icmpv6Message;
use handwave_wire::ipv6::Ipv6Header;
use handwave_wire::ndp::{self, NdpMessage, NeighborSolicitation};

use super::icmp::encode_icmpv6;

impl Stack {
    /// Makes an IP packet ready for its device; `None` if it stays here, waits for a neighbour, or is dropped.
    pub(super) fn send(
        &mut self,
        now: Instant,
        hop: NextHop,
        destination: IpAddr,
        packet: PacketBuf,
    ) -> Option<(InterfaceId, PacketBuf)> {
        if hop.is_local {
            if !self.outbox.push_looped(hop.interface, packet) {
                self.counters.transmit_queue_full += 1;
            }
            return None;
        }
        let known = self.interfaces.get(hop.interface.index())?;
        let Medium::Ethernet { mac } = known.config.medium else {
            return Some((hop.interface, packet));
        };
        if let Some(group) = self.group_mac(hop.interface, destination) {
            return Some((hop.interface, frame(mac, group, destination, packet)));
        }
        match self
            .neighbours
            .resolve(now, (hop.interface, hop.addr), packet)
        {
            Resolution::Send(neighbour, packet) => {
                Some((hop.interface, frame(mac, neighbour, destination, packet)))
            }
            Resolution::Waits(overflow) => {
                self.counters.neighbour_failures += u64::from(overflow.is_some());
                None
            }
        }
    }

    /// Queues an IP packet that was not polled for.
    pub(crate) fn enqueue(
        &mut self,
        now: Instant,
        hop: NextHop,
        destination: IpAddr,
        packet: PacketBuf,
    ) {
        if self.outbox.is_full() {
            self.counters.transmit_queue_full += 1;
        } else if !hop.is_local && self.is_bare(hop.interface) {
            self.outbox.push(hop.interface, packet);
        } else if let Some((interface, packet)) = self.send(now, hop, destination, packet) {
            self.outbox.push(interface, packet);
        }
    }

    /// Whether packets leave `interface` without a frame around them.
    pub(super) fn is_bare(&self, interface: InterfaceId) -> bool {
        let known = self.interfaces.get(interface.index());
        known.is_some_and(|known| known.config.medium == Medium::Ip)
    }

    /// Takes a packet from ourselves.
    pub(super) fn input_looped(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        mut packet: PacketBuf,
    ) {
        let link = Link {
            interface,
            to_group: false,
            looped: true,
            reassembled: false,
        };
        self.input_ip(now, link, &mut packet);
    }

    /// Queues the packets that waited for a neighbour whose link address is known at last.
    pub(crate) fn send_waiting(
        &mut self,
        interface: InterfaceId,
        neighbour: MacAddr,
        addr: IpAddr,
        waiting: VecDeque<PacketBuf>,
    ) {
        let mac = self
            .interfaces
            .get(interface.index())
            .and_then(|known| known.mac());
        let Some(mac) = mac else { return };
        for packet in waiting {
            if !self
                .outbox
                .push(interface, frame(mac, neighbour, addr, packet))
            {
                self.counters.transmit_queue_full += 1;
            }
        }
    }

    /// Lets time pass for neighbours; the senders of what waited in vain hear that the host is unreachable.
    pub(crate) fn neighbours_timeout(&mut self, now: Instant) {
        while let Some(waiting) = self.neighbours.pop_expired(now) {
            for packet in waiting {
                self.counters.neighbour_failures += 1;
                let quoted = packet.contiguous();
                self.icmp_about(now, quoted, IcmpKind::Unreachable(Unreachable::Host));
            }
        }
    }

    /// Puts a question for a link address into a frame: an ARP request or a neighbour solicitation.
    pub(super) fn neighbour_question(
        &self,
        question: Question,
    ) -> Option<(InterfaceId, PacketBuf)> {
        let known = self.interfaces.get(question.interface.index())?;
        let mac = known.mac()?;
        let source = known.source_for(question.addr)?;
        let frame = match (source, question.addr) {
            (IpAddr::V4(source), IpAddr::V4(target)) => {
                let request = ArpPacket {
                    operation: ArpOperation::Request,
                    sender_mac: mac,
                    sender_ip: source,
                    target_mac: question.unicast.unwrap_or(MacAddr::UNSPECIFIED),
                    target_ip: target,
                };
                arp_frame(
                    mac,
                    question.unicast.unwrap_or(MacAddr::BROADCAST),
                    &request,
                )
            }
            (IpAddr::V6(source), IpAddr::V6(target)) => {
                let solicitation = NeighborSolicitation {
                    target,
                    source_link: Some(mac),
                };
                let message = NdpMessage::NeighborSolicitation(solicitation);
                let (group, destination) = match question.unicast {
                    Some(neighbour) => (neighbour, target),
                    None => {
                        let group = solicited_node(target);
                        (MacAddr::of_ipv6_group(group), group)
                    }
                };
                ndp_frame(mac, group, source, destination, message)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return None,
        };
        Some((question.interface, frame))
    }

    /// The link-layer group that an IP group maps to; `None` for a single host.
    fn group_mac(&self, interface: InterfaceId, destination: IpAddr) -> Option<MacAddr> {
        match destination {
            IpAddr::V4(addr) if addr.is_multicast() => Some(MacAddr::of_ipv4_group(addr)),
            IpAddr::V4(addr) => self
                .addresses
                .is_broadcast(interface, addr)
                .then_some(MacAddr::BROADCAST),
            IpAddr::V6(addr) => addr.is_multicast().then(|| MacAddr::of_ipv6_group(addr)),
        }
    }
}

/// Puts an Ethernet header before an IP packet.
fn frame(source: MacAddr, destination: MacAddr, to: IpAddr, mut packet: PacketBuf) -> PacketBuf {
    let ethertype = if to.is_ipv4() {
        EtherType::IPV4
    } else {
        EtherType::IPV6
    };
    let header = EthernetHeader {
        destination,
        source,
        ethertype,
    };
    header.emit(packet.prepend(EthernetHeader::LEN));
    packet
}

/// An ARP packet in its frame.
pub(crate) fn arp_frame(source: MacAddr, destination: MacAddr, arp: &ArpPacket) -> PacketBuf {
    let mut packet = PacketBuf::with_payload(Payload::new());
    arp.emit(packet.prepend(ArpPacket::LEN));
    let header = EthernetHeader {
        destination,
        source,
        ethertype: EtherType::ARP,
    };
    header.emit(packet.prepend(EthernetHeader::LEN));
    packet
}

/// A neighbour discovery message in its packet and frame; its hop limit proves that no router passed it on.
pub(crate) fn ndp_frame(
    mac: MacAddr,
    to: MacAddr,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    message: NdpMessage,
) -> PacketBuf {
    let octets = encode_icmpv6(&Icmpv6Message::Ndp(message), source, destination);
    let header = Ipv6Header {
        hop_limit: ndp::HOP_LIMIT,
        payload_len: u16::try_from(octets.len()).unwrap_or(u16::MAX),
        ..Ipv6Header::new(source, destination, IpProtocol::ICMPV6)
    };
    let mut packet = PacketBuf::with_payload(Payload::from(octets));
    header.emit(packet.prepend(Ipv6Header::LEN));
    frame(mac, to, destination.into(), packet)
}

/// Nobody: the source of an ARP probe (RFC 5227 1.1).
pub(crate) const NOBODY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
