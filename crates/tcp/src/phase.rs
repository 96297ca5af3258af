//! The connection states and the one table of how they follow each other (RFC 9293 3.3.2, figure 5).

use core::fmt;

/// A connection state of RFC 9293 3.3.2.
///
/// ```
/// use handwave_tcp::{Cause, Phase};
///
/// assert_eq!(Phase::FinWait1.next(Cause::FinAcknowledged), Some(Phase::FinWait2));
/// assert_eq!(Phase::SynReceived.to_string(), "SYN-RECEIVED");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// No connection.
    Closed,
    /// Waiting for any peer's SYN.
    Listen,
    /// Our SYN is out; nothing of the peer is known.
    SynSent,
    /// Both SYNs are known; ours is not acknowledged.
    SynReceived,
    /// Data flows both ways.
    Established,
    /// We closed; our FIN is not acknowledged.
    FinWait1,
    /// Our FIN is acknowledged; the peer may still send.
    FinWait2,
    /// The peer closed; we may still send.
    CloseWait,
    /// Both closed at once; our FIN is not acknowledged.
    Closing,
    /// The peer closed first, then we; our FIN is not acknowledged.
    LastAck,
    /// Both FINs are acknowledged; old segments may still be in the network.
    TimeWait,
}

/// Why a connection changes its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Cause {
    /// The application opens towards a peer.
    ActiveOpen,
    /// The application opens for any peer.
    PassiveOpen,
    /// A SYN without an acceptable ACK arrived.
    SynArrived,
    /// A SYN that acknowledges ours arrived.
    SynAckArrived,
    /// The peer acknowledged our SYN.
    SynAcknowledged,
    /// The application closes its direction.
    Close,
    /// The peer's FIN is in order.
    FinArrived,
    /// The peer acknowledged our FIN.
    FinAcknowledged,
    /// Twice the maximum segment lifetime passed.
    TimeWaitElapsed,
    /// The peer stayed half-closed for longer than an orphan may wait.
    FinWait2Elapsed,
    /// A believable RST arrived.
    Reset,
    /// A believable RST or a give-up ended a half-open record of a passive open.
    HandshakeAbandoned,
    /// The application aborts.
    Abort,
    /// Retransmissions, probes or the user timeout ran out.
    GaveUp,
}

impl Phase {
    /// All states, in the RFC's order.
    pub const ALL: [Self; 11] = [
        Self::Closed,
        Self::Listen,
        Self::SynSent,
        Self::SynReceived,
        Self::Established,
        Self::FinWait1,
        Self::FinWait2,
        Self::CloseWait,
        Self::Closing,
        Self::LastAck,
        Self::TimeWait,
    ];

    /// The state that follows, or `None` where the cause cannot occur (RFC 9293 figure 5, 3.10).
    ///
    /// Two changes in one segment are two steps: a FIN that also acknowledges ours takes FIN-WAIT-1 through FIN-WAIT-2 to
    /// TIME-WAIT, the acknowledgment being processed first (RFC 9293 3.10.7.4).
    #[must_use]
    pub const fn next(self, cause: Cause) -> Option<Self> {
        Some(match (self, cause) {
            (Self::Closed, Cause::ActiveOpen) => Self::SynSent,
            (Self::Closed, Cause::PassiveOpen) => Self::Listen,
            (Self::Closed, _) => return None,

            (Self::Listen, Cause::SynArrived) => Self::SynReceived,
            (Self::Listen, Cause::Close | Cause::Abort) => Self::Closed,
            (Self::Listen, _) => return None,

            (Self::SynSent, Cause::SynArrived) => Self::SynReceived,
            (Self::SynSent, Cause::SynAckArrived) => Self::Established,
            (Self::SynSent, Cause::Close | Cause::Reset | Cause::Abort | Cause::GaveUp) => {
                Self::Closed
            }
            (Self::SynSent, _) => return None,

            (Self::SynReceived, Cause::SynAcknowledged) => Self::Established,
            (Self::SynReceived, Cause::Close) => Self::FinWait1,
            (Self::SynReceived, Cause::HandshakeAbandoned) => Self::Listen,

            (Self::Established, Cause::Close) => Self::FinWait1,
            (Self::Established, Cause::FinArrived) => Self::CloseWait,

            (Self::FinWait1, Cause::FinAcknowledged) => Self::FinWait2,
            (Self::FinWait1, Cause::FinArrived) => Self::Closing,

            (Self::FinWait2, Cause::FinArrived) => Self::TimeWait,
            (Self::FinWait2, Cause::FinWait2Elapsed) => Self::Closed,

            (Self::CloseWait, Cause::Close) => Self::LastAck,
            (Self::Closing, Cause::FinAcknowledged) => Self::TimeWait,
            (Self::LastAck, Cause::FinAcknowledged) => Self::Closed,
            (Self::TimeWait, Cause::TimeWaitElapsed) => Self::Closed,

            (
                Self::SynReceived
                | Self::Established
                | Self::FinWait1
                | Self::FinWait2
                | Self::CloseWait
                | Self::Closing
                | Self::LastAck
                | Self::TimeWait,
                Cause::Reset | Cause::Abort | Cause::GaveUp,
            ) => Self::Closed,

            (
                Self::SynReceived
                | Self::Established
                | Self::FinWait1
                | Self::FinWait2
                | Self::CloseWait
                | Self::Closing
                | Self::LastAck
                | Self::TimeWait,
                _,
            ) => return None,
        })
    }

    /// Whether the peer's sequence numbers are known and acknowledged (RFC 9293 3.5.2, "synchronized states").
    #[must_use]
    pub const fn is_synchronized(self) -> bool {
        matches!(
            self,
            Self::Established
                | Self::FinWait1
                | Self::FinWait2
                | Self::CloseWait
                | Self::Closing
                | Self::LastAck
                | Self::TimeWait
        )
    }

    /// Whether the peer may still send text in this state.
    #[must_use]
    pub const fn can_receive(self) -> bool {
        matches!(
            self,
            Self::SynReceived | Self::Established | Self::FinWait1 | Self::FinWait2
        )
    }

    /// Whether the application may still send text in this state.
    #[must_use]
    pub const fn can_send(self) -> bool {
        matches!(
            self,
            Self::SynSent | Self::SynReceived | Self::Established | Self::CloseWait
        )
    }

    /// The RFC's name of the state.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "CLOSED",
            Self::Listen => "LISTEN",
            Self::SynSent => "SYN-SENT",
            Self::SynReceived => "SYN-RECEIVED",
            Self::Established => "ESTABLISHED",
            Self::FinWait1 => "FIN-WAIT-1",
            Self::FinWait2 => "FIN-WAIT-2",
            Self::CloseWait => "CLOSE-WAIT",
            Self::Closing => "CLOSING",
            Self::LastAck => "LAST-ACK",
            Self::TimeWait => "TIME-WAIT",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Cause {
    /// All causes.
    pub const ALL: [Self; 14] = [
        Self::ActiveOpen,
        Self::PassiveOpen,
        Self::SynArrived,
        Self::SynAckArrived,
        Self::SynAcknowledged,
        Self::Close,
        Self::FinArrived,
        Self::FinAcknowledged,
        Self::TimeWaitElapsed,
        Self::FinWait2Elapsed,
        Self::Reset,
        Self::HandshakeAbandoned,
        Self::Abort,
        Self::GaveUp,
    ];
}
