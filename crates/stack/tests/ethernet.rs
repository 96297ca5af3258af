//! Over Ethernet: ARP and neighbour discovery, frames for us and for others.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod common;

use common::*;
use core::time::Duration;
use handwave_packet::PacketBuf;
use handwave_stack::{Events, InterfaceConfig, Prefix, Route, SocketId};
use handwave_wire::arp::{ArpOperation, ArpPacket};
use handwave_wire::ethernet::{EtherType, EthernetHeader, MacAddr};
use handwave_wire::icmpv6::Icmpv6Message;
use handwave_wire::ipv6::{FragmentHeader, Ipv6Header};
use handwave_wire::ndp::{NdpMessage, NeighborSolicitation, solicited_node};
use handwave_wire::{IpProtocol, TcpFlags};

const CLIENT_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const SERVER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);
const STRANGER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 0x66]);

fn pair() -> Pair {
    let interface = |mac, v4, v6| {
        InterfaceConfig::ethernet(mac, [Prefix::new(addr(v4), 24), Prefix::new(addr(v6), 64)])
    };
    Pair::over(
        (stack_config(), interface(CLIENT_MAC, CLIENT, CLIENT6)),
        (stack_config(), interface(SERVER_MAC, SERVER, SERVER6)),
    )
}

fn frame(source: MacAddr, destination: MacAddr, ethertype: EtherType, payload: &[u8]) -> Vec<u8> {
    let mut octets = vec![0; EthernetHeader::LEN];
    EthernetHeader {
        destination,
        source,
        ethertype,
    }
    .emit(&mut octets);
    octets.extend_from_slice(payload);
    octets
}

fn arp(
    operation: ArpOperation,
    sender: (MacAddr, &str),
    target: (MacAddr, &str),
    to: MacAddr,
) -> Vec<u8> {
    let packet = ArpPacket {
        operation,
        sender_mac: sender.0,
        sender_ip: sender.1.parse().unwrap(),
        target_mac: target.0,
        target_ip: target.1.parse().unwrap(),
    };
    let mut octets = [0; ArpPacket::LEN];
    packet.emit(&mut octets);
    frame(sender.0, to, EtherType::ARP, &octets)
}

fn header(packet: &PacketBuf) -> (EthernetHeader, Vec<u8>) {
    let octets = packet.to_vec();
    (
        EthernetHeader::parse(&octets).unwrap().0,
        octets[14..].to_vec(),
    )
}

/// The client as its peer's next question sees it: frames it sends to `to` now.
fn macs_used(pair: &mut Pair, to: &str) -> Vec<MacAddr> {
    pair.connect(to, 80);
    let frames = pair.client.drain(pair.now);
    frames
        .iter()
        .map(header)
        .filter(|(h, _)| h.ethertype != EtherType::ARP)
        .map(|(h, _)| h.destination)
        .collect()
}

#[test]
fn a_connection_opens_once_addresses_are_resolved() {
    for to in [SERVER, SERVER6] {
        let mut pair = pair();
        let (ours, theirs) = pair.establish(to, 80);
        pair.client
            .stack
            .write(pair.now, ours, &[1; 10_000])
            .unwrap();
        pair.settle();
        assert_eq!(
            pair.server.read_all(pair.now, theirs).unwrap().len(),
            10_000
        );
        // Half a minute later the address is doubted, asked for by unicast, and believed again.
        pair.pass(Duration::from_secs(40));
        pair.client.stack.write(pair.now, ours, b"more").unwrap();
        let mut questions = 0;
        pair.settle_with(|_, octets| {
            let (frame, _) = EthernetHeader::parse(octets).unwrap();
            assert!(!frame.destination.is_multicast());
            questions += usize::from(
                frame.ethertype == EtherType::ARP || octets[20] == IpProtocol::ICMPV6.0,
            );
            true
        });
        assert!(questions >= 2, "a question and its answer");
        assert_eq!(pair.server.read_all(pair.now, theirs).unwrap(), b"more");
    }
}

#[test]
fn the_first_question_goes_to_the_right_group() {
    let mut pair = pair();
    pair.connect(SERVER, 80);
    let (outer, inner) = header(&pair.client.drain(pair.now)[0]);
    assert_eq!(outer.destination, MacAddr::BROADCAST);
    let request = ArpPacket::parse(&inner).unwrap();
    assert_eq!(
        (request.operation, request.target_ip),
        (ArpOperation::Request, SERVER.parse().unwrap())
    );

    pair.connect(SERVER6, 80);
    let (outer, inner) = header(&pair.client.drain(pair.now)[0]);
    let group = solicited_node(SERVER6.parse().unwrap());
    assert_eq!(outer.destination, MacAddr::of_ipv6_group(group));
    let (ip, _) = Ipv6Header::parse(&inner).unwrap();
    assert_eq!((ip.destination, ip.hop_limit), (group, 255));
    let message = Icmpv6Message::parse(&inner[40..], ip.source, ip.destination).unwrap();
    let asked = NeighborSolicitation {
        target: SERVER6.parse().unwrap(),
        source_link: Some(CLIENT_MAC),
    };
    assert_eq!(
        message,
        Icmpv6Message::Ndp(NdpMessage::NeighborSolicitation(asked))
    );
}

#[test]
fn a_gateway_is_resolved_in_place_of_the_destination() {
    let mut pair = pair();
    let interface = pair.client.interface;
    let default = Prefix::new(addr("0.0.0.0"), 0);
    let route = Route {
        destination: default,
        gateway: Some(addr(SERVER)),
        interface,
    };
    pair.client.stack.add_route(route).unwrap();
    pair.connect("192.0.2.1", 80);
    let (_, inner) = header(&pair.client.drain(pair.now)[0]);
    assert_eq!(
        ArpPacket::parse(&inner).unwrap().target_ip,
        SERVER.parse::<core::net::Ipv4Addr>().unwrap()
    );
}

#[test]
fn nobody_answers_and_the_connection_hears_of_it() {
    let mut pair = pair();
    let ours = pair.connect("10.0.0.9", 80);
    let mut asked = 0;
    for _ in 0..4 {
        asked += pair.client.drain(pair.now).len();
        pair.now += Duration::from_secs(1);
        pair.client.stack.handle_timeout(pair.now);
    }
    assert!(asked >= 3);
    let event = pair.client.stack.poll_event().unwrap();
    assert_eq!(event.socket, SocketId::Connection(ours));
    assert!(event.events.contains(Events::SOFT_ERROR));
    assert!(pair.client.stack.counters().neighbour_failures >= 1);
}

#[test]
fn what_nobody_asked_for_is_not_learnt() {
    let mut pair = pair();
    let lies = [
        arp(
            ArpOperation::Reply,
            (STRANGER_MAC, SERVER),
            (CLIENT_MAC, CLIENT),
            CLIENT_MAC,
        ),
        arp(
            ArpOperation::Request,
            (STRANGER_MAC, SERVER),
            (MacAddr::UNSPECIFIED, SERVER),
            MacAddr::BROADCAST,
        ),
        arp(
            ArpOperation::Request,
            (STRANGER_MAC, SERVER),
            (MacAddr::UNSPECIFIED, "10.0.0.9"),
            MacAddr::BROADCAST,
        ),
    ];
    for lie in &lies {
        pair.client.receive(pair.now, lie);
    }
    assert!(pair.client.drain(pair.now).is_empty());
    assert!(
        macs_used(&mut pair, SERVER).is_empty(),
        "the SYN waits for an answer"
    );
}

#[test]
fn our_own_address_is_not_believed_of_others() {
    let mut pair = pair();
    let lie = arp(
        ArpOperation::Request,
        (STRANGER_MAC, CLIENT),
        (MacAddr::UNSPECIFIED, CLIENT),
        MacAddr::BROADCAST,
    );
    pair.client.receive(pair.now, &lie);
    assert_eq!(pair.client.stack.counters().neighbour_ignored, 1);
}

#[test]
fn a_stranger_cannot_take_over_an_address_that_is_in_use() {
    let mut pair = pair();
    pair.establish(SERVER, 80);
    let lie = arp(
        ArpOperation::Reply,
        (STRANGER_MAC, SERVER),
        (CLIENT_MAC, CLIENT),
        CLIENT_MAC,
    );
    pair.client.receive(pair.now, &lie);
    assert_eq!(macs_used(&mut pair, SERVER), [SERVER_MAC]);
}

#[test]
fn a_request_for_our_address_is_answered_and_the_asker_learnt() {
    let mut pair = pair();
    let request = arp(
        ArpOperation::Request,
        (SERVER_MAC, SERVER),
        (MacAddr::UNSPECIFIED, CLIENT),
        MacAddr::BROADCAST,
    );
    pair.client.receive(pair.now, &request);
    let (outer, inner) = header(&pair.client.drain(pair.now)[0]);
    assert_eq!((outer.destination, outer.source), (SERVER_MAC, CLIENT_MAC));
    let reply = ArpPacket::parse(&inner).unwrap();
    assert_eq!(reply.operation, ArpOperation::Reply);
    assert_eq!(
        (reply.sender_mac, reply.sender_ip),
        (CLIENT_MAC, CLIENT.parse().unwrap())
    );
    assert_eq!(macs_used(&mut pair, SERVER), [SERVER_MAC]);
}

/// RFC 5227 2.1.1 and RFC 4862 5.4: who asks whether an address is free is told that it is not, and not learnt.
#[test]
fn a_probe_for_our_address_is_answered() {
    let mut pair = pair();
    let probe = arp(
        ArpOperation::Request,
        (STRANGER_MAC, "0.0.0.0"),
        (MacAddr::UNSPECIFIED, CLIENT),
        MacAddr::BROADCAST,
    );
    pair.client.receive(pair.now, &probe);
    assert_eq!(pair.client.drain(pair.now).len(), 1);

    let target: core::net::Ipv6Addr = CLIENT6.parse().unwrap();
    let group = solicited_node(target);
    let asked = NdpMessage::NeighborSolicitation(NeighborSolicitation {
        target,
        source_link: None,
    });
    let mut packet = craft::icmpv6(addr("::"), group.into(), &Icmpv6Message::Ndp(asked));
    packet[7] = 255;
    let probe = frame(
        STRANGER_MAC,
        MacAddr::of_ipv6_group(group),
        EtherType::IPV6,
        &packet,
    );
    pair.client.receive(pair.now, &probe);
    let (outer, inner) = header(&pair.client.drain(pair.now)[0]);
    let all: core::net::Ipv6Addr = "ff02::1".parse().unwrap();
    assert_eq!(outer.destination, MacAddr::of_ipv6_group(all));
    let (ip, _) = Ipv6Header::parse(&inner).unwrap();
    assert_eq!(ip.destination, all);
    let message = Icmpv6Message::parse(&inner[40..], ip.source, ip.destination).unwrap();
    let Icmpv6Message::Ndp(NdpMessage::NeighborAdvertisement(told)) = message else {
        panic!("{message:?}")
    };
    assert!(!told.solicited && told.override_entry && told.target == target);
}

#[test]
fn a_solicitation_that_a_router_passed_on_is_ignored() {
    let mut pair = pair();
    let target: core::net::Ipv6Addr = CLIENT6.parse().unwrap();
    let asked = NdpMessage::NeighborSolicitation(NeighborSolicitation {
        target,
        source_link: Some(STRANGER_MAC),
    });
    let packet = craft::icmpv6(addr(SERVER6), addr(CLIENT6), &Icmpv6Message::Ndp(asked));
    assert_eq!(packet[7], 64);
    pair.client.receive(
        pair.now,
        &frame(STRANGER_MAC, CLIENT_MAC, EtherType::IPV6, &packet),
    );
    assert!(pair.client.drain(pair.now).is_empty());
    assert_eq!(pair.client.stack.counters().neighbour_ignored, 1);
}

#[test]
fn frames_for_others_and_of_other_kinds_are_ignored() {
    let mut pair = pair();
    pair.listen(80);
    let syn = craft::syn(addr(CLIENT), addr(SERVER), 4_000);
    for ignored in [
        frame(CLIENT_MAC, STRANGER_MAC, EtherType::IPV4, &syn),
        frame(CLIENT_MAC, SERVER_MAC, EtherType(0x88cc), &syn),
        // A packet to one host in a frame to all (RFC 1122 3.3.6).
        frame(CLIENT_MAC, MacAddr::BROADCAST, EtherType::IPV4, &syn),
        vec![0; 13],
    ] {
        pair.server.receive(pair.now, &ignored);
        assert!(pair.server.drain(pair.now).is_empty());
    }
    let counters = pair.server.stack.counters();
    assert_eq!(
        (
            counters.frames_ignored,
            counters.frames_malformed,
            counters.ip_foreign_address
        ),
        (2, 1, 1)
    );
    let ping = frame(CLIENT_MAC, SERVER_MAC, EtherType::IPV4, &syn);
    pair.server.receive(pair.now, &ping);
    assert_eq!(
        pair.server.drain(pair.now).len(),
        1,
        "a question for the client's address"
    );
    let reply = arp(
        ArpOperation::Reply,
        (CLIENT_MAC, CLIENT),
        (SERVER_MAC, SERVER),
        SERVER_MAC,
    );
    pair.server.receive(pair.now, &reply);
    let (_, inner) = header(&pair.server.drain(pair.now)[0]);
    assert_eq!(
        craft::tcp_header(&inner).flags,
        TcpFlags::SYN | TcpFlags::ACK
    );
}

#[test]
fn groups_need_no_question() {
    let mut pair = pair();
    let id = pair.client.stack.udp_bind(None, 5_000).unwrap();
    let interface = pair.client.interface;
    let all = Prefix::new(addr("224.0.0.0"), 4);
    pair.client
        .stack
        .add_route(Route {
            destination: all,
            gateway: None,
            interface,
        })
        .unwrap();
    for (to, mac) in [
        (
            "224.0.0.251",
            MacAddr::of_ipv4_group([224, 0, 0, 251].into()),
        ),
        ("10.0.0.255", MacAddr::BROADCAST),
    ] {
        let payload = handwave_packet::Payload::from(bytes::Bytes::from_static(b"x"));
        pair.client
            .stack
            .udp_send_to(pair.now, id, endpoint(to, 5_353), payload)
            .unwrap();
        let (outer, _) = header(&pair.client.drain(pair.now)[0]);
        assert_eq!(outer.destination, mac);
    }
}

/// RFC 6980 5: neighbour discovery does not come in fragments.
#[test]
fn a_solicitation_in_fragments_is_ignored() {
    let mut pair = pair();
    let target: core::net::Ipv6Addr = CLIENT6.parse().unwrap();
    let asked = NeighborSolicitation {
        target,
        source_link: Some(STRANGER_MAC),
    };
    let message = Icmpv6Message::Ndp(NdpMessage::NeighborSolicitation(asked));
    let whole = craft::icmpv6(addr(SERVER6), addr(CLIENT6), &message);
    let payload = craft::upper(&whole);
    for (offset, more, piece) in [(0, true, &payload[..24]), (24, false, &payload[24..])] {
        let mut octets = vec![0; 48];
        let header = FragmentHeader {
            next_header: IpProtocol::ICMPV6,
            offset,
            more,
            identification: 1,
        };
        header.emit(&mut octets[40..]);
        let (ip, _) = Ipv6Header::parse(&whole).unwrap();
        let ip = Ipv6Header {
            next_header: IpProtocol::FRAGMENT,
            payload_len: u16::try_from(piece.len() + 8).unwrap(),
            hop_limit: 255,
            ..ip
        };
        ip.emit(&mut octets);
        octets.extend_from_slice(piece);
        pair.client.receive(
            pair.now,
            &frame(STRANGER_MAC, CLIENT_MAC, EtherType::IPV6, &octets),
        );
    }
    assert_eq!(pair.client.stack.counters().reassembled, 1);
    assert_eq!(pair.client.stack.counters().neighbour_ignored, 1);
    assert!(pair.client.drain(pair.now).is_empty());
}
