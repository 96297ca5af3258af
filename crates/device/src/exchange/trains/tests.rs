use std::os::unix::net::UnixDatagram;

use handwave_packet::{ChecksumMark, PacketBuf};
use handwave_wire::ipv4::Ipv4Header;
use handwave_wire::{IpProtocol, Sum};

use crate::edge;
use crate::exchange::Framing;
use crate::testing::{octets, packet, super_segment, tcp_payload};
use crate::{Device, Medium, Tun};

const SIZE: usize = 1_448;
const HEADERS: usize = 40;

/// A device that joins, over a socket that keeps packets apart.
fn tun() -> (Tun, UnixDatagram) {
    let (ours, kernel) = UnixDatagram::pair().unwrap();
    let mut tun = Tun::from_fd(ours.into(), 1_500, Framing::Plain).unwrap();
    tun.join_segments();
    (tun, kernel)
}

/// Text of `len` octets in packets as they come from a wire.
fn segments(len: usize) -> Vec<Vec<u8>> {
    let size = u16::try_from(SIZE).unwrap();
    octets(edge::segments(Medium::Ip, super_segment(len, size)))
}

/// What the device makes of these packets, a few at a time as the socket has room, and how many it says they were.
fn received(packets: &[Vec<u8>]) -> (Vec<PacketBuf>, usize) {
    let (mut tun, kernel) = tun();
    let (mut batch, mut count) = (Vec::new(), 0);
    for some in packets.chunks(8) {
        for packet in some {
            kernel.send(packet).unwrap();
        }
        count += tun.receive(64, &mut batch).unwrap();
    }
    assert_eq!(tun.counters().received, count as u64);
    (batch, count)
}

fn addresses_swapped(mut packet: Vec<u8>) -> Vec<u8> {
    packet[12..20].rotate_left(4);
    packet
}

#[test]
fn packets_from_anywhere_are_joined_as_those_of_a_descriptor() {
    let mut sent = segments(7 * SIZE + 100);
    sent.insert(3, vec![0x45; 1_501]);
    let (mut trains, mut batch) = (super::Trains::new(1_500).unwrap(), Vec::new());
    let mut packets = sent.iter();
    let mut receive = |max: usize, batch: &mut Vec<PacketBuf>| {
        trains.receive(max, batch, |chunk| {
            chunk.extend_from_slice(packets.next()?);
            Some(())
        })
    };
    assert_eq!(receive(2, &mut batch), 2);
    assert_eq!(
        receive(64, &mut batch),
        6,
        "what is too long counts for nothing"
    );
    assert_eq!(receive(64, &mut batch), 0);
    let lens: Vec<usize> = batch.iter().map(PacketBuf::len).collect();
    assert_eq!(
        lens,
        [2 * SIZE + HEADERS, SIZE + HEADERS, 4 * SIZE + 100 + HEADERS]
    );
    let text: Vec<u8> = batch
        .iter()
        .flat_map(|packet| packet.to_vec().split_off(HEADERS))
        .collect();
    sent.remove(3);
    let whole: Vec<u8> = sent
        .iter()
        .flat_map(|packet| packet[HEADERS..].to_vec())
        .collect();
    assert_eq!(text, whole);
}

#[test]
fn text_that_follows_on_comes_in_one_piece() {
    let sent = segments(7 * SIZE + 100);
    let (batch, count) = received(&sent);
    assert_eq!((batch.len(), count), (1, 8));
    let joined = &batch[0];
    assert_eq!(joined.segment_size(), Some(1_448));
    assert_eq!(joined.checksum(), ChecksumMark::Verified);
    assert_eq!(joined.held(), super::CHUNK_SIZE);
    let joined = joined.to_vec();
    let (header, _) = Ipv4Header::parse(&joined).expect("a header that is whole");
    assert_eq!(header.source.octets(), [10, 7, 0, 2]);
    assert_eq!(
        u16::from_be_bytes([joined[2], joined[3]]),
        40 + 7 * 1_448 + 100
    );
    let text: Vec<u8> = sent.iter().flat_map(|packet| tcp_payload(packet)).collect();
    assert_eq!(joined[HEADERS..], text);
}

#[test]
fn a_packet_that_stays_alone_is_as_it_came_and_keeps_no_large_chunk() {
    for sent in [segments(1_000), vec![packet(9, 300).to_vec()]] {
        let (batch, _) = received(&sent);
        assert_eq!(batch[0].segment_size(), None);
        assert!(batch[0].held() < 2 * 2_049);
        assert_eq!(octets(batch), sent);
    }
}

#[test]
fn little_text_keeps_no_large_chunk_either() {
    let (batch, count) = received(&octets(edge::segments(Medium::Ip, super_segment(900, 300))));
    assert_eq!((batch.len(), count), (1, 3));
    assert_eq!((batch[0].len(), batch[0].segment_size()), (940, Some(300)));
    assert!(batch[0].held() < 2 * 2_049);
}

#[test]
fn a_short_packet_and_psh_end_what_is_joined() {
    let (first, second) = (segments(3 * SIZE), segments(3 * SIZE));
    let mut pushed = first.clone();
    let last = &mut pushed[2];
    last[33] |= 0x08;
    let sum = handwave_wire::checksum::update_u16(u16::from_be_bytes([last[36], last[37]]), 0, 8);
    last[36..38].copy_from_slice(&sum.to_be_bytes());
    let (batch, _) = received(&[pushed, second].concat());
    assert_eq!(batch.len(), 2);
    assert_eq!(batch[0].to_vec()[33], 0x18);
    assert_eq!(batch[1].to_vec()[33], 0x10);
    // Shorter than the first, but whatever follows it on its own goes on as it is.
    let (batch, _) = received(&[segments(2 * SIZE + 9), first].concat());
    assert_eq!(batch.len(), 2);
}

#[test]
fn whatever_differs_goes_on_as_it_is_and_in_its_place() {
    // Octets of each field: version, TOS, length, flags of fragments, TTL, protocol, sum, addresses, ports, numbers, length of the header,
    // flags, window, checksum, urgent pointer, text.
    for at in [
        0, 1, 3, 6, 8, 9, 11, 13, 18, 20, 23, 25, 30, 32, 33, 35, 37, 39, 700,
    ] {
        let mut sent = segments(7 * SIZE);
        sent[3][at] ^= 0x11;
        let (batch, count) = received(&sent);
        assert_eq!(count, 7);
        assert_eq!(batch.len(), 3, "octet {at}");
        assert_eq!(batch[1].to_vec(), sent[3], "octet {at}");
        assert_eq!(batch[1].checksum(), ChecksumMark::Unknown);
        assert_eq!(batch[0].len(), HEADERS + 3 * SIZE);
        assert_eq!(batch[2].len(), HEADERS + 3 * SIZE);
        let texts = [&batch[0], &batch[2]].map(|joined| joined.to_vec()[HEADERS..].to_vec());
        let whole = |range: std::ops::Range<usize>| -> Vec<u8> {
            sent[range]
                .iter()
                .flat_map(|one| tcp_payload(one))
                .collect()
        };
        assert_eq!(texts, [whole(0..3), whole(4..7)]);
    }
}

#[test]
fn a_gap_another_connection_and_a_packet_that_is_too_long_part_what_is_joined() {
    let mut gap = segments(6 * SIZE);
    gap.remove(2);
    // What came too early stays alone, and the rest follows on to it no more.
    let lens = received(&gap)
        .0
        .iter()
        .map(PacketBuf::len)
        .collect::<Vec<_>>();
    assert_eq!(lens, [2, 1, 2].map(|count| HEADERS + count * SIZE));

    let mut other = segments(6 * SIZE);
    // The sums are the same for both directions.
    let stranger = addresses_swapped(other[3].clone());
    other.insert(3, stranger.clone());
    let (batch, _) = received(&other);
    assert_eq!(batch.len(), 3);
    assert_eq!(batch[1].to_vec(), stranger);

    let mut long = segments(6 * SIZE);
    long.insert(3, vec![0x45; 1_501]);
    let (batch, count) = received(&long);
    assert_eq!((batch.len(), count), (2, 6));
}

#[test]
fn no_more_is_joined_than_an_ip_packet_can_be_and_no_text_is_lost() {
    // More than a chunk holds, too.
    let (mut tun, kernel) = tun();
    let mut batch = Vec::new();
    let sent: Vec<_> = (0..4).flat_map(|_| segments(44 * SIZE)).collect();
    let sending = sent.clone();
    let sender = std::thread::spawn(move || {
        for packet in sending {
            kernel.send(&packet).unwrap();
        }
        kernel
    });
    let mut count = 0;
    while count < sent.len() {
        count += tun.receive(1_000, &mut batch).unwrap();
    }
    assert!(sender.join().is_ok());
    assert!(batch.iter().all(|packet| packet.len() <= 65_535));
    let text: Vec<u8> = octets(batch)
        .iter()
        .flat_map(|one| one[HEADERS..].to_vec())
        .collect();
    let whole: Vec<u8> = sent.iter().flat_map(|one| tcp_payload(one)).collect();
    assert!(text == whole);
}

#[test]
fn ipv6_is_joined_alike() {
    let sent = edge::segments(Medium::Ip, super_segment(5 * 1_400, 1_400));
    let sent: Vec<_> = octets(sent).into_iter().map(over_ipv6).collect();
    let (batch, _) = received(&sent);
    assert_eq!(batch.len(), 1);
    let joined = batch[0].to_vec();
    assert_eq!(joined.len(), 60 + 5 * 1_400);
    assert_eq!(
        usize::from(u16::from_be_bytes([joined[4], joined[5]])),
        joined.len() - 40
    );
    // With an extension header in front nothing is.
    let mut extended = sent;
    extended.iter_mut().for_each(|one| one[6] = 0);
    assert_eq!(received(&extended).0.len(), 5);
}

/// The same segment in a packet of the other family.
fn over_ipv6(packet: Vec<u8>) -> Vec<u8> {
    let mut tcp = packet[20..].to_vec();
    let [source, destination] =
        [1, 2].map(|last| std::net::Ipv6Addr::new(0xFD00, 0, 0, 0, 0, 0, 0, last));
    tcp[16..18].fill(0);
    let len = u32::try_from(tcp.len()).unwrap();
    let sum = Sum::default().pseudo_header(source.into(), destination.into(), IpProtocol::TCP, len);
    let sum = sum.add_bytes(&tcp).finish();
    tcp[16..18].copy_from_slice(&sum.to_be_bytes());
    let mut ip = vec![0x60, 0, 0, 0];
    ip.extend(u16::try_from(tcp.len()).unwrap().to_be_bytes());
    ip.extend([IpProtocol::TCP.0, 64]);
    ip.extend(source.octets());
    ip.extend(destination.octets());
    ip.extend(tcp);
    ip
}
