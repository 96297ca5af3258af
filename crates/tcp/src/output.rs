//! What goes out: the only place that builds segments. Event handlers set [`Intents`]; polling turns intents, and whatever
//! text the windows admit, into segments, in one fixed order.

mod header;
mod pacing;
mod reply;
mod reset;
mod silly_window;
mod text;
mod trains;
mod window;

use handwave_packet::Payload;
use handwave_wire::{SeqNum, TcpFlags};

use crate::chronograph;
use crate::host::Context;
use crate::phase::Phase;
use crate::repair;
use crate::segment::SegmentOut;
use crate::tcb::{LossState, Tcb};
use crate::timer::Timer;
use crate::trace::{SendReason, TraceEvent, Verdict};

pub(crate) use header::{Bare, bare_segment};
pub(crate) use pacing::rate as pacing_rate;
pub use reply::Reply;
pub(crate) use reset::reset_for;
pub(crate) use silly_window::persist_interval;
pub(crate) use text::{has_text_to_send, restart_retransmission_timer};
pub(crate) use trains::{is_window_unused, update_rate};
pub(crate) use window::{FirstWindow, keeps_window_open, opens_enough_to_tell, syn_window};

/// What handlers want sent; each is taken when the segment is built.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is taken on its own")]
pub(crate) struct Intents {
    /// Acknowledge at once.
    pub(crate) ack: bool,
    /// Duplicate acknowledgments owed to a peer that counts them (RFC 5681 4.2).
    pub(crate) duplicate_acks: u8,
    /// Challenge ACK (RFC 5961).
    pub(crate) challenge: bool,
    /// SYN+ACK, again or for the first time.
    pub(crate) synack: bool,
    /// RST.
    pub(crate) reset: Option<ResetIntent>,
    /// Send the first lost segment whatever the congestion window says (RFC 6675 5 step 4.3).
    pub(crate) retransmit: bool,
    /// Zero-window probe.
    pub(crate) window_probe: bool,
    /// Keep-alive probe.
    pub(crate) keepalive_probe: bool,
    /// Send a small segment although it is silly: the override timer expired (RFC 9293 3.8.6.2.1 (4)).
    pub(crate) override_silly_window: bool,
}

/// A RST to send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResetIntent {
    pub(crate) seq: SeqNum,
    /// Carry an acknowledgment: so that a peer that does not believe the number still learns ours.
    pub(crate) acknowledges: bool,
}

impl Intents {
    /// `<SEQ=seq><ACK=RCV.NXT><CTL=RST,ACK>`: this connection is over.
    pub(crate) const fn reset_connection(&mut self, seq: SeqNum) {
        self.reset = Some(ResetIntent {
            seq,
            acknowledges: true,
        });
    }

    /// `<SEQ=SEG.ACK><CTL=RST>`: only the segment that this answers is refused.
    pub(crate) const fn reset_segment(&mut self, ack: SeqNum) {
        self.reset = Some(ResetIntent {
            seq: ack,
            acknowledges: false,
        });
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Whether anything but text is to be sent.
    pub(crate) const fn is_pending(&self) -> bool {
        self.ack
            || self.duplicate_acks > 0
            || self.challenge
            || self.synack
            || self.reset.is_some()
            || self.retransmit
            || self.window_probe
            || self.keepalive_probe
    }
}

/// Builds the next segment where `segment` lies; `false` when everything that may be sent has been.
pub(crate) fn poll(tcb: &mut Tcb, cx: &mut Context<'_>, segment: &mut SegmentOut) -> bool {
    if rests(tcb, cx) {
        return false;
    }
    let before = tcb.phase();
    let Some(reason) = next(tcb, cx, segment) else {
        if tcb.repairs.is_some() {
            chronograph::note(tcb, cx.now);
        }
        settle(tcb, cx);
        tcb.check_invariants(cx.now);
        return false;
    };
    let text = segment.payload.len() as u64;
    let size = segment.segment_size.map_or(text, u64::from).max(1);
    let segments = text.div_ceil(size).max(1);
    // Linux refuses a single segment on nobody's behalf.
    let refusal = reason == SendReason::Reset && !segment.header.flags.contains(TcpFlags::ACK);
    if !refusal || tcb.repairs.is_none() {
        tcb.stats.segments_out += segments;
    }
    if text > 0 {
        if tcb.repairs.is_some() {
            tcb.patience.last_sent = cx.now;
        }
        tcb.stats.data_segments_out += segments;
        tcb.stats.bytes_sent += text;
    }
    match reason {
        SendReason::Retransmission => {
            let totals = tcb.rare_mut();
            totals.bytes_retransmitted += text;
            totals.retransmissions += 1;
            cx.host.counters.segments_retransmitted += 1;
        }
        SendReason::Challenge => cx.host.counters.challenge_acks += 1,
        SendReason::WindowProbe => cx.host.counters.window_probes += 1,
        SendReason::KeepAlive => cx.host.counters.keepalive_probes += 1,
        SendReason::Reset => cx.host.counters.resets_out += 1,
        SendReason::Handshake | SendReason::Data | SendReason::Acknowledgment => {}
    }
    cx.host.counters.segments_out += 1;
    if cx.host.is_traced() {
        let event = TraceEvent::SegmentSent {
            header: segment.header,
            payload_len: segment.payload.len(),
            reason,
        };
        let entry = tcb.trace_entry(cx.now, event, before, Verdict::Accepted);
        cx.host.trace(&entry);
    }
    true
}

/// Whether it takes no search to see that nothing may leave; if so, all is done that a [`poll`] does which finds nothing.
pub(crate) fn rests(tcb: &mut Tcb, cx: &Context<'_>) -> bool {
    let rests = !tcb.intents.is_pending()
        && tcb.repairs.is_none()
        && tcb.loss == LossState::Open
        && tcb.scoreboard.is_empty()
        && !tcb.has_unsent();
    if rests && tcb.is_outstanding() {
        settle(tcb, cx);
    } else if rests {
        settle_idle(tcb);
    }
    if rests {
        tcb.check_invariants(cx.now);
    }
    rests
}

/// The order in which things leave.
fn next(tcb: &mut Tcb, cx: &mut Context<'_>, out: &mut SegmentOut) -> Option<SendReason> {
    if let Some(intent) = tcb.intents.reset.take() {
        reset::own_reset(tcb, cx, intent, out);
        return Some(SendReason::Reset);
    }
    if tcb.phase() == Phase::Closed {
        return None;
    }
    if tcb.syn_unacknowledged() {
        return handshake(tcb, cx, out);
    }
    if core::mem::take(&mut tcb.intents.challenge) {
        acknowledgment(tcb, cx, out);
        return Some(SendReason::Challenge);
    }
    if core::mem::take(&mut tcb.intents.window_probe) && text::window_probe(tcb, cx, out).is_some()
    {
        return Some(SendReason::WindowProbe);
    }
    if text::retransmission(tcb, cx, out).is_some() {
        return Some(SendReason::Retransmission);
    }
    if text::fresh(tcb, cx, out).is_some() {
        return Some(SendReason::Data);
    }
    if text::late_repetition(tcb, cx, out).is_some()
        || text::tail_probe(tcb, cx, out).is_some()
        || text::uncertain(tcb, cx, out).is_some()
    {
        return Some(SendReason::Retransmission);
    }
    if core::mem::take(&mut tcb.intents.keepalive_probe) {
        keepalive_probe(tcb, cx, out);
        return Some(SendReason::KeepAlive);
    }
    if tcb.intents.duplicate_acks > 0 {
        tcb.intents.duplicate_acks -= 1;
        acknowledgment(tcb, cx, out);
        return Some(SendReason::Acknowledgment);
    }
    if tcb.intents.ack {
        acknowledgment(tcb, cx, out);
        return Some(SendReason::Acknowledgment);
    }
    None
}

/// Before our SYN is acknowledged only the SYN+ACK and bare acknowledgments leave.
fn handshake(tcb: &mut Tcb, cx: &Context<'_>, out: &mut SegmentOut) -> Option<SendReason> {
    if core::mem::take(&mut tcb.intents.synack) {
        tcb.intents.ack = false;
        header::syn_ack(tcb, cx, out);
        if !tcb.timers.is_set(Timer::Retransmission) {
            restart_retransmission_timer(tcb, cx.now);
        }
        return Some(SendReason::Handshake);
    }
    let wanted = tcb.intents.ack || tcb.intents.challenge || tcb.intents.duplicate_acks > 0;
    tcb.intents.challenge = false;
    tcb.intents.duplicate_acks = 0;
    if !wanted {
        return None;
    }
    acknowledgment(tcb, cx, out);
    Some(SendReason::Acknowledgment)
}

/// `<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>`
fn acknowledgment(tcb: &mut Tcb, cx: &Context<'_>, out: &mut SegmentOut) {
    let seq = acknowledging_seq(tcb);
    header::segment(tcb, cx, seq, TcpFlags::ACK, Payload::new(), out);
}

/// SND.NXT; where a window that shrank ends before it, Linux keeps to the window, by more than the peer's scale may hide.
fn acknowledging_seq(tcb: &Tcb) -> SeqNum {
    let (nxt, end) = (tcb.snd.nxt, tcb.snd.una + tcb.snd.wnd);
    let hidden = if tcb.negotiated.window_scaling {
        tcb.rcv.shift.unit()
    } else {
        1
    };
    if tcb.records.is_some() && end.before(nxt) && nxt.since(end) >= hidden {
        end
    } else {
        nxt
    }
}

/// One octet below the window and no text: an up-to-date peer must answer (RFC 9293 3.8.4 [SHLD-12]).
fn keepalive_probe(tcb: &mut Tcb, cx: &Context<'_>, out: &mut SegmentOut) {
    let seq = tcb.snd.una - 1;
    header::segment(tcb, cx, seq, TcpFlags::ACK, Payload::new(), out);
}

/// What [`settle`] comes to where nothing is in flight and nothing waits: then nothing is owed.
fn settle_idle(tcb: &mut Tcb) {
    tcb.intents.override_silly_window = false;
    tcb.intents.retransmit = false;
    if !(matches!(tcb.phase(), Phase::Closed | Phase::TimeWait) || tcb.syn_unacknowledged()) {
        tcb.timers.stop(Timer::Persist);
    }
}

/// Nothing more can leave: sees to it that a timer runs for whatever is still owed.
fn settle(tcb: &mut Tcb, cx: &Context<'_>) {
    tcb.intents.override_silly_window = false;
    tcb.intents.retransmit = false;
    if matches!(tcb.phase(), Phase::Closed | Phase::TimeWait) || tcb.syn_unacknowledged() {
        return;
    }
    if let Some(limit) = tcb.config.user_timeout
        && tcb.repairs.is_none()
        && (tcb.is_outstanding() || tcb.has_unsent())
        && !tcb.timers.is_set(Timer::UserTimeout)
    {
        tcb.timers.set(Timer::UserTimeout, cx.now + limit);
    }
    let outstanding = tcb.is_outstanding();
    if tcb.repairs.is_some() && outstanding {
        // What is in flight has its own timer, whatever the window.
        tcb.timers.stop(Timer::Persist);
        if !tcb.timers.is_set(Timer::Retransmission) {
            repair::rearm(tcb, cx.now);
        }
        return;
    }
    let turn = pacing::next_turn(tcb, cx.now);
    match turn {
        Some(at) => tcb.timers.set(Timer::Pacing, at),
        None => tcb.timers.stop(Timer::Pacing),
    }
    let shut = tcb.snd.wnd == 0 && (outstanding || tcb.has_unsent());
    let silly = !tcb.is_outstanding() && tcb.has_unsent() && turn.is_none();
    if shut || silly {
        tcb.timers.stop(Timer::Retransmission);
        if !tcb.timers.is_set(Timer::Persist) {
            let wait = persist_interval(tcb, cx.now);
            tcb.timers.set(Timer::Persist, cx.now + wait);
        }
    } else {
        tcb.timers.stop(Timer::Persist);
        if tcb.is_outstanding() && !tcb.timers.is_set(Timer::Retransmission) {
            restart_retransmission_timer(tcb, cx.now);
        }
    }
}
