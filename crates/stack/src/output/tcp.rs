//! Segments become packets: TCP header, checksum, IP header.

use super::ip::{IpFields, emit_header};
use crate::id::InterfaceId;
use crate::input::Way;
use crate::interface::Medium;
use crate::routes::NextHop;
use crate::stack::Stack;
use core::net::IpAddr;
use handwave_packet::{ChecksumMark, PacketBuf, Payload};
use handwave_tcp::{Context, Instant, Reply, SegmentOut, Tuple};
use handwave_wire::ipv4::Ipv4Header;
use handwave_wire::ipv6::Ipv6Header;
use handwave_wire::{IpProtocol, Sum, TcpHeader};

/// Octets of text that are summed here, whatever the device could do.
const SUMMED_MAX: usize = 64;

impl Stack {
    /// Makes `packet` the next one of a connection that is ready; `None` if there is none for a device.
    pub(super) fn connection_output(
        &mut self,
        now: Instant,
        slot: u32,
        packet: &mut PacketBuf,
    ) -> Option<InterfaceId> {
        self.refresh_path(now, slot);
        let entry = self.connections.at_mut(slot)?;
        let hop = entry.hop;
        if core::mem::take(&mut entry.doubts_hop) {
            self.neighbours.doubt(now, (hop.interface, hop.addr));
        }
        let tuple = *entry.connection.tuple();
        let (connection, segment) = (&mut entry.connection, &mut self.segment);
        let mut cx = Context::new(now, &mut self.host);
        let any = connection.poll_transmit_into(&mut cx, segment);
        // Most have one segment to send: they are not asked again.
        if !any || connection.rests(&mut cx) {
            self.settle(now, slot);
        }
        any.then(|| self.send_or_return(now, hop, &tuple, packet))?
    }

    /// Makes `packet` the next one of a listener that is ready; `None` if there is none for a device.
    pub(super) fn listener_output(
        &mut self,
        now: Instant,
        slot: u32,
        packet: &mut PacketBuf,
    ) -> Option<InterfaceId> {
        let entry = self.listening.at_mut(slot)?;
        let mut cx = Context::new(now, &mut self.host);
        let next = entry
            .listener
            .poll_transmit_into(&mut cx, &mut self.segment);
        let Some(tuple) = next else {
            self.listening.settle(slot);
            return None;
        };
        let hop = self.way_from(&tuple)?;
        self.send_or_return(now, hop, &tuple, packet)
    }

    /// Makes `packet` one of [`segment`](Stack::segment) for its device; where nothing comes around it, it is moved no more.
    #[inline(always)]
    fn send_or_return(
        &mut self,
        now: Instant,
        hop: NextHop,
        tuple: &Tuple,
        packet: &mut PacketBuf,
    ) -> Option<InterfaceId> {
        self.packing(hop, tuple).pack(&mut self.segment, packet);
        if !hop.is_local && self.is_bare(hop.interface) {
            return Some(hop.interface);
        }
        let inner = core::mem::take(packet);
        let (interface, outer) = self.send(now, hop, tuple.remote.addr, inner)?;
        *packet = outer;
        Some(interface)
    }

    /// Queues a segment that no connection sends.
    pub(crate) fn send_segment(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        tuple: &Tuple,
        segment: SegmentOut,
    ) {
        let (hop, _) = self.way_back(&Way {
            interface,
            tuple: *tuple,
        });
        self.segment = segment;
        self.enqueue_segment(now, hop, tuple);
    }

    /// Queues an answer whose way is known.
    pub(crate) fn send_reply_by(
        &mut self,
        now: Instant,
        hop: NextHop,
        tuple: &Tuple,
        reply: &Reply,
    ) {
        reply.write(tuple, &mut self.segment);
        self.enqueue_segment(now, hop, tuple);
    }

    /// Queues [`segment`](Stack::segment), whose way is known.
    fn enqueue_segment(&mut self, now: Instant, hop: NextHop, tuple: &Tuple) {
        let packing = self.packing(hop, tuple);
        let segment = &mut self.segment;
        let known = self.interfaces.get(hop.interface.index());
        if !hop.is_local && known.is_some_and(|known| known.config.medium == Medium::Ip) {
            let make = |packet: &mut PacketBuf| packing.pack(segment, packet);
            if !self.outbox.push_with(hop.interface, make) {
                self.counters.transmit_queue_full += 1;
            }
            return;
        }
        let mut packet = PacketBuf::default();
        packing.pack(segment, &mut packet);
        self.enqueue(now, hop, tuple.remote.addr, packet);
    }

    /// Queues a RST that anyone may have provoked, within the limit on these.
    pub(crate) fn send_reset(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        tuple: &Tuple,
        reset: SegmentOut,
    ) {
        if self.reset_bucket.take(now) {
            self.send_segment(now, interface, tuple, reset);
        } else {
            self.counters.resets_limited += 1;
        }
    }

    /// The way to a peer as the routes say, or else over the interface that has the local address.
    fn way_from(&mut self, tuple: &Tuple) -> Option<NextHop> {
        let hop = self.addresses.owner(&tuple.local.addr).map(|interface| {
            let way = Way {
                interface,
                tuple: *tuple,
            };
            self.way_back(&way).0
        });
        if hop.is_none() {
            self.counters.no_route += 1;
        }
        hop
    }

    /// Looks at route and path MTU again if any have changed since this connection last did (RFC 1191 6.3).
    fn refresh_path(&mut self, now: Instant, slot: u32) {
        let generation = self.paths_generation;
        let Some(entry) = self.connections.at(slot) else {
            return;
        };
        if entry.paths_generation == generation {
            return;
        }
        let remote = entry.connection.tuple().remote.addr;
        // Without a route the old one is kept: the connection's own timeouts decide how long.
        let hop = self.route_to(remote).unwrap_or(entry.hop);
        let mtu = self.mtu_to(remote, &hop);
        let Some(entry) = self.connections.at_mut(slot) else {
            return;
        };
        entry.paths_generation = generation;
        entry.hop = hop;
        if entry.mtu != mtu {
            entry.mtu = mtu;
            entry
                .connection
                .handle_path_mtu(&mut Context::new(now, &mut self.host), mtu);
        }
    }

    /// How segments over `tuple` become packets.
    fn packing<'a>(&self, hop: NextHop, tuple: &'a Tuple) -> Packing<'a> {
        Packing {
            tuple,
            leaves_from: self.leaves_checksum_from(&hop),
            flow_label: self.flow_label(tuple),
        }
    }

    /// The flow label of an IPv6 flow: a keyed hash of its four numbers, the same for all its packets (RFC 6437 3).
    #[expect(clippy::cast_possible_truncation, reason = "masked to 20 bits")]
    pub(super) fn flow_label(&self, tuple: &Tuple) -> u32 {
        if !tuple.is_ipv6() {
            return 0;
        }
        self.flow_key.hash_tuple(tuple) as u32 & 0x000f_ffff
    }

    /// Octets of text from which on the checksum is left to the device; of a packet that never meets one, always.
    ///
    /// Of less the sum is at hand with the headers, for less than a device takes to find out what it has to complete.
    fn leaves_checksum_from(&self, hop: &NextHop) -> usize {
        let known = self.interfaces.get(hop.interface.index());
        match known.is_some_and(|known| known.config.checksum_offload) {
            _ if hop.is_local => 0,
            true => SUMMED_MAX + 1,
            false => usize::MAX,
        }
    }
}

/// What a packet needs that its segment does not tell.
#[derive(Clone, Copy)]
struct Packing<'a> {
    tuple: &'a Tuple,
    leaves_from: usize,
    flow_label: u32,
}

impl Packing<'_> {
    /// Puts a segment into an IP packet: its checksum right or left to the device (RFC 9293 3.1 [MUST-2]), its codepoint and hop
    /// limit as TCP gave them (RFC 9293 3.9.1.9 [SHLD-22]). The text is taken.
    fn pack(&self, segment: &mut SegmentOut, packet: &mut PacketBuf) {
        let Self {
            tuple, flow_label, ..
        } = *self;
        let (hop_limit, dscp, ecn) = (segment.hop_limit, segment.dscp, segment.ecn);
        match (tuple.local.addr, tuple.remote.addr) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let pseudo = [source, destination]
                    .iter()
                    .fold(Sum::default(), |sum, addr| sum.add_u32(addr.to_bits()));
                self.pack_behind::<{ Ipv4Header::LEN }>(segment, packet, pseudo, |room, len| {
                    let header = Ipv4Header {
                        ttl: hop_limit,
                        dscp,
                        ecn,
                        payload_len: u16::try_from(len).unwrap_or(u16::MAX),
                        ..Ipv4Header::new(source, destination, IpProtocol::TCP)
                    };
                    header.emit(room);
                });
            }
            (source, destination) => {
                let fields = IpFields {
                    source,
                    destination,
                    protocol: IpProtocol::TCP,
                    hop_limit,
                    dscp,
                    ecn,
                    flow_label,
                };
                let pseudo = Sum::default().pseudo_header(source, destination, IpProtocol(0), 0);
                self.pack_behind::<{ Ipv6Header::LEN }>(segment, packet, pseudo, |room, len| {
                    emit_header(room, len, &fields);
                });
            }
        }
    }

    /// Does it with an IP header of so many octets, which `emit` writes before a number of others; `addresses` is their sum.
    #[inline]
    fn pack_behind<const IP_LEN: usize>(
        &self,
        segment: &mut SegmentOut,
        packet: &mut PacketBuf,
        addresses: Sum,
        emit: impl FnOnce(&mut [u8], usize),
    ) {
        let tcp_len = segment.header.header_len();
        let text_len = segment.payload.len();
        match text_len {
            0 => packet.restart(Payload::new()),
            _ => packet.restart(core::mem::take(&mut segment.payload)),
        }
        let segment_len = tcp_len + text_len;
        let pseudo = addresses
            .add_u16(IpProtocol::TCP.0.into())
            .add_u32(u32::try_from(segment_len).unwrap_or(u32::MAX));
        // Both headers have their room at once.
        let (ip, tcp) = packet.prepend(IP_LEN + tcp_len).split_at_mut(IP_LEN);
        emit(ip, segment_len);
        let sum = segment.header.emit_summed(tcp, pseudo);
        if segment.segment_size.is_some() || text_len >= self.leaves_from {
            TcpHeader::set_checksum(tcp, pseudo.folded());
            packet.set_segment_size(segment.segment_size);
            packet.set_checksum(ChecksumMark::Partial);
        } else if text_len == 0 {
            TcpHeader::set_checksum(tcp, sum.finish());
        } else {
            let sum = packet.payload().sum(sum);
            TcpHeader::set_checksum(&mut packet.head_mut()[IP_LEN..], sum.finish());
        }
    }
}
