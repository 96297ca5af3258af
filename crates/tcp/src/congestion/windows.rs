//! What algorithms share: `cwnd`, `ssthresh`, and slow start (RFC 5681 3.1).

use core::time::Duration;

use super::{AckEvent, WINDOW_MAX};

/// How far one ACK may open the window, in segments, in the slow start after a timeout, where an ACK often covers what arrived
/// long ago: the `L` of RFC 3465 2.3. Elsewhere [`AckEvent::segments_max`] says it.
const SLOW_START_SEGMENTS_AFTER_TIMEOUT: u32 = 1;

/// The two windows of one connection, in octets.
#[derive(Clone, Debug)]
pub(super) struct Windows {
    pub(super) cwnd: u32,
    pub(super) ssthresh: u32,
    /// The window to restart with after idleness is at most this.
    initial: u32,
    /// In the slow start that follows a timeout.
    after_timeout: bool,
}

impl Windows {
    /// Slow start with a window of `initial` octets and no threshold.
    pub(super) fn new(initial: u32) -> Self {
        Self {
            cwnd: initial.min(WINDOW_MAX),
            ssthresh: u32::MAX,
            initial,
            after_timeout: false,
        }
    }

    /// Opens the window if this is slow start; returns the octets that congestion avoidance counts. Recovery, and a window that is not used, open
    /// nothing.
    pub(super) fn on_ack(&mut self, ack: &AckEvent) -> u32 {
        if ack.in_recovery || ack.app_limited {
            0
        } else if self.cwnd < self.ssthresh {
            self.slow_start(ack)
        } else {
            ack.acked
        }
    }

    /// Opens the window by what was acknowledged, up to a limit; returns what congestion avoidance counts.
    fn slow_start(&mut self, ack: &AckEvent) -> u32 {
        // A sender without that limit has none after a timeout either.
        let segments = if self.after_timeout && ack.segments_max != u32::MAX {
            SLOW_START_SEGMENTS_AFTER_TIMEOUT
        } else {
            ack.segments_max
        };
        let growth = ack.acked.min(segments.saturating_mul(ack.smss));
        let until_threshold = self.ssthresh - self.cwnd;
        if growth < until_threshold {
            self.grow(growth);
            return 0;
        }
        self.grow(until_threshold);
        self.after_timeout = false;
        growth - until_threshold
    }

    pub(super) fn grow(&mut self, octets: u32) {
        self.cwnd = self.cwnd.saturating_add(octets).min(WINDOW_MAX);
    }

    /// Opens the window to so many octets.
    pub(super) fn grow_to(&mut self, octets: u64) {
        let octets = u32::try_from(octets).unwrap_or(WINDOW_MAX);
        self.cwnd = self.cwnd.max(octets.min(WINDOW_MAX));
    }

    /// Both windows after a loss.
    pub(super) fn fall_to(&mut self, octets: u32) {
        self.ssthresh = octets;
        self.cwnd = octets.min(WINDOW_MAX);
        self.after_timeout = false;
    }

    /// The loss window is one segment, whatever the initial window (RFC 5681 3.1) [RFC5681-11].
    pub(super) const fn restart(&mut self, smss: u32) {
        self.cwnd = smss;
        self.after_timeout = true;
    }

    /// Keeps a window that was hardly used in recovery from being sent in one burst (RFC 6582 3.2, step 3).
    pub(super) fn bridge_recovery(&mut self, flight: u32, smss: u32) {
        let next_step = flight.max(smss).saturating_add(smss);
        self.cwnd = self.ssthresh.min(next_step).min(WINDOW_MAX);
    }

    /// Falls back to the restart window after more than one RTO, and remembers three quarters of the old window as the
    /// threshold (RFC 5681 4.1, RFC 7661 4.4.3); returns whether it did.
    pub(super) fn on_idle(&mut self, idle: Duration, rto: Duration, smss: u32) -> bool {
        let restart_window = self.initial.max(smss);
        let falls = idle > rto && self.cwnd > restart_window;
        if falls {
            self.ssthresh = self.ssthresh.max(self.cwnd - self.cwnd / 4);
            self.cwnd = restart_window;
        }
        falls
    }

    pub(super) fn set(&mut self, window: u32, ssthresh: u32) {
        self.cwnd = window.min(WINDOW_MAX);
        self.ssthresh = ssthresh;
    }

    /// Keeps the number of segments when they become smaller (RFC 5681 3.1); larger ones change nothing [RFC5681-6].
    pub(super) fn on_mss_change(&mut self, old: u32, new: u32) {
        if new < old {
            let scaled = |octets: u32| {
                let octets = u64::from(octets) * u64::from(new) / u64::from(old);
                u32::try_from(octets).unwrap_or(u32::MAX).max(new)
            };
            (self.cwnd, self.initial) = (scaled(self.cwnd), scaled(self.initial));
        }
        self.cwnd = self.cwnd.max(new);
    }
}
