//! Plays the swarm by the thousand and prints how to replay what fails.
#![forbid(unsafe_code)]

use clap::Parser;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;
use handwave_sim::Plan;
use handwave_sim::swarm::{Failure, Report, RunError, run};
use indicatif::{ProgressBar, ProgressStyle};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;

/// Plays TCP conversations over faulty paths in virtual time, one per seed, and checks them after every event.
///
/// The first failure ends the run: it prints what is wrong and the command that replays it, and exits with 1.
#[derive(Parser, Debug)]
#[command(name = "handwave-sim", version)]
struct Arguments {
    /// How many seeds to play
    #[arg(long, default_value_t = 2_000, value_name = "N")]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    first_seed: u64,
    /// How many to play at a time [default: one per processor]
    #[arg(long, value_name = "JOBS")]
    jobs: Option<usize>,
    /// Print the plan and every segment (plays one seed at a time)
    #[arg(long)]
    trace: bool,
    /// Play every seed twice and compare
    #[arg(long)]
    twice: bool,
    /// Play on after failures and list them all
    #[arg(long)]
    keep_going: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let jobs = if arguments.trace {
        1
    } else {
        arguments
            .jobs
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
    };
    let swarm = Swarm::new(&arguments);
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| swarm.work());
        }
    });
    swarm.finish()
}

/// What the workers share.
struct Swarm<'a> {
    arguments: &'a Arguments,
    next: AtomicU64,
    stopped: AtomicBool,
    totals: Mutex<Totals>,
    progress: ProgressBar,
}

#[derive(Default)]
struct Totals {
    runs: u64,
    report: Report,
    excused: Vec<u64>,
    failures: Vec<RunError>,
}

impl<'a> Swarm<'a> {
    fn new(arguments: &'a Arguments) -> Self {
        let progress = if arguments.trace {
            ProgressBar::hidden()
        } else {
            ProgressBar::new(arguments.seeds)
        };
        if let Ok(style) =
            ProgressStyle::with_template("{bar:40} {pos}/{len} seeds, {per_sec}, {eta} left {msg}")
        {
            progress.set_style(style);
        }
        Self {
            arguments,
            next: AtomicU64::new(arguments.first_seed),
            stopped: AtomicBool::new(false),
            totals: Mutex::default(),
            progress,
        }
    }

    fn work(&self) {
        let end = self
            .arguments
            .first_seed
            .saturating_add(self.arguments.seeds);
        while !self.stopped.load(Ordering::Relaxed) {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                break;
            }
            self.note(seed, self.play(seed));
        }
    }

    fn play(&self, seed: u64) -> Result<Report, RunError> {
        let plan = Plan::from_seed(seed);
        if self.arguments.trace {
            print!("{plan}");
        }
        let first = catch_unwind(AssertUnwindSafe(|| run(&plan, self.arguments.trace)))
            .unwrap_or_else(|panic| Err(panicked(seed, panic.as_ref())))?;
        if self.arguments.twice {
            let second = run(&plan, false)?;
            if second != first {
                let failure = Failure::Invariant("the same seed gave another run".into());
                return Err(RunError {
                    failure,
                    at: handwave_tcp::time::Instant::ZERO,
                    seed,
                });
            }
        }
        Ok(first)
    }

    fn note(&self, seed: u64, result: Result<Report, RunError>) {
        let Ok(mut totals) = self.totals.lock() else {
            return;
        };
        totals.runs += 1;
        self.progress.inc(1);
        match result {
            Ok(report) => {
                totals.report += report;
                if report.excused > 0 {
                    totals.excused.push(seed);
                }
            }
            Err(error) => {
                self.progress.suspend(|| eprintln!("{error}"));
                totals.failures.push(error);
                if !self.arguments.keep_going {
                    self.stopped.store(true, Ordering::Relaxed);
                }
            }
        }
    }

    fn finish(self) -> ExitCode {
        let wall = self.progress.elapsed();
        self.progress.finish_and_clear();
        let Ok(mut totals) = self.totals.into_inner() else {
            return ExitCode::FAILURE;
        };
        print_totals(&totals, wall);
        if totals.failures.is_empty() {
            return ExitCode::SUCCESS;
        }
        totals.failures.sort_by_key(|error| error.seed);
        println!("{} failed:", totals.failures.len());
        for error in &totals.failures {
            println!("{error}");
            println!(
                "  replay: cargo run --release -p handwave-sim -- --first-seed {} --seeds 1 --trace",
                error.seed
            );
        }
        ExitCode::FAILURE
    }
}

fn print_totals(totals: &Totals, wall: Duration) {
    let Report {
        steps,
        packets,
        octets,
        elapsed,
        ..
    } = totals.report;
    let per_second = totals.runs as f64 / wall.as_secs_f64().max(0.001);
    println!(
        "{} seeds in {:.1} s ({per_second:.0} a second): {steps} steps, {packets} segments, {octets} octets, {:.1} hours of virtual time",
        totals.runs,
        wall.as_secs_f64(),
        elapsed.as_secs_f64() / 3_600.0,
    );
    if !totals.excused.is_empty() {
        let shown: Vec<String> = totals.excused.iter().take(10).map(u64::to_string).collect();
        println!(
            "{} runs had a connection that rightly gave up, every try or its answer being lost (seeds {}{})",
            totals.excused.len(),
            shown.join(", "),
            if totals.excused.len() > 10 {
                ", ..."
            } else {
                ""
            },
        );
    }
}

fn panicked(seed: u64, panic: &(dyn core::any::Any + Send)) -> RunError {
    let text = panic.downcast_ref::<String>().cloned();
    let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
    let failure = Failure::Panic(text.unwrap_or_else(|| "of an unknown kind".into()));
    RunError {
        failure,
        at: handwave_tcp::time::Instant::ZERO,
        seed,
    }
}
