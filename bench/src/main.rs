//! Measures Handwave against what a user could pick instead, both in the same run.
//!
//! Each benchmark prints one JSON object a line on stdout and a table for people on stderr. A ratio above 1 means that
//! Handwave is better, whatever the unit.
#![allow(
    clippy::disallowed_methods,
    reason = "benchmarks measure wall-clock time"
)]

mod aims;
mod bulk;
mod crowd;
mod handshakes;
mod idle;
mod instructions;
#[cfg(target_os = "linux")]
mod live;
mod markdown;
mod ours;
mod report;
mod scale;
#[cfg(target_os = "linux")]
mod shards;
mod smoltcp_pair;
mod syn_flood;
mod timers;

use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::report::Report;

#[derive(Debug, Parser)]
#[command(
    name = "handwave-bench",
    about = "Measures Handwave against what a user could pick instead",
    version
)]
struct Arguments {
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Debug, Subcommand)]
enum Benchmark {
    /// One connection as fast as it goes: both ends in one thread, checksums computed and verified.
    Bulk {
        /// Interleaved rounds; the median of each side counts.
        #[arg(long, default_value_t = 7)]
        rounds: u32,
        /// Milliseconds that each side runs in each round.
        #[arg(long, default_value_t = 300)]
        millis: u64,
        /// Numbers of idle connections open beside the busy one.
        #[arg(long, value_delimiter = ',', default_value = "0,40000,1000000")]
        idle: Vec<usize>,
    },
    /// Memory of a connection that is idle, half open or in TIME-WAIT, tables and timers included.
    Idle {
        /// Connections to open.
        #[arg(
            long,
            value_delimiter = ',',
            default_value = "1000,10000,100000,1000000"
        )]
        connections: Vec<usize>,
        /// Measure this alone and print the figure alone.
        #[arg(long, hide = true)]
        case: Option<String>,
    },
    /// Handshakes a second that one core carries out, both ends counted as one.
    Handshakes {
        /// Rounds; the median counts.
        #[arg(long, default_value_t = 7)]
        rounds: u32,
        /// Milliseconds of opening connections in each round.
        #[arg(long, default_value_t = 300)]
        millis: u64,
    },
    /// What a segment costs among very many connections, and on a path that loses.
    Scale {
        /// Interleaved rounds; the median of each side counts.
        #[arg(long, default_value_t = 5)]
        rounds: u32,
        /// Milliseconds that each side runs in each round.
        #[arg(long, default_value_t = 200)]
        millis: u64,
        /// Numbers of connections.
        #[arg(long, value_delimiter = ',', default_value = "1000,100000,1000000")]
        connections: Vec<usize>,
        /// Measure with all connections active only and print the figures alone.
        #[arg(long, hide = true)]
        active: bool,
    },
    /// Two shards of one host, each on a core of its own, against one.
    #[cfg(target_os = "linux")]
    Shards(Shards),
    /// What armed timers cost while none is due.
    Timers {
        /// Rounds; the median counts.
        #[arg(long, default_value_t = 7)]
        rounds: u32,
        /// Connections with a timer each, at both ends.
        #[arg(long, value_delimiter = ',', default_value = "1000,1000000")]
        connections: Vec<usize>,
    },
    /// One connection over a real TUN as fast as it goes, both ways, without and with offload; the kernel is the peer. Needs root.
    #[cfg(target_os = "linux")]
    Tun(Live),
    /// A message of 64 octets there and back over a real TUN. Needs root.
    #[cfg(target_os = "linux")]
    Rr(Live),
    /// The same 100, 1,000 and 10,000 times a second: processor time for each. Needs root.
    #[cfg(target_os = "linux")]
    Paced(Live),
    /// Connections over a real TUN: connect, one octet, close. Needs root.
    #[cfg(target_os = "linux")]
    Conn(Live),
    /// An axum application over a real TUN, loaded by `wrk`. Needs root.
    #[cfg(target_os = "linux")]
    Http(Live),
    /// Honest clients of an HTTP server over a real TUN while forged SYNs come in. Needs root.
    #[cfg(target_os = "linux")]
    TunFlood(Live),
    /// Spoofed SYNs a second that one core answers with cookies, and what honest clients see of it.
    SynFlood {
        /// SYNs of the run that looks at memory and honest clients.
        #[arg(long, default_value_t = 10_000_000)]
        syns: u64,
        /// Rounds of 262,144 SYNs; the median counts.
        #[arg(long, default_value_t = 7)]
        rounds: u32,
    },
    /// A fixed amount of work and nothing else, for profilers that count: `valgrind --tool=callgrind`, `perf record`.
    Profile(Profile),
    /// Instructions that a segment and a handshake cost, counted by callgrind: a figure that a busy machine does not change.
    Instructions,
    /// Serves at a TUN with ipstack until standard input ends: it blocks when it is dropped, so it is ended with its process.
    #[cfg(target_os = "linux")]
    #[command(hide = true)]
    ServeIpstack,
    /// Reads JSON lines of earlier runs from standard input and prints them as Markdown, aims first: what `docs/performance.md` shows.
    Markdown,
    /// Everything.
    All,
}

/// What to do for a profiler.
#[derive(Debug, clap::Args)]
struct Profile {
    /// Megabytes to move.
    #[arg(long, default_value_t = 64)]
    megabytes: u64,
    /// How packets cross from one stack to the other.
    #[arg(long, value_enum, default_value_t = ours::Crossing::Contiguous)]
    crossing: ours::Crossing,
    /// Write and read in chunks that nobody copies.
    #[arg(long)]
    chunks: bool,
    /// Let smoltcp move them.
    #[arg(long, conflicts_with_all = ["crossing", "chunks"])]
    smoltcp: bool,
    /// Answer so many spoofed SYNs with cookies instead.
    #[arg(long, conflicts_with_all = ["megabytes", "crossing", "chunks", "smoltcp"])]
    syns: Option<u64>,
    /// Open so many connections instead.
    #[arg(long, conflicts_with_all = ["megabytes", "crossing", "chunks", "smoltcp", "syns"])]
    handshakes: Option<usize>,
}

impl Profile {
    fn run(&self) {
        let octets = self.megabytes << 20;
        match *self {
            Self {
                syns: Some(syns), ..
            } => syn_flood::profile(syns),
            Self {
                handshakes: Some(count),
                ..
            } => handshakes::profile(count),
            Self { smoltcp: true, .. } => bulk::profile_smoltcp(octets),
            Self {
                crossing, chunks, ..
            } => {
                let calls = match chunks {
                    true => ours::Calls::Chunks,
                    false => ours::Calls::Copy,
                };
                bulk::profile(octets, crossing, calls);
            }
        }
    }
}

/// How long and how often to measure two shards.
#[cfg(target_os = "linux")]
#[derive(Debug, clap::Args)]
struct Shards {
    /// Interleaved rounds; the median of each side counts.
    #[arg(long, default_value_t = 7)]
    rounds: u32,
    /// Milliseconds that each side runs in each round.
    #[arg(long, default_value_t = 300)]
    millis: u64,
    /// Measure one shard that does this alone, once, and print the figures alone.
    #[arg(long, hide = true)]
    alone: Option<shards::Work>,
    /// The core for that.
    #[arg(long, hide = true, default_value_t = 0)]
    core: usize,
}

#[cfg(target_os = "linux")]
impl Shards {
    fn run(&self, report: &mut Report) {
        let span = Duration::from_millis(self.millis);
        match self.alone {
            Some(work) => shards::print_alone(work, self.core, span),
            None => shards::run(report, self.rounds, span),
        }
    }
}

/// How long and how often to measure what runs over a real TUN.
#[cfg(target_os = "linux")]
#[derive(Debug, clap::Args)]
struct Live {
    /// Rounds in which everybody has a turn; the median counts.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// Milliseconds of each turn.
    #[arg(long, default_value_t = 500)]
    millis: u64,
    /// Measure only those whose name contains this; without ourselves there is no table, only their figures.
    #[arg(long)]
    only: Option<String>,
    /// Measure only those cases whose name contains this.
    #[arg(long)]
    case: Option<String>,
}

#[cfg(target_os = "linux")]
impl Live {
    /// What `all` takes.
    const USUAL: Self = Self {
        rounds: 5,
        millis: 500,
        only: None,
        case: None,
    };

    fn settings(self) -> live::Settings {
        live::Settings {
            rounds: self.rounds,
            span: Duration::from_millis(self.millis),
            only: self.only,
            case: self.case,
        }
    }
}

fn main() {
    // As the async stack does when it is built.
    handwave_simd::install();
    let mut report = Report::default();
    match Arguments::parse().benchmark {
        Benchmark::Bulk {
            rounds,
            millis,
            idle,
        } => {
            let settings = bulk::Settings {
                rounds,
                span: Duration::from_millis(millis),
                idle,
            };
            bulk::run(&mut report, &settings);
        }
        Benchmark::Idle { connections, case } => match case {
            Some(case) => return idle::print(&case, &connections),
            None => idle::run(&mut report, &connections),
        },
        Benchmark::Handshakes { rounds, millis } => {
            handshakes::run(&mut report, rounds, Duration::from_millis(millis));
        }
        Benchmark::Scale {
            rounds,
            millis,
            connections,
            active,
        } => {
            let settings = scale::Settings {
                rounds,
                span: Duration::from_millis(millis),
                connections,
            };
            if active {
                return scale::print_active(&settings);
            }
            scale::run(&mut report, &settings);
        }
        #[cfg(target_os = "linux")]
        Benchmark::Shards(shards) => shards.run(&mut report),
        Benchmark::Timers {
            rounds,
            connections,
        } => timers::run(&mut report, rounds, &connections),
        #[cfg(target_os = "linux")]
        Benchmark::Tun(live) => live::tun(&mut report, &live.settings()),
        #[cfg(target_os = "linux")]
        Benchmark::Rr(live) => live::rr(&mut report, &live.settings()),
        #[cfg(target_os = "linux")]
        Benchmark::Paced(live) => live::paced(&mut report, &live.settings()),
        #[cfg(target_os = "linux")]
        Benchmark::Conn(live) => live::conn(&mut report, &live.settings()),
        #[cfg(target_os = "linux")]
        Benchmark::Http(live) => live::http(&mut report, &live.settings()),
        #[cfg(target_os = "linux")]
        Benchmark::TunFlood(live) => live::tun_flood(&mut report, &live.settings()),
        Benchmark::SynFlood { syns, rounds } => {
            syn_flood::run(&mut report, &syn_flood::Settings { syns, rounds });
        }
        Benchmark::Instructions => instructions::run(&mut report),
        Benchmark::Profile(profile) => return profile.run(),
        Benchmark::Markdown => return to_markdown(),
        #[cfg(target_os = "linux")]
        Benchmark::ServeIpstack => return live::serve_ipstack(),
        Benchmark::All => everything(&mut report),
    }
    report.table();
}

/// Standard input as Markdown; ends the process with 3 if it is no run.
fn to_markdown() {
    if let Err(error) = markdown::print(std::io::stdin().lock()) {
        eprintln!("cannot print tables: {error}");
        std::process::exit(3);
    }
}

/// Runs every benchmark with its usual settings.
fn everything(report: &mut Report) {
    let settings = bulk::Settings {
        rounds: 7,
        span: Duration::from_millis(300),
        idle: vec![0, 40_000, 1_000_000],
    };
    bulk::run(report, &settings);
    instructions::run(report);
    idle::run(report, &[1_000, 10_000, 100_000, 1_000_000]);
    handshakes::run(report, 7, Duration::from_millis(300));
    let settings = scale::Settings {
        rounds: 5,
        span: Duration::from_millis(200),
        connections: vec![1_000, 100_000, 1_000_000],
    };
    scale::run(report, &settings);
    timers::run(report, 7, &[1_000, 1_000_000]);
    syn_flood::run(report, &syn_flood::Settings::default());
    #[cfg(target_os = "linux")]
    shards::run(report, 7, Duration::from_millis(300));
    #[cfg(target_os = "linux")]
    live::all(report, &Live::USUAL.settings());
}
