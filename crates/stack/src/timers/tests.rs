//! The wheel against a `BTreeMap` that does the same thing slowly.

use super::TimerWheel;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;
use handwave_tcp::Instant;
use proptest::prelude::*;

fn fire(wheel: &mut TimerWheel, now: Instant) -> BTreeSet<u32> {
    let mut fired = BTreeSet::new();
    while let Some(key) = wheel.pop_expired(now) {
        assert!(fired.insert(key), "{key} fired twice");
    }
    fired
}

#[test]
fn fires_at_the_deadline_and_not_before() {
    let mut wheel = TimerWheel::new(Instant::from_secs(7));
    let deadline = Instant::from_millis(8_234);
    wheel.arm(3, deadline);
    assert_eq!(wheel.next_deadline(), Some(deadline));
    assert_eq!(wheel.pop_expired(deadline - Duration::from_nanos(1)), None);
    assert_eq!(wheel.pop_expired(deadline), Some(3));
    assert_eq!(wheel.next_deadline(), None);
}

/// A program may count from the Unix epoch, or let its clock wrap into nonsense.
#[test]
fn fires_wherever_the_clock_began() {
    for start in [
        Instant::ZERO,
        Instant::from_secs(1_795_000_000),
        Instant::from_nanos(u64::MAX - 3_000_000_000),
    ] {
        let mut wheel = TimerWheel::new(start);
        let soon = start + Duration::from_millis(1);
        let late = start + Duration::from_secs(2);
        wheel.arm(0, late);
        wheel.arm(1, soon);
        assert_eq!(fire(&mut wheel, start), BTreeSet::new());
        assert_eq!(
            fire(&mut wheel, soon + Duration::from_micros(1)),
            [1].into()
        );
        let due = wheel.next_deadline().expect("one is armed");
        assert!(
            due >= late && due - late < Duration::from_micros(1),
            "{due:?} {late:?}"
        );
        assert_eq!(
            fire(&mut wheel, late - Duration::from_nanos(1)),
            BTreeSet::new()
        );
        assert_eq!(fire(&mut wheel, due), [0].into());
    }
}

#[test]
fn a_fraction_of_a_tick_is_rounded_up() {
    let mut wheel = TimerWheel::new(Instant::ZERO);
    wheel.arm(0, Instant::from_nanos(1_001));
    assert_eq!(wheel.pop_expired(Instant::from_nanos(1_999)), None);
    assert_eq!(wheel.pop_expired(Instant::from_nanos(2_000)), Some(0));
}

#[test]
fn a_later_deadline_is_not_reinserted_and_an_earlier_one_is() {
    let mut wheel = TimerWheel::new(Instant::ZERO);
    wheel.arm(0, Instant::from_secs(2));
    wheel.arm(0, Instant::from_secs(5));
    assert_eq!(wheel.next_deadline(), Some(Instant::from_secs(2)));
    wheel.arm(0, Instant::from_secs(1));
    assert_eq!(wheel.next_deadline(), Some(Instant::from_secs(1)));
    assert_eq!(wheel.len(), 1);
}

#[test]
fn a_deadline_in_the_past_fires_at_once() {
    let mut wheel = TimerWheel::new(Instant::from_secs(10));
    wheel.arm(0, Instant::from_secs(3));
    assert!(
        wheel
            .next_deadline()
            .is_some_and(|due| due <= Instant::from_secs(10))
    );
    assert_eq!(wheel.pop_expired(Instant::from_secs(10)), Some(0));
}

#[test]
fn a_deadline_beyond_the_wheel_is_kept() {
    let mut wheel = TimerWheel::new(Instant::ZERO);
    wheel.arm(0, Instant::MAX);
    assert_eq!(
        wheel.pop_expired(Instant::from_secs(3_600 * 24 * 365)),
        None
    );
    assert_eq!(wheel.len(), 1);
}

#[test]
fn a_million_waiting_timers_cost_nothing_when_one_fires() {
    let mut wheel = TimerWheel::new(Instant::ZERO);
    for key in 0..1_000_000 {
        wheel.arm(
            key,
            Instant::from_secs(7_200) + Duration::from_micros(u64::from(key)),
        );
    }
    wheel.arm(1_000_000, Instant::from_secs(1));
    assert_eq!(wheel.next_deadline(), Some(Instant::from_secs(1)));
    assert_eq!(
        fire(&mut wheel, Instant::from_secs(1)),
        BTreeSet::from([1_000_000])
    );
    assert_eq!(size_of::<super::Entry>(), 16);
}

#[derive(Clone, Debug)]
enum Step {
    Arm { key: u32, after: u64 },
    Cancel { key: u32 },
    Advance { by: u64 },
    AdvanceToNext,
}

fn step() -> impl Strategy<Value = Step> {
    // Spans of all magnitudes, so that every level is used.
    let span = (0u32..46).prop_flat_map(|bits| 0u64..(2u64 << bits));
    prop_oneof![
        4 => (0u32..40, span.clone()).prop_map(|(key, after)| Step::Arm { key, after }),
        1 => (0u32..40).prop_map(|key| Step::Cancel { key }),
        2 => span.prop_map(|by| Step::Advance { by }),
        2 => Just(Step::AdvanceToNext),
    ]
}

proptest! {
    #[test]
    fn agrees_with_the_model(start in 0u64..1 << 40, steps in proptest::collection::vec(step(), 1..120)) {
        let mut now = Instant::from_nanos(start);
        let mut wheel = TimerWheel::new(now);
        let mut model: BTreeMap<u32, u64> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Arm { key, after } => {
                    let deadline = now + Duration::from_nanos(after);
                    wheel.arm(key, deadline);
                    let due = deadline.as_nanos().div_ceil(1_000);
                    model.entry(key).and_modify(|old| *old = due.min(*old)).or_insert(due);
                    continue;
                }
                Step::Cancel { key } => {
                    wheel.cancel(key);
                    model.remove(&key);
                    continue;
                }
                Step::Advance { by } => now += Duration::from_nanos(by),
                Step::AdvanceToNext => {
                    let Some(next) = wheel.next_deadline() else {
                        prop_assert!(model.is_empty());
                        continue;
                    };
                    let earliest = model.values().min().copied().unwrap_or(0) * 1_000;
                    prop_assert!(next.as_nanos() <= earliest.max(now.as_nanos()));
                    now = now.max(next);
                }
            }
            let tick = now.as_nanos() / 1_000;
            let due: Vec<u32> = model.iter().filter(|(_, due)| **due <= tick).map(|(key, _)| *key).collect();
            for key in &due {
                model.remove(key);
            }
            prop_assert_eq!(fire(&mut wheel, now), due.into_iter().collect::<BTreeSet<_>>());
            prop_assert_eq!(wheel.len(), model.len());
        }
    }
}

/// Whoever finds that the deadline of a key is still to come arms it again, and has to come to an end.
#[test]
fn a_clock_that_was_set_back_has_to_catch_up() {
    let mut wheel = TimerWheel::new(Instant::ZERO);
    assert_eq!(wheel.pop_expired(Instant::from_secs(10)), None);
    let deadline = Instant::from_secs(6);
    wheel.arm(0, deadline);
    assert_eq!(wheel.pop_expired(Instant::from_secs(5)), None);
    assert_eq!(wheel.next_deadline(), Some(Instant::from_secs(10)));
    assert_eq!(fire(&mut wheel, Instant::from_secs(10)), [0].into());
}
