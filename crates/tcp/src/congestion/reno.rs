//! Reno: RFC 5681 with appropriate byte counting (RFC 3465).

#[cfg(test)]
mod tests;

use core::time::Duration;

use super::{AckEvent, CongestionControl, Loss, LossEvent, Windows};

/// Slow start, congestion avoidance and halving (RFC 5681) [RFC5681-2] [RFC5681-8] [RFC5681-9].
///
/// Both kinds of growth count acknowledged octets, not ACKs, so a peer gains nothing by acknowledging a segment in many
/// small steps. A window that is not used does not grow (in the spirit of RFC 7661).
#[derive(Clone, Debug)]
pub struct Reno {
    windows: Windows,
    /// Octets acknowledged in congestion avoidance since the window last grew.
    bytes_acked: u32,
}

impl Reno {
    /// Starts in slow start with a window of `initial_window` octets and no threshold.
    #[must_use]
    pub fn new(initial_window: u32) -> Self {
        Self {
            windows: Windows::new(initial_window),
            bytes_acked: 0,
        }
    }

    /// Opens the window by one segment for each window of octets acknowledged (RFC 5681 3.1).
    fn avoid_congestion(&mut self, acked: u32, smss: u32) {
        let window = self.windows.cwnd;
        self.bytes_acked = self.bytes_acked.saturating_add(acked);
        if self.bytes_acked >= window {
            // At most one segment for a round trip, however much one ACK covers.
            self.bytes_acked = (self.bytes_acked - window).min(window);
            self.windows.grow(smss);
        }
    }
}

/// Half of what was in flight, at least two segments (RFC 5681 equation 4) [RFC5681-10] [RFC5681-17].
fn half(flight: u32, smss: u32) -> u32 {
    (flight / 2).max(smss.saturating_mul(2))
}

impl CongestionControl for Reno {
    fn window(&self) -> u32 {
        self.windows.cwnd
    }

    fn ssthresh(&self) -> u32 {
        self.windows.ssthresh
    }

    fn on_ack(&mut self, ack: &AckEvent) {
        let acked = self.windows.on_ack(ack);
        if acked > 0 {
            self.avoid_congestion(acked, ack.smss);
        }
    }

    fn on_congestion(&mut self, loss: &LossEvent) {
        match loss.kind {
            // RFC 3168 6.1.2: a mark is answered as a loss is.
            Loss::FastRetransmit | Loss::Ecn => self.windows.fall_to(half(loss.flight, loss.smss)),
        }
        self.bytes_acked = 0;
    }

    fn on_timeout(&mut self, loss: &LossEvent, first: bool) {
        if first {
            self.windows.ssthresh = half(loss.flight, loss.smss);
        }
        self.bytes_acked = 0;
        self.windows.restart(loss.smss);
    }

    fn on_recovery_end(&mut self, flight: u32, smss: u32) {
        self.windows.bridge_recovery(flight, smss);
        self.bytes_acked = 0;
    }

    fn on_idle(&mut self, idle: Duration, rto: Duration, smss: u32) {
        if self.windows.on_idle(idle, rto, smss) {
            self.bytes_acked = 0;
        }
    }

    fn set_windows(&mut self, window: u32, ssthresh: u32) {
        self.windows.set(window, ssthresh);
    }

    fn on_mss_change(&mut self, old: u32, new: u32) {
        self.windows.on_mss_change(old, new);
        if new < old {
            self.bytes_acked = 0;
        }
    }

    fn name(&self) -> &'static str {
        "reno"
    }
}
