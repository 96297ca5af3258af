//! [`Failure`]: what a run can prove about the stack being wrong.

use core::fmt;
use handwave_tcp::ConnectionError;

/// Why a run failed.
#[derive(Clone, Debug, PartialEq)]
pub enum Failure {
    /// An octet arrived that the peer did not write at that place.
    WrongOctet {
        /// Offset in the stream.
        offset: u64,
    },
    /// More octets arrived than the peer writes in all, or than it has written so far.
    Invented {
        /// Octets read.
        read: u64,
        /// Octets written.
        expected: u64,
    },
    /// The end of the stream was told before all of it was read.
    CutShort {
        /// Octets read.
        read: u64,
        /// Octets written.
        expected: u64,
    },
    /// A read returned more than was asked for.
    ReadTooMuch {
        /// Octets asked for.
        asked: usize,
        /// Octets returned.
        got: usize,
    },
    /// Nothing is under way, no timer is armed, and somebody still waits.
    Deadlock(String),
    /// Something still happens, but the run does not come to its end.
    Endless(String),
    /// A connection ended in an error that the network cannot be blamed for.
    Unjustified {
        /// The conversation's number.
        conversation: usize,
        /// The end: 0 opened it.
        end: usize,
        /// What the application was told, if anything.
        error: Option<ConnectionError>,
        /// What speaks against the error.
        why: String,
    },
    /// A variable of a connection or of the stack is out of its bounds.
    Invariant(String),
    /// A segment on the wire breaks a rule of the protocol.
    Law(String),
    /// Something of a connection is left over after its end.
    Leftover(String),
    /// The stack refused what it has to grant.
    Refused(String),
    /// The stack panicked.
    Panic(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongOctet { offset } => {
                write!(f, "the octet at {offset} is not what was written there")
            }
            Self::Invented { read, expected } => {
                write!(f, "{read} octets read, but only {expected} written")
            }
            Self::CutShort { read, expected } => {
                write!(f, "the stream ended after {read} octets of {expected}")
            }
            Self::ReadTooMuch { asked, got } => {
                write!(f, "a read of at most {asked} octets gave {got}")
            }
            Self::Deadlock(state) => write!(f, "deadlock: nothing is due, but {state}"),
            Self::Endless(state) => write!(f, "the run does not end: {state}"),
            Self::Unjustified {
                conversation,
                end,
                error,
                why,
            } => {
                write!(f, "end {end} of conversation {conversation} was lost")?;
                if let Some(error) = error {
                    write!(f, " ({error})")?;
                }
                write!(f, ", but {why}")
            }
            Self::Invariant(what) => write!(f, "invariant violated: {what}"),
            Self::Law(what) => write!(f, "law broken: {what}"),
            Self::Leftover(what) => write!(f, "left over at the end: {what}"),
            Self::Refused(what) => write!(f, "refused: {what}"),
            Self::Panic(what) => write!(f, "panic: {what}"),
        }
    }
}

impl core::error::Error for Failure {}
