//! ICMP in and out: who is told what, who is believed, and what is never answered.
#![allow(clippy::panic, reason = "a test that cannot go on has failed")]

mod common;

use common::*;
use core::time::Duration;
use handwave_stack::{ConnectionId, Events, ListenerConfig, RateLimit, SocketId, StackConfig};
use handwave_tcp::{ConnectionError, Phase, ReceiveError, Unreachable};
use handwave_wire::icmpv4::{
    Echo, Icmpv4ErrorKind, Icmpv4Message, Icmpv4Unreachable, Prohibited, QuotedPacket, TimeExceeded,
};
use handwave_wire::icmpv6::{
    Icmpv6ErrorKind, Icmpv6Message, Icmpv6Unreachable, ParameterProblemCode,
};
use handwave_wire::{IpProtocol, TcpFlags};

const ECHO: Echo<'static> = Echo {
    identifier: 7,
    sequence: 3,
    data: b"are you there?",
};
const ROUTER: &str = "10.0.0.254";

/// Hands `packet` to the client and returns what it answers.
fn answers(pair: &mut Pair, packet: &[u8]) -> Vec<Vec<u8>> {
    pair.client.receive(pair.now, packet);
    let packets = pair.client.drain(pair.now);
    packets.iter().map(|packet| packet.to_vec()).collect()
}

/// A SYN of the client that nobody answers, as it left.
fn unanswered_syn(pair: &mut Pair, to: &str) -> (ConnectionId, Vec<u8>) {
    let id = pair.connect(to, 80);
    let packets = pair.client.drain(pair.now);
    assert_eq!(packets.len(), 1);
    (id, packets[0].to_vec())
}

fn unreachable(why: Icmpv4Unreachable) -> Icmpv4ErrorKind {
    Icmpv4ErrorKind::Unreachable(why)
}

/// [RFC1122-7]: octet for octet.
#[test]
fn an_echo_request_is_answered() {
    let mut pair = Pair::new();
    let ping = craft::icmpv4(
        addr(SERVER),
        addr(CLIENT),
        &Icmpv4Message::EchoRequest(ECHO),
    );
    let pong = answers(&mut pair, &ping);
    assert_eq!(pong.len(), 1);
    assert_eq!(
        Icmpv4Message::parse(craft::upper(&pong[0])),
        Ok(Icmpv4Message::EchoReply(ECHO))
    );

    let ping = craft::icmpv6(
        addr(SERVER6),
        addr(CLIENT6),
        &Icmpv6Message::EchoRequest(ECHO),
    );
    let pong = answers(&mut pair, &ping);
    let parsed = Icmpv6Message::parse(
        craft::upper(&pong[0]),
        CLIENT6.parse().unwrap(),
        SERVER6.parse().unwrap(),
    );
    assert_eq!(parsed, Ok(Icmpv6Message::EchoReply(ECHO)));
    assert_eq!(pair.client.stack.counters().icmp_echoes, 2);
}

/// [RFC1122-8]: silence.
#[test]
fn echoes_to_a_group_are_not_answered() {
    let mut pair = Pair::new();
    for to in ["10.0.0.255", "255.255.255.255", "224.0.0.1"] {
        let ping = craft::icmpv4(addr(SERVER), addr(to), &Icmpv4Message::EchoRequest(ECHO));
        assert!(answers(&mut pair, &ping).is_empty(), "{to}");
    }
    let ping = craft::icmpv6(
        addr(SERVER6),
        addr("ff02::1"),
        &Icmpv6Message::EchoRequest(ECHO),
    );
    assert!(answers(&mut pair, &ping).is_empty());
}

#[test]
fn echoes_have_a_rate() {
    let echo_rate = RateLimit {
        per_second: 10,
        burst: 5,
    };
    let mut pair = Pair::with(
        StackConfig {
            echo_rate,
            ..stack_config()
        },
        stack_config(),
    );
    let ping = craft::icmpv4(
        addr(SERVER),
        addr(CLIENT),
        &Icmpv4Message::EchoRequest(ECHO),
    );
    let answered = (0..20)
        .filter(|_| !answers(&mut pair, &ping).is_empty())
        .count();
    assert!((4..=5).contains(&answered), "{answered}");
    let counters = pair.client.stack.counters();
    assert_eq!(counters.icmp_echoes + counters.icmp_echoes_limited, 20);
}

#[test]
fn a_damaged_message_is_only_counted() {
    let mut pair = Pair::new();
    let mut ping = craft::icmpv4(
        addr(SERVER),
        addr(CLIENT),
        &Icmpv4Message::EchoRequest(ECHO),
    );
    *ping.last_mut().unwrap() ^= 1;
    assert!(answers(&mut pair, &ping).is_empty());
    assert_eq!(pair.client.stack.counters().icmp_checksum_errors, 1);
    let short = craft::ip(addr(SERVER), addr(CLIENT), IpProtocol::ICMP, &[8, 0, 0]);
    assert!(answers(&mut pair, &short).is_empty());
    assert_eq!(pair.client.stack.counters().icmp_malformed, 1);
}

/// [RFC1122-4]: what is quoted is long enough to be recognised.
#[test]
fn a_datagram_to_a_closed_port_is_reported_with_what_it_said() {
    let mut pair = Pair::new();
    let datagram = craft::udp(addr(SERVER), addr(CLIENT), (4_000, 53), b"anybody?");
    let report = answers(&mut pair, &datagram);
    let Ok(Icmpv4Message::Error(error)) = Icmpv4Message::parse(craft::upper(&report[0])) else {
        panic!("an error is expected")
    };
    assert_eq!(error.kind, unreachable(Icmpv4Unreachable::Port));
    assert_eq!(error.quoted, datagram);

    let datagram = craft::udp(addr(SERVER6), addr(CLIENT6), (4_000, 53), b"anybody?");
    let report = answers(&mut pair, &datagram);
    let message = Icmpv6Message::parse(
        craft::upper(&report[0]),
        CLIENT6.parse().unwrap(),
        SERVER6.parse().unwrap(),
    );
    let Ok(Icmpv6Message::Error(error)) = message else {
        panic!("an error is expected")
    };
    assert_eq!(
        error.kind,
        Icmpv6ErrorKind::Unreachable(Icmpv6Unreachable::Port)
    );
    assert_eq!(error.quoted, datagram);
}

/// [RFC1122-5]: protocol unreachable.
#[test]
fn an_unknown_protocol_is_reported() {
    let mut pair = Pair::new();
    let packet = craft::ip(addr(SERVER), addr(CLIENT), IpProtocol(132), &[0; 12]);
    let report = answers(&mut pair, &packet);
    let Ok(Icmpv4Message::Error(error)) = Icmpv4Message::parse(craft::upper(&report[0])) else {
        panic!("an error is expected")
    };
    assert_eq!(error.kind, unreachable(Icmpv4Unreachable::Protocol));

    let packet = craft::ip(addr(SERVER6), addr(CLIENT6), IpProtocol(132), &[0; 12]);
    let report = answers(&mut pair, &packet);
    let message = Icmpv6Message::parse(
        craft::upper(&report[0]),
        CLIENT6.parse().unwrap(),
        SERVER6.parse().unwrap(),
    );
    let Ok(Icmpv6Message::Error(error)) = message else {
        panic!("an error is expected")
    };
    let code = ParameterProblemCode::UnrecognizedNextHeader;
    assert_eq!(
        error.kind,
        Icmpv6ErrorKind::ParameterProblem { code, pointer: 6 }
    );
}

/// RFC 1122 3.2.2: no error about an error, about a packet to a group, or about a later fragment.
/// [RFC1122-3]: errors, groups, later fragments.
#[test]
fn what_must_not_be_reported_is_not() {
    let mut pair = Pair::new();
    let to_group = craft::udp(addr(SERVER), addr("10.0.0.255"), (4_000, 53), b"anybody?");
    assert!(answers(&mut pair, &to_group).is_empty());
    let inner = craft::udp(addr(CLIENT), addr(SERVER), (53, 4_000), b"");
    let error = craft::icmpv4_error(
        addr(SERVER),
        addr(CLIENT),
        unreachable(Icmpv4Unreachable::Port),
        &inner,
    );
    assert!(answers(&mut pair, &error).is_empty());
    assert_eq!(pair.client.stack.counters().icmp_errors_unmatched, 1);
}

#[test]
fn reports_have_a_rate() {
    let icmp_error_rate = RateLimit {
        per_second: 1,
        burst: 3,
    };
    let mut pair = Pair::with(
        StackConfig {
            icmp_error_rate,
            ..stack_config()
        },
        stack_config(),
    );
    let datagram = craft::udp(addr(SERVER), addr(CLIENT), (4_000, 53), b"anybody?");
    let reported = (0..10)
        .filter(|_| !answers(&mut pair, &datagram).is_empty())
        .count();
    assert_eq!(reported, 3);
    assert_eq!(pair.client.stack.counters().icmp_errors_limited, 7);
}

/// [MUST-54]: an error goes to the connection that caused it.
#[test]
fn a_hard_error_ends_the_attempt_that_it_quotes() {
    let mut pair = Pair::new();
    let (ours, syn) = unanswered_syn(&mut pair, SERVER);
    let (other, _) = unanswered_syn(&mut pair, SERVER);
    let error = craft::icmpv4_error(
        addr(ROUTER),
        addr(CLIENT),
        unreachable(Icmpv4Unreachable::Prohibited(Prohibited::Communication)),
        &syn,
    );
    assert!(answers(&mut pair, &error).is_empty());
    let lost = pair.client.stack.read(pair.now, ours, &mut [0; 1]);
    let why = ConnectionError::Unreachable(Unreachable::Prohibited);
    assert_eq!(lost, Err(ReceiveError::Lost(why)));
    assert_eq!(
        pair.client.phase(other),
        Some(Phase::SynSent),
        "the other one goes on"
    );
    assert_eq!(pair.client.stack.counters().icmp_errors_delivered, 1);

    let (ours, syn) = unanswered_syn(&mut pair, SERVER6);
    let kind = Icmpv6ErrorKind::Unreachable(Icmpv6Unreachable::Port);
    let error = craft::icmpv6_error(addr(SERVER6), addr(CLIENT6), kind, &syn);
    pair.client.receive(pair.now, &error);
    let lost = pair.client.stack.read(pair.now, ours, &mut [0; 1]);
    assert_eq!(
        lost,
        Err(ReceiveError::Lost(ConnectionError::Unreachable(
            Unreachable::Port
        )))
    );
}

/// [MUST-56]: soft errors never end a connection; the application hears of them.
#[test]
fn a_soft_error_is_told_and_the_connection_goes_on() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.establish(SERVER, 80);
    while pair.client.stack.poll_event().is_some() {}
    pair.client.stack.write(pair.now, ours, b"hello").unwrap();
    let sent = pair.client.drain(pair.now)[0].to_vec();
    for kind in [
        unreachable(Icmpv4Unreachable::Network),
        unreachable(Icmpv4Unreachable::Host),
        unreachable(Icmpv4Unreachable::SourceRouteFailed),
        Icmpv4ErrorKind::TimeExceeded(TimeExceeded::InTransit),
        Icmpv4ErrorKind::ParameterProblem {
            code: 0,
            pointer: 1,
        },
        // Hard errors are soft once the handshake is done (RFC 5927 5.2).
        unreachable(Icmpv4Unreachable::Port),
    ] {
        let error = craft::icmpv4_error(addr(ROUTER), addr(CLIENT), kind, &sent);
        pair.client.receive(pair.now, &error);
        let event = pair.client.stack.poll_event().unwrap();
        assert_eq!(event.socket, SocketId::Connection(ours));
        assert!(event.events.contains(Events::SOFT_ERROR), "{kind:?}");
    }
    pair.pass(Duration::from_secs(2));
    assert_eq!(pair.server.read_all(pair.now, theirs).unwrap(), b"hello");
}

#[test]
fn an_error_that_quotes_nothing_in_flight_is_not_believed() {
    let mut pair = Pair::new();
    let (ours, syn) = unanswered_syn(&mut pair, SERVER);
    let mut wrong_seq = syn.clone();
    wrong_seq[24..28].copy_from_slice(&[1, 2, 3, 4]);
    let mut wrong_port = syn.clone();
    wrong_port[21] ^= 1;
    let mut not_ours = syn.clone();
    not_ours[15] = 99;
    for quoted in [
        &wrong_seq[..],
        &wrong_port,
        &not_ours,
        &syn[..20],
        &syn[..24],
        &[],
    ] {
        let kind = unreachable(Icmpv4Unreachable::Port);
        let error = craft::icmpv4_error(addr(ROUTER), addr(CLIENT), kind, quoted);
        pair.client.receive(pair.now, &error);
    }
    assert_eq!(pair.client.phase(ours), Some(Phase::SynSent));
    assert_eq!(pair.client.stack.counters().icmp_errors_unmatched, 6);
    assert_eq!(pair.client.stack.counters().icmp_errors_delivered, 0);
}

/// [MUST-55], RFC 6633.
#[test]
fn source_quench_is_dropped_in_silence() {
    let mut pair = Pair::new();
    let (ours, _) = pair.establish(SERVER, 80);
    pair.client
        .stack
        .write(pair.now, ours, &[1; 4_000])
        .unwrap();
    let sent = pair.client.drain(pair.now)[0].to_vec();
    let window = pair.client.stack.connection(ours).unwrap().info().snd_cwnd;
    while pair.client.stack.poll_event().is_some() {}
    let body = [&[0; 4][..], &sent[..28]].concat();
    let quench = Icmpv4Message::Other {
        kind: 4,
        code: 0,
        body: &body,
    };
    let quench = craft::icmpv4(addr(ROUTER), addr(CLIENT), &quench);
    assert!(answers(&mut pair, &quench).is_empty());
    assert_eq!(
        pair.client.stack.connection(ours).unwrap().info().snd_cwnd,
        window
    );
    assert_eq!(pair.client.stack.poll_event(), None);
    assert_eq!(pair.client.stack.counters().icmp_source_quenches, 1);
}

#[test]
fn an_error_about_a_half_open_connection_forgets_it() {
    let mut pair = Pair::new();
    let listener = pair.listen(80);
    pair.connect(SERVER, 80);
    let mut answer = Vec::new();
    pair.settle_with(|from_client, octets| {
        if !from_client {
            answer = octets.to_vec();
        }
        from_client
    });
    assert_eq!(pair.server.stack.listener(listener).unwrap().half_open(), 1);
    let kind = unreachable(Icmpv4Unreachable::Port);
    let error = craft::icmpv4_error(addr(CLIENT), addr(SERVER), kind, &answer);
    pair.server.receive(pair.now, &error);
    assert_eq!(pair.server.stack.listener(listener).unwrap().half_open(), 0);
}

/// Segments larger than `mtu` are answered by a router with the report that a real one sends.
fn through_a_narrow_link(pair: &mut Pair, mtu: u16, reported: u16) -> usize {
    let mut reports = Vec::new();
    let now = pair.now;
    pair.settle_with(|from_client, octets| {
        if from_client && octets.len() > usize::from(mtu) {
            reports.push(octets.to_vec());
            return false;
        }
        true
    });
    for quoted in &reports {
        let report = match quoted[0] >> 4 {
            4 => {
                let kind = unreachable(Icmpv4Unreachable::FragmentationNeeded {
                    next_hop_mtu: reported,
                });
                craft::icmpv4_error(addr(ROUTER), addr(CLIENT), kind, quoted)
            }
            _ => {
                let kind = Icmpv6ErrorKind::PacketTooBig {
                    mtu: reported.into(),
                };
                craft::icmpv6_error(addr("2001:db8::fe"), addr(CLIENT6), kind, quoted)
            }
        };
        pair.client.receive(now, &report);
    }
    reports.len()
}

#[test]
fn a_narrow_link_is_learnt_and_the_connection_fits_it() {
    for (to, mtu) in [(SERVER, 1_200), (SERVER6, 1_300)] {
        let mut pair = Pair::new();
        let (ours, theirs) = pair.establish(to, 80);
        pair.client
            .stack
            .write(pair.now, ours, &[5; 20_000])
            .unwrap();
        assert!(through_a_narrow_link(&mut pair, mtu, mtu) > 0);
        assert_eq!(pair.client.stack.connection(ours).unwrap().info().pmtu, mtu);
        assert_eq!(pair.client.stack.counters().path_mtu_reduced, 1);
        for _ in 0..50 {
            assert_eq!(
                through_a_narrow_link(&mut pair, mtu, mtu),
                0,
                "nothing too large is sent again"
            );
            pair.pass(Duration::from_millis(100));
        }
        assert_eq!(
            pair.server.read_all(pair.now, theirs).unwrap().len(),
            20_000
        );
    }
}

#[test]
fn others_to_the_same_destination_learn_it_before_they_send() {
    let mut pair = Pair::new();
    let (ours, _) = pair.establish(SERVER, 80);
    let (other, _) = pair.establish(SERVER, 81);
    pair.client
        .stack
        .write(pair.now, ours, &[5; 20_000])
        .unwrap();
    through_a_narrow_link(&mut pair, 1_200, 1_200);
    pair.client
        .stack
        .write(pair.now, other, &[6; 20_000])
        .unwrap();
    assert_eq!(through_a_narrow_link(&mut pair, 1_200, 1_200), 0);
    assert_eq!(
        pair.client.stack.connection(other).unwrap().info().pmtu,
        1_200
    );
    // And a new one begins with it.
    let (late, _) = pair.establish(SERVER, 82);
    assert_eq!(
        pair.client.stack.connection(late).unwrap().info().pmtu,
        1_200
    );
    // After ten minutes the path may have grown.
    pair.pass(Duration::from_secs(601));
    pair.client
        .stack
        .write(pair.now, late, &[6; 2_000])
        .unwrap();
    pair.settle();
    assert_eq!(
        pair.client.stack.connection(late).unwrap().info().pmtu,
        1_500
    );
}

#[test]
fn implausible_path_mtus_are_not_believed() {
    let mut pair = Pair::new();
    let (ours, _) = pair.establish(SERVER, 80);
    let (ours6, _) = pair.establish(SERVER6, 81);
    for id in [ours, ours6] {
        pair.client.stack.write(pair.now, id, &[5; 20_000]).unwrap();
    }
    let sent: Vec<Vec<u8>> = pair
        .client
        .drain(pair.now)
        .iter()
        .map(|packet| packet.to_vec())
        .collect();
    let v4 = sent.iter().find(|octets| octets[0] >> 4 == 4).unwrap();
    let v6 = sent.iter().find(|octets| octets[0] >> 4 == 6).unwrap();
    // Not smaller than the packet, and below what IPv6 allows.
    let kind = unreachable(Icmpv4Unreachable::FragmentationNeeded {
        next_hop_mtu: 1_500,
    });
    pair.client.receive(
        pair.now,
        &craft::icmpv4_error(addr(ROUTER), addr(CLIENT), kind, v4),
    );
    let kind = Icmpv6ErrorKind::PacketTooBig { mtu: 1_279 };
    pair.client.receive(
        pair.now,
        &craft::icmpv6_error(addr("2001:db8::fe"), addr(CLIENT6), kind, v6),
    );
    assert_eq!(pair.client.stack.counters().path_mtu_reduced, 0);
    assert_eq!(pair.client.stack.counters().icmp_errors_unmatched, 2);
    // Absurdly small over IPv4: the floor is taken.
    let kind = unreachable(Icmpv4Unreachable::FragmentationNeeded { next_hop_mtu: 68 });
    pair.client.receive(
        pair.now,
        &craft::icmpv4_error(addr(ROUTER), addr(CLIENT), kind, v4),
    );
    assert_eq!(pair.client.stack.connection(ours).unwrap().info().pmtu, 552);
    assert_eq!(
        pair.client.stack.connection(ours6).unwrap().info().pmtu,
        1_500
    );
}

/// RFC 1191 5: an old router leaves the field zero; the next plateau below the packet is tried.
#[test]
fn a_router_that_names_no_mtu_is_guessed() {
    let mut pair = Pair::new();
    let (ours, _) = pair.establish(SERVER, 80);
    pair.client
        .stack
        .write(pair.now, ours, &[5; 20_000])
        .unwrap();
    through_a_narrow_link(&mut pair, 1_300, 0);
    assert_eq!(
        pair.client.stack.connection(ours).unwrap().info().pmtu,
        1_492
    );
}

#[test]
fn quoting_a_syn_needs_its_first_eight_octets_only() {
    let mut pair = Pair::new();
    let (ours, syn) = unanswered_syn(&mut pair, SERVER);
    let kind = unreachable(Icmpv4Unreachable::Protocol);
    let error = craft::icmpv4_error(addr(ROUTER), addr(CLIENT), kind, &syn[..28]);
    assert_eq!(
        QuotedPacket::parse_ipv4(&syn[..28])
            .unwrap()
            .ports
            .unwrap()
            .destination,
        80
    );
    pair.client.receive(pair.now, &error);
    assert_eq!(pair.client.phase(ours), Some(Phase::Closed));
}

#[test]
fn resets_have_a_rate() {
    let reset_rate = RateLimit {
        per_second: 1,
        burst: 4,
    };
    let mut pair = Pair::with(
        StackConfig {
            reset_rate,
            ..stack_config()
        },
        stack_config(),
    );
    let resets = (1..=10)
        .filter(|port| {
            let syn = craft::syn(addr(SERVER), addr(CLIENT), *port);
            let sent = answers(&mut pair, &syn);
            sent.iter()
                .any(|octets| craft::tcp_header(octets).flags.contains(TcpFlags::RST))
        })
        .count();
    assert_eq!(resets, 4);
    let counters = pair.client.stack.counters();
    assert_eq!((counters.tcp_no_port, counters.resets_limited), (10, 6));
    // Whoever listens is not affected.
    pair.client
        .stack
        .listen(80, ListenerConfig::default())
        .unwrap();
    let syn = craft::syn(addr(SERVER), addr(CLIENT), 99);
    assert_eq!(answers(&mut pair, &syn).len(), 1);
}

/// RFC 5927 7.2: a report cannot be about a packet that would have fitted.
#[test]
fn a_report_about_a_small_packet_is_not_believed() {
    let mut pair = Pair::new();
    let (ours, _) = pair.establish(SERVER, 80);
    pair.client.stack.write(pair.now, ours, b"small").unwrap();
    let small = pair.client.drain(pair.now)[0].to_vec();
    let kind = unreachable(Icmpv4Unreachable::FragmentationNeeded {
        next_hop_mtu: 1_400,
    });
    let report = craft::icmpv4_error(addr(ROUTER), addr(CLIENT), kind, &small);
    pair.client.receive(pair.now, &report);
    assert_eq!(
        pair.client.stack.connection(ours).unwrap().info().pmtu,
        1_500
    );
    assert_eq!(pair.client.stack.counters().icmp_errors_unmatched, 1);
}
