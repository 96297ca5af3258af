//! Is this a flood? A detector with hysteresis: quick to say so, slow to take it back.
//!
//! It looks at windows of time. A window is *suspicious* when the SYN queue was nearly full or SYNs came fast, and few of them
//! became connections; a window is *calm* when neither holds. One suspicious window begins a flood (a queue that overflows does
//! at once), several calm ones in a row end it; what lies between keeps things as they are.

use core::time::Duration;

use crate::time::Instant;

/// When a listener is said to be flooded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FloodThresholds {
    /// How long SYNs are counted before the count is judged.
    pub window: Duration,
    /// Percent of the SYN queue in use from which on it is under pressure.
    pub queue_high: u8,
    /// Percent of the SYN queue in use below which it is calm.
    pub queue_low: u8,
    /// SYNs a second that are suspicious, whatever the queue says; a quarter of them is calm.
    pub syn_rate: u32,
    /// Percent of a window's SYNs that become connections when nobody attacks.
    pub completion: u8,
    /// Calm windows in a row that end a flood.
    pub calm_windows: u8,
}

impl Default for FloodThresholds {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(1),
            queue_high: 80,
            queue_low: 50,
            syn_rate: 1_000,
            completion: 50,
            calm_windows: 5,
        }
    }
}

/// SYNs of an overflowing window that are judged before its end.
const HASTE: u32 = 64;

/// What a flood detector says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FloodState {
    /// Nothing unusual.
    #[default]
    Calm,
    /// A flood is on.
    Flooded {
        /// Since when.
        since: Instant,
    },
}

impl FloodState {
    /// Whether a flood is on.
    #[must_use]
    pub const fn is_flooded(self) -> bool {
        matches!(self, Self::Flooded { .. })
    }
}

/// The detector of one listener.
#[derive(Debug)]
pub(super) struct FloodDetector {
    thresholds: FloodThresholds,
    queue_max: usize,
    state: FloodState,
    began: Instant,
    syns: u32,
    completed: u32,
    depth_max: usize,
    overflowed: bool,
    calm: u8,
    /// SYNs of the last whole window.
    last_syns: u32,
    changed: bool,
    begun: u64,
}

impl FloodDetector {
    pub(super) fn new(thresholds: FloodThresholds, queue_max: usize) -> Self {
        Self {
            thresholds,
            queue_max,
            state: FloodState::Calm,
            began: Instant::ZERO,
            syns: 0,
            completed: 0,
            depth_max: 0,
            overflowed: false,
            calm: 0,
            last_syns: 0,
            changed: false,
            begun: 0,
        }
    }

    pub(super) const fn state(&self) -> FloodState {
        self.state
    }

    /// Floods that began.
    pub(super) const fn begun(&self) -> u64 {
        self.begun
    }

    /// SYNs a second, in the last whole window if that was just before.
    pub(super) fn syn_rate(&self, now: Instant) -> u32 {
        let window = self.thresholds.window;
        let count = match (now - self.began).as_nanos() / window.as_nanos().max(1) {
            0 => self.last_syns.max(self.syns),
            1 => self.syns,
            _ => 0,
        };
        per_second(count, window)
    }

    /// Whether the state changed since this was last asked.
    pub(super) const fn take_change(&mut self) -> bool {
        core::mem::replace(&mut self.changed, false)
    }

    /// When the current window is to be judged though no SYN comes; only during a flood.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let end = self.began + self.thresholds.window;
        self.state.is_flooded().then_some(end)
    }

    /// A SYN arrived and found `depth` records; `overflow` if there was no room for another.
    pub(super) fn on_syn(&mut self, now: Instant, depth: usize, overflow: bool) {
        self.on_time(now, depth);
        self.syns = self.syns.saturating_add(1);
        self.depth_max = self.depth_max.max(depth);
        self.overflowed |= overflow;
        if self.state == FloodState::Calm && overflow && self.syns >= HASTE && self.few_complete() {
            self.enter(now);
        }
    }

    /// A handshake completed.
    pub(super) const fn on_completed(&mut self) {
        self.completed = self.completed.saturating_add(1);
    }

    /// Judges the window that has ended, if one has.
    pub(super) fn on_time(&mut self, now: Instant, depth: usize) {
        let window = self.thresholds.window;
        if !now.is_after(self.began, window) {
            return;
        }
        let passed = now - self.began;
        self.judge(now);
        // Windows in which nothing arrived are calm if the queue is.
        let silent = passed.as_nanos() / window.as_nanos().max(1) - 1;
        (self.syns, self.completed, self.overflowed) = (0, 0, false);
        self.depth_max = depth;
        self.began = now;
        for _ in 0..silent.min(u128::from(self.thresholds.calm_windows)) {
            self.judge(now);
        }
        if silent > 0 {
            self.last_syns = 0;
        }
    }

    fn judge(&mut self, now: Instant) {
        let FloodThresholds {
            window,
            queue_high,
            queue_low,
            syn_rate,
            completion: _,
            calm_windows,
        } = self.thresholds;
        let rate = per_second(self.syns, window);
        let pressed = self.overflowed || self.fills(queue_high);
        self.last_syns = self.syns;
        if (rate >= syn_rate || pressed) && self.few_complete() {
            self.calm = 0;
            if self.state == FloodState::Calm {
                self.enter(now);
            }
            return;
        }
        let slow = rate < syn_rate.div_ceil(4) || !self.few_complete();
        let relaxed = !self.overflowed && !self.fills(queue_low);
        self.calm = if slow && relaxed {
            self.calm.saturating_add(1)
        } else {
            0
        };
        if self.state.is_flooded() && self.calm >= calm_windows {
            self.state = FloodState::Calm;
            self.changed = true;
        }
    }

    fn enter(&mut self, now: Instant) {
        self.state = FloodState::Flooded { since: now };
        self.changed = true;
        self.calm = 0;
        self.begun += 1;
    }

    /// Whether fewer SYNs than usual became connections.
    fn few_complete(&self) -> bool {
        let (completed, syns) = (u64::from(self.completed), u64::from(self.syns));
        completed * 100 < syns * u64::from(self.thresholds.completion)
    }

    /// Whether `percent` of the queue were in use. A queue without places is never under pressure: it overflows.
    fn fills(&self, percent: u8) -> bool {
        self.queue_max > 0
            && self.depth_max.saturating_mul(100)
                >= self.queue_max.saturating_mul(usize::from(percent))
    }
}

fn per_second(count: u32, window: Duration) -> u32 {
    let nanos = window.as_nanos().max(1);
    let rate = u128::from(count) * Duration::from_secs(1).as_nanos() / nanos;
    u32::try_from(rate).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detector() -> FloodDetector {
        FloodDetector::new(FloodThresholds::default(), 100)
    }

    /// Lets a second pass with SYNs at an even rate, `completed` of them successful.
    fn second(detector: &mut FloodDetector, second: u64, syns: u64, completed: u64, depth: usize) {
        for n in 0..syns {
            let now = Instant::from_secs(second)
                + Duration::from_secs(1) * u32::try_from(n).unwrap() / u32::try_from(syns).unwrap();
            detector.on_syn(now, depth, depth >= 100);
            if n < completed {
                detector.on_completed();
            }
        }
        detector.on_time(Instant::from_secs(second + 1), depth);
    }

    #[test]
    fn many_syns_that_complete_are_a_busy_day_and_no_flood() {
        let mut detector = detector();
        for n in 1..20 {
            second(&mut detector, n, 5_000, 4_900, 90);
        }
        assert_eq!(detector.state(), FloodState::Calm);
        assert!((4_900..=5_000).contains(&detector.syn_rate(Instant::from_secs(20))));
    }

    #[test]
    fn fast_syns_that_do_not_complete_are_a_flood_until_it_has_been_calm_for_a_while() {
        let mut detector = detector();
        second(&mut detector, 1, 2_000, 10, 10);
        assert!(detector.state().is_flooded());
        assert!(detector.take_change() && !detector.take_change());
        // Less, but not calm: stays.
        for n in 2..12 {
            second(&mut detector, n, 500, 10, 10);
            assert!(detector.state().is_flooded());
        }
        for n in 12..17 {
            assert!(detector.state().is_flooded(), "{n}");
            second(&mut detector, n, 100, 100, 10);
        }
        assert_eq!(detector.state(), FloodState::Calm);
        assert!(detector.take_change());
        assert_eq!(detector.deadline(), None);
    }

    #[test]
    fn a_slow_flood_shows_in_the_queue() {
        let mut detector = detector();
        second(&mut detector, 1, 20, 0, 85);
        assert!(detector.state().is_flooded());
    }

    #[test]
    fn an_overflow_is_noticed_before_its_window_ends() {
        let mut detector = detector();
        let now = Instant::from_secs(9);
        for _ in 0..HASTE {
            assert_eq!(detector.state(), FloodState::Calm);
            detector.on_syn(now, 100, true);
        }
        assert_eq!(detector.state(), FloodState::Flooded { since: now });
        assert_eq!(detector.deadline(), Some(Instant::from_secs(10)));
    }

    #[test]
    fn silence_ends_a_flood() {
        let mut detector = detector();
        second(&mut detector, 1, 2_000, 0, 10);
        assert!(detector.state().is_flooded());
        detector.on_time(Instant::from_secs(60), 0);
        assert_eq!(detector.state(), FloodState::Calm);
        assert_eq!(detector.syn_rate(Instant::from_secs(60)), 0);
    }
}
