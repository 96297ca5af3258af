//! What an acknowledgment says about losses to a sender that counts segments: where the repair stands after it, and what the congestion
//! window becomes (RFC 5681, RFC 6582, RFC 8985, RFC 9937, RFC 5682, RFC 3708).

use core::time::Duration;

use handwave_wire::SeqNum;

use crate::congestion::AckEvent;
use crate::host::Context;
use crate::output::{is_window_unused, persist_interval};
use crate::recovery::flight::{Acknowledged, Marking, REORDERING, Sacked};
use crate::repair;
use crate::segment::SegmentIn;
use crate::status::Repair;
use crate::tcb::Tcb;
use crate::time::Instant;
use crate::timer::Timer;

/// An acknowledgment, before and while it is taken.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Told {
    /// Segments in flight before.
    out_before: u32,
    delivered_before: u32,
    lost_before: u32,
    /// SND.UNA has moved.
    advances: bool,
    /// It carries text, a new window or an acknowledgment of something new.
    not_duplicate: bool,
    covered: Acknowledged,
    sacked: Sacked,
    /// The echoed timestamp is older than the first retransmission.
    echo_is_older: bool,
    /// A copy was lost too.
    lost_again: bool,
    set_timer: bool,
}

/// Takes SACK blocks and the cumulative acknowledgment, SND.UNA having moved already; measures the round trip.
///
/// A segment that `says_more` brought text, a FIN or a new window and is no duplicate acknowledgment.
pub(super) fn take(
    tcb: &mut Tcb,
    cx: &Context<'_>,
    segment: &SegmentIn,
    una_before: SeqNum,
    says_more: bool,
) -> Told {
    let header = &segment.header;
    let sack = tcb.negotiated.sack;
    let advances = tcb.snd.una.after(una_before);
    let old = header.ack.before(una_before);
    let min_rtt = tcb.rtt.min_rtt();
    let (una, nxt, mss) = (tcb.snd.una, tcb.snd.nxt, repair::segment(tcb));
    let echo_is_older = echo_is_older(tcb, segment);
    let mut told = Told {
        out_before: 0,
        delivered_before: 0,
        lost_before: 0,
        advances,
        not_duplicate: says_more || advances || old,
        covered: Acknowledged::default(),
        sacked: Sacked::default(),
        echo_is_older,
        lost_again: false,
        set_timer: false,
    };
    let Some(repairs) = tcb.repairs.as_deref_mut() else {
        return told;
    };
    told.out_before = repairs.flight.out;
    told.delivered_before = repairs.flight.delivered;
    told.lost_before = repairs.flight.lost_ever;
    let at = Marking {
        una_before,
        una,
        nxt,
        high: repairs.high,
        now: cx.now,
        min_rtt,
        mss,
    };
    if sack && !header.options.sack.is_empty() {
        told.sacked = repairs.flight.mark_sacked(&header.options.sack, &at);
    }
    if let Some(block) = told.sacked.duplicate {
        let counts = repairs
            .undo
            .since
            .is_some_and(|since| block.right.after(since) && block.right.at_or_before(una_before));
        let inside = block.right.after(una_before);
        if counts || inside {
            let segments = block.right.since(block.left).div_ceil(mss);
            repairs.undo.unreported = repairs
                .undo
                .unreported
                .map(|left| left.saturating_sub(segments));
        }
    }
    if advances {
        told.covered = repairs.flight.acknowledge(&at, sack);
        told.set_timer = true;
    } else if let Some(sent) = told.sacked.first_sent {
        told.set_timer = repairs.flight.head_sent_before(sent);
    }
    measure(tcb, cx, segment, &told);
    told
}

/// Whether the segment that is acknowledged was sent before anything was sent again (RFC 3522 3.2).
fn echo_is_older(tcb: &Tcb, segment: &SegmentIn) -> bool {
    let since = tcb.repairs.as_deref().and_then(|it| it.repeating_since);
    let echo = segment.header.options.timestamps.map(|it| it.echo);
    match (since, echo) {
        (Some(since), Some(echo)) if tcb.negotiated.timestamps && echo != 0 => {
            SeqNum::new(echo).before(SeqNum::new(tcb.clock.value(since)))
        }
        _ => false,
    }
}

/// Round-trip time: of the oldest segment acknowledged, else of the oldest SACKed, else the echoed timestamp.
fn measure(tcb: &mut Tcb, cx: &Context<'_>, segment: &SegmentIn, told: &Told) {
    let sent = told.covered.first_sent.or(told.sacked.first_sent);
    let echoed = || {
        let echo = segment.header.options.timestamps?.echo;
        let usable = tcb.negotiated.timestamps && echo != 0 && told.advances;
        let millis = tcb.clock.value(cx.now).wrapping_sub(echo);
        // An echo of a number we have not sent yet tells nothing.
        (usable && millis < 1 << 30).then(|| Duration::from_millis(u64::from(millis.max(1))))
    };
    let Some(rtt) = sent.map(|sent| cx.now - sent).or_else(echoed) else {
        return;
    };
    let (una, nxt) = (tcb.snd.una, tcb.snd.nxt);
    let over = tcb
        .records
        .as_deref_mut()
        .is_some_and(|records| records.round_over(una, nxt));
    if tcb.config.rtt_variation == crate::recovery::RttVariation::Windowed {
        tcb.rtt.on_sample_in_round(rtt, over);
    } else {
        tcb.rtt.on_sample(rtt);
    }
    tcb.rtt.reset_backoff();
}

/// Decides what the acknowledgment means, and adapts window and timer to it.
pub(super) fn conclude(tcb: &mut Tcb, cx: &mut Context<'_>, told: &mut Told) {
    if let Some(repairs) = tcb.repairs.as_deref_mut() {
        repairs.new_text_first = false;
    }
    if told.out_before == 0 && !told.advances {
        if tcb.snd.wnd == 0 && tcb.has_unsent() {
            // The answer to a probe: the next one is due a whole interval from now.
            let wait = persist_interval(tcb, cx.now);
            tcb.timers.set(Timer::Persist, cx.now + wait);
        }
        return;
    }
    end_probe(tcb, cx.now, told);
    let stage = repair::stage(tcb);
    let dubious = !told.not_duplicate || told.sacked.segments > 0 || stage != Repair::Open;
    if dubious || told.sacked.duplicate.is_some() {
        let duplicate = !told.advances && !told.not_duplicate && told.sacked.duplicate.is_none();
        alert(tcb, cx, told, duplicate);
    }
    if told.set_timer && !repair::arm_probe(tcb, cx.now, true) {
        repair::rearm(tcb, cx.now);
    }
    adapt_window(tcb, cx.now, told);
}

/// What the acknowledgment of a probe of the tail says (RFC 8985 7.4).
fn end_probe(tcb: &mut Tcb, now: Instant, told: &Told) {
    let una = tcb.snd.una;
    let Some(repairs) = tcb.repairs.as_deref_mut() else {
        return;
    };
    let Some(until) = repairs.probe_until.filter(|until| una.at_or_after(*until)) else {
        return;
    };
    let arrived_twice = told.sacked.duplicate.is_some();
    let pure_duplicate = !told.advances && !told.not_duplicate && told.sacked.segments == 0;
    if !repairs.probe_repeated || arrived_twice {
        repairs.probe_until = None;
    } else if una.after(until) {
        // The probe filled a hole: that was a loss.
        repair::begin_reduction(tcb, now);
        repair::set_stage(tcb, Repair::Reduced);
        repair::end_reduction(tcb);
        repair::keep_open(tcb);
    } else if pure_duplicate {
        repairs.probe_until = None;
    }
}

/// Something may be wrong.
fn alert(tcb: &mut Tcb, cx: &mut Context<'_>, told: &mut Told, duplicate: bool) {
    let una = tcb.snd.una;
    let sack = tcb.negotiated.sack;
    let Some(repairs) = tcb.repairs.as_deref_mut() else {
        return;
    };
    if repairs.flight.out == 0 && !sack {
        repairs.flight.forget_duplicates();
    }
    if repairs.flight.has_reneged() {
        if told.advances {
            told.set_timer = false;
            repair::expect_reneging(tcb, cx.now);
        }
        return;
    }
    match repairs.stage {
        Repair::Open => repairs.repeating_since = None,
        Repair::Reduced if una.at_or_after(repairs.high) && una != repairs.high => {
            repair::end_reduction(tcb);
            repair::set_stage(tcb, Repair::Open);
        }
        Repair::Recovery if una.at_or_after(repairs.high) => {
            if !sack {
                repairs.flight.forget_duplicates();
            }
            if try_end_recovery(tcb, told) {
                return;
            }
            repair::end_reduction(tcb);
        }
        Repair::Disorder | Repair::Reduced | Repair::Recovery | Repair::Loss => {}
    }
    let stage = repair::stage(tcb);
    match stage {
        Repair::Recovery => {
            in_recovery(tcb, cx, told, duplicate);
            return;
        }
        Repair::Loss => {
            in_loss(tcb, told, duplicate);
            identify(tcb, cx.now, told);
            let stage = repair::stage(tcb);
            if stage != Repair::Open && !told.lost_again {
                return;
            }
        }
        Repair::Open | Repair::Disorder | Repair::Reduced => {
            count_duplicate(tcb, told, duplicate);
            if stage <= Repair::Disorder {
                try_undo_reported(tcb);
            }
            identify(tcb, cx.now, told);
        }
    }
    enter_or_stay(tcb, cx);
}

/// Enters recovery if something is lost.
fn enter_or_stay(tcb: &mut Tcb, cx: &mut Context<'_>) {
    let Some(repairs) = tcb.repairs.as_deref_mut() else {
        return;
    };
    if repairs.flight.lost > 0 {
        repair::enter_recovery(tcb, cx);
        return;
    }
    if !repairs.flight.any_repeated() {
        repairs.repeating_since = None;
    }
    if repairs.stage != Repair::Reduced {
        repair::keep_open(tcb);
    }
}

fn in_recovery(tcb: &mut Tcb, cx: &mut Context<'_>, told: &mut Told, duplicate: bool) {
    let sack = tcb.negotiated.sack;
    if told.advances {
        if try_undo_partial(tcb, told) {
            return;
        }
    } else if !sack
        && duplicate
        && let Some(repairs) = tcb.repairs.as_deref_mut()
    {
        repairs.flight.count_duplicate();
    }
    if try_undo_reported(tcb) {
        return repair::keep_open(tcb);
    }
    identify(tcb, cx.now, told);
    let stage = repair::stage(tcb);
    if stage != Repair::Recovery {
        enter_or_stay(tcb, cx);
    }
}

/// Without SACK each duplicate stands for a segment, until something new is acknowledged.
fn count_duplicate(tcb: &mut Tcb, told: &Told, duplicate: bool) {
    if tcb.negotiated.sack {
        return;
    }
    let Some(repairs) = tcb.repairs.as_deref_mut() else {
        return;
    };
    if told.advances {
        repairs.flight.forget_duplicates();
    }
    if duplicate {
        repairs.flight.count_duplicate();
    }
}

/// Finds what is lost.
fn identify(tcb: &mut Tcb, now: Instant, told: &mut Told) {
    let sack = tcb.negotiated.sack;
    let Some(repairs) = tcb.repairs.as_deref_mut() else {
        return;
    };
    if repairs.flight.out == 0 {
        return;
    }
    if sack {
        let (repeated, lost) = (repairs.flight.repeated, repairs.flight.lost_ever);
        repair::detect_losses(tcb, now, false);
        if let Some(repairs) = tcb.repairs.as_deref() {
            told.lost_again |= repairs.flight.repeated < repeated;
            if repairs.flight.pending == crate::recovery::flight::Pending::Reordering
                || repairs.flight.lost_ever > lost
            {
                told.set_timer &=
                    repairs.flight.pending != crate::recovery::flight::Pending::Reordering;
            }
        }
        return;
    }
    let enough = repairs.flight.sacked >= repairs.flight.reordering;
    if (repairs.stage < Repair::Recovery && enough)
        || (repairs.stage == Repair::Recovery && told.advances)
    {
        repairs.flight.mark_first_lost();
    }
}

/// Everything that was sent when the loss was noticed is acknowledged; `true` if recovery lasts on all the same: without SACK,
/// duplicates of this acknowledgment may still come from what was sent again (RFC 6582 3.2).
fn try_end_recovery(tcb: &mut Tcb, told: &Told) -> bool {
    if repair::may_undo(tcb, told.echo_is_older) {
        repair::undo_reduction(tcb, false);
    }
    let (una, sack) = (tcb.snd.una, tcb.negotiated.sack);
    let Some(repairs) = tcb.repairs.as_deref_mut() else {
        return false;
    };
    if una == repairs.high && !sack {
        if !repairs.flight.any_repeated() {
            repairs.repeating_since = None;
        }
        return true;
    }
    repair::set_stage(tcb, Repair::Open);
    false
}

/// The hole was filled by the original: nothing was lost, the network reordered.
fn try_undo_partial(tcb: &mut Tcb, told: &Told) -> bool {
    let Some(repairs) = tcb.repairs.as_deref_mut() else {
        return false;
    };
    if repairs.undo.since.is_none() || !told.echo_is_older {
        return false;
    }
    if repairs.flight.repeated > 0 {
        return true;
    }
    if !repairs.flight.any_repeated() {
        repairs.repeating_since = None;
    }
    repair::undo_reduction(tcb, true);
    repair::keep_open(tcb);
    false
}

/// The peer has reported every copy as a duplicate.
fn try_undo_reported(tcb: &mut Tcb) -> bool {
    let all = tcb
        .repairs
        .as_deref()
        .is_some_and(|it| it.undo.since.is_some() && it.undo.unreported == Some(0));
    if all {
        repair::undo_reduction(tcb, false);
    }
    all
}

/// After a timeout: was it spurious (RFC 5682), is it over?
fn in_loss(tcb: &mut Tcb, told: &Told, duplicate: bool) {
    if told.advances && repair::may_undo(tcb, told.echo_is_older) {
        return undo_loss(tcb, false);
    }
    let (una, nxt, sack) = (tcb.snd.una, tcb.snd.nxt, tcb.negotiated.sack);
    let has_new_text = tcb.unsent() > 0 && tcb.snd.usable() > 0;
    let Some(repairs) = tcb.repairs.as_deref_mut() else {
        return;
    };
    let recovered = una.at_or_after(repairs.high);
    if repairs.suspects_timeout {
        if told.sacked.original || told.covered.original {
            return undo_loss(tcb, true);
        }
        if nxt.after(repairs.high) {
            if told.sacked.segments > 0 || duplicate {
                repairs.suspects_timeout = false;
            }
        } else if told.advances && !recovered {
            repairs.high = nxt;
            tcb.recover = nxt;
            if has_new_text {
                repairs.new_text_first = true;
                return;
            }
            repairs.suspects_timeout = false;
        }
    }
    if recovered {
        try_end_recovery(tcb, told);
        return;
    }
    if !sack {
        if nxt.after(repairs.high) && duplicate {
            repairs.flight.count_duplicate();
        } else if told.advances {
            repairs.flight.forget_duplicates();
        }
    }
}

fn undo_loss(tcb: &mut Tcb, certain: bool) {
    repair::undo_reduction(tcb, true);
    tcb.patience.tries = 0;
    let (una, sack) = (tcb.snd.una, tcb.negotiated.sack);
    let holds = tcb
        .repairs
        .as_deref()
        .is_some_and(|it| una == it.high && !sack);
    if !holds && (certain || sack) {
        repair::set_stage(tcb, Repair::Open);
    }
}

/// The window grows, or shrinks towards the threshold.
fn adapt_window(tcb: &mut Tcb, now: Instant, told: &Told) {
    let Some(repairs) = tcb.repairs.as_deref_mut() else {
        return;
    };
    let delivered = repairs.flight.delivered - told.delivered_before;
    let lost = repairs.flight.lost_ever - told.lost_before;
    let reordering = repairs.flight.reordering;
    if repairs.is_reducing() {
        if delivered == 0 || repairs.reduction.window_before == 0 {
            return;
        }
        let in_network = repairs.flight.in_network();
        let threshold = repair::threshold(tcb);
        let Some(repairs) = tcb.repairs.as_deref_mut() else {
            return;
        };
        let allowed =
            repairs
                .reduction
                .allows((delivered, lost), told.advances, threshold, in_network);
        return repair::set_window(tcb, in_network + allowed);
    }
    let raises = told.covered.segments > 0 || (reordering > REORDERING && told.sacked.segments > 0);
    if !raises || delivered == 0 {
        return;
    }
    let smss = repair::segment(tcb);
    let event = AckEvent {
        now,
        acked: delivered.saturating_mul(smss),
        newly_sacked: 0,
        rtt: tcb.rtt.srtt(),
        smss,
        segments_max: tcb.config.slow_start_segments,
        in_flight: told.out_before.saturating_mul(smss),
        app_limited: is_window_unused(tcb).unwrap_or(false),
        in_recovery: false,
    };
    tcb.congestion.on_ack(&event);
}
