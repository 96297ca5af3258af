//! The shards of one stack: what they share, how packets go from one to another, and how to wait at all of them.
//!
//! Each shard is a [`Shared`] with a driver, a device (one queue of the interface) and a lock of its own. They share a [`Group`]: the
//! number of handles, the mailboxes, and the end. A driver that finds packets of another shard puts them into that shard's mailbox
//! when it has given its own lock back; a mailbox is bounded, and what does not fit is lost and counted, as at any queue on
//! a network.
//!
//! A stack with one queue is a group of one, and pays nothing for it.

use std::future::poll_fn;
use std::io;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use handwave_stack::Stray;
use handwave_tcp::{BudgetLock, Instant, Limits, ListenerPool, SourceBudgets};

use crate::shared::{Handle, Inner, Waiter};
use crate::waiting::{Place, Ticket};

/// Packets that wait in a mailbox.
const MAILBOX_MAX: usize = 1_024;

/// What the shards of one stack share.
#[derive(Debug)]
pub(crate) struct Group {
    /// Handles of all shards that exist.
    handles: AtomicUsize,
    /// Shards that nobody can ask for anything any more and that have nothing left to close.
    done: AtomicUsize,
    /// A driver has ended: so do the others, for the stack is not whole any more.
    ended: AtomicBool,
    /// Why it has, if not because all was done.
    failure: Mutex<Option<(io::ErrorKind, String)>>,
    mailboxes: Box<[Mailbox]>,
    /// Whose turn it is.
    turn: AtomicUsize,
}

/// What other shards have for one.
#[derive(Debug, Default)]
struct Mailbox {
    mail: Mutex<Mail>,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Mail {
    strays: Vec<Stray>,
    /// The driver's, while it rests.
    driver: Option<Waker>,
}

impl Mailbox {
    /// No step under this lock stops half-way.
    fn lock(&self) -> MutexGuard<'_, Mail> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Group {
    pub(crate) fn new(count: usize) -> Arc<Self> {
        Arc::new(Self {
            handles: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            failure: Mutex::default(),
            mailboxes: (0..count).map(|_| Mailbox::default()).collect(),
            turn: AtomicUsize::new(0),
        })
    }

    pub(crate) fn is_alone(&self) -> bool {
        self.mailboxes.len() == 1
    }

    pub(crate) fn add_handle(&self) {
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a handle off; whether it was the last.
    pub(crate) fn remove_handle(&self) -> bool {
        self.handles.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Whether nobody can ask for anything any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.handles.load(Ordering::Acquire) == 0
    }

    /// A shard of an abandoned stack has nothing left to close; whether that is so of all, and the stack is over.
    ///
    /// Until then it goes on, for it may receive what belongs to another.
    pub(crate) fn count_done(&self, is_news: bool) -> bool {
        let before = match is_news {
            true => self.done.fetch_add(1, Ordering::AcqRel) + 1,
            false => self.done.load(Ordering::Acquire),
        };
        before == self.mailboxes.len()
    }

    /// A driver ends, and so do the others.
    pub(crate) fn end(&self, error: Option<&io::Error>) {
        if let Some(error) = error {
            let mut failure = self.lock_failure();
            failure.get_or_insert_with(|| (error.kind(), error.to_string()));
        }
        self.ended.store(true, Ordering::Release);
        self.wake_drivers();
    }

    /// How the stack has ended, if it has.
    pub(crate) fn ending(&self) -> Option<io::Result<()>> {
        if !self.ended.load(Ordering::Acquire) {
            return None;
        }
        Some(match &*self.lock_failure() {
            None => Ok(()),
            Some((kind, text)) => Err(io::Error::new(*kind, text.clone())),
        })
    }

    fn lock_failure(&self) -> MutexGuard<'_, Option<(io::ErrorKind, String)>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wake_drivers(&self) {
        for mailbox in &self.mailboxes {
            let driver = mailbox.lock().driver.take();
            if let Some(driver) = driver {
                driver.wake();
            }
        }
    }

    /// Puts strays into the mailboxes of the shards they are for, and wakes these.
    pub(crate) fn post(&self, strays: &mut Vec<(u16, Stray)>) {
        for (shard, mailbox) in (0..).zip(&self.mailboxes) {
            if !strays.iter().any(|(to, _)| *to == shard) {
                continue;
            }
            let mut mail = mailbox.lock();
            let mut dropped = 0;
            for (_, stray) in strays.extract_if(.., |(to, _)| *to == shard) {
                if mail.strays.len() < MAILBOX_MAX {
                    mail.strays.push(stray);
                } else {
                    dropped += 1;
                }
            }
            let driver = mail.driver.take();
            drop(mail);
            mailbox.dropped.fetch_add(dropped, Ordering::Relaxed);
            if let Some(driver) = driver {
                driver.wake();
            }
        }
        strays.clear();
    }

    /// Takes what is in the mailbox of a shard.
    pub(crate) fn collect(&self, shard: usize, strays: &mut Vec<Stray>) {
        if self.is_alone() {
            return;
        }
        if let Some(mailbox) = self.mailboxes.get(shard) {
            strays.append(&mut mailbox.lock().strays);
        }
    }

    /// Leaves the driver's waker in its mailbox, unless there is something in it.
    pub(crate) fn poll_mail(&self, shard: usize, cx: &mut Context<'_>) -> Poll<()> {
        let Some(mailbox) = self.mailboxes.get(shard).filter(|_| !self.is_alone()) else {
            return Poll::Pending;
        };
        let mut mail = mailbox.lock();
        if !mail.strays.is_empty() || self.ended.load(Ordering::Acquire) {
            return Poll::Ready(());
        }
        let old = match &mut mail.driver {
            Some(old) if old.will_wake(cx.waker()) => None,
            driver => driver.replace(cx.waker().clone()),
        };
        drop(mail);
        drop(old);
        Poll::Pending
    }

    /// Packets that found a mailbox full.
    pub(crate) fn dropped(&self, shard: usize) -> u64 {
        let mailbox = self.mailboxes.get(shard);
        mailbox.map_or(0, |mailbox| mailbox.dropped.load(Ordering::Relaxed))
    }

    /// A shard for what any could do, each in its turn.
    pub(crate) fn next(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed) % self.mailboxes.len()
    }
}

/// A handle to each shard of a stack, in their order.
#[derive(Clone, Debug)]
pub(crate) struct Handles(Arc<[Handle]>);

impl Handles {
    pub(crate) fn new(handles: impl IntoIterator<Item = Handle>) -> Self {
        Self(handles.into_iter().collect())
    }

    /// The shard that says what is the same in all.
    pub(crate) fn first(&self) -> &Handle {
        &self.0[0]
    }

    /// Does to every shard what none may refuse that the first has not; undoes it where one does.
    pub(crate) fn try_each<T, E>(
        &self,
        mut call: impl FnMut(&mut Inner, Instant) -> Result<T, E>,
        mut undo: impl FnMut(&mut Inner, Instant, T),
    ) -> Result<Vec<T>, E> {
        let mut done = Vec::with_capacity(self.len());
        for handle in self.iter() {
            match handle.call(&mut call) {
                Ok(value) => done.push(value),
                Err(error) => {
                    for (handle, value) in self.iter().zip(done) {
                        handle.call(|inner, now| undo(inner, now, value));
                    }
                    return Err(error);
                }
            }
        }
        Ok(done)
    }

    /// Tries something at each shard, beginning with another each time; if it is too early everywhere, leaves the waker at all.
    pub(crate) fn poll_any<R>(
        &self,
        place: impl Fn(usize) -> Place,
        ticket: impl Fn(usize) -> Ticket,
        cx: &mut Context<'_>,
        mut attempt: impl FnMut(usize, &mut Inner) -> Poll<io::Result<R>>,
    ) -> Poll<io::Result<(usize, R)>> {
        for at in self.in_turn() {
            let tried =
                self.0[at].poll_untimed(place(at), ticket(at), cx, |inner| attempt(at, inner));
            if let Poll::Ready(result) = tried {
                return Poll::Ready(result.map(|value| (at, value)));
            }
        }
        Poll::Pending
    }

    /// All shards, beginning with another each time.
    fn in_turn(&self) -> impl Iterator<Item = usize> + use<> {
        let count = self.len();
        let first = match count {
            1 => 0,
            _ => self.first().group.next(),
        };
        (first..count).chain(0..first)
    }

    /// Waits at all shards until an attempt succeeds or fails at one. Dropping the future loses nothing.
    pub(crate) async fn wait_any<R>(
        &self,
        place: impl Fn(usize) -> Place,
        mut attempt: impl FnMut(usize, &mut Inner) -> Poll<io::Result<R>>,
    ) -> io::Result<(usize, R)> {
        if let [only] = &*self.0 {
            let value = only.wait_at(place(0), |inner| attempt(0, inner));
            return value.await.map(|value| (0, value));
        }
        for at in self.in_turn() {
            if let Poll::Ready(result) = self.0[at].try_once(|inner| attempt(at, inner)) {
                return result.map(|value| (at, value));
            }
        }
        let waiters: Vec<Waiter<'_>> = (0..)
            .zip(self.iter())
            .map(|(at, handle)| Waiter::new(handle, place(at)))
            .collect();
        poll_fn(|cx| self.poll_any(&place, |at| waiters[at].ticket(), cx, &mut attempt)).await
    }
}

/// Lets the shards at what their listeners count together about sources.
struct Locked(Mutex<SourceBudgets>);

impl BudgetLock for Locked {
    fn with(&self, look: &mut dyn FnMut(&mut SourceBudgets)) {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Handles {
    /// What listeners count together that are to stand in all shards; `None` if there is only one.
    pub(crate) fn listener_pool(&self, limits: &Limits) -> Option<ListenerPool> {
        let shards = u16::try_from(self.len()).unwrap_or(u16::MAX);
        (shards > 1).then(|| {
            let budgets = self
                .first()
                .look(|inner| SourceBudgets::new(limits, &inner.stack.host().secrets));
            ListenerPool::new(shards, Locked(Mutex::new(budgets)))
        })
    }
}

impl Deref for Handles {
    type Target = [Handle];
    fn deref(&self) -> &[Handle] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use handwave_packet::PacketBuf;
    use handwave_stack::{InterfaceConfig, Prefix, Shard, StackConfig};
    use handwave_tcp::Secrets;
    use std::task::Waker;

    /// What the first of two shards has for the second: datagrams from ever other ports.
    fn strays_of_the_first() -> impl Iterator<Item = (u16, Stray)> {
        let config = StackConfig::default().for_shard(Shard::new(0, 2).unwrap());
        let mut stack = handwave_stack::Stack::new(config, Secrets::from_seed(1), Instant::ZERO);
        let interface = InterfaceConfig::ip(1_500, [Prefix::new([10, 0, 0, 2].into(), 24)]);
        let interface = stack.add_interface(interface).unwrap();
        let mut ports = 1..=u16::MAX;
        std::iter::from_fn(move || {
            loop {
                let mut datagram = [0; 28];
                datagram[..4].copy_from_slice(&[0x45, 0, 0, 28]);
                datagram[8..10].copy_from_slice(&[64, 17]);
                datagram[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
                datagram[20..22].copy_from_slice(&ports.next()?.to_be_bytes());
                let datagram = PacketBuf::from(datagram.to_vec());
                stack.handle_packet(Instant::ZERO, interface, datagram);
                if let Some(stray) = stack.poll_stray() {
                    return Some(stray);
                }
            }
        })
    }

    #[test]
    fn a_mailbox_is_bounded_and_wakes_its_driver_once() {
        let group = Group::new(2);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(group.poll_mail(1, &mut cx).is_pending());
        let mut strays: Vec<_> = strays_of_the_first().take(MAILBOX_MAX + 3).collect();
        group.post(&mut strays);
        assert!(strays.is_empty());
        assert!(group.mailboxes[1].lock().driver.is_none(), "woken");
        assert!(group.poll_mail(1, &mut cx).is_ready());
        assert_eq!((group.dropped(0), group.dropped(1)), (0, 3));
        let mut taken = Vec::new();
        group.collect(0, &mut taken);
        assert!(taken.is_empty());
        group.collect(1, &mut taken);
        assert_eq!(taken.len(), MAILBOX_MAX);
        assert!(group.poll_mail(1, &mut cx).is_pending());
    }

    #[test]
    fn the_end_of_one_is_the_end_of_all_and_keeps_its_reason() {
        let group = Group::new(2);
        assert!(group.ending().is_none());
        assert!(!group.count_done(true) && !group.count_done(false));
        group.end(Some(&io::Error::new(io::ErrorKind::BrokenPipe, "gone")));
        group.end(None);
        let ending = group.ending().unwrap().unwrap_err();
        assert_eq!(ending.kind(), io::ErrorKind::BrokenPipe);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(group.poll_mail(0, &mut cx).is_ready(), "nobody rests now");
        assert!(group.count_done(true), "the second of two");
    }
}
