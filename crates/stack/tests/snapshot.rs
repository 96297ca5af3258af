//! Snapshots: every kind of socket with its queues and timers, whole or in slices.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod common;

use common::{Pair, SERVER, endpoint};
use core::time::Duration;
use handwave_stack::{
    ConnectionSnapshot, HalfOpenSnapshot, ListenerConfig, ListenerSnapshot, SnapshotCursor,
    SocketSnapshot, Stack,
};
use handwave_tcp::{Phase, Timer};

/// Everything there is, in slices of so many places.
fn all(stack: &Stack, places_max: usize) -> Vec<SocketSnapshot> {
    let (mut cursor, mut sockets) = (SnapshotCursor::default(), Vec::new());
    loop {
        let before = sockets.len();
        let more = stack.snapshot(&mut cursor, places_max, |socket| sockets.push(socket));
        assert!(sockets.len() - before <= places_max, "a slice is bounded");
        if !more {
            return sockets;
        }
    }
}

fn listeners(stack: &Stack) -> Vec<ListenerSnapshot> {
    let listener = |socket| match socket {
        SocketSnapshot::Listener(listener) => Some(listener),
        _ => None,
    };
    all(stack, 100).into_iter().filter_map(listener).collect()
}

fn half_open(stack: &Stack) -> Vec<HalfOpenSnapshot> {
    let half_open = |socket| match socket {
        SocketSnapshot::HalfOpen(half_open) => Some(half_open),
        _ => None,
    };
    all(stack, 100).into_iter().filter_map(half_open).collect()
}

fn connections(stack: &Stack) -> Vec<ConnectionSnapshot> {
    let connection = |socket| match socket {
        SocketSnapshot::Connection(connection) => Some(connection),
        _ => None,
    };
    all(stack, 100).into_iter().filter_map(connection).collect()
}

#[test]
fn both_queues_of_a_listener_are_shown_against_their_limits() {
    let mut pair = Pair::new();
    let limits = ListenerConfig {
        syn_queue_max: 7,
        accept_queue_max: 3,
        ..ListenerConfig::default()
    };
    let listener = pair.server.stack.listen(80, limits).unwrap();
    pair.connect(SERVER, 80);
    pair.connect(SERVER, 80);
    pair.settle();
    let shown = &listeners(&pair.server.stack)[0];
    assert_eq!((shown.id, shown.at.port), (listener, 80));
    assert_eq!((shown.waiting, shown.limits.accept_queue_max), (2, 3));
    assert_eq!((shown.half_open, shown.limits.syn_queue_max), (0, 7));
    assert_eq!(shown.counters.established, 2);
}

#[test]
fn a_half_open_record_tells_its_retries_and_when_the_next_is_due() {
    let mut pair = Pair::new();
    let listener = pair.listen(80);
    pair.connect(SERVER, 80);
    let syns = pair.client.drain(pair.now);
    let tuple = pair.client.stack.sockets().count();
    assert_eq!(tuple, 1);
    for syn in syns {
        let interface = pair.server.interface;
        pair.server.stack.handle_packet(pair.now, interface, syn);
    }
    let fresh = half_open(&pair.server.stack);
    assert_eq!((fresh[0].record.syn_acks, fresh[0].record.due), (0, None));

    pair.server.drain(pair.now);
    let sent = half_open(&pair.server.stack);
    let second = Duration::from_secs(1);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].listener, listener);
    assert_eq!(sent[0].record.tuple.local, endpoint(SERVER, 80));
    assert_eq!(sent[0].record.syn_acks, 1);
    assert_eq!(sent[0].record.due, Some(pair.now + second));

    let later = pair.now + second;
    pair.server.stack.handle_timeout(later);
    pair.server.drain(later);
    let again = half_open(&pair.server.stack);
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].record.syn_acks, 2);
    assert_eq!(again[0].record.due, Some(later + second * 2));
}

#[test]
fn a_connection_shows_its_queues_and_the_timers_that_run() {
    let mut pair = Pair::new();
    let listener = pair.listen(80);
    let ours = pair.connect(SERVER, 80);
    let opening = &connections(&pair.client.stack)[0];
    assert_eq!((opening.id, opening.info.phase), (ours, Phase::SynSent));
    assert_eq!(opening.timers, []);
    pair.client.stack.write(pair.now, ours, &[1; 100]).unwrap();
    pair.settle();
    pair.client.stack.write(pair.now, ours, &[1; 50]).unwrap();
    pair.client.drain(pair.now);

    let sender = &connections(&pair.client.stack)[0];
    assert_eq!(sender.info.phase, Phase::Established);
    assert_eq!(sender.info.unacked + sender.info.notsent, 50);
    assert!(
        sender
            .timers
            .iter()
            .any(|(timer, at)| { *timer == Timer::Retransmission && *at > pair.now })
    );
    let receiver = &connections(&pair.server.stack)[0];
    assert_eq!(receiver.info.receivable, 100);
    assert!(receiver.held >= 100, "what can be read is held");
    assert!(!receiver.orphan);
    let (theirs, _) = pair.server.stack.accept(listener).unwrap();
    assert_eq!(receiver.id, theirs);
}

#[test]
fn slices_of_any_size_show_the_same_in_the_same_order() {
    let mut pair = Pair::new();
    pair.listen(80);
    pair.listen(81);
    for port in [80, 80, 81, 80, 81] {
        pair.connect(SERVER, port);
    }
    pair.settle();
    for port in [81, 80, 80] {
        pair.connect(SERVER, port);
    }
    for syn in pair.client.drain(pair.now) {
        let interface = pair.server.interface;
        pair.server.stack.handle_packet(pair.now, interface, syn);
    }
    pair.server.drain(pair.now);
    let stack = &mut pair.server.stack;
    stack.udp_bind(None, 53).unwrap();
    // A free place in the middle of a table shows nothing.
    let freed = connections(stack)[1].id;
    stack.abort(pair.now, freed);
    while stack.poll_transmit(pair.now).is_some() {}

    let whole = all(&pair.server.stack, usize::MAX);
    let kinds: String = whole
        .iter()
        .map(|socket| match socket {
            SocketSnapshot::Listener(_) => 'l',
            SocketSnapshot::HalfOpen(_) => 'h',
            SocketSnapshot::Connection(_) => 'c',
            SocketSnapshot::TimeWait(_) => 't',
            SocketSnapshot::Udp(_) => 'u',
        })
        .collect();
    assert_eq!(kinds, "llhhhccccu");
    for places in [1, 2, 3, 5, 64] {
        assert_eq!(all(&pair.server.stack, places), whole, "{places} at a time");
    }
}
