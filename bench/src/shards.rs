//! `shards`: two shards of one host, each on a core of its own, against one.
//!
//! Each thread has a shard of the server and a client of its own, so both do the same work as with one shard; what the shards
//! share is the memory, the machine, and the pool of their listeners. Beside what the wall clock says stands what the threads'
//! CPU time says: on a machine that others use too, only the latter tells of the shards.

use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use handwave_stack::Shard;
use handwave_tcp::{BudgetLock, Limits, ListenerPool, Secrets, SourceBudgets};
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

use crate::ours::{Calls, Crossing, Pair};
use crate::report::{Better, Report, median};

const BUFFER: u32 = 256 << 10;

struct Locked(Mutex<SourceBudgets>);

impl BudgetLock for Locked {
    fn with(&self, look: &mut dyn FnMut(&mut SourceBudgets)) {
        if let Ok(mut budgets) = self.0.lock() {
            look(&mut budgets);
        }
    }
}

/// What the threads do.
#[derive(Clone, Copy, Debug)]
enum Work {
    /// One connection each, MTU 1500.
    Bulk,
    /// Connections opened, accepted and reset.
    Handshakes,
}

/// What all shards have done together, in a second of time and in a second of CPU time of each.
struct Rate {
    wall: f64,
    cpu: f64,
}

pub(crate) fn run(report: &mut Report, rounds: u32, span: Duration) {
    for (work, name, unit, scale) in [
        (Work::Bulk, "bulk", "Gbit/s", 8e-9),
        (Work::Handshakes, "handshakes", "conn/s", 1.0),
    ] {
        let mut samples = [const { Vec::new() }; 4];
        for _ in 0..rounds {
            let (two, one) = (measure(work, 2, span), measure(work, 1, span));
            let values = [two.wall, one.wall, two.cpu, one.cpu];
            for (sample, value) in samples.iter_mut().zip(values) {
                sample.push(value * scale);
            }
        }
        let [two, one, two_cpu, one_cpu] = samples.map(|mut sample| median(&mut sample));
        for (case, two, one) in [("wall", two, one), ("cpu", two_cpu, one_cpu)] {
            let case = format!("{name}-2-shards-{case}");
            report.add("shards", case, unit, Better::More, (two, one, "one shard"));
        }
    }
    // What it costs one shard not to be alone: it looks whose each packet is.
    let (mut of_two, mut alone) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        of_two.push(measure_some(Work::Bulk, (1, 2), span).cpu * 8e-9);
        alone.push(measure(Work::Bulk, 1, span).cpu * 8e-9);
    }
    let (of_two, alone) = (median(&mut of_two), median(&mut alone));
    let case = "bulk-1-shard-of-2-cpu".to_owned();
    report.add(
        "shards",
        case,
        "Gbit/s",
        Better::More,
        (of_two, alone, "one shard"),
    );
}

fn measure(work: Work, shards: u16, span: Duration) -> Rate {
    measure_some(work, (shards, shards), span)
}

/// Runs the first `running` of `count` shards at once.
fn measure_some(work: Work, (running, count): (u16, u16), span: Duration) -> Rate {
    let budgets = SourceBudgets::new(&Limits::default(), &Secrets::from_seed(2));
    let pool = ListenerPool::new(count, Locked(Mutex::new(budgets)));
    let start = Arc::new(Barrier::new(running.into()));
    let threads: Vec<_> = Shard::all(count)
        .take(running.into())
        .map(|shard| {
            let (pool, start) = (pool.clone(), Arc::clone(&start));
            thread::spawn(move || run_shard(work, shard, &pool, &start, span))
        })
        .collect();
    let mut rate = Rate {
        wall: 0.0,
        cpu: 0.0,
    };
    for thread in threads {
        let (done, wall, cpu) = thread.join().expect("a shard does its work");
        rate.wall += done / wall;
        rate.cpu += done / cpu;
    }
    rate
}

fn run_shard(
    work: Work,
    shard: Shard,
    pool: &ListenerPool,
    start: &Barrier,
    span: Duration,
) -> (f64, f64, f64) {
    pin(shard.index().into());
    let mut pair = Pair::of_shard((shard, Some(pool)), 1_500, BUFFER, 0, Crossing::Contiguous);
    let go = |pair: &mut Pair, span| match work {
        Work::Bulk => pair.transfer(span, Calls::Copy),
        Work::Handshakes => pair.handshakes(span),
    };
    go(&mut pair, span / 10);
    start.wait();
    let before = cpu_seconds();
    let (done, wall) = go(&mut pair, span);
    #[expect(clippy::cast_precision_loss, reason = "a rate needs few digits")]
    let done = done as f64;
    (done, wall, cpu_seconds() - before)
}

/// Keeps this thread on one core, where there are that many.
fn pin(core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core);
    if let Err(error) = sched_setaffinity(None, &cores) {
        eprintln!("cannot pin a thread to core {core}: {error}");
    }
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    #[expect(clippy::cast_precision_loss, reason = "a rate needs few digits")]
    let seconds = time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9;
    seconds
}
