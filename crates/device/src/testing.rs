//! What the tests of several modules share: packets to send, and a waker that counts.

#[cfg(target_os = "linux")]
pub(crate) mod kernel;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use handwave_packet::{ChecksumMark, PacketBuf, Payload};
use handwave_wire::{IpProtocol, Sum, TcpFlags, TcpHeader};

/// A packet of `len` octets that looks like IPv4, and like no other packet with another number.
pub(crate) fn packet(number: u8, len: usize) -> PacketBuf {
    let mut octets = vec![number; len];
    octets[0] = 0x45;
    PacketBuf::from(octets)
}

pub(crate) fn octets(packets: impl IntoIterator<Item = PacketBuf>) -> Vec<Vec<u8>> {
    packets.into_iter().map(|packet| packet.to_vec()).collect()
}

pub(crate) const SOURCE: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 2);
pub(crate) const DESTINATION: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 1);

/// A TCP super-segment over IPv4 as the core emits it: 40 octets of header before `len` of payload, to be cut into segments
/// of `size`, with the pseudo-header's sum in the checksum field.
pub(crate) fn super_segment(len: usize, size: u16) -> PacketBuf {
    let payload: Vec<u8> = (0..len).map(|index| index.to_le_bytes()[0]).collect();
    let mut packet = PacketBuf::with_payload(Payload::from(payload));
    let tcp = TcpHeader {
        source_port: 80,
        destination_port: 8_080,
        flags: TcpFlags::ACK,
        window: 1_000,
        ..TcpHeader::default()
    };
    let tcp_len = u32::try_from(20 + len).unwrap();
    let header = packet.prepend(20);
    tcp.emit(header);
    let pseudo =
        Sum::default().pseudo_header(SOURCE.into(), DESTINATION.into(), IpProtocol::TCP, tcp_len);
    header[16..18].copy_from_slice(&(!pseudo.finish()).to_be_bytes());
    let total_len = u16::try_from(packet.len() + 20).unwrap();
    let ip = packet.prepend(20);
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&total_len.to_be_bytes());
    ip[8] = 64;
    ip[9] = IpProtocol::TCP.0;
    ip[12..16].copy_from_slice(&SOURCE.octets());
    ip[16..20].copy_from_slice(&DESTINATION.octets());
    packet.set_segment_size(Some(size));
    packet.set_checksum(ChecksumMark::Partial);
    packet
}

/// Checks a TCP segment over IPv4 as its receiver would, and returns its payload.
pub(crate) fn tcp_payload(packet: &[u8]) -> Vec<u8> {
    let (ip, ip_len) = handwave_wire::ipv4::Ipv4Header::parse(packet).expect("an IPv4 header");
    let segment = &packet[ip_len..];
    let len = u32::try_from(segment.len()).unwrap();
    let sum = Sum::default()
        .pseudo_header(
            ip.source.into(),
            ip.destination.into(),
            IpProtocol::TCP,
            len,
        )
        .add_bytes(segment);
    assert_eq!(sum.finish(), 0, "the TCP checksum is wrong");
    let (_, offset) = TcpHeader::parse(segment).expect("a TCP header");
    segment[offset..].to_vec()
}

/// Counts how often it was woken.
#[derive(Default)]
pub(crate) struct Count(AtomicUsize);

impl Count {
    pub(crate) fn new() -> (Arc<Self>, Waker) {
        let count = Arc::new(Self::default());
        let waker = Waker::from(Arc::clone(&count));
        (count, waker)
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
