//! [`Template`]: what makes a TCP segment the continuation of the one before.
//!
//! The rule is that of generic receive offload: the same headers but for what must be each segment's own. Whoever couples segments of a batch,
//! and whoever joins them as they are read, holds them against the headers of the first.

use core::net::IpAddr;

use handwave_wire::{IpProtocol, SeqNum, Sum, TcpFlags};

/// Octets of the longest headers that serve as a template: IPv6, and TCP with all options. IPv4 with options may exceed it.
pub const TEMPLATE_MAX: usize = 100;
/// Octets compared at once: the headers, and what makes them whole vectors.
const COMPARED: usize = 112;
/// Octets compared at a time.
const WORD: usize = 8;
const WORDS: usize = COMPARED / WORD;
const HALF: usize = WORDS / 2;
const IPV6_LEN: usize = 40;
const TCP_LEN_MIN: usize = 20;
const PSH: u8 = TcpFlags::PSH.bits().to_be_bytes()[1];

/// IP and TCP header of the first of some segments, and which of their bits those of the others must share.
///
/// Lengths, IPv4's identification, the sequence number, checksums and PSH are a segment's own. Everything else, options and acknowledgment
/// and window among it, is the same in all.
///
/// # Examples
///
/// ```
/// use core::net::Ipv4Addr;
/// use handwave_packet::{PacketBuf, Payload, Template, split};
/// use handwave_wire::{SeqNum, TcpFlags, TcpHeader};
///
/// // Two segments, cut from one.
/// let mut packet = PacketBuf::with_payload(Payload::from(vec![7; 2_000]));
/// let tcp = TcpHeader { seq: SeqNum::new(100), flags: TcpFlags::ACK, ..TcpHeader::default() };
/// tcp.emit(packet.prepend(20));
/// packet.prepend(20).copy_from_slice(&[0x45, 0, 0, 0, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
/// packet.set_segment_size(Some(1_000));
/// let [first, second] = [0, 1].map(|n| split::segments(packet.clone()).nth(n).unwrap().to_vec());
///
/// let (source, destination) = (Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(10, 0, 0, 2));
/// let template = Template::new(&first[..40], 20, source.into(), destination.into());
/// let fit = template.fit(&second).unwrap();
/// assert_eq!((fit.len, fit.seq), (1_040, SeqNum::new(1_100)));
/// assert!(template.sum(fit.len).add_bytes(&second[20..]).is_valid());
///
/// let mut other = second;
/// other[33] |= 1; // FIN
/// assert!(template.fit(&other).is_none());
/// ```
#[derive(Debug)]
pub struct Template {
    headers: [u64; WORDS],
    shared: [u64; WORDS],
    is_ipv4: bool,
    /// Where the TCP header begins, and where it ends.
    tcp_at: usize,
    text_at: usize,
    /// What the shared octets of the IPv4 header add up to, folded.
    ip_sum: u16,
    /// The pseudo-header without its length.
    pseudo: Sum,
}

/// What is a segment's own in headers that fit a [`Template`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Octets of the packet, by its IP header.
    pub len: usize,
    /// The sequence number of its first octet of text.
    pub seq: SeqNum,
    /// Whether PSH is set: the sender had nothing more.
    pub pushed: bool,
}

impl Template {
    /// Of `headers`, which are valid and go on with TCP at `tcp_at`; `source` and `destination` are those of the pseudo-header.
    ///
    /// # Panics
    ///
    /// If `headers` are longer than [`TEMPLATE_MAX`], or shorter than the two headers that they are to be.
    #[must_use]
    pub fn new(headers: &[u8], tcp_at: usize, source: IpAddr, destination: IpAddr) -> Self {
        assert!(headers.len() <= TEMPLATE_MAX, "headers too long");
        let is_ipv4 = headers[0] >> 4 == 4;
        let mut shared = [0; COMPARED];
        shared[..headers.len()].fill(0xFF);
        if is_ipv4 {
            // Length, identification, checksum.
            shared[2..6].fill(0);
            shared[10..12].fill(0);
        } else {
            shared[4..6].fill(0);
        }
        // Sequence number, PSH, checksum.
        shared[tcp_at + 4..tcp_at + 8].fill(0);
        shared[tcp_at + 13] = !PSH;
        shared[tcp_at + 16..tcp_at + 18].fill(0);
        let mut common = [0; COMPARED];
        for ((octet, header), mask) in common.iter_mut().zip(headers).zip(&shared) {
            *octet = header & mask;
        }
        Self {
            headers: words(&common),
            shared: words(&shared),
            is_ipv4,
            tcp_at,
            text_at: headers.len(),
            ip_sum: Sum::default().add_bytes(&common[..tcp_at]).folded(),
            pseudo: Sum::default().pseudo_header(source, destination, IpProtocol::TCP, 0),
        }
    }

    /// Where the text of each segment begins, in octets from the start of its packet.
    #[inline]
    #[must_use]
    pub const fn text_at(&self) -> usize {
        self.text_at
    }

    /// Where the TCP header of each segment begins, in octets from the start of its packet.
    #[inline]
    #[must_use]
    pub const fn tcp_at(&self) -> usize {
        self.tcp_at
    }

    /// The sum of the pseudo-header of a packet with `len` octets: with everything from [`tcp_at`](Self::tcp_at) on, it is valid
    /// (RFC 9293 3.1).
    #[inline]
    #[must_use]
    pub fn sum(&self, len: usize) -> Sum {
        let len = u32::try_from(len - self.tcp_at).unwrap_or(u32::MAX);
        self.pseudo.add_u32(len)
    }

    /// What is their own in the headers at the front of `packet`; `None` if it is too short for them, if anything else differs, or if the
    /// IPv4 header's checksum is wrong.
    #[inline]
    #[must_use]
    pub fn fit(&self, packet: &[u8]) -> Option<Fit> {
        let headers = packet.get(..self.text_at)?;
        let fits = match packet.first_chunk() {
            Some(front) => self.shares(front),
            None => {
                let mut front = [0; COMPARED];
                front[..headers.len()].copy_from_slice(headers);
                self.shares(&front)
            }
        };
        if !fits {
            return None;
        }
        let len = if self.is_ipv4 {
            // Length, identification and checksum are its own.
            let &[_, _, l0, l1, i0, i1, _, _, _, _, c0, c1] = headers.first_chunk()?;
            let len = u16::from_be_bytes([l0, l1]);
            let own = [
                len,
                u16::from_be_bytes([i0, i1]),
                u16::from_be_bytes([c0, c1]),
            ];
            let sum: u32 = own.into_iter().map(u32::from).sum();
            // Four numbers of 16 bits: one fold leaves no more than 17, and what is valid comes to all ones.
            let sum = sum + u32::from(self.ip_sum);
            if (sum & 0xFFFF) + (sum >> 16) != 0xFFFF {
                return None;
            }
            usize::from(len)
        } else {
            usize::from(u16_at(headers, 4)) + IPV6_LEN
        };
        let tcp = headers.get(self.tcp_at..)?.first_chunk::<TCP_LEN_MIN>()?;
        let [_, _, _, _, s0, s1, s2, s3, _, _, _, _, _, flags, ..] = *tcp;
        Some(Fit {
            len,
            seq: SeqNum::new(u32::from_be_bytes([s0, s1, s2, s3])),
            pushed: flags & PSH != 0,
        })
    }

    /// Whether the headers at the front of these octets have what they must share; what follows them is not looked at.
    #[inline]
    fn shares(&self, front: &[u8; COMPARED]) -> bool {
        let (words, _) = front.as_chunks::<WORD>();
        // In two halves, of which the first is all that most headers have: each of so many turns whatever the headers' length, and indices.
        // That is a few instructions however the program is optimised.
        #[expect(
            clippy::needless_range_loop,
            reason = "iterators become calls where a program is not optimised as a whole"
        )]
        let differ = |from: usize| {
            let mut differ = 0;
            for index in from..from + HALF {
                let word = u64::from_ne_bytes(words[index]);
                differ |= (word & self.shared[index]) ^ self.headers[index];
            }
            differ
        };
        differ(0) == 0 && (self.text_at <= HALF * WORD || differ(HALF) == 0)
    }
}

fn words(octets: &[u8; COMPARED]) -> [u64; WORDS] {
    let (words, _) = octets.as_chunks::<WORD>();
    core::array::from_fn(|index| u64::from_ne_bytes(words[index]))
}

#[inline]
fn u16_at(octets: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([octets[at], octets[at + 1]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PacketBuf, Payload, split};
    use alloc::vec::Vec;
    use core::net::{Ipv4Addr, Ipv6Addr};
    use handwave_wire::TcpHeader;

    /// Two segments that follow each other, and the template of the first.
    fn pair(is_ipv4: bool) -> (Template, Vec<u8>, Vec<u8>) {
        let mut packet = PacketBuf::with_payload(Payload::from(alloc::vec![7; 150]));
        let tcp = TcpHeader {
            flags: TcpFlags::ACK | TcpFlags::PSH,
            ..TcpHeader::default()
        };
        tcp.emit(packet.prepend(20));
        let (tcp_at, addr): (_, IpAddr) = match is_ipv4 {
            true => (20, Ipv4Addr::UNSPECIFIED.into()),
            false => (40, Ipv6Addr::UNSPECIFIED.into()),
        };
        let ip = packet.prepend(tcp_at);
        ip[0] = if is_ipv4 { 0x45 } else { 0x60 };
        ip[if is_ipv4 { 9 } else { 6 }] = IpProtocol::TCP.0;
        packet.set_segment_size(Some(100));
        let mut segments = split::segments(packet).map(|segment| segment.to_vec());
        let (first, second) = (segments.next().unwrap(), segments.next().unwrap());
        let template = Template::new(&first[..tcp_at + 20], tcp_at, addr, addr);
        (template, first, second)
    }

    #[test]
    fn what_is_a_segments_own_is_told() {
        for is_ipv4 in [true, false] {
            let (template, first, second) = pair(is_ipv4);
            let (first, second) = (
                template.fit(&first).unwrap(),
                template.fit(&second).unwrap(),
            );
            let len = template.text_at();
            assert_eq!((first.len, second.len), (len + 100, len + 50));
            assert_eq!(second.seq, first.seq + 100);
            assert_eq!((first.pushed, second.pushed), (false, true));
        }
    }

    #[test]
    fn whatever_else_differs_is_a_stranger() {
        for is_ipv4 in [true, false] {
            let (template, _, second) = pair(is_ipv4);
            let at = template.tcp_at();
            let mut own: Vec<usize> = match is_ipv4 {
                // Without the checksum, which shows any change.
                true => Vec::new(),
                false => alloc::vec![4, 5],
            };
            own.extend([at + 4, at + 5, at + 6, at + 7, at + 16, at + 17]);
            for octet in 0..template.text_at() {
                let mut other = second.clone();
                other[octet] ^= 1;
                let fits = template.fit(&other).is_some();
                assert_eq!(fits, own.contains(&octet), "octet {octet}");
            }
            assert!(template.fit(&second[..template.text_at() - 1]).is_none());
        }
    }
}
