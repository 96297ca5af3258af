//! The header that `IFF_VNET_HDR` and `PACKET_VNET_HDR` put in front of each packet (`struct virtio_net_hdr`): how far a checksum is computed,
//! and into what a super-segment has to be cut.
//!
//! Numbers are in the machine's own order, as the kernel has them unless somebody asks for another.

use handwave_packet::split::Layout;
use handwave_packet::{ChecksumMark, PacketBuf};
use handwave_wire::{IpProtocol, TcpFlags};

use crate::Medium;
use crate::edge::{behind_link_header, link_header_len};

/// Without the field that only mergeable buffers have.
pub(crate) const LEN: usize = 10;

/// The checksum field holds the pseudo-header's sum, and somebody has to complete it.
const NEEDS_CSUM: u8 = 1;
/// The checksum has been verified.
const DATA_VALID: u8 = 2;

const GSO_NONE: u8 = 0;
const GSO_TCP_V4: u8 = 1;
const GSO_TCP_V6: u8 = 4;
const GSO_UDP: u8 = 5;
/// Added to the type: the first segment alone bears CWR (RFC 3168 6.1.2).
const GSO_ECN: u8 = 0x80;

/// Where TCP's octet with ACK, PSH and CWR stands.
const TCP_FLAGS: usize = 13;

/// Writes the header for a packet that leaves; `None` if it cannot say what has to be done with the packet.
pub(super) fn encode(medium: Medium, packet: &mut PacketBuf) -> Option<[u8; LEN]> {
    let is_partial = packet.checksum() == ChecksumMark::Partial;
    let segment_size = packet.segment_size().filter(|size| *size > 0);
    match (is_partial, segment_size) {
        (false, None) => Some([0; LEN]),
        // Without a partial checksum the kernel refuses to cut.
        (false, Some(_)) => None,
        (true, segment_size) => {
            let link_len = link_header_len(medium);
            behind_link_header(medium, packet, |packet| {
                encode_partial(link_len, packet, segment_size)
            })
        }
    }
}

/// Writes the header for an IP packet with a partial checksum, behind a link header of `link_len` octets.
fn encode_partial(
    link_len: usize,
    packet: &mut PacketBuf,
    segment_size: Option<u16>,
) -> Option<[u8; LEN]> {
    let mut header = [0; LEN];
    let layout = Layout::of(packet)?;
    let mut put = |at: usize, value: usize| -> Option<()> {
        let value = u16::try_from(value).ok()?;
        header[at..at + 2].copy_from_slice(&value.to_ne_bytes());
        Some(())
    };
    put(6, link_len + layout.ip_len)?;
    put(8, layout.checksum_offset())?;
    let segment_size = segment_size.map(usize::from);
    let segment_size = segment_size.filter(|size| packet.len() > layout.header_len + size);
    if let Some(size) = segment_size {
        put(2, link_len + layout.header_len)?;
        put(4, size)?;
    }
    header[0] = NEEDS_CSUM;
    if segment_size.is_some() {
        header[1] = gso_type(packet, &layout)?;
    }
    Some(header)
}

fn gso_type(packet: &mut PacketBuf, layout: &Layout) -> Option<u8> {
    let front = packet.front(layout.header_len)?;
    let is_v4 = front.first()? >> 4 == 4;
    if layout.protocol == IpProtocol::UDP {
        return Some(GSO_UDP);
    }
    let kind = if is_v4 { GSO_TCP_V4 } else { GSO_TCP_V6 };
    let flags = *front.get(layout.ip_len + TCP_FLAGS)?;
    let has_cwr = u16::from(flags) & TcpFlags::CWR.bits() != 0;
    Some(kind | if has_cwr { GSO_ECN } else { 0 })
}

/// What a packet that arrived is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A packet, or a TCP super-segment.
    Packet,
    /// Several datagrams, which only a header in front of each keeps apart.
    Datagrams,
}

/// Reads the header of a packet that arrived, and takes it off; `None` if it says what was never agreed on.
pub(super) fn decode(packet: &mut PacketBuf) -> Option<Kind> {
    let header: [u8; LEN] = packet.front(LEN)?.try_into().ok()?;
    packet.advance(LEN);
    if header[0] & NEEDS_CSUM != 0 {
        packet.set_checksum(ChecksumMark::Partial);
    } else if header[0] & DATA_VALID != 0 {
        packet.set_checksum(ChecksumMark::Verified);
    }
    let kind = header[1] & !GSO_ECN;
    let size = u16::from_ne_bytes([header[4], header[5]]);
    match kind {
        GSO_NONE => return Some(Kind::Packet),
        GSO_TCP_V4 | GSO_TCP_V6 | GSO_UDP => {
            packet.set_segment_size(Some(size).filter(|size| *size > 0));
        }
        _ => return None,
    }
    match kind == GSO_UDP && packet.segment_size().is_some() {
        true => Some(Kind::Datagrams),
        false => Some(Kind::Packet),
    }
}
