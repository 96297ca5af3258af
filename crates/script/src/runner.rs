//! Runs a script against a stack of ours in virtual time.
//!
//! The script is both the program, whose system calls go to [`Posix`], and the peer, whose packets are handed
//! in and expected. Nothing else happens: time passes from event to event, so a run takes as long as its packets take to process,
//! and gives the same result each time.
//!
//! What is compared, and when:
//!
//! - Packets of the stack are taken in the order in which they left; each `>` takes one and compares every field the script gives.
//!   A `>` whose text is longer than what one packet held takes the packets that go on with it, as a capture above segmentation
//!   offload shows them; one that names some of the segments for which a packet stands takes these, as a capture of the wire does.
//! - Sequence numbers of the stack are relative to its initial one, those of the peer are the script's own. Timestamps of the
//!   stack are names, unless `--tcp_ts_tick_usecs` asks for their values.
//! - A packet may be early or late by the tolerance, 4 ms or 1 % of the time since the event before, whichever is more.
//! - A call with a time range (`0...0.1`) runs while the script goes on and has to return at the range's end; any other is waited
//!   for at once.

mod calls;
mod clock;
mod compare;
mod connection;
mod events;
mod files;
mod packet;
mod python;
mod report;
mod settings;
mod shell;

pub use report::{Failure, Happening, HappeningKind, Outcome, Verdict};
pub use settings::{IpVersion, Settings};

use std::collections::VecDeque;

use handwave_tcp::Instant;

use crate::language::ast::Packet;
use crate::language::{Diagnostic, Script};
use crate::posix::{Environment, Posix};

use clock::Waiting;
use connection::Connection;
use files::Descriptors;

/// Where the script's time 0 is on the stack's clock.
const START: Instant = Instant::from_secs(1_000);

/// Runs the script in `text`.
///
/// ```
/// use handwave_script::runner::{Settings, Verdict, run};
/// use handwave_tcp::Profile;
///
/// let script = "
/// 0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
/// +0 bind(3, ..., ...) = 0
/// +0 listen(3, 1) = 0
/// +0 < S 0:0(0) win 65535 <mss 1460>
/// +0 > S. 0:0(0) ack 1 <mss 1460>
/// +.1 < . 1:1(0) ack 1 win 65535
/// +0 accept(3, ..., ...) = 4
/// ";
/// let outcome = run(script, &Settings::new(Profile::linux())).unwrap();
/// assert_eq!(outcome.verdict, Verdict::Passed, "{outcome}");
/// ```
///
/// # Errors
///
/// What is wrong with the text, if it is no script.
pub fn run(text: &str, settings: &Settings) -> Result<Outcome, Diagnostic> {
    let script = Script::parse(text, &settings.defines)?;
    let settings = settings.clone().with_options(&script, text)?;
    Ok(Runner::new(settings).map_or_else(Outcome::failed_at_once, |runner| runner.run(&script)))
}

/// A run under way.
struct Runner {
    settings: Settings,
    posix: Posix,
    now: Instant,
    /// When the event before the current one happened.
    previous: Instant,
    /// What the stack has sent and no event has taken.
    sent: VecDeque<Sent>,
    connections: Vec<Connection>,
    /// The connection that packets belong to if they do not say otherwise.
    current: Option<usize>,
    /// The next packet of the peer opens a connection: a program listens.
    listening: bool,
    files: Descriptors,
    /// The connection that a call has just accepted, until it has its descriptor.
    accepting: Option<usize>,
    waiting: Option<Waiting>,
    python: python::Scope,
    trace: Vec<Happening>,
}

/// A packet of the stack.
#[derive(Debug)]
struct Sent {
    at: Instant,
    packet: Result<Packet, String>,
    /// The text of each segment, if the packet stands for several.
    segment_size: Option<u16>,
}

impl Runner {
    fn new(settings: Settings) -> Result<Self, String> {
        let mut environment =
            Environment::new(settings.profile.clone(), [settings.local_address()]);
        environment.interface.mtu = settings.mtu;
        let posix = Posix::new(START, environment).map_err(|error| error.to_string())?;
        Ok(Self {
            settings,
            posix,
            now: START,
            previous: START,
            sent: VecDeque::new(),
            connections: Vec::new(),
            current: None,
            listening: false,
            files: Descriptors::default(),
            accepting: None,
            waiting: None,
            python: python::Scope::default(),
            trace: Vec::new(),
        })
    }

    fn run(mut self, script: &Script) -> Outcome {
        let verdict = match self.play(script) {
            Ok(()) => Verdict::Passed,
            Err(failure) => {
                self.note_untaken();
                Verdict::Failed(Box::new(failure))
            }
        };
        Outcome {
            verdict,
            trace: self.trace,
            printed: self.python.into_printed(),
        }
    }

    fn play(&mut self, script: &Script) -> Result<(), Failure> {
        for command in &script.setup {
            self.command(command)?;
        }
        for event in &script.events {
            self.event(event)?;
        }
        self.finish_waiting()
    }
}
