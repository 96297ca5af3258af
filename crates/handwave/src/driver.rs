//! [`Driver`]: moves packets between the device and the stack, lets time pass, and wakes who waits.
//!
//! A turn of the driver is: take a batch from the device; under the lock, hand all of it to the stack, let time pass, take a
//! batch of output and the sockets' news; without the lock, send the output and wake whoever the news is for. No system call
//! is made under the lock, acknowledgments of a batch merge, and tasks are woken once for a batch.
//!
//! Between turns it rests until the device is ready, the stack's deadline passes, or a call of the application wakes it.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use handwave_device::{Device, Readiness};
use handwave_packet::PacketBuf;
use handwave_stack::{Event, SocketId, SocketSummary};
use handwave_tcp::{Events, Instant};

use crate::runtime::Timer;
#[cfg(unix)]
use crate::runtime::Watch;
use crate::shared::{Inner, Shared};
use crate::waiting::{Place, Waiting};

/// Packets taken from the device, and from the stack, in one turn.
const BATCH_MAX: usize = 64;
/// Turns before other tasks of the runtime have theirs.
const TURNS_MAX: usize = 8;

/// The task that makes a [`Stack`](crate::Stack) go.
///
/// [`Builder::spawn`](crate::Builder::spawn) runs it on the runtime; [`Builder::build`](crate::Builder::build) hands it to
/// those who want to run it themselves, or see its end. It is over when all handles (stacks, listeners, streams, sockets) have
/// been dropped and what they left behind has been delivered and closed, or when the device fails.
///
/// Dropping it before, as a runtime does that is shut down, resets every connection that is left.
pub struct Driver {
    shared: Arc<Shared>,
    device: Box<dyn Device + Send>,
    timer: Option<Box<dyn Timer>>,
    #[cfg(unix)]
    watch: Option<Box<dyn Watch>>,
    /// The device may have packets. Not known of a device without a descriptor.
    may_receive: bool,
    /// Received, about to be handed to the stack.
    received: Vec<PacketBuf>,
    /// Received here, but another shard's.
    strays: Vec<(u16, PacketBuf)>,
    /// Nobody needs this shard itself any more.
    is_done: bool,
    /// Taken from the stack, about to be sent.
    outbound: VecDeque<PacketBuf>,
    woken: Vec<Waker>,
}

/// How a turn ended.
enum Turn {
    /// There is more to do at once.
    More,
    /// There is nothing to do before this moment or other news.
    Rest(Option<Instant>),
    /// Nobody needs the driver any more.
    Over,
}

impl Driver {
    pub(crate) fn new(shared: Arc<Shared>, device: Box<dyn Device + Send>) -> Self {
        Self {
            shared,
            device,
            timer: None,
            #[cfg(unix)]
            watch: None,
            may_receive: true,
            received: Vec::with_capacity(BATCH_MAX),
            strays: Vec::new(),
            is_done: false,
            outbound: VecDeque::with_capacity(BATCH_MAX),
            woken: Vec::new(),
        }
    }

    fn turn(&mut self, waker: &Waker) -> io::Result<Turn> {
        if let Some(ending) = self.shared.group.ending() {
            return ending.map(|()| Turn::Over);
        }
        // What the device did not take the last time goes first; meanwhile the stack keeps what it has.
        let mut more = !self.outbound.is_empty();
        if self.may_receive {
            let count = self.device.receive(BATCH_MAX, &mut self.received)?;
            self.may_receive = count == BATCH_MAX;
            more |= self.may_receive;
        }
        self.shared
            .group
            .collect(self.shared.shard, &mut self.received);
        let (deadline, done) = {
            let mut inner = self.shared.lock();
            let now = self.shared.runtime.now();
            inner.input(now, &mut self.received);
            self.strays
                .extend(std::iter::from_fn(|| inner.stack.poll_stray()));
            if self.outbound.is_empty() {
                more |= inner.output(now, &mut self.outbound);
                if !more {
                    inner.waiting.take(Place::Send, &mut self.woken);
                }
            }
            inner.collect_news(now, &mut self.woken);
            inner.driver = Some(waker.clone());
            let abandoned = self.shared.group.is_abandoned();
            let done = abandoned && !more && !inner.has_connections();
            (inner.next_deadline(), done)
        };
        if !self.strays.is_empty() {
            self.shared.group.post(&mut self.strays);
        }
        if !self.outbound.is_empty() {
            self.device.send(&mut self.outbound)?;
        }
        self.shared.runtime.wake_all(&mut self.woken);
        if more && self.outbound.is_empty() {
            return Ok(Turn::More);
        }
        if done && self.outbound.is_empty() {
            let is_news = !std::mem::replace(&mut self.is_done, true);
            if self.shared.group.count_done(is_news) {
                return Ok(Turn::Over);
            }
        }
        Ok(Turn::Rest(deadline))
    }

    /// Waits for the device and the deadline; ready if there is something to do at once.
    fn rest(&mut self, deadline: Option<Instant>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let timer = self
            .timer
            .get_or_insert_with(|| self.shared.runtime.timer());
        if timer.poll_until(deadline, cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        if self
            .shared
            .group
            .poll_mail(self.shared.shard, cx)
            .is_ready()
        {
            return Poll::Ready(Ok(()));
        }
        match self.device.readiness() {
            Readiness::Wakers(wakers) => {
                // It wakes at once if it is ready: then this task runs again and tries.
                self.may_receive = true;
                wakers.wake_when_receivable(cx.waker());
                if !self.outbound.is_empty() {
                    wakers.wake_when_sendable(cx.waker());
                }
                Poll::Pending
            }
            #[cfg(unix)]
            Readiness::Descriptor(descriptor) => {
                let watch = match &mut self.watch {
                    Some(watch) => watch,
                    None => self.watch.insert(self.shared.runtime.watch(descriptor)?),
                };
                let mut ready = false;
                if !self.may_receive && watch.poll_readable(cx)?.is_ready() {
                    self.may_receive = true;
                    ready = true;
                }
                ready |= !self.outbound.is_empty() && watch.poll_writable(cx)?.is_ready();
                match ready {
                    true => Poll::Ready(Ok(())),
                    false => Poll::Pending,
                }
            }
        }
    }

    /// Resets what is left and tells everybody that nothing moves any more.
    fn end(&mut self, error: Option<&io::Error>) {
        {
            let mut inner = self.shared.lock();
            if inner.ended {
                return;
            }
            inner.ended = true;
            let now = self.shared.runtime.now();
            inner.stack.abort_all(now);
            while inner.output(now, &mut self.outbound) {}
            inner.waiting.take_all(&mut self.woken);
        }
        // As much as the device takes at once: there is nobody left to wait for it.
        let _sent = self.device.send(&mut self.outbound);
        self.shared.runtime.wake_all(&mut self.woken);
        self.shared.group.end(error);
    }
}

impl Future for Driver {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        for _ in 0..TURNS_MAX {
            let turn = match self.turn(cx.waker()) {
                Ok(Turn::More) => Ok(()),
                Ok(Turn::Rest(deadline)) => match self.rest(deadline, cx) {
                    Poll::Ready(result) => result,
                    Poll::Pending => return Poll::Pending,
                },
                Ok(Turn::Over) => {
                    self.end(None);
                    return Poll::Ready(Ok(()));
                }
                Err(error) => Err(error),
            };
            if let Err(error) = turn {
                self.end(Some(&error));
                return Poll::Ready(Err(error));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.end(None);
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver")
            .field("device", &self.device.counters())
            .field("outbound", &self.outbound.len())
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn input(&mut self, now: Instant, received: &mut Vec<PacketBuf>) {
        if !received.is_empty() {
            self.stack
                .handle_batch(now, self.interface, received.drain(..));
        }
        if self.stack.poll_timeout().is_some_and(|due| due <= now) {
            self.stack.handle_timeout(now);
        }
    }

    /// Takes a batch of packets to send; returns whether there may be more.
    fn output(&mut self, now: Instant, outbound: &mut VecDeque<PacketBuf>) -> bool {
        for _ in 0..BATCH_MAX {
            match self.stack.poll_transmit(now) {
                Some((_, packet)) => outbound.push_back(packet),
                None => return false,
            }
        }
        true
    }

    /// Finds who waits for what has happened.
    fn collect_news(&mut self, now: Instant, woken: &mut Vec<Waker>) {
        self.sessions.expire(now, &mut self.waiting, woken);
        while let Some(Event { socket, events }) = self.stack.poll_event() {
            let waiting = &mut self.waiting;
            match socket {
                SocketId::Connection(id) => {
                    wake_if(events, READ, waiting, Place::Read(id), woken);
                    wake_if(events, WRITE, waiting, Place::Write(id), woken);
                }
                SocketId::Listener(id) => {
                    wake_if(
                        events,
                        [Events::READABLE],
                        waiting,
                        Place::Accept(id),
                        woken,
                    );
                    wake_if(events, [Events::FLOOD], waiting, Place::Flood, woken);
                }
                SocketId::Udp(id) if self.sessions.is_at(id) => {
                    while let Some(datagram) = self.stack.udp_recv_from(id) {
                        self.sessions.sort(now, datagram, waiting, woken);
                    }
                }
                SocketId::Udp(id) => waiting.take(Place::Receive(id), woken),
            }
        }
        if self.stack.has_forward_requests() {
            self.waiting.take(Place::Request, woken);
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let deadlines = [self.stack.poll_timeout(), self.sessions.next_deadline()];
        deadlines.into_iter().flatten().min()
    }

    fn has_connections(&self) -> bool {
        self.stack
            .sockets()
            .any(|socket| matches!(socket, SocketSummary::Connection { .. }))
    }
}

/// What a reader waits for.
const READ: [Events; 3] = [Events::READABLE, Events::PEER_CLOSED, Events::CLOSED];
/// What a writer waits for: room, the handshake, the end of its own direction.
const WRITE: [Events; 4] = [
    Events::WRITABLE,
    Events::CONNECTED,
    Events::CLOSED,
    Events::FIN_SENT,
];

fn wake_if(
    events: Events,
    any: impl IntoIterator<Item = Events>,
    waiting: &mut Waiting,
    place: Place,
    woken: &mut Vec<Waker>,
) {
    if any.into_iter().any(|event| events.intersects(event)) {
        waiting.take(place, woken);
    }
}
