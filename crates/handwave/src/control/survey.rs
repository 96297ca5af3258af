//! A walk over every socket, slice by slice, and what it adds up to.

use handwave_stack::{ListenerSnapshot, SnapshotCursor, SocketSnapshot};
use handwave_tcp::{FloodState, Instant, ListenerRates, TopSource};

use super::protocol::{Summary, TOP_SOURCES_MAX};
use super::{counters, look};
use crate::shared::Shared;
use crate::stack::Stack;

/// Places of the tables that are looked at while the stack is locked.
const SLICE: usize = 128;

/// A socket, and what only the time tells of it.
pub(super) struct Seen {
    pub(super) snapshot: SocketSnapshot,
    /// The shard it is in; 0 for what is in all.
    pub(super) shard: usize,
    /// Of a listener.
    pub(super) rates: ListenerRates,
    /// Of a listener, where details are asked for.
    pub(super) top_sources: Vec<TopSource>,
}

/// The slices of a snapshot, each taken under the lock and looked at without it, shard after shard.
///
/// What stands in all shards (listeners, UDP sockets) is shown with the first, and with the numbers of all.
pub(super) struct Slices<'a> {
    shards: &'a [&'a Shared],
    shard: usize,
    cursor: SnapshotCursor,
    details: bool,
}

impl<'a> Slices<'a> {
    pub(super) fn new(shards: &'a [&'a Shared], details: bool) -> Self {
        Self {
            shards,
            shard: 0,
            cursor: SnapshotCursor::default(),
            details,
        }
    }

    pub(super) fn next(&mut self) -> Option<(Vec<Seen>, Instant)> {
        let shard = self.shard;
        let stack = self.shards.get(shard)?;
        let mut slice = Vec::with_capacity(SLICE);
        let now = stack.runtime.now();
        let more = stack.look(|inner| {
            let more = inner.stack.snapshot(&mut self.cursor, SLICE, |snapshot| {
                let is_everywhere = matches!(
                    snapshot,
                    SocketSnapshot::Listener(_) | SocketSnapshot::Udp(_)
                );
                if shard > 0 && is_everywhere {
                    return;
                }
                slice.push(Seen {
                    snapshot,
                    shard,
                    rates: ListenerRates::default(),
                    top_sources: Vec::new(),
                });
            });
            for seen in &mut slice {
                seen.watch(&inner.stack, now, self.details);
            }
            more
        });
        if shard == 0 {
            for other in &self.shards[1..] {
                other.look(|inner| {
                    for seen in &mut slice {
                        seen.join(&inner.stack, now, self.details);
                    }
                });
            }
        }
        if !more {
            self.shard += 1;
            self.cursor = SnapshotCursor::default();
        }
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

    /// Adds what stands for the same socket in another shard.
    fn join(&mut self, stack: &handwave_stack::Stack, now: Instant, details: bool) {
        match &mut self.snapshot {
            SocketSnapshot::Listener(listener) => {
                let Some(id) = stack.listener_at(listener.at) else {
                    return;
                };
                let Some(other) = stack.listener(id) else {
                    return;
                };
                join_listener(listener, other);
                add_rates(&mut self.rates, &other.rates(now));
                if details {
                    let theirs = other.top_sources(now, TOP_SOURCES_MAX);
                    join_sources(&mut self.top_sources, theirs);
                }
            }
            SocketSnapshot::Udp(udp) => {
                if let Some(other) = stack.udp_at(udp.addr, udp.port) {
                    udp.queued += other.queued;
                    udp.held += other.held;
                    udp.counters.add(&other.counters);
                }
            }
            _ => {}
        }
    }
}

fn join_listener(listener: &mut ListenerSnapshot, other: &handwave_tcp::Listener) {
    listener.half_open += other.half_open();
    listener.waiting += other.waiting();
    listener.counters.add(other.counters());
    listener.flood = match (listener.flood, other.flood()) {
        (FloodState::Flooded { since }, FloodState::Flooded { since: theirs }) => {
            FloodState::Flooded {
                since: since.min(theirs),
            }
        }
        (FloodState::Calm, theirs) => theirs,
        (ours, FloodState::Calm) => ours,
    };
}

const fn add_rates(rates: &mut ListenerRates, other: &ListenerRates) {
    rates.syns += other.syns;
    rates.established += other.established;
    rates.cookies_sent += other.cookies_sent;
    rates.cookies_received += other.cookies_received;
    rates.cookies_failed += other.cookies_failed;
    rates.drops += other.drops;
}

/// Adds up the rates of sources that several shards see.
fn join_sources(sources: &mut Vec<TopSource>, others: Vec<TopSource>) {
    for other in others {
        let mut known = sources.iter_mut();
        match known.find(|source| source.prefix == other.prefix) {
            Some(source) => source.syns_per_second += other.syns_per_second,
            None => sources.push(other),
        }
    }
    sources.sort_by(|a, b| {
        b.syns_per_second
            .total_cmp(&a.syns_per_second)
            .then(a.prefix.cmp(&b.prefix))
    });
    sources.truncate(TOP_SOURCES_MAX);
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
    let shards: Vec<&Shared> = stack.handles().iter().map(|handle| &**handle).collect();
    of(&shards)
}

/// The whole at a glance.
pub(super) fn of(shards: &[&Shared]) -> Summary {
    let mut summary = Summary {
        counters: counters::all(shards),
        ..Summary::default()
    };
    for shard in shards {
        shard.look(|inner| {
            let (config, held) = (inner.stack.config(), inner.stack.held_memory());
            summary.memory_held += held as u64;
            summary.memory_soft += config.memory_soft as u64;
            summary.memory_hard += config.memory_hard as u64;
        });
    }
    let mut slices = Slices::new(shards, true);
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
