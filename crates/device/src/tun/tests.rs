use std::os::unix::net::UnixDatagram;

use bytes::Bytes;
use handwave_packet::Payload;

use super::*;
use crate::edge;
use crate::exchange::{GATHER_MAX, vnet};
use crate::testing::{octets, packet, super_segment, tcp_payload};

/// A device over a socket, which keeps packets apart just as a TUN does.
fn tun(mtu: u16, framing: Framing) -> (Tun, UnixDatagram) {
    let (ours, kernel) = UnixDatagram::pair().unwrap();
    kernel.set_nonblocking(true).unwrap();
    (Tun::from_fd(ours.into(), mtu, framing).unwrap(), kernel)
}

fn next(kernel: &UnixDatagram) -> Option<Vec<u8>> {
    let mut octets = vec![0; 70_000];
    let len = kernel.recv(&mut octets).ok()?;
    octets.truncate(len);
    Some(octets)
}

#[test]
fn a_descriptor_becomes_non_blocking_and_is_given_out_to_wait_on() {
    let (mut tun, _kernel) = tun(1_500, Framing::Plain);
    let mut batch = Vec::new();
    assert_eq!(tun.receive(32, &mut batch).unwrap(), 0);
    assert!(matches!(tun.readiness(), Readiness::Descriptor(_)));
    assert_eq!(
        (tun.medium(), tun.mtu(), tun.name()),
        (Medium::Ip, 1_500, None)
    );
}

#[test]
fn packets_are_read_until_there_is_none_or_the_batch_is_full() {
    let (mut tun, kernel) = tun(1_500, Framing::Plain);
    let sent: Vec<PacketBuf> = (1..=5)
        .map(|number| packet(number, 300 * usize::from(number)))
        .collect();
    for packet in &sent {
        kernel.send(&packet.to_vec()).unwrap();
    }
    let mut batch = Vec::new();
    assert_eq!(tun.receive(2, &mut batch).unwrap(), 2);
    assert_eq!(tun.receive(9, &mut batch).unwrap(), 3);
    assert_eq!(octets(batch), octets(sent));
    assert_eq!(tun.counters().received, 5);
}

#[test]
fn small_packets_share_a_chunk_and_are_charged_for_all_of_it() {
    let (mut tun, kernel) = tun(1_500, Framing::Plain);
    for number in 1..=20 {
        kernel.send(&packet(number, 52).to_vec()).unwrap();
    }
    let mut batch = Vec::new();
    tun.receive(20, &mut batch).unwrap();
    assert_eq!(tun.exchange.pool_stats().allocated, 1);
    assert!(batch.iter().all(|packet| packet.held() == 2 * 1_501));
}

#[test]
fn chunks_are_used_again_once_nobody_refers_to_their_packets() {
    let (mut tun, kernel) = tun(1_500, Framing::Plain);
    let mut batch = Vec::new();
    let mut kept = Vec::new();
    for round in 0..100_u8 {
        for number in 0..8 {
            kernel
                .send(&packet(number ^ round, 1_500).to_vec())
                .unwrap();
        }
        assert_eq!(tun.receive(8, &mut batch).unwrap(), 8);
        kept.extend(batch.pop().filter(|_| round % 10 == 0));
        batch.clear();
    }
    let stats = tun.exchange.pool_stats();
    assert_eq!(stats.allocated + stats.reused, 400);
    assert!(stats.allocated < 40, "{stats:?}");
    let expected = (0..10).map(|index| packet(7 ^ (index * 10), 1_500));
    assert_eq!(
        octets(kept),
        octets(expected),
        "what is kept is not written over"
    );
}

#[test]
fn a_packet_larger_than_the_mtu_is_lost_and_counted_and_not_cut() {
    let (mut tun, kernel) = tun(1_000, Framing::Plain);
    for len in [1_000, 1_001, 9_000, 20] {
        kernel.send(&packet(1, len).to_vec()).unwrap();
    }
    let mut batch = Vec::new();
    assert_eq!(tun.receive(32, &mut batch).unwrap(), 2);
    assert_eq!(octets(batch), octets([packet(1, 1_000), packet(1, 20)]));
    assert_eq!(tun.counters().receive_dropped, 2);
}

#[test]
fn framing_is_taken_off_and_put_on_by_version() {
    for (framing, v4, v6) in [
        (Framing::Plain, &[][..], &[][..]),
        (Framing::AppleFamily, &[0, 0, 0, 2], &[0, 0, 0, 30]),
        (Framing::LinuxPacketInfo, &[0, 0, 8, 0], &[0, 0, 0x86, 0xDD]),
    ] {
        let (mut tun, kernel) = tun(1_000, framing);
        for (front, first) in [(v4, 0x45_u8), (v6, 0x60)] {
            let mut plain = vec![9; 1_000];
            plain[0] = first;
            let framed = [front, &plain].concat();
            tun.send(&mut VecDeque::from([PacketBuf::from(plain.clone())]))
                .unwrap();
            assert_eq!(next(&kernel).unwrap(), framed, "{framing:?}");
            kernel.send(&framed).unwrap();
            let mut batch = Vec::new();
            assert_eq!(tun.receive(1, &mut batch).unwrap(), 1);
            assert_eq!(octets(batch), [plain], "{framing:?}");
        }
    }
}

#[test]
fn a_packet_without_room_for_its_framing_is_dropped() {
    let (mut tun, kernel) = tun(1_000, Framing::AppleFamily);
    kernel.send(&[0, 0, 0, 2]).unwrap();
    kernel.send(&[0, 0]).unwrap();
    let mut batch = Vec::new();
    assert_eq!(tun.receive(8, &mut batch).unwrap(), 0);
    assert_eq!(tun.counters().receive_dropped, 2);
}

#[test]
fn headers_and_pieces_leave_in_one_write() {
    for pieces in [0, 1, 5, GATHER_MAX - 2, GATHER_MAX - 1, 40] {
        let (mut tun, kernel) = tun(1_500, Framing::AppleFamily);
        let mut payload = Payload::new();
        for index in 0..pieces {
            payload.push(Bytes::from(vec![index.to_le_bytes()[0]; 3]));
        }
        let mut packet = PacketBuf::with_payload(payload);
        packet.prepend(20)[0] = 0x45;
        let expected = [&[0, 0, 0, 2][..], &packet.to_vec()].concat();
        assert_eq!(tun.send(&mut VecDeque::from([packet])).unwrap(), 1);
        assert_eq!(next(&kernel), Some(expected), "{pieces} pieces");
        assert_eq!(next(&kernel), None);
    }
}

#[test]
fn a_super_segment_leaves_as_segments_with_checksums() {
    let (mut tun, kernel) = tun(1_500, Framing::Plain);
    let packet = super_segment(4_000, 1_460);
    let payload = packet.payload().to_vec();
    assert_eq!(tun.send(&mut VecDeque::from([packet])).unwrap(), 3);
    let arrived: Vec<u8> = std::iter::from_fn(|| next(&kernel))
        .flat_map(|packet| tcp_payload(&packet))
        .collect();
    assert_eq!(arrived, payload);
}

#[test]
fn what_would_block_stays_and_leaves_later() {
    let (mut tun, kernel) = tun(1_500, Framing::Plain);
    let all: Vec<PacketBuf> = (0..=255)
        .cycle()
        .take(5_000)
        .map(|number| packet(number, 40))
        .collect();
    let mut waiting: VecDeque<PacketBuf> = all.iter().cloned().collect();
    let first = tun.send(&mut waiting).unwrap();
    assert!(
        first > 0 && !waiting.is_empty(),
        "a socket's queue is shorter than 5000"
    );
    assert_eq!(first + waiting.len(), all.len());
    let mut arrived = Vec::new();
    while let Some(packet) = next(&kernel) {
        arrived.push(packet);
        tun.send(&mut waiting).unwrap();
    }
    assert_eq!(arrived, octets(all));
    assert_eq!(tun.counters().send_dropped, 0);
}

#[test]
fn of_a_super_segment_that_is_being_cut_what_would_block_stays_in_order() {
    for (framing, len) in [(Framing::Plain, 0), (Framing::LinuxPacketInfo, 4)] {
        let (mut tun, kernel) = tun(1_500, framing);
        let whole = super_segment(60_000, 300);
        let expected: Vec<Vec<u8>> = octets(edge::segments(Medium::Ip, whole.clone()));
        let mut waiting = VecDeque::from(vec![whole; 100]);
        let first = tun.send(&mut waiting).unwrap();
        assert!(first > 0 && waiting.len() > 1);
        assert!(
            waiting[0].segment_size().is_none(),
            "its segments stand for it"
        );
        let (mut arrived, mut sent) = (Vec::new(), first);
        while let Some(mut packet) = next(&kernel) {
            arrived.push(packet.split_off(len));
            sent += tun.send(&mut waiting).unwrap();
        }
        assert_eq!(sent, 100 * expected.len());
        assert!(
            arrived
                .chunks(expected.len())
                .all(|chunk| chunk == expected)
        );
        assert_eq!(
            (tun.counters().sent, tun.counters().send_dropped),
            (sent as u64, 0)
        );
    }
}

#[test]
fn a_closed_other_end_is_a_final_error() {
    let (mut tun, kernel) = tun(1_500, Framing::Plain);
    drop(kernel);
    let mut waiting = VecDeque::from([packet(1, 40)]);
    assert!(tun.send(&mut waiting).is_err());
    assert_eq!(waiting.len(), 1);
}

#[test]
fn a_packet_the_kernel_refuses_does_not_hold_up_the_next() {
    let (mut tun, kernel) = tun(1_500, Framing::Plain);
    // No socket of this kind takes 4 MiB at once.
    let mut waiting = VecDeque::from([packet(1, 4 << 20), packet(2, 40)]);
    assert_eq!(tun.send(&mut waiting).unwrap(), 1);
    assert_eq!(next(&kernel), Some(packet(2, 40).to_vec()));
    assert_eq!(tun.counters().send_dropped, 1);
}

/// A header of the kernel's: flags, type, size of segments.
fn vnet_header(flags: u8, kind: u8, segment_size: u16) -> Vec<u8> {
    let mut header = vec![0; vnet::LEN];
    (header[0], header[1]) = (flags, kind);
    header[4..6].copy_from_slice(&segment_size.to_ne_bytes());
    header
}

#[test]
fn a_super_segment_leaves_whole_where_the_kernel_cuts_it() {
    let (mut tun, kernel) = tun(1_500, Framing::VirtioNet);
    let mut ordinary = super_segment(1_000, 1_460);
    ordinary.set_segment_size(None);
    let finished = packet(9, 40);
    let packets = [super_segment(40_000, 1_460), ordinary, finished];
    let expected = octets(packets.clone());
    assert_eq!(tun.send(&mut VecDeque::from(packets)).unwrap(), 3);
    let number = |octets: &[u8], at: usize| u16::from_ne_bytes([octets[at], octets[at + 1]]);
    for (packet, numbers) in
        expected
            .iter()
            .zip([[1, 1, 40, 1_460, 20, 16], [1, 0, 0, 0, 20, 16], [0; 6]])
    {
        let sent = next(&kernel).unwrap();
        let header = [
            u16::from(sent[0]),
            u16::from(sent[1]),
            number(&sent, 2),
            number(&sent, 4),
            number(&sent, 6),
            number(&sent, 8),
        ];
        assert_eq!(
            header, numbers,
            "flags, type, headers, size, start and place of the sum"
        );
        assert_eq!(&sent[vnet::LEN..], packet);
    }
}

#[test]
fn what_the_kernel_says_of_a_packet_becomes_its_marks() {
    use handwave_packet::ChecksumMark::{Partial, Unknown, Verified};
    let (mut tun, kernel) = tun(1_500, Framing::VirtioNet);
    let whole = super_segment(40_000, 1_460).to_vec();
    let cases = [
        (vnet_header(1, 1, 1_460), Partial, Some(1_460)),
        (vnet_header(1, 0x81, 1_460), Partial, Some(1_460)),
        (vnet_header(2, 0, 0), Verified, None),
        (vnet_header(0, 0, 0), Unknown, None),
    ];
    for (header, checksum, segment_size) in cases {
        kernel.send(&[header, whole.clone()].concat()).unwrap();
        let mut batch = Vec::new();
        assert_eq!(tun.receive(8, &mut batch).unwrap(), 1);
        let marks = (batch[0].checksum(), batch[0].segment_size());
        assert_eq!(marks, (checksum, segment_size));
        assert_eq!(octets(batch), [&whole[..]]);
    }
    for odd in [vnet_header(0, 3, 500), vec![0; vnet::LEN], vec![0; 4]] {
        kernel.send(&odd).unwrap();
    }
    kernel
        .send(&[vnet_header(0, 3, 500), whole].concat())
        .unwrap();
    assert_eq!(tun.receive(8, &mut Vec::new()).unwrap(), 0);
    assert_eq!(tun.counters().receive_dropped, 4);
}

#[test]
fn datagrams_that_arrive_as_one_are_received_one_by_one() {
    let (mut tun, kernel) = tun(1_500, Framing::VirtioNet);
    let mut datagrams = vec![0; 28 + 2_500];
    (datagrams[0], datagrams[9]) = (0x45, 17);
    kernel
        .send(&[vnet_header(1, 5, 1_000), datagrams].concat())
        .unwrap();
    let mut batch = Vec::new();
    assert_eq!(
        tun.receive(2, &mut batch).unwrap(),
        2,
        "no more than asked for"
    );
    assert_eq!(tun.receive(2, &mut batch).unwrap(), 1);
    let lengths: Vec<usize> = batch.iter().map(PacketBuf::len).collect();
    assert_eq!(lengths, [1_028, 1_028, 528]);
    assert_eq!(tun.counters().received, 3);
}

#[test]
fn a_small_packet_keeps_no_chunk_meant_for_a_large_one() {
    let (mut tun, kernel) = tun(1_500, Framing::VirtioNet);
    let small = [vnet_header(0, 0, 0), packet(3, 1_400).to_vec()].concat();
    for _ in 0..20 {
        kernel.send(&small).unwrap();
    }
    kernel
        .send(&[vnet_header(0, 0, 0), packet(3, 30_000).to_vec()].concat())
        .unwrap();
    let mut batch = Vec::new();
    assert_eq!(tun.receive(64, &mut batch).unwrap(), 21);
    assert!(batch[..20].iter().all(|packet| packet.held() == 4_096));
    assert!(batch[20].held() > 65_535);
    // One for all of these, and one for what may come next.
    assert_eq!(tun.exchange.pool_stats().allocated, 2);
}
