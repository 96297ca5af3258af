//! Every table has a limit, a counter and a behaviour at the limit.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod common;

use bytes::Bytes;
use common::*;
use core::time::Duration;
use handwave_packet::Payload;
use handwave_stack::{
    BindError, ConnectError, ConnectOptions, ConnectionId, ListenError, ListenerConfig, PortRange,
    RateLimit, SocketSummary, StackConfig, TimeWaitOverflow,
};
use handwave_tcp::{Phase, Pressure};
use handwave_wire::TcpFlags;
use std::collections::BTreeSet;

/// Whether a packet is a RST.
fn is_reset(octets: &[u8]) -> bool {
    craft::tcp_header(octets).flags.contains(TcpFlags::RST)
}

#[test]
fn one_orphan_too_many_is_reset() {
    let mut pair = Pair::with(
        StackConfig {
            orphans_max: 1,
            ..stack_config()
        },
        stack_config(),
    );
    let (first, _) = pair.establish(SERVER, 80);
    let (second, _) = pair.establish(SERVER, 81);
    // The server never closes, so the orphans stay in FIN-WAIT-2.
    pair.client.stack.release(pair.now, first);
    let mut resets = 0;
    pair.settle_with(|_, octets| {
        resets += usize::from(is_reset(octets));
        true
    });
    assert_eq!(resets, 0);
    pair.client.stack.release(pair.now, second);
    pair.settle_with(|_, octets| {
        resets += usize::from(is_reset(octets));
        true
    });
    assert_eq!(resets, 1);
    assert_eq!(pair.client.stack.counters().orphans_refused, 1);
    let orphans = |pair: &Pair| {
        let all = pair.client.stack.sockets();
        all.filter(|socket| matches!(socket, SocketSummary::Connection { orphan: true, .. }))
            .count()
    };
    assert_eq!(orphans(&pair), 1);
    // And the one that stayed does not stay for ever.
    pair.pass(Duration::from_secs(61));
    assert_eq!(orphans(&pair), 0);
}

/// Opens and closes `count` connections from the client; each leaves a TIME-WAIT record there.
fn leave_time_waits(pair: &mut Pair, count: u16) {
    for port in 0..count {
        let (ours, theirs) = pair.establish(SERVER, 1_000 + port);
        pair.client.stack.release(pair.now, ours);
        pair.settle();
        pair.server.stack.release(pair.now, theirs);
        pair.settle();
        pair.now += Duration::from_secs(1);
    }
}

fn time_wait_ports(pair: &Pair) -> BTreeSet<u16> {
    let all = pair.client.stack.sockets();
    all.filter_map(|socket| match socket {
        SocketSummary::TimeWait { tuple, .. } => Some(tuple.remote.port),
        _ => None,
    })
    .collect()
}

#[test]
fn a_full_table_of_time_waits_drops_the_new_or_evicts_the_oldest() {
    for (time_wait_overflow, kept) in [
        (TimeWaitOverflow::DropNew, [1_000, 1_001]),
        (TimeWaitOverflow::EvictOldest, [1_002, 1_003]),
    ] {
        let config = StackConfig {
            time_wait_max: 2,
            time_wait_overflow,
            ..stack_config()
        };
        let mut pair = Pair::with(config, stack_config());
        leave_time_waits(&mut pair, 4);
        assert_eq!(
            time_wait_ports(&pair),
            BTreeSet::from(kept),
            "{time_wait_overflow:?}"
        );
        assert_eq!(pair.client.stack.counters().time_wait_overflows, 2);
    }
}

#[test]
fn time_waits_end_after_twice_the_segment_lifetime() {
    let mut pair = Pair::new();
    leave_time_waits(&mut pair, 3);
    assert_eq!(time_wait_ports(&pair).len(), 3);
    pair.pass(Duration::from_secs(56));
    assert_eq!(time_wait_ports(&pair).len(), 3);
    pair.pass(Duration::from_secs(5));
    assert_eq!(time_wait_ports(&pair).len(), 0);
}

#[test]
fn tables_of_sockets_have_a_size() {
    let config = StackConfig {
        connections_max: 2,
        listeners_max: 1,
        udp_sockets_max: 1,
        ..stack_config()
    };
    let mut pair = Pair::with(config, stack_config());
    let host = &mut pair.client.stack;
    for _ in 0..2 {
        host.connect(pair.now, endpoint(SERVER, 80), ConnectOptions::default())
            .unwrap();
    }
    let third = host.connect(pair.now, endpoint(SERVER, 80), ConnectOptions::default());
    assert_eq!(third, Err(ConnectError::TooMany));
    assert_eq!(host.counters().connections_refused, 1);
    host.listen(1, ListenerConfig::default()).unwrap();
    assert_eq!(
        host.listen(2, ListenerConfig::default()),
        Err(ListenError::TooMany)
    );
    host.udp_bind(None, 1).unwrap();
    assert_eq!(host.udp_bind(None, 2), Err(BindError::TooMany));
}

#[test]
fn ephemeral_ports_run_out_for_one_destination_only() {
    let ephemeral_ports = PortRange {
        first: 40_000,
        last: 40_002,
    };
    let mut pair = Pair::with(
        StackConfig {
            ephemeral_ports,
            ..stack_config()
        },
        stack_config(),
    );
    let connect = |pair: &mut Pair, port| {
        pair.client
            .stack
            .connect(pair.now, endpoint(SERVER, port), ConnectOptions::default())
    };
    let ids: Vec<ConnectionId> = (0..3).map(|_| connect(&mut pair, 80).unwrap()).collect();
    assert_eq!(connect(&mut pair, 80), Err(ConnectError::NoPort));
    for _ in 0..3 {
        connect(&mut pair, 81).unwrap();
    }
    assert_eq!(connect(&mut pair, 81), Err(ConnectError::NoPort));
    // A port is free again as soon as its connection is over.
    pair.client.stack.abort(pair.now, ids[1]);
    pair.client.drain(pair.now);
    connect(&mut pair, 80).unwrap();
}

#[test]
fn full_memory_refuses_new_work_until_it_is_read() {
    let config = StackConfig {
        memory_soft: 50_000,
        memory_hard: 100_000,
        ..stack_config()
    };
    let mut pair = Pair::with(stack_config(), config);
    pair.server.stack.udp_bind(None, 53).unwrap();
    let udp = pair.client.stack.udp_bind(None, 5_000).unwrap();
    let (ours, theirs) = pair.establish(SERVER, 80);
    pair.client
        .stack
        .write(pair.now, ours, &[1; 200_000])
        .unwrap();
    pair.pass(Duration::from_secs(5));
    assert_eq!(pair.server.stack.host().pressure, Pressure::Hard);
    let held = pair.server.stack.held_memory();
    assert!(held >= 100_000);

    let refused =
        pair.server
            .stack
            .connect(pair.now, endpoint(CLIENT, 80), ConnectOptions::default());
    assert_eq!(refused, Err(ConnectError::NoMemory));
    let late = pair.connect(SERVER, 80);
    let datagram = Payload::from(Bytes::from_static(b"x"));
    pair.client
        .stack
        .udp_send_to(pair.now, udp, endpoint(SERVER, 53), datagram)
        .unwrap();
    pair.settle();
    assert_eq!(pair.client.phase(late), Some(Phase::SynSent));
    assert!(pair.server.stack.counters().memory_refused >= 3);

    let mut read = 0;
    while read < 200_000 {
        read += pair.server.read_all(pair.now, theirs).unwrap().len();
        pair.pass(Duration::from_millis(200));
    }
    assert_eq!(pair.server.stack.host().pressure, Pressure::None);
    pair.pass(Duration::from_secs(2));
    assert_eq!(pair.client.phase(late), Some(Phase::Established));
    assert_eq!(pair.server.stack.held_memory(), 0);
}

#[test]
fn packets_that_nobody_polls_are_bounded() {
    let reset_rate = RateLimit {
        per_second: 1_000_000,
        burst: 1_000_000,
    };
    let config = StackConfig {
        transmit_queue_max: 10,
        reset_rate,
        ..stack_config()
    };
    let mut pair = Pair::with(config, stack_config());
    for port in 1..=100 {
        pair.client
            .receive(pair.now, &craft::syn(addr(SERVER), addr(CLIENT), port));
    }
    assert_eq!(pair.client.stack.counters().transmit_queue_full, 90);
    assert_eq!(pair.client.drain(pair.now).len(), 10);
    assert_eq!(pair.client.stack.held_memory(), 0);
}

#[test]
fn connections_take_turns() {
    let mut pair = Pair::new();
    let (first, _) = pair.establish(SERVER, 80);
    let (second, _) = pair.establish(SERVER, 81);
    // Grow the windows first.
    for _ in 0..3 {
        for id in [first, second] {
            pair.client.stack.write(pair.now, id, &[1; 60_000]).unwrap();
        }
        pair.pass(Duration::from_secs(1));
    }
    for id in [first, second] {
        pair.client.stack.write(pair.now, id, &[1; 60_000]).unwrap();
    }
    let packets = pair.client.drain(pair.now);
    let ports: Vec<u16> = packets
        .iter()
        .map(|packet| craft::tcp_header(&packet.to_vec()).destination_port)
        .collect();
    assert!(
        ports.len() > 40,
        "each has more to send than a turn allows: {}",
        ports.len()
    );
    let second_turn = ports.iter().position(|port| *port == 81).unwrap();
    assert!(
        second_turn <= 16,
        "the first one gave way after {second_turn} segments"
    );
}

#[test]
fn a_thousand_connections_leave_nothing_behind() {
    let mut pair = Pair::new();
    let listener = pair
        .server
        .stack
        .listen(
            80,
            ListenerConfig {
                accept_queue_max: 2_000,
                ..ListenerConfig::default()
            },
        )
        .unwrap();
    let ours: Vec<ConnectionId> = (0..1_000).map(|_| pair.connect(SERVER, 80)).collect();
    for id in &ours {
        pair.client.stack.write(pair.now, *id, b"request").unwrap();
    }
    pair.settle();
    let mut served = 0;
    while let Some((id, _)) = pair.server.stack.accept(listener) {
        assert_eq!(pair.server.read_all(pair.now, id).unwrap(), b"request");
        pair.server.stack.write(pair.now, id, b"response").unwrap();
        pair.server.stack.close(pair.now, id);
        pair.server.stack.release(pair.now, id);
        served += 1;
    }
    assert_eq!(served, 1_000);
    pair.settle();
    for id in ours {
        assert_eq!(pair.client.read_all(pair.now, id).unwrap(), b"response");
        pair.client.stack.release(pair.now, id);
    }
    pair.settle();
    assert_eq!(pair.server.stack.counters().time_waits, 1_000);
    assert_eq!(pair.client.stack.sockets().count(), 0);
    pair.pass(Duration::from_secs(61));
    assert_eq!(pair.server.stack.sockets().count(), 1, "the listener");
    assert_eq!(
        pair.server.stack.held_memory() + pair.client.stack.held_memory(),
        0
    );
    assert_eq!(pair.server.stack.poll_timeout(), None);
    assert_eq!(pair.client.stack.poll_timeout(), None);
}

#[test]
fn a_flood_of_syns_does_not_keep_connections_from_sending() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.establish(SERVER, 80);
    pair.server
        .stack
        .write(pair.now, theirs, &[1; 14_000])
        .unwrap();
    for port in 1..=100 {
        pair.server
            .receive(pair.now, &craft::syn(addr(CLIENT), addr(SERVER), port));
    }
    // A slow device takes only the first few packets.
    let packets = (0..10).map(|_| pair.server.stack.poll_transmit(pair.now).unwrap().1);
    let text = packets.filter(|packet| packet.len() > 1_000).count();
    assert_eq!(text, 5, "half of the turns");
    assert_eq!(pair.client.phase(ours), Some(Phase::Established));
}
