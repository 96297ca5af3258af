//! The header that `IFF_VNET_HDR` puts in front of each packet (`struct virtio_net_hdr`): how far a checksum is computed,
//! and into what a super-segment has to be cut.
//!
//! Numbers are in the machine's own order, as the kernel has them unless somebody asks for another.

use handwave_packet::split::Layout;
use handwave_packet::{ChecksumMark, PacketBuf};
use handwave_wire::{IpProtocol, TcpFlags};

/// Without the field that only mergeable buffers have.
pub(super) const LEN: usize = 10;

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
pub(super) fn encode(packet: &mut PacketBuf) -> Option<[u8; LEN]> {
    let mut header = [0; LEN];
    let is_partial = packet.checksum() == ChecksumMark::Partial;
    let segment_size = packet.segment_size().filter(|size| *size > 0);
    if !is_partial && segment_size.is_none() {
        return Some(header);
    }
    let layout = Layout::of(packet)?;
    let put = |header: &mut [u8; LEN], at: usize, value: usize| -> Option<()> {
        let value = u16::try_from(value).ok()?;
        header[at..at + 2].copy_from_slice(&value.to_ne_bytes());
        Some(())
    };
    // Without a partial checksum the kernel refuses to cut.
    if is_partial {
        header[0] = NEEDS_CSUM;
        put(&mut header, 6, layout.ip_len)?;
        put(&mut header, 8, layout.checksum_offset())?;
    } else if segment_size.is_some() {
        return None;
    }
    if let Some(size) = segment_size.map(usize::from)
        && packet.len() > layout.header_len + size
    {
        header[1] = gso_type(packet, &layout)?;
        put(&mut header, 2, layout.header_len)?;
        put(&mut header, 4, size)?;
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

/// Reads the header of a packet that arrived, and takes it off; `None` if it says what was never agreed on.
pub(super) fn decode(packet: &mut PacketBuf) -> Option<()> {
    let header: [u8; LEN] = packet.front(LEN)?.try_into().ok()?;
    packet.advance(LEN);
    if header[0] & NEEDS_CSUM != 0 {
        packet.set_checksum(ChecksumMark::Partial);
    } else if header[0] & DATA_VALID != 0 {
        packet.set_checksum(ChecksumMark::Verified);
    }
    match header[1] & !GSO_ECN {
        GSO_NONE => {}
        GSO_TCP_V4 | GSO_TCP_V6 | GSO_UDP => {
            let size = u16::from_ne_bytes([header[4], header[5]]);
            packet.set_segment_size(Some(size).filter(|size| *size > 0));
        }
        _ => return None,
    }
    Some(())
}

/// Whether these are several datagrams, which only a header in front of each keeps apart.
pub(super) fn is_several_datagrams(packet: &mut PacketBuf) -> bool {
    packet.segment_size().is_some()
        && Layout::of(packet).is_some_and(|layout| layout.protocol == IpProtocol::UDP)
}
