//! [`FloodWatch`]: waits for the beginning and the end of SYN floods.

use std::io;
use std::task::Poll;
use std::time::Duration;

use handwave_stack::{ListenAt, ListenerId};
use handwave_tcp::{FloodState, Instant, Listener, ListenerCounters, ListenerRates, TopSource};

use crate::shards::Handles;
use crate::shared::Inner;
use crate::stack::Stack;
use crate::waiting::Place;

/// Source prefixes that are told of a flood.
const TOP_SOURCES: usize = 3;

/// Tells a program when a listener is flooded with SYNs, and when that is over; made by [`Stack::watch_floods`].
///
/// It holds the stack as a socket does: drop it where the stack is to end.
#[derive(Debug)]
pub struct FloodWatch {
    handles: Handles,
    /// Floods whose beginning has been told, or was another shard's to tell.
    known: Vec<Known>,
}

/// A flood, and what had been counted when it began.
#[derive(Debug)]
struct Known {
    shard: usize,
    listener: ListenerId,
    at: ListenAt,
    since: Instant,
    cookies_sent: u64,
    drops: u64,
}

/// A flood has begun or ended at a listener.
#[derive(Clone, Debug, PartialEq)]
pub struct FloodChange {
    /// Where the listener waits.
    pub at: ListenAt,
    /// Whether it is on now.
    pub flood: FloodState,
    /// How long it has lasted.
    pub lasted: Duration,
    /// How often things happen now.
    pub rates: ListenerRates,
    /// Half-open records.
    pub syn_queue: usize,
    /// Most half-open records.
    pub syn_queue_max: usize,
    /// SYN+ACKs with cookies sent since its beginning was told.
    pub cookies_sent: u64,
    /// SYNs and last acknowledgments lost since then.
    pub drops: u64,
    /// The prefixes whose SYNs come fastest, the fastest first. The addresses of SYNs are easily forged.
    pub top_sources: Vec<TopSource>,
}

impl FloodWatch {
    pub(crate) const fn new(handles: Handles) -> Self {
        Self {
            handles,
            known: Vec::new(),
        }
    }

    /// Waits for the next flood to begin or to end. One that is on at the first call begins with it; the end of one whose
    /// listener is closed is not told. Dropping the future loses nothing.
    ///
    /// Where a stack has several shards, a flood begins with the first of them that sees it and ends with the last; the numbers are
    /// those of that shard.
    ///
    /// # Errors
    ///
    /// When the stack's driver has ended.
    pub async fn next(&mut self) -> io::Result<FloodChange> {
        let Self { handles, known } = self;
        let change = handles.wait_any(
            |_| Place::Flood,
            |shard, inner| {
                let now = handles[shard].runtime.now();
                change(shard, inner, known, now)
                    .map_or(Poll::Pending, |change| Poll::Ready(Ok(change)))
            },
        );
        change.await.map(|(_, change)| change)
    }
}

impl Stack {
    /// Begins to watch for SYN floods.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// use handwave::{Stack, TcpListener, device};
    ///
    /// let (device, _peer) = device::pair(1_500, 256);
    /// let stack = Stack::builder().device(device).address([10, 0, 0, 2], 24).spawn()?;
    /// let _listener = TcpListener::bind(&stack, ([10, 0, 0, 2], 80).into())?;
    /// let mut floods = stack.watch_floods();
    /// let watch = tokio::spawn(async move {
    ///     while let Ok(change) = floods.next().await {
    ///         eprintln!("{:?}: {} SYN/s", change.flood, change.rates.syns);
    ///     }
    /// });
    /// // The end of the task lets go of the stack.
    /// watch.abort();
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn watch_floods(&self) -> FloodWatch {
        FloodWatch::new(self.handles().clone())
    }
}

/// What is not known yet.
fn change(
    shard: usize,
    inner: &Inner,
    known: &mut Vec<Known>,
    now: Instant,
) -> Option<FloodChange> {
    let exists = |flood: &Known| inner.stack.listener(flood.listener).is_some();
    known.retain(|flood| flood.shard != shard || exists(flood));
    for (id, at, listener) in inner.stack.listeners() {
        let of_this = |flood: &Known| flood.shard == shard && flood.listener == id;
        let place = known.iter().position(of_this);
        let elsewhere = |known: &[Known]| known.iter().any(|flood| flood.at == at);
        let counters = listener.counters();
        match (listener.flood(), place) {
            (FloodState::Flooded { since }, None) => {
                let is_news = !elsewhere(known);
                known.push(Known {
                    shard,
                    listener: id,
                    at,
                    since,
                    cookies_sent: counters.syncookies_sent,
                    drops: counters.drops,
                });
                if is_news {
                    return Some(told(at, listener, since, ListenerCounters::default(), now));
                }
            }
            (FloodState::Calm, Some(place)) => {
                let before = known.swap_remove(place);
                if elsewhere(known) {
                    continue;
                }
                let during = ListenerCounters {
                    syncookies_sent: counters.syncookies_sent - before.cookies_sent,
                    drops: counters.drops - before.drops,
                    ..ListenerCounters::default()
                };
                return Some(told(at, listener, before.since, during, now));
            }
            _ => {}
        }
    }
    None
}

fn told(
    at: ListenAt,
    listener: &Listener,
    since: Instant,
    during: ListenerCounters,
    now: Instant,
) -> FloodChange {
    FloodChange {
        at,
        flood: listener.flood(),
        lasted: now - since,
        rates: listener.rates(now),
        syn_queue: listener.half_open(),
        syn_queue_max: listener.limits().syn_queue_max,
        cookies_sent: during.syncookies_sent,
        drops: during.drops,
        top_sources: listener.top_sources(now, TOP_SOURCES),
    }
}
