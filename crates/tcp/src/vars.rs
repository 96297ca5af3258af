//! The send and receive sequence variables of RFC 9293 3.3.1, and windows that carry their shift in the type.

use core::ops::Shl;

use handwave_wire::SeqNum;

/// The window field of a header, before scaling. Unsigned 16 bits (RFC 9293 3.1 [MUST-1]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RawWindow(pub(crate) u16);

/// Window scale shift, at most 14 (RFC 7323 2.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WindowShift(u8);

impl WindowShift {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const MAX: u8 = 14;

    /// Shifts above 14 count as 14 (RFC 7323 2.3) [RFC7323-8].
    pub(crate) const fn new(shift: u8) -> Self {
        Self(if shift > Self::MAX { Self::MAX } else { shift })
    }

    pub(crate) const fn get(self) -> u8 {
        self.0
    }

    /// The smallest shift with which a buffer of `octets` can be offered.
    pub(crate) const fn for_buffer(octets: u32) -> Self {
        let bits = u32::BITS - octets.leading_zeros();
        let shift = bits.saturating_sub(u16::BITS);
        #[expect(clippy::cast_possible_truncation, reason = "at most 16")]
        let shift = shift as u8;
        Self(if shift < Self::MAX { shift } else { Self::MAX })
    }

    /// The octets one step of the field stands for.
    pub(crate) const fn unit(self) -> u32 {
        1 << self.0
    }
}

impl Shl<WindowShift> for RawWindow {
    type Output = u32;
    fn shl(self, shift: WindowShift) -> u32 {
        u32::from(self.0) << shift.0
    }
}

/// SND.* of RFC 9293 3.3.1.
#[derive(Clone, Debug)]
pub(crate) struct SendVars {
    /// Initial send sequence number.
    pub(crate) iss: SeqNum,
    /// Oldest unacknowledged sequence number.
    pub(crate) una: SeqNum,
    /// Next sequence number to use.
    pub(crate) nxt: SeqNum,
    /// The peer's window in octets, an offset from `una` (RFC 9293 3.1 [REC-1]).
    pub(crate) wnd: u32,
    /// SEG.SEQ of the segment that set `wnd`.
    pub(crate) wl1: SeqNum,
    /// SEG.ACK of the segment that set `wnd`.
    pub(crate) wl2: SeqNum,
    /// The largest window the peer ever offered: MAX.SND.WND (RFC 5961 5.2).
    pub(crate) wnd_max: u32,
    /// Shift of the windows the peer offers.
    pub(crate) shift: WindowShift,
    /// Octets the send buffer may hold at present.
    pub(crate) buffer: u32,
}

impl SendVars {
    pub(crate) fn new(iss: SeqNum, buffer: u32) -> Self {
        Self {
            buffer,
            iss,
            una: iss,
            nxt: iss + 1,
            wnd: 0,
            wl1: SeqNum::default(),
            wl2: SeqNum::default(),
            wnd_max: 0,
            shift: WindowShift::NONE,
        }
    }

    /// Sequence numbers sent and not acknowledged, SYN and FIN counted.
    pub(crate) const fn flight(&self) -> u32 {
        self.nxt.since(self.una)
    }

    /// Octets the peer's window still admits beyond `nxt`. Zero when the peer shrank it below what is in flight
    /// (RFC 9293 3.8.6 [MUST-34] [SHLD-15]).
    pub(crate) const fn usable(&self) -> u32 {
        self.wnd.saturating_sub(self.flight())
    }

    /// Takes the peer's window from a segment, remembering which one it was.
    pub(crate) fn take_window(&mut self, wnd: u32, seq: SeqNum, ack: SeqNum) {
        self.wnd = wnd;
        self.wl1 = seq;
        self.wl2 = ack;
        self.wnd_max = self.wnd_max.max(wnd);
    }
}

/// RCV.* of RFC 9293 3.3.1.
#[derive(Clone, Debug)]
pub(crate) struct ReceiveVars {
    /// Initial receive sequence number.
    pub(crate) irs: SeqNum,
    /// Next sequence number expected.
    pub(crate) nxt: SeqNum,
    /// Right edge of the window offered: RCV.NXT + RCV.WND. Never moves left (RFC 9293 3.8.6 [SHLD-14]).
    pub(crate) edge: SeqNum,
    /// Right edge as the buffer allowed it when it last moved. `edge` lies up to one unit of the scale beyond.
    pub(crate) granted: SeqNum,
    /// Most octets to offer, whatever the buffer has room for.
    pub(crate) limit: u32,
    /// Where the peer's FIN stands, once seen.
    pub(crate) fin: Option<SeqNum>,
    /// How many segments with text beyond a gap have come since that FIN last did.
    pub(crate) fin_rank: u8,
    /// The acknowledgment number last sent (RFC 7323 4.3, Last.ACK.sent).
    pub(crate) last_ack_sent: SeqNum,
    /// Shift of the windows we offer.
    pub(crate) shift: WindowShift,
    /// Octets the receive buffer may hold at present.
    pub(crate) buffer: u32,
}

impl ReceiveVars {
    pub(crate) fn new(irs: SeqNum, buffer: u32) -> Self {
        let nxt = irs + 1;
        Self {
            buffer,
            irs,
            nxt,
            edge: nxt,
            granted: nxt,
            limit: u32::MAX,
            fin: None,
            fin_rank: 0,
            last_ack_sent: nxt,
            shift: WindowShift::NONE,
        }
    }

    /// RCV.WND: octets the peer may still send.
    pub(crate) const fn wnd(&self) -> u32 {
        self.edge.since(self.nxt)
    }
}
