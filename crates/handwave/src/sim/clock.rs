//! [`Universe`]: the time of a run, and what is due when.
//!
//! Tokio's paused clock jumps to the next of tokio's own timers when all tasks rest, in steps of a millisecond. Links and stacks
//! need nanoseconds. So the runtime tells the universe each time before it would rest ([`Universe::on_idle`]), and time goes
//! to what is due next in two steps:
//!
//! 1. An alarm among tokio's timers, at the last whole millisecond that is not later, lets tokio jump there. Whatever else tokio
//!    has until then goes first.
//! 2. When all rest again, nothing of tokio's can be due before the next whole millisecond, and the clock is moved by hand to the
//!    very nanosecond.
//!
//! Tokio jumps by whole milliseconds, hence the clock is brought to a whole one before it may.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use handwave_sim::Rng;
use handwave_tcp::Instant;
use tokio::runtime::Handle;
use tokio::time::{self, Sleep};

use super::Sim;
use super::paths::Paths;

/// What tokio's timers count in.
const TICK: Duration = Duration::from_millis(1);

/// Everything that one run consists of, apart from its tasks.
pub(super) struct Universe {
    pub(super) tokio: Handle,
    pub(super) settings: Sim,
    start: time::Instant,
    limit: Instant,
    state: Mutex<State>,
}

thread_local! {
    /// Of the run that this thread is in.
    static CURRENT: RefCell<Weak<Universe>> = const { RefCell::new(Weak::new()) };
}

/// Until this is dropped, the thread is in a run.
pub(super) struct Entered;

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(Weak::new());
    }
}

/// What changes.
pub(super) struct State {
    pub(super) paths: Paths,
    pub(super) rng: Rng,
    timers: BTreeMap<(Instant, TimerId), Waker>,
    next_timer: u64,
    /// Brings tokio to the millisecond in which something is due.
    alarm: Option<Pin<Box<Sleep>>>,
    /// Of the task that keeps the runtime from resting while there is something to do.
    awake: Option<Waker>,
    /// Of the program.
    program: Option<Waker>,
    /// The time limit has been reached.
    expired: bool,
    /// When the run ended.
    stopped: Option<Instant>,
}

/// Names a timer of one run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct TimerId(u64);

impl Universe {
    pub(super) fn new(tokio: Handle, settings: &Sim) -> Arc<Self> {
        let start = {
            let _context = tokio.enter();
            time::Instant::now()
        };
        let mut rng = Rng::from_seed(settings.seed);
        let paths = Paths::new(settings.link, rng.next_u64());
        Arc::new(Self {
            tokio,
            settings: settings.clone(),
            start,
            limit: Instant::ZERO + settings.time_limit,
            state: Mutex::new(State {
                paths,
                rng,
                timers: BTreeMap::new(),
                next_timer: 0,
                alarm: None,
                awake: None,
                program: None,
                expired: false,
                stopped: None,
            }),
        })
    }

    /// Makes this the run that the thread is in.
    pub(super) fn enter(self: &Arc<Self>) -> Entered {
        CURRENT.set(Arc::downgrade(self));
        Entered
    }

    /// The run that this thread is in, if it is in one.
    pub(super) fn current() -> Option<Arc<Self>> {
        CURRENT.with_borrow(Weak::upgrade)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The virtual time.
    pub(super) fn now(&self) -> Instant {
        let stopped = self.lock().stopped;
        stopped.unwrap_or_else(|| self.running_now())
    }

    /// The same, for those who hold the lock while the run goes on.
    fn running_now(&self) -> Instant {
        let since = time::Instant::now().saturating_duration_since(self.start);
        Instant::from_nanos(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Runs the program, unless time is up before it ends.
    pub(super) async fn within_limit<T>(
        &self,
        program: impl Future<Output = io::Result<T>>,
    ) -> io::Result<T> {
        let mut program = pin!(program);
        poll_fn(|cx| {
            let expired = {
                let mut state = self.lock();
                state.program = Some(cx.waker().clone());
                state.expired
            };
            match expired {
                true => Poll::Ready(Err(self.out_of_time())),
                false => program.as_mut().poll(cx),
            }
        })
        .await
    }

    fn out_of_time(&self) -> io::Error {
        let limit = self.settings.time_limit;
        let what = format!("the program has not ended in {limit:?} of virtual time");
        io::Error::new(io::ErrorKind::TimedOut, what)
    }

    /// The task whose waking keeps the runtime from resting.
    pub(super) async fn keep_awake(self: Arc<Self>) {
        poll_fn(|cx| {
            self.lock().awake = Some(cx.waker().clone());
            Poll::<()>::Pending
        })
        .await;
        pending().await
    }

    /// Ends the run: the clock stands still, and nothing is due any more.
    pub(super) fn stop(&self) {
        let now = self.now();
        let mut state = self.lock();
        state.stopped = Some(now);
        let left = (
            std::mem::take(&mut state.timers),
            state.alarm.take(),
            state.awake.take(),
            state.program.take(),
        );
        // A waker may be the last to hold something that takes the lock when it goes.
        drop(state);
        drop(left);
    }

    /// All tasks rest: moves the clock to what is due next, or lets tokio do so.
    pub(super) fn on_idle(&self) {
        let mut state = self.lock();
        if state.stopped.is_some() || state.awake.is_none() {
            return;
        }
        let now = self.running_now();
        let next = state.next_deadline().unwrap_or(self.limit);
        let next = next.min(self.limit).max(now);
        let tick = tick_of(now);
        if next < tick + TICK {
            advance(next - now);
            let wakers = state.fire(next, next == self.limit);
            drop(state);
            wakers.into_iter().for_each(Waker::wake);
            return;
        }
        if tick < now {
            advance(tick + TICK - now);
        }
        let alarm = self.start + Duration::from_nanos(tick_of(next).as_nanos());
        state.set_alarm(alarm);
    }
}

impl State {
    /// The number of a timer that can be set.
    pub(super) fn timer(&mut self) -> TimerId {
        self.next_timer += 1;
        TimerId(self.next_timer)
    }

    /// Sets a timer to a deadline to come.
    pub(super) fn set_timer(&mut self, id: TimerId, deadline: Instant, waker: Waker) {
        self.timers.insert((deadline, id), waker);
    }

    /// Takes back what was set, if it is not over.
    pub(super) fn clear_timer(&mut self, id: TimerId, deadline: Instant) -> Option<Waker> {
        self.timers.remove(&(deadline, id))
    }

    /// Puts tasks that became ready together into an order of the seed's.
    pub(super) fn shuffle(&mut self, wakers: &mut [Waker]) {
        for last in (1..wakers.len()).rev() {
            let other = self.rng.index(last + 1);
            wakers.swap(last, other);
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let timer = self.timers.first_key_value().map(|((at, _), _)| *at);
        [timer, self.paths.next_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Lets happen what is due; returns who has to be woken.
    fn fire(&mut self, now: Instant, expired: bool) -> Vec<Waker> {
        let mut wakers = self.paths.deliver(now);
        while let Some(entry) = self.timers.first_entry()
            && entry.key().0 <= now
        {
            wakers.push(entry.remove());
        }
        self.shuffle(&mut wakers);
        if expired {
            self.expired = true;
            wakers.extend(self.program.take());
        }
        wakers.extend(self.awake.clone());
        wakers
    }

    fn set_alarm(&mut self, at: time::Instant) {
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(time::sleep_until(at)));
        if alarm.deadline() != at {
            alarm.as_mut().reset(at);
        }
        // Nobody needs to be woken: what matters is that tokio jumps no further.
        let _passed = alarm.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
}

/// The last whole millisecond that is not later.
fn tick_of(at: Instant) -> Instant {
    let nanos = at.as_nanos();
    Instant::from_nanos(nanos - nanos % 1_000_000)
}

/// Moves tokio's clock by hand.
fn advance(span: Duration) {
    let mut moving = pin!(time::advance(span));
    // The clock moves at the first poll; what follows is a yield, of no use here.
    let _yielded = moving
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
}

impl fmt::Debug for Universe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Universe")
            .field("settings", &self.settings)
            .field("now", &self.now())
            .finish_non_exhaustive()
    }
}
