//! A script played for what comes of it: nothing is expected, everything is written down.
//!
//! Packets are handed in and calls made at the script's times; the packets it expects only let time pass, and lend their
//! timestamps their names. What two hosts make of the same script can be compared then, whatever the script says about it.

use std::time::Duration;

use handwave_tcp::Instant;

use super::connection::timestamp_of;
use super::{Failure, Happening, HappeningKind, Host, Runner, Sent, Settings, compare};
use crate::language::ast::{
    Action, Body, Direction, Event, IpFields, Packet, Segment, TcpOption, Time,
};
use crate::language::{Diagnostic, Script};

const SYN: u16 = 2;
/// The TTL that goes without saying.
const USUAL_TTL: u8 = 64;
/// How long a call may hold up the next one that may wait.
const PATIENCE: Duration = Duration::from_millis(500);

/// What happened when a script was played on one host.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Transcript {
    /// What happened, in order.
    pub happenings: Vec<Happening>,
    /// What could not be played, and why the rest was not.
    pub broken: Option<String>,
}

/// Plays the script in `text` on what `host` makes of the settings, goes on for `tail` after its last event, and says what
/// happened.
///
/// Sequence numbers are relative to the initial ones, timestamps of the host are not told. A number of an acknowledged timestamp
/// that the script has given no name stands for the newest timestamp of the host if it is 1, and for one so much later otherwise.
/// Each `%{ }%` is taken as a look at `struct tcp_info`.
///
/// ```
/// use handwave_script::posix::{Environment, Posix};
/// use handwave_script::runner::{START, Settings, observe};
/// use handwave_tcp::Profile;
///
/// let script = "
/// 0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
/// +0 bind(3, ..., ...) = 0
/// +0 listen(3, 1) = 0
/// +0 < S 0:0(0) win 65535 <mss 1460>
/// ";
/// let transcript = observe(script, &Settings::new(Profile::linux()), Default::default(), |settings| {
///     let environment = Environment::new(settings.profile.clone(), [settings.local_address()]);
///     Posix::new(START, environment).map_err(|error| error.to_string())
/// })
/// .unwrap();
/// let last = transcript.happenings.last().unwrap();
/// assert_eq!(last.text, "S. 0:0(0) ack 1 win 64240 <mss 1460>");
/// ```
///
/// # Errors
///
/// What is wrong with the text, if it is no script.
pub fn observe<H: Host>(
    text: &str,
    settings: &Settings,
    tail: Duration,
    host: impl FnOnce(&Settings) -> Result<H, String>,
) -> Result<Transcript, Diagnostic> {
    let script = Script::parse(text, &settings.defines)?;
    let settings = settings.clone().with_options(&script, text)?;
    Ok(match host(&settings) {
        Ok(host) => Runner::new(settings, host).observe(&script, tail),
        Err(message) => Transcript {
            happenings: Vec::new(),
            broken: Some(message),
        },
    })
}

/// A packet that was written down, for an expectation that may name its timestamp.
#[derive(Debug)]
struct Seen {
    connection: usize,
    timestamp: u32,
}

impl<H: Host> Runner<H> {
    fn observe(mut self, script: &Script, tail: Duration) -> Transcript {
        self.observing = true;
        let broken = self.play_and_watch(script, tail).err();
        Transcript {
            happenings: self.trace,
            broken: broken.map(|failure| failure.to_string()),
        }
    }

    fn play_and_watch(&mut self, script: &Script, tail: Duration) -> Result<(), Failure> {
        for command in &script.setup {
            self.command(command)?;
        }
        self.host.start();
        let mut named = 0;
        let mut seen = Vec::new();
        for event in &script.events {
            self.watch_until(self.moment_of(event), &mut seen)?;
            if let Action::Packet(wanted) = &event.action
                && wanted.direction == Direction::Outbound
            {
                self.lend_name(wanted, seen.get(named));
                named += 1;
                continue;
            }
            self.act(event)?;
            self.settle()?;
            self.write_down(&mut seen);
        }
        self.watch_until(Some(self.now.saturating_add(tail)), &mut seen)
    }

    fn moment_of(&self, event: &Event) -> Option<Instant> {
        let (Time::At(moment) | Time::Within(_, moment) | Time::Blocking(moment, _)) = event.time
        else {
            return None;
        };
        Some(self.instant(moment))
    }

    /// Lets time pass until `end`, and writes down what the host sends.
    fn watch_until(&mut self, end: Option<Instant>, seen: &mut Vec<Seen>) -> Result<(), Failure> {
        if let Some(end) = end {
            // What is due at the moment of a packet comes after it, as in a run that expects something.
            self.advance(end.saturating_sub(super::events::JUST_BEFORE))?;
            self.now = self.host.now(end.max(self.now));
        }
        self.write_down(seen);
        Ok(())
    }

    fn act(&mut self, event: &Event) -> Result<(), Failure> {
        let place = &event.place;
        match &event.action {
            Action::Packet(packet) => self.inject(packet, place),
            Action::Command(command) => self.command(command),
            Action::Code(_) => {
                let fields = self.information();
                let list: Vec<String> = fields
                    .iter()
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                self.note(Some(place), HappeningKind::Check, list.join(" "));
                Ok(())
            }
            Action::Call(call) => {
                if self.waiting.is_some() {
                    self.give_up_waiting()?;
                }
                let until = match event.time {
                    Time::Blocking(_, end) => self.instant(end),
                    _ => self.now.saturating_add(H::PATIENCE),
                };
                self.call(call, Some(until), place)
            }
        }
    }

    /// A call that waits makes room for the next one when it has had its time.
    fn give_up_waiting(&mut self) -> Result<(), Failure> {
        let end = self.now.saturating_add(PATIENCE);
        while self.waiting.is_some() && self.step(end)? {}
        if let Some(waiting) = self.waiting.take() {
            self.now = self.host.now(end.max(self.now));
            let text = format!("{} goes on waiting", waiting.said.name);
            self.note(Some(&waiting.place), HappeningKind::Call, text);
        }
        Ok(())
    }

    fn write_down(&mut self, seen: &mut Vec<Seen>) {
        while let Some(sent) = self.sent.pop_front() {
            let Sent {
                at,
                packet,
                segment_size,
            } = sent;
            match packet {
                Ok(mut packet) => {
                    if let Some(size) = segment_size.map(u32::from).filter(|size| *size > 0)
                        && matches!(&packet.body, Body::Tcp(segment) if segment.len > size)
                    {
                        let rest = compare::cut(&mut packet, size);
                        self.sent.push_front(Sent {
                            at,
                            packet: Ok(rest),
                            segment_size,
                        });
                    }
                    self.write_packet(packet, at, seen);
                }
                Err(wrong) => self.note_sent(None, at, wrong),
            }
        }
    }

    fn write_packet(&mut self, packet: Packet, at: Instant, seen: &mut Vec<Seen>) {
        let owner = self
            .connections
            .iter()
            .rposition(|connection| connection.sends(&packet));
        let mut shown = packet;
        if let Some(index) = owner {
            let others = self.connections.len() > 1;
            let connection = &mut self.connections[index];
            if connection.local.1 == 0
                && let Some(ports) = shown.ports
            {
                connection.local.1 = ports.source.port;
            }
            if let Body::Tcp(live) = &shown.body {
                if let Some(timestamp) = timestamp_of(live) {
                    connection.echo_newest(timestamp);
                    seen.push(Seen {
                        connection: index,
                        timestamp,
                    });
                }
                // A first SYN has the number 0 in every script.
                let said = Segment {
                    seq: if live.flags & SYN == 0 { live.seq } else { 0 },
                    ..live.clone()
                };
                shown.body = Body::Tcp(connection.script_segment(live, &said));
            }
            shown.ports = shown.ports.filter(|_| others);
        }
        if let Body::Tcp(segment) = &mut shown.body {
            for option in segment.options.iter_mut().flatten() {
                if let TcpOption::Timestamps { value, .. } = option {
                    *value = 0;
                }
            }
        }
        shown.ip = IpFields {
            ttl: shown.ip.ttl.filter(|ttl| *ttl != USUAL_TTL),
            tos: shown.ip.tos.filter(|tos| *tos != 0),
            flow_label: None,
            ecn: None,
            any_ect: false,
        };
        let text = shown.to_string();
        let text = text.trim_start_matches("> ").to_owned();
        self.note_sent(None, at, text);
    }

    /// The timestamp of a packet is called what the expectation of it says.
    fn lend_name(&mut self, wanted: &Packet, seen: Option<&Seen>) {
        if let Body::Tcp(segment) = &wanted.body
            && let Some(name) = timestamp_of(segment)
            && let Some(seen) = seen
        {
            self.connections[seen.connection].learn_timestamp(name, seen.timestamp, true);
        }
    }
}
