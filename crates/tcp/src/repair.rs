//! What a sender that counts segments does about losses, whatever noticed them: it enters and leaves recovery, shrinks and restores the
//! congestion window, and runs one timer for the timeout, the probe of the tail and what may only have been reordered.

use core::time::Duration;

use crate::congestion::{Loss, LossEvent};
use crate::host::Context;
use crate::recovery::flight::{Clock, Pending, Sending};
use crate::recovery::repairs::{Reduction, Repairs, Undo};
use crate::status::Repair;
use crate::tcb::{LossState, Tcb};
use crate::time::Instant;
use crate::timer::Timer;

/// Added to two round trips before the tail is probed, and to what may have been reordered.
const TIMEOUT_MIN: Duration = Duration::from_millis(2);

/// The least time a peer has to acknowledge what it SACKed.
const RENEGING_MIN: Duration = Duration::from_millis(10);

/// The size of a full segment, in octets; what a segment of the congestion window stands for.
pub(crate) fn segment(tcb: &Tcb) -> u32 {
    u32::from(tcb.mss.send).max(1)
}

/// The congestion window, in segments.
pub(crate) fn window(tcb: &Tcb) -> u32 {
    tcb.congestion.window() / segment(tcb)
}

/// The slow-start threshold, in segments; at most what 32 bits of octets hold.
pub(crate) fn threshold(tcb: &Tcb) -> u32 {
    tcb.congestion.ssthresh() / segment(tcb)
}

/// Sets the congestion window to so many segments; the threshold stays.
pub(crate) fn set_window(tcb: &mut Tcb, segments: u32) {
    let octets = segments.saturating_mul(segment(tcb));
    let threshold = tcb.congestion.ssthresh();
    tcb.congestion.set_windows(octets, threshold);
}

/// The peer may have offered a larger window than ever: segments may become longer, and the congestion window keeps their number.
#[inline]
pub(crate) fn keep_to_window(tcb: &mut Tcb) {
    if tcb.repairs.is_some() {
        take_share_of_window(tcb);
    }
}

fn take_share_of_window(tcb: &mut Tcb) {
    let segments = window(tcb);
    if tcb.mss.keep_to_window(tcb.snd.wnd_max) {
        set_window(tcb, segments);
    }
}

/// Segments that a retransmission may take now, and where the peer's window ends.
pub(crate) fn limits(tcb: &Tcb, mss: u32) -> Sending {
    let in_network = tcb
        .repairs
        .as_deref()
        .map_or(0, |it| it.flight.in_network());
    Sending {
        mss,
        segments: window(tcb).saturating_sub(in_network),
        una: tcb.snd.una,
        window_end: tcb.snd.una + tcb.snd.wnd,
    }
}

/// Where the repair stands; all is well where segments are not counted.
pub(crate) fn stage(tcb: &Tcb) -> Repair {
    tcb.repairs
        .as_deref()
        .map(|repairs| repairs.stage)
        .unwrap_or_default()
}

/// Tells the rest of the connection where the repair stands.
pub(crate) fn set_stage(tcb: &mut Tcb, stage: Repair) {
    let Some(repairs) = tcb.repairs.as_deref_mut() else {
        return;
    };
    repairs.stage = stage;
    tcb.recover = repairs.high;
    tcb.loss = match stage {
        Repair::Open | Repair::Disorder | Repair::Reduced => LossState::Open,
        Repair::Recovery => LossState::FastRecovery,
        Repair::Loss => LossState::Timeout,
    };
}

/// Begins to reduce the window: the threshold is lowered, the window follows as acknowledgments come.
pub(crate) fn begin_reduction(tcb: &mut Tcb, now: Instant) {
    let (smss, window_before, nxt) = (segment(tcb), window(tcb), tcb.snd.nxt);
    let octets = tcb.congestion.window();
    tcb.congestion.on_congestion(&LossEvent {
        now,
        flight: window_before.saturating_mul(smss),
        smss,
        kind: Loss::FastRetransmit,
    });
    // Whole segments, two at least; the window itself shrinks step by step.
    let threshold = (tcb.congestion.ssthresh() / smss).max(2) * smss;
    tcb.congestion.set_windows(octets, threshold);
    if let Some(repairs) = tcb.repairs.as_deref_mut() {
        repairs.high = nxt;
        repairs.probe_until = None;
        repairs.reduction = Reduction {
            window_before,
            ..Reduction::default()
        };
    }
}

/// The window has shrunk to the threshold.
pub(crate) fn end_reduction(tcb: &mut Tcb) {
    let infinite = tcb.congestion.ssthresh() >= u32::MAX / 2;
    let Some(repairs) = tcb.repairs.as_deref() else {
        return;
    };
    if !infinite && (repairs.stage == Repair::Reduced || repairs.undo.since.is_some()) {
        let threshold = tcb.congestion.ssthresh();
        tcb.congestion.set_windows(threshold, threshold);
    }
}

/// Remembers what would have to be restored.
fn remember(tcb: &mut Tcb) {
    let (window, threshold, una) = (tcb.congestion.window(), current_threshold(tcb), tcb.snd.una);
    if let Some(repairs) = tcb.repairs.as_deref_mut() {
        let probed = u32::from(repairs.probe_until.is_some() && repairs.probe_repeated);
        let unreported = repairs.flight.repeated + probed;
        repairs.undo = Undo {
            since: Some(una),
            unreported: (unreported > 0).then_some(unreported),
            window,
            threshold: Some(threshold),
        };
    }
}

/// The threshold that remembers three quarters of a window in use (RFC 7661 4.4.3).
fn current_threshold(tcb: &Tcb) -> u32 {
    let threshold = tcb.congestion.ssthresh();
    if tcb.repairs.as_deref().is_some_and(Repairs::is_reducing) {
        return threshold;
    }
    let window = tcb.congestion.window();
    threshold.max(window / 2 + window / 4)
}

/// A window that was not used is halved for each RTO, down to the initial one; the threshold remembers most of it (RFC 2861 3.1).
pub(crate) fn restart_after_idle(tcb: &mut Tcb, idle: Duration, rto: Duration) {
    let threshold = current_threshold(tcb);
    let mut segments = window(tcb);
    let least = u32::from(tcb.config.initial_window).min(segments);
    let mut left = idle;
    while left > rto && segments > least {
        left -= rto;
        segments /= 2;
    }
    let octets = segments.max(least).saturating_mul(segment(tcb));
    tcb.congestion.set_windows(octets, threshold);
}

/// Fast recovery begins (RFC 5681 3.2, RFC 9937 6).
pub(crate) fn enter_recovery(tcb: &mut Tcb, cx: &mut Context<'_>) {
    cx.host.counters.fast_recoveries += 1;
    let reducing = tcb.repairs.as_deref().is_some_and(Repairs::is_reducing);
    remember(tcb);
    if !reducing {
        begin_reduction(tcb, cx.now);
    }
    set_stage(tcb, Repair::Recovery);
}

/// A timeout: all is lost, and the window starts from one segment (RFC 5681 3.1).
pub(crate) fn enter_loss(tcb: &mut Tcb, cx: &Context<'_>) {
    let (now, sack, una, nxt) = (cx.now, tcb.negotiated.sack, tcb.snd.una, tcb.snd.nxt);
    let fresh_loss = tcb.patience.tries <= 1;
    let Some(repairs) = tcb.repairs.as_deref_mut() else {
        return;
    };
    let (stage, high) = (repairs.stage, repairs.high);
    repairs.flight.mark_all_lost(now, sack);
    let lowers =
        stage <= Repair::Disorder || !high.after(una) || (stage == Repair::Loss && fresh_loss);
    if lowers {
        remember(tcb);
        let smss = segment(tcb);
        let flight = window(tcb).saturating_mul(smss);
        let loss = LossEvent {
            now,
            flight,
            smss,
            kind: Loss::FastRetransmit,
        };
        tcb.congestion.on_timeout(&loss, true);
        let threshold = (tcb.congestion.ssthresh() / smss).max(2) * smss;
        tcb.congestion.set_windows(smss, threshold);
    }
    let in_network = tcb
        .repairs
        .as_deref()
        .map_or(0, |it| it.flight.in_network());
    set_window(tcb, in_network + 1);
    if let Some(repairs) = tcb.repairs.as_deref_mut() {
        repairs.high = nxt;
        repairs.probe_until = None;
        repairs.new_text_first = false;
        repairs.suspects_timeout = stage < Repair::Recovery || !fresh_loss;
    }
    set_stage(tcb, Repair::Loss);
}

/// Whether what was taken for lost has arrived all the same: every copy was reported, or what is acknowledged was sent before the first
/// copy (RFC 3522, RFC 3708).
pub(crate) fn may_undo(tcb: &Tcb, echo_is_older: bool) -> bool {
    tcb.repairs.as_deref().is_some_and(|repairs| {
        repairs.undo.since.is_some() && (repairs.undo.unreported == Some(0) || echo_is_older)
    })
}

/// Takes the reduction back.
pub(crate) fn undo_reduction(tcb: &mut Tcb, unmark: bool) {
    let Some(repairs) = tcb.repairs.as_deref_mut() else {
        return;
    };
    if unmark {
        repairs.flight.unmark_lost();
    }
    let undo = repairs.undo;
    repairs.undo.since = None;
    if let Some(threshold) = undo.threshold {
        let window = tcb.congestion.window().max(undo.window);
        let threshold = threshold.max(tcb.congestion.ssthresh());
        tcb.congestion.set_windows(window, threshold);
    }
}

/// Open, or disorder while something is out of order.
pub(crate) fn keep_open(tcb: &mut Tcb) {
    let nxt = tcb.snd.nxt;
    let Some(repairs) = tcb.repairs.as_deref_mut() else {
        return;
    };
    let disorder = repairs.flight.has_left_out() || repairs.flight.any_repeated();
    let stage = if disorder {
        Repair::Disorder
    } else {
        Repair::Open
    };
    if repairs.stage != stage {
        repairs.high = nxt;
        set_stage(tcb, stage);
    }
}

/// What losses are measured with.
pub(crate) fn clock(tcb: &Tcb, now: Instant) -> Clock {
    Clock {
        now,
        min_rtt: tcb.rtt.min_rtt(),
        srtt: tcb.rtt.srtt(),
        in_recovery: tcb
            .repairs
            .as_deref()
            .is_some_and(|it| it.stage >= Repair::Recovery),
    }
}

/// Looks for losses by time, and arms the timer for what is not certain yet.
pub(crate) fn detect_losses(tcb: &mut Tcb, now: Instant, always: bool) {
    let clock = clock(tcb, now);
    let Some(repairs) = tcb.repairs.as_deref_mut() else {
        return;
    };
    let again = if always {
        repairs.flight.detect_losses_now(&clock)
    } else {
        repairs.flight.detect_losses(&clock)
    };
    if let Some(again) = again {
        repairs.flight.pending = Pending::Reordering;
        let wait = (again + TIMEOUT_MIN).min(tcb.rto());
        tcb.timers.set(Timer::Retransmission, now + wait);
    }
}

/// The RTO of the oldest segment starts over; time that passed under another timer counts.
pub(crate) fn rearm(tcb: &mut Tcb, now: Instant) {
    let rto = tcb.rto();
    let Some(repairs) = tcb.repairs.as_deref_mut() else {
        return;
    };
    if repairs.flight.out == 0 {
        repairs.flight.pending = Pending::Timeout;
        tcb.timers.stop(Timer::Retransmission);
        return;
    }
    let mut wait = rto;
    if core::mem::take(&mut repairs.flight.pending) != Pending::Timeout
        && let Some(sent) = repairs.flight.oldest_sent()
    {
        wait = rto.saturating_sub(now - sent).max(Duration::from_micros(1));
    }
    tcb.timers.set(Timer::Retransmission, now + wait);
}

/// The path was gone, not congested: the retransmission timer backs off once less (RFC 6069 4).
pub(crate) fn undo_backoff(tcb: &mut Tcb, now: Instant) {
    if tcb.patience.tries == 0 || !tcb.rtt.undo_backoff() {
        return;
    }
    let rto = tcb.rto();
    if let Some(sent) = tcb
        .repairs
        .as_deref()
        .and_then(|repairs| repairs.flight.oldest_sent())
    {
        let wait = rto.saturating_sub(now - sent).max(Duration::from_micros(1));
        tcb.timers.set(Timer::Retransmission, now + wait);
    }
}

/// The peer seems to have thrown away what it had SACKed (RFC 2018 8). Unless it acknowledges that shortly, it counts as lost.
pub(crate) fn expect_reneging(tcb: &mut Tcb, now: Instant) {
    let half = tcb.rtt.srtt().map_or(Duration::ZERO, |srtt| srtt / 2);
    if let Some(repairs) = tcb.repairs.as_deref_mut() {
        repairs.flight.pending = Pending::Timeout;
    }
    let wait = half.max(RENEGING_MIN);
    tcb.timers.set(Timer::Retransmission, now + wait);
}

/// Arms the probe of the tail, where one is due: two round trips after the last transmission, and not later than the RTO (RFC 8985 7.2).
pub(crate) fn arm_probe(tcb: &mut Tcb, now: Instant, advancing: bool) -> bool {
    if !tcb.config.tail_loss_probe || !tcb.negotiated.sack {
        return false;
    }
    let (rto, srtt, rto_min) = (tcb.rto(), tcb.rtt.srtt(), tcb.config.rto_min);
    let rto_initial = tcb.config.rto_initial;
    let Some(repairs) = tcb.repairs.as_deref_mut() else {
        return false;
    };
    let open = matches!(repairs.stage, Repair::Open | Repair::Reduced);
    if repairs.flight.out == 0 || !open {
        return false;
    }
    let mut wait = match srtt {
        Some(srtt) if repairs.flight.out == 1 => rto_min.saturating_add(srtt * 2),
        Some(srtt) => srtt * 2 + TIMEOUT_MIN,
        None => rto_initial,
    };
    let until_timeout = if advancing {
        rto
    } else {
        let sent = repairs.flight.oldest_sent().unwrap_or(now);
        rto.saturating_sub(now - sent)
    };
    if !until_timeout.is_zero() {
        wait = wait.min(until_timeout);
    }
    repairs.flight.pending = Pending::TailProbe;
    tcb.timers.set(Timer::Retransmission, now + wait);
    true
}

/// Text or a FIN has left for the first time.
pub(crate) fn on_sent(
    tcb: &mut Tcb,
    now: Instant,
    start: handwave_wire::SeqNum,
    text: u32,
    size: u32,
) {
    let nxt = tcb.snd.nxt;
    let Some(repairs) = tcb.repairs.as_deref_mut() else {
        return;
    };
    let was_empty = repairs.flight.out == 0;
    let count = repairs.flight.on_sent((start, nxt), text, size, now);
    if repairs.is_reducing() {
        repairs.reduction.sent += count;
    }
    let probing = repairs.flight.pending == Pending::TailProbe;
    if core::mem::take(&mut repairs.probe) {
        repairs.probe_until = Some(nxt);
        repairs.probe_repeated = false;
        return rearm(tcb, now);
    }
    if was_empty || probing || !tcb.timers.is_set(Timer::Retransmission) {
        rearm(tcb, now);
    }
    arm_probe(tcb, now, false);
}

/// Text has left again.
pub(crate) fn on_repeated(tcb: &mut Tcb, now: Instant, count: u32, first: bool) {
    let rto = tcb.rto();
    let Some(repairs) = tcb.repairs.as_deref_mut() else {
        return;
    };
    repairs.repeating_since.get_or_insert(now);
    repairs.undo.unreported = Some(repairs.undo.unreported.unwrap_or(0) + count);
    if repairs.is_reducing() {
        repairs.reduction.sent += count;
    }
    if first && repairs.flight.pending != Pending::Reordering {
        repairs.flight.pending = Pending::Timeout;
        tcb.timers.set(Timer::Retransmission, now + rto);
    }
}

/// Segments have become too large for the path: those are sent again, for a reason that says nothing about congestion.
pub(crate) fn resend_all(tcb: &mut Tcb, now: Instant) {
    let (nxt, smss, threshold, window) = (
        tcb.snd.nxt,
        segment(tcb),
        current_threshold(tcb),
        tcb.congestion.window(),
    );
    let sack = tcb.negotiated.sack;
    let Some(repairs) = tcb.repairs.as_deref_mut() else {
        return;
    };
    if !repairs.flight.mark_large_lost(smss, sack) {
        return;
    }
    if repairs.stage != Repair::Loss {
        repairs.high = nxt;
        repairs.undo.since = None;
        repairs.undo.threshold = None;
        tcb.congestion.set_windows(window, threshold);
        set_stage(tcb, Repair::Loss);
    }
    rearm(tcb, now);
}

/// The probe of the tail is due: new text if the peer's window takes it, the last segment again otherwise (RFC 8985 7.3).
pub(crate) fn on_probe_timeout(tcb: &mut Tcb, now: Instant) {
    if let Some(repairs) = tcb.repairs.as_deref_mut() {
        repairs.flight.pending = Pending::Reordering;
        if repairs.probe_until.is_none() {
            repairs.probe = true;
        }
    }
    rearm(tcb, now);
}

/// What may have been reordered has had its time (RFC 8985 6.3).
pub(crate) fn on_reordering_timeout(tcb: &mut Tcb, cx: &mut Context<'_>) {
    let before = tcb
        .repairs
        .as_deref()
        .map_or(0, |it| it.flight.in_network());
    if let Some(repairs) = tcb.repairs.as_deref_mut() {
        repairs.flight.pending = Pending::Timeout;
    }
    tcb.timers.stop(Timer::Retransmission);
    detect_losses(tcb, cx.now, true);
    let Some(repairs) = tcb.repairs.as_deref() else {
        return;
    };
    if repairs.flight.in_network() != before && repairs.stage != Repair::Recovery {
        enter_recovery(tcb, cx);
        let threshold = threshold(tcb);
        if let Some(repairs) = tcb.repairs.as_deref_mut() {
            let in_network = repairs.flight.in_network();
            let allowed = repairs
                .reduction
                .allows((1, 0), false, threshold, in_network);
            set_window(tcb, in_network + allowed);
        }
    }
    if !tcb.timers.is_set(Timer::Retransmission) {
        if let Some(repairs) = tcb.repairs.as_deref_mut() {
            repairs.flight.pending = Pending::Reordering;
        }
        rearm(tcb, cx.now);
    }
}
