//! What comes out of a super-segment, compared field by field with what a sender without TSO would have built.

use super::*;
use alloc::vec::Vec;
use handwave_wire::checksum::internet_checksum;
use handwave_wire::{SeqNum, TcpHeader, Timestamps};
use proptest::prelude::*;

const V4: (IpAddr, IpAddr) = (
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2)),
);
const V6: (IpAddr, IpAddr) = (
    IpAddr::V6(Ipv6Addr::new(0xFD00, 0, 0, 0, 0, 0, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0xFD00, 0, 0, 0, 0, 0, 0, 2)),
);

fn tcp_header(flags: TcpFlags) -> TcpHeader {
    let mut header = TcpHeader {
        source_port: 80,
        destination_port: 4_000,
        seq: SeqNum::new(u32::MAX - 1_000),
        ack: SeqNum::new(77),
        flags,
        window: 500,
        ..TcpHeader::default()
    };
    header.options.timestamps = Some(Timestamps { value: 1, echo: 2 });
    header
}

/// A packet as a stack hands it to a device that completes checksums; IPv4 with 4 octets of options.
fn packet(addresses: (IpAddr, IpAddr), payload: &[u8], tcp: &TcpHeader) -> PacketBuf {
    let transport_len = u32::try_from(tcp.header_len() + payload.len()).unwrap();
    // Two pieces, the first of odd length where possible: the sum has to carry across.
    let mut rope = Payload::from(payload.to_vec());
    let mut pieces = rope.split_to((payload.len() / 2) | 1);
    pieces.append(rope);
    let mut packet = PacketBuf::with_payload(pieces);
    let header = packet.prepend(tcp.header_len());
    tcp.emit(header);
    let (source, destination) = addresses;
    let pseudo = Sum::default().pseudo_header(source, destination, IpProtocol::TCP, transport_len);
    TcpHeader::set_checksum(header, pseudo.folded());
    match addresses {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let ip = packet.prepend(24);
            ip[0] = 0x46;
            ip[4..6].copy_from_slice(&0xFFFFu16.to_be_bytes());
            ip[8] = 64;
            ip[9] = 6;
            ip[12..16].copy_from_slice(&source.octets());
            ip[16..20].copy_from_slice(&destination.octets());
            ip[20..24].copy_from_slice(&[1; 4]);
            put_u16(ip, 2, counted(24 + transport_len as usize));
            let checksum = internet_checksum(ip);
            put_u16(ip, 10, checksum);
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let ip = packet.prepend(40);
            ip[0] = 0x60;
            ip[6] = 6;
            ip[7] = 64;
            ip[8..24].copy_from_slice(&source.octets());
            ip[24..40].copy_from_slice(&destination.octets());
            put_u16(ip, 4, counted(transport_len as usize));
        }
        _ => unreachable!("one family"),
    }
    packet.set_checksum(ChecksumMark::Partial);
    packet
}

/// Checks lengths and checksums of one packet and returns its TCP header and payload.
fn checked(part: &PacketBuf, (source, destination): (IpAddr, IpAddr)) -> (TcpHeader, Vec<u8>) {
    let octets = part.to_vec();
    assert_eq!(part.segment_size(), None);
    assert_eq!(part.checksum(), ChecksumMark::Unknown);
    let ip_len = if source.is_ipv4() {
        assert_eq!(usize::from(u16_at(&octets, 2)), octets.len());
        assert_eq!(internet_checksum(&octets[..24]), 0);
        24
    } else {
        assert_eq!(usize::from(u16_at(&octets, 4)) + 40, octets.len());
        40
    };
    assert!(TcpHeader::checksum_is_valid(
        &octets[ip_len..],
        source,
        destination
    ));
    let (tcp, data_at) = TcpHeader::parse(&octets[ip_len..]).unwrap();
    (tcp, octets[ip_len + data_at..].to_vec())
}

proptest! {
    #[test]
    fn the_parts_are_the_whole(
        v6 in any::<bool>(),
        payload in prop::collection::vec(any::<u8>(), 1..5_000),
        size in 1u16..2_000,
        linear in any::<bool>(),
    ) {
        let addresses = if v6 { V6 } else { V4 };
        let flags = TcpFlags::ACK | TcpFlags::PSH | TcpFlags::FIN | TcpFlags::CWR;
        let sent = tcp_header(flags);
        let mut whole = packet(addresses, &payload, &sent);
        whole.set_segment_size(Some(size));
        if linear {
            whole.linearize();
        }
        let parts: Vec<PacketBuf> = segments(whole).collect();
        prop_assert_eq!(parts.len(), payload.len().div_ceil(size.into()));
        let mut joined = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            let (tcp, data) = checked(part, addresses);
            let last = index + 1 == parts.len();
            let mut expected = TcpFlags::ACK;
            if index == 0 {
                expected |= TcpFlags::CWR;
            }
            if last {
                expected |= TcpFlags::PSH | TcpFlags::FIN;
            } else {
                prop_assert_eq!(data.len(), usize::from(size));
            }
            let seq = sent.seq + u32::try_from(joined.len()).unwrap();
            prop_assert_eq!(tcp, TcpHeader { seq, flags: expected, ..sent });
            if !v6 {
                let id = u16_at(&part.to_vec(), 4);
                prop_assert_eq!(usize::from(id.wrapping_add(1)), index);
            }
            joined.extend(data);
        }
        prop_assert_eq!(joined, payload);
    }

    #[test]
    fn anything_survives(octets in prop::collection::vec(any::<u8>(), 0..200), size in 0u16..50) {
        let mut packet = PacketBuf::from(octets.clone());
        packet.set_segment_size(Some(size));
        packet.set_checksum(ChecksumMark::Partial);
        let parts = segments(packet).take(300).count();
        prop_assert!(parts <= octets.len().max(1));
    }
}

#[test]
fn a_single_segment_is_completed_in_place() {
    for addresses in [V4, V6] {
        for payload in [&b""[..], b"odd", b"even"] {
            let sent = tcp_header(TcpFlags::ACK | TcpFlags::PSH);
            let mut parts = segments(packet(addresses, payload, &sent));
            let (tcp, data) = checked(&parts.next().unwrap(), addresses);
            assert_eq!((tcp, &data[..]), (sent, payload));
            assert!(parts.next().is_none());
        }
    }
}

#[test]
fn complete_checksums_and_foreign_packets_are_left_alone() {
    let mut finished = packet(V4, b"data", &tcp_header(TcpFlags::ACK));
    finished.set_checksum(ChecksumMark::Verified);
    let before = finished.to_vec();
    let after = segments(finished).next().unwrap();
    assert_eq!(
        (after.to_vec(), after.checksum()),
        (before, ChecksumMark::Verified)
    );

    let mut foreign = PacketBuf::from(alloc::vec![0x45; 60]);
    foreign.set_checksum(ChecksumMark::Partial);
    assert_eq!(
        segments(foreign).next().unwrap().to_vec(),
        alloc::vec![0x45; 60]
    );
}

#[test]
fn payload_is_shared_not_copied() {
    let storage = bytes::Bytes::from(alloc::vec![1; 3_000]);
    let mut whole = packet(V4, b"", &tcp_header(TcpFlags::ACK));
    let header = whole.to_vec();
    whole = PacketBuf::with_payload(storage.clone().into());
    whole.prepend(header.len()).copy_from_slice(&header);
    whole.set_segment_size(Some(1_000));
    for (index, part) in segments(whole).enumerate() {
        let start = &storage[index * 1_000..];
        assert_eq!(part.payload().contiguous().as_ptr(), start.as_ptr());
    }
}

#[test]
fn udp_checksums_are_completed_and_never_zero() {
    let mut udp = PacketBuf::with_payload(Payload::from(alloc::vec![0; 2]));
    let header = udp.prepend(UDP_LEN);
    // Ports and length add up so that the complement would be zero.
    header[..8].copy_from_slice(&[0, 0, 0, 0, 0, 10, 0xFF, 0xF5]);
    let ip = udp.prepend(40);
    ip[0] = 0x60;
    ip[6] = 17;
    udp.set_checksum(ChecksumMark::Partial);
    complete_checksum(&mut udp);
    assert_eq!(u16_at(udp.head(), 46), 0xFFFF);
}

proptest! {
    #[test]
    fn written_frames_are_the_segments(
        len in 1_usize..20_000,
        size in 1_u16..3_000,
        v6 in any::<bool>(),
        linear in any::<bool>(),
    ) {
        let payload: Vec<u8> = (0..len).map(|n| n.to_le_bytes()[0]).collect();
        let addresses = if v6 { V6 } else { V4 };
        let mut whole = packet(addresses, &payload, &tcp_header(TcpFlags::ACK | TcpFlags::PSH));
        whole.set_segment_size(Some(size));
        whole.set_checksum(ChecksumMark::Partial);
        if linear {
            whole.linearize();
        }
        let (mut frames, mut places) = (segments(whole.clone()), segments(whole.clone()));
        let mut place = PacketBuf::from(alloc::vec![9; 9]);
        for segment in segments(whole) {
            prop_assert_eq!(checked(&segment, addresses).0.source_port, 80);
            let mut frame = BytesMut::from(&b"before"[..]);
            prop_assert_eq!(frames.write_next(&mut frame), Some(segment.len()));
            prop_assert_eq!(&frame[6..], &segment.to_vec()[..]);
            place.prepend(HEAD_CAPACITY).fill(9);
            prop_assert!(places.next_into(&mut place));
            prop_assert_eq!(place.to_vec(), segment.to_vec());
            prop_assert_eq!((place.checksum(), place.held()), (segment.checksum(), segment.held()));
        }
        prop_assert_eq!(frames.write_next(&mut BytesMut::new()), None);
        prop_assert!(!places.next_into(&mut place));
    }
}

#[test]
fn datagrams_that_travel_as_one_each_get_a_header_of_their_own() {
    let payload: Vec<u8> = (0..2_500_u32).map(|n| n.to_le_bytes()[0]).collect();
    let mut whole = PacketBuf::with_payload(Payload::from(payload.clone()));
    let header = whole.prepend(UDP_LEN);
    header[..4].copy_from_slice(&[0x12, 0x34, 0x56, 0x78]);
    let ip = whole.prepend(20);
    (ip[0], ip[8], ip[9]) = (0x45, 64, 17);
    ip[4..6].copy_from_slice(&0xFFFF_u16.to_be_bytes());
    ip[12..16].copy_from_slice(&[10, 0, 0, 1]);
    ip[16..20].copy_from_slice(&[10, 0, 0, 2]);
    whole.set_segment_size(Some(1_000));
    whole.set_checksum(ChecksumMark::Partial);
    let mut joined = Vec::new();
    for (index, part) in segments(whole).enumerate() {
        let octets = part.to_vec();
        assert_eq!(internet_checksum(&octets[..20]), 0);
        assert_eq!(usize::from(u16_at(&octets, 2)), octets.len());
        assert_eq!(usize::from(u16_at(&octets, 4).wrapping_add(1)), index);
        assert_eq!(octets[20..24], [0x12, 0x34, 0x56, 0x78]);
        assert_eq!(usize::from(u16_at(&octets, 24)), octets.len() - 20);
        let len = u32::try_from(octets.len() - 20).unwrap();
        let sum = Sum::default()
            .pseudo_header(V4.0, V4.1, IpProtocol::UDP, len)
            .add_bytes(&octets[20..]);
        assert_eq!(sum.finish(), 0, "datagram {index}");
        joined.extend_from_slice(&octets[28..]);
    }
    assert_eq!(joined, payload);
}

#[test]
fn the_parts_hold_together_what_the_whole_did() {
    let tcp = tcp_header(TcpFlags::ACK);
    for held in [10_000, 65_536, 1 << 20] {
        let mut whole = packet(V4, &[7; 10_000], &tcp);
        whole.set_segment_size(Some(1_448));
        whole.set_held(held);
        let parts: Vec<_> = segments(whole).map(|part| part.held()).collect();
        let fair = (held * 1_448).div_ceil(10_000);
        assert!(parts.iter().sum::<usize>() >= held, "{parts:?}");
        assert!(parts.iter().all(|part| *part <= fair), "{parts:?}");
    }
}
