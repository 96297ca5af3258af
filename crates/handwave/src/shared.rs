//! What the driver and all handles of one stack share: the stack itself behind a lock, and who waits for what.
//!
//! A call of the application takes the lock, calls into the stack, and wakes the driver if that may have given it something
//! to do. While the driver has been woken and has not run, further calls wake nobody: many calls make one turn of the driver.

use std::future::poll_fn;
use std::io;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use handwave_stack::{ConnectionId, InterfaceId};
use handwave_tcp::Instant;

use crate::ahead::Ahead;
use crate::error::Error;
use crate::forwarder::Sessions;
use crate::runtime::Runtime;
use crate::shards::Group;
use crate::waiting::{Place, Ticket, Waiting};

/// Behind every [`Handle`].
#[derive(Debug)]
pub(crate) struct Shared {
    inner: Mutex<Inner>,
    pub(crate) runtime: Arc<dyn Runtime>,
    /// What it shares with the other shards of its stack, and which one this is.
    pub(crate) group: Arc<Group>,
    pub(crate) shard: usize,
}

/// What the lock protects.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) stack: handwave_stack::Stack,
    pub(crate) interface: InterfaceId,
    pub(crate) waiting: Waiting,
    pub(crate) ahead: Ahead,
    pub(crate) sessions: Sessions,
    /// Where the search for a free port of a listener begins.
    pub(crate) next_port: u16,
    /// The driver's, while it rests. Taken by whoever has something for it.
    pub(crate) driver: Option<Waker>,
    /// The driver has ended.
    pub(crate) ended: bool,
    /// The control socket that came with the stack, if one did.
    #[cfg(all(unix, feature = "control"))]
    pub(crate) control: Option<crate::control::Control>,
}

impl Shared {
    pub(crate) fn new(
        inner: Inner,
        runtime: Arc<dyn Runtime>,
        group: Arc<Group>,
        shard: usize,
    ) -> Arc<Self> {
        Arc::new(Self {
            inner: Mutex::new(inner),
            runtime,
            group,
            shard,
        })
    }

    /// Locks. A panic while the lock was held is no reason to stop: the stack has no states that a panic could leave half done
    /// and that another call could not bear.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at something, or changes what the driver need not know of.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&mut Inner) -> R) -> R {
        look(&mut self.lock())
    }

    /// Calls into the stack and lets the driver see to what follows.
    pub(crate) fn call<R>(&self, call: impl FnOnce(&mut Inner, Instant) -> R) -> R {
        let (result, driver) = {
            let mut inner = self.lock();
            let now = self.runtime.now();
            (call(&mut inner, now), inner.driver.take())
        };
        if let Some(driver) = driver {
            driver.wake();
        }
        result
    }

    /// Tries something; if it is too early, leaves the waker at `place`.
    ///
    /// Trying and leaving the waker are one step under the lock, so nothing happens unnoticed in between.
    pub(crate) fn poll_at<R>(
        &self,
        place: Place,
        ticket: Ticket,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut(&mut Inner, Instant) -> Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        self.poll_untimed(place, ticket, cx, |inner| {
            attempt(inner, self.runtime.now())
        })
    }

    /// The same for what need not know the time: to look at the clock costs as much as taking the lock.
    pub(crate) fn poll_untimed<R>(
        &self,
        place: Place,
        ticket: Ticket,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut(&mut Inner) -> Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        let (result, driver) = {
            let mut inner = self.lock();
            if place.is_line() {
                inner.waiting.came(place, ticket);
            }
            match attempt(&mut inner) {
                Poll::Ready(result) => (result, inner.driver.take()),
                Poll::Pending if inner.ended => (Err(Error::StackGone.into()), None),
                Poll::Pending => {
                    let replaced = inner.waiting.register(place, ticket, cx.waker());
                    drop(inner);
                    drop(replaced);
                    return Poll::Pending;
                }
            }
        };
        if let Some(driver) = driver {
            driver.wake();
        }
        Poll::Ready(result)
    }

    /// Tries something once; the driver sees to what follows.
    pub(crate) fn try_once<R>(
        &self,
        mut attempt: impl FnMut(&mut Inner) -> Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        let (result, driver) = {
            let mut inner = self.lock();
            let result = attempt(&mut inner);
            let driver = match result {
                Poll::Ready(_) => inner.driver.take(),
                Poll::Pending => None,
            };
            (result, driver)
        };
        if let Some(driver) = driver {
            driver.wake();
        }
        result
    }

    /// Waits at `place` until an attempt succeeds or fails. Dropping the future loses nothing but the place in the queue.
    ///
    /// Only who has to wait takes a ticket, and has to give it back.
    pub(crate) async fn wait_at<R>(
        &self,
        place: Place,
        mut attempt: impl FnMut(&mut Inner) -> Poll<io::Result<R>>,
    ) -> io::Result<R> {
        if let Poll::Ready(result) = self.try_once(&mut attempt) {
            return result;
        }
        let waiter = Waiter::new(self, place);
        poll_fn(|cx| {
            waiter
                .shared
                .poll_untimed(waiter.place, waiter.ticket, cx, &mut attempt)
        })
        .await
    }
}

/// Somebody who waits; takes the waker back when dropped.
pub(crate) struct Waiter<'a> {
    shared: &'a Shared,
    place: Place,
    ticket: Ticket,
}

impl<'a> Waiter<'a> {
    pub(crate) fn new(shared: &'a Shared, place: Place) -> Self {
        let ticket = shared.look(|inner| inner.waiting.ticket());
        Self {
            shared,
            place,
            ticket,
        }
    }

    pub(crate) const fn ticket(&self) -> Ticket {
        self.ticket
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        // Wakers are woken and dropped when the lock has been given back.
        let mut woken = Vec::new();
        let _waker = self.shared.look(|inner| {
            // The call goes to the next one.
            if self.place.is_line() && inner.waiting.came(self.place, self.ticket) {
                inner.call_those_in_line(self.place, &mut woken);
            }
            inner.waiting.withdraw(self.place, self.ticket)
        });
        self.shared.runtime.wake_all(&mut woken);
    }
}

impl Inner {
    /// Calls those who stand in line at `place` for what is there.
    pub(crate) fn call_those_in_line(&mut self, place: Place, woken: &mut Vec<Waker>) {
        let things = match place {
            Place::Accept(id) => {
                let listener = self.stack.listener(id);
                listener.map_or(0, handwave_tcp::Listener::waiting)
            }
            Place::Request => usize::from(self.stack.has_forward_requests()),
            _ => 0,
        };
        self.waiting.call(place, things, woken);
    }

    /// Lets those write on who were ahead of the driver.
    pub(crate) fn let_writers_go_on(&mut self, woken: &mut Vec<Waker>) {
        for id in self.ahead.turn() {
            self.waiting.take(Place::Write(id), woken);
        }
    }

    /// Forgets who waits for a connection that its program lets go of; the wakers are to be dropped outside the lock.
    pub(crate) fn forget(&mut self, id: ConnectionId) -> [Option<Waker>; 2] {
        [Place::Read(id), Place::Write(id)].map(|place| self.waiting.withdraw(place, Ticket::POLL))
    }
}

/// Keeps the drivers of all shards going for as long as it exists; calls go to one.
#[derive(Debug)]
pub(crate) struct Handle(Arc<Shared>);

impl Handle {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        shared.group.add_handle();
        Self(shared)
    }
}

#[cfg(all(unix, feature = "control"))]
impl Handle {
    /// The same stack, not kept alive.
    pub(crate) fn downgrade(&self) -> std::sync::Weak<Shared> {
        Arc::downgrade(&self.0)
    }
}

impl Deref for Handle {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Clone for Handle {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.0))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.0.group.remove_handle() {
            // The drivers end once they have nothing left to close.
            self.0.call(|_, _| ());
            self.0.group.wake_drivers();
        }
    }
}
