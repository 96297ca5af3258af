//! A walk over every socket, slice by slice, and what it adds up to.

use handwave_stack::{SnapshotCursor, SocketSnapshot};
use handwave_tcp::{Instant, ListenerRates, TopSource};

use super::protocol::{Summary, TOP_SOURCES_MAX};
use super::{counters, look};
use crate::shared::Shared;
use crate::stack::Stack;

/// Places of the tables that are looked at while the stack is locked.
const SLICE: usize = 128;

/// A socket, and what only the time tells of it.
pub(super) struct Seen {
    pub(super) snapshot: SocketSnapshot,
    /// Of a listener.
    pub(super) rates: ListenerRates,
    /// Of a listener, where details are asked for.
    pub(super) top_sources: Vec<TopSource>,
}

/// The slices of a snapshot, each taken under the lock and looked at without it.
pub(super) struct Slices<'a> {
    stack: &'a Shared,
    cursor: SnapshotCursor,
    details: bool,
    more: bool,
}

impl<'a> Slices<'a> {
    pub(super) fn new(stack: &'a Shared, details: bool) -> Self {
        Self {
            stack,
            cursor: SnapshotCursor::default(),
            details,
            more: true,
        }
    }

    pub(super) fn next(&mut self) -> Option<(Vec<Seen>, Instant)> {
        if !self.more {
            return None;
        }
        let mut slice = Vec::with_capacity(SLICE);
        let now = self.stack.runtime.now();
        self.more = self.stack.look(|inner| {
            let more = inner.stack.snapshot(&mut self.cursor, SLICE, |snapshot| {
                slice.push(Seen {
                    snapshot,
                    rates: ListenerRates::default(),
                    top_sources: Vec::new(),
                });
            });
            for seen in &mut slice {
                seen.watch(&inner.stack, now, self.details);
            }
            more
        });
        Some((slice, now))
    }
}

impl Seen {
    /// Adds what only the listener itself tells.
    fn watch(&mut self, stack: &handwave_stack::Stack, now: Instant, details: bool) {
        let SocketSnapshot::Listener(listener) = &self.snapshot else {
            return;
        };
        let Some(listener) = stack.listener(listener.id) else {
            return;
        };
        self.rates = listener.rates(now);
        if details {
            self.top_sources = listener.top_sources(now, TOP_SOURCES_MAX);
        }
    }
}

/// What a client gets for a summary, for the program itself: nothing of it goes through a socket, and
/// [`uptime_ms`](Summary::uptime_ms) is 0.
///
/// It looks at every socket, a few at a time, and lets packets pass in between.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use handwave::{Stack, TcpListener, control, device};
///
/// let (device, _peer) = device::pair(1_500, 256);
/// let stack = Stack::builder().device(device).address([10, 0, 0, 2], 24).spawn()?;
/// let _listener = TcpListener::bind(&stack, ([10, 0, 0, 2], 80).into())?;
/// let summary = control::summary(&stack);
/// assert_eq!(summary.listeners[0].local.port, 80);
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn summary(stack: &Stack) -> Summary {
    of(stack.handle())
}

/// The whole at a glance.
pub(super) fn of(stack: &Shared) -> Summary {
    let mut summary = Summary::default();
    stack.look(|inner| {
        let (config, held) = (inner.stack.config(), inner.stack.held_memory());
        summary.memory_held = held as u64;
        summary.memory_soft = config.memory_soft as u64;
        summary.memory_hard = config.memory_hard as u64;
        summary.counters = counters::all(&inner.stack);
    });
    let mut slices = Slices::new(stack, true);
    while let Some((slice, now)) = slices.next() {
        for seen in slice {
            count(&mut summary, seen, now);
        }
    }
    summary
}

fn count(summary: &mut Summary, seen: Seen, now: Instant) {
    let is_ipv6 = match &seen.snapshot {
        SocketSnapshot::Udp(udp) => {
            summary.udp += 1;
            summary.udp_ipv6 += u64::from(udp.addr.is_none_or(|addr| addr.is_ipv6()));
            return;
        }
        SocketSnapshot::Listener(listener) => listener.at.addr.is_none_or(|addr| addr.is_ipv6()),
        SocketSnapshot::HalfOpen(half_open) => half_open.record.tuple.is_ipv6(),
        SocketSnapshot::Connection(connection) => connection.tuple.is_ipv6(),
        SocketSnapshot::TimeWait(record) => record.tuple.is_ipv6(),
    };
    summary.ipv6 += u64::from(is_ipv6);
    let orphan = matches!(&seen.snapshot, SocketSnapshot::Connection(it) if it.orphan);
    summary.orphans += u64::from(orphan);
    *summary
        .states
        .entry(look::state(&seen.snapshot))
        .or_default() += 1;
    if matches!(seen.snapshot, SocketSnapshot::Listener(_)) {
        summary.listeners.push(look::socket(seen, now, true));
    }
}
