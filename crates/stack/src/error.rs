//! What the application asked for and cannot have.

use core::fmt;

/// Why an active open failed at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The remote address is a group or unspecified, or its port is 0 (RFC 9293 3.9.2.3 [MUST-46]).
    BadRemote,
    /// No route leads to the remote address.
    NoRoute,
    /// The local address is none of ours, or of another family than the remote one.
    BadLocal,
    /// The route's interface has no address of the remote's family.
    NoSource,
    /// A connection with the same four numbers exists, or waits in TIME-WAIT (RFC 9293 3.10.1).
    InUse,
    /// Every ephemeral port looked at is taken for this destination.
    NoPort,
    /// A connection with that local port belongs to another [shard](crate::Shard).
    OtherShard,
    /// There are as many connections as the configuration allows.
    TooMany,
    /// The sockets of this stack hold as much memory as the configuration allows.
    NoMemory,
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadRemote => "the remote address cannot be connected to",
            Self::NoRoute => "no route to the remote address",
            Self::BadLocal => "the local address is not one of this host",
            Self::NoSource => "the interface has no address of that family",
            Self::InUse => "the connection exists already",
            Self::NoPort => "no ephemeral port is free for this destination",
            Self::OtherShard => "the connection would belong to another shard",
            Self::TooMany => "there are too many connections",
            Self::NoMemory => "there is no memory left for another connection",
        })
    }
}

impl core::error::Error for ConnectError {}

/// Why a listener could not be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ListenError {
    /// Another listener has this address and port.
    InUse,
    /// The address is none of ours.
    NotLocal,
    /// Port 0 cannot be listened on.
    BadPort,
    /// There are as many listeners as the configuration allows.
    TooMany,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InUse => "another listener has this address and port",
            Self::NotLocal => "the address is not one of this host",
            Self::BadPort => "port 0 cannot be listened on",
            Self::TooMany => "there are too many listeners",
        })
    }
}

impl core::error::Error for ListenError {}

/// Why a flow was not forwarded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ForwardError {
    /// An interface forwards already.
    InUse,
    /// There are as many sockets or connections as the configuration allows.
    TooMany,
    /// The client has given up, or the request was decided before.
    Gone,
}

impl fmt::Display for ForwardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InUse => "an interface forwards already",
            Self::TooMany => "there are too many sockets or connections",
            Self::Gone => "the request is no longer there to be answered",
        })
    }
}

impl core::error::Error for ForwardError {}

/// The handle names no socket (any more).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoSuchSocket;

impl fmt::Display for NoSuchSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no such socket")
    }
}

impl core::error::Error for NoSuchSocket {}

/// Why an interface, an address or a route was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum InterfaceError {
    /// The interface does not exist.
    NoInterface,
    /// The MTU is below 68, the least that IPv4 allows (RFC 791 3.2).
    MtuTooSmall,
    /// A group, loopback-broadcast or unspecified address cannot be owned.
    BadAddress,
    /// Another interface has the address, or the same one with another prefix.
    AddressInUse,
    /// There are 65,535 interfaces.
    TooMany,
}

impl fmt::Display for InterfaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoInterface => "no such interface",
            Self::MtuTooSmall => "the MTU is below the least that IP allows",
            Self::BadAddress => "the address cannot be owned by a host",
            Self::AddressInUse => "the address is in use",
            Self::TooMany => "there are too many interfaces",
        })
    }
}

impl core::error::Error for InterfaceError {}
