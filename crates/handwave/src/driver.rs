//! [`Driver`]: moves packets between the device and the stack, lets time pass, and wakes who waits.
//!
//! A turn of the driver is: under the lock, hand all packets that arrived to the stack, let time pass, take a batch of output and
//! the sockets' news; without the lock, send the output and wake whoever the news is for; then take what has arrived meanwhile. No
//! system call is made under the lock, acknowledgments of a batch merge, and tasks are woken once for a batch. A batch of input or output is as
//! long as the nearest caches bear: what programs have just written is still there when the device copies it, and what the device has
//! copied when they read it. Nor is one of output longer than the other end takes at once: acknowledgments that come
//! back meanwhile make room before more is sent.
//!
//! What arrived is news for tasks that are likely to answer. They run before anything is sent: the driver goes to the end of the
//! runtime's queue once, twice where connections are to be accepted, which as a rule spawns those who answer. An answer leaves with
//! the acknowledgment, the window that reading has opened, and one look at the device, as if the task had been called by the driver.
//!
//! Between turns it rests until the device is ready, the stack's deadline passes, or a call of the application wakes it. While
//! experience says that packets will come before that could have paid (`polling.rs`), it asks the device again instead, each time at the end of
//! the runtime's queue.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use handwave_device::{Device, Readiness};
use handwave_packet::PacketBuf;
use handwave_stack::{Event, SocketId, SocketSummary, Stray};
use handwave_tcp::{Events, Instant};

use crate::runtime::Timer;
#[cfg(unix)]
use crate::runtime::Watch;
use crate::shared::{Inner, Shared};
use crate::waiting::{Place, Waiting};

mod burst;
mod patience;
mod polling;

use burst::{Burst, Load};
use patience::Patience;
pub(crate) use polling::BusyPoll;
use polling::Polling;

/// Packets taken from the device, and from the stack, in one turn.
const BATCH_MAX: usize = 64;
/// Octets after which nothing more is taken from the stack in one turn, if the device takes super-segments as they are: what has just been written
/// is still in the nearest caches, and whoever reads it is woken once for all of it.
const OUTPUT_MAX: usize = 256 << 10;
/// The same if nothing is known of the device.
const OUTPUT_MIN: usize = 48 << 10;
/// Packets on the wire after which nothing more is taken. What comes at once beyond the queues of who receives it is lost.
const OUTPUT_PACKETS: usize = 32;
/// Octets that are to be taken from the device before they are dealt with, about: so that tasks find them in the nearest caches. An eighth of it has
/// more acknowledgments to send, all there is has to come from memory.
const INPUT_MAX: usize = 512 << 10;
/// How often a device is asked again before other tasks of the runtime have their turns: a microsecond or two.
const ASKS_IN_A_ROW: u32 = 4;
/// The same where other threads run them meanwhile.
const ASKS_KEEPING_THE_THREAD: u32 = 64;
/// Small packets in a row without a rest after which the kernel is not to say any more that some have come: for each that it queues it would call whoever
/// watches, as long as somebody does. To watch again costs some microseconds.
const UNWATCHED_AFTER: usize = 256;
/// Octets of packets that count as such: acknowledgments, and messages. Whoever sends longer ones in bulk fills the queue anyhow, and the sooner the more
/// of them are lost.
const SMALL: usize = 512;
/// How often a device that has failed is asked for what it has left.
const LEFT_MAX: usize = 64;
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
    /// Packets since the last rest.
    since_rest: usize,
    burst: Burst,
    load: Load,
    polling: Polling,
    /// How often the device is asked before other tasks of the runtime have their turns.
    asks_in_a_row: u32,
    paused: Pause,
    /// Of the stack, as of the last turn.
    deadline: Option<Instant>,
    /// The stack's deadline has passed.
    due: bool,
    /// Received, about to be handed to the stack.
    received: Vec<PacketBuf>,
    /// Received here, but another shard's.
    strays: Vec<(u16, Stray)>,
    /// What other shards had for this one.
    mail: Vec<Stray>,
    /// Nobody needs this shard itself any more.
    is_done: bool,
    /// Taken from the stack, about to be sent.
    outbound: VecDeque<PacketBuf>,
    patience: Patience,
    woken: Vec<Waker>,
}

/// What the driver did before it ran again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    /// Nothing to speak of.
    None,
    /// Tasks have their turn for what arrived, some of them for connections: whom these spawn has the next one.
    ForThoseSpawned,
    /// Tasks had their turn for what arrived.
    ForAnswers,
    /// It rested.
    Rest,
}

/// How a turn ended.
enum Turn {
    /// There is more to do at once.
    More,
    /// Tasks were woken that may have something to send.
    Yield,
    /// There is nothing to do before this moment or other news.
    Rest(Option<Instant>),
    /// Nobody needs the driver any more.
    Over,
}

impl Driver {
    pub(crate) fn new(
        shared: Arc<Shared>,
        mut device: Box<dyn Device + Send>,
        busy_poll: BusyPoll,
    ) -> Self {
        device.join_segments();
        // Who wakes the driver without the kernel's help is no faster by being asked.
        let rule = match (busy_poll, device.readiness()) {
            (BusyPoll::Adaptive, Readiness::Wakers(_)) => BusyPoll::Fixed(Duration::ZERO),
            (rule, _) => rule,
        };
        let asks_in_a_row = match shared.runtime.has_other_threads() {
            true => ASKS_KEEPING_THE_THREAD,
            false => ASKS_IN_A_ROW,
        };
        Self {
            shared,
            device,
            timer: None,
            #[cfg(unix)]
            watch: None,
            since_rest: 0,
            burst: Burst::default(),
            load: Load::default(),
            polling: Polling::new(rule),
            asks_in_a_row,
            paused: Pause::None,
            deadline: None,
            due: false,
            received: Vec::with_capacity(BATCH_MAX),
            strays: Vec::new(),
            mail: Vec::new(),
            is_done: false,
            outbound: VecDeque::with_capacity(BATCH_MAX),
            patience: Patience::default(),
            woken: Vec::new(),
        }
    }

    /// One turn; `waker` is whom calls of the application wake from now on.
    fn turn(&mut self, waker: &Waker) -> io::Result<Turn> {
        if let Some(ending) = self.shared.group.ending() {
            return ending.map(|()| Turn::Over);
        }
        if self.paused == Pause::ForThoseSpawned {
            self.paused = Pause::ForAnswers;
            return Ok(Turn::Yield);
        }
        self.shared.group.collect(self.shared.shard, &mut self.mail);
        let (now, more, deadline, done) = {
            let mut inner = self.shared.lock();
            let now = self.shared.runtime.now();
            let news = inner.input(now, (&mut self.received, &mut self.mail), &mut self.woken);
            // Not twice in a row: tasks that are always called must not keep the stack from sending.
            let paused = std::mem::replace(&mut self.paused, Pause::None);
            if news != Pause::None && paused != Pause::ForAnswers {
                self.paused = news;
                // The driver runs again whether somebody calls or not.
                let _waker = inner.driver.take();
                drop(inner);
                self.shared.runtime.wake_all(&mut self.woken);
                return Ok(Turn::Yield);
            }
            self.strays
                .extend(std::iter::from_fn(|| inner.stack.poll_stray()));
            if std::mem::take(&mut self.due) {
                inner.stack.handle_timeout(now);
            }
            // What the device did not take the last time goes first; meanwhile the stack keeps what it has, and is asked for it next.
            let mut more = !self.outbound.is_empty();
            if !more {
                more = inner.output(now, self.load.octets_max(), &mut self.outbound);
                if !more {
                    inner.waiting.take(Place::Send, &mut self.woken);
                }
            }
            inner.collect_news(now, &mut self.woken);
            inner.let_writers_go_on(&mut self.woken);
            inner.let_calls_wake(waker);
            let deadline = inner.next_deadline();
            self.due = deadline.is_some_and(|due| due <= now);
            let abandoned = self.shared.group.is_abandoned();
            let done = abandoned && !more && !inner.has_connections();
            (now, more, deadline, done)
        };
        if !self.strays.is_empty() {
            self.shared.group.post(&mut self.strays);
        }
        if !self.outbound.is_empty() {
            self.send(now)?;
        }
        self.shared.runtime.wake_all(&mut self.woken);
        let sent = self.outbound.is_empty();
        if done && sent {
            let is_news = !std::mem::replace(&mut self.is_done, true);
            if self.shared.group.count_done(is_news) {
                return Ok(Turn::Over);
            }
        }
        if more && sent {
            // Acknowledgments of what was sent, for instance.
            self.burst.announce();
        }
        self.take_what_came()?;
        Ok(
            match (more && sent) || self.due || !self.received.is_empty() {
                true => Turn::More,
                false => Turn::Rest(deadline),
            },
        )
    }

    /// Takes what has arrived, as much as is to be expected at once.
    fn receive(&mut self) -> io::Result<()> {
        let before = self.received.len();
        let count = self
            .device
            .receive(self.burst.expected(), &mut self.received)?;
        let octets = self.received[before..].iter().map(PacketBuf::len).sum();
        self.burst.took(count, octets);
        self.watch_while_it_pays(count, octets);
        if count > 0 && self.polling.is_waiting() {
            self.polling.came(self.shared.runtime.now());
        }
        Ok(())
    }

    /// Ends the watch on a device that has something all the time.
    fn watch_while_it_pays(&mut self, came: usize, octets: usize) {
        if octets > came * SMALL {
            return;
        }
        self.since_rest = self.since_rest.saturating_add(came);
        #[cfg(unix)]
        if self.since_rest >= UNWATCHED_AFTER {
            self.watch = None;
        }
    }

    /// Sends what the device takes, and learns what that is on the wire. What it does not take for long is lost.
    fn send(&mut self, now: Instant) -> io::Result<()> {
        let before = self.outbound.len();
        let octets = self.outbound.iter().map(PacketBuf::len).sum();
        let packets = self.device.send(&mut self.outbound)?;
        let left = self.outbound.len();
        if left == 0 {
            self.load.sent(octets, packets);
        }
        let took = packets > 0 || left < before;
        if self.patience.is_over(took, left > 0, now) {
            self.shared.lock().stack.note_lost(left);
            self.outbound.clear();
        }
        Ok(())
    }

    /// Whether to ask the device again instead of resting.
    fn asks_again(&mut self) -> bool {
        !self.polling.is_off() && self.polling.asks_again(self.shared.runtime.now())
    }

    /// Asks the device again, where that is all there is to do; ready when there is more.
    fn ask(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.polling.is_asking() {
            return Poll::Ready(Ok(()));
        }
        for _ in 0..self.asks_in_a_row {
            self.burst.announce();
            self.receive()?;
            let now = self.shared.runtime.now();
            let is_due = self.deadline.is_some_and(|due| due <= now);
            if !self.received.is_empty() || is_due || self.is_called(cx) {
                return Poll::Ready(Ok(()));
            }
            if !self.polling.asks_again(now) {
                ready!(self.rest(self.deadline, cx))?;
                return Poll::Ready(self.take_what_came());
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Whether a call of the application, or another shard, has something for this driver.
    fn is_called(&self, cx: &mut Context<'_>) -> bool {
        let Shared { group, shard, .. } = &*self.shared;
        self.shared.lock().driver.is_none() || group.poll_mail(*shard, cx).is_ready()
    }

    /// Takes what the device has, if that may be why the driver runs again after a rest.
    fn look_at_device(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.paused != Pause::Rest {
            return Ok(());
        }
        match self.device.readiness() {
            Readiness::Wakers(_) => self.burst.announce(),
            #[cfg(unix)]
            Readiness::Descriptor(_) => {
                if let Some(watch) = &mut self.watch
                    && let Poll::Ready(ready) = watch.poll_readable(cx)
                {
                    ready?;
                    self.burst.announce();
                }
            }
        }
        self.take_what_came()
    }

    fn take_what_came(&mut self) -> io::Result<()> {
        match self.burst.may_have_come() {
            true => self.receive(),
            false => Ok(()),
        }
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
        self.paused = Pause::Rest;
        self.since_rest = 0;
        match self.device.readiness() {
            Readiness::Wakers(wakers) => {
                // It wakes at once if it is ready: then this task runs again and tries.
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
                if watch.poll_readable(cx)?.is_ready() {
                    self.burst.announce();
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

    /// Turns until there is nothing to do.
    fn run(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.look_at_device(cx)?;
        ready!(self.ask(cx))?;
        for _ in 0..TURNS_MAX {
            match self.turn(cx.waker())? {
                Turn::More => {}
                Turn::Yield => break,
                Turn::Rest(deadline) => {
                    let deadlines = [deadline, self.patience.ends()];
                    let deadline = deadlines.into_iter().flatten().min();
                    self.deadline = deadline;
                    if self.asks_again() {
                        break;
                    }
                    ready!(self.rest(deadline, cx))?;
                    self.take_what_came()?;
                }
                Turn::Over => return Poll::Ready(Ok(())),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Resets what is left and tells everybody that nothing moves any more. What the device had before it failed has arrived.
    fn end(&mut self, error: Option<&io::Error>) {
        if error.is_some() {
            self.shared.group.collect(self.shared.shard, &mut self.mail);
            // Whether that was receiving or sending: of a wire whose other end is gone there may be something left.
            for _ in 0..LEFT_MAX {
                if !matches!(self.device.receive(BATCH_MAX, &mut self.received), Ok(1..)) {
                    break;
                }
            }
        }
        {
            let mut inner = self.shared.lock();
            if inner.ended {
                return;
            }
            inner.ended = true;
            let now = self.shared.runtime.now();
            // Not where it is dropped: that may be since a packet has made it panic.
            if error.is_some() {
                inner.input(now, (&mut self.received, &mut self.mail), &mut self.woken);
                self.strays
                    .extend(std::iter::from_fn(|| inner.stack.poll_stray()));
            }
            inner.stack.abort_all(now);
            self.outbound.extend(std::iter::from_fn(|| {
                Some(inner.stack.poll_transmit(now)?.1)
            }));
            inner.waiting.take_all(&mut self.woken);
        }
        // As much as the device takes at once: there is nobody left to wait for it.
        let _sent = self.device.send(&mut self.outbound);
        self.shared.runtime.wake_all(&mut self.woken);
        // The other drivers, which end now, find it in their mailboxes.
        self.shared.group.post(&mut self.strays);
        self.shared.group.end(error);
    }
}

impl Future for Driver {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = self.run(cx);
        if let Poll::Ready(result) = &result {
            self.end(result.as_ref().err());
        }
        result
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
    /// Hands what arrived to the stack; returns whose turn it is for that.
    fn input(
        &mut self,
        now: Instant,
        (received, mail): (&mut Vec<PacketBuf>, &mut Vec<Stray>),
        woken: &mut Vec<Waker>,
    ) -> Pause {
        if received.is_empty() && mail.is_empty() {
            return Pause::None;
        }
        self.stack
            .handle_batch_in_place(now, self.interface, received);
        received.clear();
        if !mail.is_empty() {
            self.stack.handle_strays(now, mail.drain(..));
        }
        let accepts = self.collect_news(now, woken);
        match (woken.is_empty(), accepts) {
            (true, _) => Pause::None,
            (false, false) => Pause::ForAnswers,
            (false, true) => Pause::ForThoseSpawned,
        }
    }

    /// Takes a batch of packets to send, of about `octets_max` octets at most; returns whether there may be more.
    fn output(
        &mut self,
        now: Instant,
        octets_max: usize,
        outbound: &mut VecDeque<PacketBuf>,
    ) -> bool {
        let mut octets = 0;
        while octets < octets_max && outbound.len() < BATCH_MAX {
            // Built where it is to lie: moving a packet costs as much as a good part of making it.
            let packet = outbound.push_back_mut(PacketBuf::default());
            if self.stack.poll_transmit_into(now, packet).is_none() {
                outbound.pop_back();
                return false;
            }
            octets += packet.len();
        }
        true
    }

    /// Finds who waits for what has happened; returns whether somebody is called to accept.
    fn collect_news(&mut self, now: Instant, woken: &mut Vec<Waker>) -> bool {
        let mut accepts = false;
        self.sessions.expire(now, &mut self.waiting, woken);
        while let Some(Event { socket, events }) = self.stack.poll_event() {
            let waiting = &mut self.waiting;
            match socket {
                SocketId::Connection(id) => {
                    wake_if(events, READ, waiting, Place::Read(id), woken);
                    wake_if(events, WRITE, waiting, Place::Write(id), woken);
                }
                SocketId::Listener(id) => {
                    if events.intersects(Events::READABLE) {
                        accepts = true;
                        self.call_those_in_line(Place::Accept(id), woken);
                    }
                    wake_if(
                        events,
                        [Events::FLOOD],
                        &mut self.waiting,
                        Place::Flood,
                        woken,
                    );
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
            accepts = true;
            self.call_those_in_line(Place::Request, woken);
        }
        accepts
    }

    fn let_calls_wake(&mut self, waker: &Waker) {
        let known = self.driver.as_ref();
        if !known.is_some_and(|known| known.will_wake(waker)) {
            self.driver = Some(waker.clone());
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
