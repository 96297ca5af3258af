//! Trains of segments ([`Segmentation::Records`](crate::Segmentation::Records)): how many leave as one, and which wait.

use core::time::Duration;

use super::silly_window::Offer;
use crate::host::Context;
use crate::records::{Head, RECORD_MAX, Records};
use crate::tcb::{LossState, Tcb};
use crate::time::Instant;

/// A train is as long as the pacing rate sends in `1 / 1024` of a second.
const PACE_SHIFT: u32 = 10;
/// Round trips shorter than this many microseconds, times a power of two, allow longer trains.
const RTT_SHIFT: u32 = 9;
/// The least train, in segments.
const TRAIN_MIN: u32 = 2;
/// An odd segment waits only if the last write was so recent.
const RECENT: Duration = Duration::from_millis(1);
/// A train of this part of the usable window leaves at once.
const WINDOW_DIVISOR: u32 = 3;

/// The next train, or `None` if what there is has to wait.
pub(super) fn next(tcb: &Tcb, now: Instant) -> Option<Offer> {
    let records = tcb.records.as_deref()?;
    let unsent = tcb.unsent();
    let fin_due = tcb.app.closing && !tcb.fin_acknowledged() && !tcb.fin_sent();
    let mss = u32::from(super::text::segment_size(tcb));
    let usable = tcb.snd.usable();
    let forced = tcb.intents.override_silly_window;
    let probing = tcb.repairs.as_deref().is_some_and(|it| it.probe);
    let quota = match quota(tcb) {
        0 if forced || probing => 1,
        quota => quota.min(train_max(tcb, records, mss)),
    };
    if quota == 0 {
        return None;
    }
    let head = match records.head(tcb.snd.nxt, quota.saturating_mul(mss)) {
        Some(head) => head,
        None if fin_due && unsent == 0 => Head { len: 0, last: true },
        None => return None,
    };
    let fin = fin_due && head.last;
    let segments = head.len.div_ceil(mss).max(1);
    let offer = |len: u32| Offer {
        unsent,
        len,
        mss,
        usable,
        fin: fin && len == head.len && usable > len,
    };
    if forced {
        let len = head.len.min(mss).min(usable);
        return (len > 0).then(|| offer(len));
    }
    let first = head.len.min(mss) + u32::from(fin && head.len <= mss);
    if first > usable {
        return None;
    }
    if segments == 1 {
        let small_may_leave =
            !head.last || fin || probing || !holds_small(tcb, records, head.len < mss);
        return small_may_leave.then(|| offer(head.len));
    }
    if should_wait(tcb, records, head, (quota, mss, usable), now) {
        return None;
    }
    let limit = split_point(tcb, records, head, (quota, mss, usable));
    Some(offer(head.len.min(limit)))
}

/// Segments that the congestion window admits: half of it at most, so that two trains are in flight.
fn quota(tcb: &Tcb) -> u32 {
    let smss = u32::from(tcb.mss.send).max(1);
    let window = tcb.congestion.window() / smss;
    let flight = tcb.pipe().div_ceil(smss);
    window.saturating_sub(flight).min((window / 2).max(1))
}

/// Most segments that leave as one, `mss` octets of text each.
pub(super) fn longest(tcb: &Tcb, mss: u32) -> u32 {
    let records = tcb.records.as_deref();
    records.map_or(1, |records| train_max(tcb, records, mss))
}

/// Most segments of a train.
fn train_max(tcb: &Tcb, records: &Records, mss: u32) -> u32 {
    if tcb.mss.super_segment_max == 0 {
        return 1;
    }
    let most = u64::from(RECORD_MAX);
    let paced = records.rate.map_or(most, |rate| rate >> PACE_SHIFT);
    let closeness = tcb
        .rtt
        .min_rtt()
        .map_or(u128::MAX, |rtt| rtt.as_micros() >> RTT_SHIFT);
    let near = u32::try_from(closeness)
        .ok()
        .filter(|shift| *shift < 32)
        .map_or(0, |shift| most >> shift);
    let octets = u32::try_from((paced + near).min(most)).unwrap_or(RECORD_MAX);
    let fits = (tcb.mss.super_segment_max / mss).max(1);
    (octets / mss).max(TRAIN_MIN).min(fits)
}

/// Nagle's algorithm as Minshall has it: a small segment waits while another is unacknowledged. A cork holds all of them.
fn holds_small(tcb: &Tcb, records: &Records, small: bool) -> bool {
    if !small || records.push_once || tcb.rare().snd_up.is_some() {
        return false;
    }
    if tcb.config.cork || records.more {
        return true;
    }
    tcb.config.nagle
        && tcb.is_outstanding()
        && records.small.after(tcb.snd.una)
        && records.small.at_or_before(tcb.snd.nxt)
}

/// How much of a record leaves: whole segments, and the small one at its end if that need not wait.
fn split_point(
    tcb: &Tcb,
    records: &Records,
    head: Head,
    (quota, mss, usable): (u32, u32, u32),
) -> u32 {
    if tcb.rare().snd_up.is_some() {
        return mss;
    }
    let most = quota.saturating_mul(mss);
    if most <= usable && !head.last {
        return most;
    }
    let needed = head.len.min(usable);
    if most <= needed {
        return most;
    }
    let rest = needed % mss;
    if holds_small(tcb, records, rest != 0) {
        needed - rest
    } else {
        needed
    }
}

/// Whether a train that is shorter than it could be waits for the acknowledgment that is about to come.
fn should_wait(
    tcb: &Tcb,
    records: &Records,
    head: Head,
    (quota, mss, usable): (u32, u32, u32),
    now: Instant,
) -> bool {
    if tcb.loss == LossState::FastRecovery || tcb.loss == LossState::Timeout {
        return false;
    }
    if records.last_sent.is_none_or(|sent| now - sent > RECENT) {
        return false;
    }
    let train = train_max(tcb, records, mss);
    let room = tcb.congestion.window().saturating_sub(tcb.pipe()) / mss * mss;
    let limit = usable.min(room);
    debug_assert!(quota > 0, "there is room for a segment");
    if limit >= train.saturating_mul(mss) || (!head.last && limit >= head.len) {
        return false;
    }
    if limit >= tcb.snd.wnd.min(tcb.congestion.window()) / WINDOW_DIVISOR {
        return false;
    }
    let repairs = tcb.repairs.as_deref();
    let sent = repairs.and_then(|repairs| repairs.flight.oldest_sent());
    let (Some(sent), Some(srtt)) = (sent, tcb.rtt.srtt()) else {
        return false;
    };
    // If the next acknowledgment is not about to come, waiting for it costs more than it saves.
    let until_ack = (sent + srtt) - now;
    if until_ack > RECENT.min(srtt / 2) {
        return false;
    }
    let limited_by_congestion = room < usable;
    let ends = tcb.app.closing && head.last;
    let short = if limited_by_congestion { room } else { usable } <= head.len;
    short || !ends
}

/// Notes what a train that has just left says about pace and use of the window.
pub(super) fn note_sent(tcb: &mut Tcb, cx: &Context<'_>, len: u32, mss: u32) {
    let (nxt, una) = (tcb.snd.nxt, tcb.snd.una);
    let smss = u32::from(tcb.mss.send).max(1);
    let in_flight = segments_out(tcb);
    let forced = tcb.intents.override_silly_window;
    let limited = tcb.pipe().div_ceil(smss) >= tcb.congestion.window() / smss;
    let Some(records) = tcb.records.as_deref_mut() else {
        return;
    };
    records.last_sent = Some(cx.now);
    records.split_at(nxt);
    if forced {
        records.push_at(nxt);
    }
    // What the persist timer forced out does not hold back what follows.
    if !forced && (len == 0 || !len.is_multiple_of(mss)) {
        records.small = nxt;
    }
    let usage = &mut records.usage;
    let over = una.at_or_after(usage.until);
    if over || limited || (!usage.limited && in_flight > usage.segments_max) {
        usage.limited = limited;
        usage.segments_max = in_flight;
        usage.until = nxt;
    }
}

/// Segments sent and not acknowledged.
fn segments_out(tcb: &Tcb) -> u32 {
    tcb.repairs.as_deref().map_or(0, |it| it.flight.out)
}

/// The pacing rate after an acknowledgment: twice what the window sends in a round trip in slow start, 1.2 times later.
#[inline]
pub(crate) fn update_rate(tcb: &mut Tcb) {
    if tcb.records.is_some() {
        measure_rate(tcb);
    }
}

fn measure_rate(tcb: &mut Tcb) {
    let Some(srtt) = tcb.rtt.srtt() else {
        return;
    };
    let smss = u32::from(tcb.mss.send).max(1);
    let cwnd = tcb.congestion.window();
    let percent = if cwnd < tcb.congestion.ssthresh() / 2 {
        200
    } else {
        120
    };
    let octets = u64::from(cwnd.max(segments_out(tcb).saturating_mul(smss))) * percent / 100;
    let micros = u64::try_from(srtt.as_micros()).unwrap_or(u64::MAX).max(1);
    if let Some(records) = tcb.records.as_deref_mut() {
        records.rate = Some(octets.saturating_mul(1_000_000) / micros);
    }
}

/// Whether the congestion window was not the limit, so that an acknowledgment must not open it.
pub(crate) fn is_window_unused(tcb: &Tcb) -> Option<bool> {
    let usage = tcb.records.as_deref()?.usage;
    let smss = u32::from(tcb.mss.send).max(1);
    let window = tcb.congestion.window();
    let used = usage.limited
        || (window < tcb.congestion.ssthresh()
            && window / smss < usage.segments_max.saturating_mul(2));
    Some(!used)
}
