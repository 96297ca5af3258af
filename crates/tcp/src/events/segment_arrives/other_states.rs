//! The states in which both initial sequence numbers are known (RFC 9293 3.10.7.4): the eight checks, in the RFC's order.

use core::ops::ControlFlow;

use handwave_wire::TcpFlags;

use super::{check_ack, check_fin, check_rst, check_sequence, check_syn, check_text, check_urg};
use crate::config::SequenceCheck;
use crate::delayed_ack;
use crate::error::DropReason;
use crate::host::Context;
use crate::phase::Phase;
use crate::segment::SegmentIn;
use crate::tcb::{Tcb, octets};
use crate::timer::Timer;
use crate::trace::Verdict;

/// Where processing stops before the end, with what became of the segment.
pub(crate) type Step = ControlFlow<Verdict>;

/// Processes one segment.
pub(crate) fn handle(tcb: &mut Tcb, cx: &mut Context<'_>, segment: &mut SegmentIn) -> Verdict {
    let count = segment.joined.map_or(1, |joined| u64::from(joined.count));
    tcb.stats.segments_in += count;
    tcb.stats.data_segments_in += match segment.payload.is_empty() {
        true => 0,
        false => count,
    };
    match steps(tcb, cx, segment) {
        ControlFlow::Continue(()) => Verdict::Accepted,
        ControlFlow::Break(verdict) => verdict,
    }
}

fn steps(tcb: &mut Tcb, cx: &mut Context<'_>, segment: &mut SegmentIn) -> Step {
    let flags = segment.header.flags;
    let of_note = TcpFlags::ACK | TcpFlags::RST | TcpFlags::SYN;
    if tcb.config.sequence_check == SequenceCheck::Lenient && !flags.intersects(of_note) {
        // Linux does not look any further.
        return ControlFlow::Break(Verdict::Dropped(DropReason::AckMissing));
    }
    let extent = check_text::Extent::of(segment);
    let timestamp = check_sequence::check(tcb, cx, segment)?;
    check_rst::check(tcb, cx, segment)?;
    // Third, security and compartment (RFC 9293 3.10.7.4): IP security options are not implemented; nothing to compare.
    check_syn::check(tcb, cx, segment)?;
    heard(tcb, cx);
    let phase = tcb.phase();
    check_ack::check(tcb, cx, segment, extent.counts())?;
    timestamp.take(tcb, cx);
    let over = phase == Phase::Closing && tcb.phase() == Phase::TimeWait;
    if over && tcb.config.sequence_check == SequenceCheck::Lenient {
        return ControlFlow::Break(Verdict::Accepted);
    }
    check_urg::check(tcb, segment);
    check_text::check_shut(tcb, cx, segment, extent)?;
    check_text::check(tcb, cx, segment, extent.text())?;
    check_fin::check(tcb, cx);
    delayed_ack::decide(tcb, cx.now);
    ControlFlow::Continue(())
}

/// The sixth to eighth checks for the rest of a SYN segment whose SYN, and ACK if any, have been taken (RFC 9293 3.10.7.3).
pub(crate) fn take_text(tcb: &mut Tcb, cx: &mut Context<'_>, segment: &mut SegmentIn) -> Verdict {
    tcb.stats.data_segments_in += u64::from(!segment.payload.is_empty());
    check_sequence::trim(tcb, segment);
    check_urg::check(tcb, segment);
    let whole = octets(segment.payload.len());
    match check_text::check(tcb, cx, segment, whole) {
        ControlFlow::Continue(()) => {
            check_fin::check(tcb, cx);
            delayed_ack::decide(tcb, cx.now);
            Verdict::Accepted
        }
        ControlFlow::Break(verdict) => verdict,
    }
}

/// The peer lives: keep-alive starts over (RFC 9293 3.8.4 [MUST-26]).
fn heard(tcb: &mut Tcb, cx: &Context<'_>) {
    tcb.patience.last_heard = cx.now;
    tcb.patience.keepalive_probes = 0;
    if let Some(keepalive) = tcb.config.keepalive
        && !matches!(tcb.phase(), Phase::SynReceived | Phase::TimeWait)
    {
        tcb.timers.set(Timer::KeepAlive, cx.now + keepalive.idle);
    }
}
