//! Listeners under attack, through the whole stack: cookies, full queues, limits, the news of a flood.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails where something unexpected is missing"
)]

mod common;

use common::{CLIENT, Pair, SERVER, addr, craft, endpoint};
use core::time::Duration;
use handwave_stack::{
    ConnectOptions, Events, Limits, ListenerConfig, ListenerId, SocketId, SynCookies,
};
use handwave_tcp::{FloodState, Phase, Refusal};
use handwave_wire::{SeqNum, TcpFlags, TcpHeader};

fn listen(pair: &mut Pair, limits: ListenerConfig) -> ListenerId {
    pair.server.stack.listen(80, limits).unwrap()
}

fn cookies() -> ListenerConfig {
    ListenerConfig {
        cookies: SynCookies::Always,
        ..ListenerConfig::default()
    }
}

/// Lets so many strangers knock; nobody answers their SYN+ACKs.
fn flood(pair: &mut Pair, syns: u16) {
    for n in 0..syns {
        let [high, low] = n.to_be_bytes();
        let stranger = [10, 0, 1 + high, low].into();
        let syn = craft::syn(stranger, addr(SERVER), 4_000);
        pair.server.receive(pair.now, &syn);
        pair.server.drain(pair.now);
    }
}

#[test]
fn a_cookie_makes_a_connection_with_its_options_and_its_text() {
    let mut pair = Pair::new();
    let listener = listen(&mut pair, cookies());
    let ours = pair.connect(SERVER, 80);
    pair.client
        .stack
        .write(pair.now, ours, b"first words")
        .unwrap();
    pair.settle();
    let (theirs, _) = pair.server.stack.accept(listener).unwrap();
    assert_eq!(
        pair.server.read_all(pair.now, theirs).unwrap(),
        b"first words"
    );
    let info = pair.server.stack.connection(theirs).unwrap().info();
    assert!(info.timestamps && info.sack && info.window_scaling);
    assert_eq!(info.rtt, None, "the echo of a cookie measures nothing");
    pair.server
        .stack
        .write(pair.now, theirs, b"an answer")
        .unwrap();
    pair.settle();
    assert_eq!(pair.client.read_all(pair.now, ours).unwrap(), b"an answer");
    let counters = pair.server.stack.listener_counters();
    assert_eq!(
        (counters.syncookies_sent, counters.syncookies_received),
        (1, 1)
    );
    assert_eq!((counters.syns_received, counters.syncookies_failed), (0, 0));
}

#[test]
fn nothing_is_kept_of_a_handshake_that_a_cookie_answers() {
    let mut pair = Pair::new();
    let listener = listen(&mut pair, cookies());
    flood(&mut pair, 1_000);
    let before = pair.server.stack.listener(listener).unwrap().memory();
    flood(&mut pair, 2_000);
    let after = pair.server.stack.listener(listener).unwrap();
    assert_eq!((after.half_open(), after.memory()), (0, before));
    assert_eq!(after.counters().syncookies_sent, 3_000);
    assert_eq!(pair.server.stack.held_memory(), 0);
}

#[test]
fn a_forged_acknowledgment_is_counted_and_reset() {
    let mut pair = Pair::new();
    listen(&mut pair, cookies());
    flood(&mut pair, 1);
    for n in 0..10 {
        let guess = TcpHeader {
            source_port: 4_000 + n,
            destination_port: 80,
            seq: SeqNum::new(1),
            ack: SeqNum::new(77),
            flags: TcpFlags::ACK,
            ..TcpHeader::default()
        };
        let octets = craft::tcp(addr(CLIENT), addr(SERVER), &guess, b"");
        pair.server.receive(pair.now, &octets);
        let answers = pair.server.drain(pair.now);
        assert_eq!(answers.len(), 1);
        let reset = craft::tcp_header(&answers[0].to_vec());
        assert_eq!((reset.flags, reset.seq), (TcpFlags::RST, SeqNum::new(77)));
    }
    let counters = pair.server.stack.listener_counters();
    assert_eq!((counters.syncookies_failed, counters.established), (10, 0));
}

#[test]
fn a_cookie_that_finds_the_accept_queue_full_is_reset_so_that_nobody_waits_in_vain() {
    let mut pair = Pair::new();
    let limits = ListenerConfig {
        accept_queue_max: 1,
        ..cookies()
    };
    listen(&mut pair, limits);
    // Both SYNs are answered before either handshake completes.
    let both = [pair.connect(SERVER, 80), pair.connect(SERVER, 80)];
    pair.settle();
    let phases = both.map(|id| pair.client.phase(id));
    assert!(phases.contains(&Some(Phase::Established)), "{phases:?}");
    assert!(phases.contains(&Some(Phase::Closed)), "{phases:?}");
    assert_eq!(pair.server.stack.listener_counters().accept_queue_full, 1);
}

#[test]
fn a_full_queue_turns_to_cookies_or_drops_and_says_which() {
    for (cookies, sent, dropped) in [(SynCookies::OnOverflow, 84, 0), (SynCookies::Off, 0, 84)] {
        let mut pair = Pair::new();
        let limits = ListenerConfig {
            syn_queue_max: 16,
            cookies,
            ..ListenerConfig::default()
        };
        let listener = listen(&mut pair, limits);
        flood(&mut pair, 100);
        let counters = pair.server.stack.listener_counters();
        assert_eq!(counters.syncookies_sent, sent);
        assert_eq!(counters.req_queue_full_do_cookies, sent);
        assert_eq!(counters.req_queue_full_drop, dropped);
        let seen = pair.server.stack.listener(listener).unwrap();
        assert_eq!(seen.half_open(), 16);
    }
}

#[test]
fn a_flood_is_told_once_and_so_is_its_end() {
    let mut pair = Pair::new();
    let limits = ListenerConfig {
        syn_queue_max: 16,
        ..ListenerConfig::default()
    };
    let listener = listen(&mut pair, limits);
    flood(&mut pair, 500);
    let told = |pair: &mut Pair| {
        let mut told = 0;
        while let Some(event) = pair.server.stack.poll_event() {
            let about = event.socket == SocketId::Listener(listener);
            told += usize::from(about && event.events.contains(Events::FLOOD));
        }
        told
    };
    assert_eq!(told(&mut pair), 1);
    let state = |pair: &Pair| pair.server.stack.listener(listener).unwrap().flood();
    assert!(state(&pair).is_flooded());
    pair.pass(Duration::from_secs(120));
    assert_eq!(told(&mut pair), 1);
    assert_eq!(state(&pair), FloodState::Calm);
    assert_eq!(
        pair.server.stack.poll_timeout(),
        None,
        "calm needs no timer"
    );
}

#[test]
fn connections_count_against_their_source_until_they_end() {
    let mut pair = Pair::new();
    let limits = ListenerConfig {
        limits: Limits {
            established_max: Some(1),
            refusal: Refusal::Reset,
            ..Limits::default()
        },
        ..ListenerConfig::default()
    };
    let listener = listen(&mut pair, limits);
    let (first, theirs) = {
        let first = pair.connect(SERVER, 80);
        pair.settle();
        (first, pair.server.stack.accept(listener).unwrap().0)
    };
    let second = pair.connect(SERVER, 80);
    pair.settle();
    assert_eq!(pair.client.phase(second), Some(Phase::Closed));
    assert_eq!(pair.server.stack.listener_counters().limit_established, 1);
    pair.client.stack.abort(pair.now, first);
    pair.settle();
    pair.server.stack.release(pair.now, theirs);
    pair.settle();
    let third = pair.connect(SERVER, 80);
    pair.settle();
    assert_eq!(pair.client.phase(third), Some(Phase::Established));
}

#[test]
fn nodes_that_share_keys_complete_each_others_handshakes() {
    let mut pair = Pair::new();
    listen(&mut pair, cookies());
    let mut other = Pair::new();
    let there = listen(&mut other, cookies());
    other.now = pair.now;
    let shared = pair.server.stack.cookie_keys().export(pair.now);
    let keys = other.server.stack.cookie_keys();
    keys.import(other.now, &shared, Duration::ZERO);
    let to = endpoint(SERVER, 80);
    let options = ConnectOptions::default();
    let ours = pair.client.stack.connect(pair.now, to, options).unwrap();
    // The SYN goes to one node, all that follows to the other.
    for syn in pair.client.drain(pair.now) {
        pair.server.receive(pair.now, &syn.to_vec());
    }
    for answer in pair.server.drain(pair.now) {
        pair.client.receive(pair.now, &answer.to_vec());
    }
    assert_eq!(pair.client.phase(ours), Some(Phase::Established));
    pair.client
        .stack
        .write(pair.now, ours, b"who is there?")
        .unwrap();
    for segment in pair.client.drain(pair.now) {
        other.server.receive(pair.now, &segment.to_vec());
    }
    let (theirs, _) = other.server.stack.accept(there).unwrap();
    assert_eq!(
        other.server.read_all(pair.now, theirs).unwrap(),
        b"who is there?"
    );
    other
        .server
        .stack
        .write(pair.now, theirs, b"another")
        .unwrap();
    for segment in other.server.drain(pair.now) {
        pair.client.receive(pair.now, &segment.to_vec());
    }
    // Its timestamps go on where the first node's were, or PAWS would have dropped it.
    assert_eq!(pair.client.read_all(pair.now, ours).unwrap(), b"another");
}
