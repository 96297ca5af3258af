//! Sixth check: the URG bit (RFC 9293 3.10.7.4, 3.8.5).

use handwave_wire::TcpFlags;

use crate::notice::Events;
use crate::segment::SegmentIn;
use crate::tcb::Tcb;

/// RCV.UP <- max(RCV.UP, SEG.UP); tells the application when the pointer appears or advances [MUST-30] [MUST-31] [MUST-32].
#[inline]
pub(super) fn check(tcb: &mut Tcb, segment: &SegmentIn) {
    if segment.header.flags.contains(TcpFlags::URG) {
        take_pointer(tcb, segment);
    }
}

fn take_pointer(tcb: &mut Tcb, segment: &SegmentIn) {
    if !tcb.phase().can_receive() {
        return;
    }
    let up = segment.header.seq + u32::from(segment.header.urgent);
    if !up.after(tcb.read_position()) {
        return;
    }
    let advances = tcb.rare().rcv_up.is_none_or(|known| up.after(known));
    if advances {
        tcb.rare_mut().rcv_up = Some(up);
        tcb.events |= Events::URGENT;
    }
}
