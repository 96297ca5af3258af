//! Devices that tests put between a stack and a wire.
#![allow(dead_code, reason = "each test file uses its share")]

use std::collections::VecDeque;
use std::io;
use std::task::Waker;

use handwave::PacketBuf;
use handwave::device::{Counters, Device, Medium, MemoryDevice, Readiness, Wakers};

/// What is peculiar about a device: it does as the device behind it does, but for what is said here.
pub(crate) trait Habit<D: Device>: Send {
    fn receive(
        &mut self,
        device: &mut D,
        max: usize,
        out: &mut Vec<PacketBuf>,
    ) -> io::Result<usize> {
        device.receive(max, out)
    }

    fn send(&mut self, device: &mut D, packets: &mut VecDeque<PacketBuf>) -> io::Result<usize> {
        device.send(packets)
    }
}

/// A device with a habit.
pub(crate) struct With<D, H>(pub(crate) D, pub(crate) H);

impl<D: Device, H: Habit<D>> Device for With<D, H> {
    fn medium(&self) -> Medium {
        self.0.medium()
    }

    fn mtu(&self) -> u16 {
        self.0.mtu()
    }

    fn receive(&mut self, max: usize, out: &mut Vec<PacketBuf>) -> io::Result<usize> {
        self.1.receive(&mut self.0, max, out)
    }

    fn send(&mut self, packets: &mut VecDeque<PacketBuf>) -> io::Result<usize> {
        self.1.send(&mut self.0, packets)
    }

    fn readiness(&self) -> Readiness<'_> {
        self.0.readiness()
    }

    fn counters(&self) -> Counters {
        self.0.counters()
    }
}

/// The other end of all queues of a device: sends into one of so many, as a kernel does whose flow table has forgotten.
pub(crate) struct Spread<F> {
    pub(crate) queues: Vec<MemoryDevice>,
    pub(crate) into: F,
}

impl<F: FnMut(usize) -> usize + Send> Device for Spread<F> {
    fn medium(&self) -> Medium {
        Medium::Ip
    }

    fn mtu(&self) -> u16 {
        self.queues[0].mtu()
    }

    fn receive(&mut self, max: usize, out: &mut Vec<PacketBuf>) -> io::Result<usize> {
        let mut count = 0;
        for queue in &mut self.queues {
            count += queue.receive(max - count, out)?;
        }
        Ok(count)
    }

    fn send(&mut self, packets: &mut VecDeque<PacketBuf>) -> io::Result<usize> {
        let into = (self.into)(self.queues.len());
        self.queues[into].send(packets)
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::Wakers(self)
    }

    fn counters(&self) -> Counters {
        Counters::default()
    }
}

impl<F> Spread<F> {
    fn each(&self, mut tell: impl FnMut(&dyn Wakers)) {
        for queue in &self.queues {
            if let Readiness::Wakers(wakers) = queue.readiness() {
                tell(wakers);
            }
        }
    }
}

impl<F> Wakers for Spread<F> {
    fn wake_when_receivable(&self, waker: &Waker) {
        self.each(|wakers| wakers.wake_when_receivable(waker));
    }

    fn wake_when_sendable(&self, waker: &Waker) {
        self.each(|wakers| wakers.wake_when_sendable(waker));
    }
}
