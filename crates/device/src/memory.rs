//! [`MemoryDevice`]: one end of a link that exists in memory only.

use std::collections::VecDeque;
use std::io;
use std::task::Waker;

use handwave_packet::PacketBuf;

use crate::edge::{packet_len_max, wire_front};
use crate::line::{Inlet, Outlet, line};
use crate::{Counters, Device, Medium, Readiness, Wakers};

/// Makes two devices that are each other's other end.
///
/// Each direction holds at most `capacity` packets; then [`send`](Device::send) leaves the rest with the caller. A packet
/// larger than `mtu` is dropped and counted, as by a real link. The link has no delay, no loss and no order of its own, so
/// what passes through it in virtual time is the same in every run.
///
/// # Panics
///
/// If `capacity` is zero: nothing could ever pass.
///
/// # Examples
///
/// ```
/// use std::collections::VecDeque;
/// use handwave_device::{Device, pair};
/// use handwave_packet::PacketBuf;
///
/// let (mut left, mut right) = pair(1_500, 2);
/// let mut queue: VecDeque<_> = (1..=3).map(|len| PacketBuf::from(vec![0x45; len])).collect();
/// assert_eq!((left.send(&mut queue)?, queue.len()), (2, 1));
///
/// let mut batch = Vec::new();
/// assert_eq!(right.receive(10, &mut batch)?, 2);
/// assert_eq!((left.send(&mut queue)?, queue.len()), (1, 0));
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use]
pub fn pair(mtu: u16, capacity: usize) -> (MemoryDevice, MemoryDevice) {
    assert!(capacity > 0, "a link without room carries nothing");
    let (left_inlet, right_outlet) = line(capacity);
    let (right_inlet, left_outlet) = line(capacity);
    (
        MemoryDevice::new(mtu, left_inlet, left_outlet),
        MemoryDevice::new(mtu, right_inlet, right_outlet),
    )
}

/// One end of a link in memory. Made by [`pair`] and [`channel`](crate::channel()).
#[derive(Debug)]
pub struct MemoryDevice {
    medium: Medium,
    mtu: u16,
    ends: Ends,
    counters: Counters,
}

#[derive(Debug)]
struct Ends {
    inlet: Inlet,
    outlet: Outlet,
}

impl MemoryDevice {
    pub(crate) fn new(mtu: u16, inlet: Inlet, outlet: Outlet) -> Self {
        Self {
            medium: Medium::Ip,
            mtu,
            ends: Ends { inlet, outlet },
            counters: Counters::default(),
        }
    }

    /// Says that this end carries another medium than IP. The other end has to be told as well.
    #[must_use]
    pub fn with_medium(mut self, medium: Medium) -> Self {
        self.medium = medium;
        self
    }
}

impl Device for MemoryDevice {
    fn medium(&self) -> Medium {
        self.medium
    }

    fn mtu(&self) -> u16 {
        self.mtu
    }

    fn receive(&mut self, max: usize, out: &mut Vec<PacketBuf>) -> io::Result<usize> {
        let received = self.ends.outlet.take(max, |packet| out.push(packet))?;
        self.counters.received += received as u64;
        Ok(received)
    }

    fn send(&mut self, packets: &mut VecDeque<PacketBuf>) -> io::Result<usize> {
        let len_max = packet_len_max(self.medium, self.mtu);
        let mut dropped = 0;
        let sent = self.ends.inlet.push_all(|| {
            loop {
                let too_long = wire_front(self.medium, packets)?.len() > len_max;
                let packet = packets.pop_front()?;
                if !too_long {
                    return Some(packet);
                }
                dropped += 1;
            }
        })?;
        self.counters.sent += sent as u64;
        self.counters.send_dropped += dropped;
        Ok(sent)
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::Wakers(&self.ends)
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}

impl Wakers for Ends {
    fn wake_when_receivable(&self, waker: &Waker) {
        self.outlet.wake_when_receivable(waker);
    }

    fn wake_when_sendable(&self, waker: &Waker) {
        self.inlet.wake_when_sendable(waker);
    }
}

#[cfg(test)]
mod tests;
