//! What can be seen of a listener at any time: its queues, who is in them, and what became of the rest.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{FloodState, Listener, ListenerCounters, TopSource};
use crate::config::{Config, ListenerConfig};
use crate::time::Instant;

impl Listener {
    /// Connections in SYN-RECEIVED, and SYNs that wait for a decision before they are answered.
    #[must_use]
    pub fn half_open(&self) -> usize {
        self.syn_queue.len() + self.requests.syns
    }

    /// Established connections that wait to be accepted.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.accept_queue.len() + self.requests.connections
    }

    /// Whether there is no room for another record.
    pub(super) fn syn_queue_is_full(&self) -> bool {
        let max = self.limits.syn_queue_max;
        self.syn_queue.is_full()
            || self.requests.syns >= max
            || self.is_full_with(self.half_open(), self.share.others_half_open(), max)
    }

    /// Whether there is no room for another connection.
    #[inline]
    pub(super) fn accept_queue_is_full(&self) -> bool {
        let max = self.limits.accept_queue_max;
        self.accept_queue.is_full()
            || self.requests.connections >= max
            || self.is_full_with(self.waiting(), self.share.others_waiting(), max)
    }

    /// Whether a queue is full because of what other shards have in theirs.
    const fn is_full_with(&self, ours: usize, others: usize, max: usize) -> bool {
        self.share.is_pooled() && ours + others >= max
    }

    /// Whether a flood is on.
    #[must_use]
    pub const fn flood(&self) -> FloodState {
        self.flood.state()
    }

    /// SYNs a second, lately.
    #[must_use]
    pub fn syn_rate(&self, now: Instant) -> u32 {
        self.flood.syn_rate(now)
    }

    /// The prefixes whose SYNs come fastest, at most `max` of them.
    #[must_use]
    pub fn top_sources(&self, now: Instant, max: usize) -> Vec<TopSource> {
        self.heavy_hitters.top(&self.limits.limits, now, max)
    }

    /// Octets of memory that the listener's queues and tables hold.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.syn_queue.memory()
            + self.accept_queue.memory()
            + self.sources.memory()
            + self.heavy_hitters.memory()
    }

    /// The limits in force.
    #[must_use]
    pub const fn limits(&self) -> &ListenerConfig {
        &self.limits
    }

    /// The settings that accepted connections get.
    #[must_use]
    pub const fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// What happened so far.
    #[must_use]
    pub const fn counters(&self) -> &ListenerCounters {
        &self.counters
    }
}
