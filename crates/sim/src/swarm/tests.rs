//! A small swarm in each test run, and proof that the checks can fail.

use super::*;
use crate::plan::{Closing, Family, Manner, Opening};
use crate::{LinkConfig, Loss, Plan};
use core::time::Duration;
use handwave_tcp::BufferSize;
use handwave_tcp::time::Instant;

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
