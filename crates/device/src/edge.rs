//! The last step before a wire: a super-segment becomes the packets it stands for.

use std::collections::VecDeque;

use handwave_packet::{PacketBuf, split};

use crate::Medium;

/// The first packet of the queue, ready for a wire: if it was a super-segment or its checksum partial, the queue holds its
/// segments in its place.
pub(crate) fn wire_front(medium: Medium, packets: &mut VecDeque<PacketBuf>) -> Option<&PacketBuf> {
    let front = packets.front_mut()?;
    // Looking for an IP header where an Ethernet header is would find nonsense.
    if medium == Medium::Ip && front.segment_size().is_none() {
        split::complete_checksum(front);
    } else if medium == Medium::Ip {
        let packet = packets.pop_front()?;
        let mut segments = split::segments(packet);
        let first = segments.next()?;
        let rest: Vec<PacketBuf> = segments.collect();
        for segment in rest.into_iter().rev() {
            packets.push_front(segment);
        }
        packets.push_front(first);
    }
    packets.front()
}

/// The longest packet a link carries: an Ethernet header, with one VLAN tag, comes on top of the MTU.
pub(crate) fn packet_len_max(medium: Medium, mtu: u16) -> usize {
    const ETHERNET_HEADER: usize = 18;
    match medium {
        Medium::Ip => mtu.into(),
        Medium::Ethernet => usize::from(mtu) + ETHERNET_HEADER,
    }
}
