//! UDP datagrams (RFC 768).

use super::{Arrival, read, sum_from};
use crate::output::Complaint;
use crate::stack::Stack;
use crate::udp::UdpDatagram;
use handwave_packet::{ChecksumMark, PacketBuf};
use handwave_tcp::{Endpoint, Instant};
use handwave_wire::udp::UdpHeader;
use handwave_wire::{IpProtocol, ParseError, Sum};

impl Stack {
    /// RFC 1122 4.1.3.1: a port that nobody has is reported [RFC1122-11].
    pub(super) fn input_udp(&mut self, now: Instant, arrival: Arrival, packet: &mut PacketBuf) {
        let parse = |front: &[u8], len: usize| {
            let front = front.get(arrival.offset..).ok_or(ParseError::Truncated)?;
            let (header, _) = UdpHeader::parse_front(front, len.saturating_sub(arrival.offset))?;
            let field = front.get(UdpHeader::CHECKSUM_OFFSET..UdpHeader::LEN);
            Ok((header, field.is_some_and(|field| field != [0, 0])))
        };
        let Ok((header, has_checksum)) = read(packet, parse) else {
            self.counters.udp_malformed += 1;
            return;
        };
        // What lies behind the datagram is not part of it, nor of its checksum.
        packet.truncate(arrival.offset + UdpHeader::LEN + usize::from(header.payload_len));
        if !udp_checksum_holds(packet, &arrival, &header, has_checksum) {
            self.counters.udp_checksum_errors += 1;
            return;
        }
        let local = Endpoint::new(arrival.destination, header.destination_port);
        let forwarded = self.forwards(arrival.link.interface, arrival.destination);
        let slot = match forwarded {
            true => self.forward_socket(),
            false => self.udp.find(&local),
        };
        let Some(slot) = slot else {
            self.counters.udp_no_port += 1;
            self.complain(now, &arrival, packet, Complaint::Port);
            return;
        };
        if self.refuses_memory() {
            return;
        }
        let held = packet.held();
        packet.advance(arrival.offset + UdpHeader::LEN);
        let datagram = UdpDatagram {
            source: Endpoint::new(arrival.source, header.source_port),
            destination: local,
            payload: packet.take_payload(),
            ecn: arrival.ecn,
        };
        if self.udp.push(slot, datagram, held) {
            self.counters.udp_received += 1;
        } else {
            self.counters.udp_queue_full += 1;
        }
    }
}

/// A field of zero says that there is no checksum, which only IPv4 allows (RFC 768, RFC 8200 8.1).
/// RFC 1122 4.1.3.4: a datagram with a wrong checksum is dropped in silence [RFC1122-12].
fn udp_checksum_holds(
    packet: &PacketBuf,
    arrival: &Arrival,
    header: &UdpHeader,
    has_checksum: bool,
) -> bool {
    if !has_checksum {
        return arrival.source.is_ipv4();
    }
    if packet.checksum() != ChecksumMark::Unknown {
        return true;
    }
    let len = u32::from(header.payload_len) + 8;
    let pseudo =
        Sum::default().pseudo_header(arrival.source, arrival.destination, IpProtocol::UDP, len);
    sum_from(packet, arrival.offset, pseudo).is_valid()
}
