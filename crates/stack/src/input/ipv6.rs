//! IPv6 packets (RFC 8200).

use super::ipv4::quote;
use super::reassembly::{DatagramKey, Fragment, FragmentRefusal};
use super::{Arrival, Link, read};
use crate::interface::Destination;
use crate::output::Complaint;
use crate::stack::Stack;
use core::net::IpAddr;
use handwave_packet::PacketBuf;
use handwave_tcp::Instant;
use handwave_wire::IpProtocol;
use handwave_wire::ParseError;
use handwave_wire::ipv6::{ExtensionError, ExtensionLimits, Ipv6Header, UpperLayer};

impl Stack {
    #[inline(never)]
    pub(super) fn input_ipv6(&mut self, now: Instant, link: Link, packet: &mut PacketBuf) {
        let Ok((header, _)) = read(packet, Ipv6Header::parse_front) else {
            self.counters.ip_header_errors += 1;
            return;
        };
        let (source, destination) = (IpAddr::V6(header.source), IpAddr::V6(header.destination));
        let class = self.classify(&link, destination);
        if class == Destination::Foreign {
            self.counters.ip_foreign_address += 1;
            return;
        }
        packet.truncate(header.packet_len());
        let arrival = Arrival {
            link,
            source,
            destination,
            to_group: link.to_group || class == Destination::Group,
            ecn: header.ecn,
            hop_limit: header.hop_limit,
            offset: Ipv6Header::LEN,
            named_at: 0,
        };
        let Some(upper) = self.upper_layer(now, &arrival, &header, packet) else {
            return;
        };
        // Who has no address yet may ask whether anybody has the one it wants (RFC 4862 5.4.2).
        let asks = source.is_unspecified() && upper.protocol == IpProtocol::ICMPV6;
        if !asks && !self.is_valid_source(&link, source) {
            self.counters.ip_invalid_source += 1;
            return;
        }
        if upper.fragment.is_some() {
            self.input_ipv6_fragment(now, link, &header, upper, packet);
            return;
        }
        let arrival = Arrival {
            offset: upper.offset,
            named_at: upper.named_at,
            ..arrival
        };
        self.deliver(now, arrival, upper.protocol, packet);
    }

    /// Walks the extension headers; the chain must lie in one piece.
    fn upper_layer(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        header: &Ipv6Header,
        packet: &mut PacketBuf,
    ) -> Option<UpperLayer> {
        let limits = ExtensionLimits::default();
        let mut walked = header.upper_layer(packet.contiguous(), limits);
        if walked == Err(ExtensionError::Malformed(ParseError::Truncated))
            && packet.contiguous().len() < packet.len()
        {
            packet.linearize();
            walked = header.upper_layer(packet.contiguous(), limits);
        }
        match walked {
            Ok(upper) => Some(upper),
            Err(error) => {
                self.counters.ip_header_errors += 1;
                if let ExtensionError::Problem(problem) = error
                    && self.is_valid_source(&arrival.link, arrival.source)
                {
                    self.complain(now, arrival, packet, Complaint::Header(problem));
                }
                None
            }
        }
    }

    fn input_ipv6_fragment(
        &mut self,
        now: Instant,
        link: Link,
        header: &Ipv6Header,
        upper: UpperLayer,
        packet: &mut PacketBuf,
    ) {
        let Some(found) = upper.fragment else { return };
        self.counters.fragments_received += 1;
        if self.refuses_memory() {
            return;
        }
        if link.reassembled {
            // A fragment within a fragment: nobody sends that.
            self.counters.reassembly_failures += 1;
            return;
        }
        let key = DatagramKey {
            source: header.source.into(),
            destination: header.destination.into(),
            protocol: 0,
            identification: found.header.identification,
        };
        let quote = quote(packet, found.header.offset == 0);
        let held = packet.held();
        packet.advance(found.offset + handwave_wire::ipv6::FragmentHeader::LEN);
        let fragment = Fragment {
            offset: found.header.offset.into(),
            more: found.header.more,
            protocol: found.header.next_header.0,
            ecn: header.ecn,
            payload: packet.take_payload(),
            held,
            quote,
        };
        match self.reassembly_ipv6.insert(now, key, fragment) {
            Ok(None) | Err(FragmentRefusal::Duplicate) => {}
            Ok(Some(datagram)) => {
                let Ok(payload_len) = u16::try_from(datagram.payload.len()) else {
                    return;
                };
                self.counters.reassembled += 1;
                // The headers before the fragment header have done their work in every fragment.
                let whole = Ipv6Header {
                    next_header: IpProtocol(datagram.protocol),
                    payload_len,
                    ecn: datagram.ecn,
                    ..*header
                };
                let mut packet = PacketBuf::with_payload(datagram.payload);
                packet.set_held(datagram.held);
                whole.emit(packet.prepend(Ipv6Header::LEN));
                let link = Link {
                    reassembled: true,
                    ..link
                };
                if !self.put_reassembled_aside(link, &mut packet) {
                    self.input_ipv6(now, link, &mut packet);
                }
            }
            Err(_) => self.counters.reassembly_failures += 1,
        }
    }
}
