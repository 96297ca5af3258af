//! The way in: from what a device received to the socket it is for.
//!
//! ```text
//! handle_packet -> ethernet -> arp
//!                           -> ipv4 -> reassembly -> tcp  -> train -> connection, TIME-WAIT, listener, or RST
//!                           -> ipv6 -> reassembly -> udp  -> socket, or port unreachable
//!                                                 -> icmp -> echo reply, error to the socket it is about, neighbours
//!                           -> plain  -> train
//! ```
//!
//! A packet is parsed where it lies; nothing is copied and nothing is answered before its checksum has been seen. Each
//! function here takes the packet one layer further or drops it with a counter.

mod ahead;
mod arp;
mod ethernet;
mod icmp;
mod ipv4;
mod ipv6;
mod ndp;
mod plain;
mod reassembly;
mod tcp;
mod train;
mod udp;

pub use reassembly::ReassemblyLimits;

pub(crate) use ahead::AHEAD;
pub(crate) use reassembly::Reassembly;
pub(crate) use tcp::Way;
pub(crate) use train::Train;

use crate::config::HostModel;
use crate::id::InterfaceId;
use crate::interface::{Destination, Medium};
use crate::output::Complaint;
use crate::stack::Stack;
use core::net::IpAddr;
use handwave_packet::{ChecksumMark, PacketBuf};
use handwave_tcp::Instant;
use handwave_wire::{Ecn, IpProtocol, ParseError, Sum};

/// How a packet came in, as far as the layers below IP know.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) interface: InterfaceId,
    /// The frame went to a link-layer group or broadcast.
    pub(crate) to_group: bool,
    /// The packet never left this host.
    pub(crate) looped: bool,
    /// The packet was put together from fragments.
    pub(crate) reassembled: bool,
}

/// What IP says of a packet whose upper layer comes next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) link: Link,
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// The packet went to more than this host, by its IP or by its link address.
    pub(crate) to_group: bool,
    pub(crate) ecn: Ecn,
    pub(crate) hop_limit: u8,
    /// Where the upper layer begins. The headers before it are still there, for an ICMP error to quote.
    pub(crate) offset: usize,
    /// Which octet of the packet names the upper layer.
    pub(crate) named_at: usize,
}

impl Stack {
    /// Takes a packet from the outside.
    pub(crate) fn input(&mut self, now: Instant, interface: InterfaceId, packet: &mut PacketBuf) {
        let Some(known) = self.interfaces.get(interface.index()) else {
            self.counters.no_interface += 1;
            return;
        };
        let link = Link {
            interface,
            to_group: false,
            looped: false,
            reassembled: false,
        };
        match known.config.medium {
            Medium::Ip => self.input_ip(now, link, packet),
            Medium::Ethernet { mac } => self.input_ethernet(now, interface, mac, packet),
        }
    }

    /// Takes an IP packet, whichever version it is.
    #[inline]
    pub(crate) fn input_ip(&mut self, now: Instant, link: Link, packet: &mut PacketBuf) {
        if !self.steering.is_alone() && !link.looped && self.put_stray_aside(link, packet) {
            return;
        }
        self.input_own(now, link, packet);
    }

    /// Takes an IP packet that is this shard's.
    #[inline]
    pub(crate) fn input_own(&mut self, now: Instant, link: Link, packet: &mut PacketBuf) {
        if self.input_plain(now, link, packet) {
            return;
        }
        self.counters.ip_received += 1;
        match packet.contiguous().first().map(|first| first >> 4) {
            Some(4) => self.input_ipv4(now, link, packet),
            Some(6) => self.input_ipv6(now, link, packet),
            _ => self.counters.ip_header_errors += 1,
        }
    }

    /// What `destination` is to a packet that came in over `link`.
    /// RFC 1122 3.2.1.3: what is not addressed to us is dropped in silence [RFC1122-2].
    fn classify(&self, link: &Link, destination: IpAddr) -> Destination {
        let weak = link.looped || self.config.host_model == HostModel::Weak;
        if weak && self.addresses.is_ours(&destination) {
            return Destination::Unicast;
        }
        match self.addresses.classify(link.interface, destination) {
            Destination::Foreign
                if self.forwards(link.interface, destination)
                    || self.is_borrowed(link.interface, &destination) =>
            {
                Destination::Unicast
            }
            class => class,
        }
    }

    /// Whether `addr` is a stranger's for whom nothing new is taken, though sockets bear it.
    #[inline]
    pub(crate) fn is_borrowed(&self, interface: InterfaceId, addr: &IpAddr) -> bool {
        self.borrowed.is_some() && self.is_among_borrowed(interface, addr)
    }

    fn is_among_borrowed(&self, interface: InterfaceId, addr: &IpAddr) -> bool {
        let borrowed = self.borrowed.as_ref();
        borrowed.is_some_and(|borrowed| borrowed.has(addr))
            && !self.addresses.is_ours(addr)
            && !self.forwards(interface, *addr)
    }

    /// Whether `source` may send anything: not a group, not ourselves from outside, not the loopback network from
    /// outside (RFC 1122 3.2.1.3, RFC 9293 3.9.2.3 [MUST-63]).
    fn is_valid_source(&self, link: &Link, source: IpAddr) -> bool {
        if source.is_multicast() || source.is_unspecified() {
            return false;
        }
        if let IpAddr::V4(addr) = source
            && self.addresses.is_broadcast(link.interface, addr)
        {
            return false;
        }
        link.looped || !(source.is_loopback() || self.addresses.is_ours(&source))
    }

    /// Hands a packet to its upper layer.
    fn deliver(
        &mut self,
        now: Instant,
        arrival: Arrival,
        protocol: IpProtocol,
        packet: &mut PacketBuf,
    ) {
        let only_known = self.is_borrowed(arrival.link.interface, &arrival.destination);
        match protocol {
            IpProtocol::TCP => self.input_tcp(now, arrival, packet),
            IpProtocol::UDP if !only_known => self.input_udp(now, arrival, packet),
            IpProtocol::ICMP if arrival.source.is_ipv4() => {
                self.input_icmpv4(now, arrival, packet);
            }
            IpProtocol::ICMPV6 if arrival.source.is_ipv6() => {
                self.input_icmpv6(now, arrival, packet);
            }
            _ if only_known => self.counters.ip_foreign_address += 1,
            // Nothing follows, and nothing is wrong with that (RFC 8200 4.7).
            IpProtocol::NO_NEXT_HEADER if arrival.source.is_ipv6() => {}
            _ => {
                self.counters.ip_unknown_protocol += 1;
                let named_at = arrival.named_at;
                self.complain(now, &arrival, packet, Complaint::Protocol { named_at });
            }
        }
    }
}

/// Reads a header at the front of a packet, which must be made one piece if the header does not lie in the first.
fn read<T>(
    packet: &mut PacketBuf,
    parse: impl Fn(&[u8], usize) -> Result<T, ParseError>,
) -> Result<T, ParseError> {
    let len = packet.len();
    match parse(packet.contiguous(), len) {
        Err(ParseError::Truncated) if packet.contiguous().len() < len => {
            packet.linearize();
            parse(packet.contiguous(), len)
        }
        done => done,
    }
}

/// Whether the checksum of an upper layer holds that covers the pseudo-header and everything from `arrival.offset` on
/// (RFC 9293 3.1 [MUST-3]).
///
/// What the device has verified, and what never left memory, is not summed again.
fn checksum_holds(packet: &PacketBuf, arrival: &Arrival, protocol: IpProtocol) -> bool {
    match packet.checksum() {
        ChecksumMark::Verified | ChecksumMark::Partial => true,
        ChecksumMark::Unknown => {
            let len = packet.len().saturating_sub(arrival.offset);
            let pseudo = Sum::default().pseudo_header(
                arrival.source,
                arrival.destination,
                protocol,
                u32::try_from(len).unwrap_or(u32::MAX),
            );
            sum_from(packet, arrival.offset, pseudo).is_valid()
        }
    }
}

/// Adds everything from `offset` on, which is even, to a sum.
pub(crate) fn sum_from(packet: &PacketBuf, offset: usize, sum: Sum) -> Sum {
    let front = packet.contiguous();
    if front.len() == packet.len() {
        return sum.add_bytes(front.get(offset..).unwrap_or_default());
    }
    if let Some(rest) = packet.head().get(offset..)
        && !packet.head().is_empty()
    {
        return packet.payload().sum(sum.add_bytes(rest));
    }
    let mut skip = offset.saturating_sub(packet.head().len());
    let mut sum = sum;
    for piece in packet.payload().pieces() {
        let cut = skip.min(piece.len());
        sum = sum.add_bytes(&piece[cut..]);
        skip -= cut;
    }
    sum
}
