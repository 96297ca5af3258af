use super::*;
use proptest::prelude::*;
use std::vec::Vec;

const SOURCE: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const DESTINATION: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

const HOP: u8 = 0;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ROUTE: u8 = 43;
const FRAG: u8 = 44;
const DEST: u8 = 60;

fn packet(next_header: u8, payload: &[u8]) -> Vec<u8> {
    let header = Ipv6Header {
        payload_len: u16::try_from(payload.len()).unwrap(),
        ..Ipv6Header::new(SOURCE, DESTINATION, IpProtocol(next_header))
    };
    let mut packet = std::vec![0; Ipv6Header::LEN];
    header.emit(&mut packet);
    packet.extend(payload);
    packet
}

fn walk(next_header: u8, payload: &[u8]) -> Result<UpperLayer, ExtensionError> {
    let packet = packet(next_header, payload);
    let (header, _) = Ipv6Header::parse(&packet).unwrap();
    header.upper_layer(&packet, ExtensionLimits::default())
}

fn upper(protocol: u8, offset: usize, named_at: usize) -> Result<UpperLayer, ExtensionError> {
    Ok(UpperLayer {
        protocol: IpProtocol(protocol),
        offset,
        named_at,
        fragment: None,
    })
}

fn told(code: ParameterProblemCode, pointer: u32) -> Result<UpperLayer, ExtensionError> {
    Err(ExtensionError::Problem(HeaderProblem {
        code,
        pointer,
        even_to_multicast: false,
    }))
}

fn fragment(next_header: u8, offset: u16, more: bool) -> [u8; 8] {
    let next_header = IpProtocol(next_header);
    let mut octets = [0; 8];
    FragmentHeader {
        next_header,
        offset,
        more,
        identification: 0xabcd,
    }
    .emit(&mut octets);
    octets
}

#[test]
fn reads_and_writes_a_known_header() {
    let octets = [
        0x6b, 0x81, 0x23, 0x45, 0x00, 0x02, 0x06, 0x40, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 1, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0xaa, 0xbb,
        0, 0,
    ];
    let expected = Ipv6Header {
        dscp: 46,
        ecn: Ecn::NotEct,
        flow_label: 0x12345,
        payload_len: 2,
        ..Ipv6Header::new(SOURCE, DESTINATION, IpProtocol::TCP)
    };
    let (header, len) = Ipv6Header::parse(&octets).unwrap();
    assert_eq!((header, len), (expected, 40));
    assert_eq!(
        header.payload(&octets),
        [0xaa, 0xbb],
        "padding of the link is trimmed"
    );
    let mut emitted = [0xee; 41];
    header.emit(&mut emitted);
    assert_eq!(emitted[..40], octets[..40]);
    assert_eq!(emitted[40], 0xee);
}

#[test]
fn refuses_what_is_no_header() {
    let good = packet(TCP, &[0; 20]);
    assert_eq!(Ipv6Header::parse(&good[..39]), Err(ParseError::Truncated));
    assert_eq!(Ipv6Header::parse(&good[..59]), Err(ParseError::Truncated));
    assert_eq!(Ipv6Header::parse(&[]), Err(ParseError::Truncated));
    let mut version = good;
    version[0] = 0x45;
    assert_eq!(Ipv6Header::parse(&version), Err(ParseError::BadVersion));
}

#[test]
fn jumbograms_are_refused() {
    let jumbo = packet(HOP, &[]);
    assert_eq!(Ipv6Header::parse(&jumbo), Err(ParseError::Unsupported));
    let option = walk(HOP, &[TCP, 0, 0xc2, 4, 0, 1, 0, 0]);
    assert_eq!(option, Err(ParseError::Unsupported.into()));
}

#[test]
fn walks_to_the_upper_layer() {
    assert_eq!(walk(TCP, &[]), upper(TCP, 40, 6));
    assert_eq!(walk(59, &[]), upper(59, 40, 6));
    assert_eq!(
        walk(200, &[1]),
        upper(200, 40, 6),
        "unknown: the receiver decides"
    );
    assert_eq!(walk(HOP, &[TCP, 0, 1, 4, 0, 0, 0, 0]), upper(TCP, 48, 40));
    assert_eq!(
        walk(HOP, &[TCP, 0, 5, 2, 0, 0, 0, 0]),
        upper(TCP, 48, 40),
        "router alert"
    );
    assert_eq!(
        walk(ROUTE, &[UDP, 0, 3, 0, 9, 9, 9, 9]),
        upper(UDP, 48, 40),
        "at its end"
    );
    assert_eq!(
        walk(DEST, &[TCP, 0, 0x1e, 4, 1, 2, 3, 4]),
        upper(TCP, 48, 40),
        "skip if unknown"
    );
    let chain = [
        &[ROUTE, 0, 0, 0, 0, 0, 0, 0][..],
        &[DEST, 0, 4, 0, 0, 0, 0, 0],
        &[TCP, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ];
    assert_eq!(walk(HOP, &chain.concat()), upper(TCP, 72, 56));
}

#[test]
fn unknown_options_do_what_their_type_says() {
    for next in [HOP, DEST] {
        let option = |kind| walk(next, &[TCP, 0, 0, kind, 1, 9, 0, 0]);
        assert_eq!(option(0x3e), upper(TCP, 48, 40));
        assert_eq!(option(0x7e), Err(ExtensionError::Discard));
        let always = HeaderProblem {
            code: ParameterProblemCode::UnrecognizedOption,
            pointer: 43,
            even_to_multicast: true,
        };
        assert_eq!(option(0xbe), Err(ExtensionError::Problem(always)));
        assert_eq!(
            option(0xfe),
            told(ParameterProblemCode::UnrecognizedOption, 43)
        );
    }
    let jumbo_elsewhere = walk(DEST, &[TCP, 0, 0xc2, 4, 0, 1, 0, 0]);
    assert_eq!(
        jumbo_elsewhere,
        told(ParameterProblemCode::UnrecognizedOption, 42)
    );
}

#[test]
fn refuses_impossible_chains() {
    let truncated = Err(ExtensionError::Malformed(ParseError::Truncated));
    assert_eq!(walk(DEST, &[]), truncated);
    assert_eq!(
        walk(DEST, &[TCP, 1, 1, 4, 0, 0, 0, 0]),
        truncated,
        "longer than the packet"
    );
    assert_eq!(
        walk(DEST, &[TCP, 0, 1, 5, 0, 0, 0, 0]),
        truncated,
        "option past its header"
    );
    assert_eq!(
        walk(DEST, &[TCP, 0, 0, 0, 0, 0, 0, 1]),
        truncated,
        "option without a length"
    );
    assert_eq!(walk(FRAG, &[TCP, 0, 0, 0]), truncated);
    let late = [[HOP, 0, 1, 4, 0, 0, 0, 0], [TCP, 0, 1, 4, 0, 0, 0, 0]].concat();
    assert_eq!(
        walk(DEST, &late),
        told(ParameterProblemCode::UnrecognizedNextHeader, 40)
    );
    let twice = walk(HOP, &late);
    assert_eq!(
        twice,
        told(ParameterProblemCode::UnrecognizedNextHeader, 40)
    );
    let route = walk(ROUTE, &[TCP, 0, 0, 1, 0, 0, 0, 0]);
    assert_eq!(
        route,
        told(ParameterProblemCode::ErroneousField, 42),
        "type 0: RFC 5095"
    );
}

#[test]
fn headers_and_octets_are_limited() {
    let too_many = Err(ExtensionError::Malformed(ParseError::TooManyHeaders));
    let chain = |count: usize| {
        let mut chain = [DEST, 0, 1, 4, 0, 0, 0, 0].repeat(count);
        chain[(count - 1) * 8] = TCP;
        chain
    };
    assert_eq!(walk(DEST, &chain(8)), upper(TCP, 104, 96));
    assert_eq!(walk(DEST, &chain(9)), too_many);
    let long = |units: u8| {
        let mut long = std::vec![0; (usize::from(units) + 1) * 8];
        (long[0], long[1]) = (TCP, units);
        long
    };
    assert_eq!(walk(DEST, &long(63)), upper(TCP, 552, 40));
    assert_eq!(walk(DEST, &long(64)), too_many);
}

#[test]
fn fragments_are_found_and_checked() {
    let middle = [
        &[FRAG, 0, 1, 4, 0, 0, 0, 0][..],
        &fragment(UDP, 1232, true),
        &[7; 16],
    ]
    .concat();
    let found = walk(DEST, &middle).unwrap();
    assert_eq!(
        (found.protocol, found.offset, found.named_at),
        (IpProtocol::UDP, 56, 48)
    );
    let inside = found.fragment.unwrap();
    assert_eq!((inside.offset, inside.named_at), (48, 40));
    assert_eq!(
        inside.header,
        FragmentHeader {
            next_header: IpProtocol::UDP,
            offset: 1232,
            more: true,
            identification: 0xabcd,
        }
    );

    let atomic = [&fragment(UDP, 0, false)[..], &[7; 9]].concat();
    assert_eq!(walk(FRAG, &atomic), upper(UDP, 48, 40), "RFC 6946");
    let ragged = [&fragment(UDP, 0, true)[..], &[7; 9]].concat();
    assert_eq!(
        walk(FRAG, &ragged),
        told(ParameterProblemCode::ErroneousField, 4)
    );
    let beyond = [&fragment(UDP, 65_528, false)[..], &[7; 8]].concat();
    assert_eq!(
        walk(FRAG, &beyond),
        told(ParameterProblemCode::ErroneousField, 42)
    );
    let last = [&fragment(UDP, 65_528, false)[..], &[7; 7]].concat();
    assert!(walk(FRAG, &last).unwrap().fragment.is_some());
}

#[test]
fn a_first_fragment_holds_the_whole_chain() {
    let incomplete = told(ParameterProblemCode::IncompleteFirstFragment, 0);
    let first = |next, part: &[u8]| walk(FRAG, &[&fragment(next, 0, true), part].concat());
    assert_eq!(first(TCP, &[0; 16]), incomplete);
    assert!(first(TCP, &[0; 24]).unwrap().fragment.is_some());
    assert_eq!(first(UDP, &[]), incomplete);
    assert_eq!(first(DEST, &[TCP, 1, 1, 4, 0, 0, 0, 0]), incomplete);
    let with_options = [&[TCP, 0, 1, 4, 0, 0, 0, 0][..], &[0; 24]].concat();
    let found = first(DEST, &with_options).unwrap();
    assert_eq!(
        (found.protocol.0, found.offset),
        (DEST, 48),
        "walked again once reassembled"
    );
    let endless = [DEST, 0, 1, 4, 0, 0, 0, 0].repeat(12);
    let too_many = Err(ExtensionError::Malformed(ParseError::TooManyHeaders));
    assert_eq!(first(DEST, &endless), too_many);
}

fn any_header() -> impl Strategy<Value = Ipv6Header> {
    let addresses = (any::<u128>(), any::<u128>());
    let class = (0..64_u8, 0..4_u8, 0..=FLOW_LABEL);
    (addresses, 1..=255_u8, any::<u8>(), class, 0..300_u16).prop_map(
        |((source, destination), next_header, hop_limit, (dscp, ecn, flow_label), payload_len)| {
            Ipv6Header {
                source: source.into(),
                destination: destination.into(),
                next_header: IpProtocol(next_header),
                hop_limit,
                dscp,
                ecn: Ecn::from_bits(ecn),
                flow_label,
                payload_len,
            }
        },
    )
}

proptest! {
    #[test]
    fn round_trip(header in any_header()) {
        let mut packet = std::vec![0; header.packet_len()];
        header.emit(&mut packet);
        prop_assert_eq!(Ipv6Header::parse(&packet), Ok((header, Ipv6Header::LEN)));
    }

    #[test]
    fn fragment_round_trip(next_header: u8, units in 0..8192_u16, more: bool, identification: u32) {
        let next_header = IpProtocol(next_header);
        let header = FragmentHeader { next_header, offset: units * 8, more, identification };
        let mut octets = [0; 8];
        header.emit(&mut octets);
        prop_assert_eq!(FragmentHeader::parse(&octets), Ok((header, FragmentHeader::LEN)));
    }

    #[test]
    fn arbitrary_octets_never_panic(packet in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = Ipv6Header::parse(&packet);
    }

    #[test]
    fn arbitrary_chains_stay_inside_the_packet(
        first in prop_oneof![Just(HOP), Just(ROUTE), Just(FRAG), Just(DEST)],
        payload in prop::collection::vec(prop_oneof![
            0..4_u8, Just(HOP), Just(ROUTE), Just(FRAG), Just(DEST), Just(TCP), any::<u8>()
        ], 1..200),
    ) {
        let packet = packet(first, &payload);
        let (header, _) = Ipv6Header::parse(&packet).unwrap();
        if let Ok(upper) = header.upper_layer(&packet, ExtensionLimits::default()) {
            prop_assert!(upper.offset > Ipv6Header::LEN && upper.offset <= packet.len());
            prop_assert_eq!(upper.offset % 8, 0);
            prop_assert_eq!(packet[upper.named_at], upper.protocol.0);
            prop_assert!(upper.fragment.is_some() || !matches!(upper.protocol.0, HOP | ROUTE | FRAG | DEST));
        }
        let _ = skip_extensions(IpProtocol(first), &payload, ExtensionLimits::default());
    }
}

#[test]
fn the_front_of_a_packet_in_pieces_is_enough() {
    let header = Ipv6Header {
        payload_len: 100,
        ..Ipv6Header::new(Ipv6Addr::LOCALHOST, Ipv6Addr::LOCALHOST, IpProtocol::TCP)
    };
    let mut front = [0; Ipv6Header::LEN];
    header.emit(&mut front);
    assert_eq!(Ipv6Header::parse_front(&front, 140), Ok((header, 40)));
    assert_eq!(
        Ipv6Header::parse_front(&front, 139),
        Err(ParseError::Truncated)
    );
}

#[test]
fn the_front_of_a_fragment_is_enough_to_walk() {
    let whole = packet(FRAG, &[&fragment(TCP, 0, true)[..], &[7; 64]].concat());
    let (header, _) = Ipv6Header::parse(&whole).unwrap();
    let walk = |front: &[u8]| header.upper_layer(front, ExtensionLimits::default());
    assert_eq!(walk(&whole[..68]), walk(&whole));
    assert!(walk(&whole).unwrap().fragment.is_some());
    assert_eq!(walk(&whole[..67]), Err(ParseError::Truncated.into()));
}
