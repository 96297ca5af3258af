//! [`SimRuntime`]: the runtime seam in virtual time.

use std::future::Future;
#[cfg(unix)]
use std::io;
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use handwave_tcp::Instant;

use super::clock::{TimerId, Universe};
#[cfg(unix)]
use crate::runtime::Watch;
use crate::runtime::{Runtime, Timer};

/// Runs stacks in the virtual time of a [`Sim`](super::Sim), to the nanosecond; made by [`Network::runtime`](super::Network::runtime).
///
/// The stacks of [`Network::host`](super::Network::host) run on it without being told. Others, on devices of the program's own, do with
/// [`Builder::runtime`](crate::Builder::runtime).
#[derive(Clone, Debug)]
pub struct SimRuntime(Arc<Universe>);

impl SimRuntime {
    pub(super) const fn new(universe: Arc<Universe>) -> Self {
        Self(universe)
    }
}

impl Runtime for SimRuntime {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn timer(&self) -> Box<dyn Timer> {
        let id = self.0.lock().timer();
        Box::new(SimTimer {
            universe: Arc::clone(&self.0),
            id,
            set: None,
        })
    }

    #[cfg(unix)]
    fn watch(&self, _: BorrowedFd<'_>) -> io::Result<Box<dyn Watch>> {
        let what = "in virtual time there are no descriptors to wait for";
        Err(io::Error::new(io::ErrorKind::Unsupported, what))
    }

    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        // Nobody waits for the task by its handle.
        drop(self.0.tokio.spawn(task));
    }

    fn wake_all(&self, wakers: &mut Vec<Waker>) {
        if wakers.len() > 1 {
            self.0.lock().shuffle(wakers);
        }
        wakers.drain(..).for_each(Waker::wake);
    }
}

struct SimTimer {
    universe: Arc<Universe>,
    id: TimerId,
    /// What is waited for.
    set: Option<Instant>,
}

impl SimTimer {
    fn clear(&mut self) {
        // The waker goes after the lock: it may hold what takes the lock when it is dropped.
        let _waker = self
            .set
            .take()
            .and_then(|deadline| self.universe.lock().clear_timer(self.id, deadline));
    }
}

impl Timer for SimTimer {
    fn poll_until(&mut self, deadline: Option<Instant>, cx: &mut Context<'_>) -> Poll<()> {
        self.clear();
        let Some(deadline) = deadline else {
            return Poll::Pending;
        };
        if deadline <= self.universe.now() {
            return Poll::Ready(());
        }
        self.set = Some(deadline);
        let waker = cx.waker().clone();
        self.universe.lock().set_timer(self.id, deadline, waker);
        Poll::Pending
    }
}

impl Drop for SimTimer {
    fn drop(&mut self) {
        self.clear();
    }
}
