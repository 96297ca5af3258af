//! What makes a packet the continuation of the one before: the same headers but for what is each segment's own.
//!
//! The rules are those of generic receive offload: nothing but text of one connection that follows on, acknowledges the same, offers
//! the same window and bears the same options. What does not fit goes on as it is.

use std::net::IpAddr;

use handwave_wire::{IpProtocol, Sum, TcpFlags};

/// The longest headers that are looked at: IPv6 without extensions, and TCP with all options.
pub(super) const HEADERS_MAX: usize = 100;
/// The most that the length field of IPv4 can say.
const PACKET_MAX: usize = 65_535;
const ACK: u8 = TcpFlags::ACK.bits().to_be_bytes()[1];
const PSH: u8 = TcpFlags::PSH.bits().to_be_bytes()[1];
const IPV4_LEN: usize = 20;
const IPV6_LEN: usize = 40;

/// A packet with text of a connection, or several that have been joined.
#[derive(Debug)]
pub(super) struct Joint {
    /// Of the first packet, without what is each one's own.
    common: [u8; HEADERS_MAX],
    tcp_at: usize,
    text_at: usize,
    pseudo: Sum,
    /// The sequence number of what would follow.
    next: u32,
    /// Text of the first packet, of which none has more.
    size: usize,
    /// Octets of all, with the headers of the first.
    len: usize,
    pushed: bool,
}

impl Joint {
    /// Begins with `packet`, if that is text of a connection and whole.
    pub(super) fn begin(packet: &[u8]) -> Option<Self> {
        let is_ipv4 = packet.first()? >> 4 == 4;
        let tcp_at = if is_ipv4 { IPV4_LEN } else { IPV6_LEN };
        let ip = packet.get(..tcp_at)?;
        let is_tcp = match is_ipv4 {
            // Without options, and no fragment.
            true => ip[0] == 0x45 && ip[9] == IpProtocol::TCP.0 && u16_at(ip, 6) & 0x3FFF == 0,
            false => ip[0] >> 4 == 6 && ip[6] == IpProtocol::TCP.0,
        };
        let text_at = tcp_at + usize::from(packet.get(tcp_at + 12)? >> 4) * 4;
        if !is_tcp || text_at < tcp_at + 20 || packet.len() <= text_at {
            return None;
        }
        let pseudo = match is_ipv4 {
            true => pseudo_header::<4>(ip, 12),
            false => pseudo_header::<16>(ip, 8),
        };
        let mut joint = Self {
            common: [0; HEADERS_MAX],
            tcp_at,
            text_at,
            pseudo,
            next: 0,
            size: 0,
            len: text_at,
            pushed: false,
        };
        joint.common = joint.common_of(packet);
        joint.next = joint.seq(packet);
        joint.take(packet).then_some(joint)
    }

    /// Takes `packet` if it follows on and is whole.
    pub(super) fn join(&mut self, packet: &[u8]) -> bool {
        packet.len() > self.text_at
            && self.seq(packet) == self.next
            && self.common_of(packet)[..self.text_at] == self.common[..self.text_at]
            && packet.len() - self.text_at <= self.size
            && self.len + packet.len() - self.text_at <= PACKET_MAX
            && self.take(packet)
    }

    /// Whether nothing more is to be joined: the sender has had no more than this, or has said so.
    pub(super) fn is_complete(&self) -> bool {
        self.pushed || !(self.len - self.text_at).is_multiple_of(self.size)
    }

    /// Where the text of each packet begins.
    pub(super) const fn text_at(&self) -> usize {
        self.text_at
    }

    /// Octets of text in the first packet.
    pub(super) fn segment_size(&self) -> Option<u16> {
        let is_several = self.len > self.text_at + self.size;
        u16::try_from(self.size).ok().filter(|_| is_several)
    }

    /// Makes the headers of the first packet those of all.
    pub(super) fn finish(&self, headers: &mut [u8]) {
        if self.pushed {
            headers[self.tcp_at + 13] |= PSH;
        }
        if self.tcp_at == IPV4_LEN {
            put_u16(headers, 2, self.len);
            put_u16(headers, 10, 0);
            let sum = Sum::default().add_bytes(&headers[..IPV4_LEN]).finish();
            put_u16(headers, 10, sum.into());
        } else {
            put_u16(headers, 4, self.len - IPV6_LEN);
        }
    }

    /// Counts `packet`, whose headers fit, if it is as long as it says and its sums are right.
    fn take(&mut self, packet: &[u8]) -> bool {
        let (said, ip_is_whole) = match self.tcp_at == IPV4_LEN {
            true => {
                let sum = Sum::default().add_bytes(&packet[..IPV4_LEN]);
                (usize::from(u16_at(packet, 2)), sum.is_valid())
            }
            false => (usize::from(u16_at(packet, 4)) + IPV6_LEN, true),
        };
        let flags = packet[self.tcp_at + 13];
        // The flag in the octet before, AE, and the reserved bits: with them set it is nothing ordinary.
        let is_plain = flags & !PSH == ACK && packet[self.tcp_at + 12] & 0x0F == 0;
        if !is_plain || said != packet.len() || !ip_is_whole {
            return false;
        }
        let tcp = &packet[self.tcp_at..];
        let len = u32::try_from(tcp.len()).unwrap_or(u32::MAX);
        if !self.pseudo.add_u32(len).add_bytes(tcp).is_valid() {
            return false;
        }
        let text = packet.len() - self.text_at;
        self.pushed |= flags & PSH != 0;
        self.size = self.size.max(text);
        self.len += text;
        self.next = self.next.wrapping_add(u32::try_from(text).unwrap_or(0));
        true
    }

    /// The headers of `packet` without what is each segment's own.
    fn common_of(&self, packet: &[u8]) -> [u8; HEADERS_MAX] {
        let mut common = [0; HEADERS_MAX];
        common[..self.text_at].copy_from_slice(&packet[..self.text_at]);
        match self.tcp_at == IPV4_LEN {
            // Length, identification, checksum.
            true => {
                common[2..6].fill(0);
                common[10..12].fill(0);
            }
            false => common[4..6].fill(0),
        }
        let tcp = &mut common[self.tcp_at..];
        // Sequence number, PSH, checksum.
        tcp[4..8].fill(0);
        tcp[13] &= !PSH;
        tcp[16..18].fill(0);
        common
    }

    fn seq(&self, packet: &[u8]) -> u32 {
        let at = self.tcp_at + 4;
        u32::from(u16_at(packet, at)) << 16 | u32::from(u16_at(packet, at + 2))
    }
}

/// The pseudo-header's sum of the two addresses of `N` octets that stand at `at`, without the length.
fn pseudo_header<const N: usize>(ip: &[u8], at: usize) -> Sum
where
    IpAddr: From<[u8; N]>,
{
    let [source, destination] = [at, at + N].map(|at| {
        let mut octets = [0; N];
        octets.copy_from_slice(&ip[at..at + N]);
        IpAddr::from(octets)
    });
    Sum::default().pseudo_header(source, destination, IpProtocol::TCP, 0)
}

fn u16_at(octets: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([octets[at], octets[at + 1]])
}

fn put_u16(octets: &mut [u8], at: usize, value: usize) {
    let value = u16::try_from(value).unwrap_or(u16::MAX);
    octets[at..at + 2].copy_from_slice(&value.to_be_bytes());
}
