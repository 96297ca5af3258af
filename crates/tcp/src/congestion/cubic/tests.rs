//! Tables by RFC section.

use super::{Cubic, cube_root, on_curve, time_to_climb};
use crate::congestion::{AckEvent, CongestionControl, Loss, LossEvent, Reno};
use crate::time::Instant;
use core::time::Duration;
use proptest::prelude::*;

const SMSS: u32 = 1_000;
const RTT: Duration = Duration::from_millis(100);

/// A window of segments acknowledged each `rtt`, in so many steps.
fn round(control: &mut dyn CongestionControl, now: &mut Instant, rtt: Duration) {
    let (window, steps) = (control.window(), 10);
    for _ in 0..steps {
        *now += rtt / steps;
        control.on_ack(&AckEvent {
            now: *now,
            acked: window / steps,
            newly_sacked: 0,
            rtt: Some(rtt),
            smss: SMSS,
            segments_max: 8,
            in_flight: window,
            app_limited: false,
            in_recovery: false,
        });
    }
}

fn loss(now: Instant, flight: u32) -> LossEvent {
    LossEvent {
        now,
        flight,
        smss: SMSS,
        kind: Loss::FastRetransmit,
    }
}

/// In congestion avoidance after a loss at a window of so many segments.
fn after_loss_at(segments: u32) -> Cubic {
    let mut cubic = Cubic::new(segments * SMSS);
    cubic.on_congestion(&loss(Instant::ZERO, segments * SMSS));
    assert_eq!(cubic.window(), segments * SMSS / 10 * 7);
    cubic
}

#[test]
fn rfc9438_4_2_the_curve_in_numbers() {
    // Of 100 segments 30 are left to climb: the cube root of 30 / 0.4, in seconds.
    assert_eq!(time_to_climb(30_000, 1_000), 4_217);
    assert_eq!(time_to_climb(0, 1_000), 0);
    for (time, window) in [
        (0, 70_004),
        (4_217, 100_000),
        (5_217, 100_400),
        (14_217, 500_000),
    ] {
        assert_eq!(
            on_curve(time, 4_217, 100_000, 1_000),
            window,
            "at {time} ms"
        );
    }
}

#[test]
fn rfc9438_4_4_a_long_path_is_full_again_in_k() {
    let (mut cubic, mut reno) = (after_loss_at(1_000), Reno::new(1_000 * SMSS));
    reno.on_congestion(&loss(Instant::ZERO, 1_000 * SMSS));
    // 300 segments to climb: 9.1 s.
    let mut now = Instant::ZERO;
    let mut windows = [0; 91];
    for window in &mut windows {
        round(&mut cubic, &mut now, RTT);
        *window = cubic.window() / SMSS;
    }
    assert!(
        (868..=878).contains(&windows[22]),
        "a quarter of the time: {}",
        windows[22]
    );
    assert!(
        (957..=967).contains(&windows[45]),
        "half of it: {}",
        windows[45]
    );
    assert!(
        (998..=1_001).contains(&windows[90]),
        "all of it: {}",
        windows[90]
    );
    let mut now = Instant::ZERO;
    for _ in 0..91 {
        round(&mut reno, &mut now, RTT);
    }
    assert!(reno.window() < 600 * SMSS);
}

#[test]
fn rfc9438_4_3_a_short_path_is_left_to_what_reno_would_do() {
    let mut cubic = after_loss_at(100);
    let mut now = Instant::ZERO;
    for _ in 0..40 {
        round(&mut cubic, &mut now, Duration::from_millis(1));
    }
    // 9/17 of a segment each round trip.
    assert!(
        (90..=92).contains(&(cubic.window() / SMSS)),
        "{}",
        cubic.window()
    );
    for _ in 0..30 {
        round(&mut cubic, &mut now, Duration::from_millis(1));
    }
    // From where the loss was, a segment each.
    let before = cubic.window();
    for _ in 0..10 {
        round(&mut cubic, &mut now, Duration::from_millis(1));
    }
    assert!((9..=11).contains(&((cubic.window() - before) / SMSS)));
}

#[test]
fn rfc9438_4_7_a_shrinking_window_makes_room() {
    let mut cubic = after_loss_at(100);
    assert_eq!(cubic.curve.as_ref().unwrap().w_max, 100_000);
    cubic.on_congestion(&loss(Instant::ZERO, 70 * SMSS));
    assert_eq!((cubic.window(), cubic.ssthresh()), (49_000, 49_000));
    assert_eq!(cubic.curve.as_ref().unwrap().w_max, 59_500);
}

#[test]
fn rfc9438_4_6_two_segments_are_left_at_least() {
    let mut cubic = Cubic::new(2 * SMSS);
    cubic.on_congestion(&loss(Instant::ZERO, SMSS));
    assert_eq!((cubic.window(), cubic.ssthresh()), (2 * SMSS, 2 * SMSS));
}

#[test]
fn rfc9438_4_8_a_timeout_begins_anew() {
    let mut cubic = after_loss_at(1_000);
    let mut now = Instant::ZERO;
    round(&mut cubic, &mut now, RTT);
    cubic.on_timeout(&loss(now, cubic.window()), true);
    let threshold = cubic.ssthresh();
    assert_eq!(cubic.window(), SMSS);
    assert!((480 * SMSS..500 * SMSS).contains(&threshold), "{threshold}");
    cubic.on_timeout(&loss(now, SMSS), false);
    assert_eq!(cubic.ssthresh(), threshold);
    cubic.set_windows(threshold, threshold);
    // The curve is flat where congestion avoidance begins.
    for _ in 0..10 {
        round(&mut cubic, &mut now, RTT);
    }
    assert!(cubic.window() < threshold + 12 * SMSS, "{}", cubic.window());
}

#[test]
fn rfc9438_5_8_time_without_text_does_not_count() {
    let mut now = Instant::ZERO;
    let mut cubic = after_loss_at(1_000);
    round(&mut cubic, &mut now, RTT);
    let mut idle = cubic.clone();
    idle.on_idle(Duration::from_secs(3), Duration::from_secs(10), SMSS);
    let mut limited = cubic.clone();
    let pause = AckEvent {
        now: now + Duration::from_secs(3),
        acked: SMSS,
        newly_sacked: 0,
        rtt: Some(RTT),
        smss: SMSS,
        segments_max: 8,
        in_flight: SMSS,
        app_limited: true,
        in_recovery: false,
    };
    limited.on_ack(&pause);
    let mut later = now + Duration::from_secs(3);
    round(&mut cubic, &mut now, RTT);
    for paused in [&mut idle, &mut limited] {
        let mut now = later;
        round(paused, &mut now, RTT);
        assert_eq!(paused.window(), cubic.window());
    }
    later += RTT;
    assert_eq!(later, now + Duration::from_secs(3));
}

#[test]
fn nothing_is_boxed_before_the_first_loss() {
    let mut cubic = Cubic::new(10 * SMSS);
    let mut now = Instant::ZERO;
    for _ in 0..5 {
        round(&mut cubic, &mut now, RTT);
    }
    assert!(cubic.curve.is_none() && cubic.window() > 100 * SMSS);
    assert!(size_of::<Cubic>() <= 24);
}

proptest! {
    #[test]
    fn cube_roots_are_the_largest_that_fit(root in 0_u64..1 << 31, beyond in any::<u32>()) {
        let cube = u128::from(root).pow(3);
        prop_assert_eq!(cube_root(cube), root);
        let next = u128::from(root + 1).pow(3);
        prop_assert_eq!(cube_root(next - 1), root);
        let between = cube + u128::from(beyond) % (next - cube);
        prop_assert_eq!(cube_root(between), root);
    }

    #[test]
    fn whatever_comes_the_window_stays_within_its_bounds(
        events in proptest::collection::vec((0_u8..6, any::<u32>(), any::<u32>()), 0..200),
    ) {
        let mut cubic = Cubic::new(10 * SMSS);
        let mut now = Instant::ZERO;
        for (kind, a, b) in events {
            now += Duration::from_micros(u64::from(a));
            let at = loss(now, b);
            match kind {
                0 => cubic.on_congestion(&at),
                1 => cubic.on_timeout(&at, a % 2 == 0),
                2 => cubic.on_recovery_end(b % (1 << 30), SMSS),
                3 => cubic.on_idle(Duration::from_millis(a.into()), Duration::from_secs(1), SMSS),
                4 => cubic.on_mss_change(SMSS, 100 + a % 2_000),
                _ => cubic.on_ack(&AckEvent {
                    now,
                    acked: b,
                    newly_sacked: 0,
                    rtt: Some(Duration::from_millis(u64::from(a % 5_000))),
                    smss: SMSS,
                    segments_max: 8,
                    in_flight: b,
                    app_limited: a % 7 == 0,
                    in_recovery: a % 5 == 0,
                }),
            }
            prop_assert!((1..=crate::congestion::WINDOW_MAX).contains(&cubic.window()));
        }
    }
}
