//! Runs guesses, and keeps the one whose script gets furthest.

use std::fmt::Write as _;

use handwave_tcp::Profile;

use super::calls::{Item, What, offer, time_line};
use super::numbers::View;
use super::{Recording, SYN};
use crate::language::ast::{Body, Direction, Segment, TcpOption};
use crate::language::print::Seconds;
use crate::runner::{NonFatal, Outcome, Settings, run};

/// What a capture does not show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Guess {
    profile: &'static str,
    congestion: Option<&'static str>,
    /// The receive buffer is what the windows suggest.
    sets_buffer: bool,
    pub(super) nodelay: bool,
    pub(super) reads_at_once: bool,
}

/// The profile on whose defaults a script is run if it names none.
const USUAL_PROFILE: &str = "linux";

impl Guess {
    /// Every guess, the most likely first.
    fn all() -> impl Iterator<Item = Self> {
        let both = [false, true];
        let congestion = [None, Some("reno"), Some("cubic")];
        congestion.into_iter().flat_map(move |congestion| {
            [USUAL_PROFILE, "handwave", "freebsd"]
                .into_iter()
                .flat_map(move |profile| {
                    both.into_iter().flat_map(move |sets_buffer| {
                        both.into_iter().flat_map(move |nodelay| {
                            both.into_iter().map(move |reads_late| Self {
                                profile,
                                congestion,
                                sets_buffer,
                                nodelay,
                                reads_at_once: !reads_late,
                            })
                        })
                    })
                })
        })
    }
}

/// The script that gets furthest.
pub(super) fn best(view: &View) -> Recording {
    let mut best: Option<(usize, Draft)> = None;
    for guess in Guess::all() {
        let mut draft = Draft::without_windows(view, &guess);
        let Some(reached) = draft.reach() else {
            return draft.finish(view);
        };
        if best
            .as_ref()
            .is_none_or(|(furthest, _)| reached > *furthest)
        {
            best = Some((reached, draft));
        }
    }
    let usual = || Draft {
        head: String::new(),
        items: Vec::new(),
    };
    best.map_or_else(usual, |(_, draft)| draft).finish(view)
}

/// A script on the way.
struct Draft {
    head: String,
    items: Vec<Item>,
}

impl Draft {
    /// The script under `guess`; windows that the stack offers are left out, apart from those of SYNs.
    fn without_windows(view: &View, guess: &Guess) -> Self {
        let mut draft = Self {
            head: head(view, guess),
            items: time_line(view, guess),
        };
        for segment in draft.items.iter_mut().filter_map(expected) {
            if segment.flags & SYN == 0 {
                segment.window = None;
            }
        }
        draft
    }

    /// How many packets go as the script says, after its waiting calls have got the time they take; `None` if all do.
    fn reach(&mut self) -> Option<usize> {
        // Each turn gives one call its time.
        for _ in 0..=self.items.len() {
            let outcome = self.run(NonFatal::default());
            let failure = outcome.failure()?;
            let index = self.index(failure.place.line);
            let at = failure.micros;
            match self.items.get_mut(index).map(|item| &mut item.what) {
                Some(What::Waiting(_, until))
                    if *until != at && failure.message.contains("at another time") =>
                {
                    *until = at;
                }
                _ => {
                    let done = self.items.iter().take(index);
                    let is_packet = |item: &&Item| matches!(item.what, What::Packet(_));
                    return Some(done.filter(is_packet).count());
                }
            }
        }
        Some(0)
    }

    fn finish(mut self, view: &View) -> Recording {
        let windows = view.heard.iter().map(|heard| heard.segment.window);
        let packets = self
            .items
            .iter_mut()
            .filter_map(|item| match &mut item.what {
                What::Packet(packet) => Some(packet),
                _ => None,
            });
        for (packet, window) in packets.zip(windows) {
            if let Body::Tcp(segment) = &mut packet.body {
                segment.window = window;
            }
        }
        // One run finds every window that differs.
        let lenient = self.run(NonFatal {
            packets: true,
            calls: false,
        });
        let only_windows = |differences: &[String]| {
            !differences.is_empty()
                && differences
                    .iter()
                    .all(|difference| difference.starts_with("window:"))
        };
        let mut left_out = 0;
        for warning in lenient
            .warnings
            .iter()
            .filter(|warning| only_windows(&warning.differences))
        {
            let index = self.index(warning.place.line);
            if let Some(segment) = self.items.get_mut(index).and_then(expected) {
                segment.window = None;
                left_out += 1;
            }
        }
        if left_out > 0 {
            let note = format!(
                "// {left_out} windows are left out: they depend on when exactly the program reads.\n"
            );
            self.head
                .insert_str(self.head.find('\n').map_or(0, |at| at + 1), &note);
        }
        let outcome = self.run(NonFatal::default());
        Recording {
            failure: outcome.failure().map(|failure| Box::new(failure.clone())),
            text: self.text(),
        }
    }

    fn run(&self, non_fatal: NonFatal) -> Outcome {
        let profile = Profile::by_name(USUAL_PROFILE).unwrap_or_else(Profile::handwave);
        let settings = Settings {
            non_fatal,
            ..Settings::new(profile)
        };
        // What is printed parses; were it otherwise, no event would be reached.
        run(&self.text(), &settings)
            .unwrap_or_else(|wrong| Outcome::failed_at_once(wrong.to_string()))
    }

    /// The item on a line.
    fn index(&self, line: usize) -> usize {
        line.saturating_sub(self.head.matches('\n').count() + 1)
    }

    fn text(&self) -> String {
        let mut text = self.head.clone();
        let mut previous = 0;
        for item in &self.items {
            let since = item.micros - previous;
            previous = item.micros;
            // Writing to a text cannot fail.
            let _ = match &item.what {
                What::Call(call) => writeln!(text, "+{} {call}", Seconds(since)),
                What::Waiting(call, until) => {
                    let end = since + (until - item.micros).max(0);
                    writeln!(text, "+{}...+{} {call}", Seconds(since), Seconds(end))
                }
                What::Packet(packet) => writeln!(text, "+{} {packet}", Seconds(since)),
            };
        }
        text
    }
}

/// The segment that a line expects of the stack.
fn expected(item: &mut Item) -> Option<&mut Segment> {
    match &mut item.what {
        What::Packet(packet) if packet.direction == Direction::Outbound => match &mut packet.body {
            Body::Tcp(segment) => Some(segment),
            _ => None,
        },
        _ => None,
    }
}

/// Comments, options and settings.
fn head(view: &View, guess: &Guess) -> String {
    let mut head = format!("// Recorded from a capture: {}.\n", view.title);
    let own = view.own_syn();
    if guess.profile != USUAL_PROFILE {
        head += &format!("--profile={}\n", guess.profile);
    }
    if view.is_ipv6 {
        head += "--ip_version=ipv6\n";
    }
    let mss = own.and_then(|syn| find(syn, |option| matches!(option, TcpOption::Mss(_))));
    if let Some(TcpOption::Mss(mss)) = mss {
        let mtu = u32::from(*mss) + if view.is_ipv6 { 60 } else { 40 };
        if mtu != 1500 && (68..=65_535).contains(&mtu) {
            head += &format!("--mtu={mtu}\n");
        }
    }
    let mut settings: Vec<String> = Vec::new();
    type Is = fn(&TcpOption) -> bool;
    let options: [(&str, Is); 3] = [
        ("tcp_timestamps", |option| {
            matches!(option, TcpOption::Timestamps { .. })
        }),
        ("tcp_sack", |option| *option == TcpOption::SackPermitted),
        ("tcp_window_scaling", |option| {
            matches!(option, TcpOption::WindowScale(_))
        }),
    ];
    for (name, is) in options {
        let own_has = own.is_some_and(|syn| find(syn, is).is_some());
        let asked = match view.side {
            super::Side::Client => true,
            super::Side::Server => view.peer_syn().is_some_and(|syn| find(syn, is).is_some()),
        };
        if asked && !own_has {
            settings.push(format!("net.ipv4.{name}=0"));
        }
    }
    if guess.sets_buffer {
        settings.extend(buffer(view));
    }
    if let Some(name) = guess.congestion {
        settings.push(format!("net.ipv4.tcp_congestion_control={name}"));
    }
    for setting in settings {
        head += &format!("`sysctl -q {setting}`\n");
    }
    head
}

/// The receive buffer that the windows of this side suggest.
fn buffer(view: &View) -> [String; 2] {
    let scale = view
        .own_syn()
        .and_then(|syn| find(syn, |option| matches!(option, TcpOption::WindowScale(_))));
    let shift = match scale {
        Some(TcpOption::WindowScale(shift)) => (*shift).min(14),
        _ => 0,
    };
    let own = view.heard.iter().filter(|heard| heard.from == view.side);
    let most = own
        .map(|heard| offer(&heard.segment, shift))
        .max()
        .unwrap_or(65_535);
    let limit = 65_535_u32 << shift;
    // The window scale has to express whatever a program may ask for.
    [
        format!("net.core.rmem_max={limit}"),
        format!("net.ipv4.tcp_rmem=\"4096 {most} {limit}\""),
    ]
}

fn find(segment: &Segment, is: impl Fn(&TcpOption) -> bool) -> Option<&TcpOption> {
    segment.options.iter().flatten().find(|option| is(option))
}
