//! The last step before a wire: a super-segment becomes the packets it stands for.

use std::collections::VecDeque;

use handwave_packet::{ChecksumMark, PacketBuf, split};
use handwave_wire::ethernet::EthernetHeader;

use crate::Medium;

/// The first packet of the queue, ready for a wire: if it was a super-segment or its checksum partial, the queue holds its
/// segments in its place.
pub(crate) fn wire_front(medium: Medium, packets: &mut VecDeque<PacketBuf>) -> Option<&PacketBuf> {
    let front = packets.front_mut()?;
    if front.segment_size().is_some() {
        let packet = packets.pop_front()?;
        let mut segments = segments(medium, packet);
        let first = segments.next()?;
        let rest: Vec<PacketBuf> = segments.collect();
        for segment in rest.into_iter().rev() {
            packets.push_front(segment);
        }
        packets.push_front(first);
    } else if front.checksum() == ChecksumMark::Partial {
        behind_link_header(medium, front, split::complete_checksum);
    }
    packets.front()
}

/// The packets that a packet stands for, each as it goes on a wire.
pub(crate) fn segments(medium: Medium, mut packet: PacketBuf) -> impl Iterator<Item = PacketBuf> {
    let link_header = take_link_header(medium, &mut packet);
    split::segments(packet).map(move |mut segment| {
        put_link_header(link_header, &mut segment);
        segment
    })
}

/// Does something with the IP packet in a frame, or with one that stands alone.
pub(crate) fn behind_link_header<R>(
    medium: Medium,
    packet: &mut PacketBuf,
    work: impl FnOnce(&mut PacketBuf) -> R,
) -> R {
    let link_header = take_link_header(medium, packet);
    let result = work(packet);
    put_link_header(link_header, packet);
    result
}

type LinkHeader = Option<[u8; EthernetHeader::LEN]>;

/// Without a VLAN tag, which the core writes none of.
fn take_link_header(medium: Medium, packet: &mut PacketBuf) -> LinkHeader {
    if medium == Medium::Ip {
        return None;
    }
    let header = packet.front(EthernetHeader::LEN)?.try_into().ok();
    packet.advance(EthernetHeader::LEN);
    header
}

fn put_link_header(header: LinkHeader, packet: &mut PacketBuf) {
    if let Some(header) = header {
        packet.prepend(header.len()).copy_from_slice(&header);
    }
}

/// Octets that a link puts in front of an IP packet.
pub(crate) const fn link_header_len(medium: Medium) -> usize {
    match medium {
        Medium::Ip => 0,
        Medium::Ethernet => EthernetHeader::LEN,
    }
}

/// The longest packet a link carries: an Ethernet header, with one VLAN tag, comes on top of the MTU.
pub(crate) fn packet_len_max(medium: Medium, mtu: u16) -> usize {
    const VLAN_TAG: usize = 4;
    match medium {
        Medium::Ip => mtu.into(),
        Medium::Ethernet => usize::from(mtu) + EthernetHeader::LEN + VLAN_TAG,
    }
}
