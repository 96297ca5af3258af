//! [`Device`]: what every source and sink of packets can do.

use std::collections::VecDeque;
use std::fmt;
use std::io;
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::task::Waker;

use handwave_packet::PacketBuf;
use handwave_wire::ethernet::MacAddr;

/// What the first octets of a device's packets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Medium {
    /// An IPv4 or IPv6 header.
    Ip,
    /// An Ethernet header.
    Ethernet,
}

/// Moves packets in batches, without ever waiting.
///
/// The [crate documentation](crate) says what a driver does with it. A device belongs to one driver; two drivers on one
/// descriptor would take each other's packets.
///
/// An error of either call is final: the link is gone, and the device will not work again. What only one packet suffers from
/// (an interface that is down, a packet the kernel refuses) is a loss like any other on a network, and goes to the
/// [`counters`](Self::counters).
pub trait Device {
    /// What the first octets of packets are, in both directions.
    fn medium(&self) -> Medium;

    /// The largest IP packet the link carries, in octets; an Ethernet header comes on top.
    fn mtu(&self) -> u16;

    /// The link address of the station that the device receives for, if it receives for one only.
    fn mac(&self) -> Option<MacAddr> {
        None
    }

    /// Appends what has arrived to `out`, at most `max` packets, and returns how many.
    ///
    /// Fewer than `max`, and zero in particular, means that nothing more is there at the moment. Packets that were
    /// [joined](Self::join_segments) count as many as they were.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::UnexpectedEof`] when the other end is gone and everything it sent has been taken; any other error
    /// when the device itself has failed. Packets appended before the failure are in `out`.
    fn receive(&mut self, max: usize, out: &mut Vec<PacketBuf>) -> io::Result<usize>;

    /// Says that the caller takes super-segments. A device whose packets come one by one may join those that follow each other in one connection, as
    /// generic receive offload does, with headers that say how many octets they are and checksums that have been
    /// [verified](handwave_packet::ChecksumMark::Verified).
    fn join_segments(&mut self) {}

    /// Sends from the front of `packets` until it is empty or the device can take no more; returns how many were sent.
    ///
    /// A packet that can never be sent is dropped on the way, and counted in [`Counters::send_dropped`] only.
    /// What was not sent stays in `packets`, in order: a queue that is not empty afterwards is what other interfaces call
    /// "would block".
    ///
    /// Any packet, and the one in any frame, may be a super-segment or bear a partial checksum. A device that cannot hand these on
    /// replaces such a packet in the queue by the segments it stands for, and counts these.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::BrokenPipe`] when the other end is gone; any other error when the device itself has failed. The packet
    /// that met the error stays in the queue.
    fn send(&mut self, packets: &mut VecDeque<PacketBuf>) -> io::Result<usize>;

    /// How to learn that the device can receive or send.
    fn readiness(&self) -> Readiness<'_>;

    /// What has passed so far, and what was lost here.
    fn counters(&self) -> Counters;
}

/// How to learn that a device can receive or send.
#[derive(Clone, Copy)]
pub enum Readiness<'a> {
    /// The kernel says so: wait until this descriptor is readable or writable.
    #[cfg(unix)]
    Descriptor(BorrowedFd<'a>),
    /// The device wakes whoever left a waker.
    Wakers(&'a dyn Wakers),
}

impl fmt::Debug for Readiness<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(unix)]
            Self::Descriptor(fd) => f.debug_tuple("Descriptor").field(fd).finish(),
            Self::Wakers(_) => f.write_str("Wakers(..)"),
        }
    }
}

/// Where a driver leaves its wakers. Each direction remembers the last one left, and wakes it once.
///
/// A waker is woken at once if the device is ready already, or if the other end is gone: then the next call says so.
pub trait Wakers {
    /// Wakes `waker` as soon as there is something to receive.
    fn wake_when_receivable(&self, waker: &Waker);

    /// Wakes `waker` as soon as there is room to send.
    fn wake_when_sendable(&self, waker: &Waker);
}

/// What has passed through a device, in packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Packets handed to the caller.
    pub received: u64,
    /// Packets that left.
    pub sent: u64,
    /// Packets that arrived and could not be handed on: larger than the MTU, or without the framing agreed on.
    pub receive_dropped: u64,
    /// Packets that could not be sent and never will be: larger than the MTU, or refused (an interface that is down, octets
    /// that are no IP packet).
    pub send_dropped: u64,
}

impl<D: Device + ?Sized> Device for Box<D> {
    fn medium(&self) -> Medium {
        (**self).medium()
    }

    fn mtu(&self) -> u16 {
        (**self).mtu()
    }

    fn mac(&self) -> Option<MacAddr> {
        (**self).mac()
    }

    fn receive(&mut self, max: usize, out: &mut Vec<PacketBuf>) -> io::Result<usize> {
        (**self).receive(max, out)
    }

    fn join_segments(&mut self) {
        (**self).join_segments();
    }

    fn send(&mut self, packets: &mut VecDeque<PacketBuf>) -> io::Result<usize> {
        (**self).send(packets)
    }

    fn readiness(&self) -> Readiness<'_> {
        (**self).readiness()
    }

    fn counters(&self) -> Counters {
        (**self).counters()
    }
}
