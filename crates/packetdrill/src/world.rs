//! One stack behind a lock, in real time: its clock, its timers, the calls that wait, and what it has sent.
//!
//! packetdrill calls from two threads: one plays the wire and the calls that return at once, the other sleeps in calls that wait. A
//! thread of our own lets time pass. Whoever has changed something wakes all others, and each looks whether it can go on.

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::os::fd::RawFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant as WallClock, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use handwave_packet::PacketBuf;
use handwave_script::posix::{Answer, Call, Errno, Fd, Op, Posix};
use handwave_stack::Prefix;
use handwave_tcp::Instant;

use crate::descriptors::Descriptors;
use crate::flags::Flags;

/// Packets that wait for `netdev_receive`; beyond that the oldest are lost, as on a wire that nobody reads.
const SENT_MAX: usize = 65_536;

/// A stack under test.
#[derive(Debug)]
pub(crate) struct World {
    inner: Mutex<Inner>,
    changed: Condvar,
    start: WallClock,
    /// The time of day at `start`.
    start_of_day: Duration,
    receive_timeout: Duration,
}

/// What the lock protects.
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) posix: Posix,
    pub(crate) descriptors: Descriptors,
    addresses: BTreeSet<IpAddr>,
    /// Packets on the wire, with the moment at which each was sent.
    sent: VecDeque<(Instant, Vec<u8>)>,
    over: bool,
}

impl World {
    /// Starts a stack, and the thread that lets its time pass.
    pub(crate) fn start(flags: Flags) -> Result<Arc<Self>, String> {
        let Flags {
            environment,
            receive_timeout,
            sysctls,
        } = flags;
        let mut posix =
            Posix::new(Instant::ZERO, environment).map_err(|error| error.to_string())?;
        for (name, value) in &sysctls {
            let set = posix.settings_mut().sysctl(name, value);
            set.map_err(|error| error.to_string())?;
        }
        let world = Arc::new(Self {
            inner: Mutex::new(Inner {
                posix,
                descriptors: Descriptors::default(),
                addresses: BTreeSet::new(),
                sent: VecDeque::new(),
                over: false,
            }),
            changed: Condvar::new(),
            start: WallClock::now(),
            start_of_day: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_err(|_| "the clock stands before 1970")?,
            receive_timeout,
        });
        let weak = Arc::downgrade(&world);
        thread::Builder::new()
            .name("handwave-timers".to_owned())
            .spawn(move || let_time_pass(&weak))
            .map_err(|error| error.to_string())?;
        Ok(world)
    }

    /// Ends the thread and every call that waits.
    pub(crate) fn stop(&self) {
        self.lock().over = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Instant {
        let since = self.start.elapsed().as_nanos();
        Instant::from_nanos(u64::try_from(since).unwrap_or(u64::MAX))
    }

    /// The time of day at `moment`.
    fn time_of_day(&self, moment: Instant) -> Duration {
        self.start_of_day + Duration::from_nanos(moment.as_nanos())
    }

    /// Makes the settings of a shell line; one that is not known changes nothing.
    pub(crate) fn carry_out(&self, line: &str) {
        self.call(|inner, _| {
            // Whoever asks has tried it out.
            let _ = handwave_script::runner::carry_out_shell(&mut inner.posix, line);
        });
    }

    /// The time of day, on a clock that nobody sets.
    pub(crate) fn gettimeofday(&self) -> Duration {
        self.time_of_day(self.now())
    }

    /// Makes a call that does not wait.
    pub(crate) fn call<R>(&self, call: impl FnOnce(&mut Inner, Instant) -> R) -> R {
        let result = {
            let mut inner = self.lock();
            let now = self.now();
            let result = call(&mut inner, now);
            inner.settle(now);
            result
        };
        self.changed.notify_all();
        result
    }

    /// Makes a call that may wait, and waits.
    pub(crate) fn wait(&self, op: Op) -> Result<Answer, Errno> {
        let mut call = Call::new(op);
        let mut inner = self.lock();
        loop {
            let now = self.now();
            inner.settle(now);
            let attempt = call.attempt(&mut inner.posix, now);
            inner.settle(now);
            self.changed.notify_all();
            match attempt {
                Poll::Ready(result) => return result,
                Poll::Pending if inner.over => return Err(Errno::EINTR),
                Poll::Pending => inner = self.sleep(inner, call.deadline()),
            }
        }
    }

    /// Waits, without the lock, until something has changed or `deadline` has come.
    fn sleep<'a>(
        &self,
        inner: MutexGuard<'a, Inner>,
        deadline: Option<Instant>,
    ) -> MutexGuard<'a, Inner> {
        let Some(deadline) = deadline else {
            return self
                .changed
                .wait(inner)
                .unwrap_or_else(PoisonError::into_inner);
        };
        let left = deadline - self.now();
        self.changed
            .wait_timeout(inner, left)
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }

    /// Puts a packet on the wire towards the stack.
    pub(crate) fn netdev_send(&self, packet: &[u8]) {
        self.call(|inner, now| {
            inner.own_destination(packet);
            let packet = PacketBuf::from_bytes(Bytes::copy_from_slice(packet));
            inner.posix.handle_packet(now, packet);
        });
    }

    /// Takes the next packet that the stack has sent, with the time of day at which it left; `None` when none comes in time.
    pub(crate) fn netdev_receive(&self) -> Option<(Duration, Vec<u8>)> {
        let mut inner = self.lock();
        let deadline = self.now() + self.receive_timeout;
        loop {
            if let Some((moment, packet)) = inner.sent.pop_front() {
                return Some((self.time_of_day(moment), packet));
            }
            if inner.over || self.now() >= deadline {
                return None;
            }
            inner = self.sleep(inner, Some(deadline));
        }
    }

    /// The socket that a real descriptor stands for.
    pub(crate) fn socket(&self, real: RawFd) -> Option<Fd> {
        self.lock().descriptors.socket(real)
    }

    /// Hands out a real descriptor for a socket.
    pub(crate) fn open(&self, socket: Fd) -> Result<RawFd, Errno> {
        let (real, stale) = self.call(|inner, _| inner.descriptors.open(socket))?;
        if let Some(stale) = stale {
            // What its program closed long ago has nobody left who could want to know how that went.
            let _closed = self.wait(Op::Close { fd: stale });
        }
        Ok(real)
    }

    /// Closes a socket and the descriptor that stands for it.
    pub(crate) fn close(&self, real: RawFd, socket: Fd) -> Result<Answer, Errno> {
        let closed = self.wait(Op::Close { fd: socket });
        self.call(|inner, _| inner.descriptors.close(real));
        closed
    }
}

/// Lets the stack's time pass for as long as somebody has the world.
fn let_time_pass(world: &Weak<World>) {
    while let Some(world) = world.upgrade() {
        let mut inner = world.lock();
        if inner.over {
            return;
        }
        let before = inner.sent.len();
        let due = inner.settle(world.now());
        if due || inner.sent.len() != before {
            world.changed.notify_all();
        }
        // Woken now and then without reason, the thread notices that everybody else has gone.
        let patience = world.now() + Duration::from_secs(1);
        let deadline = inner.posix.poll_timeout();
        drop(world.sleep(
            inner,
            Some(deadline.map_or(patience, |at| at.min(patience))),
        ));
    }
}

impl Inner {
    /// Does what is due and puts on the wire what leaves; whether anything was due.
    fn settle(&mut self, now: Instant) -> bool {
        let due = self.posix.poll_timeout().is_some_and(|at| at <= now);
        if due {
            self.posix.handle_timeout(now);
        }
        while let Some(packet) = self.posix.poll_transmit(now) {
            if self.sent.len() == SENT_MAX {
                self.sent.pop_front();
            }
            self.sent.push_back((now, packet.to_vec()));
        }
        due
    }

    /// Gives the stack the address that an IP packet is sent to: packetdrill has chosen it and tells nobody.
    fn own_destination(&mut self, packet: &[u8]) {
        let Some(destination) = destination(packet) else {
            return;
        };
        if destination.is_multicast() || !self.addresses.insert(destination) {
            return;
        }
        let len = if destination.is_ipv4() { 32 } else { 128 };
        let interface = self.posix.interface();
        // An address the stack has already, or cannot have, stays as it is.
        let _known = self
            .posix
            .stack_mut()
            .add_address(interface, Prefix::new(destination, len));
    }
}

fn destination(packet: &[u8]) -> Option<IpAddr> {
    match packet.first()? >> 4 {
        4 => <[u8; 4]>::try_from(packet.get(16..20)?)
            .ok()
            .map(IpAddr::from),
        6 => <[u8; 16]>::try_from(packet.get(24..40)?)
            .ok()
            .map(IpAddr::from),
        _ => None,
    }
}
