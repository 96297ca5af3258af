//! [`Port`]: the device of a host, with the network at its other end.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::task::Waker;

use handwave_device::{Counters, Device, Medium, Readiness, Wakers};
use handwave_packet::{PacketBuf, split};

use super::clock::Universe;
use super::paths::HostId;

/// Where a host is plugged in. Dropping it unplugs the host.
pub(super) struct Port {
    universe: Arc<Universe>,
    host: HostId,
    counters: Counters,
}

impl Port {
    pub(super) fn new(universe: Arc<Universe>, host: HostId) -> Self {
        Self {
            universe,
            host,
            counters: Counters::default(),
        }
    }
}

impl Device for Port {
    fn medium(&self) -> Medium {
        Medium::Ip
    }

    fn mtu(&self) -> u16 {
        self.universe.settings.mtu
    }

    fn receive(&mut self, max: usize, out: &mut Vec<PacketBuf>) -> io::Result<usize> {
        let count = self.universe.lock().paths.receive(self.host, max, out);
        self.counters.received += count as u64;
        Ok(count)
    }

    /// Takes everything: queues and their limits are the links'.
    fn send(&mut self, packets: &mut VecDeque<PacketBuf>) -> io::Result<usize> {
        let (now, mtu) = (self.universe.now(), usize::from(self.mtu()));
        let mut sent = 0;
        let mut state = self.universe.lock();
        for packet in packets.drain(..).flat_map(split::segments) {
            if packet.len() > mtu {
                self.counters.send_dropped += 1;
                continue;
            }
            state.paths.send(now, self.host, packet);
            sent += 1;
        }
        self.counters.sent += sent as u64;
        Ok(sent)
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::Wakers(self)
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}

impl Wakers for Port {
    fn wake_when_receivable(&self, waker: &Waker) {
        let ready = self.universe.lock().paths.poll_receivable(self.host, waker);
        if ready {
            waker.wake_by_ref();
        }
    }

    fn wake_when_sendable(&self, waker: &Waker) {
        waker.wake_by_ref();
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        // The waker goes after the lock: it may hold what takes the lock when it is dropped.
        let _waker = self.universe.lock().paths.remove_host(self.host);
    }
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}
