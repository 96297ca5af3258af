//! Pacing: a window is spread over a round trip that is long enough.

use std::time::Duration;

use handwave_tcp::{Config, Timer};
use handwave_wire::TcpOptions;

use crate::harness::{Bench, MSS, Sent, octets, plain};

/// Segments that the window admits.
const WINDOW: usize = 40;

/// A connection over a path whose round trip takes so many milliseconds, and that may send [`WINDOW`] segments.
fn over(millis: u64, pacing: bool) -> Bench {
    let config = Config {
        initial_window: u8::try_from(WINDOW).unwrap(),
        pacing,
        ..plain()
    };
    let options = TcpOptions {
        mss: Some(1460),
        ..TcpOptions::default()
    };
    Bench::established_after(Duration::from_millis(millis), config, options)
}

#[test]
fn a_window_is_spread_over_the_round_trip() {
    let mut bench = over(20, true);
    let rate = bench.connection.info().pacing_rate.unwrap();
    let window = u64::from(bench.connection.info().snd_cwnd);
    let expected = window * 2 * 1_000 / 20;
    assert!(rate.abs_diff(expected) <= 1_000, "{rate} {expected}");

    let at_once = bench.writes(&octets(WINDOW * MSS)).len();
    assert!((20..=24).contains(&at_once), "{at_once}");
    assert!(
        bench
            .connection
            .timers()
            .any(|(timer, _)| timer == Timer::Pacing)
    );
    let later = bench.waits(Duration::from_millis(20));
    assert_eq!(at_once + later.len(), WINDOW);
    // Four segments a millisecond, two windows in a round trip: and in no millisecond more than that and a portion.
    let millis = |sent: &Sent| sent.after.as_millis();
    for millisecond in 0..20 {
        let count = later
            .iter()
            .filter(|sent| millis(sent) == millisecond)
            .count();
        assert!(count <= 8, "{count} in millisecond {millisecond}");
    }
    let last = millis(later.last().unwrap());
    assert!((3..=8).contains(&last), "{last}");
    assert!(
        bench
            .connection
            .timers()
            .all(|(timer, _)| timer != Timer::Pacing)
    );
}

#[test]
fn a_short_path_is_not_paced_and_nothing_is_where_it_is_off() {
    for (millis, pacing) in [(7, true), (20, false)] {
        let mut bench = over(millis, pacing);
        assert_eq!(bench.connection.info().pacing_rate, None);
        assert_eq!(bench.writes(&octets(WINDOW * MSS)).len(), WINDOW);
    }
}
