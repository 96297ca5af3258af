//! Fourth check: the SYN bit (RFC 9293 3.10.7.4, RFC 5961 4.2).

use core::ops::ControlFlow::{Break, Continue};

use handwave_wire::TcpFlags;

use super::other_states::Step;
use crate::error::DropReason;
use crate::host::Context;
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
    tcb.challenge(cx);
    Break(Verdict::Challenged(DropReason::SynInSynchronized))
}
