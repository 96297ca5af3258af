//! `scale`: what one segment costs with one connection and with very many, and on a path that loses.
//!
//! Three questions, each with its own answer:
//!
//! - `idle`: one connection is busy, the others are silent. Nothing that looks at all sockets survives this.
//! - `active`: every connection has its turn with one segment, so each finds its state outside the caches. What this costs more
//!   than the same work among the few connections of one turn is the memory's, not an algorithm's. So that it is the same work, the
//!   clock of the few goes on between turns by the time after which a connection of the many has its next: the same timers expire, and
//!   as many acknowledgments leave. Each has had a first turn before, and each round begins where the last one ended: a million have
//!   their turns in more than a second. Much of what either costs
//!   more than a burst is that there is one segment at a time: nothing is merged, and each is written, read and acknowledged alone.
//!   `huge-pages` is the same once more, few and many, in a process whose allocator asks for huge pages.
//! - `loss`: one connection on a path that loses one packet in so many; repairs included.

use std::io;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use handwave_tcp::Config;

use crate::crowd::{Crowd, Ends, SEGMENT};
use crate::report::{Better, Report, median};

/// Segments that a busy connection writes at a time.
const BURST: usize = 32;
/// Connections that have their turn before the packets of all are carried.
const TURN: usize = 32;
/// One packet lost in so many.
const LOSSES: [u64; 3] = [1_000, 100, 20];

/// How long and how often to measure, and with how many connections.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) rounds: u32,
    pub(crate) span: Duration,
    pub(crate) connections: Vec<usize>,
}

/// Runs all cases; each is compared, in the same round, with one connection, alone, on a path without losses; those in which all
/// connections are active, with the connections of one turn.
pub(crate) fn run(report: &mut Report, settings: &Settings) {
    let (mut alone, mut few) = (crowd(1), crowd(TURN));
    let add = |report: &mut Report, case: String, (ours, base): (f64, f64), peer: &str| {
        report.add(
            "scale",
            case,
            "ns/segment",
            Better::Less,
            (ours, base, peer),
        );
    };
    let one = "ours, one connection";
    for &count in &settings.connections {
        let mut among = crowd(count);
        let idle = compare(settings, &mut alone, &mut among, busy);
        add(report, format!("idle-{count}"), idle, one);
        let active = compare_in_turn(settings, &mut few, &mut among);
        let peer = format!("ours, {TURN} connections");
        add(report, format!("active-{count}"), active, &peer);
        drop(among);
        match with_huge_pages(settings, count) {
            Ok(active) => {
                let peer = format!("{peer}, huge pages");
                add(report, format!("active-{count}-huge-pages"), active, &peer);
            }
            Err(error) => eprintln!("scale: {count} connections with huge pages: {error}"),
        }
    }
    for one_in in LOSSES {
        let mut lossy = crowd(1);
        lossy.lose_every(one_in);
        let figures = compare(settings, &mut alone, &mut lossy, busy);
        add(report, format!("loss-1-in-{one_in}"), figures, one);
    }
}

/// What makes glibc's allocator ask for huge pages; the kernel gives them if they are not switched off (`never`).
const HUGE_PAGES: [&str; 2] = ["GLIBC_TUNABLES", "glibc.malloc.hugetlb=1"];

/// Measures `active` with huge pages, in a process of its own: an allocator is told when its process begins.
fn with_huge_pages(settings: &Settings, count: usize) -> io::Result<(f64, f64)> {
    let [name, value] = HUGE_PAGES;
    let output = Command::new(std::env::current_exe()?)
        .args(["scale", "--active", "--connections", &count.to_string()])
        .args(["--rounds", &settings.rounds.to_string()])
        .args(["--millis", &settings.span.as_millis().to_string()])
        .env(name, value)
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut figures = text.split_whitespace().map(str::parse);
    match (figures.next(), figures.next()) {
        (Some(Ok(ours)), Some(Ok(base))) => Ok((ours, base)),
        _ => Err(io::Error::other(format!("it said: {text}"))),
    }
}

/// Measures `active` alone and prints both figures.
pub(crate) fn print_active(settings: &Settings) {
    let &[count] = &settings.connections[..] else {
        return;
    };
    let (ours, base) = compare_in_turn(settings, &mut crowd(TURN), &mut crowd(count));
    println!("{ours} {base}");
}

fn crowd(connections: usize) -> Crowd {
    let mut crowd = Crowd::new(connections, Config::default());
    crowd.open(connections);
    crowd
}

/// Nanoseconds for each segment of text of `crowd` and of what it is compared with, both doing the same work.
fn compare(
    settings: &Settings,
    few: &mut Crowd,
    crowd: &mut Crowd,
    work: fn(&mut Crowd, Duration) -> f64,
) -> (f64, f64) {
    let (mut ours, mut base) = (Vec::new(), Vec::new());
    for _ in 0..settings.rounds {
        ours.push(work(crowd, settings.span));
        base.push(work(few, settings.span));
    }
    (median(&mut ours), median(&mut base))
}

/// The same for all connections in turn; those of `few` rest as long as those of `crowd` do.
///
/// Each has had a turn before, so that none is seen with its first segment; a round goes on where the last one ended, because one round may be
/// too short for all.
fn compare_in_turn(settings: &Settings, few: &mut Crowd, crowd: &mut Crowd) -> (f64, f64) {
    let (mut ours, mut base) = (Vec::new(), Vec::new());
    let others = crowd.connections().len().saturating_sub(TURN);
    let chunk = Bytes::from(vec![0x5a; SEGMENT]);
    for turn in crowd.connections().to_vec().chunks(TURN) {
        one_turn(crowd, turn, &chunk);
    }
    let mut next = 0;
    for _ in 0..settings.rounds {
        let each = in_turn(crowd, &mut next, settings.span, Duration::ZERO);
        ours.push(each);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let rest = Duration::from_secs_f64(each * 1e-9 * others as f64);
        base.push(in_turn(few, &mut 0, settings.span, rest));
    }
    (median(&mut ours), median(&mut base))
}

/// The first connection sends in bursts for `span`.
fn busy(crowd: &mut Crowd, span: Duration) -> f64 {
    let chunk = Bytes::from(vec![0x5a; BURST * SEGMENT]);
    let ends = crowd.connections()[0];
    let (begin, mut octets) = (Instant::now(), 0);
    while begin.elapsed() < span {
        crowd.write(ends, &chunk);
        crowd.settle();
        crowd.tick();
        octets += crowd.read(ends);
    }
    per_segment(begin.elapsed(), octets)
}

/// All connections send one segment each, in turn, for `span`, from turn `next` on; the stacks' clock goes on by `rest` between the
/// turns.
fn in_turn(crowd: &mut Crowd, next: &mut usize, span: Duration, rest: Duration) -> f64 {
    let all = crowd.connections().to_vec();
    let chunk = Bytes::from(vec![0x5a; SEGMENT]);
    let (begin, mut octets) = (Instant::now(), 0);
    for turn in all.chunks(TURN).cycle().skip(*next) {
        *next = (*next + 1) % all.len().div_ceil(TURN);
        octets += one_turn(crowd, turn, &chunk);
        if !rest.is_zero() {
            crowd.skip(rest);
            crowd.tick();
            crowd.settle();
        }
        if begin.elapsed() >= span {
            break;
        }
    }
    per_segment(begin.elapsed(), octets)
}

/// These connections send one segment each; returns the octets that arrived.
fn one_turn(crowd: &mut Crowd, turn: &[Ends], chunk: &Bytes) -> u64 {
    for &ends in turn {
        crowd.write(ends, chunk);
    }
    crowd.settle();
    crowd.tick();
    turn.iter().map(|&ends| crowd.read(ends)).sum()
}

#[expect(clippy::cast_precision_loss, reason = "a figure needs few digits")]
fn per_segment(spent: Duration, octets: u64) -> f64 {
    assert!(octets > 0, "nothing arrived");
    spent.as_secs_f64() * 1e9 / (octets as f64 / SEGMENT as f64)
}
