//! Devices that tests put between a stack and a wire.
#![allow(dead_code, reason = "each test file uses its share")]

use std::collections::VecDeque;
use std::io;
use std::task::Waker;

use handwave::PacketBuf;
use handwave::device::{Counters, Device, Medium, MemoryDevice, Readiness, Wakers};

/// A device around another that does some of its work otherwise.
pub(crate) trait Around: Send {
    type Inner: Device;

    fn inner(&self) -> &Self::Inner;

    fn inner_mut(&mut self) -> &mut Self::Inner;

    fn receive(&mut self, max: usize, out: &mut Vec<PacketBuf>) -> io::Result<usize> {
        self.inner_mut().receive(max, out)
    }

    fn send(&mut self, packets: &mut VecDeque<PacketBuf>) -> io::Result<usize> {
        self.inner_mut().send(packets)
    }
}

/// Such a device, as a stack takes it.
pub(crate) struct As<A>(pub(crate) A);

impl<A: Around> Device for As<A> {
    fn medium(&self) -> Medium {
        self.0.inner().medium()
    }

    fn mtu(&self) -> u16 {
        self.0.inner().mtu()
    }

    fn receive(&mut self, max: usize, out: &mut Vec<PacketBuf>) -> io::Result<usize> {
        self.0.receive(max, out)
    }

    fn send(&mut self, packets: &mut VecDeque<PacketBuf>) -> io::Result<usize> {
        self.0.send(packets)
    }

    fn readiness(&self) -> Readiness<'_> {
        self.0.inner().readiness()
    }

    fn counters(&self) -> Counters {
        self.0.inner().counters()
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
