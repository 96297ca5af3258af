//! A packet, and those that continue it.
//!
//! What continues it is held against a [`Template`]: nothing but text of one connection that follows on, acknowledges the same, offers
//! the same window and bears the same options. What does not fit goes on as it is.

use std::net::IpAddr;

use handwave_packet::Template;
use handwave_wire::{IpProtocol, SeqNum, Sum, TcpFlags};

/// The longest headers that are looked at: IPv6 without extensions, and TCP with all options.
pub(super) const HEADERS_MAX: usize = handwave_packet::TEMPLATE_MAX;
/// The most that the length field of IPv4 can say.
const PACKET_MAX: usize = 65_535;
const ACK: u8 = TcpFlags::ACK.bits().to_be_bytes()[1];
const PSH: u8 = TcpFlags::PSH.bits().to_be_bytes()[1];
const IPV4_LEN: usize = 20;
const IPV6_LEN: usize = 40;

/// A packet with text of a connection, or several that have been joined.
#[derive(Debug)]
pub(super) struct Joint {
    template: Template,
    /// The sequence number of what would follow.
    next: SeqNum,
    /// Text of the first packet, of which none has more.
    size: usize,
    /// Octets of all, with the headers of the first.
    len: usize,
    pushed: bool,
    /// The last had less text than the first.
    fell_short: bool,
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
        // Header length, and all flags but the last eight.
        let first = *packet.get(tcp_at + 12)?;
        let text_at = tcp_at + usize::from(first >> 4) * 4;
        if !is_tcp || text_at < tcp_at + 20 || packet.len() <= text_at {
            return None;
        }
        // With AE or a reserved bit set it is nothing ordinary.
        if first & 0x0F != 0 || packet[tcp_at + 13] & !PSH != ACK {
            return None;
        }
        let (source, destination) = match is_ipv4 {
            true => addresses::<4>(ip, 12),
            false => addresses::<16>(ip, 8),
        };
        let template = Template::new(&packet[..text_at], tcp_at, source, destination);
        let seq = template.fit(packet)?.seq;
        let mut joint = Self {
            template,
            next: seq,
            // What the first has; `join` takes none with more.
            size: packet.len() - text_at,
            len: text_at,
            pushed: false,
            fell_short: false,
        };
        joint.join(packet).then_some(joint)
    }

    /// Takes `packet` if it follows on and is whole.
    pub(super) fn join(&mut self, packet: &[u8]) -> bool {
        let Some(fit) = self.template.fit(packet) else {
            return false;
        };
        let text = packet.len() - self.template.text_at();
        let follows = fit.seq == self.next
            && fit.len == packet.len()
            && (1..=self.size).contains(&text)
            && self.len + text <= PACKET_MAX;
        let tcp = &packet[self.template.tcp_at()..];
        if !follows || !self.template.sum(fit.len).add_bytes(tcp).is_valid() {
            return false;
        }
        self.pushed |= fit.pushed;
        self.fell_short = text < self.size;
        self.len += text;
        self.next += u32::try_from(text).unwrap_or(0);
        true
    }

    /// Whether nothing more is to be joined: the sender has had no more than this, or has said so.
    pub(super) fn is_complete(&self) -> bool {
        self.pushed || self.fell_short
    }

    /// Where the text of each packet begins.
    pub(super) const fn text_at(&self) -> usize {
        self.template.text_at()
    }

    /// Octets of text in the first packet.
    pub(super) fn segment_size(&self) -> Option<u16> {
        let is_several = self.len > self.text_at() + self.size;
        u16::try_from(self.size).ok().filter(|_| is_several)
    }

    /// Makes the headers of the first packet those of all.
    pub(super) fn finish(&self, headers: &mut [u8]) {
        let tcp_at = self.template.tcp_at();
        if self.pushed {
            headers[tcp_at + 13] |= PSH;
        }
        if tcp_at == IPV4_LEN {
            put_u16(headers, 2, self.len);
            put_u16(headers, 10, 0);
            let sum = Sum::default().add_bytes(&headers[..IPV4_LEN]).finish();
            put_u16(headers, 10, sum.into());
        } else {
            put_u16(headers, 4, self.len - IPV6_LEN);
        }
    }
}

/// The two addresses of `N` octets that stand at `at`.
fn addresses<const N: usize>(ip: &[u8], at: usize) -> (IpAddr, IpAddr)
where
    IpAddr: From<[u8; N]>,
{
    let address = |at: usize| {
        let mut octets = [0; N];
        octets.copy_from_slice(&ip[at..at + N]);
        IpAddr::from(octets)
    };
    (address(at), address(at + N))
}

fn u16_at(octets: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([octets[at], octets[at + 1]])
}

fn put_u16(octets: &mut [u8], at: usize, value: usize) {
    let value = u16::try_from(value).unwrap_or(u16::MAX);
    octets[at..at + 2].copy_from_slice(&value.to_be_bytes());
}
