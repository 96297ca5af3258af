//! `shards`: two shards of one host, each on a core of its own, against one.
//!
//! Each thread has a shard of the server and a client of its own, so both do the same work as with one shard; what the shards
//! share is the memory, the machine, and the pool of their listeners. Beside what the wall clock says stands what the threads'
//! CPU time says: on a machine that others use too, only the latter tells of the shards.
//!
//! What two cores of this machine can do at all, two processes tell that share nothing and each run one shard alone.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
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
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum Work {
    /// One connection each, MTU 1500.
    Bulk,
    /// Connections opened, accepted and reset.
    Handshakes,
}

impl Work {
    /// What to measure: the work, its name, the unit of its figure, and what a figure is multiplied by for that.
    const ALL: [(Self, &'static str, &'static str, f64); 2] = [
        (Self::Bulk, "bulk", "Gbit/s", 8e-9),
        (Self::Handshakes, "handshakes", "conn/s", 1.0),
    ];
}

/// What all shards have done together, in a second of time and in a second of CPU time of each.
#[derive(Default)]
struct Rate {
    wall: f64,
    cpu: f64,
}

impl Rate {
    fn add(&mut self, (done, wall, cpu): (f64, f64, f64)) {
        self.wall += done / wall;
        self.cpu += done / cpu;
    }
}

pub(crate) fn run(report: &mut Report, rounds: u32, span: Duration) {
    let mut add = |case: String, unit: &'static str, (ours, base): (f64, f64), peer: &str| {
        report.add("shards", case, unit, Better::More, (ours, base, peer));
    };
    for (work, name, unit, scale) in Work::ALL {
        let mut samples = [const { Vec::new() }; 7];
        for _ in 0..rounds {
            let (two, one) = (measure(work, 2, span), measure(work, 1, span));
            let apart = measure_apart(name, span).unwrap_or_else(|error| {
                eprintln!("shards: two processes: {error}");
                Rate::default()
            });
            // What it costs one shard not to be alone: it looks whose each packet is.
            let of_two = measure_some(work, (1, 2), span);
            let values = [
                two.wall, one.wall, apart.wall, two.cpu, one.cpu, apart.cpu, of_two.cpu,
            ];
            for (sample, value) in samples.iter_mut().zip(values) {
                sample.push(value * scale);
            }
        }
        let [two, one, apart, two_cpu, one_cpu, apart_cpu, of_two_cpu] =
            samples.map(|mut sample| median(&mut sample));
        for (clock, two, one, apart) in [
            ("wall", two, one, apart),
            ("cpu", two_cpu, one_cpu, apart_cpu),
        ] {
            let case = format!("{name}-2-shards-{clock}");
            add(case.clone(), unit, (two, one), "one shard");
            if apart > 0.0 {
                add(case, unit, (two, apart), "two processes");
            }
        }
        let case = format!("{name}-1-shard-of-2-cpu");
        add(case, unit, (of_two_cpu, one_cpu), "one shard");
    }
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
            let wait = move || {
                start.wait();
            };
            thread::spawn(move || run_shard((work, shard.index().into()), shard, &pool, wait, span))
        })
        .collect();
    let mut rate = Rate::default();
    for thread in threads {
        rate.add(thread.join().expect("a shard does its work"));
    }
    rate
}

/// Runs one shard alone in each of two processes at once, each on a core of its own.
fn measure_apart(name: &str, span: Duration) -> io::Result<Rate> {
    let mut alone = (0..2)
        .map(|core| Alone::start(core, name, span))
        .collect::<io::Result<Vec<_>>>()?;
    for process in &mut alone {
        process.is_ready()?;
    }
    for process in &mut alone {
        process.go()?;
    }
    let mut rate = Rate::default();
    for process in alone {
        rate.add(process.figures()?);
    }
    Ok(rate)
}

/// A process that runs one shard: [`print_alone`].
struct Alone {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Alone {
    fn start(core: usize, name: &str, span: Duration) -> io::Result<Self> {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["shards", "--alone", name, "--core", &core.to_string()])
            .args(["--millis", &span.as_millis().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let to = process.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let from = process.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let from = BufReader::new(from);
        Ok(Self { process, to, from })
    }

    /// Waits until it has warmed up.
    fn is_ready(&mut self) -> io::Result<()> {
        self.from.read_line(&mut String::new()).map(|_| ())
    }

    fn go(&mut self) -> io::Result<()> {
        self.to.write_all(b"\n")
    }

    /// What it did, and in how many seconds of time and of CPU time.
    fn figures(mut self) -> io::Result<(f64, f64, f64)> {
        let mut text = String::new();
        self.from.read_to_string(&mut text)?;
        self.process.wait()?;
        let mut figures = text.split_whitespace().map(str::parse);
        match (figures.next(), figures.next(), figures.next()) {
            (Some(Ok(done)), Some(Ok(wall)), Some(Ok(cpu))) => Ok((done, wall, cpu)),
            _ => Err(io::Error::other(format!("it said: {text}"))),
        }
    }
}

/// Runs one shard alone, in this process: says when it has warmed up, waits for a line, and prints what it did, and in how many
/// seconds of time and of CPU time.
pub(crate) fn print_alone(work: Work, core: usize, span: Duration) {
    let start = || {
        println!();
        let read = io::stdin().read_line(&mut String::new());
        read.expect("standard input can be read");
    };
    let budgets = SourceBudgets::new(&Limits::default(), &Secrets::from_seed(2));
    let pool = ListenerPool::new(1, Locked(Mutex::new(budgets)));
    let (done, wall, cpu) = run_shard((work, core), Shard::default(), &pool, start, span);
    println!("{done} {wall} {cpu}");
}

/// Does `work` on `core` for `span` once `start` returns.
fn run_shard(
    (work, core): (Work, usize),
    shard: Shard,
    pool: &ListenerPool,
    start: impl FnOnce(),
    span: Duration,
) -> (f64, f64, f64) {
    pin(core);
    let mut pair = Pair::of_shard((shard, Some(pool)), 1_500, BUFFER, 0, Crossing::Contiguous);
    let go = |pair: &mut Pair, span| match work {
        Work::Bulk => pair.transfer(span, Calls::Copy),
        Work::Handshakes => pair.handshakes(span),
    };
    go(&mut pair, span / 10);
    start();
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
