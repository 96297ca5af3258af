//! [`Attacker`]: somebody off the path who knows the four numbers of a connection, and nearly everything else.
//!
//! It forges what RFC 5961, RFC 5927 and RFC 7323 defend against, closer to the mark than a blind guess would be: RSTs and SYNs
//! inside the window but not at RCV.NXT, text whose acknowledgment is out of range and whose timestamp lies ahead, ICMP
//! errors that quote what is in flight, and plain garbage. None of it may change what the applications read, or end a
//! connection.

use super::laws::Known;
use crate::Rng;
use core::net::IpAddr;
use core::time::Duration;
use handwave_packet::{PacketBuf, Payload};
use handwave_tcp::Tuple;
use handwave_tcp::time::Instant;
use handwave_wire::icmpv4::{Icmpv4Error, Icmpv4ErrorKind, Icmpv4Message, Icmpv4Unreachable};
use handwave_wire::icmpv6::{Icmpv6Error, Icmpv6ErrorKind, Icmpv6Message};
use handwave_wire::ipv4::Ipv4Header;
use handwave_wire::ipv6::Ipv6Header;
use handwave_wire::{IpProtocol, SeqNum, Sum, TcpFlags, TcpHeader, Timestamps};

/// Beyond any window, and still on the same side of the sequence space.
const FAR: u64 = 1 << 30;

#[derive(Debug)]
pub(super) struct Attacker {
    rng: Rng,
    pause_max: Duration,
    next: Instant,
    until: Instant,
}

impl Attacker {
    pub(super) fn new(mut rng: Rng, pause_max: Duration, [from, until]: [Instant; 2]) -> Self {
        let next = from + rng.up_to(pause_max);
        Self {
            rng,
            pause_max,
            next,
            until,
        }
    }

    /// When it strikes next, if it has not given up.
    pub(super) fn next(&self) -> Option<Instant> {
        (self.next < self.until).then_some(self.next)
    }

    /// Whether it strikes at `now`; if so, the next strike is set.
    pub(super) fn strikes(&mut self, now: Instant) -> bool {
        let strikes = self.next().is_some_and(|next| next <= now);
        if strikes {
            self.next = now + Duration::from_micros(1) + self.rng.up_to(self.pause_max);
        }
        strikes
    }

    /// Picks one of `len`.
    pub(super) fn pick(&mut self, len: usize) -> usize {
        self.rng.index(len)
    }

    /// Forges a packet for the victim, at the local end of `tuple`.
    pub(super) fn forge(&mut self, tuple: &Tuple, known: &Known) -> PacketBuf {
        match self.rng.below(10) {
            0 => self.icmp(tuple, known),
            1 => self.garbage(tuple),
            _ => self.segment(tuple, known),
        }
    }

    fn segment(&mut self, tuple: &Tuple, known: &Known) -> PacketBuf {
        let (flags, seq, ack) = match self.rng.below(6) {
            0 => (TcpFlags::RST, self.inside(known), SeqNum::default()),
            1 => (TcpFlags::RST, known.edge + self.far(), SeqNum::default()),
            2 => (
                TcpFlags::RST | TcpFlags::ACK,
                self.inside(known),
                known.sent,
            ),
            3 => (TcpFlags::SYN, self.inside(known), SeqNum::default()),
            4 => (TcpFlags::PSH, known.acked, SeqNum::default()),
            _ => (TcpFlags::ACK, known.acked, self.wrong_ack(known)),
        };
        let mut header = TcpHeader {
            seq,
            ack,
            flags,
            window: 100,
            ..self.header(tuple)
        };
        if let Some(value) = known.peer_timestamp.filter(|_| self.rng.chance(0.7)) {
            let ahead = u32::try_from(self.rng.below(FAR)).unwrap_or(0);
            header.options.timestamps = Some(Timestamps {
                value: value.wrapping_add(ahead),
                echo: 0,
            });
        }
        let is_text = !flags.intersects(TcpFlags::RST | TcpFlags::SYN);
        let text = if is_text {
            vec![0xEE; self.rng.index(600) + 1]
        } else {
            Vec::new()
        };
        tcp_packet(tuple, &header, text)
    }

    fn header(&self, tuple: &Tuple) -> TcpHeader {
        TcpHeader {
            source_port: tuple.remote.port,
            destination_port: tuple.local.port,
            ..TcpHeader::default()
        }
    }

    /// In the victim's window, but behind all that the peer has sent: never RCV.NXT.
    fn inside(&mut self, known: &Known) -> SeqNum {
        let room = if known.edge.after(known.peer_sent + 1) {
            known.edge.since(known.peer_sent + 1)
        } else {
            1
        };
        known.peer_sent + 1 + u32::try_from(self.rng.below(room.into())).unwrap_or(0)
    }

    fn far(&mut self) -> u32 {
        u32::try_from(self.rng.within(1..=FAR)).unwrap_or(1)
    }

    /// Beyond what the victim has sent, or further back than any window (RFC 5961 5.2).
    fn wrong_ack(&mut self, known: &Known) -> SeqNum {
        let far = self.far();
        if self.rng.chance(0.5) {
            known.sent + far
        } else {
            known.sent - (far / 2 + (3 << 29))
        }
    }

    /// An error about a segment of the victim's that may well be in flight.
    fn icmp(&mut self, tuple: &Tuple, known: &Known) -> PacketBuf {
        let quoted_header = TcpHeader {
            source_port: tuple.local.port,
            destination_port: tuple.remote.port,
            seq: known.sent - u32::try_from(self.rng.below(3_000)).unwrap_or(0),
            ..TcpHeader::default()
        };
        let away = Tuple {
            local: tuple.remote,
            remote: tuple.local,
        };
        let quoted = tcp_packet(&away, &quoted_header, Vec::new()).to_vec();
        match (tuple.remote.addr, tuple.local.addr) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let kind = Icmpv4ErrorKind::Unreachable(match self.rng.below(4) {
                    0 => Icmpv4Unreachable::Port,
                    1 => Icmpv4Unreachable::Protocol,
                    2 => Icmpv4Unreachable::Host,
                    _ => Icmpv4Unreachable::FragmentationNeeded { next_hop_mtu: 68 },
                });
                let message = Icmpv4Message::Error(Icmpv4Error {
                    kind,
                    quoted: &quoted,
                });
                let mut octets = vec![0; message.encoded_len()];
                message.emit(&mut octets);
                let ip = Ipv4Header::new(source, destination, IpProtocol::ICMP);
                ipv4_packet(ip, Payload::from(octets))
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let kind = Icmpv6ErrorKind::PacketTooBig { mtu: 600 };
                let message = Icmpv6Message::Error(Icmpv6Error {
                    kind,
                    quoted: &quoted,
                });
                let mut octets = vec![0; message.encoded_len()];
                message.emit(&mut octets, source, destination);
                let ip = Ipv6Header::new(source, destination, IpProtocol::ICMPV6);
                ipv6_packet(ip, Payload::from(octets))
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
                PacketBuf::from(Vec::new())
            }
        }
    }

    /// Random octets behind the right addresses.
    fn garbage(&mut self, tuple: &Tuple) -> PacketBuf {
        let octets: Vec<u8> = (0..self.rng.index(20))
            .flat_map(|_| self.rng.next_u64().to_be_bytes())
            .collect();
        ip_packet(tuple, octets.into())
    }
}

/// A segment with a right checksum from the remote to the local end of `tuple`.
pub(super) fn tcp_packet(tuple: &Tuple, header: &TcpHeader, text: Vec<u8>) -> PacketBuf {
    let mut octets = vec![0; header.header_len()];
    header.emit(&mut octets);
    octets.extend(text);
    let len = u32::try_from(octets.len()).unwrap_or(u32::MAX);
    let sum = Sum::default()
        .pseudo_header(tuple.remote.addr, tuple.local.addr, IpProtocol::TCP, len)
        .add_bytes(&octets);
    TcpHeader::set_checksum(&mut octets, sum.finish());
    ip_packet(tuple, octets.into())
}

fn ip_packet(tuple: &Tuple, payload: Payload) -> PacketBuf {
    match (tuple.remote.addr, tuple.local.addr) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => ipv4_packet(
            Ipv4Header::new(source, destination, IpProtocol::TCP),
            payload,
        ),
        (IpAddr::V6(source), IpAddr::V6(destination)) => ipv6_packet(
            Ipv6Header::new(source, destination, IpProtocol::TCP),
            payload,
        ),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
            PacketBuf::with_payload(payload)
        }
    }
}

fn ipv4_packet(header: Ipv4Header, payload: Payload) -> PacketBuf {
    let header = Ipv4Header {
        payload_len: u16::try_from(payload.len()).unwrap_or(u16::MAX),
        ..header
    };
    let mut packet = PacketBuf::with_payload(payload);
    header.emit(packet.prepend(Ipv4Header::LEN));
    packet.linearize();
    packet
}

fn ipv6_packet(header: Ipv6Header, payload: Payload) -> PacketBuf {
    let header = Ipv6Header {
        payload_len: u16::try_from(payload.len()).unwrap_or(u16::MAX),
        ..header
    };
    let mut packet = PacketBuf::with_payload(payload);
    header.emit(packet.prepend(Ipv6Header::LEN));
    packet.linearize();
    packet
}
