//! Sequence numbers relative to the initial ones.

use handwave_tcp::Phase;
use handwave_tcp::trace::TraceEntry;
use handwave_wire::{SeqNum, TcpFlags, TcpHeader};

use crate::model::{Number, Segment, Side, Vars};
use crate::transit::Transit;

/// Turns numbers on the wire into distances from the initial ones, beyond 2^32 if it must be.
pub(super) struct Numbers {
    sides: [Option<Origin>; 2],
}

/// The initial number of a side, the latest number seen of it, and the scale of the windows it offers.
#[derive(Clone, Copy)]
struct Origin {
    isn: SeqNum,
    latest: SeqNum,
    offset: i64,
    window_shift: u8,
}

impl Numbers {
    pub(super) fn new(traces: &[Vec<&TraceEntry>; 2], transits: &[Transit]) -> Self {
        // The latest, since an earlier one may have opened something that a RST ended.
        let syn = |side| {
            transits.iter().rev().find(|transit| {
                transit.from == side
                    && !transit.injected
                    && transit.header.flags.contains(TcpFlags::SYN)
            })
        };
        let scaled = Side::BOTH
            .iter()
            .all(|&side| syn(side).is_some_and(|syn| syn.header.options.window_scale.is_some()));
        let origin = |side: Side| {
            let syn = syn(side).map(|syn| syn.header);
            let traced = || {
                traces[side.index()]
                    .iter()
                    .find(|entry| entry.after.is_synchronized())
                    .copied()
            };
            let isn = match syn {
                Some(header) => header.seq,
                None => traced()?.snd.iss,
            };
            let shift = syn
                .and_then(|header| header.options.window_scale)
                .unwrap_or_default();
            let window_shift = if scaled { shift } else { 0 };
            Some(Origin {
                isn,
                latest: isn,
                offset: 0,
                window_shift,
            })
        };
        Self {
            sides: [origin(Side::A), origin(Side::B)],
        }
    }

    pub(super) fn isn(&self, side: Side) -> Option<SeqNum> {
        self.sides[side.index()].map(|origin| origin.isn)
    }

    /// Names a number of `side`; the first one seen of a side without a known beginning is its beginning.
    fn name(&mut self, side: Side, raw: SeqNum) -> Number {
        let origin = self.sides[side.index()].get_or_insert(Origin {
            isn: raw,
            latest: raw,
            offset: 0,
            window_shift: 0,
        });
        // Signed, so that older numbers fall behind the mark instead of four billion ahead of it.
        let distance = raw.since(origin.latest).cast_signed();
        let offset = origin.offset + i64::from(distance);
        if (1..1 << 30).contains(&distance) {
            origin.latest = raw;
            origin.offset = offset;
        }
        Number { side, offset }
    }

    pub(super) fn segment(
        &mut self,
        from: Side,
        header: &TcpHeader,
        payload_len: usize,
    ) -> Segment {
        let syn = header.flags.contains(TcpFlags::SYN);
        let shift = if syn {
            0
        } else {
            self.sides[from.index()].map_or(0, |origin| origin.window_shift)
        };
        let acks = header.flags.contains(TcpFlags::ACK);
        Segment {
            flags: header.flags,
            seq: self.name(from, header.seq),
            ack: acks.then(|| self.name(from.other(), header.ack)),
            len: u32::try_from(payload_len).unwrap_or(u32::MAX),
            window: u32::from(header.window) << shift.min(14),
            raw_seq: header.seq,
            raw_ack: header.ack,
            options: header.options,
        }
    }

    /// The variables of `side` that an entry of its trace tells.
    pub(super) fn vars(&self, side: Side, entry: &TraceEntry) -> Option<Vars> {
        let known = |side: Side, raw: SeqNum| {
            let origin = self.sides[side.index()]?;
            let distance = raw.since(origin.latest).cast_signed();
            Some(Number {
                side,
                offset: origin.offset + i64::from(distance),
            })
        };
        // Before and after a connection there are none, and before the peer's SYN only half of them.
        let (snd, rcv) = (&entry.snd, &entry.rcv);
        let receives = match entry.after {
            Phase::Closed | Phase::Listen => return None,
            Phase::SynSent => false,
            _ => true,
        };
        Some(Vars {
            snd_una: known(side, snd.una)?,
            snd_nxt: known(side, snd.nxt)?,
            snd_wnd: snd.wnd,
            cwnd: snd.cwnd,
            ssthresh: snd.ssthresh,
            pipe: snd.pipe,
            rcv_nxt: known(side.other(), rcv.nxt).filter(|_| receives),
            rcv_wnd: rcv.wnd,
        })
    }
}
