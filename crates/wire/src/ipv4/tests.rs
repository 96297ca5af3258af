use super::*;
use proptest::prelude::*;
use std::vec::Vec;

/// A UDP packet of 0x73 octets with its checksum.
const HEADER: [u8; 20] = [
    0x45, 0x00, 0x00, 0x73, 0x00, 0x00, 0x40, 0x00, 0x40, 0x11, 0xb8, 0x61, 0xc0, 0xa8, 0x00, 0x01,
    0xc0, 0xa8, 0x00, 0xc7,
];

fn packet() -> Vec<u8> {
    let mut packet = Vec::from(HEADER);
    packet.resize(0x73, 0xaa);
    packet
}

/// Puts the right checksum into the header at the front.
fn reseal(packet: &mut [u8]) {
    let len = usize::from(packet[0] & 0x0f) * 4;
    packet[10..12].fill(0);
    let checksum = internet_checksum(&packet[..len]);
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
}

#[test]
fn reads_and_writes_a_known_header() {
    let (header, len) = Ipv4Header::parse(&packet()).unwrap();
    assert_eq!(len, 20);
    let expected = Ipv4Header {
        payload_len: 0x73 - 20,
        ..Ipv4Header::new(
            Ipv4Addr::new(192, 168, 0, 1),
            Ipv4Addr::new(192, 168, 0, 199),
            IpProtocol::UDP,
        )
    };
    assert_eq!(header, expected);
    let mut octets = [0xee; 24];
    header.emit(&mut octets);
    assert_eq!(octets[..20], HEADER);
    assert_eq!(octets[20..], [0xee; 4]);
}

#[test]
fn padding_of_the_link_is_trimmed() {
    let mut padded = packet();
    padded.extend([0; 30]);
    let (header, len) = Ipv4Header::parse(&padded).unwrap();
    assert_eq!(header.payload(&padded, len), [0xaa; 0x73 - 20]);
}

#[test]
fn refuses_what_is_no_header() {
    type Damage = fn(&mut Vec<u8>);
    let table: [(&str, Damage, ParseError); 9] = [
        ("nothing", Vec::clear, ParseError::Truncated),
        ("19 octets", |p| p.truncate(19), ParseError::Truncated),
        (
            "shorter than the total length",
            |p| p.truncate(0x72),
            ParseError::Truncated,
        ),
        ("version 6", |p| p[0] = 0x65, ParseError::BadVersion),
        ("header of 4 words", |p| p[0] = 0x44, ParseError::BadLength),
        (
            "total below the header",
            |p| p[3] = 19,
            ParseError::BadLength,
        ),
        ("a flipped bit", |p| p[8] ^= 1, ParseError::BadChecksum),
        (
            "no checksum",
            |p| p[10..12].fill(0),
            ParseError::BadChecksum,
        ),
        (
            "a fragment past the largest packet",
            |p| p[6..8].copy_from_slice(&[0x1f, 0xff]),
            ParseError::BadLength,
        ),
    ];
    for (name, damage, error) in table {
        let mut packet = packet();
        damage(&mut packet);
        if error == ParseError::BadLength {
            reseal(&mut packet);
        }
        assert_eq!(Ipv4Header::parse(&packet), Err(error), "{name}");
    }
    let mut long_header = packet();
    long_header.truncate(40);
    long_header[0] = 0x4f;
    assert_eq!(Ipv4Header::parse(&long_header), Err(ParseError::Truncated));
}

#[test]
fn a_last_fragment_may_fill_the_largest_packet_exactly() {
    let mut packet = packet();
    packet.truncate(27);
    packet[2..4].copy_from_slice(&27_u16.to_be_bytes());
    packet[6..8].copy_from_slice(&[0x1f, 0xff]);
    reseal(&mut packet);
    let (header, _) = Ipv4Header::parse(&packet).unwrap();
    assert_eq!((header.fragment_offset, header.payload_len), (65_528, 7));
}

#[test]
fn options_are_stepped_over_and_can_be_read() {
    let mut packet = Vec::from(HEADER);
    packet[0] = 0x48;
    packet[3] = 40;
    packet.extend([1, 7, 3, 4, 137, 3, 4, 99, 2, 0, 7, 3]);
    packet.extend([0x55; 8]);
    reseal(&mut packet);
    let (header, len) = Ipv4Header::parse(&packet).unwrap();
    assert_eq!((len, header.payload(&packet, len)), (32, &[0x55; 8][..]));
    let options: Result<Vec<_>, _> = Ipv4Options::of(&packet).collect();
    let options = options.unwrap();
    let kinds: Vec<_> = options.iter().map(|option| option.kind).collect();
    assert_eq!(kinds, [7, 137, 99]);
    assert_eq!(options[0].value, [4]);
    let source_routes: Vec<_> = options.iter().map(Ipv4Option::is_source_route).collect();
    assert_eq!(source_routes, [false, true, false]);
}

#[test]
fn an_impossible_option_length_is_one_error_and_the_end() {
    for (bad, error) in [
        ([7, 0, 1, 1], ParseError::BadLength),
        ([7, 9, 1, 1], ParseError::Truncated),
    ] {
        let mut packet = Vec::from(HEADER);
        packet[0] = 0x46;
        packet.extend(bad);
        let mut options = Ipv4Options::of(&packet);
        assert_eq!(options.next(), Some(Err(error)));
        assert_eq!(options.next(), None);
    }
}

fn any_header() -> impl Strategy<Value = Ipv4Header> {
    let addresses = (any::<u32>(), any::<u32>());
    let class = (0..64_u8, 0..4_u8);
    let fragment = (any::<bool>(), any::<bool>(), 0..8192_u16);
    (
        addresses,
        any::<u8>(),
        any::<u8>(),
        class,
        any::<u16>(),
        fragment,
        0..2000_u16,
    )
        .prop_map(
            |((source, destination), protocol, ttl, (dscp, ecn), identification, fragment, len)| {
                let (dont_fragment, more_fragments, offset) = fragment;
                let fragment_offset = offset * 8;
                Ipv4Header {
                    source: source.into(),
                    destination: destination.into(),
                    protocol: IpProtocol(protocol),
                    ttl,
                    dscp,
                    ecn: Ecn::from_bits(ecn),
                    identification,
                    dont_fragment,
                    more_fragments,
                    fragment_offset,
                    payload_len: len.min(u16::MAX - fragment_offset),
                }
            },
        )
}

proptest! {
    #[test]
    fn round_trip(header in any_header()) {
        let mut packet = std::vec![0; Ipv4Header::LEN + usize::from(header.payload_len)];
        header.emit(&mut packet);
        prop_assert_eq!(Ipv4Header::parse(&packet), Ok((header, Ipv4Header::LEN)));
    }

    #[test]
    fn arbitrary_octets_never_panic(mut packet in prop::collection::vec(any::<u8>(), 0..100), likely: bool) {
        if likely && packet.len() >= 60 {
            packet[0] = 0x40 | packet[0] & 0x0f;
            packet[2] = 0;
            reseal(&mut packet);
        }
        for option in Ipv4Options::of(&packet) {
            let _ = option;
        }
        if let Ok((header, len)) = Ipv4Header::parse(&packet) {
            prop_assert!(len >= Ipv4Header::LEN && len + usize::from(header.payload_len) <= packet.len());
            prop_assert_eq!(header.payload(&packet, len).len(), usize::from(header.payload_len));
        }
    }
}

#[test]
fn the_front_of_a_packet_in_pieces_is_enough() {
    let (source, destination) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
    let header = Ipv4Header {
        payload_len: 100,
        ..Ipv4Header::new(source, destination, IpProtocol::TCP)
    };
    let mut front = [0; Ipv4Header::LEN];
    header.emit(&mut front);
    assert_eq!(Ipv4Header::parse_front(&front, 120), Ok((header, 20)));
    assert_eq!(
        Ipv4Header::parse_front(&front, 119),
        Err(ParseError::Truncated)
    );
    assert_eq!(
        Ipv4Header::parse_front(&front[..19], 120),
        Err(ParseError::Truncated)
    );
}
