//! Second check: the RST bit (RFC 9293 3.10.7.4, RFC 5961 3.2).

use core::ops::ControlFlow::{Break, Continue};

use handwave_wire::TcpFlags;

use super::check_sequence;
use super::other_states::Step;
use crate::error::{ConnectionError, DropReason};
use crate::host::Context;
use crate::phase::{Cause, Phase};
use crate::segment::SegmentIn;
use crate::tcb::Tcb;
use crate::trace::Verdict;

/// Decides what an incoming RST does to this connection; the text it may carry is ignored [SHLD-2] [RFC5961-1] [RFC5961-2] [RFC5961-3].
///
/// The sequence check has passed, so SEG.SEQ lies in the window. Only a RST naming RCV.NXT exactly is believed: a blind
/// attacker hits a window far sooner than one number. Any other is answered with a challenge ACK.
pub(super) fn check(tcb: &mut Tcb, cx: &mut Context<'_>, segment: &SegmentIn) -> Step {
    if !segment.header.flags.contains(TcpFlags::RST) {
        return Continue(());
    }
    if tcb.phase() == Phase::TimeWait && tcb.config.time_wait_ignores_rst {
        return Break(Verdict::Dropped(DropReason::RstInTimeWait));
    }
    let exact = segment.header.seq == tcb.rcv.nxt;
    // The peer may have counted what it sent beyond a gap (RFC 5961 3.2 knows of no such thing; Linux does it).
    let at_last_block = tcb.records.is_some()
        && tcb.negotiated.sack
        && tcb
            .receive
            .sack_blocks(tcb.rcv.nxt, 4)
            .as_slice()
            .iter()
            .map(|block| block.right)
            .reduce(|last, right| last.later(right))
            == Some(segment.header.seq);
    if !exact && !at_last_block && !check_sequence::repeats_fin(tcb, segment.header.seq) {
        tcb.challenge(cx);
        return Break(Verdict::Challenged(DropReason::RstNotExact));
    }
    let error = match tcb.phase() {
        // Linux has the program told of a refusal in SYN-SENT only.
        Phase::SynReceived if tcb.records.is_some() => Some(ConnectionError::Reset),
        Phase::SynReceived => Some(ConnectionError::Refused),
        // Both FINs have been exchanged: nothing is lost that the application could miss.
        Phase::Closing | Phase::LastAck | Phase::TimeWait if !tcb.has_unacknowledged_text() => None,
        Phase::Closing
        | Phase::LastAck
        | Phase::TimeWait
        | Phase::Established
        | Phase::FinWait1
        | Phase::FinWait2
        | Phase::CloseWait
        | Phase::Closed
        | Phase::Listen
        | Phase::SynSent => Some(ConnectionError::Reset),
    };
    match error {
        Some(error) => tcb.fail(cx, Cause::Reset, error),
        None => tcb.advance(cx, Cause::Reset),
    }
    Break(Verdict::ConnectionReset)
}
