//! Text on its way out: what is lost first, then what is new, as much as both windows admit.

use core::time::Duration;

use handwave_packet::Payload;
use handwave_wire::{SeqNum, TcpFlags};

use super::header;
use super::pacing;
use super::silly_window::{Offer, is_worth_sending};
use super::trains;
use crate::config::WindowProbe;
use crate::host::Context;
use crate::notice::Events;
use crate::phase::Phase;
use crate::repair;
use crate::segment::SegmentOut;
use crate::tcb::{LossState, Tcb, octets};
use crate::time::Instant;
use crate::timer::Timer;

/// Segments for which a super-segment of their own costs no more than a list of pieces does.
const WORTH_A_SEGMENT: u32 = 4;

/// Sends the next lost octets again, if the congestion window has room for them (RFC 6675 5, NextSeg rule 1) [RFC5681-1] [RFC6675-14].
pub(super) fn retransmission(
    tcb: &mut Tcb,
    cx: &mut Context<'_>,
    out: &mut SegmentOut,
) -> Option<()> {
    if tcb.repairs.is_some() {
        return repetition(tcb, cx, out);
    }
    let (seq, missing) = tcb.scoreboard.next_lost(tcb.snd.una, tcb.snd.nxt)?;
    let len = missing.min(u32::from(segment_size(tcb)));
    if !may_retransmit(tcb, seq, len) || is_held(tcb, cx.now) {
        return None;
    }
    tcb.intents.retransmit = false;
    tcb.timed = None;
    pacing::note_sent(tcb, cx.now, len);
    build(tcb, cx, seq, len, out);
    if tcb
        .scoreboard
        .on_retransmit(seq, len, tcb.snd.una, tcb.snd.nxt)
    {
        // Repairing a repair takes more round trips than the timer allows for one (RFC 6675 6).
        restart_retransmission_timer(tcb, cx.now);
    }
    Some(())
}

/// Sends segments again, where they are counted: the first one if it has to leave whatever the windows say, or what is lost.
fn repetition(tcb: &mut Tcb, cx: &mut Context<'_>, out: &mut SegmentOut) -> Option<()> {
    let size = u32::from(segment_size(tcb));
    let mut limits = repair::limits(tcb, size);
    limits.segments = limits.segments.min(trains::longest(tcb, size));
    let una = tcb.snd.una;
    let repairs = tcb.repairs.as_deref_mut()?;
    let (seq, len, count) = if core::mem::take(&mut repairs.repeat_first) {
        limits.segments = 1;
        repairs.flight.repeat_first(&limits, cx.now)?
    } else if repairs.new_text_first {
        return None;
    } else {
        repairs.flight.repeat_lost(&limits, cx.now)?
    };
    repair::on_repeated(tcb, cx.now, count, seq == una);
    tcb.timed = None;
    build(tcb, cx, seq, len, out);
    Some(())
}

/// There was no new text to try first: what is lost goes now.
pub(super) fn late_repetition(
    tcb: &mut Tcb,
    cx: &mut Context<'_>,
    out: &mut SegmentOut,
) -> Option<()> {
    let nxt = tcb.snd.nxt;
    let repairs = tcb.repairs.as_deref_mut()?;
    if !repairs.new_text_first || nxt.after(repairs.high) {
        return None;
    }
    repairs.new_text_first = false;
    repairs.suspects_timeout = false;
    repetition(tcb, cx, out)
}

/// Probes the tail with the last segment, if there was nothing new to probe with (RFC 8985 7.3).
#[inline]
pub(super) fn tail_probe(tcb: &mut Tcb, cx: &mut Context<'_>, out: &mut SegmentOut) -> Option<()> {
    if !core::mem::take(&mut tcb.repairs.as_deref_mut()?.probe) {
        return None;
    }
    probe_tail(tcb, cx, out)
}

fn probe_tail(tcb: &mut Tcb, cx: &mut Context<'_>, out: &mut SegmentOut) -> Option<()> {
    let limits = repair::limits(tcb, u32::from(segment_size(tcb)));
    let nxt = tcb.snd.nxt;
    let repairs = tcb.repairs.as_deref_mut()?;
    let (seq, len) = repairs.flight.repeat_last(&limits, cx.now)?;
    repairs.probe_until = Some(nxt);
    repairs.probe_repeated = true;
    repair::rearm(tcb, cx.now);
    build(tcb, cx, seq, len, out);
    Some(())
}

/// With nothing known to be lost and nothing new to send, recovery sends what may be missing, and once the tail
/// (RFC 6675 5, NextSeg rules 3 and 4).
pub(super) fn uncertain(tcb: &mut Tcb, cx: &mut Context<'_>, out: &mut SegmentOut) -> Option<()> {
    if tcb.loss != LossState::FastRecovery || tcb.repairs.is_some() || !tcb.negotiated.sack {
        return None;
    }
    if is_held(tcb, cx.now) {
        return None;
    }
    let size = u32::from(segment_size(tcb));
    if let Some((seq, missing)) = tcb.scoreboard.next_uncertain(tcb.snd.una, tcb.snd.nxt) {
        let len = missing.min(size);
        if !may_retransmit(tcb, seq, len) {
            return None;
        }
        tcb.timed = None;
        pacing::note_sent(tcb, cx.now, len);
        tcb.scoreboard
            .on_retransmit(seq, len, tcb.snd.una, tcb.snd.nxt);
        build(tcb, cx, seq, len, out);
        return Some(());
    }
    let (seq, len) = tcb.scoreboard.next_rescue(tcb.snd.una, tcb.snd.nxt, size)?;
    if !may_retransmit(tcb, seq, len) {
        return None;
    }
    tcb.timed = None;
    tcb.scoreboard.on_rescue(tcb.recover);
    build(tcb, cx, seq, len, out);
    Some(())
}

/// Text beyond a window that the peer shrank waits for it to reopen, the first octet excepted (RFC 9293 3.8.6 [SHLD-16]).
fn may_retransmit(tcb: &Tcb, seq: SeqNum, len: u32) -> bool {
    if tcb.snd.wnd == 0 {
        return false;
    }
    let in_window = seq == tcb.snd.una || seq.since(tcb.snd.una) < tcb.snd.wnd;
    let pipe = tcb.pipe();
    in_window && (tcb.intents.retransmit || pipe == 0 || pipe + len <= tcb.congestion.window())
}

/// Whether it is not the turn of a segment that is lost. The first one of a recovery does not wait.
fn is_held(tcb: &Tcb, now: Instant) -> bool {
    !tcb.intents.retransmit && pacing::allowance(tcb, now) == 0
}

/// Sends text, or a FIN, or both, for the first time. Text of several writes shares segments [MUST-60] [MAY-16].
pub(super) fn fresh(tcb: &mut Tcb, cx: &mut Context<'_>, out: &mut SegmentOut) -> Option<()> {
    let offer = offer(tcb, cx.now)?;
    if !tcb.is_outstanding() {
        restart_after_idle(tcb, cx.now);
    }
    let seq = tcb.snd.nxt;
    let len = offer.len + u32::from(offer.fin);
    tcb.snd.nxt = seq + len;
    if offer.fin {
        tcb.events |= Events::FIN_SENT;
    }
    if offer.len > 0 || tcb.repairs.is_none() {
        tcb.patience.last_sent = cx.now;
    }
    repair::on_sent(tcb, cx.now, seq, offer.len, offer.mss);
    trains::note_sent(tcb, cx, offer.len, offer.mss);
    pacing::note_sent(tcb, cx.now, offer.len);
    build(tcb, cx, seq, len, out);
    tcb.intents.override_silly_window = false;
    if tcb.timed.is_none() && tcb.loss == LossState::Open {
        tcb.timed = Some((tcb.snd.nxt, cx.now));
    }
    if !tcb.timers.is_set(Timer::Retransmission) {
        restart_retransmission_timer(tcb, cx.now);
    }
    Some(())
}

/// One octet into a window that is shut, or the first unacknowledged one again (RFC 9293 3.8.6.1 [MUST-35] [MUST-36]).
pub(super) fn window_probe(
    tcb: &mut Tcb,
    cx: &mut Context<'_>,
    out: &mut SegmentOut,
) -> Option<()> {
    let seq = tcb.snd.una;
    // Where segments are counted they are whole: none is cut to probe with its first octet.
    let is_empty = tcb.config.window_probe == WindowProbe::Empty || tcb.repairs.is_some();
    if !tcb.is_outstanding() && is_empty {
        let empty = Payload::new();
        header::segment(tcb, cx, seq - 1, TcpFlags::ACK, empty, out);
        return Some(());
    }
    if !tcb.is_outstanding() {
        if !tcb.has_unsent() {
            return None;
        }
        tcb.snd.nxt = seq + 1;
        if tcb.fin_sent() {
            tcb.events |= Events::FIN_SENT;
        }
    }
    tcb.timed = None;
    build(tcb, cx, seq, 1, out);
    Some(())
}

/// Whether polling would find text to send.
pub(crate) fn has_text_to_send(tcb: &Tcb, now: Instant) -> bool {
    if let Some(repairs) = tcb.repairs.as_deref() {
        let limits = repair::limits(tcb, u32::from(segment_size(tcb)));
        let again = repairs.repeat_first || repairs.probe || repairs.flight.could_repeat(&limits);
        return again || offer(tcb, now).is_some();
    }
    let lost = tcb.scoreboard.next_lost(tcb.snd.una, tcb.snd.nxt);
    let again = lost.is_some_and(|(seq, missing)| {
        may_retransmit(tcb, seq, missing.min(u32::from(segment_size(tcb)))) && !is_held(tcb, now)
    });
    again || offer(tcb, now).is_some()
}

/// Arms the retransmission timer anew (RFC 6298 5.1, 5.3) [RFC6298-9] [RFC6298-10] [RFC6298-12].
pub(crate) fn restart_retransmission_timer(tcb: &mut Tcb, now: Instant) {
    let rto = tcb.rto();
    tcb.timers.set(Timer::Retransmission, now + rto);
}

/// What leaves in the next segment, if anything is worth sending.
fn offer(tcb: &Tcb, now: Instant) -> Option<Offer> {
    let sends = matches!(
        tcb.phase(),
        Phase::Established | Phase::CloseWait | Phase::FinWait1 | Phase::Closing | Phase::LastAck
    );
    if !sends || !tcb.has_unsent() {
        return None;
    }
    if tcb.records.is_some() {
        return trains::next(tcb, now);
    }
    let unsent = tcb.unsent();
    let usable = tcb.snd.usable();
    let mss = u32::from(segment_size(tcb));
    let room = tcb.congestion.window().saturating_sub(tcb.pipe());
    let most = (tcb.mss.super_segment_max / mss.max(1) * mss).max(mss);
    let portion = pacing::allowance(tcb, now);
    if portion == 0 && unsent > 0 {
        return None;
    }
    let mut len = unsent.min(usable).min(room).min(most).min(portion);
    if len > mss {
        len = without_list(tcb, len, mss);
    }
    if len > mss && len < unsent {
        len -= len % mss;
    }
    let fin = tcb.app.closing && len == unsent && usable > len;
    let offer = Offer {
        unsent,
        len,
        mss,
        usable,
        fin,
    };
    is_worth_sending(tcb, offer).then_some(offer)
}

/// As much of a super-segment of `len` octets as can leave without a list of pieces on the heap; all of it where that is only little.
fn without_list(tcb: &Tcb, len: u32, mss: u32) -> u32 {
    let offset = tcb.snd.nxt.since(tcb.text_start());
    let reach = octets(tcb.send.reach_of_two(offset as usize, len as usize));
    if reach < WORTH_A_SEGMENT * mss {
        len
    } else {
        reach
    }
}

/// Octets of text one segment carries beside its options.
pub(super) fn segment_size(tcb: &Tcb) -> u16 {
    tcb.mss
        .send
        .saturating_sub(header::extra_options_len(tcb))
        .max(1)
}

/// The segment of `len` sequence numbers from `seq` on: text of the send buffer, then the FIN if `len` reaches it.
fn build(tcb: &mut Tcb, cx: &mut Context<'_>, seq: SeqNum, len: u32, out: &mut SegmentOut) {
    let size = segment_size(tcb);
    let text_end = tcb.text_end();
    let text_len = if seq.before(text_end) {
        len.min(text_end.since(seq))
    } else {
        0
    };
    let offset = seq.since(tcb.text_start());
    let payload = tcb
        .send
        .slice(offset as usize, text_len as usize, &mut cx.host.buffers);
    let end = seq + text_len;
    let fin = tcb.app.closing && end == text_end && len > text_len;
    let mut flags = TcpFlags::ACK;
    if fin {
        flags |= TcpFlags::FIN;
    }
    // Without PUSH in the interface the last octet that is buffered carries it (RFC 9293 3.9.1.2 [MUST-61] [SHLD-27]).
    let pushed = match tcb.records.as_deref() {
        // A train is pushed, so that its receiver does not wait for more to join to it.
        Some(records) => {
            records.is_pushed(end)
                || tcb.intents.override_silly_window
                || text_len > u32::from(size)
        }
        None => end == text_end,
    };
    if text_len > 0 && pushed {
        flags |= TcpFlags::PSH;
    }
    header::segment(tcb, cx, seq, flags, payload, out);
    out.segment_size = (text_len > u32::from(size)).then_some(size);
}

/// After an idle RTO the congestion window starts small again (RFC 5681 4.1) [RFC5681-20].
fn restart_after_idle(tcb: &mut Tcb, now: Instant) {
    let idle = now - tcb.patience.last_sent;
    let rto = match tcb.config.restart_after_idle {
        true => tcb.rto(),
        // The window stays, however long nothing was sent.
        false => Duration::MAX,
    };
    if tcb.repairs.is_none() {
        tcb.congestion.on_idle(idle, rto, u32::from(tcb.mss.send));
    } else if idle > rto {
        repair::restart_after_idle(tcb, idle, rto);
    }
}
