//! Fourth check: the SYN bit (RFC 9293 3.10.7.4, RFC 5961 4.2).

use core::ops::ControlFlow::{Break, Continue};

use handwave_wire::TcpFlags;

use super::other_states::Step;
use crate::error::{ConnectionError, DropReason};
use crate::host::Context;
use crate::phase::{Cause, Phase};
use crate::segment::SegmentIn;
use crate::tcb::Tcb;
use crate::trace::Verdict;

/// Answers a SYN on a connection that exists with a challenge ACK: a peer that restarted replies with an exact RST [RFC5961-5] [RFC5961-6].
///
/// TIME-WAIT is served before this check, where a SYN may begin a new incarnation (RFC 6191).
pub(super) fn check(tcb: &mut Tcb, cx: &mut Context<'_>, segment: &SegmentIn) -> Step {
    if !segment.header.flags.contains(TcpFlags::SYN) {
        return Continue(());
    }
    let header = &segment.header;
    let given_up = tcb.phase() == Phase::FinWait2 && tcb.app.released && tcb.records.is_some();
    if given_up && header.flags.contains(TcpFlags::ACK) && header.seq.at_or_after(tcb.rcv.nxt) {
        // Linux has kept no more than a record of this connection, and gives that up too.
        tcb.fail(cx, Cause::Reset, ConnectionError::Reset);
        tcb.intents.reset_segment(header.ack);
        return Break(Verdict::ResetSent(DropReason::SynInSynchronized));
    }
    tcb.challenge(cx);
    Break(Verdict::Challenged(DropReason::SynInSynchronized))
}
