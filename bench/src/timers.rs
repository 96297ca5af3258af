//! `timers`: what very many armed timers cost: a tick while none is due, and a timer that is to fire earlier.

use std::sync::Arc;
use std::time::{Duration, Instant};

use handwave_tcp::{Config, KeepAlive};

use crate::crowd::Crowd;
use crate::report::{Better, Report, median};

/// Nanoseconds that a tick may take, whatever is armed: a thousandth of a millisecond.
const TICK_BUDGET: f64 = 1_000.0;
/// Nanoseconds that a timer may take to arm again, the call that leads to it and the settling included.
const REARM_BUDGET: f64 = 1_000.0;
/// Connections whose timers are armed again, spread over all.
const REARMED: usize = 1_000;

/// Arms a keep-alive timer for each of `connections` and measures a tick at which nothing is due, and moving timers forward.
pub(crate) fn run(report: &mut Report, rounds: u32, connections: &[usize]) {
    for &count in connections {
        let config = Config {
            keepalive: Some(KeepAlive::default()),
            ..Config::default()
        };
        let mut crowd = Crowd::new(count, config);
        crowd.open(count);
        let (mut ticks, mut rearms) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            ticks.push(tick(&mut crowd));
            rearms.push(rearm(&mut crowd, round));
        }
        for (what, mut nanos, budget) in [
            ("tick", ticks, TICK_BUDGET),
            ("rearm", rearms, REARM_BUDGET),
        ] {
            let case = format!("{what}-{count}-armed");
            let figures = (median(&mut nanos), budget, "budget");
            report.add("timers", case, "ns", Better::Less, figures);
        }
    }
}

/// Nanoseconds for each timer that is armed earlier than it was, which is what takes it out of its bucket into another.
fn rearm(crowd: &mut Crowd, round: u32) -> f64 {
    let idle = KeepAlive::default().idle - Duration::from_secs(60) * (round + 1);
    let keepalive = KeepAlive {
        idle,
        ..KeepAlive::default()
    };
    let config = Arc::new(Config {
        keepalive: Some(keepalive),
        ..Config::default()
    });
    let stride = crowd.connections().len().div_ceil(REARMED).max(1);
    let chosen: Vec<_> = crowd
        .connections()
        .iter()
        .step_by(stride)
        .copied()
        .collect();
    let begin = Instant::now();
    for ends in &chosen {
        crowd.configure(*ends, &config);
    }
    crowd.settle();
    #[expect(clippy::cast_precision_loss, reason = "a figure needs few digits")]
    let count = chosen.len() as f64;
    begin.elapsed().as_secs_f64() * 1e9 / count
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
