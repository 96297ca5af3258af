//! Segmentation in software, at the edge: what a network card's TSO does, for links that have none.
//!
//! The core hands out super-segments, one TCP/IP header before up to 64 KiB, and leaves checksums to the device where it
//! may. [`segments`] turns such a packet into the ones it stands for, sharing the payload's storage; [`complete_checksum`]
//! finishes a packet that is one segment already. Both work on the octets in place and know TCP and UDP directly behind an
//! IPv4 or IPv6 header; anything else passes unchanged.

use crate::{ChecksumMark, HEAD_CAPACITY, PacketBuf, Payload, copy};
use bytes::BytesMut;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use handwave_wire::{IpProtocol, Sum, TcpFlags};

const IPV4_LEN_MIN: usize = 20;
const IPV6_LEN: usize = 40;
const TCP_LEN_MIN: usize = 20;
const TCP_SEQ_OFFSET: usize = 4;
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
    put_u16(packet.head_mut(), layout.checksum_at(), layout.finish(sum));
    packet.set_checksum(ChecksumMark::Unknown);
}

/// Appends a packet that is one segment, and completes its checksum on the way; returns its length.
fn write_whole(mut packet: PacketBuf, frame: &mut BytesMut) -> usize {
    let start = frame.len();
    let layout = (packet.checksum() == ChecksumMark::Partial)
        .then(|| Layout::of(&mut packet))
        .flatten();
    frame.reserve(packet.len());
    frame.extend_from_slice(packet.head());
    match layout {
        Some(layout) if packet.head().len() >= layout.header_len => {
            let transport = &packet.head()[layout.ip_len..];
            let sum = Sum::default().add_bytes(transport);
            let sum = write_summed(packet.payload(), frame, sum);
            put_u16(frame, start + layout.checksum_at(), layout.finish(sum));
        }
        _ => {
            for piece in packet.payload().pieces() {
                copy::fill(piece, frame);
            }
            if let Some(layout) = layout {
                let sum = Sum::default().add_bytes(&frame[start + layout.ip_len..]);
                put_u16(frame, start + layout.checksum_at(), layout.finish(sum));
            }
        }
    }
    packet.len()
}

/// Appends a text, and adds it to a sum.
fn write_summed(text: &Payload, frame: &mut BytesMut, sum: Sum) -> Sum {
    text.pieces()
        .fold(sum, |sum, piece| copy::fill_summed(piece, frame, sum))
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
    /// Makes `packet` the next segment, where it lies: whoever passes on many moves none about, and copies no more of a head than is
    /// used. `false` after the last, and then `packet` is as it was.
    ///
    /// ```
    /// use handwave_packet::{PacketBuf, Payload, split};
    ///
    /// let mut segments = split::segments(PacketBuf::with_payload(Payload::from(vec![7; 100])));
    /// let mut place = PacketBuf::default();
    /// assert!(segments.next_into(&mut place));
    /// assert_eq!(place.len(), 100);
    /// assert!(!segments.next_into(&mut place));
    /// ```
    #[inline]
    pub fn next_into(&mut self, packet: &mut PacketBuf) -> bool {
        match &mut self.0 {
            Parts::One(one) => {
                let one = one.take();
                one.is_some_and(|mut one| {
                    complete_checksum(&mut one);
                    packet.take_over(&mut one);
                    true
                })
            }
            Parts::Many(split) => split.next_into(packet),
        }
    }

    /// Appends the next segment to `frame`, in one piece as a wire needs it; returns its length, or `None` after the last.
    ///
    /// Cheaper than copying what [`next`](Iterator::next) gives: no segment is built only to be copied, and the checksum is taken
    /// from octets that are still in the nearest cache.
    pub fn write_next(&mut self, frame: &mut BytesMut) -> Option<usize> {
        match &mut self.0 {
            Parts::One(packet) => packet.take().map(|packet| write_whole(packet, frame)),
            Parts::Many(split) => split.write_next(frame),
        }
    }
}

impl Iterator for Segments {
    type Item = PacketBuf;

    fn next(&mut self) -> Option<PacketBuf> {
        match &mut self.0 {
            Parts::One(packet) => {
                let mut packet = packet.take()?;
                complete_checksum(&mut packet);
                Some(packet)
            }
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

    /// The same, counted from the start of the packet.
    fn checksum_at(&self) -> usize {
        self.ip_len + self.checksum_offset()
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
    headers: Headers,
    size: usize,
    rest: Payload,
    /// What a segment of `size` octets keeps alive: its share of what all of them keep alive together.
    held: usize,
}

impl Split {
    fn new(mut packet: PacketBuf, layout: &Layout, size: usize) -> Self {
        let headers = Headers::of(&packet, *layout, size);
        let held = packet.held();
        packet.advance(layout.header_len);
        let held = held.saturating_mul(size).div_ceil(packet.len().max(1));
        Self {
            headers,
            size,
            rest: packet.into_payload(),
            held,
        }
    }

    fn next(&mut self) -> Option<PacketBuf> {
        let mut packet = PacketBuf::default();
        self.next_into(&mut packet).then_some(packet)
    }

    fn next_into(&mut self, packet: &mut PacketBuf) -> bool {
        let left = self.rest.len();
        let len = left.min(self.size);
        if len == 0 {
            return false;
        }
        let numbered = self.headers.number(len, left == len);
        let text = match self.rest.contiguous().get(..len) {
            Some(text) => Sum::default().add_bytes(text),
            None => self.rest.slice(0, len).sum(Sum::default()),
        };
        self.headers.seal(numbered.append(text));
        // After the headers have been written and before they are copied: taking a slice waits for what has been written, anyway.
        let text = self.rest.split_to(len);
        packet.restart(text);
        packet.set_headers(&self.headers.octets, self.headers.at);
        packet.set_held(self.held.max(len));
        true
    }

    fn write_next(&mut self, frame: &mut BytesMut) -> Option<usize> {
        let left = self.rest.len();
        let len = left.min(self.size);
        if len == 0 {
            return None;
        }
        let frame_len = self.headers.layout.header_len + len;
        frame.reserve(frame_len);
        let numbered = self.headers.number(len, left == len);
        let start = frame.len();
        frame.extend_from_slice(self.headers.as_slice());
        // Copied, then summed where it came from: that lies in the nearest cache now, while the copy is still on its way there.
        let text = if let Some(text) = self.rest.contiguous().get(..len) {
            copy::fill(text, frame);
            let sum = Sum::default().add_bytes(text);
            self.rest.advance(len);
            sum
        } else {
            let text = self.rest.split_to(len);
            write_summed(&text, frame, Sum::default())
        };
        let layout = &self.headers.layout;
        let checksum = layout.finish(numbered.append(text));
        put_u16(frame, start + layout.checksum_at(), checksum);
        Some(frame_len)
    }
}

/// IP and transport header of the segment cut last; what all segments of one length share stays as it is.
#[derive(Debug)]
struct Headers {
    /// They end where these end, as in the head of a packet.
    octets: [u8; HEAD_CAPACITY],
    at: usize,
    layout: Layout,
    is_ipv4: bool,
    /// Octets of text for which they have been made.
    text_len: usize,
    /// TCP's data offset and flags: of each segment, of the first only, and of the last only.
    flags: u16,
    first_flags: u16,
    last_flags: u16,
    /// Sequence number and identification of the next segment; the second is IPv4's.
    seq: u32,
    identification: u16,
    /// What the IPv4 header of a segment of this length adds up to, and its transport header with the pseudo-header; numbers and
    /// the flags of the first and the last apart.
    ip_sum: u16,
    transport_sum: Sum,
}

impl Headers {
    /// Those of `packet`, for segments with `text_len` octets of text.
    fn of(packet: &PacketBuf, layout: Layout, text_len: usize) -> Self {
        let at = HEAD_CAPACITY - layout.header_len;
        let mut octets = [0; HEAD_CAPACITY];
        let header = &mut octets[at..];
        packet.write_to(header);
        let (mut flags, mut first_flags, mut last_flags, mut seq) = (0, 0, 0, 0);
        if layout.protocol == IpProtocol::TCP {
            let all = u16_at(header, layout.ip_len + TCP_FLAGS_OFFSET);
            first_flags = all & TcpFlags::CWR.bits();
            last_flags = all & (TcpFlags::FIN.bits() | TcpFlags::PSH.bits());
            flags = all & !(first_flags | last_flags);
            seq = u32_at(header, layout.ip_len + TCP_SEQ_OFFSET);
        }
        let mut headers = Self {
            is_ipv4: header[0] >> 4 == 4,
            identification: u16_at(header, 4),
            octets,
            at,
            layout,
            text_len,
            flags,
            first_flags,
            last_flags,
            seq,
            ip_sum: 0,
            transport_sum: Sum::default(),
        };
        headers.prepare(text_len);
        headers
    }

    fn as_slice(&self) -> &[u8] {
        &self.octets[self.at..]
    }

    /// Makes them those of segments with `text_len` octets, whose numbers and checksums are still to come.
    #[cold]
    fn prepare(&mut self, text_len: usize) {
        let Layout {
            ip_len,
            header_len,
            protocol,
        } = self.layout;
        self.text_len = text_len;
        let header = &mut self.octets[self.at..];
        let total_len = header_len + text_len;
        let transport_len = total_len - ip_len;
        if self.is_ipv4 {
            put_u32(header, 2, u32::from(counted(total_len)) << 16);
            put_u16(header, 10, 0);
            self.ip_sum = Sum::default().add_bytes(&header[..ip_len]).folded();
        } else {
            put_u16(header, 4, counted(total_len - IPV6_LEN));
        }
        if protocol == IpProtocol::TCP {
            put_u32(header, ip_len + TCP_SEQ_OFFSET, 0);
            put_u16(header, ip_len + TCP_FLAGS_OFFSET, self.flags);
        } else {
            put_u16(header, ip_len + UDP_LENGTH_OFFSET, counted(transport_len));
        }
        put_u16(header, self.layout.checksum_at(), 0);
        let (source, destination) = addresses(header);
        let len = u32::try_from(transport_len).unwrap_or(u32::MAX);
        self.transport_sum = Sum::default()
            .pseudo_header(source, destination, protocol, len)
            .add_bytes(&header[ip_len..]);
    }

    /// Makes them those of the next segment, with `text_len` octets, but for its checksum; returns what they add up to.
    #[inline]
    fn number(&mut self, text_len: usize, is_last: bool) -> Sum {
        if text_len != self.text_len {
            self.prepare(text_len);
        }
        let (ip, transport) = self.octets[self.at..].split_at_mut(self.layout.ip_len);
        if self.is_ipv4
            && let Some(ip) = ip.first_chunk_mut::<IPV4_LEN_MIN>()
        {
            let identification = self.identification;
            self.identification = identification.wrapping_add(1);
            put_u16(ip, 4, identification);
            put_u16(ip, 10, !add_folded(self.ip_sum, identification));
        }
        if self.layout.protocol != IpProtocol::TCP {
            return self.transport_sum;
        }
        let mut extra = core::mem::take(&mut self.first_flags);
        if is_last {
            extra |= self.last_flags;
        }
        if let Some(tcp) = transport.first_chunk_mut::<TCP_LEN_MIN>() {
            put_u16(tcp, TCP_FLAGS_OFFSET, self.flags | extra);
            put_u32(tcp, TCP_SEQ_OFFSET, self.seq);
        }
        let sum = self.transport_sum.add_u16(extra).add_u32(self.seq);
        let step = u32::try_from(text_len).unwrap_or(u32::MAX);
        self.seq = self.seq.wrapping_add(step);
        sum
    }

    /// Writes the checksum that headers and text add up to.
    #[inline]
    fn seal(&mut self, sum: Sum) {
        let checksum = self.layout.finish(sum);
        put_u16(
            &mut self.octets[self.at..],
            self.layout.checksum_at(),
            checksum,
        );
    }
}

/// A length as headers count it. A segment is no longer than the super-segment, whose length had to fit as well.
fn counted(len: usize) -> u16 {
    u16::try_from(len).unwrap_or(u16::MAX)
}

fn addresses(header: &[u8]) -> (IpAddr, IpAddr) {
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

/// One's complement addition of 16 bits.
#[inline]
fn add_folded(a: u16, b: u16) -> u16 {
    let (sum, carry) = a.overflowing_add(b);
    sum.wrapping_add(carry.into())
}

#[inline]
fn u16_at(octets: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([octets[at], octets[at + 1]])
}

#[inline]
fn u32_at(octets: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]])
}

// Octet by octet in the source, one move in the program, also where it is not optimised as a whole.
#[inline]
fn put_u32(octets: &mut [u8], at: usize, value: u32) {
    let place = &mut octets[at..at + 4];
    [place[0], place[1], place[2], place[3]] = value.to_be_bytes();
}

#[inline]
fn put_u16(octets: &mut [u8], at: usize, value: u16) {
    let place = &mut octets[at..at + 2];
    [place[0], place[1]] = value.to_be_bytes();
}

#[cfg(test)]
mod tests;
