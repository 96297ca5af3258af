//! `timers`: what very many armed timers cost while none is due.

use std::time::Instant;

use handwave_tcp::{Config, KeepAlive};

use crate::crowd::Crowd;
use crate::report::{Better, Report, median};

/// Nanoseconds that a tick may take, whatever is armed: a thousandth of a millisecond.
const TICK_BUDGET: f64 = 1_000.0;

/// Arms a keep-alive timer for each of `connections` and measures a tick at which nothing is due.
pub(crate) fn run(report: &mut Report, rounds: u32, connections: &[usize]) {
    for &count in connections {
        let config = Config {
            keepalive: Some(KeepAlive::default()),
            ..Config::default()
        };
        let mut crowd = Crowd::new(count, config);
        crowd.open(count);
        let mut ticks = Vec::new();
        for _ in 0..rounds {
            ticks.push(tick(&mut crowd));
        }
        report.add(
            "timers",
            format!("tick-{count}-armed"),
            "ns",
            Better::Less,
            (median(&mut ticks), TICK_BUDGET, "budget"),
        );
    }
}

/// Nanoseconds for one tick of both stacks, over many.
fn tick(crowd: &mut Crowd) -> f64 {
    const TICKS: u32 = 10_000;
    let begin = Instant::now();
    for _ in 0..TICKS {
        crowd.tick();
    }
    begin.elapsed().as_secs_f64() * 1e9 / f64::from(TICKS)
}
