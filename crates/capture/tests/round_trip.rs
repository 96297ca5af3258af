//! What is written is read back, and hostile files are refused without harm.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test fails as the test would"
)]

use std::time::Duration;

use handwave_capture::{CaptureError, Direction, InterfaceId, LinkType, Packet, Reader, Writer};

fn two_interfaces() -> (Vec<u8>, Vec<Packet<'static>>) {
    let mut writer = Writer::new(Vec::new(), LinkType::RawIp, "client").unwrap();
    let server = writer.add_interface(LinkType::Ethernet, "服务器").unwrap();
    let packets = vec![
        Packet::new(Duration::new(1, 123_456_789), vec![0x45; 21])
            .with_direction(Direction::Outbound)
            .with_comment("握手：客户端发出 SYN"),
        Packet::new(Duration::from_nanos(2), vec![])
            .with_interface(server)
            .with_direction(Direction::Inbound),
        Packet::new(Duration::new(4_000_000_000, 1), vec![7; 1500]).with_interface(server),
    ];
    for packet in &packets {
        writer.write(packet).unwrap();
    }
    assert_eq!(writer.packets(), 3);
    (writer.finish().unwrap(), packets)
}

#[test]
fn what_was_written_is_read_back() {
    let (file, packets) = two_interfaces();
    let mut reader = Reader::new(&file[..]).unwrap();
    for packet in &packets {
        assert_eq!(&reader.next().unwrap().unwrap(), packet);
    }
    assert!(reader.next().is_none());
    assert_eq!(reader.interface(InterfaceId(0)).unwrap().name, "client");
    assert_eq!(reader.link_type(InterfaceId(0)), Some(LinkType::RawIp));
    assert_eq!(reader.interface(InterfaceId(1)).unwrap().name, "服务器");
    assert_eq!(reader.link_type(InterfaceId(1)), Some(LinkType::Ethernet));
    assert_eq!(reader.interface(InterfaceId(2)), None);
}

#[test]
fn the_same_packets_give_the_same_file() {
    assert_eq!(two_interfaces().0, two_interfaces().0);
}

#[test]
fn an_interface_must_be_described_before_it_is_used() {
    let mut writer = Writer::new(Vec::new(), LinkType::RawIp, "only").unwrap();
    let packet = Packet::new(Duration::ZERO, &[1][..]).with_interface(InterfaceId(1));
    assert!(matches!(
        writer.write(&packet),
        Err(CaptureError::UnknownInterface(1))
    ));
}

#[test]
fn a_comment_longer_than_an_option_is_cut_between_characters() {
    let mut writer = Writer::new(Vec::new(), LinkType::RawIp, "only").unwrap();
    let comment = "手".repeat(30_000);
    writer
        .write(&Packet::new(Duration::ZERO, &[1][..]).with_comment(comment))
        .unwrap();
    let file = writer.finish().unwrap();
    let packet = Reader::new(&file[..]).unwrap().next().unwrap().unwrap();
    assert_eq!(packet.comment.unwrap(), "手".repeat(65535 / 3));
}

#[test]
fn every_truncation_ends_with_an_error_or_an_earlier_packet() {
    let (file, packets) = two_interfaces();
    for len in 0..file.len() {
        let Ok(reader) = Reader::new(&file[..len]) else {
            continue;
        };
        let mut read = 0;
        let mut failed = false;
        for packet in reader {
            match packet {
                Ok(packet) => {
                    assert_eq!(packet, packets[read]);
                    read += 1;
                }
                Err(CaptureError::Truncated) => failed = true,
                Err(error) => panic!("{len} octets: {error}"),
            }
        }
        assert!(
            failed || read < packets.len(),
            "{len} octets cannot hold every packet"
        );
    }
}

#[test]
fn no_single_damaged_octet_makes_the_reader_panic() {
    let (file, _) = two_interfaces();
    for position in 0..file.len().min(400) {
        for bit in 0..8 {
            let mut damaged = file.clone();
            damaged[position] ^= 1 << bit;
            if let Ok(reader) = Reader::new(&damaged[..]) {
                // The reader ends after its first error, so this ends.
                assert!(reader.count() <= 8);
            }
        }
    }
}

#[test]
fn something_else_is_not_a_capture() {
    for input in [&b""[..], b"\x0a\x0d", b"GET / HTTP/1.1\r\n"] {
        assert!(matches!(Reader::new(input), Err(CaptureError::NotACapture)));
    }
}

/// A classic capture of one packet of 64 octets, cut to 2 by a snapshot length of 2.
fn classic(magic: [u8; 4], fraction: u32) -> Vec<u8> {
    let little = magic[0] == 0xd4 || magic[0] == 0x4d;
    let word = |n: u32| {
        if little {
            n.to_le_bytes()
        } else {
            n.to_be_bytes()
        }
    };
    let versions = if little { [2, 0, 4, 0] } else { [0, 2, 0, 4] };
    let mut file = magic.to_vec();
    file.extend(versions);
    for n in [0, 0, 2, 1, 1_700_000_000, fraction, 2, 64] {
        file.extend(word(n));
    }
    file.extend([0xaa, 0xbb]);
    file
}

#[test]
fn classic_captures_are_read_in_both_orders_and_resolutions() {
    let cases = [
        ([0xa1, 0xb2, 0xc3, 0xd4], 5, 5_000),
        ([0xd4, 0xc3, 0xb2, 0xa1], 5, 5_000),
        ([0xa1, 0xb2, 0x3c, 0x4d], 5, 5),
        ([0x4d, 0x3c, 0xb2, 0xa1], 5, 5),
    ];
    for (magic, fraction, nanoseconds) in cases {
        let file = classic(magic, fraction);
        let mut reader = Reader::new(&file[..]).unwrap();
        let packet = reader.next().unwrap().unwrap();
        assert_eq!(packet.time, Duration::new(1_700_000_000, nanoseconds));
        assert_eq!(&packet.data[..], [0xaa, 0xbb]);
        assert_eq!(packet.original_len, 64);
        assert_eq!(reader.link_type(packet.interface), Some(LinkType::Ethernet));
        assert!(reader.next().is_none());
    }
}

/// A pcapng file whose one interface counts time as `resolution` says, with one packet at 1.5 seconds.
fn with_resolution(resolution: u8, units: u64) -> Vec<u8> {
    let mut file = Vec::new();
    let mut block = |kind: u32, body: &[u8]| {
        let len = u32::try_from(body.len() + 12).unwrap();
        file.extend(kind.to_be_bytes());
        file.extend(len.to_be_bytes());
        file.extend(body);
        file.extend(len.to_be_bytes());
    };
    block(
        0x0a0d_0d0a,
        &[
            0x1a, 0x2b, 0x3c, 0x4d, 0, 1, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255,
        ],
    );
    block(
        1,
        &[
            0, 101, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, resolution, 0, 0, 0, 0, 0, 0, 0,
        ],
    );
    let mut packet = vec![0, 0, 0, 0];
    packet.extend(units.to_be_bytes());
    packet.extend([0, 0, 0, 0, 0, 0, 0, 0]);
    block(6, &packet);
    file
}

#[test]
fn timestamps_follow_the_resolution_of_their_interface() {
    let cases = [
        (6, 1_500_000),
        (9, 1_500_000_000),
        (3, 1_500),
        (0x80 | 1, 3),
        (0x80 | 10, 1536),
    ];
    for (resolution, units) in cases {
        let file = with_resolution(resolution, units);
        let packet = Reader::new(&file[..]).unwrap().next().unwrap().unwrap();
        assert_eq!(
            packet.time,
            Duration::from_millis(1_500),
            "resolution {resolution}"
        );
    }
    let absurd = with_resolution(127, 1);
    let result = Reader::new(&absurd[..]).unwrap().next().unwrap();
    assert!(matches!(result, Err(CaptureError::Malformed(_))));
}
