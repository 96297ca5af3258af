//! What an acknowledgment says about losses: fast retransmit, recovery with SACK (RFC 6675) or without (RFC 6582), and the
//! congestion window's share in it (RFC 5681).

use handwave_wire::SackBlocks;

use crate::congestion::{AckEvent, Loss, LossEvent};
use crate::host::Context;
use crate::output::is_window_unused;
use crate::tcb::{LossState, Tcb};

/// Duplicate acknowledgments, or segments SACKed above, that make a segment count as lost (RFC 5681 3.2).
const DUP_THRESH: u32 = 3;

/// One acknowledgment, as loss recovery sees it.
#[derive(Debug)]
pub(super) struct AckedText {
    /// Sequence numbers newly acknowledged.
    pub(super) acked: u32,
    /// RFC 5681's duplicate acknowledgment.
    pub(super) duplicate: bool,
    /// Octets in flight before it.
    pub(super) flight_before: u32,
    /// Its SACK blocks.
    pub(super) sack: SackBlocks,
}

/// Updates the scoreboard, enters and leaves recovery, and lets the congestion window grow [RFC5681-16] [RFC6675-9].
pub(super) fn on_ack(tcb: &mut Tcb, cx: &mut Context<'_>, ack: &AckedText) {
    let smss = u32::from(tcb.mss.send);
    if ack.acked > 0 {
        tcb.scoreboard.on_advance(tcb.snd.una, ack.acked, smss);
        tcb.ack.duplicates = 0;
    }
    let mut newly_sacked = 0;
    if tcb.negotiated.sack && !ack.sack.is_empty() {
        newly_sacked = tcb
            .scoreboard
            .on_sack(tcb.snd.una, tcb.snd.nxt, &ack.sack)
            .newly_sacked;
    }
    let counts = ack.duplicate && (!tcb.negotiated.sack || newly_sacked > 0);
    if counts {
        tcb.ack.duplicates = tcb.ack.duplicates.saturating_add(1);
        if !tcb.negotiated.sack {
            tcb.scoreboard
                .on_duplicate_ack(tcb.snd.una, tcb.snd.nxt, smss);
        }
    }
    leave_recovery(tcb);
    match tcb.loss {
        LossState::Open => grow_or_enter(tcb, cx, ack, newly_sacked),
        LossState::FastRecovery => continue_fast_recovery(tcb, cx, ack, smss),
        LossState::Timeout | LossState::Resending => {
            grow(tcb, cx, ack, newly_sacked);
            if tcb.negotiated.sack {
                tcb.scoreboard.update_lost(tcb.snd.una, smss, DUP_THRESH);
                look_for_lost_retransmissions(tcb, cx, smss);
            }
        }
    }
}

/// Recovery ends when everything sent before the loss was noticed is acknowledged.
fn leave_recovery(tcb: &mut Tcb) {
    if tcb.loss == LossState::Open {
        // Lest a number from half the sequence space ago seem to lie ahead.
        if tcb.snd.una.since(tcb.recover) > 1 << 30 {
            tcb.recover = tcb.snd.una - 1;
        }
        return;
    }
    if tcb.snd.una.before(tcb.recover) {
        return;
    }
    if tcb.loss == LossState::FastRecovery {
        let (flight, smss) = (tcb.snd.flight(), u32::from(tcb.mss.send));
        tcb.congestion.on_recovery_end(flight, smss);
    }
    tcb.scoreboard.end_recovery();
    tcb.loss = LossState::Open;
}

fn grow_or_enter(tcb: &mut Tcb, cx: &mut Context<'_>, ack: &AckedText, newly_sacked: u32) {
    let smss = u32::from(tcb.mss.send);
    let lost = tcb.negotiated.sack && tcb.scoreboard.update_lost(tcb.snd.una, smss, DUP_THRESH);
    // Without SACK, duplicates of an acknowledgment that ended a recovery may come from what it sent again (RFC 6582 3.2 step 2).
    let telling = tcb.negotiated.sack || tcb.snd.una.after(tcb.recover);
    let duplicates = telling && u32::from(tcb.ack.duplicates) >= DUP_THRESH;
    if (lost || duplicates) && tcb.is_outstanding() {
        enter_fast_recovery(tcb, cx, smss);
    } else {
        grow(tcb, cx, ack, newly_sacked);
    }
}

/// Halves the window and sends the first lost segment at once (RFC 5681 3.2, RFC 6675 5 steps 4.1 to 4.3) [RFC5681-15] [RFC5681-19] [RFC5681-24] [RFC6675-10] [RFC6675-12].
fn enter_fast_recovery(tcb: &mut Tcb, cx: &mut Context<'_>, smss: u32) {
    let flight = tcb.snd.flight();
    tcb.scoreboard.begin_recovery();
    tcb.scoreboard
        .mark_lost_below((tcb.snd.una + smss).earlier_of(tcb.snd.nxt));
    tcb.congestion.on_congestion(&LossEvent {
        now: cx.now,
        flight,
        smss,
        kind: Loss::FastRetransmit,
    });
    tcb.loss = LossState::FastRecovery;
    tcb.recover = tcb.snd.nxt;
    tcb.intents.retransmit = true;
    tcb.ack.duplicates = 0;
    cx.host.counters.fast_recoveries += 1;
}

/// A partial acknowledgment names the next hole (RFC 6582 3.2 step 3); with SACK the scoreboard knows it already.
fn continue_fast_recovery(tcb: &mut Tcb, cx: &Context<'_>, ack: &AckedText, smss: u32) {
    if tcb.negotiated.sack {
        tcb.scoreboard.update_lost(tcb.snd.una, smss, DUP_THRESH);
        look_for_lost_retransmissions(tcb, cx, smss);
    } else if ack.acked > 0 && tcb.is_outstanding() {
        tcb.scoreboard
            .mark_lost_below((tcb.snd.una + smss).earlier_of(tcb.snd.nxt));
        tcb.intents.retransmit = true;
    }
}

/// A retransmission that is lost is another sign of congestion (RFC 5681 4.3), unless the window has shrunk since it left.
fn look_for_lost_retransmissions(tcb: &mut Tcb, cx: &Context<'_>, smss: u32) {
    let Some(sent_at) = tcb.scoreboard.find_lost_again(smss, DUP_THRESH) else {
        return;
    };
    if sent_at.at_or_after(tcb.recover) {
        let window = tcb.congestion.window();
        tcb.congestion.on_congestion(&LossEvent {
            now: cx.now,
            // What is SACKed has left the network, however long it stays in flight.
            flight: tcb.snd.flight().min(window),
            smss,
            kind: Loss::FastRetransmit,
        });
        tcb.recover = tcb.snd.nxt;
        tcb.intents.retransmit = true;
    }
}

fn grow(tcb: &mut Tcb, cx: &Context<'_>, ack: &AckedText, newly_sacked: u32) {
    if ack.acked == 0 {
        return;
    }
    let window = tcb.congestion.window();
    let event = AckEvent {
        now: cx.now,
        acked: ack.acked,
        newly_sacked,
        rtt: tcb.rtt.srtt(),
        smss: u32::from(tcb.mss.send),
        segments_max: tcb.config.slow_start_segments,
        in_flight: ack.flight_before,
        // A flight that left most of the window unused says nothing about what the path can take.
        app_limited: is_window_unused(tcb)
            .unwrap_or_else(|| ack.flight_before.saturating_mul(2) < window),
        in_recovery: false,
    };
    tcb.congestion.on_ack(&event);
}
