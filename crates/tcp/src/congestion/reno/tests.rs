//! Tables by RFC section.

use super::Reno;
use crate::congestion::{AckEvent, CongestionControl, Loss, LossEvent, WINDOW_MAX};
use crate::time::Instant;
use core::time::Duration;
use proptest::prelude::*;

const SMSS: u32 = 1_000;

fn ack(acked: u32) -> AckEvent {
    AckEvent {
        now: Instant::ZERO,
        acked,
        newly_sacked: 0,
        rtt: None,
        smss: SMSS,
        segments_max: 8,
        in_flight: acked,
        app_limited: false,
        in_recovery: false,
    }
}

fn loss(flight: u32) -> LossEvent {
    LossEvent {
        now: Instant::ZERO,
        flight,
        smss: SMSS,
        kind: Loss::FastRetransmit,
    }
}

/// In congestion avoidance with a window of `segments`.
fn avoiding(segments: u32) -> Reno {
    let mut reno = Reno::new(10 * SMSS);
    reno.on_congestion(&loss(2 * segments * SMSS));
    assert_eq!(reno.window(), segments * SMSS);
    reno
}

#[test]
fn is_small() {
    assert!(size_of::<Reno>() <= 24);
}

#[test]
fn rfc9406_4_3_slow_start_counts_octets_up_to_eight_segments() {
    for (acked, growth) in [
        (1, 1),
        (SMSS, SMSS),
        (2 * SMSS, 2 * SMSS),
        (44 * SMSS, 8 * SMSS),
    ] {
        let mut reno = Reno::new(10 * SMSS);
        reno.on_ack(&ack(acked));
        assert_eq!(
            reno.window(),
            10 * SMSS + growth,
            "{acked} octets acknowledged"
        );
    }
}

#[test]
fn rfc3465_2_3_slow_start_after_a_timeout_counts_one_segment() {
    let mut reno = Reno::new(10 * SMSS);
    reno.on_timeout(&loss(20 * SMSS), true);
    assert_eq!((reno.window(), reno.ssthresh()), (SMSS, 10 * SMSS));
    for segments in 2..=10 {
        reno.on_ack(&ack(5 * SMSS));
        assert_eq!(reno.window(), segments * SMSS);
    }
    // From the threshold on it is congestion avoidance, and the next slow start has the full limit.
    reno.on_ack(&ack(SMSS));
    assert_eq!(reno.window(), 10 * SMSS);
    reno.on_congestion(&loss(100 * SMSS));
    reno.on_recovery_end(SMSS, SMSS);
    assert_eq!(reno.window(), 2 * SMSS);
    reno.on_ack(&ack(2 * SMSS));
    assert_eq!(reno.window(), 4 * SMSS);
}

#[test]
fn rfc3465_2_3_only_the_slow_start_right_after_a_timeout_is_slower() {
    // It ended at the threshold; another follows an idle time.
    let mut reno = Reno::new(2 * SMSS);
    reno.on_timeout(&loss(8 * SMSS), true);
    for _ in 0..3 {
        reno.on_ack(&ack(SMSS));
    }
    assert_eq!((reno.window(), reno.ssthresh()), (4 * SMSS, 4 * SMSS));
    reno.on_idle(Duration::from_secs(2), Duration::from_secs(1), SMSS);
    reno.on_ack(&ack(2 * SMSS));
    assert_eq!(reno.window(), 4 * SMSS);
    // It ended in congestion.
    reno.on_timeout(&loss(20 * SMSS), true);
    reno.on_congestion(&loss(20 * SMSS));
    reno.on_recovery_end(0, SMSS);
    reno.on_ack(&ack(2 * SMSS));
    assert_eq!(reno.window(), 4 * SMSS);
}

#[test]
fn rfc5681_3_1_congestion_avoidance_opens_one_segment_per_window() {
    // [RFC5681-9]
    let mut reno = avoiding(10);
    for _ in 0..9 {
        reno.on_ack(&ack(SMSS));
    }
    assert_eq!(reno.window(), 10 * SMSS);
    reno.on_ack(&ack(SMSS));
    assert_eq!(reno.window(), 11 * SMSS);
    // One ACK for several windows is still one round trip.
    reno.on_ack(&ack(100 * SMSS));
    assert_eq!(reno.window(), 12 * SMSS);
    reno.on_ack(&ack(SMSS - 1));
    assert_eq!(reno.window(), 12 * SMSS);
}

#[test]
fn rfc5681_3_1_slow_start_ends_at_the_threshold() {
    let mut reno = Reno::new(10 * SMSS);
    reno.on_timeout(&loss(7 * SMSS), true);
    assert_eq!(reno.ssthresh(), 3_500);
    for window in [2_000, 3_000, 3_500] {
        reno.on_ack(&ack(SMSS));
        assert_eq!(reno.window(), window);
    }
    // 500 octets were left over; with 3 000 more a window of 3 500 is acknowledged.
    reno.on_ack(&ack(2_999));
    assert_eq!(reno.window(), 3_500);
    reno.on_ack(&ack(1));
    assert_eq!(reno.window(), 4_500);
}

#[test]
fn ack_division_gains_nothing() {
    let mut whole = Reno::new(10 * SMSS);
    let mut split = Reno::new(10 * SMSS);
    whole.on_ack(&ack(SMSS));
    for _ in 0..SMSS {
        split.on_ack(&ack(1));
    }
    assert_eq!(whole.window(), split.window());
    let (mut whole, mut split) = (avoiding(4), avoiding(4));
    for _ in 0..4 {
        whole.on_ack(&ack(SMSS));
    }
    for _ in 0..4 * SMSS {
        split.on_ack(&ack(1));
    }
    assert_eq!((whole.window(), split.window()), (5 * SMSS, 5 * SMSS));
}

#[test]
fn a_window_that_is_not_used_does_not_grow() {
    let held_back = [
        AckEvent {
            app_limited: true,
            ..ack(SMSS)
        },
        AckEvent {
            in_recovery: true,
            ..ack(SMSS)
        },
        AckEvent {
            newly_sacked: SMSS,
            ..ack(0)
        },
    ];
    for event in held_back {
        for mut reno in [Reno::new(10 * SMSS), avoiding(4)] {
            let before = reno.window();
            for _ in 0..20 {
                reno.on_ack(&event);
            }
            assert_eq!(reno.window(), before, "{event:?}");
        }
    }
}

#[test]
fn rfc5681_3_1_equation_4_halves_the_flight_and_not_the_window() {
    // [RFC5681-10] [RFC5681-17]
    for (flight, window) in [
        (100 * SMSS, 50 * SMSS),
        (5 * SMSS, 2_500),
        (3 * SMSS, 2 * SMSS),
        (0, 2 * SMSS),
    ] {
        for kind in [Loss::FastRetransmit, Loss::Ecn] {
            let mut reno = Reno::new(1_000 * SMSS);
            reno.on_congestion(&LossEvent {
                kind,
                ..loss(flight)
            });
            assert_eq!((reno.window(), reno.ssthresh()), (window, window));
        }
    }
}

#[test]
fn rfc5681_3_1_a_second_timeout_keeps_the_threshold() {
    let mut reno = Reno::new(10 * SMSS);
    reno.on_timeout(&loss(10 * SMSS), true);
    reno.on_timeout(&loss(SMSS), false);
    assert_eq!((reno.window(), reno.ssthresh()), (SMSS, 5 * SMSS));
}

#[test]
fn rfc6582_3_2_recovery_ends_without_a_burst() {
    // [RFC5681-19]
    for (flight, window) in [
        (30 * SMSS, 10 * SMSS),
        (9 * SMSS, 10 * SMSS),
        (4 * SMSS, 5 * SMSS),
        (0, 2 * SMSS),
    ] {
        let mut reno = avoiding(10);
        reno.on_recovery_end(flight, SMSS);
        assert_eq!(reno.window(), window);
        assert_eq!(reno.ssthresh(), 10 * SMSS);
    }
}

#[test]
fn rfc5681_4_1_idleness_restarts_from_the_initial_window() {
    // [RFC5681-20]
    let rto = Duration::from_secs(1);
    let mut reno = Reno::new(10 * SMSS);
    for _ in 0..15 {
        reno.on_ack(&ack(2 * SMSS));
    }
    reno.on_congestion(&loss(80 * SMSS));
    reno.on_idle(rto, rto, SMSS);
    assert_eq!(reno.window(), 40 * SMSS, "not more than one RTO");
    reno.on_idle(rto + Duration::from_nanos(1), rto, SMSS);
    assert_eq!((reno.window(), reno.ssthresh()), (10 * SMSS, 40 * SMSS));
    // A window below the restart window stays: RW = min(IW, cwnd).
    let mut reno = avoiding(4);
    reno.on_idle(rto * 10, rto, SMSS);
    assert_eq!((reno.window(), reno.ssthresh()), (4 * SMSS, 4 * SMSS));
}

#[test]
fn rfc7661_4_4_3_idleness_remembers_three_quarters_as_the_threshold() {
    let mut reno = avoiding(20);
    for _ in 0..20_000 {
        reno.on_ack(&ack(SMSS));
    }
    let grown = reno.window();
    assert!(grown > 100 * SMSS);
    reno.on_idle(Duration::from_secs(2), Duration::from_secs(1), SMSS);
    assert_eq!(reno.ssthresh(), grown - grown / 4);
}

#[test]
fn rfc5681_3_1_smaller_segments_shrink_the_window_in_proportion() {
    // [RFC5681-6]
    let mut reno = Reno::new(14_600);
    reno.on_mss_change(1_460, 730);
    assert_eq!(reno.window(), 7_300);
    reno.on_mss_change(730, 1_460);
    assert_eq!(reno.window(), 7_300, "larger segments do not open it");
    reno.on_mss_change(1_460, 9_000);
    assert_eq!(reno.window(), 9_000, "one segment always fits");
}

#[derive(Clone, Debug)]
enum Event {
    Ack(u32, bool, bool),
    Congestion(u32),
    Timeout(u32, bool),
    RecoveryEnd(u32),
    Idle(u64),
    Mss(u32),
}

fn event() -> impl Strategy<Value = Event> {
    let octets = prop_oneof![0..100_u32, 0..100_000_u32, any::<u32>()];
    prop_oneof![
        5 => (octets.clone(), any::<bool>(), any::<bool>()).prop_map(|(n, a, r)| Event::Ack(n, a, r)),
        1 => octets.clone().prop_map(Event::Congestion),
        1 => (octets.clone(), any::<bool>()).prop_map(|(n, first)| Event::Timeout(n, first)),
        1 => octets.prop_map(Event::RecoveryEnd),
        1 => (0..3_000_u64).prop_map(Event::Idle),
        1 => (48..9_000_u32).prop_map(Event::Mss),
    ]
}

proptest! {
    #[test]
    fn never_grows_faster_than_it_may(initial in 1_u32..1 << 20, events in prop::collection::vec(event(), 1..100)) {
        let mut smss = SMSS;
        let mut reno = Reno::new(initial.max(smss));
        for event in events {
            let before = reno.window();
            let slow_start = before < reno.ssthresh();
            match event {
                Event::Ack(acked, app_limited, in_recovery) => {
                    reno.on_ack(&AckEvent { app_limited, in_recovery, smss, ..ack(acked) });
                    let growth = reno.window() - before;
                    let limit = if slow_start { 8 * smss } else { smss };
                    prop_assert!(growth <= limit, "{} > {}", growth, limit);
                    prop_assert!(growth == 0 || !(app_limited || in_recovery));
                }
                Event::Congestion(flight) => {
                    reno.on_congestion(&LossEvent { smss, ..loss(flight) });
                    prop_assert!(reno.window() <= (flight / 2).max(2 * smss));
                }
                Event::Timeout(flight, first) => {
                    reno.on_timeout(&LossEvent { smss, ..loss(flight) }, first);
                    prop_assert_eq!(reno.window(), smss);
                }
                Event::RecoveryEnd(flight) => {
                    reno.on_recovery_end(flight, smss);
                    prop_assert!(reno.window() <= reno.ssthresh());
                }
                Event::Idle(millis) => {
                    reno.on_idle(Duration::from_millis(millis), Duration::from_secs(1), smss);
                    prop_assert!(reno.window() <= before);
                }
                Event::Mss(new) => {
                    reno.on_mss_change(smss, new);
                    smss = new;
                    prop_assert!(reno.window() <= before.max(new));
                }
            }
            prop_assert!(reno.window() >= 1 && reno.window() <= WINDOW_MAX);
        }
    }
}
