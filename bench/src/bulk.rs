//! `bulk`: one connection as fast as it goes, both ends in one thread, against smoltcp and against its own idle neighbours.

use std::time::Duration;

use crate::ours::{self, Calls, Crossing};
use crate::report::{Better, Report, median};
use crate::smoltcp_pair;

/// How long and how often to measure.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) rounds: u32,
    pub(crate) span: Duration,
    pub(crate) idle: Vec<usize>,
}

/// Buffer sizes to try, in octets; each side gets the best of them for it.
const BUFFERS: [u32; 4] = [64 << 10, 256 << 10, 1 << 20, 4 << 20];
/// Trials of each size, of which the best counts: a disturbance must not choose.
const TRIALS: usize = 3;
/// What cases without a peer run with.
const BUFFER: u32 = 256 << 10;
/// Idle smoltcp sockets beyond which setting them up alone takes minutes: each poll looks at every socket.
const PEER_IDLE_MAX: usize = 2_000;
/// KiB that an idle connection takes at most: both ends, and tables while they grow.
const IDLE_KIB: usize = 4;

/// Runs all cases.
pub(crate) fn run(report: &mut Report, settings: &Settings) {
    for (mtu, calls) in [
        (1500, Calls::Copy),
        (1500, Calls::Chunks),
        (65_535, Calls::Copy),
    ] {
        against_smoltcp(report, settings, mtu, calls);
    }
    for calls in [Calls::Copy, Calls::Chunks] {
        super_segments(report, settings, calls);
    }
    idle_neighbours(report, settings);
    limits(report, settings);
}

/// Moves `octets` and prints how many segments that took.
pub(crate) fn profile(octets: u64, crossing: Crossing, calls: Calls) {
    let mut pair = ours::Pair::new(1500, BUFFER, 0, crossing);
    pair.step_by_work();
    move_all(octets, 1_448, || pair.transfer(Duration::ZERO, calls).0);
}

/// The same with smoltcp.
pub(crate) fn profile_smoltcp(octets: u64) {
    let mut pair = smoltcp_pair::Pair::new(1500, BUFFER as usize, 0);
    move_all(octets, 1_460, || {
        pair.transfer(Duration::ZERO, Calls::Copy).0
    });
}

/// Moves `octets` and prints how many segments with `text` octets each that takes.
fn move_all(octets: u64, text: u64, mut transfer: impl FnMut() -> u64) {
    let mut arrived = 0;
    while arrived < octets {
        arrived += transfer();
    }
    eprintln!(
        "{arrived} octets, {} segments of text",
        arrived.div_ceil(text)
    );
}

fn label(calls: Calls) -> &'static str {
    match calls {
        Calls::Copy => "",
        Calls::Chunks => "-chunks",
    }
}

fn against_smoltcp(report: &mut Report, settings: &Settings, mtu: u16, calls: Calls) {
    // Packets of 64 KiB are not joined.
    let joined = (mtu <= ours::LEN_MAX).then_some((Crossing::Joined, "-joined"));
    let ways = [(Crossing::Contiguous, ""), (Crossing::Slices, "-slices")];
    let ways: Vec<_> = ways.into_iter().chain(joined).collect();
    for &idle in settings.idle.iter().filter(|idle| **idle <= PEER_IDLE_MAX) {
        let case = format!("mtu{mtu}-idle{idle}{}", label(calls));
        beside_smoltcp(report, settings, (mtu, idle, calls), (&case, &ways));
    }
}

/// Super-segments cross uncut, as they do where a device takes them, against smoltcp, which has none, on the same link.
fn super_segments(report: &mut Report, settings: &Settings, calls: Calls) {
    let case = format!("mtu1500-super-segments{}", label(calls));
    let ways = [(Crossing::Whole, ""), (Crossing::WholeSlices, "-slices")];
    beside_smoltcp(report, settings, (1500, 0, calls), (&case, &ways));
}

/// One case, by each of some ways across, which have names.
fn beside_smoltcp(
    report: &mut Report,
    settings: &Settings,
    (mtu, idle, calls): (u16, usize, Calls),
    (case, ways): (&str, &[(Crossing, &'static str)]),
) {
    let span = settings.span / 3;
    let buffer = best_buffer(smoltcp_pair::NAME, |buffer| {
        smoltcp_pair::Pair::new(mtu.into(), buffer as usize, idle).transfer(span, calls)
    });
    let mut theirs = smoltcp_pair::Pair::new(mtu.into(), buffer as usize, idle);
    let ours = |&(crossing, way): &(Crossing, &'static str)| {
        let buffer = best_buffer("handwave", |buffer| {
            ours::Pair::new(mtu, buffer, idle, crossing).transfer(span, calls)
        });
        (
            ours::Pair::new(mtu, buffer, idle, crossing),
            way,
            Vec::new(),
        )
    };
    let mut ways: Vec<_> = ways.iter().map(ours).collect();
    let mut peer = Vec::new();
    for _ in 0..settings.rounds {
        for (pair, _, samples) in &mut ways {
            samples.push(rate(pair.transfer(settings.span, calls)));
        }
        peer.push(rate(theirs.transfer(settings.span, calls)));
    }
    let peer = median(&mut peer);
    for (_, way, samples) in &mut ways {
        let figures = (median(samples), peer, smoltcp_pair::NAME);
        report.add(
            "bulk",
            format!("{case}{way}"),
            "Gbit/s",
            Better::More,
            figures,
        );
    }
}

/// The buffer size with which `transfer` moves most.
fn best_buffer(name: &str, transfer: impl Fn(u32) -> (u64, f64)) -> u32 {
    let measured = BUFFERS.map(|buffer| {
        let trials = [(); TRIALS].map(|()| rate(transfer(buffer)));
        let rate = trials.into_iter().fold(0.0, f64::max);
        eprintln!(
            "{name} with buffers of {} KiB: {rate:.1} Gbit/s",
            buffer >> 10
        );
        (buffer, rate)
    });
    let best = measured.into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
    best.map_or(BUFFER, |best| best.0)
}

/// Whether there is memory for so many idle connections, at both ends; says so if there is not.
fn has_memory_for(idle: usize) -> bool {
    let needed = idle * IDLE_KIB;
    let available = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            let line = text
                .lines()
                .find(|line| line.starts_with("MemAvailable:"))?;
            line.split_whitespace().nth(1)?.parse::<usize>().ok()
        });
    // Where nobody tells, the attempt does.
    let fits = available.is_none_or(|kib| needed <= kib);
    if !fits {
        eprintln!(
            "SKIPPED bulk among {idle} idle connections: {needed} KiB of memory needed, {available:?} available"
        );
    }
    fits
}

/// The same connection alone and among idle ones: the ratio is what they cost.
fn idle_neighbours(report: &mut Report, settings: &Settings) {
    let mut alone = ours::Pair::new(1500, BUFFER, 0, Crossing::Contiguous);
    let counts = settings.idle.iter().filter(|&&idle| idle > 0);
    for &idle in counts.filter(|&&idle| has_memory_for(idle)) {
        let mut among = ours::Pair::new(1500, BUFFER, idle, Crossing::Contiguous);
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for _ in 0..settings.rounds {
            with.push(rate(among.transfer(settings.span, Calls::Copy)));
            without.push(rate(alone.transfer(settings.span, Calls::Copy)));
        }
        let (with, without) = (median(&mut with), median(&mut without));
        let case = format!("mtu1500-idle{}", among.idle());
        report.add(
            "bulk",
            case,
            "Gbit/s",
            Better::More,
            (with, without, "ours, no idle connections"),
        );
    }
}

/// What copying once and summing twice allows, the floor under any stack that checks its checksums, and what copying alone does.
///
/// Against it are the calls that copy, which do so at both ends, and those by chunks, where the device's copy is the one that is left.
fn limits(report: &mut Report, settings: &Settings) {
    let mut copying = ours::Pair::new(1500, BUFFER, 0, Crossing::Slices);
    let mut by_chunks = ours::Pair::new(1500, BUFFER, 0, Crossing::Joined);
    let mut samples = [const { Vec::new() }; 4];
    let [ours, chunks, limit, copies] = &mut samples;
    for _ in 0..settings.rounds {
        ours.push(rate(copying.transfer(settings.span, Calls::Copy)));
        chunks.push(rate(by_chunks.transfer(settings.span, Calls::Chunks)));
        limit.push(rate(copy_and_sum(settings.span, 2)));
        copies.push(rate(copy_and_sum(settings.span, 0)));
    }
    let [ours, chunks, limit, copies] = samples.map(|mut samples| median(&mut samples));
    for (case, ours, limit, name) in [
        ("mtu1500-limit", ours, limit, "one copy, two sums"),
        ("mtu1500-limit-chunks", chunks, limit, "one copy, two sums"),
        ("mtu1500-memcpy", ours, copies, "one copy"),
        ("mtu1500-memcpy-chunks", chunks, copies, "one copy"),
    ] {
        report.add(
            "bulk",
            case.to_owned(),
            "Gbit/s",
            Better::More,
            (ours, limit, name),
        );
    }
}

fn copy_and_sum(span: Duration, sums_each: usize) -> (u64, f64) {
    let source = vec![0x5a_u8; 1 << 16];
    let mut sink = vec![0_u8; 1 << 16];
    let (mut octets, mut sums) = (0_u64, 0_u64);
    let begin = std::time::Instant::now();
    while begin.elapsed() < span {
        for _ in 0..16 {
            for (from, to) in source.chunks(1448).zip(sink.chunks_mut(1448)) {
                to.copy_from_slice(from);
                for text in [from, &*to].into_iter().take(sums_each) {
                    sums += u64::from(handwave_wire::checksum::internet_checksum(text));
                }
            }
            octets += source.len() as u64;
            std::hint::black_box(&mut sink);
        }
    }
    std::hint::black_box((sums, &sink));
    (octets, begin.elapsed().as_secs_f64())
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rate needs no more than 52 bits"
)]
fn rate((octets, seconds): (u64, f64)) -> f64 {
    octets as f64 * 8.0 / seconds / 1e9
}
