//! One direction of a link in memory: a bounded queue with a waker at each end.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use handwave_packet::PacketBuf;

/// Makes a line that holds at most `capacity` packets.
pub(crate) fn line(capacity: usize) -> (Inlet, Outlet) {
    let line = Arc::new(Line {
        capacity,
        state: Mutex::default(),
    });
    (Inlet(Arc::clone(&line)), Outlet(line))
}

/// Where packets enter a line. Dropping it tells the other end.
#[derive(Debug)]
pub(crate) struct Inlet(Arc<Line>);

/// Where packets leave a line. Dropping it frees what is in the line and tells the other end.
#[derive(Debug)]
pub(crate) struct Outlet(Arc<Line>);

#[derive(Debug)]
struct Line {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    packets: VecDeque<PacketBuf>,
    inlet_gone: bool,
    outlet_gone: bool,
    receiver: Option<Waker>,
    sender: Option<Waker>,
}

impl Line {
    /// A panic of the other side leaves the queue whole: no step below stops half-way.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inlet {
    /// Puts in packets that `next` gives as long as there is room; returns how many.
    ///
    /// `next` is not called when there is no room, and must not touch this line.
    pub(crate) fn push_all(
        &self,
        mut next: impl FnMut() -> Option<PacketBuf>,
    ) -> io::Result<usize> {
        let mut state = self.0.lock();
        if state.outlet_gone {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let before = state.packets.len();
        while state.packets.len() < self.0.capacity
            && let Some(packet) = next()
        {
            state.packets.push_back(packet);
        }
        let pushed = state.packets.len() - before;
        let waker = if pushed > 0 {
            state.receiver.take()
        } else {
            None
        };
        drop(state);
        wake(waker);
        Ok(pushed)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.lock().outlet_gone
    }

    pub(crate) fn wake_when_sendable(&self, waker: &Waker) {
        let mut state = self.0.lock();
        if state.outlet_gone || state.packets.len() < self.0.capacity {
            drop(state);
            waker.wake_by_ref();
        } else {
            remember(&mut state.sender, waker);
        }
    }
}

impl Outlet {
    /// Takes out at most `max` packets and gives each to `each`, which must not touch this line.
    pub(crate) fn take(&self, max: usize, each: impl FnMut(PacketBuf)) -> io::Result<usize> {
        let mut state = self.0.lock();
        let taken = max.min(state.packets.len());
        if taken == 0 && max > 0 && state.inlet_gone {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        state.packets.drain(..taken).for_each(each);
        let waker = if taken > 0 { state.sender.take() } else { None };
        drop(state);
        wake(waker);
        Ok(taken)
    }

    pub(crate) fn wake_when_receivable(&self, waker: &Waker) {
        let mut state = self.0.lock();
        if state.inlet_gone || !state.packets.is_empty() {
            drop(state);
            waker.wake_by_ref();
        } else {
            remember(&mut state.receiver, waker);
        }
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.inlet_gone = true;
        let waker = state.receiver.take();
        drop(state);
        wake(waker);
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.outlet_gone = true;
        let packets = std::mem::take(&mut state.packets);
        let waker = state.sender.take();
        drop(state);
        drop(packets);
        wake(waker);
    }
}

/// Outside the lock, because a waker may run anything.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

fn remember(slot: &mut Option<Waker>, waker: &Waker) {
    match slot {
        Some(old) => old.clone_from(waker),
        None => *slot = Some(waker.clone()),
    }
}
