//! Eighth check: the FIN bit (RFC 9293 3.10.7.4), once everything before it has arrived.

use handwave_wire::SeqNum;

use crate::delayed_ack;
use crate::host::Context;
use crate::notice::Events;
use crate::phase::{Cause, Phase};
use crate::tcb::Tcb;
use crate::timer::Timer;

/// Takes the peer's FIN when RCV.NXT has reached it; a repeated one is acknowledged by the sequence check.
#[inline]
pub(super) fn check(tcb: &mut Tcb, cx: &mut Context<'_>) {
    if let Some(fin) = tcb.rcv.fin {
        check_reached(tcb, cx, fin);
    }
}

fn check_reached(tcb: &mut Tcb, cx: &mut Context<'_>, fin: SeqNum) {
    if fin.after(tcb.rcv.nxt) || !tcb.phase().can_receive() || tcb.phase() == Phase::SynReceived {
        return;
    }
    // A peer that sent text beyond its own FIN has already been acknowledged past it.
    if fin == tcb.rcv.nxt {
        tcb.rcv.nxt += 1;
    }
    tcb.rcv.edge = tcb.rcv.edge.later(tcb.rcv.nxt);
    if tcb.receive.has_gap() {
        // Nothing can come between: what lies beyond the end is nobody's.
        tcb.receive.prune(0);
    }
    if tcb.ack.adaptive.is_some() && tcb.phase() == Phase::Established {
        delayed_ack::on_fin(tcb);
    } else {
        tcb.intents.ack = true;
    }
    if tcb.records.is_some()
        && let Some(rare) = tcb.rare_if_any()
    {
        // With the end of the text Linux forgets what it would have told of text.
        rare.duplicate_block = None;
    }
    tcb.timers.stop(Timer::FinWait2);
    tcb.events |= Events::READABLE | Events::PEER_CLOSED;
    tcb.advance(cx, Cause::FinArrived);
}
