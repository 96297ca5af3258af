//! What can go wrong, and how it looks as an [`io::Error`].

use std::fmt;
use std::io;

use handwave_stack::{
    BindError, ConnectError, ForwardError, InterfaceError, ListenError, UdpSendError,
};
use handwave_tcp::{ConnectionError, ReceiveError, SendError, Unreachable};

/// Why a call of this library failed.
///
/// Methods return it inside an [`io::Error`] of the right [`io::ErrorKind`], as programs written for sockets expect;
/// [`Error::of`] takes it out again for those who want to know more.
///
/// ```
/// use std::io;
/// use handwave::{ConnectionError, Error};
///
/// let error = io::Error::from(Error::Connection(ConnectionError::KeepAliveTimeout));
/// assert_eq!(error.kind(), io::ErrorKind::TimedOut);
/// assert_eq!(Error::of(&error), Some(&Error::Connection(ConnectionError::KeepAliveTimeout)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The connection ended before its time.
    Connection(ConnectionError),
    /// A connection could not even begin.
    Connect(ConnectError),
    /// A listener could not be opened.
    Listen(ListenError),
    /// A UDP port could not be bound.
    Bind(BindError),
    /// A datagram could not be sent.
    Send(UdpSendError),
    /// An interface, an address or a route was not taken.
    Interface(InterfaceError),
    /// This side has shut its sending direction, or the connection is over.
    Closed,
    /// A UDP socket without a peer was asked to send to or receive from its peer.
    NotConnected,
    /// A flow could not be forwarded.
    Forward(ForwardError),
    /// The stack's driver has ended: nothing moves any more.
    StackGone,
}

impl Error {
    /// The error that an [`io::Error`] of this library carries.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// The kind of [`io::Error`] that this is.
    #[must_use]
    pub const fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Connection(error) => connection_kind(*error),
            Self::Connect(error) => connect_kind(*error),
            Self::Listen(ListenError::InUse) | Self::Bind(BindError::InUse | BindError::NoPort) => {
                io::ErrorKind::AddrInUse
            }
            Self::Listen(ListenError::NotLocal) | Self::Bind(BindError::NotLocal) => {
                io::ErrorKind::AddrNotAvailable
            }
            Self::Send(error) => send_kind(*error),
            Self::Interface(_) | Self::Listen(ListenError::BadPort) => io::ErrorKind::InvalidInput,
            Self::Listen(_) | Self::Bind(_) => io::ErrorKind::Other,
            Self::Forward(ForwardError::InUse) => io::ErrorKind::AddrInUse,
            Self::Forward(ForwardError::Gone) | Self::StackGone => io::ErrorKind::ConnectionAborted,
            Self::Forward(_) => io::ErrorKind::Other,
            Self::Closed => io::ErrorKind::BrokenPipe,
            Self::NotConnected => io::ErrorKind::NotConnected,
        }
    }
}

const fn connection_kind(error: ConnectionError) -> io::ErrorKind {
    match error {
        ConnectionError::Refused => io::ErrorKind::ConnectionRefused,
        ConnectionError::Reset => io::ErrorKind::ConnectionReset,
        ConnectionError::TimedOut
        | ConnectionError::UserTimeout
        | ConnectionError::KeepAliveTimeout => io::ErrorKind::TimedOut,
        ConnectionError::Unreachable(why) => unreachable_kind(why),
        _ => io::ErrorKind::ConnectionAborted,
    }
}

/// As Linux turns ICMP codes into `errno`.
const fn unreachable_kind(why: Unreachable) -> io::ErrorKind {
    match why {
        Unreachable::Network | Unreachable::NetworkProhibited => io::ErrorKind::NetworkUnreachable,
        Unreachable::Port | Unreachable::Protocol => io::ErrorKind::ConnectionRefused,
        Unreachable::Host
        | Unreachable::SourceRoute
        | Unreachable::Prohibited
        | Unreachable::HostUnknown
        | Unreachable::HostIsolated => io::ErrorKind::HostUnreachable,
    }
}

const fn connect_kind(error: ConnectError) -> io::ErrorKind {
    match error {
        ConnectError::BadRemote => io::ErrorKind::InvalidInput,
        ConnectError::NoRoute | ConnectError::NoSource => io::ErrorKind::NetworkUnreachable,
        ConnectError::BadLocal | ConnectError::NoPort => io::ErrorKind::AddrNotAvailable,
        ConnectError::InUse => io::ErrorKind::AddrInUse,
        _ => io::ErrorKind::Other,
    }
}

const fn send_kind(error: UdpSendError) -> io::ErrorKind {
    match error {
        UdpSendError::NoRoute => io::ErrorKind::NetworkUnreachable,
        UdpSendError::TooLong | UdpSendError::NoPort => io::ErrorKind::InvalidInput,
        UdpSendError::QueueFull => io::ErrorKind::WouldBlock,
        UdpSendError::Unreachable(why) => unreachable_kind(why),
        _ => io::ErrorKind::NotConnected,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection(error) => error.fmt(f),
            Self::Connect(error) => error.fmt(f),
            Self::Listen(error) => error.fmt(f),
            Self::Bind(error) => error.fmt(f),
            Self::Send(error) => error.fmt(f),
            Self::Interface(error) => error.fmt(f),
            Self::Closed => f.write_str("this side of the connection is closed"),
            Self::NotConnected => f.write_str("the socket has no peer"),
            Self::Forward(error) => error.fmt(f),
            Self::StackGone => f.write_str("the stack is not being driven any more"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Connection(error) => Some(error),
            Self::Connect(error) => Some(error),
            Self::Listen(error) => Some(error),
            Self::Bind(error) => Some(error),
            Self::Send(error) => Some(error),
            Self::Interface(error) => Some(error),
            Self::Forward(error) => Some(error),
            Self::Closed | Self::NotConnected | Self::StackGone => None,
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error)
    }
}

macro_rules! from {
    ($($source:ty => $variant:ident),* $(,)?) => {$(
        impl From<$source> for Error {
            fn from(error: $source) -> Self {
                Self::$variant(error)
            }
        }
    )*};
}

from! {
    ConnectionError => Connection,
    ConnectError => Connect,
    ListenError => Listen,
    BindError => Bind,
    UdpSendError => Send,
    InterfaceError => Interface,
    ForwardError => Forward,
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Lost(error) => Self::Connection(error),
            SendError::Closing | SendError::Closed => Self::Closed,
        }
    }
}

/// The failure to read, if it is one: having nothing yet is none.
pub(crate) fn read_failure(error: ReceiveError) -> Option<Error> {
    match error {
        ReceiveError::WouldBlock => None,
        ReceiveError::Lost(error) => Some(Error::Connection(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_of_a_connection_has_the_kind_that_programs_match_on() {
        let cases = [
            (ConnectionError::Refused, io::ErrorKind::ConnectionRefused),
            (ConnectionError::Reset, io::ErrorKind::ConnectionReset),
            (ConnectionError::Aborted, io::ErrorKind::ConnectionAborted),
            (ConnectionError::Evicted, io::ErrorKind::ConnectionAborted),
            (ConnectionError::TimedOut, io::ErrorKind::TimedOut),
            (ConnectionError::UserTimeout, io::ErrorKind::TimedOut),
            (ConnectionError::KeepAliveTimeout, io::ErrorKind::TimedOut),
            (
                ConnectionError::Unreachable(Unreachable::Network),
                io::ErrorKind::NetworkUnreachable,
            ),
            (
                ConnectionError::Unreachable(Unreachable::Host),
                io::ErrorKind::HostUnreachable,
            ),
            (
                ConnectionError::Unreachable(Unreachable::Port),
                io::ErrorKind::ConnectionRefused,
            ),
        ];
        for (error, kind) in cases {
            let io = io::Error::from(Error::from(error));
            assert_eq!(io.kind(), kind, "{error}");
            assert_eq!(Error::of(&io), Some(&Error::Connection(error)));
        }
    }
}
