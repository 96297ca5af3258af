//! Seventh check: the segment text (RFC 9293 3.10.7.4), and when to acknowledge it (RFC 9293 3.8.6.3).

use core::ops::ControlFlow::{Break, Continue};

use handwave_wire::{SackBlock, SeqNum, TcpFlags};

use super::other_states::Step;
use crate::config::Resets;
use crate::delayed_ack;
use crate::error::{ConnectionError, DropReason};
use crate::host::{Context, Pressure};
use crate::notice::Events;
use crate::phase::{Cause, Phase};
use crate::segment::SegmentIn;
use crate::tcb::{Tcb, octets};
use crate::timer::Timer;
use crate::trace::Verdict;
use crate::tuning::{self, Arrived};

/// What keeping a segment's text may cost beside the memory it came in: the bookkeeping, and room to join it to small neighbours.
const BOOKKEEPING: usize = 2_560;

/// Queues the text, moves RCV.NXT over what is in order, and decides how soon to acknowledge.
///
/// `whole` is how many octets of text it had before it was cut to what is new and fits.
#[inline]
pub(super) fn check(
    tcb: &mut Tcb,
    cx: &mut Context<'_>,
    segment: &mut SegmentIn,
    whole: u32,
) -> Step {
    if segment.payload.is_empty() && !segment.header.flags.contains(TcpFlags::FIN) {
        return Continue(());
    }
    take(tcb, cx, segment, whole)
}

fn take(tcb: &mut Tcb, cx: &mut Context<'_>, segment: &mut SegmentIn, whole: u32) -> Step {
    remember_fin(tcb, segment);
    if let Some(fin) = tcb
        .rcv
        .fin
        .filter(|fin| fin.at_or_after(segment.header.seq))
    {
        segment
            .payload
            .truncate(fin.since(segment.header.seq) as usize);
    }
    let len = octets(segment.payload.len());
    if len == 0 {
        return Continue(());
    }
    let shut = tcb.app.deaf && tcb.config.resets == Resets::Dressed;
    if tcb.app.released || (shut && matches!(tcb.phase(), Phase::FinWait1 | Phase::FinWait2)) {
        return refuse_unread_text(tcb, cx, segment);
    }
    if !tcb.phase().can_receive() {
        return Continue(());
    }
    let had_gap = tcb.receive.has_gap();
    let adaptive = tcb.ack.adaptive.is_some();
    if !admits(tcb, cx, segment) {
        if tcb.linux_queue().is_some() {
            // Linux says at once that it has no room, and takes back what it had offered.
            tcb.rcv.edge = tcb.rcv.nxt;
            tcb.rcv.granted = tcb.rcv.nxt;
            tcb.intents.ack = true;
        }
        return Break(Verdict::Dropped(DropReason::NoMemory));
    }
    let offset = segment.header.seq.since(tcb.rcv.nxt) as usize;
    note_held(tcb, offset, len as usize);
    let payload = core::mem::take(&mut segment.payload);
    if tcb.receive.refuses(offset, payload.len()) {
        cx.host.counters.out_of_order_refused += 1;
    }
    let beyond = octets(tcb.receive.out_of_order());
    let (held, pool) = (segment.held, &mut cx.host.buffers);
    let advanced = octets(tcb.receive.insert(offset, payload, held, pool));
    note_beyond(tcb, advanced == 0);
    tcb.rcv.nxt += advanced;
    tcb.rcv.edge = tcb.rcv.edge.later(tcb.rcv.nxt);
    tcb.stats.bytes_received += u64::from(advanced);
    let arrived = Arrived {
        len,
        whole: whole.max(len),
        advanced,
        beyond,
    };
    tuning::on_text(tcb, cx, &segment.header, arrived);
    bound_memory(tcb, cx);
    if advanced > 0 {
        tcb.events |= Events::READABLE;
    }
    delayed_ack::on_text(tcb, cx.now, segment, whole.max(len), advanced > 0);
    if adaptive {
        if advanced == 0 {
            cx.host.counters.out_of_order += 1;
        } else if had_gap && !tcb.receive.has_gap() {
            delayed_ack::on_gap_filled(tcb);
        }
    } else if advanced == 0 {
        out_of_order(tcb, cx, segments_in(segment, len, whole.max(len)));
    } else if had_gap {
        // A segment that fills a gap, wholly or in part, is acknowledged at once (RFC 5681 4.2).
        tcb.intents.ack = true;
    } else {
        acknowledge_in_order(tcb, cx, advanced);
    }
    Continue(())
}

/// Text `beyond` a gap is newer than a FIN that came before.
fn note_beyond(tcb: &mut Tcb, beyond: bool) {
    if beyond {
        count_out_of_order(tcb);
        tcb.rcv.fin_rank = tcb.rcv.fin_rank.saturating_add(1);
    }
}

fn count_out_of_order(tcb: &mut Tcb) {
    if let Some(repairs) = tcb.repairs.as_deref_mut() {
        repairs.accounts.out_of_order_in += 1;
    }
}

/// Text that waits beyond a gap arrives again: the next acknowledgment says so (RFC 2883 4).
fn note_held(tcb: &mut Tcb, offset: usize, len: usize) {
    if !tcb.negotiated.sack {
        return;
    }
    if let Some((from, held)) = tcb.receive.first_held(offset, len) {
        let left = tcb.rcv.nxt + octets(from);
        tcb.rare_mut().duplicate_block = Some(SackBlock {
            left,
            right: left + octets(held),
        });
    }
}

/// Where the peer's FIN stands, even if text before it is still missing: then it is acknowledged at once, each time it comes,
/// as any segment out of order (RFC 5681 4.2) [RFC5681-13] [RFC5681-14] [RFC2018-3] [RFC2018-4].
fn remember_fin(tcb: &mut Tcb, segment: &SegmentIn) {
    if !segment.header.flags.contains(TcpFlags::FIN) {
        return;
    }
    if tcb.fin_received() {
        return;
    }
    let fin = segment.header.seq + octets(segment.payload.len());
    if fin.after(tcb.rcv.nxt) && segment.payload.is_empty() {
        delayed_ack::schedule(tcb);
        tcb.intents.ack = true;
        if tcb.rcv.fin.is_none() {
            count_out_of_order(tcb);
        } else if tcb.repairs.is_some() && tcb.negotiated.sack {
            let right = fin + 1;
            tcb.rare_mut().duplicate_block = Some(SackBlock { left: fin, right });
        }
    }
    // Of two, which no peer should send, the text ends at the first.
    let first = tcb.rcv.fin.map_or(fin, |known| known.earlier_of(fin));
    tcb.rcv.fin = Some(first);
    tcb.rcv.fin_rank = 0;
}

/// Where a segment began and ended before it was cut to the window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    first: SeqNum,
    /// Behind its text; a FIN does not count.
    end: SeqNum,
    /// It takes sequence numbers.
    counts: bool,
}

impl Extent {
    /// Whether it took sequence numbers, however much of it is left.
    pub(super) const fn counts(self) -> bool {
        self.counts
    }

    /// Octets of text, a SYN counted.
    pub(super) fn text(self) -> u32 {
        self.end.since(self.first)
    }

    pub(super) fn of(segment: &SegmentIn) -> Self {
        let syn = u32::from(segment.header.flags.contains(TcpFlags::SYN));
        Self {
            first: segment.header.seq,
            end: segment.header.seq + octets(segment.payload.len()) + syn,
            counts: segment.seq_len() > 0,
        }
    }
}

/// What Linux answers with a RST in a direction that is over: text, or a FIN beyond a gap, for a program that reads no more; text that
/// goes on behind the peer's FIN, if it began before it.
pub(super) fn check_shut(
    tcb: &mut Tcb,
    cx: &mut Context<'_>,
    segment: &SegmentIn,
    extent: Extent,
) -> Step {
    if tcb.config.resets != Resets::Dressed || !extent.counts || !extent.end.after(tcb.rcv.nxt) {
        return Continue(());
    }
    let over = match tcb.phase() {
        Phase::FinWait1 | Phase::FinWait2 => tcb.app.deaf || tcb.app.released,
        Phase::CloseWait | Phase::Closing | Phase::LastAck => extent.first.before(tcb.rcv.nxt),
        _ => false,
    };
    if !over {
        return Continue(());
    }
    tcb.fail(cx, Cause::Reset, ConnectionError::Reset);
    tcb.intents.reset_segment(segment.header.ack);
    Break(Verdict::ResetSent(DropReason::NobodyReads))
}

/// Text that nobody will read is refused, so that the sender learns of it (RFC 9293 3.6.1 [SHLD-3]).
fn refuse_unread_text(tcb: &mut Tcb, cx: &mut Context<'_>, segment: &SegmentIn) -> Step {
    if !matches!(
        tcb.phase(),
        Phase::FinWait1 | Phase::FinWait2 | Phase::Established | Phase::SynReceived
    ) {
        return Continue(());
    }
    let seq = tcb.snd.nxt;
    if tcb.config.resets == Resets::Dressed {
        tcb.fail(cx, Cause::Reset, ConnectionError::Reset);
        tcb.intents.reset_segment(segment.header.ack);
    } else {
        tcb.fail(cx, Cause::Abort, ConnectionError::Aborted);
        tcb.intents.reset_connection(seq);
    }
    debug_assert!(!segment.payload.is_empty(), "only text is refused");
    Break(Verdict::ResetSent(DropReason::NobodyReads))
}

/// How many segments `len` octets of text are that are left of `whole`.
fn segments_in(segment: &SegmentIn, len: u32, whole: u32) -> u8 {
    segment.joined.map_or(1, |joined| {
        let taken = u64::from(joined.count) * u64::from(len) / u64::from(whole);
        u8::try_from(taken).unwrap_or(u8::MAX).max(1)
    })
}

/// A gap: one duplicate acknowledgment for each segment if the peer counts them, one with SACK blocks otherwise [SHLD-31]
/// [MAY-13].
fn out_of_order(tcb: &mut Tcb, cx: &mut Context<'_>, count: u8) {
    cx.host.counters.out_of_order += 1;
    if tcb.negotiated.sack {
        tcb.intents.ack = true;
    } else {
        tcb.intents.duplicate_acks = tcb.intents.duplicate_acks.saturating_add(count);
    }
}

/// At once at the start and for every second full segment, later otherwise [MUST-40] [SHLD-18] [SHLD-19].
fn acknowledge_in_order(tcb: &mut Tcb, cx: &Context<'_>, advanced: u32) {
    tcb.ack.pending = tcb.ack.pending.saturating_add(advanced);
    if tcb.ack.quick_left > 0 {
        tcb.ack.quick_left -= 1;
        tcb.intents.ack = true;
        return;
    }
    if tcb.ack.pending >= 2 * u32::from(tcb.mss.receive) {
        tcb.intents.ack = true;
    } else if !tcb.timers.is_set(Timer::DelayedAck) {
        tcb.timers
            .set(Timer::DelayedAck, cx.now + tcb.config.delayed_ack);
    }
}

/// Whether there is memory for the text. If not it is dropped, and the peer sends it again; a connection that holds nothing still
/// gets a segment at a time, so that it gets on.
fn admits(tcb: &mut Tcb, cx: &mut Context<'_>, segment: &SegmentIn) -> bool {
    let cost = segment.held.max(segment.payload.len()) + BOOKKEEPING;
    let in_order = segment.header.seq.at_or_before(tcb.rcv.nxt);
    let has_some = tcb.receive.held() > 0 || !in_order;
    let admitted = cx.host.room.admits(cost, has_some) && tuning::admits(tcb, cx.host.pressure);
    cx.host.counters.receive_queue_drops += u64::from(!admitted);
    admitted
}

/// A connection never holds more than twice its buffer; under pressure it gives text beyond a gap back: what exceeds the buffer's first
/// size, or all of it.
fn bound_memory(tcb: &mut Tcb, cx: &mut Context<'_>) {
    let held = tcb.receive.held();
    let initial = tcb.config.receive_buffer.at_first() as usize;
    let limit = match cx.host.pressure {
        Pressure::Hard if tcb.receive.has_gap() => 0,
        Pressure::Soft if tcb.receive.has_gap() && held > initial => initial,
        _ if held > 2 * tcb.rcv.buffer as usize => tcb.rcv.buffer as usize,
        _ => return,
    };
    cx.host.counters.prunes += 1;
    let beyond = octets(tcb.receive.out_of_order());
    let dropped = if limit == 0 {
        tcb.receive.prune(0)
    } else {
        tcb.receive.reclaim(limit)
    };
    if dropped > 0 {
        tuning::on_pruned(tcb, beyond);
    }
    cx.host.counters.out_of_order_pruned += dropped as u64;
}
