//! UDP sockets (RFC 768): a port, a bounded queue of what arrived, counters.

use alloc::collections::VecDeque;
use core::fmt;
use core::net::IpAddr;
use handwave_packet::Payload;
use handwave_tcp::Endpoint;
use handwave_tcp::{Events, Unreachable};
use handwave_wire::Ecn;

/// Limits of each UDP socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UdpLimits {
    /// Datagrams that wait to be received.
    pub datagrams_max: usize,
    /// Octets of memory that they hold together.
    pub octets_max: usize,
}

impl Default for UdpLimits {
    fn default() -> Self {
        Self {
            datagrams_max: 256,
            octets_max: 256 * 1024,
        }
    }
}

/// A datagram that arrived.
#[derive(Clone, PartialEq, Debug)]
pub struct UdpDatagram {
    /// Who sent it.
    pub source: Endpoint,
    /// The address of ours (or the group) and the port that it was sent to.
    pub destination: Endpoint,
    /// What it says.
    pub payload: Payload,
    /// Congestion mark of the IP header.
    pub ecn: Ecn,
}

/// What a UDP socket has seen.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct UdpCounters {
    /// Datagrams put into the queue.
    pub received: u64,
    /// Datagrams dropped because the queue was full (`RcvbufErrors`).
    pub queue_full: u64,
    /// Datagrams sent.
    pub sent: u64,
    /// ICMP errors about datagrams sent.
    pub icmp_errors: u64,
}

impl UdpCounters {
    /// Adds what another socket has seen.
    pub const fn add(&mut self, other: &Self) {
        self.received += other.received;
        self.queue_full += other.queue_full;
        self.sent += other.sent;
        self.icmp_errors += other.icmp_errors;
    }
}

/// Why a port could not be bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum BindError {
    /// Another socket has it.
    InUse,
    /// The address is none of ours.
    NotLocal,
    /// No ephemeral port is free.
    NoPort,
    /// There are as many sockets as the configuration allows.
    TooMany,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InUse => "the port is in use",
            Self::NotLocal => "the address is not one of this host",
            Self::NoPort => "no ephemeral port is free",
            Self::TooMany => "there are too many sockets",
        })
    }
}

impl core::error::Error for BindError {}

/// Why a datagram was not sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum UdpSendError {
    /// There is no such socket.
    NoSocket,
    /// No route leads there, or no address of ours fits.
    NoRoute,
    /// It does not fit into one IP datagram.
    TooLong,
    /// The destination has no port.
    NoPort,
    /// Too many packets wait to be sent; poll and try again.
    QueueFull,
    /// An earlier datagram to this peer was reported undeliverable; told once.
    Unreachable(Unreachable),
}

impl fmt::Display for UdpSendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSocket => f.write_str("no such socket"),
            Self::NoRoute => f.write_str("no route to the destination"),
            Self::TooLong => f.write_str("the datagram is too long"),
            Self::NoPort => f.write_str("the destination port is 0"),
            Self::QueueFull => f.write_str("the transmit queue is full"),
            Self::Unreachable(why) => write!(f, "an earlier datagram was not delivered: {why}"),
        }
    }
}

impl core::error::Error for UdpSendError {}

/// Destinations remembered, to tell a report about our datagrams from a forged one.
const RECENT: usize = 8;

/// One UDP socket.
#[derive(Debug)]
pub(crate) struct UdpSocket {
    pub(crate) addr: Option<IpAddr>,
    pub(crate) port: u16,
    pub(crate) counters: UdpCounters,
    /// An ICMP error not yet told.
    pub(crate) error: Option<(Endpoint, Unreachable)>,
    pub(crate) events: Events,
    limits: UdpLimits,
    queue: VecDeque<(UdpDatagram, usize)>,
    held: usize,
    recent: [Option<Endpoint>; RECENT],
    recent_next: usize,
}

impl UdpSocket {
    pub(crate) fn new(addr: Option<IpAddr>, port: u16, limits: UdpLimits) -> Self {
        Self {
            addr,
            port,
            counters: UdpCounters::default(),
            error: None,
            events: Events::NONE,
            limits,
            queue: VecDeque::new(),
            held: 0,
            recent: [None; RECENT],
            recent_next: 0,
        }
    }

    /// Octets of memory that the queue holds.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Datagrams that wait.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    /// Queues a datagram that keeps `held` octets of memory alive; returns whether there was room.
    pub(crate) fn push(&mut self, datagram: UdpDatagram, held: usize) -> bool {
        if self.queue.len() >= self.limits.datagrams_max
            || self.held + held > self.limits.octets_max
        {
            self.counters.queue_full += 1;
            return false;
        }
        self.counters.received += 1;
        self.held += held;
        self.queue.push_back((datagram, held));
        self.events |= Events::READABLE;
        true
    }

    /// Takes the datagram that has waited for longest.
    /// How many datagrams wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Octets of the next datagram.
    pub(crate) fn next_len(&self) -> Option<usize> {
        self.queue
            .front()
            .map(|(datagram, _)| datagram.payload.len())
    }

    pub(crate) fn pop(&mut self) -> Option<UdpDatagram> {
        let (datagram, held) = self.queue.pop_front()?;
        self.held -= held;
        Some(datagram)
    }

    /// Remembers that something was sent to `remote`.
    pub(crate) fn note_sent(&mut self, remote: Endpoint) {
        self.counters.sent += 1;
        if !self.sent_recently(&remote) {
            self.recent[self.recent_next] = Some(remote);
            self.recent_next = (self.recent_next + 1) % RECENT;
        }
    }

    /// Whether something was sent to `remote` lately.
    pub(crate) fn sent_recently(&self, remote: &Endpoint) -> bool {
        self.recent.contains(&Some(*remote))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use core::net::Ipv4Addr;

    fn endpoint(port: u16) -> Endpoint {
        Endpoint::new(Ipv4Addr::LOCALHOST.into(), port)
    }

    fn datagram(text: &'static [u8]) -> UdpDatagram {
        UdpDatagram {
            source: endpoint(1),
            destination: endpoint(2),
            payload: Payload::from(Bytes::from_static(text)),
            ecn: Ecn::NotEct,
        }
    }

    #[test]
    fn the_queue_is_bounded_in_datagrams_and_in_memory() {
        let limits = UdpLimits {
            datagrams_max: 2,
            octets_max: 100,
        };
        let mut socket = UdpSocket::new(None, 53, limits);
        assert!(!socket.push(datagram(b"huge"), 101));
        assert!(socket.push(datagram(b"a"), 60));
        assert!(!socket.push(datagram(b"b"), 60));
        assert!(socket.push(datagram(b"c"), 40));
        assert!(!socket.push(datagram(b"d"), 0));
        assert_eq!(
            socket.pop().map(|datagram| datagram.payload.to_vec()),
            Some(b"a".to_vec())
        );
        assert_eq!((socket.held(), socket.queued()), (40, 1));
        assert_eq!(
            (socket.counters.received, socket.counters.queue_full),
            (2, 3)
        );
        assert_eq!(
            socket.pop().map(|datagram| datagram.payload.to_vec()),
            Some(b"c".to_vec())
        );
        assert_eq!(socket.pop(), None);
    }

    #[test]
    fn remembers_the_last_destinations() {
        let mut socket = UdpSocket::new(None, 53, UdpLimits::default());
        for port in 1..=9 {
            socket.note_sent(endpoint(port));
            socket.note_sent(endpoint(port));
        }
        assert!(!socket.sent_recently(&endpoint(1)));
        assert!((2..=9).all(|port| socket.sent_recently(&endpoint(port))));
    }
}
