//! Errors by blame: what a peer or the network did to a connection, what a caller asked for too late or too early, and why
//! a segment was dropped (a counter, never an error).

use core::fmt;

/// Why a connection ended before its time; terminal, and says who ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The peer answered our SYN with a RST: nobody listens there.
    Refused,
    /// The peer sent a believable RST (RFC 5961 3.2).
    Reset,
    /// This side aborted, or closed with text unread (RFC 9293 3.6.1 [SHLD-3]).
    Aborted,
    /// The connection was given up because the host ran out of room for it.
    Evicted,
    /// Retransmissions went unanswered for longer than R2 (RFC 9293 3.8.3).
    TimedOut,
    /// Text stayed unacknowledged for longer than the user timeout (RFC 9293 3.10.8).
    UserTimeout,
    /// Keep-alive probes went unanswered (RFC 9293 3.8.4).
    KeepAliveTimeout,
    /// The network reported that the peer cannot be reached (RFC 9293 3.9.2.2).
    Unreachable(Unreachable),
}

/// What an ICMP destination-unreachable message says, the same for both IP versions (RFC 9293 3.9.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unreachable {
    /// No route to the network.
    Network,
    /// No route to the host.
    Host,
    /// The host does not speak TCP.
    Protocol,
    /// Nobody listens on the port.
    Port,
    /// A source route failed.
    SourceRoute,
    /// A filter forbids it.
    Prohibited,
    /// A filter forbids talking to the network.
    NetworkProhibited,
    /// A router knows of no such host.
    HostUnknown,
    /// The host is cut off from the network.
    HostIsolated,
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Network => "network unreachable",
            Self::Host => "host unreachable",
            Self::Protocol => "protocol unreachable",
            Self::Port => "port unreachable",
            Self::SourceRoute => "source route failed",
            Self::Prohibited => "communication administratively prohibited",
            Self::NetworkProhibited => "network administratively prohibited",
            Self::HostUnknown => "host unknown",
            Self::HostIsolated => "host isolated",
        })
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("connection refused: the peer answered the SYN with RST"),
            Self::Reset => f.write_str("connection reset by peer"),
            Self::Aborted => f.write_str("connection aborted by this side"),
            Self::Evicted => f.write_str("connection dropped: this host has no room left for it"),
            Self::TimedOut => {
                f.write_str("connection timed out: no acknowledgment of retransmissions")
            }
            Self::UserTimeout => f.write_str("connection timed out: user timeout expired"),
            Self::KeepAliveTimeout => {
                f.write_str("connection timed out: keep-alive probes unanswered")
            }
            Self::Unreachable(why) => write!(f, "{why}"),
        }
    }
}

impl core::error::Error for ConnectionError {}

/// Why octets were not taken for sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// [`close`](crate::Connection::close) promised a FIN; nothing may follow it.
    Closing,
    /// The connection is gone.
    Lost(ConnectionError),
    /// The connection is over and ended in order.
    Closed,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closing => f.write_str("this side is already closing"),
            Self::Lost(error) => error.fmt(f),
            Self::Closed => f.write_str("the connection is closed"),
        }
    }
}

impl core::error::Error for SendError {}

/// Why there is nothing to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiveError {
    /// Nothing yet; [`Events::READABLE`](crate::Events::READABLE) follows.
    WouldBlock,
    /// The connection is gone and all text that came before has been read.
    Lost(ConnectionError),
}

impl fmt::Display for ReceiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WouldBlock => f.write_str("nothing to read yet"),
            Self::Lost(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ReceiveError {}

/// Why a segment was not used. Each has a counter; none is an error for the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// Sequence number outside the receive window (RFC 9293 3.10.7.4, first check).
    OutOfWindow,
    /// Timestamp older than the last valid one (RFC 7323 5, PAWS).
    Paws,
    /// Timestamps were agreed on and this segment has none (RFC 7323 3.2).
    TimestampMissing,
    /// RST in the window but not at RCV.NXT (RFC 5961 3.2).
    RstNotExact,
    /// RST outside the window, or without an acceptable ACK before the handshake.
    RstUnacceptable,
    /// SYN in a synchronized state (RFC 5961 4.2).
    SynInSynchronized,
    /// No ACK bit where every segment must have one.
    AckMissing,
    /// ACK outside SND.UNA - MAX.SND.WND ..= SND.NXT (RFC 5961 5.2).
    AckUnacceptable,
    /// ACK of a half-open connection does not name our SYN.
    HandshakeAckUnacceptable,
    /// RST ignored in TIME-WAIT (RFC 1337).
    RstInTimeWait,
    /// Neither SYN nor RST nor an ACK that could be used, before the peer is known.
    NotSyn,
    /// Nobody holds this connection.
    NoConnection,
    /// The SYN queue is full.
    SynQueueFull,
    /// The accept queue is full.
    AcceptQueueFull,
    /// Text after the application stopped reading.
    NobodyReads,
    /// There was no memory for the text.
    NoMemory,
    /// A combination of control bits that no sender may use.
    IllegalFlags,
    /// An acknowledgment of no connection brought back no cookie of ours, or a stale one (RFC 4987 3.6).
    CookieInvalid,
    /// The SYN's source is over what an unverified source may use of a listener.
    SourceOverBudget,
    /// The source is denied, or has as many connections as it may have.
    SourceRefused,
}

impl DropReason {
    /// Number of reasons, for counters.
    pub const COUNT: usize = Self::SourceRefused as usize + 1;

    /// Place of this reason's counter.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}
