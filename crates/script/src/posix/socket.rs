//! One socket: what it is, what it is bound to, how far it has come.

use super::Errno;
use super::address::Domain;
use super::error_queue::ErrorQueue;
use super::options::Options;
use super::urgent::Urgent;
use handwave_stack::{ConnectionId, ListenerId, UdpId};
use handwave_tcp::{ConnectionError, Endpoint, IcmpKind, Instant, Unreachable};

/// What a socket carries.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Kind {
    /// `SOCK_STREAM` over TCP.
    Stream,
    /// `SOCK_DGRAM` over UDP.
    Datagram,
}

/// What stands behind a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// Nothing.
    Closed,
    /// LISTEN.
    Listening(ListenerId),
    /// A connection in whatever state it is, CLOSED included: what came before can still be read.
    Open(ConnectionId),
    /// A UDP port, and the peer the socket is connected to.
    Udp(UdpId, Option<Endpoint>),
}

/// How far `connect` has come, as far as the socket layer remembers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Association {
    /// None.
    Unconnected,
    /// `connect` returned `EINPROGRESS` or waits.
    Connecting,
    /// Complete.
    Connected,
    /// Cut short by `shutdown`: there is no way back but to dissolve it.
    Disconnecting,
}

/// One socket.
#[derive(Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, as the kernel keeps them"
)]
pub(super) struct Socket {
    pub(super) domain: Domain,
    pub(super) kind: Kind,
    pub(super) nonblocking: bool,
    pub(super) options: Options,
    /// The local endpoint that `bind` named, or that a call chose.
    pub(super) local: Option<Endpoint>,
    /// The port of `local` is this socket's; otherwise it is only remembered.
    pub(super) holds_port: bool,
    /// `bind` named the address, which outlives connections.
    pub(super) address_named: bool,
    /// `bind` named the port, which outlives connections.
    pub(super) port_named: bool,
    pub(super) state: State,
    pub(super) association: Association,
    /// The error that the next call returns, once (`SO_ERROR`).
    pub(super) error: Option<Errno>,
    /// Nothing more will be read: the peer's FIN came, `shutdown`, or the end of the connection.
    pub(super) read_shut: bool,
    /// Nothing more can be written.
    pub(super) write_shut: bool,
    /// The peer's FIN came.
    pub(super) fin: bool,
    /// The end of the connection has been noted.
    pub(super) ended: bool,
    /// What `MSG_ERRQUEUE` takes.
    pub(super) errors: ErrorQueue,
    pub(super) urgent: Urgent,
    /// When `close` began to wait for the peer.
    pub(super) lingers_since: Option<Instant>,
}

impl Socket {
    pub(super) fn new(domain: Domain, kind: Kind, options: Options) -> Self {
        Self {
            domain,
            kind,
            nonblocking: false,
            options,
            local: None,
            holds_port: false,
            address_named: false,
            port_named: false,
            state: State::Closed,
            association: Association::Unconnected,
            error: None,
            read_shut: false,
            write_shut: false,
            fin: false,
            ended: false,
            errors: ErrorQueue::default(),
            urgent: Urgent::default(),
            lingers_since: None,
        }
    }

    /// Lets go of a port that `bind` has not named.
    pub(super) const fn release_port(&mut self) {
        if !self.port_named {
            self.holds_port = false;
        }
    }

    /// Takes the pending error.
    pub(super) fn take_error(&mut self) -> Result<(), Errno> {
        self.error.take().map_or(Ok(()), Err)
    }
}

/// The errno a program learns of the end of a connection; `half_closed`: the peer's FIN had come and ours was not promised.
///
/// `ipv6`: the peer has an IPv6 address.
pub(super) const fn errno_of(
    error: ConnectionError,
    half_closed: bool,
    ipv6: bool,
) -> Option<Errno> {
    Some(match error {
        ConnectionError::Refused => Errno::ECONNREFUSED,
        ConnectionError::Reset if half_closed => Errno::EPIPE,
        // Nobody but the connection itself aborts what a socket still stands for: text came that nobody will read.
        ConnectionError::Reset | ConnectionError::Aborted => Errno::ECONNRESET,
        ConnectionError::TimedOut
        | ConnectionError::UserTimeout
        | ConnectionError::KeepAliveTimeout => Errno::ETIMEDOUT,
        ConnectionError::Evicted => Errno::ENOBUFS,
        ConnectionError::Unreachable(why) => errno_of_icmp(why, ipv6),
        _ => return None,
    })
}

/// The errno of an ICMP destination unreachable message, ICMPv6 or not.
pub(super) const fn errno_of_icmp(why: Unreachable, ipv6: bool) -> Errno {
    match why {
        Unreachable::Prohibited | Unreachable::NetworkProhibited if ipv6 => Errno::EACCES,
        Unreachable::Network | Unreachable::NetworkProhibited => Errno::ENETUNREACH,
        Unreachable::Host | Unreachable::Prohibited => Errno::EHOSTUNREACH,
        Unreachable::HostUnknown => Errno::EHOSTDOWN,
        Unreachable::HostIsolated => Errno::ENONET,
        Unreachable::Protocol => Errno::ENOPROTOOPT,
        Unreachable::Port => Errno::ECONNREFUSED,
        Unreachable::SourceRoute => Errno::EOPNOTSUPP,
    }
}

/// The errno of any ICMP error about a connection that goes on.
pub(super) const fn errno_of_soft(kind: IcmpKind, ipv6: bool) -> Option<Errno> {
    match kind {
        IcmpKind::Unreachable(why) => Some(errno_of_icmp(why, ipv6)),
        IcmpKind::TimeExceeded => Some(Errno::EHOSTUNREACH),
        IcmpKind::ParameterProblem => Some(Errno::EPROTO),
        IcmpKind::PacketTooBig { .. } => None,
    }
}
