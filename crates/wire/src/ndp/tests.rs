use super::*;
use crate::icmpv6::Icmpv6Message;
use proptest::prelude::*;
use std::vec::Vec;

const A: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
const B: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const LINK: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);

fn body(message: &NdpMessage) -> Vec<u8> {
    let mut octets = std::vec![0xee; message.body_len()];
    message.emit_body(&mut Writer::new(&mut octets));
    octets
}

fn solicitation(source_link: Option<MacAddr>) -> NdpMessage {
    NdpMessage::NeighborSolicitation(NeighborSolicitation {
        target: B,
        source_link,
    })
}

fn advertisement(solicited: bool) -> NdpMessage {
    NdpMessage::NeighborAdvertisement(NeighborAdvertisement {
        target: B,
        router: false,
        solicited,
        override_entry: true,
        target_link: Some(LINK),
    })
}

#[test]
fn known_messages() {
    let target = B.octets();
    let link = LINK.octets();
    let table = [
        (
            NdpMessage::RouterSolicitation(RouterSolicitation {
                source_link: Some(LINK),
            }),
            133,
            [&[0, 0, 0, 0, 1, 1][..], &link].concat(),
        ),
        (
            NdpMessage::RouterAdvertisement(RouterAdvertisement {
                hop_limit: 64,
                managed: true,
                other: true,
                router_lifetime_seconds: 1800,
                reachable_time_millis: 30_000,
                retrans_timer_millis: 1000,
                source_link: Some(LINK),
                mtu: Some(1500),
            }),
            134,
            [
                &[
                    64, 0xc0, 0x07, 0x08, 0, 0, 0x75, 0x30, 0, 0, 0x03, 0xe8, 1, 1,
                ][..],
                &link,
                &[5, 1, 0, 0, 0, 0, 0x05, 0xdc],
            ]
            .concat(),
        ),
        (
            solicitation(Some(LINK)),
            135,
            [&[0; 4], &target[..], &[1, 1], &link].concat(),
        ),
        (solicitation(None), 135, [&[0; 4], &target[..]].concat()),
        (
            advertisement(true),
            136,
            [&[0x60, 0, 0, 0], &target[..], &[2, 1], &link].concat(),
        ),
    ];
    for (message, kind, octets) in table {
        assert_eq!(message.kind(), kind);
        assert_eq!(body(&message), octets);
        assert_eq!(NdpMessage::parse(kind, 0, &octets), Ok(Some(message)));
    }
}

#[test]
fn refuses_what_rfc_4861_calls_invalid() {
    let good = body(&solicitation(Some(LINK)));
    assert_eq!(
        NdpMessage::parse(135, 1, &good),
        Err(ParseError::BadField),
        "code"
    );
    assert_eq!(
        NdpMessage::parse(135, 0, &good[..19]),
        Err(ParseError::Truncated)
    );
    assert_eq!(
        NdpMessage::parse(135, 0, &good[..27]),
        Err(ParseError::Truncated),
        "cut option"
    );
    let mut endless = good.clone();
    endless[21] = 0;
    assert_eq!(
        NdpMessage::parse(135, 0, &endless),
        Err(ParseError::BadLength),
        "option of 0"
    );
    let mut group = good.clone();
    group[4] = 0xff;
    assert_eq!(
        NdpMessage::parse(135, 0, &group),
        Err(ParseError::BadField),
        "target"
    );
    assert_eq!(
        NdpMessage::parse(137, 0, &good),
        Ok(None),
        "redirects are not read"
    );
}

#[test]
fn unknown_options_and_foreign_addresses_are_skipped() {
    let mut octets = body(&solicitation(None));
    octets.extend([14, 1, 9, 9, 9, 9, 9, 9]); // a nonce
    octets.extend([1, 2].into_iter().chain([7; 14])); // a hardware address of 14 octets
    assert_eq!(
        NdpMessage::parse(135, 0, &octets),
        Ok(Some(solicitation(None)))
    );
    octets.extend([1, 1, 2, 0, 0, 0, 0, 1]);
    assert_eq!(
        NdpMessage::parse(135, 0, &octets),
        Ok(Some(solicitation(Some(LINK))))
    );
}

#[test]
fn the_packet_around_it_is_judged() {
    let none = Ipv6Addr::UNSPECIFIED;
    let global = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
    let group = solicited_node(B);
    let asks = |source_link| NdpMessage::RouterSolicitation(RouterSolicitation { source_link });
    let router = NdpMessage::RouterAdvertisement(RouterAdvertisement::default());
    let table = [
        ("solicitation", solicitation(Some(LINK)), A, group, true),
        ("solicitation of one host", solicitation(None), A, B, true),
        ("probe", solicitation(None), none, group, true),
        ("probe of one host", solicitation(None), none, B, false),
        (
            "probe with an address",
            solicitation(Some(LINK)),
            none,
            group,
            false,
        ),
        ("answer", advertisement(true), B, A, true),
        ("answer to all", advertisement(true), B, ALL_NODES, false),
        ("announcement", advertisement(false), B, ALL_NODES, true),
        ("router wanted", asks(Some(LINK)), A, ALL_NODES, true),
        (
            "router wanted, no address yet",
            asks(None),
            none,
            ALL_NODES,
            true,
        ),
        (
            "router wanted from nowhere",
            asks(Some(LINK)),
            none,
            ALL_NODES,
            false,
        ),
        ("router", router, A, ALL_NODES, true),
        ("router from afar", router, global, ALL_NODES, false),
    ];
    for (name, message, source, destination, expected) in table {
        assert_eq!(
            message.is_acceptable(source, destination, HOP_LIMIT),
            expected,
            "{name}"
        );
        assert!(
            !message.is_acceptable(source, destination, 254),
            "{name}: was passed on"
        );
    }
}

fn any_link() -> impl Strategy<Value = Option<MacAddr>> {
    any::<Option<[u8; 6]>>().prop_map(|link| link.map(MacAddr))
}

fn any_target() -> impl Strategy<Value = Ipv6Addr> {
    any::<u128>().prop_map(|bits| Ipv6Addr::from(bits & !(1 << 127)))
}

fn any_message() -> impl Strategy<Value = NdpMessage> {
    let router_advertisement = (
        any::<(u8, bool, bool, u16, u32, u32)>(),
        any_link(),
        any::<Option<u32>>(),
    )
        .prop_map(
            |((hop_limit, managed, other, lifetime, reachable, retrans), source_link, mtu)| {
                NdpMessage::RouterAdvertisement(RouterAdvertisement {
                    hop_limit,
                    managed,
                    other,
                    router_lifetime_seconds: lifetime,
                    reachable_time_millis: reachable,
                    retrans_timer_millis: retrans,
                    source_link,
                    mtu,
                })
            },
        );
    let neighbor_advertisement = (any_target(), any::<(bool, bool, bool)>(), any_link()).prop_map(
        |(target, (router, solicited, override_entry), target_link)| {
            NdpMessage::NeighborAdvertisement(NeighborAdvertisement {
                target,
                router,
                solicited,
                override_entry,
                target_link,
            })
        },
    );
    prop_oneof![
        any_link().prop_map(|source_link| {
            NdpMessage::RouterSolicitation(RouterSolicitation { source_link })
        }),
        router_advertisement,
        (any_target(), any_link()).prop_map(|(target, source_link)| {
            NdpMessage::NeighborSolicitation(NeighborSolicitation {
                target,
                source_link,
            })
        }),
        neighbor_advertisement,
    ]
}

proptest! {
    #[test]
    fn round_trip_inside_icmpv6(message in any_message()) {
        let message = Icmpv6Message::Ndp(message);
        let mut octets = std::vec![0; message.encoded_len()];
        message.emit(&mut octets, A, B);
        prop_assert_eq!(Icmpv6Message::parse(&octets, A, B), Ok(message));
    }

    #[test]
    fn arbitrary_octets_never_panic(kind in 132..139_u8, octets in prop::collection::vec(prop_oneof![0..6_u8, any::<u8>()], 0..80)) {
        let _ = NdpMessage::parse(kind, 0, &octets);
    }
}
