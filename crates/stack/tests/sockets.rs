//! What applications may do with sockets: listen, accept, let go, reuse.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod common;

use common::*;
use core::time::Duration;
use handwave_stack::{
    ConnectError, ConnectOptions, ConnectionId, ListenAt, ListenError, ListenerConfig,
    SocketSummary,
};
use handwave_tcp::{ConnectionError, Endpoint, Phase, ReceiveError, SendError};

fn from_port(port: u16) -> ConnectOptions {
    ConnectOptions {
        local_port: Some(port),
        ..ConnectOptions::default()
    }
}

#[test]
fn places_to_listen_conflict_only_when_they_are_the_same() {
    let mut pair = Pair::new();
    let host = &mut pair.server.stack;
    let limits = ListenerConfig::default;
    let any = host.listen(80, limits()).unwrap();
    let exact = host.listen(endpoint(SERVER, 80), limits()).unwrap();
    assert_eq!(host.listen(80, limits()), Err(ListenError::InUse));
    assert_eq!(
        host.listen(endpoint(SERVER, 80), limits()),
        Err(ListenError::InUse)
    );
    assert_eq!(
        host.listen(endpoint("192.0.2.1", 80), limits()),
        Err(ListenError::NotLocal)
    );
    assert_eq!(host.listen(0, limits()), Err(ListenError::BadPort));
    pair.connect(SERVER, 80);
    pair.connect(SERVER6, 80);
    pair.settle();
    let (_, four) = pair.server.stack.accept(exact).unwrap();
    assert_eq!(four.local, endpoint(SERVER, 80));
    let (_, six) = pair.server.stack.accept(any).unwrap();
    assert_eq!(six.local, endpoint(SERVER6, 80));
    pair.server.stack.close_listener(pair.now, exact);
    pair.server
        .stack
        .listen(endpoint(SERVER, 80), limits())
        .unwrap();
    assert_eq!(ListenAt::from(80).addr, None);
}

#[test]
fn closing_a_listener_resets_those_that_wait() {
    let mut pair = Pair::new();
    let listener = pair.listen(80);
    let waiting = pair.connect(SERVER, 80);
    pair.settle();
    pair.server.stack.close_listener(pair.now, listener);
    pair.settle();
    let lost = pair.client.stack.read(pair.now, waiting, &mut [0; 1]);
    assert_eq!(lost, Err(ReceiveError::Lost(ConnectionError::Reset)));
    assert_eq!(pair.server.stack.sockets().count(), 0);
    assert_eq!(pair.server.stack.accept(listener), None);
}

#[test]
fn one_that_died_while_it_waited_is_accepted_with_its_error() {
    let mut pair = Pair::new();
    let listener = pair.listen(80);
    let ours = pair.connect(SERVER, 80);
    pair.settle();
    pair.client.stack.abort(pair.now, ours);
    pair.settle();
    let (theirs, _) = pair.server.stack.accept(listener).unwrap();
    let lost = pair.server.stack.read(pair.now, theirs, &mut [0; 1]);
    assert_eq!(lost, Err(ReceiveError::Lost(ConnectionError::Reset)));
    pair.server.stack.release(pair.now, theirs);
    pair.settle();
    assert_eq!(pair.server.stack.sockets().count(), 1);
}

#[test]
fn the_same_local_port_serves_different_destinations() {
    let mut pair = Pair::new();
    pair.listen(80);
    pair.listen(81);
    let connect = |pair: &mut Pair, to| pair.client.stack.connect(pair.now, to, from_port(5_000));
    let first = connect(&mut pair, endpoint(SERVER, 80)).unwrap();
    assert_eq!(
        connect(&mut pair, endpoint(SERVER, 80)),
        Err(ConnectError::InUse)
    );
    let second = connect(&mut pair, endpoint(SERVER, 81)).unwrap();
    pair.settle();
    for id in [first, second] {
        assert_eq!(pair.client.phase(id), Some(Phase::Established));
    }
    let foreign = ConnectOptions {
        local_addr: Some(addr("192.0.2.1")),
        ..ConnectOptions::default()
    };
    let refused = pair
        .client
        .stack
        .connect(pair.now, endpoint(SERVER, 80), foreign);
    assert_eq!(refused, Err(ConnectError::BadLocal));
    let six = ConnectOptions {
        local_addr: Some(addr(CLIENT6)),
        ..ConnectOptions::default()
    };
    let refused = pair
        .client
        .stack
        .connect(pair.now, endpoint(SERVER, 80), six);
    assert_eq!(refused, Err(ConnectError::BadLocal));
}

#[test]
fn both_may_open_at_once() {
    let mut pair = Pair::new();
    let ours = pair
        .client
        .stack
        .connect(pair.now, endpoint(SERVER, 7_000), from_port(6_000))
        .unwrap();
    let theirs = pair
        .server
        .stack
        .connect(pair.now, endpoint(CLIENT, 6_000), from_port(7_000))
        .unwrap();
    let (syns, back) = (pair.client.drain(pair.now), pair.server.drain(pair.now));
    for packet in syns {
        pair.server.receive(pair.now, &packet.to_vec());
    }
    for packet in back {
        pair.client.receive(pair.now, &packet.to_vec());
    }
    pair.settle();
    assert_eq!(pair.client.phase(ours), Some(Phase::Established));
    assert_eq!(pair.server.phase(theirs), Some(Phase::Established));
    pair.client.stack.write(pair.now, ours, b"at once").unwrap();
    pair.settle();
    assert_eq!(pair.server.read_all(pair.now, theirs).unwrap(), b"at once");
}

/// A connection from port 5000 that the client closed first, so that its TIME-WAIT record is there.
fn time_wait_at_client(pair: &mut Pair) -> Endpoint {
    let to = endpoint(SERVER, 80);
    let listener = pair.listen(80);
    let ours = pair
        .client
        .stack
        .connect(pair.now, to, from_port(5_000))
        .unwrap();
    pair.settle();
    let (theirs, _) = pair.server.stack.accept(listener).unwrap();
    pair.client.stack.release(pair.now, ours);
    pair.settle();
    pair.server.stack.release(pair.now, theirs);
    pair.settle();
    assert_eq!(pair.client.stack.counters().time_waits, 1);
    to
}

#[test]
fn four_numbers_in_time_wait_cannot_be_opened_again_until_its_end() {
    let mut pair = Pair::new();
    let to = time_wait_at_client(&mut pair);
    let again = pair.client.stack.connect(pair.now, to, from_port(5_000));
    assert_eq!(again, Err(ConnectError::InUse));
    pair.pass(Duration::from_secs(61));
    pair.client
        .stack
        .connect(pair.now, to, from_port(5_000))
        .unwrap();
}

/// RFC 9293 3.10.7.4 [MAY-2], RFC 6191: a newer SYN begins the next incarnation at once.
#[test]
fn a_newer_syn_takes_the_place_of_a_time_wait() {
    let mut pair = Pair::new();
    time_wait_at_client(&mut pair);
    pair.pass(Duration::from_secs(2));
    let listener = pair
        .client
        .stack
        .listen(5_000, ListenerConfig::default())
        .unwrap();
    let theirs = pair
        .server
        .stack
        .connect(pair.now, endpoint(CLIENT, 5_000), from_port(80))
        .unwrap();
    pair.settle();
    assert_eq!(pair.server.phase(theirs), Some(Phase::Established));
    assert!(pair.client.stack.accept(listener).is_some());
    assert_eq!(pair.client.stack.counters().time_waits_recycled, 1);
    let records = pair.client.stack.sockets();
    assert_eq!(
        records
            .filter(|socket| matches!(socket, SocketSummary::TimeWait { .. }))
            .count(),
        0
    );
}

#[test]
fn a_syn_to_a_time_wait_that_nobody_listens_behind_changes_nothing() {
    let mut pair = Pair::new();
    time_wait_at_client(&mut pair);
    pair.pass(Duration::from_secs(2));
    pair.server
        .stack
        .connect(pair.now, endpoint(CLIENT, 5_000), from_port(80))
        .unwrap();
    pair.settle();
    let records = pair.client.stack.sockets();
    assert_eq!(
        records
            .filter(|socket| matches!(socket, SocketSummary::TimeWait { .. }))
            .count(),
        1
    );
    assert_eq!(pair.client.stack.counters().time_waits_recycled, 0);
}

#[test]
fn text_stays_readable_when_time_wait_is_handed_over() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.establish(SERVER, 80);
    pair.client.stack.close(pair.now, ours);
    pair.settle();
    pair.server
        .stack
        .write(pair.now, theirs, b"last words")
        .unwrap();
    pair.server.stack.release(pair.now, theirs);
    pair.settle();
    assert_eq!(pair.client.stack.counters().time_waits, 1);
    assert_eq!(pair.client.phase(ours), Some(Phase::Closed));
    assert_eq!(pair.client.read_all(pair.now, ours).unwrap(), b"last words");
    assert_eq!(pair.client.stack.read(pair.now, ours, &mut [0; 1]), Ok(0));
}

#[test]
fn letting_go_with_text_unread_resets_the_peer() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.establish(SERVER, 80);
    pair.client
        .stack
        .write(pair.now, ours, b"never read")
        .unwrap();
    pair.settle();
    pair.server.stack.release(pair.now, theirs);
    pair.settle();
    let lost = pair.client.stack.read(pair.now, ours, &mut [0; 1]);
    assert_eq!(lost, Err(ReceiveError::Lost(ConnectionError::Reset)));
    assert_eq!(pair.server.stack.held_memory(), 0);
}

#[test]
fn what_was_written_before_letting_go_is_delivered() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.establish(SERVER, 80);
    pair.client
        .stack
        .write(pair.now, ours, &[3; 100_000])
        .unwrap();
    pair.client.stack.release(pair.now, ours);
    let mut got = 0;
    for _ in 0..100 {
        pair.pass(Duration::from_millis(50));
        got += pair.server.read_all(pair.now, theirs).unwrap().len();
    }
    assert_eq!(got, 100_000);
    assert_eq!(pair.server.stack.read(pair.now, theirs, &mut [0; 1]), Ok(0));
}

#[test]
fn a_handle_that_names_nothing_does_nothing() {
    let mut pair = Pair::new();
    let (ours, _) = pair.establish(SERVER, 80);
    pair.client.stack.abort(pair.now, ours);
    for id in [ours, ConnectionId::from_bits(77)] {
        let host = &mut pair.client.stack;
        let gone = ConnectionError::Aborted;
        assert_eq!(host.write(pair.now, id, b"x"), Err(SendError::Lost(gone)));
        assert_eq!(
            host.read(pair.now, id, &mut [0; 1]),
            Err(ReceiveError::Lost(gone))
        );
        assert!(host.read_chunk(pair.now, id, 1).is_err());
        assert!(host.connection(id).is_none());
        assert_eq!(host.peek(id, &mut [0; 1]), 0);
        host.close(pair.now, id);
        host.release(pair.now, id);
        host.abort(pair.now, id);
    }
    pair.settle();
    // The slot has another tenant: the old handle still names nothing.
    let next = pair.connect(SERVER, 80);
    assert_ne!(next, ours);
    assert!(pair.client.stack.connection(ours).is_none());
}

#[test]
fn every_socket_is_listed() {
    let mut pair = Pair::new();
    time_wait_at_client(&mut pair);
    pair.client
        .stack
        .listen(22, ListenerConfig::default())
        .unwrap();
    pair.client.stack.udp_bind(None, 53).unwrap();
    pair.connect(SERVER, 81);
    let kinds: Vec<&str> = pair
        .client
        .stack
        .sockets()
        .map(|socket| match socket {
            SocketSummary::Listener { at, .. } if at.port == 22 => "listener",
            SocketSummary::Connection {
                connection,
                orphan: false,
                ..
            } if connection.phase() == Phase::SynSent => "connection",
            SocketSummary::TimeWait { tuple, .. } if tuple.local.port == 5_000 => "time-wait",
            SocketSummary::Udp {
                port: 53,
                queued: 0,
                ..
            } => "udp",
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds, ["listener", "connection", "time-wait", "udp"]);
}
