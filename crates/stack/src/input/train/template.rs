//! What the headers of a train's segments have in common.

use handwave_tcp::Tuple;
use handwave_wire::{IpProtocol, SeqNum, Sum, TcpFlags};

/// Octets of the longest headers that serve as a template: IPv6, and TCP with all options. IPv4 with options may exceed it.
pub(super) const TEMPLATE_MAX: usize = 100;
/// Octets compared at a time: both headers are as many times four octets long.
const WORD: usize = 4;
const WORDS: usize = TEMPLATE_MAX / WORD;

/// IP and TCP header of a train's first segment, and which of their bits those of the others must share.
#[derive(Debug)]
pub(super) struct Template {
    headers: [u32; WORDS],
    shared: [u32; WORDS],
    is_ipv4: bool,
    /// Where the TCP header begins, and where it ends.
    tcp_at: usize,
    text_at: usize,
    /// What the shared octets of the IPv4 header add up to.
    ip_sum: Sum,
    /// The pseudo-header without its length.
    pseudo: Sum,
}

/// What is a segment's own in headers that fit a template.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fit {
    /// Octets of the packet, by its IP header.
    pub(super) len: usize,
    pub(super) seq: SeqNum,
    pub(super) pushed: bool,
}

impl Template {
    /// Of `headers`, which are valid, no longer than [`TEMPLATE_MAX`], and go on with TCP at `tcp_at`; they came for `tuple`.
    pub(super) fn new(headers: &[u8], tcp_at: usize, tuple: &Tuple) -> Self {
        let is_ipv4 = headers[0] >> 4 == 4;
        let mut shared = [0; TEMPLATE_MAX];
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
        let mut common = [0; TEMPLATE_MAX];
        for ((octet, header), mask) in common.iter_mut().zip(headers).zip(&shared) {
            *octet = header & mask;
        }
        Self {
            headers: words(&common),
            shared: words(&shared),
            is_ipv4,
            tcp_at,
            text_at: headers.len(),
            ip_sum: Sum::default().add_bytes(&common[..tcp_at]),
            pseudo: Sum::default().pseudo_header(
                tuple.remote.addr,
                tuple.local.addr,
                IpProtocol::TCP,
                0,
            ),
        }
    }

    /// Where the text begins.
    pub(super) const fn text_at(&self) -> usize {
        self.text_at
    }

    /// Where the TCP header begins, and the sum of the pseudo-header of a packet with `len` octets.
    pub(super) fn pseudo_header(&self, len: usize) -> (usize, Sum) {
        let len = u32::try_from(len - self.tcp_at).unwrap_or(u32::MAX);
        (self.tcp_at, self.pseudo.add_u32(len))
    }

    /// What is their own in `headers`, which are as long as these; `None` if anything else differs, or the IPv4 header's checksum is
    /// wrong.
    pub(super) fn fit(&self, headers: &[u8]) -> Option<Fit> {
        let (words, _) = headers.as_chunks::<WORD>();
        let count = words.len().min(WORDS);
        // Slices of one length and indices: the loop becomes vector instructions however the program is optimised.
        let (words, common) = (&words[..count], &self.headers[..count]);
        let shared = &self.shared[..count];
        let mut differ = 0;
        for index in 0..count {
            differ |= (u32::from_ne_bytes(words[index]) & shared[index]) ^ common[index];
        }
        if differ != 0 {
            return None;
        }
        let len = if self.is_ipv4 {
            let len = u16_at(headers, 2);
            let own = self.ip_sum.add_u16(len).add_u16(u16_at(headers, 4));
            if !own.add_u16(u16_at(headers, 10)).is_valid() {
                return None;
            }
            usize::from(len)
        } else {
            usize::from(u16_at(headers, 4)) + 40
        };
        let tcp = &headers[self.tcp_at..];
        let seq = u32::from(u16_at(tcp, 4)) << 16 | u32::from(u16_at(tcp, 6));
        Some(Fit {
            len,
            seq: SeqNum::new(seq),
            pushed: tcp[13] & PSH != 0,
        })
    }
}

const PSH: u8 = TcpFlags::PSH.bits().to_be_bytes()[1];

fn words(octets: &[u8; TEMPLATE_MAX]) -> [u32; WORDS] {
    let (words, _) = octets.as_chunks::<WORD>();
    core::array::from_fn(|index| u32::from_ne_bytes(words[index]))
}

fn u16_at(octets: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([octets[at], octets[at + 1]])
}
