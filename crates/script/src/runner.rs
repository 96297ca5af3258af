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
mod host;
mod observe;
pub(crate) mod packet;
mod python;
mod report;
mod settings;
mod shell;

pub use host::Host;
pub use observe::{Transcript, observe};
pub use report::{Failure, Happening, HappeningKind, Outcome, Verdict};
pub use settings::{IpVersion, NonFatal, Settings};
pub use shell::carry_out_shell;

use std::collections::VecDeque;

use handwave_tcp::Instant;

use crate::language::ast::{Action, Command, Packet, Place};
use crate::language::{Diagnostic, Script};
use crate::posix::{Environment, Posix};

use clock::Waiting;
use connection::Connection;
use files::Descriptors;

/// Where the script's time 0 is on the clock of the host.
pub const START: Instant = Instant::from_secs(1_000);

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
    run_on(text, settings, |settings| {
        let mut environment =
            Environment::new(settings.profile.clone(), [settings.local_address()]);
        environment.interface.mtu = settings.mtu;
        Posix::new(START, environment).map_err(|error| error.to_string())
    })
}

/// Runs the script in `text` on what `host` makes of the settings, in which the script's own options are heard.
///
/// # Errors
///
/// What is wrong with the text, if it is no script. If there is no host, the outcome says so.
pub fn run_on<H: Host>(
    text: &str,
    settings: &Settings,
    host: impl FnOnce(&Settings) -> Result<H, String>,
) -> Result<Outcome, Diagnostic> {
    let script = Script::parse(text, &settings.defines)?;
    let settings = settings.clone().with_options(&script, text)?;
    Ok(match host(&settings) {
        Ok(host) => Runner::new(settings, host).run(&script),
        Err(message) => Outcome::failed_at_once(message),
    })
}

/// A run under way.
struct Runner<H: Host> {
    settings: Settings,
    host: H,
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
    waiting: Option<Waiting<H::Call>>,
    python: python::Scope,
    /// What the script expects is nothing to stop for.
    observing: bool,
    trace: Vec<Happening>,
    /// What went wrong and was allowed to.
    warnings: Vec<Failure>,
}

/// A packet of the stack.
#[derive(Debug)]
struct Sent {
    at: Instant,
    packet: Result<Packet, String>,
    /// The text of each segment, if the packet stands for several.
    segment_size: Option<u16>,
}

impl<H: Host> Runner<H> {
    fn new(settings: Settings, host: H) -> Self {
        Self {
            settings,
            host,
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
            observing: false,
            trace: Vec::new(),
            warnings: Vec::new(),
        }
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
            warnings: self.warnings,
            printed: self.python.into_printed(),
        }
    }

    fn play(&mut self, script: &Script) -> Result<(), Failure> {
        if self.settings.dry_run {
            return Ok(());
        }
        for text in self.settings.init_scripts.clone() {
            let place = Place::default();
            self.command(&Command { text, place })?;
        }
        for command in &script.setup {
            self.command(command)?;
        }
        self.host.start();
        for event in &script.events {
            if let Err(failure) = self.event(event) {
                let allowed = match event.action {
                    Action::Packet(_) => self.settings.non_fatal.packets,
                    Action::Call(_) => self.settings.non_fatal.calls,
                    _ => false,
                };
                if !allowed {
                    return Err(failure);
                }
                self.warnings.push(failure);
            }
        }
        self.finish_waiting()
    }
}
