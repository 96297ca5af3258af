use super::*;
use crate::SeqNum;
use crate::ipv6::Ipv6Header;
use proptest::prelude::*;
use std::vec::Vec;

const A: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const B: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
const ZERO: [u8; 4] = [0; 4];

fn emitted(message: &Icmpv6Message<'_>) -> Vec<u8> {
    let mut octets = std::vec![0xee; message.encoded_len() + 4];
    message.emit(&mut octets, A, B);
    assert_eq!(
        octets.split_off(message.encoded_len()),
        [0xee; 4],
        "writes past its length"
    );
    octets
}

/// A message of octets from A to B, with its checksum.
fn sealed(kind: u8, code: u8, word: [u8; 4], rest: &[u8]) -> Vec<u8> {
    let mut message = [&[kind, code, 0, 0], &word[..], rest].concat();
    let checksum = sum(&message, A, B).finish();
    set_checksum(&mut message, checksum);
    message
}

fn error(kind: Icmpv6ErrorKind, quoted: &[u8]) -> Icmpv6Message<'_> {
    Icmpv6Message::Error(Icmpv6Error { kind, quoted })
}

#[test]
fn a_known_echo_request() {
    // ::1 to ::1, type 128, identifier 0x1234, sequence 1, no data. The words of the pseudo-header and the message sum to
    // 0x0001 + 0x0001 + 0x0008 + 0x003a + 0x8000 + 0x1234 + 0x0001 = 0x9279.
    let octets = [128, 0, 0x6d, 0x86, 0x12, 0x34, 0, 1];
    let request = Icmpv6Message::EchoRequest(Echo {
        identifier: 0x1234,
        sequence: 1,
        data: &[],
    });
    let local = Ipv6Addr::LOCALHOST;
    assert_eq!(Icmpv6Message::parse(&octets, local, local), Ok(request));
    let mut written = [0; 8];
    request.emit(&mut written, local, local);
    assert_eq!(written, octets);
}

#[test]
fn errors_have_their_types_and_codes() {
    use Icmpv6ErrorKind::{PacketTooBig, ParameterProblem, TimeExceeded as Exceeded, Unreachable};
    let option = ParameterProblemCode::UnrecognizedOption;
    let table = [
        (1, 0, ZERO, Unreachable(Icmpv6Unreachable::NoRoute)),
        (1, 1, ZERO, Unreachable(Icmpv6Unreachable::Prohibited)),
        (1, 2, ZERO, Unreachable(Icmpv6Unreachable::BeyondScope)),
        (1, 3, ZERO, Unreachable(Icmpv6Unreachable::Address)),
        (1, 4, ZERO, Unreachable(Icmpv6Unreachable::Port)),
        (1, 5, ZERO, Unreachable(Icmpv6Unreachable::SourcePolicy)),
        (1, 6, ZERO, Unreachable(Icmpv6Unreachable::RejectRoute)),
        (1, 7, ZERO, Unreachable(Icmpv6Unreachable::Other(7))),
        (2, 0, [0, 0, 5, 0], PacketTooBig { mtu: 1280 }),
        (3, 0, ZERO, Exceeded(TimeExceeded::InTransit)),
        (3, 1, ZERO, Exceeded(TimeExceeded::Reassembly)),
        (
            4,
            2,
            [0, 0, 0, 42],
            ParameterProblem {
                code: option,
                pointer: 42,
            },
        ),
    ];
    for (kind, code, word, expected) in table {
        let octets = sealed(kind, code, word, b"quoted");
        let message = error(expected, b"quoted");
        assert_eq!(Icmpv6Message::parse(&octets, A, B), Ok(message));
        assert_eq!(emitted(&message), octets);
        assert!(message.is_error());
    }
}

#[test]
fn the_quoted_packet_is_read() {
    let header = Ipv6Header {
        payload_len: 1460,
        ..Ipv6Header::new(A, B, IpProtocol::TCP)
    };
    let mut quoted = [0; 48];
    header.emit(&mut quoted);
    quoted[40..].copy_from_slice(&[0, 80, 0, 81, 0, 0, 0, 9]);
    let octets = sealed(2, 0, [0, 0, 5, 0], &quoted);
    let Ok(Icmpv6Message::Error(error)) = Icmpv6Message::parse(&octets, A, B) else {
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
    assert_eq!(
        (packet.seq, packet.packet_len),
        (Some(SeqNum::new(9)), 1500)
    );
}

#[test]
fn extensions_are_no_part_of_the_quoted_packet() {
    let quoted_and_extensions = [&[7; 128][..], &[0x20, 0, 0, 0]].concat();
    let quoted_len = |kind, word| {
        let octets = sealed(kind, 0, word, &quoted_and_extensions);
        match Icmpv6Message::parse(&octets, A, B) {
            Ok(Icmpv6Message::Error(error)) => error.quoted.len(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(quoted_len(1, [16, 0, 0, 0]), 128);
    assert_eq!(quoted_len(3, [16, 0, 0, 0]), 128);
    assert_eq!(quoted_len(2, [16, 0, 0, 0]), 132, "an MTU and not a length");
    assert_eq!(
        quoted_len(4, [16, 0, 0, 0]),
        132,
        "a pointer and not a length"
    );
}

#[test]
fn refuses_what_is_no_message() {
    let good = sealed(128, 0, [0, 1, 0, 2], &[3]);
    assert!(Icmpv6Message::parse(&good, A, B).is_ok());
    assert_eq!(
        Icmpv6Message::parse(&good[..7], A, B),
        Err(ParseError::Truncated)
    );
    let other = Ipv6Addr::LOCALHOST;
    assert_eq!(
        Icmpv6Message::parse(&good, A, other),
        Err(ParseError::BadChecksum)
    );
    for at in 0..good.len() {
        let mut broken = good.clone();
        broken[at] ^= 4;
        assert_eq!(
            Icmpv6Message::parse(&broken, A, B),
            Err(ParseError::BadChecksum),
            "octet {at}"
        );
    }
}

#[test]
fn other_messages_pass_through() {
    for (kind, is_error) in [(100, true), (127, true), (130, false), (143, false)] {
        let octets = sealed(kind, 5, [1, 2, 3, 4], b"more");
        let message = Icmpv6Message::parse(&octets, A, B).unwrap();
        let expected = Icmpv6Message::Other {
            kind,
            code: 5,
            body: b"\x01\x02\x03\x04more",
        };
        assert_eq!(message, expected);
        assert_eq!(message.is_error(), is_error, "{kind}");
        assert_eq!(emitted(&message), octets);
    }
}

proptest! {
    #[test]
    fn echo_round_trip(identifier: u16, sequence: u16, data in prop::collection::vec(any::<u8>(), 0..99), reply: bool) {
        let echo = Echo { identifier, sequence, data: &data };
        let message = if reply { Icmpv6Message::EchoReply(echo) } else { Icmpv6Message::EchoRequest(echo) };
        let octets = emitted(&message);
        prop_assert_eq!(Icmpv6Message::parse(&octets, A, B), Ok(message));
    }

    /// Everything that parses is written back as the same message.
    #[test]
    fn arbitrary_messages_round_trip(
        kind in prop_oneof![0..5_u8, 128..138_u8, any::<u8>()],
        code in 0..8_u8,
        word: [u8; 4],
        rest in prop::collection::vec(prop_oneof![0..6_u8, any::<u8>()], 0..200),
    ) {
        let octets = sealed(kind, code, word, &rest);
        if let Ok(message) = Icmpv6Message::parse(&octets, A, B) {
            if let Icmpv6Message::Error(error) = message {
                let _ = error.packet();
            }
            let again = emitted(&message);
            prop_assert_eq!(Icmpv6Message::parse(&again, A, B), Ok(message));
        } else {
            prop_assert!((133..=136).contains(&kind), "only neighbor discovery has more rules");
        }
    }

    #[test]
    fn arbitrary_octets_never_panic(octets in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = Icmpv6Message::parse(&octets, A, B);
    }
}
