//! The window we offer: receiver-side silly-window avoidance (RFC 9293 3.8.6.2.2) and a right edge that never moves left, but
//! for what the scale's unit cannot express (RFC 7323 2.4).

use handwave_wire::SeqNum;

use crate::config::{Config, ReceiveWindow};

use crate::tcb::Tcb;

/// The window field of a SYN or SYN+ACK: never scaled (RFC 7323 2.2). `mss` is the text of the peer's full segments [RFC7323-4].
pub(crate) fn syn_window(config: &Config, mss: u16) -> u16 {
    FirstWindow::of(config).field(mss)
}

/// The window a connection begins with, before the size of its segments is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FirstWindow {
    room: u32,
    whole_segments: bool,
}

impl FirstWindow {
    pub(crate) fn of(config: &Config) -> Self {
        Self {
            room: config.first_window_max(),
            whole_segments: config.receive_window == ReceiveWindow::Growing,
        }
    }

    /// In octets, for segments that carry `mss` octets of text.
    pub(crate) fn octets(self, mss: u16) -> u32 {
        let mss = u32::from(mss).max(1);
        if self.whole_segments && self.room > mss {
            self.room - self.room % mss
        } else {
            self.room
        }
    }

    /// As the field of a SYN.
    pub(crate) fn field(self, mss: u16) -> u16 {
        u16::try_from(self.octets(mss)).unwrap_or(u16::MAX)
    }
}

/// The window field for a segment that leaves, moving the right edge if that is worth telling [MUST-39] [SHLD-14] [RFC7323-7] [RFC7323-9].
///
/// An application that does not read keeps the window shut for as long as it likes [MAY-8].
pub(super) fn offer(tcb: &mut Tcb) -> u16 {
    if tcb.config.receive_window == ReceiveWindow::Growing {
        return offer_as_linux(tcb);
    }
    if growth(tcb) >= worthwhile(tcb) {
        tcb.rcv.granted = right_edge(tcb);
    }
    let (nxt, edge, shift) = (tcb.rcv.nxt, tcb.rcv.edge, tcb.rcv.shift);
    let octets = tcb.rcv.granted.later(nxt).since(nxt);
    let rounded_down = (octets >> shift.get()).min(u32::from(u16::MAX));
    let reaches = |field: u32| nxt + (field << shift.get());
    // Rounding down must not take back what was offered. What rounding up adds is not granted: were it, each small segment
    // that is not a multiple of the unit would push the edge on, and a slow reader's buffer would have no limit.
    let field = if reaches(rounded_down).before(edge) {
        octets.div_ceil(shift.unit()).min(u32::from(u16::MAX))
    } else {
        rounded_down
    };
    tcb.rcv.edge = edge.later(reaches(field));
    u16::try_from(field).unwrap_or(u16::MAX)
}

/// The window field as Linux chooses it: rounded up to the unit of the scale, and what rounding adds is granted. A slow reader's
/// memory has its limit elsewhere: text that the buffer has no room for is dropped.
fn offer_as_linux(tcb: &mut Tcb) -> u16 {
    let unit = tcb.rcv.shift.unit();
    let window = select_as_linux(tcb).max(tcb.rcv.wnd().next_multiple_of(unit));
    let most = u32::from(u16::MAX) << tcb.rcv.shift.get();
    tcb.rcv.edge = tcb.rcv.nxt + window;
    tcb.rcv.granted = tcb.rcv.edge;
    u16::try_from(window.min(most) >> tcb.rcv.shift.get()).unwrap_or(u16::MAX)
}

/// The window that Linux would like to offer: the space left, as far as the limit allows; nothing if that is little.
fn select_as_linux(tcb: &Tcb) -> u32 {
    let Some(queue) = tcb.linux_queue() else {
        return 0;
    };
    let (buffer, unit) = (tcb.rcv.buffer, tcb.rcv.shift.unit());
    let worth = queue.window(buffer);
    let full = tcb.window_max().min(worth);
    let segment = match &tcb.ack.adaptive {
        Some(policy) => policy.segment(),
        None => tcb.mss.receive.into(),
    };
    let segment = segment.min(full);
    let mut free = queue.space(buffer);
    if free < full / 2 {
        free -= free % unit;
        if free < worth / 16 || free < segment {
            return 0;
        }
    }
    let free = free.min(tcb.rcv.limit);
    if unit > 1 {
        return free.next_multiple_of(unit);
    }
    // Linux takes segments larger than its limit for ones that do not fit, and a window that has become silly stays so [MUST-39].
    let (segment, full) = (segment.min(tcb.rcv.limit), full.min(tcb.rcv.limit));
    let offered = tcb.rcv.edge.since(tcb.rcv.last_ack_sent);
    if offered.saturating_add(segment) <= free || offered > free {
        free - free % segment.max(1)
    } else if segment == full && free > offered + full / 2 {
        free
    } else {
        offered
    }
}

/// Whether reading has opened the window so far that a peer who may be waiting should hear of it.
///
/// While more than half of the buffer is still offered the peer is not waiting, and the next acknowledgment tells.
pub(crate) fn opens_enough_to_tell(tcb: &Tcb) -> bool {
    if tcb.config.receive_window == ReceiveWindow::Growing {
        // Twice as much as before, and no small matter.
        let (now, most) = (tcb.rcv.wnd(), tcb.window_max());
        let could = select_as_linux(tcb);
        return now.saturating_mul(2) <= most && could > 0 && could >= now.saturating_mul(2);
    }
    let half = tcb.rcv.buffer / 2;
    let grown = growth(tcb);
    grown >= half.max(1) || (grown >= worthwhile(tcb) && tcb.rcv.wnd() < half)
}

/// Whether the window that could be offered is no smaller than the one that is: the right edge advances with RCV.NXT.
pub(crate) fn keeps_window_open(tcb: &Tcb) -> bool {
    let offered = tcb.rcv.edge.since(tcb.rcv.last_ack_sent);
    if tcb.config.receive_window == ReceiveWindow::Growing {
        return select_as_linux(tcb) >= offered;
    }
    let candidate = right_edge(tcb);
    // What has been read since has made room; what has not shows in the room that is left.
    candidate.since(tcb.rcv.nxt) + tcb.rcv.shift.unit()
        >= offered.min(u32::from(u16::MAX) << tcb.rcv.shift.get())
        || tcb.receive.is_empty()
}

/// Octets by which the right edge could move.
fn growth(tcb: &Tcb) -> u32 {
    let candidate = right_edge(tcb);
    if candidate.after(tcb.rcv.granted) {
        candidate.since(tcb.rcv.granted)
    } else {
        0
    }
}

/// The right edge that the free space allows [RFC7323-10].
fn right_edge(tcb: &Tcb) -> SeqNum {
    let reach = u32::from(u16::MAX) << tcb.rcv.shift.get();
    tcb.rcv.nxt + tcb.receive_room().min(reach)
}

/// min(Fr * RCV.BUFF, Eff.snd.MSS) with Fr = 1/2 (RFC 9293 3.8.6.2.2).
fn worthwhile(tcb: &Tcb) -> u32 {
    (tcb.rcv.buffer / 2).min(u32::from(tcb.mss.receive)).max(1)
}
