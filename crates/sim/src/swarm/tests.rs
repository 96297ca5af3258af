//! A small swarm in each test run, and proof that the checks can fail.

use super::laws::Laws;
use super::*;
use crate::plan::{Closing, Family, Manner, Opening};
use crate::{HostId, LinkConfig, Loss, Plan};
use core::time::Duration;
use handwave_tcp::BufferSize;
use handwave_tcp::time::Instant;
use handwave_wire::{SeqNum, TcpFlags, TcpHeader, TcpOptions};

#[test]
fn a_small_swarm_passes() {
    for seed in 0..150 {
        if let Err(error) = run(&Plan::from_seed(seed), false) {
            panic!(
                "{error}\nreplay: cargo run --release -p handwave-sim -- --first-seed {seed} --seeds 1 --trace"
            );
        }
    }
}

/// Seeds beyond those of a small swarm that once failed, and what they showed.
const MENDED: [(u64, &str); 22] = [
    (
        5_469,
        "old segments after a reset, in a connection without timestamps",
    ),
    (5_777, "a stranger accepted after the end"),
    (6_415, "two cookies for one SYN"),
    (7_457, "a stranger accepted after the end, in batches"),
    (11_303, "a cookie overtaken by a FIN"),
    (12_868, "a window taken back by a repeated SYN+ACK"),
    (13_959, "text that came twice charged for ever"),
    (14_353, "a window that a SYN+ACK cannot tell"),
    (22_874, "a cookie, then a record, for one SYN"),
    (23_956, "a window that a SYN+ACK cannot tell"),
    (25_397, "a loss taken for a spurious timeout"),
    (25_494, "an opener refused by a peer that has gone"),
    (
        33_646,
        "a silly window below segments larger than its limit",
    ),
    (38_065, "a cookie, then a record, and text"),
    (51_901, "an opener refused by a peer that it has reset"),
    (
        67_313,
        "a half-open connection forgotten behind its last SYN+ACK",
    ),
    (72_475, "a cookie that comes again after the end"),
    (91_649, "an opener reset for the SYN of an earlier attempt"),
    (201_580, "a cookie, then a record, and timestamps"),
    (212_524, "an abort whose FIN had not left"),
    (
        214_348,
        "an abort whose FIN had not left, with settings like Linux's",
    ),
    (216_778, "two openers who paused, and never met"),
];

#[test]
fn what_was_mended_stays_so() {
    for (seed, what) in MENDED {
        let run = run(&Plan::from_seed(seed), false);
        assert!(run.is_ok(), "{what}: {}", run.unwrap_err());
    }
}

#[test]
fn a_seed_decides_every_segment() {
    for seed in 0..10 {
        let plan = Plan::from_seed(seed);
        let [first, second] = [(); 2].map(|()| run(&plan, false).unwrap());
        assert_eq!(first, second, "seed {seed}");
        assert!(first.packets > 0);
    }
}

/// A plan with one conversation of 20,000 octets each way over a path without faults.
fn quiet() -> Plan {
    let mut plan = Plan::from_seed(3);
    plan.family = Family::V4;
    plan.interface_mtu = 1_500;
    let link = LinkConfig {
        delay: Duration::from_millis(10),
        mtu: 1_500,
        ..LinkConfig::default()
    };
    plan.links = [link; 2];
    plan.mtu_changes.clear();
    plan.outages.clear();
    plan.attack_pause = None;
    plan.flood = None;
    plan.listener = Default::default();
    plan.faults_end = Instant::from_secs(1_000);
    plan.conversations.truncate(1);
    let talk = &mut plan.conversations[0];
    talk.opening = Opening::Listener;
    for end in &mut talk.ends {
        end.writing.octets = 20_000;
        end.closing = Closing::AfterWriting;
        end.manner = Manner::Polite;
    }
    plan
}

#[test]
fn without_faults_nothing_is_excused() {
    let report = run(&quiet(), false).unwrap();
    assert_eq!((report.octets, report.excused), (40_000, 0));
}

#[test]
fn a_dead_path_is_an_excuse() {
    for dead in [[true, true], [true, false], [false, true]] {
        let mut plan = quiet();
        for (link, dead) in plan.links.iter_mut().zip(dead) {
            if dead {
                link.loss = Loss::Random(1.0);
            }
        }
        let report = run(&plan, false).unwrap();
        assert_eq!(report.excused, 1, "{dead:?}");
    }
}

#[test]
fn a_user_timeout_on_a_healthy_path_is_no_excuse() {
    let mut plan = quiet();
    // The reader stays away for longer than the writer is willing to wait.
    let [writer, reader] = &mut plan.conversations[0].ends;
    writer.config.user_timeout = Some(Duration::from_secs(5));
    writer.config.r2 = Duration::from_secs(5);
    reader.config.receive_buffer = BufferSize::fixed(2_000);
    reader.reading.first_after = Duration::from_secs(500);
    let error = run(&plan, false).unwrap_err();
    assert!(
        matches!(
            error.failure,
            Failure::Unjustified {
                end: 0,
                error: Some(_),
                ..
            }
        ),
        "{error}"
    );
}

/// What the laws say of segments between two hosts, `(from, flags, seq, ack, window)`; both ends scale their windows by 10.
fn judged(segments: &[(usize, TcpFlags, u32, u32, u16)]) -> Option<String> {
    let mut laws = Laws::default();
    for (at, &(from, flags, seq, ack, window)) in segments.iter().enumerate() {
        let ports = [40_001, 8_001];
        let mut options = TcpOptions::default();
        if flags.contains(TcpFlags::SYN) {
            options.window_scale = Some(10);
        }
        let header = TcpHeader {
            source_port: ports[from],
            destination_port: ports[1 - from],
            seq: SeqNum::new(seq),
            ack: SeqNum::new(ack),
            flags,
            window,
            options,
            ..TcpHeader::default()
        };
        let now = Instant::from_secs(at as u64);
        laws.sent(
            now,
            [HostId(from), HostId(1 - from)],
            (&header, 0),
            [None; 2],
        );
    }
    laws.broken().map(String::from)
}

const SYN: TcpFlags = TcpFlags::SYN;
const ACK: TcpFlags = TcpFlags::ACK;

#[test]
fn a_repeated_syn_ack_tells_of_its_window_what_it_can() {
    for (window, holds) in [(u16::MAX, true), (65_160, false)] {
        let segments = [
            (0, SYN, 100, 0, 65_160),
            (1, SYN, 500, 0, 65_160),
            (0, SYN | ACK, 100, 501, 65_160),
            (0, ACK, 101, 501, 64),
            (0, SYN | ACK, 100, 501, window),
        ];
        let law = judged(&segments);
        assert_eq!(law.is_none(), holds, "{window}: {law:?}");
    }
}

#[test]
fn of_two_answers_the_client_takes_one() {
    let opening = [
        (0, SYN, 100, 0, 1_000),
        (1, SYN | ACK, 500, 101, 1_000),
        (1, SYN | ACK, 90_000, 101, 1_000),
    ];
    for (acks, holds) in [
        (&[501, 501][..], true),
        (&[90_001, 90_001], true),
        (&[90_002], false),
        (&[501, 90_001], false),
    ] {
        let acks = acks.iter().map(|ack| (0, ACK, 101, *ack, 1));
        let segments: Vec<_> = opening.into_iter().chain(acks.clone()).collect();
        let law = judged(&segments);
        assert_eq!(law.is_none(), holds, "{acks:?}: {law:?}");
    }
}
