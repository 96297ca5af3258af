use super::*;
use crate::ipv4::Ipv4Header;
use crate::{IpProtocol, SeqNum};
use core::net::Ipv4Addr;
use proptest::prelude::*;
use std::vec::Vec;

const ZERO: [u8; 4] = [0; 4];

fn emitted(message: &Icmpv4Message<'_>) -> Vec<u8> {
    let mut octets = std::vec![0xee; message.encoded_len() + 4];
    message.emit(&mut octets);
    assert_eq!(
        octets.split_off(message.encoded_len()),
        [0xee; 4],
        "writes past its length"
    );
    octets
}

/// A message of octets, with its checksum.
fn sealed(kind: u8, code: u8, word: [u8; 4], rest: &[u8]) -> Vec<u8> {
    let mut message = [&[kind, code, 0, 0], &word[..], rest].concat();
    let checksum = internet_checksum(&message);
    set_checksum(&mut message, checksum);
    message
}

fn error(kind: Icmpv4ErrorKind, quoted: &[u8]) -> Icmpv4Message<'_> {
    Icmpv4Message::Error(Icmpv4Error { kind, quoted })
}

#[test]
fn a_known_echo_request() {
    // Type 8, identifier 0x1234, sequence 1, "abc": 0x0800 + 0x1234 + 0x0001 + 0x6162 + 0x6300 = 0xde97.
    let octets = [8, 0, 0x21, 0x68, 0x12, 0x34, 0, 1, b'a', b'b', b'c'];
    let request = Icmpv4Message::EchoRequest(Echo {
        identifier: 0x1234,
        sequence: 1,
        data: b"abc",
    });
    assert_eq!(Icmpv4Message::parse(&octets), Ok(request));
    assert_eq!(emitted(&request), octets);
    assert!(!request.is_error());
}

#[test]
fn errors_have_their_types_and_codes() {
    use Icmpv4ErrorKind::{ParameterProblem, Unreachable};
    let mtu = Icmpv4Unreachable::FragmentationNeeded { next_hop_mtu: 1400 };
    let table = [
        (3, 0, ZERO, Unreachable(Icmpv4Unreachable::Network)),
        (3, 1, ZERO, Unreachable(Icmpv4Unreachable::Host)),
        (3, 2, ZERO, Unreachable(Icmpv4Unreachable::Protocol)),
        (3, 3, ZERO, Unreachable(Icmpv4Unreachable::Port)),
        (3, 4, [0, 0, 0x05, 0x78], Unreachable(mtu)),
        (
            3,
            5,
            ZERO,
            Unreachable(Icmpv4Unreachable::SourceRouteFailed),
        ),
        (
            3,
            9,
            ZERO,
            Unreachable(Icmpv4Unreachable::Prohibited(Prohibited::Network)),
        ),
        (
            3,
            10,
            ZERO,
            Unreachable(Icmpv4Unreachable::Prohibited(Prohibited::Host)),
        ),
        (
            3,
            13,
            ZERO,
            Unreachable(Icmpv4Unreachable::Prohibited(Prohibited::Communication)),
        ),
        (3, 15, ZERO, Unreachable(Icmpv4Unreachable::Other(15))),
        (
            11,
            0,
            ZERO,
            Icmpv4ErrorKind::TimeExceeded(TimeExceeded::InTransit),
        ),
        (
            11,
            1,
            ZERO,
            Icmpv4ErrorKind::TimeExceeded(TimeExceeded::Reassembly),
        ),
        (
            11,
            2,
            ZERO,
            Icmpv4ErrorKind::TimeExceeded(TimeExceeded::Other(2)),
        ),
        (
            12,
            0,
            [9, 0, 0, 0],
            ParameterProblem {
                code: 0,
                pointer: 9,
            },
        ),
    ];
    for (kind, code, word, expected) in table {
        let octets = sealed(kind, code, word, b"quoted");
        let message = error(expected, b"quoted");
        assert_eq!(Icmpv4Message::parse(&octets), Ok(message));
        assert_eq!(emitted(&message), octets);
        assert!(message.is_error());
    }
}

#[test]
fn the_quoted_packet_is_read() {
    let header = Ipv4Header {
        payload_len: 1480,
        ..Ipv4Header::new(
            Ipv4Addr::new(10, 0, 0, 1),
            Ipv4Addr::new(10, 0, 0, 2),
            IpProtocol::TCP,
        )
    };
    let mut quoted = [0; 28];
    header.emit(&mut quoted);
    quoted[20..].copy_from_slice(&[0, 80, 0, 81, 0, 0, 0, 9]);
    let octets = sealed(3, 4, [0, 0, 5, 0], &quoted);
    let Ok(Icmpv4Message::Error(error)) = Icmpv4Message::parse(&octets) else {
        panic!("no error")
    };
    let packet = error.packet().unwrap();
    assert_eq!(
        packet.ports,
        Some(QuotedPorts {
            source: 80,
            destination: 81
        })
    );
    assert_eq!(packet.seq, Some(SeqNum::new(9)));
    assert_eq!(packet.destination, Ipv4Addr::new(10, 0, 0, 2));
}

#[test]
fn extensions_are_no_part_of_the_quoted_packet() {
    let quoted_and_extensions = [&[7; 128][..], &[0x20, 0, 0, 0]].concat();
    for (kind, code, word) in [
        (3, 4, [0, 32, 5, 0]),
        (11, 0, [0, 32, 0, 0]),
        (12, 0, [9, 32, 0, 0]),
    ] {
        let octets = sealed(kind, code, word, &quoted_and_extensions);
        let Ok(Icmpv4Message::Error(error)) = Icmpv4Message::parse(&octets) else {
            panic!("no error")
        };
        assert_eq!(error.quoted, [7; 128]);
    }
}

#[test]
fn refuses_what_is_no_message() {
    let good = sealed(8, 0, [0, 1, 0, 2], &[]);
    assert_eq!(Icmpv4Message::parse(&good[..7]), Err(ParseError::Truncated));
    for at in 0..good.len() {
        let mut broken = good.clone();
        broken[at] ^= 4;
        assert_eq!(
            Icmpv4Message::parse(&broken),
            Err(ParseError::BadChecksum),
            "octet {at}"
        );
    }
}

#[test]
fn other_messages_pass_through() {
    for (kind, is_error) in [(4, true), (5, true), (13, false)] {
        let octets = sealed(kind, 0, [1, 2, 3, 4], b"more");
        let message = Icmpv4Message::parse(&octets).unwrap();
        let expected = Icmpv4Message::Other {
            kind,
            code: 0,
            body: b"\x01\x02\x03\x04more",
        };
        assert_eq!(message, expected);
        assert_eq!(message.is_error(), is_error);
        assert_eq!(emitted(&message), octets);
    }
}

proptest! {
    #[test]
    fn echo_round_trip(identifier: u16, sequence: u16, data in prop::collection::vec(any::<u8>(), 0..99), reply: bool) {
        let echo = Echo { identifier, sequence, data: &data };
        let message = if reply { Icmpv4Message::EchoReply(echo) } else { Icmpv4Message::EchoRequest(echo) };
        let octets = emitted(&message);
        prop_assert_eq!(Icmpv4Message::parse(&octets), Ok(message));
    }

    /// Everything that parses is written back as the same message.
    #[test]
    fn arbitrary_messages_round_trip(kind in 0..16_u8, code in 0..16_u8, word: [u8; 4], rest in prop::collection::vec(any::<u8>(), 0..200)) {
        let octets = sealed(kind, code, word, &rest);
        let message = Icmpv4Message::parse(&octets).unwrap();
        if let Icmpv4Message::Error(error) = message {
            let _ = error.packet();
        }
        let again = emitted(&message);
        prop_assert_eq!(Icmpv4Message::parse(&again), Ok(message));
    }

    #[test]
    fn arbitrary_octets_never_panic(octets in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = Icmpv4Message::parse(&octets);
    }
}
