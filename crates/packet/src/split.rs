//! Segmentation in software, at the edge: what a network card's TSO does, for links that have none.
//!
//! The core hands out super-segments, one TCP/IP header before up to 64 KiB, and leaves checksums to the device where it
//! may. [`segments`] turns such a packet into the ones it stands for, sharing the payload's storage; [`complete_checksum`]
//! finishes a packet that is one segment already. Both work on the octets in place and know TCP and UDP directly behind an
//! IPv4 or IPv6 header; anything else passes unchanged.

use crate::{ChecksumMark, HEAD_CAPACITY, PacketBuf, Payload, copy};
use bytes::BytesMut;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use handwave_wire::checksum::internet_checksum;
use handwave_wire::{IpProtocol, Sum, TcpFlags};

const IPV4_LEN_MIN: usize = 20;
const IPV6_LEN: usize = 40;
const TCP_LEN_MIN: usize = 20;
/// TCP's data offset and flags, the last 16 bits before the window.
const TCP_FLAGS_OFFSET: usize = 12;
const TCP_CHECKSUM_OFFSET: usize = 16;
const UDP_LEN: usize = 8;
const UDP_LENGTH_OFFSET: usize = 4;
const UDP_CHECKSUM_OFFSET: usize = 6;

/// Cuts a super-segment into the segments it stands for, each with complete checksums (RFC 9293 3.1, RFC 791 3.1).
///
/// Sequence numbers and IPv4 identifications count upward; FIN and PSH stay on the last segment, CWR on the first
/// (RFC 3168 6.1.2). UDP datagrams that travel as one are cut the same way, each with a header of its own. A packet that is no
/// super-segment comes out alone, its checksum completed if it was [`Partial`](ChecksumMark::Partial).
///
/// # Examples
///
/// ```
/// use handwave_packet::{ChecksumMark, PacketBuf, Payload, split};
/// use handwave_wire::{SeqNum, TcpFlags, TcpHeader};
///
/// let mut packet = PacketBuf::with_payload(Payload::from(vec![7; 2_500]));
/// let tcp = TcpHeader { seq: SeqNum::new(100), flags: TcpFlags::ACK, ..TcpHeader::default() };
/// tcp.emit(packet.prepend(20));
/// let ip = packet.prepend(40);
/// ip[0] = 0x60; // version 6
/// ip[6] = 6; // TCP follows
/// packet.set_segment_size(Some(1_000));
/// packet.set_checksum(ChecksumMark::Partial);
///
/// let parts: Vec<_> = split::segments(packet).map(|part| part.payload().len()).collect();
/// assert_eq!(parts, [1_000, 1_000, 500]);
/// ```
#[must_use]
pub fn segments(mut packet: PacketBuf) -> Segments {
    let size = packet
        .segment_size()
        .map(usize::from)
        .filter(|size| *size > 0);
    if let Some(size) = size
        && let Some(layout) = Layout::of(&mut packet)
        && packet.len() > layout.header_len + size
    {
        return Segments(Parts::Many(Split::new(packet, &layout, size)));
    }
    packet.set_segment_size(None);
    complete_checksum(&mut packet);
    Segments(Parts::One(Some(packet)))
}

/// Adds the payload to a [`Partial`](ChecksumMark::Partial) checksum, so that the packet can go on a wire.
///
/// The mark becomes [`Unknown`](ChecksumMark::Unknown): the field is right, but whoever receives the packet has not
/// compared it. A packet with any other mark is left alone.
pub fn complete_checksum(packet: &mut PacketBuf) {
    if packet.checksum() != ChecksumMark::Partial {
        return;
    }
    let Some(layout) = Layout::of(packet) else {
        return;
    };
    if packet.head().len() < layout.header_len {
        let mut header = [0; HEAD_CAPACITY];
        let header = &mut header[..layout.header_len];
        packet.write_to(header);
        packet.advance(layout.header_len);
        packet.prepend(layout.header_len).copy_from_slice(header);
    }
    // The field holds the pseudo-header's sum and takes part like any other octets.
    let transport = &packet.head()[layout.ip_len..];
    let sum = packet.payload().sum(Sum::default().add_bytes(transport));
    let field = layout.ip_len + layout.checksum_offset();
    put_u16(packet.head_mut(), field, layout.finish(sum));
    packet.set_checksum(ChecksumMark::Unknown);
}

/// The segments of a super-segment, in order. Made by [`segments`].
#[derive(Debug)]
pub struct Segments(Parts);

#[derive(Debug)]
enum Parts {
    One(Option<PacketBuf>),
    Many(Split),
}

impl Segments {
    /// Appends the next segment to `frame`, in one piece as a wire needs it; returns its length, or `None` after the last.
    ///
    /// Cheaper than copying what [`next`](Iterator::next) gives: no segment is built only to be copied, and the checksum is taken
    /// from octets that are still in the nearest cache.
    pub fn write_next(&mut self, frame: &mut BytesMut) -> Option<usize> {
        match &mut self.0 {
            Parts::One(packet) => {
                let packet = packet.take()?;
                frame.extend_from_slice(packet.head());
                for piece in packet.payload().pieces() {
                    copy::fill(piece, frame);
                }
                Some(packet.len())
            }
            Parts::Many(split) => split.write_next(frame),
        }
    }
}

impl Iterator for Segments {
    type Item = PacketBuf;

    fn next(&mut self) -> Option<PacketBuf> {
        match &mut self.0 {
            Parts::One(packet) => packet.take(),
            Parts::Many(split) => split.next(),
        }
    }
}

/// Where the headers of a packet lie.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Octets of the IP header.
    pub ip_len: usize,
    /// Octets of IP and transport header together.
    pub header_len: usize,
    /// TCP or UDP.
    pub protocol: IpProtocol,
}

impl Layout {
    /// Where in the transport header its checksum stands, in octets.
    #[must_use]
    pub fn checksum_offset(&self) -> usize {
        if self.protocol == IpProtocol::UDP {
            UDP_CHECKSUM_OFFSET
        } else {
            TCP_CHECKSUM_OFFSET
        }
    }

    /// The checksum that a sum comes to. Zero means "none" in UDP (RFC 768); its complement is the same number.
    fn finish(&self, sum: Sum) -> u16 {
        match sum.finish() {
            0 if self.protocol == IpProtocol::UDP => 0xFFFF,
            checksum => checksum,
        }
    }

    /// Reads what is needed from the front; `None` for anything but a whole TCP or UDP header behind IP.
    #[must_use]
    pub fn of(packet: &mut PacketBuf) -> Option<Self> {
        let first = *packet.contiguous().first()?;
        let (ip_len, protocol_at) = match first >> 4 {
            4 => (usize::from(first & 0x0F) * 4, 9),
            6 => (IPV6_LEN, 6),
            _ => return None,
        };
        if ip_len < IPV4_LEN_MIN {
            return None;
        }
        let protocol = IpProtocol(*packet.front(ip_len)?.get(protocol_at)?);
        let transport_len = match protocol {
            IpProtocol::TCP => {
                let tcp = packet.front(ip_len + TCP_LEN_MIN)?.get(ip_len..)?;
                usize::from(tcp[TCP_FLAGS_OFFSET] >> 4) * 4
            }
            IpProtocol::UDP => UDP_LEN,
            _ => return None,
        };
        let header_len = ip_len + transport_len;
        let whole = transport_len >= UDP_LEN && packet.front(header_len).is_some();
        let sane = protocol != IpProtocol::TCP || transport_len >= TCP_LEN_MIN;
        (whole && sane).then_some(Self {
            ip_len,
            header_len,
            protocol,
        })
    }
}

/// A super-segment being cut.
#[derive(Debug)]
struct Split {
    /// IP and TCP header of the next segment, with flags of a middle one.
    header: [u8; HEAD_CAPACITY],
    layout: Layout,
    size: usize,
    rest: Payload,
    /// Flags for the first segment only, and for the last only.
    first_flags: u16,
    last_flags: u16,
    source: IpAddr,
    destination: IpAddr,
    held: usize,
}

impl Split {
    fn new(mut packet: PacketBuf, layout: &Layout, size: usize) -> Self {
        let mut header = [0; HEAD_CAPACITY];
        packet.write_to(&mut header[..layout.header_len]);
        let held = packet.held();
        packet.advance(layout.header_len);
        let (source, destination) = addresses(&header);
        let (mut first_flags, mut last_flags) = (0, 0);
        if layout.protocol == IpProtocol::TCP {
            let flags_at = layout.ip_len + TCP_FLAGS_OFFSET;
            let flags = u16_at(&header, flags_at);
            first_flags = flags & TcpFlags::CWR.bits();
            last_flags = flags & (TcpFlags::FIN.bits() | TcpFlags::PSH.bits());
            put_u16(&mut header, flags_at, flags & !(first_flags | last_flags));
        }
        put_u16(&mut header, layout.ip_len + layout.checksum_offset(), 0);
        Self {
            header,
            layout: *layout,
            size,
            rest: packet.into_payload(),
            first_flags,
            last_flags,
            source,
            destination,
            held,
        }
    }

    fn next(&mut self) -> Option<PacketBuf> {
        if self.rest.is_empty() {
            return None;
        }
        let payload = self.rest.split_to(self.size);
        let payload_len = payload.len();
        let mut packet = PacketBuf::with_payload(payload);
        packet.set_held(self.held.max(payload_len));
        let Layout {
            ip_len, header_len, ..
        } = self.layout;
        let head = packet.prepend(header_len);
        head.copy_from_slice(&self.header[..header_len]);
        let pseudo = self.complete_header(packet.head_mut(), payload_len);
        let transport = &packet.head()[ip_len..];
        let sum = packet.payload().sum(pseudo.add_bytes(transport));
        let field = ip_len + self.layout.checksum_offset();
        put_u16(packet.head_mut(), field, self.layout.finish(sum));
        Some(packet)
    }

    fn write_next(&mut self, frame: &mut BytesMut) -> Option<usize> {
        let payload_len = self.rest.len().min(self.size);
        if payload_len == 0 {
            return None;
        }
        let start = frame.len();
        frame.extend_from_slice(&self.header[..self.layout.header_len]);
        let mut want = payload_len;
        for piece in self.rest.pieces() {
            let part = piece.len().min(want);
            copy::fill(&piece[..part], frame);
            want -= part;
            if want == 0 {
                break;
            }
        }
        self.rest.advance(payload_len);
        let written = &mut frame[start..];
        let pseudo = self.complete_header(written, payload_len);
        let ip_len = self.layout.ip_len;
        let sum = pseudo.add_bytes(&written[ip_len..]);
        let field = ip_len + self.layout.checksum_offset();
        put_u16(written, field, self.layout.finish(sum));
        Some(written.len())
    }

    /// Completes the header of the segment whose text has just left `rest`, its checksum apart; returns the sum of the
    /// pseudo-header.
    fn complete_header(&mut self, head: &mut [u8], payload_len: usize) -> Sum {
        let last = if self.rest.is_empty() {
            self.last_flags
        } else {
            0
        };
        let extra = core::mem::take(&mut self.first_flags) | last;
        let Layout {
            ip_len,
            header_len,
            protocol,
        } = self.layout;
        let total_len = header_len + payload_len;
        finish_ip(head, ip_len, total_len);
        let transport_len = total_len - ip_len;
        if protocol == IpProtocol::TCP {
            let flags_at = ip_len + TCP_FLAGS_OFFSET;
            put_u16(head, flags_at, u16_at(head, flags_at) | extra);
        } else {
            let counted = u16::try_from(transport_len).unwrap_or(u16::MAX);
            put_u16(head, ip_len + UDP_LENGTH_OFFSET, counted);
        }
        self.advance_header(payload_len);
        let transport_len = u32::try_from(transport_len).unwrap_or(u32::MAX);
        Sum::default().pseudo_header(self.source, self.destination, protocol, transport_len)
    }

    /// Makes the header that of the next segment: TCP's sequence number, and IPv4's identification.
    fn advance_header(&mut self, payload_len: usize) {
        if self.layout.protocol == IpProtocol::TCP {
            let seq_at = self.layout.ip_len + 4;
            let seq = u32_at(&self.header, seq_at);
            let step = u32::try_from(payload_len).unwrap_or(u32::MAX);
            self.header[seq_at..seq_at + 4].copy_from_slice(&seq.wrapping_add(step).to_be_bytes());
        }
        if self.source.is_ipv4() {
            let id = u16_at(&self.header, 4).wrapping_add(1);
            put_u16(&mut self.header, 4, id);
        }
    }
}

/// Writes the length into the IP header at the front, and IPv4's header checksum.
fn finish_ip(packet: &mut [u8], ip_len: usize, total_len: usize) {
    let is_v4 = packet[0] >> 4 == 4;
    // At most 64 KiB: a segment is no longer than the super-segment, whose length had to fit as well.
    let counted = if is_v4 {
        total_len
    } else {
        total_len - IPV6_LEN
    };
    let counted = u16::try_from(counted).unwrap_or(u16::MAX);
    if is_v4 {
        put_u16(packet, 2, counted);
        put_u16(packet, 10, 0);
        let checksum = internet_checksum(&packet[..ip_len]);
        put_u16(packet, 10, checksum);
    } else {
        put_u16(packet, 4, counted);
    }
}

fn addresses(header: &[u8; HEAD_CAPACITY]) -> (IpAddr, IpAddr) {
    if header[0] >> 4 == 4 {
        let at = |start: usize| Ipv4Addr::from_bits(u32_at(header, start)).into();
        (at(12), at(16))
    } else {
        let at = |start: usize| {
            let octets: [u8; 16] = core::array::from_fn(|index| header[start + index]);
            Ipv6Addr::from(octets).into()
        };
        (at(8), at(24))
    }
}

fn u16_at(octets: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([octets[at], octets[at + 1]])
}

fn u32_at(octets: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]])
}

fn put_u16(octets: &mut [u8], at: usize, value: u16) {
    octets[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

#[cfg(test)]
mod tests;
