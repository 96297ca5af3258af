//! IPv4 packets (RFC 791, RFC 1122 3.2). Options are stepped over, known or not (RFC 9293 3.9.2 [MUST-50]).

use super::reassembly::{DatagramKey, Fragment, FragmentRefusal};
use super::{Arrival, Link, read};
use crate::interface::Destination;
use crate::stack::Stack;
use core::net::IpAddr;
use handwave_packet::PacketBuf;
use handwave_tcp::Instant;
use handwave_wire::IpProtocol;
use handwave_wire::ipv4::Ipv4Header;

/// Where the protocol stands in the header.
pub(super) const PROTOCOL_OFFSET: usize = 9;

impl Stack {
    /// RFC 1122 3.2.1.2: a header whose checksum does not hold costs a counter, and is not answered [RFC1122-1].
    #[inline(never)]
    pub(super) fn input_ipv4(&mut self, now: Instant, link: Link, packet: &mut PacketBuf) {
        let Ok((header, header_len)) = read(packet, Ipv4Header::parse_front) else {
            self.counters.ip_header_errors += 1;
            return;
        };
        let (source, destination) = (IpAddr::V4(header.source), IpAddr::V4(header.destination));
        let class = self.classify(&link, destination);
        // A single host's packet in a frame to all is a mistake that must not multiply (RFC 1122 3.3.6).
        if class == Destination::Foreign || link.to_group && class == Destination::Unicast {
            self.counters.ip_foreign_address += 1;
            return;
        }
        if !self.is_valid_source(&link, source) {
            self.counters.ip_invalid_source += 1;
            return;
        }
        packet.truncate(header_len + usize::from(header.payload_len));
        if header.is_fragment() {
            self.input_ipv4_fragment(now, link, &header, header_len, packet);
            return;
        }
        let arrival = Arrival {
            link,
            source,
            destination,
            to_group: link.to_group || class == Destination::Group,
            ecn: header.ecn,
            hop_limit: header.ttl,
            offset: header_len,
            named_at: PROTOCOL_OFFSET,
        };
        self.deliver(now, arrival, header.protocol, packet);
    }

    fn input_ipv4_fragment(
        &mut self,
        now: Instant,
        link: Link,
        header: &Ipv4Header,
        header_len: usize,
        packet: &mut PacketBuf,
    ) {
        self.counters.fragments_received += 1;
        if self.refuses_memory() {
            return;
        }
        if is_tiny(header) {
            self.counters.tiny_fragments += 1;
            return;
        }
        let key = DatagramKey {
            source: header.source.into(),
            destination: header.destination.into(),
            protocol: header.protocol.0,
            identification: header.identification.into(),
        };
        let quote = quote(packet, header.fragment_offset == 0);
        let held = packet.held();
        packet.advance(header_len);
        let fragment = Fragment {
            offset: header.fragment_offset.into(),
            more: header.more_fragments,
            protocol: header.protocol.0,
            ecn: header.ecn,
            payload: packet.take_payload(),
            held,
            quote,
        };
        match self.reassembly_ipv4.insert(now, key, fragment) {
            Ok(None) => {}
            Ok(Some(datagram)) => {
                let Ok(payload_len) = u16::try_from(datagram.payload.len()) else {
                    return;
                };
                if payload_len > Ipv4Header::PAYLOAD_LEN_MAX {
                    self.counters.reassembly_failures += 1;
                    return;
                }
                self.counters.reassembled += 1;
                let whole = Ipv4Header {
                    more_fragments: false,
                    fragment_offset: 0,
                    payload_len,
                    ecn: datagram.ecn,
                    ..*header
                };
                let mut packet = PacketBuf::with_payload(datagram.payload);
                packet.set_held(datagram.held);
                whole.emit(packet.prepend(Ipv4Header::LEN));
                let link = Link {
                    reassembled: true,
                    ..link
                };
                if !self.put_reassembled_aside(link, &mut packet) {
                    self.input_ipv4(now, link, &mut packet);
                }
            }
            Err(FragmentRefusal::Duplicate) => {}
            Err(_) => self.counters.reassembly_failures += 1,
        }
    }
}

/// What a later ICMP Time Exceeded quotes of a first fragment.
/// RFC 1122 3.2.2: the header and at least eight octets behind it [RFC1122-4].
pub(super) fn quote(packet: &PacketBuf, is_first: bool) -> handwave_packet::Payload {
    match is_first {
        true => {
            let mut start = packet.clone();
            start.truncate(QUOTE_MAX);
            start.into_payload()
        }
        false => handwave_packet::Payload::new(),
    }
}

/// How much of a first fragment is kept to be quoted: no ICMP error quotes more.
const QUOTE_MAX: usize = 1_232;

/// Whether a fragment is cut so that the upper header does not lie in the first one (RFC 1858 3).
fn is_tiny(header: &Ipv4Header) -> bool {
    let upper_min = match header.protocol {
        IpProtocol::TCP => 20,
        _ => 8,
    };
    match header.fragment_offset {
        0 => header.payload_len < upper_min,
        offset => offset < upper_min,
    }
}
