//! The story of one connection as data: its two ends, and one step for everything that happened between them.

use std::fmt;
use std::time::Duration;

use handwave_tcp::trace::{SendReason, UserCall, Verdict};
use handwave_tcp::{Endpoint, Instant, Phase, Timer};
use handwave_wire::{SeqNum, TcpFlags, TcpOptions};

use crate::arithmetic::Arithmetic;
use crate::sentence::Sentence;

/// What happened between two ends, in the order in which it began.
#[derive(Clone, Debug)]
pub struct Story {
    /// The two ends; [`Side::A`] is the first and drawn on the left.
    pub ends: [End; 2],
    /// Everything that happened.
    pub steps: Vec<Step>,
}

impl Story {
    /// The end on one side.
    pub fn end(&self, side: Side) -> &End {
        let [a, b] = &self.ends;
        match side {
            Side::A => a,
            Side::B => b,
        }
    }

    /// The steps that are segments.
    pub fn segments(&self) -> impl Iterator<Item = &SegmentStep> {
        self.steps.iter().filter_map(|step| match &step.what {
            What::Segment(segment) => Some(segment.as_ref()),
            What::Local(_) => None,
        })
    }
}

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The first end, drawn on the left. Its sequence numbers are called `X`, `X+1`, ...
    A,
    /// The second end, drawn on the right. Its sequence numbers are called `Y`, `Y+1`, ...
    B,
}

impl Side {
    /// Both sides.
    pub const BOTH: [Self; 2] = [Self::A, Self::B];

    /// The opposite side.
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// The name of the side's initial sequence number.
    pub const fn letter(self) -> char {
        match self {
            Self::A => 'X',
            Self::B => 'Y',
        }
    }

    /// 0 or 1, for arrays of two.
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// The part an end plays, which is what the texts call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Opens actively.
    Client,
    /// Opens passively.
    Server,
    /// The first of two equals (simultaneous open).
    PeerA,
    /// The second of two equals.
    PeerB,
}

/// One end of the connection.
#[derive(Clone, Debug)]
pub struct End {
    /// The part it plays.
    pub role: Role,
    /// Its address and port.
    pub endpoint: Endpoint,
    /// Its initial sequence number, once one was seen.
    pub isn: Option<SeqNum>,
    /// Its state before the first step.
    pub first: Phase,
    /// Its state after the last step.
    pub last: Phase,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Step {
    /// When it began.
    pub at: Instant,
    /// What it was.
    pub what: What,
    /// What happened and why, in the order in which it should be read.
    pub says: Vec<Sentence>,
    /// How much a reader wants to see it.
    pub weight: Weight,
    /// Its place among the trace entries of each side that took part, which orders what happened at the same moment.
    pub(crate) order: [Option<usize>; 2],
}

/// How much a reader wants to see a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// One of many alike: text and its acknowledgments.
    Bulk,
    /// Something went another way than planned: lost, sent again, received twice.
    Notable,
    /// The story cannot be told without it.
    Key,
}

/// A segment between the ends, or something inside one of them.
#[derive(Clone, Debug)]
pub enum What {
    /// A segment left one end (or came from nowhere) and met its fate.
    Segment(Box<SegmentStep>),
    /// A call of the application, a timer or a network error.
    Local(LocalStep),
}

/// What something did to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The state before.
    pub before: Phase,
    /// The state after.
    pub after: Phase,
    /// The variables after, where a trace tells them.
    pub vars: Option<Vars>,
}

/// The variables of an end (RFC 9293 3.3.1) with relative numbers, and what limits its sending (RFC 5681).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vars {
    /// SND.UNA: the oldest number that is not acknowledged.
    pub snd_una: Number,
    /// SND.NXT: the next number to send.
    pub snd_nxt: Number,
    /// SND.WND: the window the other end offers, in octets.
    pub snd_wnd: u32,
    /// The congestion window, in octets; 0 before there is one.
    pub cwnd: u32,
    /// The slow-start threshold, in octets.
    pub ssthresh: u32,
    /// Octets believed to be in the network.
    pub pipe: u32,
    /// RCV.NXT: the next number expected, once the other end's SYN has come.
    pub rcv_nxt: Option<Number>,
    /// RCV.WND: the window offered, in octets.
    pub rcv_wnd: u32,
}

impl fmt::Display for Vars {
    /// Without words, so that it needs no translation.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SND.UNA={} SND.NXT={} SND.WND={}",
            self.snd_una, self.snd_nxt, self.snd_wnd
        )?;
        if let Some(nxt) = self.rcv_nxt {
            write!(f, " RCV.NXT={nxt} RCV.WND={}", self.rcv_wnd)?;
        }
        if self.cwnd > 0 {
            write!(f, " cwnd={}", self.cwnd)?;
        }
        Ok(())
    }
}

impl Change {
    /// Whether the state became another.
    pub fn is_change(self) -> bool {
        self.before != self.after
    }
}

/// One segment, from its departure to its arrival.
#[derive(Clone, Debug)]
pub struct SegmentStep {
    /// Its place among the segments of the story, from 1.
    pub number: usize,
    /// The side whose address it carries.
    pub from: Side,
    /// What the header says.
    pub segment: Segment,
    /// Why it was sent, where a trace says so.
    pub reason: Option<SendReason>,
    /// Neither end sent it during the story: it is a duplicate from an older connection, or forged.
    pub injected: bool,
    /// How often the same octets (or SYN or FIN) had left before.
    pub resent: u32,
    /// What brought a repetition about.
    pub trigger: Option<Trigger>,
    /// What the network did with it.
    pub fate: Fate,
    /// The sender's state when it left.
    pub sender: Option<Change>,
    /// The receiver's state when it (first) arrived.
    pub receiver: Option<Change>,
    /// What the receiver made of it.
    pub verdict: Option<Verdict>,
    /// How its ACK field came about.
    pub arithmetic: Option<Arithmetic>,
}

impl SegmentStep {
    /// When it first arrived, if it did.
    pub fn arrived_at(&self) -> Option<Instant> {
        match &self.fate {
            Fate::Arrived { at, .. } => Some(*at),
            Fate::Lost | Fate::Corrupted | Fate::InFlight => None,
        }
    }

    /// How long it was on the way.
    pub fn transit(&self, sent_at: Instant) -> Option<Duration> {
        self.arrived_at().map(|at| at - sent_at)
    }
}

/// What makes a sender repeat itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// The retransmission timer ran out (RFC 6298).
    Timeout,
    /// Acknowledgments told of a hole (RFC 5681, 6675, 8985).
    Acknowledgments,
}

/// What the network did with a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrived.
    Arrived {
        /// When, the first time.
        at: Instant,
        /// When copies of it arrived that the network had made.
        copies: Vec<Instant>,
    },
    /// It never arrived.
    Lost,
    /// It arrived damaged: the checksum did not match and nobody looked further.
    Corrupted,
    /// The story ended before it could arrive.
    InFlight,
}

/// A sequence number by its distance from the initial sequence number of the side it belongs to: `X+1461`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Number {
    /// Whose octets are counted.
    pub side: Side,
    /// How far from the initial sequence number; negative for numbers of an older connection. Does not wrap at 2^32.
    pub offset: i64,
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = self.side.letter();
        match self.offset {
            0 => write!(f, "{letter}"),
            offset if offset > 0 => write!(f, "{letter}+{offset}"),
            offset => write!(f, "{letter}-{}", offset.unsigned_abs()),
        }
    }
}

impl std::ops::Add<i64> for Number {
    type Output = Self;

    fn add(self, octets: i64) -> Self {
        Self {
            side: self.side,
            offset: self.offset + octets,
        }
    }
}

/// What the header of a segment says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The control bits.
    pub flags: TcpFlags,
    /// SEG.SEQ, relative.
    pub seq: Number,
    /// SEG.ACK, relative, where the ACK bit is set.
    pub ack: Option<Number>,
    /// Octets of text.
    pub len: u32,
    /// SEG.WND in octets, the window scale applied.
    pub window: u32,
    /// SEG.SEQ as it stood on the wire.
    pub raw_seq: SeqNum,
    /// SEG.ACK as it stood on the wire.
    pub raw_ack: SeqNum,
    /// The options.
    pub options: TcpOptions,
}

impl Segment {
    /// Octets of sequence space: the text, and one each for SYN and FIN.
    pub fn seq_len(&self) -> u32 {
        self.len + u32::from(self.has(TcpFlags::SYN)) + u32::from(self.has(TcpFlags::FIN))
    }

    /// The number after the segment's last.
    pub fn end(&self) -> Number {
        self.seq + i64::from(self.seq_len())
    }

    /// Whether a control bit is set.
    pub fn has(&self, flag: TcpFlags) -> bool {
        self.flags.contains(flag)
    }

    /// Whether it carries nothing but an acknowledgment.
    pub fn is_pure_ack(&self) -> bool {
        self.seq_len() == 0 && self.has(TcpFlags::ACK) && !self.has(TcpFlags::RST)
    }
}

/// Something inside one end.
#[derive(Clone, Debug)]
pub struct LocalStep {
    /// Which end.
    pub side: Side,
    /// What it was.
    pub event: LocalEvent,
    /// What it did to the state.
    pub change: Change,
}

/// What can happen inside an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalEvent {
    /// The application called.
    Call(UserCall),
    /// A timer ran out.
    Timeout(Timer),
    /// The network reported an error about this connection.
    Icmp,
}
