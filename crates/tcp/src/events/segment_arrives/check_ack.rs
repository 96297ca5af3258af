//! Fifth check: the ACK field (RFC 9293 3.10.7.4, RFC 5961 5.2).

use core::ops::ControlFlow::{Break, Continue};

use handwave_wire::{SeqNum, TcpFlags};

use super::loss_recovery::{self, AckedText};
use super::other_states::Step;
use super::repair_on_ack;
use crate::delayed_ack;
use crate::error::DropReason;
use crate::events::calls;
use crate::host::Context;
use crate::notice::Events;
use crate::output::restart_retransmission_timer;
use crate::phase::{Cause, Phase};
use crate::segment::SegmentIn;
use crate::tcb::{Tcb, octets};
use crate::time::Instant;
use crate::timer::Timer;
use crate::trace::Verdict;
use crate::tuning;
use crate::vars::RawWindow;

/// Takes the acknowledgment and the window, and changes the states that wait for an acknowledgment.
///
/// A segment that `counts` took sequence numbers when it arrived, even if nothing is left of it.
pub(super) fn check(
    tcb: &mut Tcb,
    cx: &mut Context<'_>,
    segment: &SegmentIn,
    counts: bool,
) -> Step {
    let header = &segment.header;
    if !header.flags.contains(TcpFlags::ACK) {
        return Break(Verdict::Dropped(DropReason::AckMissing));
    }
    if tcb.phase() == Phase::SynReceived {
        check_handshake_ack(tcb, cx, segment)?;
    }
    check_range(tcb, cx, header.ack)?;
    if let Some(rare) = tcb.rare_if_any() {
        rare.soft_error = None;
    }
    let before = Before {
        wnd: tcb.snd.wnd,
        flight: tcb.snd.flight(),
        una: tcb.snd.una,
    };
    if header.ack.at_or_after(tcb.snd.una)
        && let Some(repairs) = tcb.repairs.as_deref_mut()
    {
        repairs.accounts.last_acknowledged = Some(cx.now);
    }
    let new_window = take_window(tcb, segment);
    if let Some(records) = tcb.records.as_deref_mut() {
        // Whatever waits for more to follow has waited long enough.
        records.more = false;
    }
    let waited = tcb.app.wants_write;
    let acked = take_acknowledgment(
        tcb,
        cx,
        header.ack,
        header.options.timestamps.map(|ts| ts.echo),
    );
    if tcb.repairs.is_some() {
        let mut told = repair_on_ack::take(tcb, cx, segment, before.una, new_window || counts);
        repair_on_ack::conclude(tcb, cx, &mut told);
    } else {
        let duplicate = !counts && is_duplicate(tcb, segment, &before);
        loss_recovery::on_ack(
            tcb,
            cx,
            &AckedText {
                acked,
                duplicate,
                flight_before: before.flight,
                sack: header.options.sack,
            },
        );
    }
    tcb.patience.unanswered = 0;
    if waited {
        tuning::follow_flight(tcb, cx, before.flight, acked);
    }
    crate::output::update_rate(tcb);
    reopen(tcb, before.wnd, cx.now);
    if tcb.phase() == Phase::Closed {
        return Break(Verdict::Accepted);
    }
    Continue(())
}

/// The send variables before the segment was taken.
struct Before {
    wnd: u32,
    flight: u32,
    una: SeqNum,
}

/// SYN-RECEIVED: only the acknowledgment of our SYN will do; anything else is answered with RST.
fn check_handshake_ack(tcb: &mut Tcb, cx: &mut Context<'_>, segment: &SegmentIn) -> Step {
    let ack = segment.header.ack;
    if !(ack.after(tcb.snd.una) && ack.at_or_before(tcb.snd.nxt)) {
        // The RST goes out for this segment alone; the connection waits on.
        tcb.intents.reset_segment(ack);
        return Break(Verdict::ResetSent(DropReason::HandshakeAckUnacceptable));
    }
    tcb.snd.una = tcb.snd.iss + 1;
    tcb.timers.stop(Timer::Retransmission);
    if let Some((_, sent_at)) = tcb.timed.take_if(|timed| timed.0 == tcb.snd.iss + 1) {
        tcb.rtt.on_sample(cx.now - sent_at);
    }
    // In a simultaneous open the peer may be here before our SYN+ACK has left: its SYN is still to be acknowledged.
    tcb.intents.ack |= core::mem::take(&mut tcb.intents.synack);
    let wnd = RawWindow(segment.header.window) << tcb.snd.shift;
    tcb.snd.take_window(wnd, segment.header.seq, ack);
    crate::repair::keep_to_window(tcb);
    delayed_ack::begin(tcb);
    tcb.advance(cx, Cause::SynAcknowledged);
    Continue(())
}

/// SND.UNA - MAX.SND.WND =< SEG.ACK =< SND.NXT, or the segment was not written by our peer (RFC 5961 5.2 [MAY-12]) [RFC5961-7].
fn check_range(tcb: &mut Tcb, cx: &mut Context<'_>, ack: SeqNum) -> Step {
    if ack.after(tcb.snd.nxt) {
        tcb.challenge(cx);
        return Break(Verdict::Challenged(DropReason::AckUnacceptable));
    }
    // Linux also knows how much it ever sent.
    let sent = u32::try_from(tcb.stats.bytes_acked).unwrap_or(u32::MAX);
    let most = if tcb.repairs.is_some() {
        tcb.snd.wnd_max.min(sent)
    } else {
        tcb.snd.wnd_max
    };
    if ack.before(tcb.snd.una) && tcb.snd.una.since(ack) > most {
        tcb.challenge(cx);
        return Break(Verdict::Challenged(DropReason::AckUnacceptable));
    }
    Continue(())
}

/// The newest segment's window counts, not the last to arrive (SND.WL1, SND.WL2) [RFC7323-6].
///
/// An acknowledgment of something new makes a segment the newest too, whatever its place in sequence space: text sent
/// again has an old SEG.SEQ. Without its window, SND.UNA would take the right edge along to where the peer never put it.
fn take_window(tcb: &mut Tcb, segment: &SegmentIn) -> bool {
    let header = &segment.header;
    if header.ack.before(tcb.snd.una) {
        return false;
    }
    let wnd = RawWindow(header.window) << tcb.snd.shift;
    let seq = newest_seq(segment);
    // A sender that counts segments takes a smaller window for the same numbers for a segment that was overtaken, unless it is shut.
    let repeats = tcb.repairs.is_some() && wnd != 0 && wnd <= tcb.snd.wnd;
    let newer = header.ack.after(tcb.snd.una)
        || tcb.snd.wl1.before(seq)
        || (tcb.snd.wl1 == seq && tcb.snd.wl2.at_or_before(header.ack) && !repeats);
    if newer {
        let most = tcb.snd.wnd_max;
        tcb.snd.take_window(wnd, seq, header.ack);
        if tcb.snd.wnd_max > most {
            crate::repair::keep_to_window(tcb);
        }
    }
    newer
}

/// SEG.SEQ of the last segment whose window this is: of those joined the last of which there is text within the receive window.
fn newest_seq(segment: &SegmentIn) -> SeqNum {
    let seq = segment.header.seq;
    match segment.joined {
        Some(joined) if !segment.payload.is_empty() => {
            let end = seq + octets(segment.payload.len());
            joined.start_of(end - 1).later(seq)
        }
        _ => seq,
    }
}

/// Moves SND.UNA, frees what is acknowledged, measures, and changes state when our FIN is covered [RFC7323-18] [RFC6298-11].
///
/// Returns the sequence numbers newly acknowledged.
fn take_acknowledgment(tcb: &mut Tcb, cx: &mut Context<'_>, ack: SeqNum, echo: Option<u32>) -> u32 {
    if !ack.after(tcb.snd.una) {
        return 0;
    }
    let acked = ack.since(tcb.snd.una);
    let fin = tcb.fin_sent() && ack.after(tcb.text_end());
    if tcb.repairs.is_none() {
        measure(tcb, cx, ack, echo);
    }
    let text = (acked - u32::from(fin)).min(octets(tcb.send.len()));
    tcb.send.acknowledge(text as usize, &mut cx.host.buffers);
    tcb.snd.una = ack;
    if let Some(records) = tcb.records.as_deref_mut() {
        records.acknowledge(ack);
    }
    // Linux counts sequence numbers here, the FIN's too.
    let counted = if tcb.repairs.is_some() { acked } else { text };
    tcb.stats.bytes_acked += u64::from(counted);
    if let Some(rare) = tcb.rare_if_any() {
        rare.snd_up.take_if(|up| up.at_or_before(ack));
    }
    tcb.patience.tries = 0;
    tcb.patience.since = None;
    if tcb.is_outstanding() {
        if tcb.repairs.is_none() {
            restart_retransmission_timer(tcb, cx.now);
        }
        if let Some(limit) = tcb.config.user_timeout
            && tcb.repairs.is_none()
        {
            tcb.timers.set(Timer::UserTimeout, cx.now + limit);
        }
    } else {
        tcb.timers.stop(Timer::Retransmission);
        tcb.timers.stop(Timer::UserTimeout);
    }
    if tcb.app.wants_write && text > 0 && calls::is_roomy(tcb) {
        tcb.app.wants_write = false;
        tcb.events |= Events::WRITABLE;
    }
    if fin {
        tcb.events |= Events::FIN_ACKNOWLEDGED;
        tcb.advance(cx, Cause::FinAcknowledged);
        refuse_to_wait(tcb, cx, ack);
    }
    acked
}

/// Whoever has let go and will not wait in FIN-WAIT-2 at all resets the peer (`TCP_LINGER2` below 0 on Linux).
fn refuse_to_wait(tcb: &mut Tcb, cx: &mut Context<'_>, ack: SeqNum) {
    let waits = tcb.phase() == Phase::FinWait2 && tcb.app.released;
    if waits && tcb.records.is_some() && tcb.config.fin_wait2_timeout.is_zero() {
        tcb.advance(cx, Cause::FinWait2Elapsed);
        tcb.intents.reset_segment(ack);
    }
}

/// Round-trip time: the octet being timed, else the echoed timestamp (RFC 6298 3, RFC 7323 4) [MUST-18] [RFC7323-12].
fn measure(tcb: &mut Tcb, cx: &Context<'_>, ack: SeqNum, echo: Option<u32>) {
    if let Some((timed, sent_at)) = tcb.timed {
        if ack.at_or_after(timed) {
            tcb.rtt.on_sample(cx.now - sent_at);
            tcb.rtt.reset_backoff();
            tcb.timed = None;
        }
        return;
    }
    let Some(echo) = echo.filter(|&echo| tcb.negotiated.timestamps && echo != 0) else {
        return;
    };
    let millis = tcb.clock.value(cx.now).wrapping_sub(echo);
    // An echo of a number we have not sent yet tells nothing.
    if millis < 1 << 30 {
        tcb.rtt
            .on_sample(core::time::Duration::from_millis(u64::from(millis.max(1))));
        tcb.rtt.reset_backoff();
    }
}

/// A duplicate acknowledgment: nothing new in it but that a segment has left the network (RFC 5681 2).
fn is_duplicate(tcb: &Tcb, segment: &SegmentIn, before: &Before) -> bool {
    segment.header.ack == before.una && before.flight > 0 && tcb.snd.wnd == before.wnd
}

/// A window that opens again: what was sent into the shut one counts as lost and leaves at once. Where one has opened less than an RTO ago
/// what left then may be on its way, and is the timer's: a peer does not get a flight for each window that it shuts.
fn reopen(tcb: &mut Tcb, wnd_before: u32, now: Instant) {
    if wnd_before != 0 || tcb.snd.wnd == 0 {
        return;
    }
    tcb.timers.stop(Timer::Persist);
    tcb.patience.tries = 0;
    tcb.patience.since = None;
    if let Some(repairs) = tcb.repairs.as_deref_mut() {
        repairs.probing_since = None;
    }
    if tcb.is_outstanding() && tcb.repairs.is_none() {
        let rto = tcb.rto();
        let last = tcb.rare_mut().reopened;
        if last.is_some_and(|last| now < last + rto) {
            return tcb.count_first_flight_as_lost();
        }
        tcb.rare_mut().reopened = Some(now);
        // Whatever was repaired before the window shut went into the shut window as well.
        tcb.count_flight_as_lost(now);
    }
}
