//! What happened in one run, and the first thing in which two runs of the same script differ.

use std::collections::BTreeMap;

use handwave_script::runner::{HappeningKind, Transcript};
use serde::{Deserialize, Serialize};

/// By how much two hosts may differ in time whatever happens, in microseconds.
const SLACK: i64 = 15_000;
/// More for what a timer has done.
const TIMER_SLACK: i64 = 30_000;
/// What comes so soon after something is taken to come of it.
const AT_ONCE: i64 = 5_000;
/// The same as a share of the time since somebody did something, in hundredths: the kernel's wheel keeps an eighth of the time.
const SLACK_PERCENT: i64 = 13;
/// What `struct tcp_info` says in units of time that a real clock makes inexact, and what no second host can know.
const INEXACT: &[&str] = &[
    "tcpi_rtt",
    "tcpi_rttvar",
    "tcpi_min_rtt",
    "tcpi_rcv_rtt",
    "tcpi_pacing_rate",
    "tcpi_delivery_rate",
    "tcpi_rehash",
    "tcpi_total_rto_time",
];
/// Longer than any script takes, in milliseconds.
const UPTIME: i64 = 600_000;
/// Members in milliseconds.
const MILLISECONDS: &[&str] = &[
    "tcpi_last_data_sent",
    "tcpi_last_data_recv",
    "tcpi_last_ack_recv",
];
/// Members in microseconds.
const MICROSECONDS: &[&str] = &[
    "tcpi_rto",
    "tcpi_ato",
    "tcpi_busy_time",
    "tcpi_rwnd_limited",
    "tcpi_sndbuf_limited",
];

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    Call,
    Inbound,
    Outbound,
    Check,
}

/// Something that happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) micros: i64,
    pub(crate) line: Option<usize>,
    pub(crate) kind: Kind,
    pub(crate) text: String,
}

/// Calls after which a timer may run that did not before.
const STIRRING: &[&str] = &[
    "connect",
    "write",
    "send",
    "shutdown",
    "close",
    "setsockopt",
    "splice",
];

impl Entry {
    fn may_start_timers(&self) -> bool {
        match self.kind {
            Kind::Inbound => true,
            Kind::Call => STIRRING.iter().any(|name| self.text.starts_with(name)),
            Kind::Outbound | Kind::Check => false,
        }
    }
}

/// A run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) entries: Vec<Entry>,
    pub(crate) broken: Option<String>,
}

impl From<Transcript> for Run {
    fn from(transcript: Transcript) -> Self {
        let entries = transcript.happenings.into_iter().map(|happening| Entry {
            micros: happening.micros,
            line: happening.line,
            kind: match happening.kind {
                HappeningKind::Call => Kind::Call,
                HappeningKind::Inbound => Kind::Inbound,
                HappeningKind::Outbound => Kind::Outbound,
                HappeningKind::Check => Kind::Check,
            },
            text: happening.text,
        });
        Self {
            entries: entries.collect(),
            broken: transcript.broken,
        }
    }
}

/// The first thing that is not the same.
#[derive(Clone, Debug)]
pub(crate) struct Difference {
    pub(crate) micros: i64,
    /// What kind of difference it is, without its numbers: what has one cause has one class, most of the time.
    pub(crate) class: String,
    pub(crate) ours: String,
    pub(crate) linux: String,
}

impl Run {
    fn of(&self, kind: Kind) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.kind == kind)
    }

    /// By how much something at `micros` may be early or late.
    fn slack(&self, micros: i64) -> i64 {
        let stirred = self
            .entries
            .iter()
            .filter(|entry| entry.micros <= micros && entry.may_start_timers())
            .map(|entry| entry.micros)
            .max();
        let waited = micros - stirred.unwrap_or(0);
        // What does not follow at once follows from a timer, which may have been running for longer.
        let timer = if waited > AT_ONCE { TIMER_SLACK } else { 0 };
        SLACK + timer + waited * SLACK_PERCENT / 100
    }

    /// Whether somebody does something so soon after a timer that a real host may do both in the other order.
    pub(crate) fn is_close(&self) -> bool {
        let stirs = |entry: &&Entry| entry.kind != Kind::Outbound;
        self.of(Kind::Outbound).any(|sent| {
            let by_itself = !self
                .entries
                .iter()
                .filter(stirs)
                .any(|entry| entry.micros == sent.micros);
            let slack = self.slack(sent.micros);
            by_itself
                && self
                    .entries
                    .iter()
                    .filter(stirs)
                    .any(|entry| entry.micros > sent.micros && entry.micros < sent.micros + slack)
        })
    }

    fn end(&self) -> i64 {
        self.entries
            .iter()
            .map(|entry| entry.micros)
            .max()
            .unwrap_or(0)
    }

    /// The first difference between this run, which is ours, and Linux's, both watched until `end`.
    pub(crate) fn first_difference(&self, linux: &Self, end: i64) -> Option<Difference> {
        if self.broken.is_some() || linux.broken.is_some() {
            return Some(Difference {
                micros: self.end(),
                class: "cannot be played".to_owned(),
                ours: self.broken.clone().unwrap_or_default(),
                linux: linux.broken.clone().unwrap_or_default(),
            });
        }
        [
            self.packets_differ(linux, end),
            self.calls_differ(linux, end),
            self.information_differs(linux),
        ]
        .into_iter()
        .flatten()
        .min_by_key(|difference| difference.micros)
    }

    fn packets_differ(&self, linux: &Self, end: i64) -> Option<Difference> {
        let mut ours = self.of(Kind::Outbound);
        let mut theirs = linux.of(Kind::Outbound);
        loop {
            let (a, b) = (ours.next(), theirs.next());
            let (Some(a), Some(b)) = (a, b) else {
                let (one, who) = match (a, b) {
                    (Some(a), _) => (a, "only we send"),
                    (_, Some(b)) => (b, "only Linux sends"),
                    (None, None) => return None,
                };
                // Who was about to send when the curtain fell may have been on time.
                return (one.micros + self.slack(one.micros) < end).then(|| alone(one, who));
            };
            let apart = (a.micros - b.micros).abs() > self.slack(a.micros.max(b.micros));
            if a.text == b.text && !apart {
                continue;
            }
            if a.text == b.text || !apart {
                return Some(Difference {
                    micros: a.micros.min(b.micros),
                    class: packet_class(&a.text, &b.text),
                    ours: timed(a),
                    linux: timed(b),
                });
            }
            let (one, who) = if a.micros < b.micros {
                (a, "only we send")
            } else {
                (b, "only Linux sends")
            };
            return Some(alone(one, who));
        }
    }

    fn calls_differ(&self, linux: &Self, end: i64) -> Option<Difference> {
        let returns = |run: &Self| -> BTreeMap<Option<usize>, Entry> {
            run.of(Kind::Call)
                .filter(|entry| !entry.text.ends_with(" begins"))
                .map(|entry| (entry.line, entry.clone()))
                .collect()
        };
        let (ours, theirs) = (returns(self), returns(linux));
        let mut found: Vec<Difference> = Vec::new();
        for (line, a) in &ours {
            match theirs.get(line) {
                Some(b) if a.text == b.text => found.extend(self.time_differs(a, b)),
                Some(b) => found.push(Difference {
                    micros: a.micros.min(b.micros),
                    class: format!("{} | {}", result_of(&a.text), result_of(&b.text)),
                    ours: timed(a),
                    linux: timed(b),
                }),
                None if a.micros + SLACK < end => found.push(alone(a, "only ours returns")),
                None => {}
            }
        }
        for (line, b) in &theirs {
            if !ours.contains_key(line) && b.micros + SLACK < end {
                found.push(alone(b, "only Linux's returns"));
            }
        }
        found.into_iter().min_by_key(|difference| difference.micros)
    }

    fn time_differs(&self, a: &Entry, b: &Entry) -> Option<Difference> {
        let apart = (a.micros - b.micros).abs() > self.slack(a.micros.max(b.micros));
        apart.then(|| Difference {
            micros: a.micros.min(b.micros),
            class: format!("time of {}", name_of(&a.text)),
            ours: timed(a),
            linux: timed(b),
        })
    }

    fn information_differs(&self, linux: &Self) -> Option<Difference> {
        self.of(Kind::Check).find_map(|a| {
            let b = linux.of(Kind::Check).find(|b| b.line == a.line)?;
            let (ours, theirs) = (members(&a.text), members(&b.text));
            let differing: Vec<(&str, i64, i64)> = ours
                .iter()
                .filter_map(|(name, value)| {
                    let other = *theirs.get(name)?;
                    is_other(name, *value, other).then_some((*name, *value, other))
                })
                .collect();
            let (first, ..) = differing.first()?;
            let list = |pick: fn(&(&str, i64, i64)) -> i64| {
                let all: Vec<String> = differing
                    .iter()
                    .map(|each| format!("{}={}", each.0, pick(each)))
                    .collect();
                all.join(" ")
            };
            Some(Difference {
                micros: a.micros,
                class: format!("tcp_info: {first}"),
                ours: list(|each| each.1),
                linux: list(|each| each.2),
            })
        })
    }
}

fn members(text: &str) -> BTreeMap<&str, i64> {
    let pairs = text.split(' ').filter_map(|word| word.split_once('='));
    pairs
        .filter_map(|(name, value)| Some((name, value.parse().ok()?)))
        .collect()
}

fn is_other(name: &str, a: i64, b: i64) -> bool {
    let apart = (a - b).abs();
    if INEXACT.contains(&name) {
        return false;
    }
    if MILLISECONDS.contains(&name) {
        // Where nothing has happened yet, one of the two counts from its own beginning.
        return apart > 20 && a.max(b) < UPTIME;
    }
    if MICROSECONDS.contains(&name) {
        return apart > 20_000;
    }
    a != b
}

fn alone(entry: &Entry, who: &str) -> Difference {
    let said = timed(entry);
    let (ours, linux) = if who.contains("Linux") {
        (String::new(), said)
    } else {
        (said, String::new())
    };
    let what = if entry.kind == Kind::Outbound {
        shape(&entry.text)
    } else {
        result_of(&entry.text)
    };
    Difference {
        micros: entry.micros,
        class: format!("{who} {what}"),
        ours,
        linux,
    }
}

fn timed(entry: &Entry) -> String {
    let seconds = entry.micros / 1_000_000;
    let fraction = entry.micros % 1_000_000;
    format!("{seconds}.{fraction:06} {}", entry.text)
}

/// Flags and whether there is text: `P. text`.
fn shape(text: &str) -> String {
    let flags = text.split(' ').next().unwrap_or_default();
    let empty = text.contains("(0)");
    format!("{flags}{}", if empty { "" } else { " text" })
}

/// Which fields of two packets differ.
fn packet_class(a: &str, b: &str) -> String {
    if a == b {
        return format!("time of {}", shape(a));
    }
    if shape(a) != shape(b) {
        return format!("{} | {}", shape(a), shape(b));
    }
    let field = |text: &str, name: &str| {
        let mut words = text.split(' ').skip_while(|word| *word != name).skip(1);
        words.next().map(str::to_owned)
    };
    let mut fields = Vec::new();
    if a.split(' ').nth(1) != b.split(' ').nth(1) {
        fields.push("seq");
    }
    for name in ["ack", "win", "urg"] {
        if field(a, name) != field(b, name) {
            fields.push(name);
        }
    }
    if a.split_once('<').map(|at| at.1) != b.split_once('<').map(|at| at.1) {
        fields.push("options");
    }
    format!("{}: {}", shape(a), fields.join(", "))
}

fn name_of(text: &str) -> &str {
    text.split(['(', ' ']).next().unwrap_or_default()
}

/// The call's name and what it returned, option names included.
fn result_of(text: &str) -> String {
    let options = ["getsockopt", "setsockopt", "ioctl", "fcntl"];
    let name = name_of(text);
    let which = text
        .split([' ', ',', '(', ')'])
        .rfind(|word| {
            let upper = |c: char| c.is_ascii_uppercase() || c == '_' || c.is_ascii_digit();
            word.len() > 3 && word.contains('_') && word.chars().all(upper)
        })
        .filter(|_| options.contains(&name))
        .unwrap_or_default();
    let result = text.rsplit_once(" = ").map_or("", |(_, result)| result);
    let result = if result.starts_with("-1") || name == "poll" {
        result.to_owned()
    } else {
        "n".to_owned()
    };
    format!("{name} {which} = {result}")
}

#[cfg(test)]
mod tests {
    use super::{Entry, Kind, Run};

    const END: i64 = 1_000_000;

    fn run(entries: &[(i64, Kind, &str)]) -> Run {
        let entry = |(line, (micros, kind, text)): (usize, &(i64, Kind, &str))| Entry {
            micros: *micros,
            line: Some(line),
            kind: *kind,
            text: (*text).to_owned(),
        };
        Run {
            entries: entries.iter().enumerate().map(entry).collect(),
            broken: None,
        }
    }

    #[test]
    fn what_differs_by_little_time_is_the_same() {
        let ours = run(&[
            (0, Kind::Inbound, "S 0:0(0)"),
            (0, Kind::Outbound, "S. 0:0(0) ack 1"),
        ]);
        let linux = run(&[
            (20, Kind::Inbound, "S 0:0(0)"),
            (90, Kind::Outbound, "S. 0:0(0) ack 1"),
        ]);
        assert!(ours.first_difference(&linux, END).is_none());
    }

    #[test]
    fn fields_that_differ_are_named() {
        let ours = run(&[(0, Kind::Outbound, ". 1:1(0) ack 1 win 5")]);
        let linux = run(&[(0, Kind::Outbound, ". 1:1(0) ack 1 win 6")]);
        let difference = ours.first_difference(&linux, END).unwrap();
        assert_eq!(difference.class, ".: win");
    }

    #[test]
    fn a_packet_too_many_is_told_from_another_one() {
        let ours = run(&[
            (0, Kind::Outbound, ". 1:1(0) ack 1"),
            (300_000, Kind::Outbound, "F. 1:1(0) ack 1"),
        ]);
        let linux = run(&[(300_000, Kind::Outbound, "F. 1:1(0) ack 1")]);
        let difference = ours.first_difference(&linux, END).unwrap();
        assert_eq!(difference.class, "only we send .");
    }

    #[test]
    fn the_end_of_the_watch_excuses_who_was_about_to_send() {
        let ours = run(&[(990_000, Kind::Outbound, ". 1:1(0) ack 1")]);
        assert!(ours.first_difference(&run(&[]), END).is_none());
        assert!(ours.first_difference(&run(&[]), 2 * END).is_some());
    }

    #[test]
    fn results_of_calls_and_members_are_compared_by_line() {
        let ours = run(&[
            (0, Kind::Call, "read(4, ..., 1) = 1"),
            (5, Kind::Check, "tcpi_state=1 tcpi_rto=200000"),
        ]);
        let other = run(&[
            (0, Kind::Call, "read(4, ..., 1) = -1 EAGAIN"),
            (5, Kind::Check, "tcpi_state=1"),
        ]);
        let class = ours.first_difference(&other, END).unwrap().class;
        assert_eq!(class, "read  = n | read  = -1 EAGAIN");
        let other = run(&[
            (0, Kind::Call, "read(4, ..., 1) = 1"),
            (5, Kind::Check, "tcpi_state=8 tcpi_rto=204000"),
        ]);
        let class = ours.first_difference(&other, END).unwrap().class;
        assert_eq!(class, "tcp_info: tcpi_state");
    }

    #[test]
    fn what_happens_just_when_a_timer_ends_is_too_close() {
        let close = run(&[
            (0, Kind::Inbound, "a"),
            (200_000, Kind::Outbound, "b"),
            (205_000, Kind::Inbound, "c"),
        ]);
        assert!(close.is_close());
        let apart = run(&[
            (0, Kind::Inbound, "a"),
            (200_000, Kind::Outbound, "b"),
            (400_000, Kind::Inbound, "c"),
        ]);
        assert!(!apart.is_close());
    }
}
