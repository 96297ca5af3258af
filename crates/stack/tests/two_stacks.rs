//! Handshake, data and close between two stacks, and what each application sees of it.

mod common;

use common::*;
use core::time::Duration;
use handwave_stack::{ConnectOptions, Events, ListenerConfig, SocketId, StackConfig};
use handwave_tcp::{ConnectionError, Phase, ReceiveError};

#[test]
fn a_connection_opens_talks_and_closes() {
    for to in [SERVER, SERVER6] {
        let mut pair = Pair::new();
        let (ours, theirs) = pair.establish(to, 80);
        assert_eq!(pair.client.phase(ours), Some(Phase::Established));
        assert_eq!(pair.server.phase(theirs), Some(Phase::Established));

        pair.client.stack.write(pair.now, ours, b"hello").unwrap();
        pair.settle();
        assert_eq!(pair.server.read_all(pair.now, theirs).unwrap(), b"hello");
        pair.server
            .stack
            .write(pair.now, theirs, b"good day")
            .unwrap();
        pair.server.stack.close(pair.now, theirs);
        pair.settle();
        assert_eq!(pair.client.read_all(pair.now, ours).unwrap(), b"good day");
        assert_eq!(
            pair.client.stack.read(pair.now, ours, &mut [0; 1]),
            Ok(0),
            "the end of the stream"
        );
        assert_eq!(pair.client.phase(ours), Some(Phase::CloseWait));

        pair.client.stack.release(pair.now, ours);
        pair.server.stack.release(pair.now, theirs);
        pair.settle();
        assert_eq!(pair.client.phase(ours), None, "the handle names nothing");
        assert_eq!(pair.server.stack.counters().time_waits, 1);
        assert_eq!(
            pair.client.stack.held_memory() + pair.server.stack.held_memory(),
            0
        );
        assert_eq!(
            pair.client.stack.poll_timeout(),
            None,
            "its end cancelled its timer"
        );
        pair.pass(Duration::from_secs(61));
        assert_eq!(
            pair.server.stack.poll_timeout(),
            None,
            "nothing is left to wait for"
        );
        assert_eq!(pair.client.stack.poll_timeout(), None);
    }
}

#[test]
fn megabytes_cross_both_ways_and_arrive_whole() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.establish(SERVER, 80);
    let text: Vec<u8> = (0..2_000_000u32)
        .map(|n| (n * 7 + n / 251).to_le_bytes()[0])
        .collect();
    let (mut sent, mut echoed) = (0, 0);
    let (mut at_server, mut at_client) = (Vec::new(), Vec::new());
    for _ in 0..100_000 {
        sent += pair
            .client
            .stack
            .write(pair.now, ours, &text[sent..])
            .unwrap();
        at_server.extend(pair.server.read_all(pair.now, theirs).unwrap());
        echoed += pair
            .server
            .stack
            .write(pair.now, theirs, &at_server[echoed..])
            .unwrap();
        at_client.extend(pair.client.read_all(pair.now, ours).unwrap());
        if at_client.len() == text.len() {
            break;
        }
        pair.pass(Duration::from_millis(1));
    }
    assert_eq!(at_client.len(), text.len());
    assert!(at_client == text);
}

#[test]
fn events_are_told_once() {
    let mut pair = Pair::new();
    let listener = pair.listen(80);
    let ours = pair.connect(SERVER, 80);
    pair.settle();
    let event = pair.server.stack.poll_event().unwrap();
    assert_eq!(
        (event.socket, event.events),
        (SocketId::Listener(listener), Events::READABLE)
    );
    let (theirs, _) = pair.server.stack.accept(listener).unwrap();
    assert_eq!(pair.server.stack.accept(listener), None);

    let event = pair.client.stack.poll_event().unwrap();
    assert_eq!(event.socket, SocketId::Connection(ours));
    assert!(event.events.contains(Events::CONNECTED));
    assert_eq!(pair.client.stack.poll_event(), None);

    while pair.server.stack.poll_event().is_some() {}
    pair.client.stack.write(pair.now, ours, b"x").unwrap();
    pair.settle();
    let event = pair.server.stack.poll_event().unwrap();
    assert_eq!(event.socket, SocketId::Connection(theirs));
    assert!(event.events.contains(Events::READABLE));
    assert_eq!(pair.server.stack.poll_event(), None);
}

#[test]
fn a_closed_port_refuses() {
    let mut pair = Pair::new();
    let ours = pair.connect(SERVER, 81);
    pair.settle();
    assert_eq!(pair.client.phase(ours), Some(Phase::Closed));
    let lost = pair.client.stack.read(pair.now, ours, &mut [0; 1]);
    assert_eq!(lost, Err(ReceiveError::Lost(ConnectionError::Refused)));
    assert_eq!(pair.server.stack.counters().tcp_no_port, 1);
    pair.client.stack.release(pair.now, ours);
    pair.settle();
    assert_eq!(pair.client.stack.sockets().count(), 0);
}

#[test]
fn lost_packets_are_sent_again() {
    let mut pair = Pair::new();
    let listener = pair.listen(80);
    let ours = pair.connect(SERVER, 80);
    pair.client
        .stack
        .write(pair.now, ours, &[7; 40_000])
        .unwrap();
    // Every third packet is lost, SYN included.
    let mut count = 0;
    let mut theirs = None;
    let mut text = Vec::new();
    for _ in 0..2_000 {
        pair.settle_with(|_, _| {
            count += 1;
            count % 3 != 1
        });
        theirs = theirs.or_else(|| pair.server.stack.accept(listener).map(|(id, _)| id));
        if let Some(theirs) = theirs {
            text.extend(pair.server.read_all(pair.now, theirs).unwrap());
        }
        let deadlines = [
            pair.client.stack.poll_timeout(),
            pair.server.stack.poll_timeout(),
        ];
        let Some(next) = deadlines.into_iter().flatten().min() else {
            break;
        };
        pair.now = pair.now.max(next);
        pair.client.stack.handle_timeout(pair.now);
        pair.server.stack.handle_timeout(pair.now);
    }
    assert_eq!(text.len(), 40_000);
    assert!(text.iter().all(|octet| *octet == 7));
}

#[test]
fn a_host_talks_to_itself() {
    let mut pair = Pair::new();
    let now = pair.now;
    let host = &mut pair.server;
    let listener = host.stack.listen(80, ListenerConfig::default()).unwrap();
    let ours = host
        .stack
        .connect(now, endpoint(SERVER, 80), ConnectOptions::default())
        .unwrap();
    host.stack.write(now, ours, &[1; 100_000]).unwrap();
    assert!(host.drain(now).is_empty(), "nothing reaches the wire");
    let (theirs, tuple) = host.stack.accept(listener).unwrap();
    assert_eq!(tuple.remote.addr, addr(SERVER));
    let mut text = Vec::new();
    for _ in 0..100 {
        text.extend(host.read_all(now, theirs).unwrap());
        assert!(host.drain(now).is_empty());
    }
    assert_eq!(text.len(), 100_000);
}

#[test]
fn the_same_inputs_give_the_same_packets() {
    let run = || {
        let mut pair = Pair::new();
        let mut wire = Vec::new();
        let listener = pair.listen(80);
        let ours = pair.connect(SERVER, 80);
        pair.client.stack.write(pair.now, ours, b"twice").unwrap();
        pair.settle_with(|_, octets| {
            wire.push(octets.to_vec());
            true
        });
        assert!(pair.server.stack.accept(listener).is_some());
        wire
    };
    let wire = run();
    assert!(wire.len() >= 4);
    assert_eq!(wire, run());
}

#[test]
fn a_server_under_the_connection_limit_refuses_the_next_one() {
    let mut pair = Pair::with(
        stack_config(),
        StackConfig {
            connections_max: 1,
            ..stack_config()
        },
    );
    let (_, theirs) = pair.establish(SERVER, 80);
    let second = pair.connect(SERVER, 80);
    pair.settle();
    let lost = pair.client.stack.read(pair.now, second, &mut [0; 1]);
    assert_eq!(lost, Err(ReceiveError::Lost(ConnectionError::Reset)));
    assert_eq!(pair.server.stack.counters().connections_refused, 1);
    assert_eq!(pair.server.phase(theirs), Some(Phase::Established));
}
