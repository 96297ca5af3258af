//! One entry for every input and every segment sent: what happened, and the variables after it.
//!
//! The simulator's checkers, `handwave lab` and the tests all read these entries. Without a tracer nothing is built.

use core::fmt;

use handwave_wire::{SeqNum, TcpHeader};

use crate::error::DropReason;
use crate::phase::Phase;
use crate::time::Instant;
use crate::timer::Timer;
use crate::tuple::Tuple;

/// Takes trace entries as they happen.
pub trait Tracer: fmt::Debug {
    /// Sees one entry.
    fn record(&mut self, entry: &TraceEntry);
}

/// One thing that happened to one connection.
#[derive(Clone, Debug)]
pub struct TraceEntry {
    /// When.
    pub now: Instant,
    /// To which connection.
    pub tuple: Tuple,
    /// What.
    pub event: TraceEvent,
    /// The state before.
    pub before: Phase,
    /// The state after.
    pub after: Phase,
    /// What became of it.
    pub verdict: Verdict,
    /// The send variables afterwards.
    pub snd: SendSnapshot,
    /// The receive variables afterwards.
    pub rcv: ReceiveSnapshot,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceEvent {
    /// A segment arrived.
    SegmentArrived {
        /// Its header.
        header: TcpHeader,
        /// Octets of text.
        payload_len: usize,
    },
    /// A segment left.
    SegmentSent {
        /// Its header.
        header: TcpHeader,
        /// Octets of text.
        payload_len: usize,
        /// Why it was sent.
        reason: SendReason,
    },
    /// The application called.
    Call(UserCall),
    /// A timer expired.
    Timeout(Timer),
    /// An ICMP error about this connection was believed.
    Icmp,
}

/// A call of the application (RFC 9293 3.9.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserCall {
    /// Active OPEN.
    Open,
    /// SEND of this many octets.
    Send(usize),
    /// RECEIVE of this many octets.
    Receive(usize),
    /// CLOSE: no more will be sent.
    Close,
    /// The application let go of the connection.
    Release,
    /// ABORT.
    Abort,
}

/// Why a segment was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendReason {
    /// SYN or SYN+ACK of the handshake.
    Handshake,
    /// New text, or a FIN, or both.
    Data,
    /// Octets sent before.
    Retransmission,
    /// Nothing but an acknowledgment or a window update.
    Acknowledgment,
    /// RFC 5961: make the peer prove that it is the peer.
    Challenge,
    /// Zero-window probe.
    WindowProbe,
    /// Keep-alive probe.
    KeepAlive,
    /// RST.
    Reset,
}

/// What became of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Processed to the end.
    Accepted,
    /// Dropped, with a counter.
    Dropped(DropReason),
    /// Dropped and answered with an acknowledgment.
    Acknowledged(DropReason),
    /// Dropped and answered with a challenge ACK, the budget permitting (RFC 5961).
    Challenged(DropReason),
    /// Answered with RST.
    ResetSent(DropReason),
    /// The peer's RST was believed: the connection is gone.
    ConnectionReset,
}

/// The send sequence variables (RFC 9293 3.3.1) and what limits sending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendSnapshot {
    /// Initial send sequence number.
    pub iss: SeqNum,
    /// Oldest unacknowledged octet.
    pub una: SeqNum,
    /// Next octet to send.
    pub nxt: SeqNum,
    /// The peer's window, in octets.
    pub wnd: u32,
    /// Congestion window, in octets.
    pub cwnd: u32,
    /// Slow-start threshold, in octets.
    pub ssthresh: u32,
    /// Octets believed to be in the network.
    pub pipe: u32,
}

/// The receive sequence variables (RFC 9293 3.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceiveSnapshot {
    /// Initial receive sequence number.
    pub irs: SeqNum,
    /// Next octet expected.
    pub nxt: SeqNum,
    /// The window offered, in octets.
    pub wnd: u32,
}
