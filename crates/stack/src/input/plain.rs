//! The way in of nearly every packet: whole, in one piece, IPv4 without options, a TCP segment from somebody else to an address of
//! the interface that it came in on.
//!
//! Such a packet is read at one go, and the layers that would each ask a part of the same questions are passed by. Whatever is
//! otherwise, or wrong, is left as it was to the layers, which count it and answer it: nothing is dropped here.

use super::{Arrival, Link, Way};
use crate::stack::Stack;
use core::net::{IpAddr, Ipv4Addr};
use handwave_packet::{ChecksumMark, PacketBuf, Payload};
use handwave_tcp::{Endpoint, Instant, SegmentIn, Tuple};
use handwave_wire::ipv4::Ipv4Header;
use handwave_wire::{Ecn, IpProtocol, Sum, TcpHeader};

/// Version 4 and a header of five words.
const VERSION_AND_LEN: u8 = 0x45;
/// The bits of the third half-word that make a packet a fragment: more fragments, and the offset.
const FRAGMENT: u16 = 0x3fff;

/// What the IP header of a plain packet says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Plain {
    source: Ipv4Addr,
    destination: Ipv4Addr,
    ecn: Ecn,
    hop_limit: u8,
}

impl Plain {
    /// Reads the header of a packet that may be plain; `None` if the layers have to look at it.
    #[inline]
    fn read(packet: &PacketBuf) -> Option<Self> {
        let front = packet.contiguous();
        let header = front.first_chunk::<{ Ipv4Header::LEN }>()?;
        let [
            version_and_len,
            class,
            l0,
            l1,
            _,
            _,
            f0,
            f1,
            hop_limit,
            protocol,
            _,
            _,
            addresses @ ..,
        ] = *header;
        let [s0, s1, s2, s3, d0, d1, d2, d3] = addresses;
        let whole = usize::from(u16::from_be_bytes([l0, l1])) == front.len()
            && front.len() == packet.len()
            && u16::from_be_bytes([f0, f1]) & FRAGMENT == 0;
        let plain = version_and_len == VERSION_AND_LEN && IpProtocol(protocol) == IpProtocol::TCP;
        // One's complement: the sum over a header that includes its checksum is all ones.
        if !(whole && plain && Sum::default().add_bytes(header).is_valid()) {
            return None;
        }
        Some(Self {
            source: Ipv4Addr::new(s0, s1, s2, s3),
            destination: Ipv4Addr::new(d0, d1, d2, d3),
            ecn: Ecn::from_bits(class),
            hop_limit,
        })
    }

    /// Whether the checksum of the segment holds.
    #[inline]
    fn sum_holds(&self, segment: &[u8]) -> bool {
        let pseudo = Sum::default().pseudo_header(
            IpAddr::V4(self.source),
            IpAddr::V4(self.destination),
            IpProtocol::TCP,
            u32::try_from(segment.len()).unwrap_or(u32::MAX),
        );
        pseudo.add_bytes(segment).is_valid()
    }

    /// Between whom a segment with that header goes.
    #[inline]
    fn way(&self, link: &Link, header: &TcpHeader) -> Way {
        Way {
            interface: link.interface,
            tuple: Tuple::new(
                Endpoint::new(IpAddr::V4(self.destination), header.destination_port),
                Endpoint::new(IpAddr::V4(self.source), header.source_port),
            ),
        }
    }
}

impl Stack {
    /// Takes a plain packet the whole way in; `false` if it is none, and then it is as it was.
    #[inline]
    pub(super) fn input_plain(&mut self, now: Instant, link: Link, packet: &mut PacketBuf) -> bool {
        let Some(plain) = Plain::read(packet) else {
            return false;
        };
        let addresses = &self.addresses;
        let fits = addresses.is_on(link.interface, &IpAddr::V4(plain.destination))
            && addresses.is_stranger(link.interface, plain.source)
            && !(link.to_group || link.looped);
        if !fits {
            return false;
        }
        let octets = packet.contiguous().get(Ipv4Header::LEN..);
        let octets = octets.unwrap_or_default();
        if packet.checksum() == ChecksumMark::Unknown && !plain.sum_holds(octets) {
            return false;
        }
        let Ok((header, header_len)) = TcpHeader::parse(octets) else {
            return false;
        };
        let ends_there = octets.len() == header_len;
        let mut segment = SegmentIn {
            header,
            payload: Payload::new(),
            ecn: plain.ecn,
            held: packet.held(),
            joined: None,
        };
        self.counters.ip_received += 1;
        if ends_there {
            let way = plain.way(&link, &segment.header);
            self.hand_over_train(now);
            self.segment_arrives(now, way, &mut segment);
            return true;
        }
        let arrival = Arrival {
            link,
            source: IpAddr::V4(plain.source),
            destination: IpAddr::V4(plain.destination),
            to_group: false,
            ecn: plain.ecn,
            hop_limit: plain.hop_limit,
            offset: Ipv4Header::LEN,
            named_at: super::ipv4::PROTOCOL_OFFSET,
        };
        let text_at = Ipv4Header::LEN + header_len;
        self.segment_read(now, &arrival, &mut segment, packet, text_at);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::Plain;
    use alloc::vec::Vec;
    use handwave_packet::PacketBuf;
    use handwave_wire::IpProtocol;
    use handwave_wire::ipv4::Ipv4Header;
    use proptest::prelude::*;

    /// An IPv4 header of TCP in front of `text` octets, of which `len_off` more are claimed.
    fn packet(source: [u8; 4], class: u8, text: u16, len_off: u16) -> Vec<u8> {
        let header = Ipv4Header {
            dscp: class >> 2,
            ecn: handwave_wire::Ecn::from_bits(class),
            payload_len: text + len_off,
            ..Ipv4Header::new(source.into(), [10, 0, 0, 2].into(), IpProtocol::TCP)
        };
        let mut octets = alloc::vec![0; Ipv4Header::LEN + usize::from(text)];
        header.emit(&mut octets);
        octets
    }

    proptest! {
        #[test]
        fn what_is_plain_is_read_as_the_layers_read_it(
            source: [u8; 4],
            class: u8,
            text in 0u16..100,
            len_off in 0u16..2,
            change in proptest::option::of((0usize..Ipv4Header::LEN, any::<u8>())),
            right_sum: bool,
        ) {
            let mut octets = packet(source, class, text, len_off);
            if let Some((at, octet)) = change {
                octets[at] = octet;
                if right_sum {
                    octets[10..12].fill(0);
                    let sum = handwave_wire::checksum::internet_checksum(&octets[..Ipv4Header::LEN]);
                    octets[10..12].copy_from_slice(&sum.to_be_bytes());
                }
            }
            let layers = Ipv4Header::parse(&octets).ok().filter(|(header, len)| {
                *len == Ipv4Header::LEN
                    && !header.is_fragment()
                    && header.protocol == IpProtocol::TCP
                    && usize::from(header.payload_len) + len == octets.len()
            });
            let expected = layers.map(|(header, _)| Plain {
                source: header.source,
                destination: header.destination,
                ecn: header.ecn,
                hop_limit: header.ttl,
            });
            prop_assert_eq!(Plain::read(&PacketBuf::from(octets)), expected);
        }
    }
}
