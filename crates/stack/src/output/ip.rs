//! IP headers, and fragments of what does not fit (never of TCP).

use crate::keyed::Key;
use crate::routes::NextHop;
use crate::stack::Stack;
use crate::steering::Shard;
use alloc::boxed::Box;
use core::net::IpAddr;
use handwave_packet::{PacketBuf, Payload};
use handwave_tcp::Instant;
use handwave_wire::ipv4::Ipv4Header;
use handwave_wire::ipv6::{FragmentHeader, Ipv6Header};
use handwave_wire::{Ecn, IpProtocol};

/// What the sender of a packet decides about its IP header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IpFields {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) protocol: IpProtocol,
    pub(crate) hop_limit: u8,
    pub(crate) dscp: u8,
    pub(crate) ecn: Ecn,
    /// Keeps the packets of one flow on one of several equal paths (RFC 6437); IPv6 only.
    pub(crate) flow_label: u32,
}

/// What the header of an IPv4 fragment says beyond that of a whole packet.
#[derive(Clone, Copy, Default, Debug)]
struct Cut {
    identification: u16,
    offset: u16,
    more: bool,
}

/// Writes the IP header of `payload_len` octets that follow it. The packet must not be fragmented on its way (RFC 1191 2), so it
/// needs no identification (RFC 6864 4.1).
#[inline]
pub(super) fn emit_header(room: &mut [u8], payload_len: usize, fields: &IpFields) {
    emit(room, payload_len, fields, None);
}

/// Puts an IP header before what `packet` holds.
fn prepend(packet: &mut PacketBuf, fields: &IpFields, cut: Option<Cut>) {
    let payload_len = packet.len();
    let room = packet.prepend(header_len(fields.destination.is_ipv4()));
    emit(room, payload_len, fields, cut);
}

/// The caller has seen to it that the addresses are of one family and the length fits.
#[inline]
fn emit(room: &mut [u8], payload_len: usize, fields: &IpFields, cut: Option<Cut>) {
    let payload_len = u16::try_from(payload_len).unwrap_or(u16::MAX);
    match (fields.source, fields.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let piece = cut.unwrap_or_default();
            let header = Ipv4Header {
                ttl: fields.hop_limit,
                dscp: fields.dscp,
                ecn: fields.ecn,
                dont_fragment: cut.is_none(),
                identification: piece.identification,
                fragment_offset: piece.offset,
                more_fragments: piece.more,
                payload_len,
                ..Ipv4Header::new(source, destination, fields.protocol)
            };
            header.emit(room);
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let header = Ipv6Header {
                hop_limit: fields.hop_limit,
                dscp: fields.dscp,
                ecn: fields.ecn,
                flow_label: fields.flow_label,
                payload_len,
                ..Ipv6Header::new(source, destination, fields.protocol)
            };
            header.emit(room);
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {}
    }
}

/// Octets of IP header without options or extensions.
pub(super) const fn header_len(is_ipv4: bool) -> usize {
    if is_ipv4 {
        Ipv4Header::LEN
    } else {
        Ipv6Header::LEN
    }
}

impl Stack {
    /// Queues what an upper layer other than TCP wants to send, in fragments if it does not fit the path.
    ///
    /// IPv4 packets that fit are sent with DF clear, since their sender does no path MTU discovery of its own.
    pub(super) fn send_datagram(
        &mut self,
        now: Instant,
        hop: NextHop,
        fields: &IpFields,
        datagram: PacketBuf,
    ) {
        let is_ipv4 = fields.destination.is_ipv4();
        let room =
            usize::from(self.mtu_to(fields.destination, &hop)).saturating_sub(header_len(is_ipv4));
        let identification =
            self.identifications
                .next(fields.source, fields.destination, fields.protocol);
        if datagram.len() <= room {
            let mut packet = datagram;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "any 16 bits of a counter count"
            )]
            let cut = Cut {
                identification: identification as u16,
                ..Cut::default()
            };
            prepend(&mut packet, fields, Some(cut));
            self.enqueue(now, hop, fields.destination, packet);
            return;
        }
        self.counters.fragmented += 1;
        let payload = datagram.into_payload();
        let piece_max = if is_ipv4 {
            room
        } else {
            room.saturating_sub(FragmentHeader::LEN)
        } & !7;
        let mut offset = 0;
        while offset < payload.len() && piece_max > 0 {
            let piece = payload.slice(offset, piece_max);
            let more = offset + piece.len() < payload.len();
            self.send_fragment(
                now,
                hop,
                fields,
                Piece {
                    piece,
                    offset,
                    more,
                    identification,
                },
            );
            offset += piece_max;
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "a datagram has at most 65,535 octets, and any 16 bits of a counter count"
    )]
    fn send_fragment(&mut self, now: Instant, hop: NextHop, fields: &IpFields, piece: Piece) {
        let Piece {
            piece,
            offset,
            more,
            identification,
        } = piece;
        let offset = offset as u16;
        let mut packet = PacketBuf::with_payload(piece);
        if fields.destination.is_ipv4() {
            let cut = Cut {
                identification: identification as u16,
                offset,
                more,
            };
            prepend(&mut packet, fields, Some(cut));
        } else {
            let header = FragmentHeader {
                next_header: fields.protocol,
                offset,
                more,
                identification,
            };
            header.emit(packet.prepend(FragmentHeader::LEN));
            let fields = IpFields {
                protocol: IpProtocol::FRAGMENT,
                ..*fields
            };
            prepend(&mut packet, &fields, None);
        }
        self.enqueue(now, hop, fields.destination, packet);
    }
}

/// A part of a datagram.
struct Piece {
    piece: Payload,
    offset: usize,
    more: bool,
    identification: u32,
}

/// Counters that are shared by identifications.
const COUNTERS: usize = 1_024;

/// Identifications of packets that may be fragmented (RFC 6864 4.1, RFC 7739 5.3): a counter for each group of source,
/// destination and protocol, started and chosen by keyed hashes, so that nobody learns from the identifications they
/// get how many others were sent.
#[derive(Debug)]
pub(crate) struct Identifications {
    key: Key,
    counters: Box<[u32; COUNTERS]>,
    /// Shards that share addresses and keys count in steps, so that none gives out what another does.
    shard: Shard,
}

impl Identifications {
    pub(crate) fn new(key: Key, shard: Shard) -> Self {
        let mut counters = Box::new([0; COUNTERS]);
        for (n, counter) in (0u32..).zip(counters.iter_mut()) {
            *counter = low(key.hash(&n.to_be_bytes()));
        }
        Self {
            key,
            counters,
            shard,
        }
    }

    /// The next identification from `source` to `destination`.
    pub(crate) fn next(
        &mut self,
        source: IpAddr,
        destination: IpAddr,
        protocol: IpProtocol,
    ) -> u32 {
        let hash = self
            .key
            .hash_addresses(source, destination, protocol.0.into());
        let counter = &mut self.counters[low(hash) as usize % COUNTERS];
        *counter = counter.wrapping_add(1);
        let count = counter.wrapping_add(low(hash >> 32));
        count
            .wrapping_mul(self.shard.count().into())
            .wrapping_add(self.shard.index().into())
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "any 32 bits of the hash do"
)]
fn low(hash: u64) -> u32 {
    hash as u32
}

#[cfg(test)]
mod tests {
    use super::Identifications;
    use crate::keyed::Key;
    use crate::steering::Shard;
    use core::net::{IpAddr, Ipv4Addr};
    use handwave_wire::IpProtocol;

    #[test]
    fn identifications_count_upward_and_destinations_differ() {
        let host = |n| IpAddr::from(Ipv4Addr::new(10, 0, 0, n));
        let mut identifications =
            Identifications::new(Key::derive(&[9; 16], b"test"), Shard::default());
        let first = identifications.next(host(1), host(2), IpProtocol::UDP);
        assert_eq!(
            identifications.next(host(1), host(2), IpProtocol::UDP),
            first.wrapping_add(1)
        );
        assert_ne!(
            identifications.next(host(1), host(3), IpProtocol::UDP),
            first.wrapping_add(2)
        );
        let other = Identifications::new(Key::derive(&[8; 16], b"test"), Shard::default()).next(
            host(1),
            host(2),
            IpProtocol::UDP,
        );
        assert_ne!(other, first, "the key decides");
    }
}
