//! What can be seen of a listener at any time: its queues, who is in them, and what became of the rest.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{FloodState, Listener, ListenerCounters, TopSource};
use crate::config::{Config, ListenerConfig};
use crate::time::Instant;

impl Listener {
    /// Connections in SYN-RECEIVED.
    #[must_use]
    pub fn half_open(&self) -> usize {
        self.syn_queue.len()
    }

    /// Established connections that wait to be accepted.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.accept_queue.len()
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
