//! One listener in several shards: what these count together, so that its limits hold for all and not for each.
//!
//! Shards share nothing else, and must not share much here: a listener tells the [`ListenerPool`] how long its queues are, and asks how
//! long the others' are before it makes a record or a connection. What it says is exact where limits are small; of long queues it claims
//! places by steps of 1/256 of the limit and keeps up to two of them that it does not use, so that a counter is written, and fetched
//! from another processor, when a queue has grown or shrunk and not for each handshake. What a single source may
//! take is counted in one table behind a lock, if such limits are set at all: parts of a limit would refuse an honest source whose few
//! connections happen to fall into one shard.
//!
//! The core has no locks of its own (they need an operating system, or spin while their holder sleeps), so the owner brings
//! one: [`BudgetLock`].
//!
//! What others have counted is an input like any other. Shards that are driven in the same order by one thread give the same
//! packets; where threads race, a record of the race would be needed to play it again. Between asking and telling another shard
//! may do the same, so a queue holds at most one more (one step more) for each further shard.

use alloc::sync::Arc;
use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::limits::Limits;
use super::sources::Sources;
use crate::config::ListenerConfig;
use crate::host::Secrets;

/// What the listeners of several shards at one place count together; see [`Listener::pooled`](super::Listener::pooled).
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use handwave_tcp::{BudgetLock, Config, Listener, ListenerConfig, ListenerPool, Secrets, SourceBudgets};
///
/// struct Lock(Mutex<SourceBudgets>);
/// impl BudgetLock for Lock {
///     fn with(&self, look: &mut dyn FnMut(&mut SourceBudgets)) {
///         look(&mut self.0.lock().unwrap());
///     }
/// }
///
/// let (secrets, limits) = (Secrets::from_seed(1), ListenerConfig::default());
/// let budgets = SourceBudgets::new(&limits.limits, &secrets);
/// let pool = ListenerPool::new(2, Lock(Mutex::new(budgets)));
/// let listeners = [(); 2].map(|()| {
///     Listener::pooled(Arc::new(Config::default()), limits.clone(), &secrets, pool.clone())
/// });
/// assert_eq!(pool.half_open(), listeners[0].half_open() + listeners[1].half_open());
/// ```
#[derive(Clone, Debug)]
pub struct ListenerPool(Arc<Pool>);

struct Pool {
    shards: u16,
    half_open: AtomicUsize,
    waiting: AtomicUsize,
    budgets: alloc::boxed::Box<dyn BudgetLock>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("half_open", &self.half_open)
            .field("waiting", &self.waiting)
            .finish_non_exhaustive()
    }
}

/// Lets one shard at a time at the budgets of single sources.
pub trait BudgetLock: Send + Sync {
    /// Calls `look` exactly once.
    fn with(&self, look: &mut dyn FnMut(&mut SourceBudgets));
}

/// What each source has used of its [`Limits`].
#[derive(Debug)]
pub struct SourceBudgets(Sources);

impl SourceBudgets {
    /// Nobody has used anything; `secrets` key the table.
    #[must_use]
    pub fn new(limits: &Limits, secrets: &Secrets) -> Self {
        Self(Sources::new(limits, &secrets.table_key))
    }
}

impl ListenerPool {
    /// A pool for the listeners of so many shards.
    #[must_use]
    pub fn new(shards: u16, budgets: impl BudgetLock + 'static) -> Self {
        Self(Arc::new(Pool {
            shards: shards.max(1),
            half_open: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            budgets: alloc::boxed::Box::new(budgets),
        }))
    }

    /// Half-open connections of all shards; where a queue may hold more than 511, also places claimed and not used, each shard's at
    /// most 1/128 of the queue.
    #[must_use]
    pub fn half_open(&self) -> usize {
        self.0.half_open.load(Ordering::Relaxed)
    }

    /// Connections of all shards that wait to be accepted; of long queues as [`half_open`](Self::half_open).
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::Relaxed)
    }

    /// A shard's part of a rate that cannot be counted together.
    pub(super) fn part(&self, whole: u32) -> u32 {
        whole.div_ceil(self.0.shards.into())
    }
}

/// A listener's part in a pool, if it is in one.
#[derive(Debug, Default)]
pub(super) struct Share {
    pool: Option<ListenerPool>,
    /// What the pool was told last.
    half_open: Claim,
    waiting: Claim,
}

/// Places of a queue that a listener has told the pool of: as many as are taken, and of a long queue a few more.
#[derive(Debug, Default)]
struct Claim {
    told: usize,
    step: usize,
}

/// Steps that a queue is told of in.
const STEPS: usize = 256;

impl Claim {
    const fn of_queue(max: usize) -> Self {
        let step = max / STEPS;
        Self {
            told: 0,
            step: if step > 1 { step } else { 1 },
        }
    }

    /// Claims what is taken now, in whole steps, unless so much is claimed and not two steps more.
    fn follow(&mut self, total: &AtomicUsize, taken: usize) {
        let spare = 2 * (self.step - 1);
        if taken > self.told || self.told - taken > spare {
            self.set(total, taken.next_multiple_of(self.step));
        }
    }

    /// Relaxed: the numbers stand for themselves, and guard no other memory.
    fn set(&mut self, total: &AtomicUsize, claimed: usize) {
        if claimed > self.told {
            total.fetch_add(claimed - self.told, Ordering::Relaxed);
        } else if claimed < self.told {
            total.fetch_sub(self.told - claimed, Ordering::Relaxed);
        }
        self.told = claimed;
    }
}

impl Share {
    /// The part of a listener with such limits.
    pub(super) const fn of(pool: ListenerPool, limits: &ListenerConfig) -> Self {
        Self {
            pool: Some(pool),
            half_open: Claim::of_queue(limits.syn_queue_max),
            waiting: Claim::of_queue(limits.accept_queue_max),
        }
    }

    /// Half-open connections of the other shards.
    pub(super) fn others_half_open(&self) -> usize {
        let pool = self.pool.as_ref();
        pool.map_or(0, |pool| {
            pool.half_open().saturating_sub(self.half_open.told)
        })
    }

    /// Connections that wait in the other shards.
    pub(super) fn others_waiting(&self) -> usize {
        let pool = self.pool.as_ref();
        pool.map_or(0, |pool| pool.waiting().saturating_sub(self.waiting.told))
    }

    /// Tells the pool how long the queues are now.
    pub(super) fn tell(&mut self, half_open: usize, waiting: usize) {
        let Some(ListenerPool(pool)) = &self.pool else {
            return;
        };
        self.half_open.follow(&pool.half_open, half_open);
        self.waiting.follow(&pool.waiting, waiting);
    }

    pub(super) const fn is_pooled(&self) -> bool {
        self.pool.is_some()
    }

    /// Calls with the budgets of the pool; the default if there is none.
    pub(super) fn with_sources<R: Default>(&self, call: impl FnOnce(&mut Sources) -> R) -> R {
        let (mut call, mut result) = (Some(call), R::default());
        if let Some(ListenerPool(pool)) = &self.pool {
            pool.budgets.with(&mut |budgets| {
                if let Some(call) = call.take() {
                    result = call(&mut budgets.0);
                }
            });
        }
        result
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(ListenerPool(pool)) = &self.pool {
            self.half_open.set(&pool.half_open, 0);
            self.waiting.set(&pool.waiting, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_claimed_is_what_is_taken_or_a_little_more(max in 0usize..5_000, lens in proptest::collection::vec(0usize..5_000, 1..50)) {
            let total = AtomicUsize::new(0);
            let mut claim = Claim::of_queue(max);
            for taken in lens {
                claim.follow(&total, taken);
                prop_assert_eq!(total.load(Ordering::Relaxed), claim.told);
                prop_assert!(claim.told >= taken, "the others must not take these places");
                prop_assert!(claim.told - taken <= max / 128, "nor be kept from many others");
            }
            claim.set(&total, 0);
            prop_assert_eq!(total.load(Ordering::Relaxed), 0);
        }
    }

    #[test]
    fn a_queue_that_goes_up_and_down_a_little_writes_nothing() {
        let total = AtomicUsize::new(0);
        let mut claim = Claim::of_queue(4_096);
        claim.follow(&total, 1);
        let claimed = total.swap(usize::MAX, Ordering::Relaxed);
        for taken in [0, 1, 3, 2, 0, 16, 15, 1] {
            claim.follow(&total, taken);
        }
        assert_eq!((claimed, total.into_inner()), (16, usize::MAX));
    }
}
