//! CUBIC: RFC 9438.

#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use core::time::Duration;

use super::{AckEvent, CongestionControl, LossEvent, Windows};
use crate::time::Instant;

/// What is left of the window after a loss: `beta_cubic`, in tenths (RFC 9438 4.6).
const BETA_TENTHS: u64 = 7;
/// `C` in tenths of a segment by the cube of a second (RFC 9438 5.1).
const C_TENTHS: u128 = 4;
/// `alpha_cubic`, by which the estimate grows where Reno's window grows by a segment: 3 (1 - 0.7) / (1 + 0.7) (RFC 9438 4.3).
const ALPHA: (u64, u64) = (9, 17);
/// Time beyond which the curve is not followed, in milliseconds: four hours.
const TIME_MAX: u64 = 1 << 24;

/// Growth by the time since the last loss instead of by round trips, so that a long, fast path is full again within seconds
/// (RFC 9438). Where Reno would be faster, as on short paths, it is as fast as Reno.
///
/// Slow start is that of [`Reno`](super::Reno). What the curve needs is kept in a box that is made with the first loss.
#[derive(Clone, Debug)]
pub struct Cubic {
    windows: Windows,
    curve: Option<Box<Curve>>,
}

/// The way back to the window at which something was lost, and beyond.
#[derive(Clone, Debug, Default)]
struct Curve {
    /// `W_max`: where the curve is flat, in octets. Zero: nothing is known, and the curve begins flat.
    w_max: u64,
    /// `cwnd_prior`: the window before the last loss, in octets.
    prior: u64,
    /// The stage of congestion avoidance that goes on, if one does.
    epoch: Option<Epoch>,
}

/// One stage of congestion avoidance (RFC 9438 4.2).
#[derive(Clone, Copy, Debug)]
struct Epoch {
    start: Instant,
    /// When the last ACK came: time in which nothing was sent does not count (RFC 9438 5.8).
    last: Instant,
    /// `K`: milliseconds from the start to `W_max`.
    k: u64,
    /// `W_est`: the window Reno would have, in octets.
    estimate: u64,
    /// What is left of divisions by the window, for `W_est` and for the window itself.
    estimate_rest: u64,
    window_rest: u64,
}

impl Cubic {
    /// Starts in slow start with a window of `initial_window` octets and no threshold.
    #[must_use]
    pub fn new(initial_window: u32) -> Self {
        Self {
            windows: Windows::new(initial_window),
            curve: None,
        }
    }

    /// What is left after a loss: a part of what was in flight, at least two segments (RFC 9438 4.6).
    fn threshold(&self, loss: &LossEvent) -> u32 {
        let flight = u64::from(loss.flight.min(self.windows.cwnd));
        let threshold = u32::try_from(flight * BETA_TENTHS / 10).unwrap_or(u32::MAX);
        threshold.max(loss.smss.saturating_mul(2))
    }

    /// Remembers where something was lost, and ends the stage of congestion avoidance.
    fn note_loss(&mut self) {
        let window = u64::from(self.windows.cwnd);
        let curve = self.curve.get_or_insert_default();
        curve.prior = window;
        // Fast convergence: a window that shrinks from loss to loss makes room for others (RFC 9438 4.7).
        curve.w_max = match window < curve.w_max {
            true => window * (10 + BETA_TENTHS) / 20,
            false => window,
        };
        curve.epoch = None;
    }

    /// Opens the window along the curve, or as Reno would if that is more (RFC 9438 4.2 to 4.5).
    fn avoid_congestion(&mut self, ack: &AckEvent, acked: u32) {
        let (window, smss) = (u64::from(self.windows.cwnd), u64::from(ack.smss));
        let curve = self.curve.get_or_insert_default();
        let epoch = match &mut curve.epoch {
            Some(epoch) => epoch,
            none => none.insert(Epoch::begin(ack.now, window, &mut curve.w_max, smss)),
        };
        epoch.last = ack.now;
        epoch.grow_estimate(window, curve.prior, u64::from(acked) * smss);
        let elapsed = millis(ack.now - epoch.start);
        let at = |time: u64| on_curve(time, epoch.k, curve.w_max, smss);
        if at(elapsed) < epoch.estimate {
            self.windows.grow_to(window.max(epoch.estimate));
            return;
        }
        let ahead = at(elapsed + millis(ack.rtt.unwrap_or_default()));
        let target = ahead.clamp(window, window + window / 2);
        let growth = (target - window) * u64::from(acked) + epoch.window_rest;
        epoch.window_rest = growth % window.max(1);
        self.windows.grow_to(window + growth / window.max(1));
    }
}

impl Epoch {
    fn begin(now: Instant, window: u64, w_max: &mut u64, smss: u64) -> Self {
        // After slow start or a timeout nothing is known above the window: the curve begins flat (RFC 9438 4.8, 4.10).
        *w_max = window.max(*w_max);
        Self {
            start: now,
            last: now,
            k: time_to_climb(*w_max - window, smss),
            estimate: window,
            estimate_rest: 0,
            window_rest: 0,
        }
    }

    /// Lets `W_est` grow: by `alpha_cubic` for each window of octets until it is where the loss was, by a segment from there on
    /// (RFC 9438 4.3). `acked` is in octets times the segment size.
    fn grow_estimate(&mut self, window: u64, prior: u64, acked: u64) {
        let (numerator, denominator) = match self.estimate < prior {
            true => ALPHA,
            false => (1, 1),
        };
        let each = (denominator * window).max(1);
        let growth = acked
            .saturating_mul(numerator)
            .saturating_add(self.estimate_rest);
        self.estimate += growth / each;
        self.estimate_rest = growth % each;
    }
}

/// `W_cubic` so many milliseconds after the start of a stage, in octets (RFC 9438 4.2, figure 1).
fn on_curve(time: u64, k: u64, w_max: u64, smss: u64) -> u64 {
    let time = time.min(TIME_MAX);
    let distance = u128::from(time.abs_diff(k));
    let height = C_TENTHS * u128::from(smss) * distance.pow(3) / 10_000_000_000;
    let height = u64::try_from(height).unwrap_or(u64::MAX);
    match time < k {
        true => w_max.saturating_sub(height),
        false => w_max.saturating_add(height),
    }
}

/// `K`: milliseconds in which the curve climbs so many octets up to where it is flat (RFC 9438 4.2, figure 2).
fn time_to_climb(octets: u64, smss: u64) -> u64 {
    let cube = u128::from(octets) * 10_000_000_000 / (C_TENTHS * u128::from(smss.max(1)));
    cube_root(cube).min(TIME_MAX)
}

/// The largest integer whose cube is no more than `cube`, bit by bit.
fn cube_root(cube: u128) -> u64 {
    // 2^32 cubed exceeds what a window of 2^30 octets and segments of one octet come to.
    (0..32).rev().fold(0_u64, |root, bit| {
        let next = root | 1 << bit;
        match u128::from(next).pow(3) <= cube {
            true => next,
            false => root,
        }
    })
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl CongestionControl for Cubic {
    fn window(&self) -> u32 {
        self.windows.cwnd
    }

    fn ssthresh(&self) -> u32 {
        self.windows.ssthresh
    }

    fn on_ack(&mut self, ack: &AckEvent) {
        if ack.app_limited
            && let Some(epoch) = self.curve.as_mut().and_then(|curve| curve.epoch.as_mut())
        {
            epoch.start += ack.now - epoch.last;
            epoch.last = ack.now;
        }
        let acked = self.windows.on_ack(ack);
        if acked > 0 {
            self.avoid_congestion(ack, acked);
        }
    }

    fn on_congestion(&mut self, loss: &LossEvent) {
        self.note_loss();
        self.windows.fall_to(self.threshold(loss));
    }

    fn on_timeout(&mut self, loss: &LossEvent, first: bool) {
        if first {
            self.windows.ssthresh = self.threshold(loss);
        }
        // What the window was says little about a path that has stopped (RFC 9438 4.8).
        self.curve = None;
        self.windows.restart(loss.smss);
    }

    fn on_recovery_end(&mut self, flight: u32, smss: u32) {
        self.windows.bridge_recovery(flight, smss);
    }

    fn on_idle(&mut self, idle: Duration, rto: Duration, smss: u32) {
        let falls = self.windows.on_idle(idle, rto, smss);
        let Some(curve) = &mut self.curve else {
            return;
        };
        match &mut curve.epoch {
            Some(epoch) if !falls => {
                epoch.start += idle;
                epoch.last += idle;
            }
            // From a window that starts small again there is another way up.
            stage => *stage = None,
        }
    }

    fn set_windows(&mut self, window: u32, ssthresh: u32) {
        self.windows.set(window, ssthresh);
        if let Some(curve) = &mut self.curve {
            curve.epoch = None;
        }
    }

    fn on_mss_change(&mut self, old: u32, new: u32) {
        self.windows.on_mss_change(old, new);
        if let Some(curve) = &mut self.curve {
            curve.epoch = None;
        }
    }

    fn name(&self) -> &'static str {
        "cubic"
    }
}
