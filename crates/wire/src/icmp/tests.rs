use super::*;
use crate::ipv6::FragmentHeader;
use core::net::{Ipv4Addr, Ipv6Addr};
use proptest::prelude::*;
use std::vec::Vec;

const TCP_START: [u8; 8] = [0xc0, 0x00, 0x01, 0xbb, 0x11, 0x22, 0x33, 0x44];
const PORTS: QuotedPorts = QuotedPorts {
    source: 0xc000,
    destination: 443,
};
const SEQ: SeqNum = SeqNum::new(0x1122_3344);

fn ipv4(protocol: IpProtocol, fragment_offset: u16, payload: &[u8]) -> Vec<u8> {
    let header = Ipv4Header {
        payload_len: 1480,
        fragment_offset,
        ..Ipv4Header::new(
            Ipv4Addr::new(192, 0, 2, 1),
            Ipv4Addr::new(198, 51, 100, 2),
            protocol,
        )
    };
    let mut packet = std::vec![0; Ipv4Header::LEN];
    header.emit(&mut packet);
    packet.extend(payload);
    packet
}

fn ipv6(next_header: IpProtocol, payload: &[u8]) -> Vec<u8> {
    let header = Ipv6Header {
        payload_len: 1460,
        ..Ipv6Header::new(Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST, next_header)
    };
    let mut packet = std::vec![0; Ipv6Header::LEN];
    header.emit(&mut packet);
    packet.extend(payload);
    packet
}

#[test]
fn reads_a_cut_ipv4_packet() {
    let quoted = QuotedPacket::parse_ipv4(&ipv4(IpProtocol::TCP, 0, &TCP_START)).unwrap();
    let expected = QuotedPacket {
        source: Ipv4Addr::new(192, 0, 2, 1).into(),
        destination: Ipv4Addr::new(198, 51, 100, 2).into(),
        protocol: IpProtocol::TCP,
        packet_len: 1500,
        ports: Some(PORTS),
        seq: Some(SEQ),
    };
    assert_eq!(quoted, expected);
}

#[test]
fn knows_only_what_is_there() {
    type Known = (Option<QuotedPorts>, Option<SeqNum>);
    let table: [(&str, IpProtocol, u16, &[u8], Known); 7] = [
        (
            "8 octets of TCP",
            IpProtocol::TCP,
            0,
            &TCP_START,
            (Some(PORTS), Some(SEQ)),
        ),
        (
            "7 octets of TCP",
            IpProtocol::TCP,
            0,
            &TCP_START[..7],
            (Some(PORTS), None),
        ),
        (
            "3 octets of TCP",
            IpProtocol::TCP,
            0,
            &TCP_START[..3],
            (None, None),
        ),
        ("nothing of TCP", IpProtocol::TCP, 0, &[], (None, None)),
        (
            "UDP has no SEQ",
            IpProtocol::UDP,
            0,
            &TCP_START,
            (Some(PORTS), None),
        ),
        (
            "ICMP has no ports",
            IpProtocol::ICMP,
            0,
            &TCP_START,
            (None, None),
        ),
        (
            "a later fragment",
            IpProtocol::TCP,
            8,
            &TCP_START,
            (None, None),
        ),
    ];
    for (name, protocol, fragment_offset, payload, known) in table {
        let quoted = QuotedPacket::parse_ipv4(&ipv4(protocol, fragment_offset, payload)).unwrap();
        assert_eq!((quoted.ports, quoted.seq), known, "{name}");
    }
}

#[test]
fn routers_may_have_changed_the_ipv4_header() {
    let mut packet = ipv4(IpProtocol::TCP, 0, &TCP_START);
    packet[8] = 0; // the TTL, and the checksum is left as it was
    packet[2..4].fill(0); // as some hosts write the total length
    let quoted = QuotedPacket::parse_ipv4(&packet).unwrap();
    assert_eq!((quoted.ports, quoted.packet_len), (Some(PORTS), 0));
    assert_eq!(
        QuotedPacket::parse_ipv4(&packet[..19]),
        Err(ParseError::Truncated)
    );
}

#[test]
fn ipv4_options_are_stepped_over() {
    let mut packet = ipv4(IpProtocol::TCP, 0, &[1, 1, 1, 0]);
    packet[0] = 0x46;
    packet.extend(TCP_START);
    assert_eq!(QuotedPacket::parse_ipv4(&packet).unwrap().seq, Some(SEQ));
}

#[test]
fn ipv6_extension_headers_are_stepped_over() {
    let plain = QuotedPacket::parse_ipv6(&ipv6(IpProtocol::TCP, &TCP_START)).unwrap();
    assert_eq!((plain.ports, plain.seq), (Some(PORTS), Some(SEQ)));
    assert_eq!(
        (plain.packet_len, plain.source),
        (1500, Ipv6Addr::LOCALHOST.into())
    );

    let mut first = [0; 8];
    let mut later = [0; 8];
    let header = FragmentHeader {
        next_header: IpProtocol::TCP,
        offset: 0,
        more: true,
        identification: 1,
    };
    header.emit(&mut first);
    FragmentHeader {
        offset: 1448,
        ..header
    }
    .emit(&mut later);

    let options = [IpProtocol::FRAGMENT.0, 0, 1, 4, 0, 0, 0, 0];
    let chain = [options, first, TCP_START].concat();
    let quoted = QuotedPacket::parse_ipv6(&ipv6(IpProtocol::DESTINATION_OPTIONS, &chain)).unwrap();
    assert_eq!((quoted.protocol, quoted.seq), (IpProtocol::TCP, Some(SEQ)));

    let chain = [options, later, TCP_START].concat();
    let quoted = QuotedPacket::parse_ipv6(&ipv6(IpProtocol::DESTINATION_OPTIONS, &chain)).unwrap();
    assert_eq!((quoted.protocol, quoted.seq), (IpProtocol::FRAGMENT, None));

    let cut = ipv6(IpProtocol::DESTINATION_OPTIONS, &options[..5]);
    let quoted = QuotedPacket::parse_ipv6(&cut).unwrap();
    assert_eq!(
        (quoted.protocol, quoted.ports),
        (IpProtocol::DESTINATION_OPTIONS, None)
    );
    assert_eq!(
        QuotedPacket::parse_ipv6(&cut[..39]),
        Err(ParseError::Truncated)
    );
}

#[test]
fn a_length_of_rfc_4884_cuts_extensions_off() {
    let octets = [7; 140];
    assert_eq!(original_datagram(&octets, 0).len(), 140);
    assert_eq!(original_datagram(&octets, 128).len(), 128);
    assert_eq!(
        original_datagram(&octets, 144).len(),
        140,
        "no length but an old unused field"
    );
}

proptest! {
    #[test]
    fn arbitrary_octets_never_panic(
        mut octets in prop::collection::vec(any::<u8>(), 0..120),
        next in prop_oneof![Just(0_u8), Just(43), Just(44), Just(60), Just(6)],
    ) {
        let _ = QuotedPacket::parse_ipv4(&octets);
        let _ = QuotedPacket::parse_ipv6(&octets);
        if octets.len() > 40 {
            octets[0] = 0x45 | octets[0] & 0x0f;
            let _ = QuotedPacket::parse_ipv4(&octets);
            octets[0] = 0x60;
            octets[6] = next;
            prop_assert!(QuotedPacket::parse_ipv6(&octets).is_ok());
        }
    }
}
