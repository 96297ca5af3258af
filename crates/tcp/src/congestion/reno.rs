//! Reno: RFC 5681 with appropriate byte counting (RFC 3465).

#[cfg(test)]
mod tests;

use core::time::Duration;

use super::{AckEvent, CongestionControl, Loss, LossEvent, WINDOW_MAX};

/// How far one ACK may open the window, in segments, in the slow start after a timeout, where an ACK often covers what arrived
/// long ago: the `L` of RFC 3465 2.3. Elsewhere [`AckEvent::segments_max`] says it.
const SLOW_START_SEGMENTS_AFTER_TIMEOUT: u32 = 1;

/// Slow start, congestion avoidance and halving (RFC 5681) [RFC5681-2] [RFC5681-8] [RFC5681-9].
///
/// Both kinds of growth count acknowledged octets, not ACKs, so a peer gains nothing by acknowledging a segment in many
/// small steps. A window that is not used does not grow (in the spirit of RFC 7661).
#[derive(Clone, Debug)]
pub struct Reno {
    cwnd: u32,
    ssthresh: u32,
    /// The window to restart with after idleness is at most this.
    initial_window: u32,
    /// Octets acknowledged in congestion avoidance since the window last grew.
    bytes_acked: u32,
    /// In the slow start that follows a timeout.
    after_timeout: bool,
}

impl Reno {
    /// Starts in slow start with a window of `initial_window` octets and no threshold.
    #[must_use]
    pub fn new(initial_window: u32) -> Self {
        Self {
            cwnd: initial_window.min(WINDOW_MAX),
            ssthresh: u32::MAX,
            initial_window,
            bytes_acked: 0,
            after_timeout: false,
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

    /// Opens the window by one segment for each window of octets acknowledged (RFC 5681 3.1).
    fn avoid_congestion(&mut self, acked: u32, smss: u32) {
        self.bytes_acked = self.bytes_acked.saturating_add(acked);
        if self.bytes_acked >= self.cwnd {
            // At most one segment for a round trip, however much one ACK covers.
            self.bytes_acked = (self.bytes_acked - self.cwnd).min(self.cwnd);
            self.grow(smss);
        }
    }

    fn grow(&mut self, octets: u32) {
        self.cwnd = self.cwnd.saturating_add(octets).min(WINDOW_MAX);
    }

    /// Half of what was in flight, at least two segments (RFC 5681 equation 4) [RFC5681-10] [RFC5681-17].
    fn lower_threshold(&mut self, flight: u32, smss: u32) {
        self.ssthresh = (flight / 2).max(smss.saturating_mul(2));
        self.bytes_acked = 0;
    }
}

impl CongestionControl for Reno {
    fn window(&self) -> u32 {
        self.cwnd
    }

    fn ssthresh(&self) -> u32 {
        self.ssthresh
    }

    fn on_ack(&mut self, ack: &AckEvent) {
        if ack.in_recovery || ack.app_limited || ack.acked == 0 {
            return;
        }
        let mut acked = ack.acked;
        if self.cwnd < self.ssthresh {
            acked = self.slow_start(ack);
        }
        if acked > 0 {
            self.avoid_congestion(acked, ack.smss);
        }
    }

    fn on_congestion(&mut self, loss: &LossEvent) {
        match loss.kind {
            // RFC 3168 6.1.2: a mark is answered as a loss is.
            Loss::FastRetransmit | Loss::Ecn => self.lower_threshold(loss.flight, loss.smss),
        }
        self.cwnd = self.ssthresh.min(WINDOW_MAX);
        self.after_timeout = false;
    }

    fn on_timeout(&mut self, loss: &LossEvent, first: bool) {
        if first {
            self.lower_threshold(loss.flight, loss.smss);
        }
        self.bytes_acked = 0;
        // The loss window is one segment, whatever the initial window (RFC 5681 3.1) [RFC5681-11].
        self.cwnd = loss.smss;
        self.after_timeout = true;
    }

    /// Keeps a window that was hardly used in recovery from being sent in one burst (RFC 6582 3.2, step 3).
    fn on_recovery_end(&mut self, flight: u32, smss: u32) {
        let next_step = flight.max(smss).saturating_add(smss);
        self.cwnd = self.ssthresh.min(next_step).min(WINDOW_MAX);
        self.bytes_acked = 0;
    }

    /// Falls back to the restart window after more than one RTO, and remembers three quarters of the old window as the
    /// threshold (RFC 5681 4.1, RFC 7661 4.4.3).
    fn on_idle(&mut self, idle: Duration, rto: Duration, smss: u32) {
        let restart_window = self.initial_window.max(smss);
        if idle > rto && self.cwnd > restart_window {
            self.ssthresh = self.ssthresh.max(self.cwnd - self.cwnd / 4);
            self.cwnd = restart_window;
            self.bytes_acked = 0;
        }
    }

    fn set_windows(&mut self, window: u32, ssthresh: u32) {
        self.cwnd = window.min(WINDOW_MAX);
        self.ssthresh = ssthresh;
    }

    /// Keeps the number of segments when they become smaller (RFC 5681 3.1); larger ones change nothing [RFC5681-6].
    fn on_mss_change(&mut self, old: u32, new: u32) {
        if new < old {
            let scaled = u64::from(self.cwnd) * u64::from(new) / u64::from(old);
            self.cwnd = u32::try_from(scaled).unwrap_or(u32::MAX).max(new);
            let initial = u64::from(self.initial_window) * u64::from(new) / u64::from(old);
            self.initial_window = u32::try_from(initial).unwrap_or(u32::MAX).max(new);
            self.bytes_acked = 0;
        }
        self.cwnd = self.cwnd.max(new);
    }

    fn name(&self) -> &'static str {
        "reno"
    }
}
