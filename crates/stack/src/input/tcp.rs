//! TCP segments: checksum, header, one look-up, and on to their owner (RFC 9293 3.10.7).

use super::train::{Coupling, Train, joined};
use super::{Arrival, Link, checksum_holds, read};
use crate::demux::Owner;
use crate::id::InterfaceId;
use crate::stack::Stack;
use handwave_packet::{PacketBuf, Payload};
use handwave_tcp::{Context, DropReason, Endpoint, Instant, SegmentIn, Tuple, reply_to_closed};
use handwave_wire::{IpProtocol, ParseError, TcpHeader};

/// Between whom a segment goes, and over which interface it came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Way {
    pub(crate) interface: InterfaceId,
    pub(crate) tuple: Tuple,
}

impl Stack {
    pub(super) fn input_tcp(&mut self, now: Instant, arrival: Arrival, packet: &mut PacketBuf) {
        if !checksum_holds(packet, &arrival, IpProtocol::TCP) {
            self.counters.tcp_checksum_errors += 1;
            return;
        }
        let parse = |front: &[u8], _| {
            TcpHeader::parse(front.get(arrival.offset..).ok_or(ParseError::Truncated)?)
        };
        let Ok((header, header_len)) = read(packet, parse) else {
            self.counters.tcp_malformed += 1;
            return;
        };
        if arrival.to_group {
            // A SYN to a group would open as many connections as there are members (RFC 9293 3.9.2.3 [MUST-57]).
            self.counters.tcp_to_group += 1;
            return;
        }
        let text_at = arrival.offset + header_len;
        let mut segment = SegmentIn {
            header,
            payload: Payload::new(),
            ecn: arrival.ecn,
            held: packet.held(),
            joined: None,
        };
        self.segment_read(now, &arrival, &mut segment, packet, text_at);
    }

    /// Takes a segment whose header has been read and whose text begins at `text_at`: it begins a train, or goes to its owner.
    #[inline]
    pub(super) fn segment_read(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        segment: &mut SegmentIn,
        packet: &mut PacketBuf,
        text_at: usize,
    ) {
        let header = &segment.header;
        let way = Way {
            interface: arrival.link.interface,
            tuple: Tuple::new(
                Endpoint::new(arrival.destination, header.destination_port),
                Endpoint::new(arrival.source, header.source_port),
            ),
        };
        self.hand_over_train(now);
        if packet.len() > text_at {
            segment.joined = joined(segment.header.seq, packet, packet.len() - text_at);
            if self.batching && Train::may_begin(segment, arrival, text_at) {
                let mut segment = core::mem::take(segment);
                segment.payload = self.host.buffers.take_rope();
                let train = Train::begin(way, segment, packet, arrival.offset, text_at);
                self.train = Some(train);
                return;
            }
            packet.advance(text_at);
            segment.payload = packet.take_payload();
        }
        self.segment_arrives(now, way, segment);
    }

    /// Takes a packet of a batch: onto the train that waits if it continues that, or the whole way in.
    pub(crate) fn input_of_batch(
        &mut self,
        now: Instant,
        interface: InterfaceId,
        packet: &mut PacketBuf,
    ) {
        if !self.continues_train(interface, packet) {
            self.input(now, interface, packet);
        }
    }

    /// The same for a packet that another shard had, which is this one's.
    pub(crate) fn input_stray(&mut self, now: Instant, link: Link, packet: &mut PacketBuf) {
        if link.to_group || !self.continues_train(link.interface, packet) {
            self.input_own(now, link, packet);
        }
    }

    /// Puts a packet onto the train that waits, if there is one that it continues; whether that is so.
    #[inline]
    fn continues_train(&mut self, interface: InterfaceId, packet: &mut PacketBuf) -> bool {
        let Some(train) = &mut self.train else {
            return false;
        };
        match train.couple(packet, interface) {
            Coupling::Stranger => return false,
            Coupling::Broken => self.counters.tcp_checksum_errors += 1,
            Coupling::Coupled => {}
        }
        self.counters.ip_received += 1;
        true
    }

    /// Hands the train that waits, if any, to its connection.
    pub(crate) fn hand_over_train(&mut self, now: Instant) {
        if let Some(train) = self.train.take() {
            let (way, mut segment) = train.into_segment();
            self.segment_arrives(now, way, &mut segment);
        }
    }

    /// SEGMENT ARRIVES (RFC 9293 3.10.7) for whoever owns the tuple.
    #[inline]
    pub(super) fn segment_arrives(&mut self, now: Instant, way: Way, segment: &mut SegmentIn) {
        match self.owner_of(&way.tuple) {
            Some(Owner::Connection(slot)) => {
                if let Some(entry) = self.connections.at_mut(slot) {
                    let mut cx = Context::new(now, &mut self.host);
                    entry.connection.handle_segment_in_place(&mut cx, segment);
                    self.connections.touch_here(slot);
                    self.update_pressure(now);
                }
            }
            Some(Owner::TimeWait(slot)) => {
                self.segment_for_time_wait(now, way.interface, slot, segment);
            }
            None => self.segment_for_nobody(now, way, segment),
        }
    }

    /// A segment of no connection: a listener takes it, or its sender is told that nobody does.
    fn segment_for_nobody(&mut self, now: Instant, way: Way, segment: &mut SegmentIn) {
        let local = way.tuple.local;
        if self.forwards(way.interface, local.addr) {
            let _taken = self.segment_to_forward(now, way, core::mem::take(segment), None);
            return;
        }
        if self.is_borrowed(way.interface, &local.addr) {
            self.counters.ip_foreign_address += 1;
            return;
        }
        if let Some(listener) = self.listening.find(&local) {
            let _taken = self.segment_for_listener(now, way, listener, segment, None);
            return;
        }
        self.counters.tcp_no_port += 1;
        self.host.counters.count_drop(DropReason::NoConnection);
        let reset = reply_to_closed(
            &self.config.tcp,
            way.tuple,
            &segment.header,
            segment.payload.len(),
        );
        if let Some(reset) = reset {
            self.send_reset(now, way.interface, &way.tuple, reset);
        }
    }
}
