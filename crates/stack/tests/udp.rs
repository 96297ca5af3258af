//! UDP between two stacks: ports, checksums, fragments, limits, errors.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use bytes::Bytes;
use common::*;
use core::time::Duration;
use handwave_packet::Payload;
use handwave_stack::{
    BindError, Events, PortRange, SocketId, StackConfig, UdpId, UdpLimits, UdpSendError,
};
use handwave_tcp::{Endpoint, Unreachable};

fn send(pair: &mut Pair, from: UdpId, to: Endpoint, text: &[u8]) {
    let payload = Payload::from(Bytes::copy_from_slice(text));
    pair.client
        .stack
        .udp_send_to(pair.now, from, to, payload)
        .unwrap();
}

fn received(pair: &mut Pair, id: UdpId) -> Option<Vec<u8>> {
    pair.server
        .stack
        .udp_recv_from(id)
        .map(|datagram| datagram.payload.to_vec())
}

#[test]
fn datagrams_go_there_and_back() {
    for (ours, theirs) in [(CLIENT, SERVER), (CLIENT6, SERVER6)] {
        let mut pair = Pair::new();
        let client = pair.client.stack.udp_bind(None, 5_000).unwrap();
        let server = pair.server.stack.udp_bind(None, 53).unwrap();
        send(&mut pair, client, endpoint(theirs, 53), b"question");
        pair.settle();
        let event = pair.server.stack.poll_event().unwrap();
        assert_eq!(
            (event.socket, event.events),
            (SocketId::Udp(server), Events::READABLE)
        );
        let datagram = pair.server.stack.udp_recv_from(server).unwrap();
        assert_eq!(datagram.source, endpoint(ours, 5_000));
        assert_eq!(datagram.destination, endpoint(theirs, 53));
        assert_eq!(datagram.payload.to_vec(), b"question");

        let answer = Payload::from(Bytes::from_static(b"answer"));
        pair.server
            .stack
            .udp_send_to(pair.now, server, datagram.source, answer)
            .unwrap();
        pair.settle();
        let datagram = pair.client.stack.udp_recv_from(client).unwrap();
        assert_eq!(datagram.payload.to_vec(), b"answer");
        assert_eq!(pair.client.stack.udp_recv_from(client), None);
        assert_eq!(pair.client.stack.held_memory(), 0);
    }
}

#[test]
fn an_exact_address_goes_before_any_and_ports_conflict() {
    let mut pair = Pair::new();
    let client = pair.client.stack.udp_bind(None, 5_000).unwrap();
    let host = &mut pair.server.stack;
    let any = host.udp_bind(None, 53).unwrap();
    let exact = host.udp_bind(Some(addr(SERVER)), 53).unwrap();
    assert_eq!(host.udp_bind(None, 53), Err(BindError::InUse));
    assert_eq!(host.udp_bind(Some(addr(SERVER)), 53), Err(BindError::InUse));
    assert_eq!(
        host.udp_bind(Some(addr("192.0.2.1")), 53),
        Err(BindError::NotLocal)
    );
    send(&mut pair, client, endpoint(SERVER, 53), b"four");
    send(&mut pair, client, endpoint(SERVER6, 53), b"six");
    pair.settle();
    assert_eq!(received(&mut pair, exact), Some(b"four".to_vec()));
    assert_eq!(received(&mut pair, any), Some(b"six".to_vec()));
    pair.server.stack.udp_close(exact);
    send(&mut pair, client, endpoint(SERVER, 53), b"again");
    pair.settle();
    assert_eq!(received(&mut pair, any), Some(b"again".to_vec()));
    assert_eq!(received(&mut pair, exact), None, "the handle names nothing");
}

#[test]
fn port_zero_takes_an_ephemeral_port_until_there_is_none() {
    let ephemeral_ports = PortRange {
        first: 50_000,
        last: 50_003,
    };
    let mut pair = Pair::with(
        StackConfig {
            ephemeral_ports,
            ..stack_config()
        },
        stack_config(),
    );
    let mut ports = Vec::new();
    while let Ok(id) = pair.client.stack.udp_bind(None, 0) {
        ports.push(pair.client.stack.udp_local(id).unwrap().1);
    }
    ports.sort_unstable();
    assert_eq!(ports, [50_000, 50_001, 50_002, 50_003]);
    assert_eq!(pair.client.stack.udp_bind(None, 0), Err(BindError::NoPort));
}

/// RFC 768 and RFC 8200 8.1: no checksum is allowed over IPv4 only.
/// [RFC1122-12]: zero stands for no checksum, anything else has to be right.
#[test]
fn a_checksum_of_zero_is_for_ipv4_only() {
    let mut pair = Pair::new();
    let id = pair.server.stack.udp_bind(None, 53).unwrap();
    let mut datagram = craft::udp(addr(CLIENT), addr(SERVER), (1, 53), b"text");
    datagram[26..28].copy_from_slice(&[0, 0]);
    pair.server.receive(pair.now, &datagram);
    assert_eq!(received(&mut pair, id), Some(b"text".to_vec()));
    let mut datagram = craft::udp(addr(CLIENT6), addr(SERVER6), (1, 53), b"text");
    datagram[46..48].copy_from_slice(&[0, 0]);
    pair.server.receive(pair.now, &datagram);
    assert_eq!(received(&mut pair, id), None);
    let mut datagram = craft::udp(addr(CLIENT), addr(SERVER), (1, 53), b"text");
    datagram[30] ^= 1;
    pair.server.receive(pair.now, &datagram);
    assert_eq!(received(&mut pair, id), None);
    assert_eq!(pair.server.stack.counters().udp_checksum_errors, 2);
}

#[test]
fn the_length_field_is_believed_only_within_the_packet() {
    let mut pair = Pair::new();
    let id = pair.server.stack.udp_bind(None, 53).unwrap();
    for (len, fits) in [
        ([0, 7], false),
        ([0, 13], false),
        ([255, 255], false),
        ([0, 10], true),
    ] {
        let mut datagram = craft::udp(addr(CLIENT), addr(SERVER), (1, 53), b"text");
        datagram[24..26].copy_from_slice(&len);
        datagram[26..28].copy_from_slice(&[0, 0]);
        pair.server.receive(pair.now, &datagram);
        assert_eq!(
            received(&mut pair, id),
            fits.then(|| b"te".to_vec()),
            "{len:?}"
        );
    }
    assert_eq!(pair.server.stack.counters().udp_malformed, 3);
}

#[test]
fn what_does_not_fit_is_cut_and_put_together() {
    for to in [SERVER, SERVER6] {
        let mut pair = Pair::new();
        let client = pair.client.stack.udp_bind(None, 5_000).unwrap();
        let server = pair.server.stack.udp_bind(None, 53).unwrap();
        for len in [1_452, 1_453, 1_472, 1_473, 1_480, 2_952, 10_000, 65_507] {
            let text: Vec<u8> = (0..len)
                .map(|n: u32| n.to_le_bytes()[0] ^ n.to_le_bytes()[1])
                .collect();
            send(&mut pair, client, endpoint(to, 53), &text);
            let mut largest = 0;
            pair.settle_with(|_, octets| {
                largest = largest.max(octets.len());
                true
            });
            assert!(largest <= 1_500, "{len} octets to {to}");
            let got = received(&mut pair, server);
            assert!(got.as_deref() == Some(&text[..]), "{len} octets to {to}");
        }
        assert!(pair.client.stack.counters().fragmented >= 5);
    }
}

#[test]
fn a_full_queue_drops_what_comes_last() {
    let udp = UdpLimits {
        datagrams_max: 3,
        octets_max: 10_000,
    };
    let mut pair = Pair::with(
        stack_config(),
        StackConfig {
            udp,
            ..stack_config()
        },
    );
    let client = pair.client.stack.udp_bind(None, 5_000).unwrap();
    let server = pair.server.stack.udp_bind(None, 53).unwrap();
    for text in [b"1", b"2", b"3", b"4", b"5"] {
        send(&mut pair, client, endpoint(SERVER, 53), text);
    }
    pair.settle();
    assert_eq!(pair.server.stack.counters().udp_queue_full, 2);
    for text in [b"1", b"2", b"3"] {
        assert_eq!(received(&mut pair, server), Some(text.to_vec()));
    }
    assert_eq!(received(&mut pair, server), None);
}

/// RFC 1122 4.1.3.3: an ICMP error is passed to the application.
#[test]
fn a_port_that_nobody_has_is_reported_once() {
    for to in [SERVER, SERVER6] {
        let mut pair = Pair::new();
        let client = pair.client.stack.udp_bind(None, 5_000).unwrap();
        send(&mut pair, client, endpoint(to, 54), b"anybody?");
        pair.settle();
        let event = pair.client.stack.poll_event().unwrap();
        assert_eq!(
            (event.socket, event.events),
            (SocketId::Udp(client), Events::SOFT_ERROR)
        );
        let again = Payload::from(Bytes::from_static(b"again"));
        let refused = pair
            .client
            .stack
            .udp_send_to(pair.now, client, endpoint(to, 54), again);
        assert_eq!(refused, Err(UdpSendError::Unreachable(Unreachable::Port)));
        send(&mut pair, client, endpoint(to, 54), b"told once");
    }
}

#[test]
fn a_forged_report_about_a_peer_never_written_to_is_not_believed() {
    use handwave_wire::icmpv4::{Icmpv4ErrorKind, Icmpv4Unreachable};
    let mut pair = Pair::new();
    let client = pair.client.stack.udp_bind(None, 5_000).unwrap();
    send(&mut pair, client, endpoint(SERVER, 53), b"x");
    pair.client.drain(pair.now);
    let forged = craft::udp(addr(CLIENT), addr("10.0.0.77"), (5_000, 53), &[0; 1_000]);
    for kind in [
        Icmpv4Unreachable::Port,
        Icmpv4Unreachable::FragmentationNeeded { next_hop_mtu: 600 },
    ] {
        let kind = Icmpv4ErrorKind::Unreachable(kind);
        let report = craft::icmpv4_error(addr("10.0.0.77"), addr(CLIENT), kind, &forged);
        pair.client.receive(pair.now, &report);
    }
    assert_eq!(pair.client.stack.poll_event(), None);
    assert_eq!(pair.client.stack.counters().path_mtu_reduced, 0);
    assert_eq!(pair.client.stack.counters().icmp_errors_unmatched, 2);
}

#[test]
fn impossible_datagrams_are_refused() {
    let mut pair = Pair::with(
        StackConfig {
            transmit_queue_max: 2,
            ..stack_config()
        },
        stack_config(),
    );
    let id = pair.client.stack.udp_bind(None, 5_000).unwrap();
    let bound = pair
        .client
        .stack
        .udp_bind(Some(addr(CLIENT)), 5_001)
        .unwrap();
    let now = pair.now;
    let mut try_send = |id, to, len| {
        pair.client
            .stack
            .udp_send_to(now, id, to, Payload::from(Bytes::from(vec![0; len])))
    };
    assert_eq!(
        try_send(id, endpoint(SERVER, 0), 1),
        Err(UdpSendError::NoPort)
    );
    assert_eq!(
        try_send(id, endpoint(SERVER, 53), 65_508),
        Err(UdpSendError::TooLong)
    );
    assert_eq!(
        try_send(id, endpoint("192.0.2.1", 53), 1),
        Err(UdpSendError::NoRoute)
    );
    assert_eq!(
        try_send(bound, endpoint(SERVER6, 53), 1),
        Err(UdpSendError::NoRoute)
    );
    assert_eq!(
        try_send(UdpId::from_bits(99), endpoint(SERVER, 53), 1),
        Err(UdpSendError::NoSocket)
    );
    assert_eq!(try_send(id, endpoint(SERVER, 53), 1), Ok(()));
    assert_eq!(try_send(id, endpoint(SERVER, 53), 1), Ok(()));
    assert_eq!(
        try_send(id, endpoint(SERVER, 53), 1),
        Err(UdpSendError::QueueFull)
    );
}

#[test]
fn a_host_sends_to_itself_and_to_everybody() {
    let mut pair = Pair::new();
    let client = pair.client.stack.udp_bind(None, 5_000).unwrap();
    let server = pair.server.stack.udp_bind(None, 5_000).unwrap();
    send(&mut pair, client, endpoint(CLIENT, 5_000), b"myself");
    assert!(pair.client.drain(pair.now).is_empty());
    let datagram = pair.client.stack.udp_recv_from(client).unwrap();
    assert_eq!(datagram.payload.to_vec(), b"myself");
    send(&mut pair, client, endpoint("10.0.0.255", 5_000), b"all");
    pair.settle();
    assert_eq!(received(&mut pair, server), Some(b"all".to_vec()));
    pair.pass(Duration::from_secs(1));
}

/// A sender that does no path MTU discovery leaves it to routers to cut its packets (RFC 8900 gives the history).
#[test]
fn datagrams_may_be_cut_on_their_way_and_can_be_told_apart() {
    use handwave_wire::ipv4::Ipv4Header;
    let mut pair = Pair::new();
    let client = pair.client.stack.udp_bind(None, 5_000).unwrap();
    let mut seen = Vec::new();
    for _ in 0..3 {
        send(&mut pair, client, endpoint(SERVER, 53), &[1; 2_000]);
        send(&mut pair, client, endpoint(SERVER, 53), b"small");
        for packet in pair.client.drain(pair.now) {
            let (header, _) = Ipv4Header::parse(&packet.to_vec()).unwrap();
            assert!(!header.dont_fragment);
            seen.push(header.identification);
        }
    }
    assert_eq!(seen.len(), 9);
    // Two fragments share theirs; each datagram has the next.
    let first = seen[0];
    let expected = [0, 0, 1, 2, 2, 3, 4, 4, 5].map(|n| first.wrapping_add(n));
    assert_eq!(seen, expected);
}
