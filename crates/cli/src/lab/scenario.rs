//! The scenarios by name.

use clap::ValueEnum;
use handwave_story::Role;

/// What the lab can play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// Three segments to open, the data, four to close
    Transfer,
    /// The three segments of opening alone, and who knows what after each
    Handshake,
    /// A close in three segments: the second FIN carries the ACK of the first
    #[value(name = "teardown-3")]
    Teardown3,
    /// The client closes, the server goes on sending
    HalfClose,
    /// Both ends open at once and share one connection
    SimultaneousOpen,
    /// Both ends close at once and meet in CLOSING
    SimultaneousClose,
    /// The first SYN is lost
    LostSyn,
    /// The last ACK is lost: why TIME-WAIT exists
    LostLastAck,
    /// One end aborts with RST
    Reset,
    /// A reader that does not read: window 0, probes, and the window opening again
    ZeroWindow,
    /// Segments of an older connection arrive: why there is a third segment
    OldDuplicate,
}

impl Scenario {
    /// The name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Transfer => "transfer",
            Self::Handshake => "handshake",
            Self::Teardown3 => "teardown-3",
            Self::HalfClose => "half-close",
            Self::SimultaneousOpen => "simultaneous-open",
            Self::SimultaneousClose => "simultaneous-close",
            Self::LostSyn => "lost-syn",
            Self::LostLastAck => "lost-last-ack",
            Self::Reset => "reset",
            Self::ZeroWindow => "zero-window",
            Self::OldDuplicate => "old-duplicate",
        }
    }

    /// The parts of the two ends.
    pub(crate) const fn roles(self) -> [Role; 2] {
        match self {
            Self::SimultaneousOpen => [Role::PeerA, Role::PeerB],
            _ => [Role::Client, Role::Server],
        }
    }
}
