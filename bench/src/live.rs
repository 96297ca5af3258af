//! `tun`, `rr`, `conn`, `http`, `tun-flood`: over a real TUN, with the kernel as the peer.
//!
//! The benchmark moves into a network namespace of its own, and whoever is measured serves four ports at one end of a TUN in it:
//! discard, chargen, echo, and one that says one octet and closes. The kernel's sockets at the other end are the clients, and all
//! figures are taken there, the same way for everybody. In each round everybody has a turn, on a TUN made for it.

mod clients;
mod contestant;
mod flood;
mod floor;
mod handwave_async;
mod http;
mod namespace;
mod peers;
mod services;
mod smoltcp_tun;
mod spoofer;
mod two_tuns;

use std::io;
use std::time::Duration;

use crate::report::{Better, Report, median};
use clients::Latencies;
use contestant::{Contestant, Mode};
use handwave_async::Handwave;

pub(crate) use flood::run as tun_flood;
pub(crate) use http::run as http;
pub(crate) use peers::serve_ipstack;

/// How long and how often to measure.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) rounds: u32,
    pub(crate) span: Duration,
    /// Measures only those whose name contains this.
    pub(crate) only: Option<String>,
    /// Measures only those cases whose name contains this.
    pub(crate) case: Option<String>,
}

impl Settings {
    fn wants(&self, case: &str) -> bool {
        self.case.as_ref().is_none_or(|part| case.contains(part))
    }
}

const OURS: &str = "handwave";
/// The same with a driver that never goes on asking the device, and with one that always does for a while.
const OURS_NEVER_POLLING: &str = "handwave, never polling";
const OURS_POLLING: &str = "handwave, polling 50 us";
/// With calls that copy nothing.
const OURS_CHUNKS: &str = "handwave, by chunks";
/// What is added to the name of a case for each.
const SUFFIXES: [(&str, &str); 4] = [
    (OURS, ""),
    (OURS_NEVER_POLLING, "-never-polling"),
    (OURS_POLLING, "-polling-50us"),
    (OURS_CHUNKS, "-chunks"),
];

/// Everybody who is to be measured in this mode, ourselves first.
fn contestants(settings: &Settings, mode: Mode) -> Vec<Box<dyn Contestant>> {
    contestants_beside(&Handwave::DRIVERS, settings, mode)
}

/// The same with a choice of our own.
fn contestants_beside(
    own: &[Handwave],
    settings: &Settings,
    mode: Mode,
) -> Vec<Box<dyn Contestant>> {
    let mut all: Vec<Box<dyn Contestant>> = own.iter().map(|own| Box::new(*own) as _).collect();
    all.extend(floor::variants());
    all.push(Box::new(two_tuns::TwoTuns));
    if mode == Mode::Plain {
        all.push(Box::new(smoltcp_tun::Smoltcp));
    }
    all.extend(peers::all(mode));
    if let Some(only) = &settings.only {
        all.retain(|one| one.name().contains(only.as_str()));
    }
    all
}

/// What one contestant's turns gave.
struct Turns<T> {
    name: &'static str,
    variant: &'static str,
    taken: Vec<T>,
}

/// Gives everybody a turn in each round. Who misses one is not asked again: waiting for somebody who hangs takes long.
fn take_turns<T>(
    settings: &Settings,
    all: Vec<Box<dyn Contestant>>,
    mode: Mode,
    take: impl Fn(Duration) -> io::Result<T>,
) -> Vec<Turns<T>> {
    let mut all: Vec<_> = all
        .into_iter()
        .map(|one| {
            let turns = Turns {
                name: one.name(),
                variant: one.variant(),
                taken: Vec::new(),
            };
            (one, turns)
        })
        .collect();
    for _ in 0..settings.rounds {
        all.retain_mut(|(one, turns)| {
            let turn = one.start(mode).and_then(|running| {
                let taken = take(settings.span);
                drop(running);
                taken
            });
            match turn {
                Ok(taken) => turns.taken.push(taken),
                Err(ref error) => eprintln!("{} missed its turn: {error}", turns.name),
            }
            !turns.taken.is_empty()
        });
    }
    all.into_iter().map(|(_, turns)| turns).collect()
}

/// One figure of each contestant: the median of its turns. The floor's variants count as one, with its best.
fn figures<T>(
    all: &[Turns<T>],
    better: Better,
    of: impl Fn(&T) -> f64,
) -> Vec<(&'static str, f64)> {
    let mut figures: Vec<(&'static str, f64)> = Vec::new();
    for turns in all {
        let figure = median(&mut turns.taken.iter().map(&of).collect::<Vec<_>>());
        eprintln!("{} ({}): {figure:.3}", turns.name, turns.variant);
        let Some(known) = figures.iter_mut().find(|(name, _)| *name == turns.name) else {
            figures.push((turns.name, figure));
            continue;
        };
        known.1 = match better {
            Better::More => known.1.max(figure),
            Better::Less => known.1.min(figure),
        };
    }
    figures
}

/// The same of what is a figure already.
fn measure(
    settings: &Settings,
    (mode, all): (Mode, Vec<Box<dyn Contestant>>),
    better: Better,
    take: impl Fn(Duration) -> io::Result<f64>,
) -> Vec<(&'static str, f64)> {
    figures(&take_turns(settings, all, mode, take), better, |taken| {
        *taken
    })
}

fn add(
    report: &mut Report,
    bench: &'static str,
    (case, unit, better): (&str, &'static str, Better),
    figures: &[(&'static str, f64)],
) {
    let is_ours = |name: &str| name.starts_with(OURS);
    if !figures.iter().any(|(name, _)| is_ours(name)) {
        eprintln!("{bench} {case}: no figure of ours");
    }
    for (own, suffix) in SUFFIXES {
        let Some((_, ours)) = figures.iter().find(|(name, _)| *name == own) else {
            continue;
        };
        // Who got nothing done in a short turn has no figure to stand beside.
        let peers = figures
            .iter()
            .filter(|(name, figure)| !is_ours(name) && *figure > 0.0);
        for (name, figure) in peers {
            let case = format!("{case}{suffix}");
            report.add(bench, case, unit, better, (*ours, *figure, name));
        }
    }
}

/// Moves into a namespace of its own; says why not where that is impossible.
fn ready(bench: &str) -> bool {
    let entered = namespace::enter();
    if let Err(error) = &entered {
        eprintln!("SKIPPED {bench}: this needs root, and a network namespace: {error}");
    }
    entered.is_ok()
}

/// All of these.
pub(crate) fn all(report: &mut Report, settings: &Settings) {
    tun(report, settings);
    rr(report, settings);
    paced(report, settings);
    conn(report, settings);
    http(report, settings);
    tun_flood(report, settings);
}

/// Takes one figure, in a span.
type Take = fn(Duration) -> io::Result<f64>;

/// One connection as fast as it goes, in both directions, without and with offload.
pub(crate) fn tun(report: &mut Report, settings: &Settings) {
    if !ready("tun") {
        return;
    }
    for mode in [Mode::Plain, Mode::Offload] {
        let ways: [(&str, Take); 2] = [("in", clients::send), ("out", clients::receive)];
        for (way, take) in ways {
            let case = format!("{}-{way}", mode.name());
            if settings.wants(&case) {
                let own = [&Handwave::DRIVERS[..], &[Handwave::Chunks]].concat();
                let all = contestants_beside(&own, settings, mode);
                let figures = measure(settings, (mode, all), Better::More, take);
                add(report, "tun", (&case, "Gbit/s", Better::More), &figures);
            }
        }
    }
}

/// 64 octets there and back.
pub(crate) fn rr(report: &mut Report, settings: &Settings) {
    if !ready("rr") {
        return;
    }
    for mode in [Mode::Plain, Mode::Offload] {
        let name = mode.name();
        let all = take_turns(
            settings,
            contestants(settings, mode),
            mode,
            clients::ping_pong,
        );
        let rates = figures(&all, Better::More, |taken| taken.rate);
        add(report, "rr", (name, "trans/s", Better::More), &rates);
        for (quantile, of) in Latencies::QUANTILES {
            let figures = figures(&all, Better::Less, of);
            let case = format!("{name}-{quantile}");
            add(report, "rr", (&case, "us", Better::Less), &figures);
        }
    }
}

/// 64 octets there and back so many times a second, and the processor time that each costs who answers.
pub(crate) fn paced(report: &mut Report, settings: &Settings) {
    if !ready("paced") {
        return;
    }
    for rate in [100, 1_000, 10_000] {
        let case = format!("{rate}-a-second");
        if !settings.wants(&case) {
            continue;
        }
        let mut all = contestants(settings, Mode::Plain);
        // The time of another process is not counted.
        all.retain(|one| !one.is_elsewhere());
        let turns = take_turns(settings, all, Mode::Plain, |span| {
            clients::paced(span, rate)
        });
        let figures = figures(&turns, Better::Less, |taken| *taken);
        add(report, "paced", (&case, "us", Better::Less), &figures);
    }
}

/// Connect, one octet, close.
pub(crate) fn conn(report: &mut Report, settings: &Settings) {
    if !ready("conn") {
        return;
    }
    // Those without offload have their turn on a plain TUN.
    for (mode, prefix) in [(Mode::Offload, ""), (Mode::Plain, "plain-")] {
        for at_a_time in [1, 64] {
            let case = format!("{prefix}{at_a_time}-at-a-time");
            if settings.wants(&case) {
                let take = |span| clients::connections(span, at_a_time);
                let all = contestants(settings, mode);
                let figures = measure(settings, (mode, all), Better::More, take);
                add(report, "conn", (&case, "conn/s", Better::More), &figures);
            }
        }
    }
    queues(report, settings);
}

/// The same on one queue and on two. For a look only where there are two cores: the clients need one of them.
fn queues(report: &mut Report, settings: &Settings) {
    let case = "64-at-a-time-two-queues";
    if !settings.wants(case) {
        return;
    }
    let both: Vec<Box<dyn Contestant>> = vec![
        Box::new(Handwave::Adaptive),
        Box::new(handwave_async::TwoQueues),
    ];
    let take = |span| clients::connections(span, 64);
    let turns = take_turns(settings, both, Mode::Offload, take);
    let figures = figures(&turns, Better::More, |taken| *taken);
    if let [(_, one), (_, two)] = figures[..] {
        let figures = (two, one, "one queue");
        report.add("conn", case.to_owned(), "conn/s", Better::More, figures);
    }
}
