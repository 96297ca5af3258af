//! Finds the trace entries that tell of a journey's two ends.

use std::collections::{HashMap, HashSet, VecDeque};

use handwave_tcp::trace::{TraceEntry, TraceEvent};
use handwave_tcp::{Instant, Phase, Timer};
use handwave_wire::{TcpFlags, TcpHeader};

use crate::model::{Fate, Side};
use crate::transit::Transit;

/// What identifies a segment at one moment of one end.
type Key = (Instant, u32, u32, u16, usize);

fn key(at: Instant, header: &TcpHeader, payload_len: usize) -> Key {
    (
        at,
        header.seq.raw(),
        header.ack.raw(),
        header.flags.bits(),
        payload_len,
    )
}

/// The entries of both traces, by what a journey knows.
pub(super) struct Entries<'a> {
    traces: &'a [Vec<&'a TraceEntry>; 2],
    /// Departures and arrivals that no journey has claimed yet, in order.
    departures: [HashMap<Key, VecDeque<usize>>; 2],
    arrivals: [HashMap<Key, VecDeque<usize>>; 2],
    /// All departures of a moment: one of them may be a super-segment.
    moments: [HashMap<Instant, Vec<usize>>; 2],
    /// When the retransmission timer ran out.
    timeouts: [HashSet<Instant>; 2],
}

impl<'a> Entries<'a> {
    pub(super) fn new(traces: &'a [Vec<&'a TraceEntry>; 2]) -> Self {
        let mut entries = Self {
            traces,
            departures: Default::default(),
            arrivals: Default::default(),
            moments: Default::default(),
            timeouts: Default::default(),
        };
        for side in [Side::A.index(), Side::B.index()] {
            for (index, entry) in traces[side].iter().enumerate() {
                entries.file(side, index, entry);
            }
        }
        entries
    }

    fn file(&mut self, side: usize, index: usize, entry: &TraceEntry) {
        match &entry.event {
            TraceEvent::SegmentSent {
                header,
                payload_len,
                ..
            } => {
                let key = key(entry.now, header, *payload_len);
                self.departures[side]
                    .entry(key)
                    .or_default()
                    .push_back(index);
                self.moments[side].entry(entry.now).or_default().push(index);
            }
            TraceEvent::SegmentArrived {
                header,
                payload_len,
                ..
            } => {
                let key = key(entry.now, header, *payload_len);
                self.arrivals[side].entry(key).or_default().push_back(index);
            }
            TraceEvent::Timeout(Timer::Retransmission) => {
                self.timeouts[side].insert(entry.now);
            }
            TraceEvent::Timeout(_) | TraceEvent::Call(_) | TraceEvent::Icmp => {}
        }
    }

    /// An entry by the place that [`departure`](Self::departure) and [`arrival`](Self::arrival) return.
    pub(super) fn get(&self, side: Side, index: usize) -> &'a TraceEntry {
        self.traces[side.index()][index]
    }

    /// The entry that tells of the departure: that of the same segment, or of a super-segment that it is a piece of.
    pub(super) fn departure(&mut self, transit: &Transit) -> Option<usize> {
        if transit.injected {
            return None;
        }
        let side = transit.from.index();
        let key = key(transit.sent_at, &transit.header, transit.payload_len);
        let same = self.departures[side]
            .get_mut(&key)
            .and_then(VecDeque::pop_front);
        same.or_else(|| {
            let moment = self.moments[side].get(&transit.sent_at)?;
            let holds = |index: &&usize| is_piece(transit, self.traces[side][**index]);
            moment.iter().find(holds).copied()
        })
    }

    /// The entry that tells of the first arrival.
    pub(super) fn arrival(&mut self, transit: &Transit) -> Option<usize> {
        let Fate::Arrived { at, .. } = transit.fate else {
            return None;
        };
        let key = key(at, &transit.header, transit.payload_len);
        self.arrivals[transit.from.other().index()]
            .get_mut(&key)?
            .pop_front()
    }

    /// Whether the retransmission timer ran out at that moment.
    pub(super) fn timed_out(&self, side: Side, at: Instant) -> bool {
        self.timeouts[side.index()].contains(&at)
    }

    /// The state of a side at a moment.
    pub(super) fn phase(&self, side: Side, at: Instant) -> Phase {
        let trace = &self.traces[side.index()];
        match trace
            .partition_point(|entry| entry.now <= at)
            .checked_sub(1)
        {
            Some(last) => trace[last].after,
            None => trace.first().map_or(Phase::Closed, |entry| entry.before),
        }
    }
}

/// Whether a segment may have been cut out of what an entry says was sent.
fn is_piece(transit: &Transit, entry: &TraceEntry) -> bool {
    let TraceEvent::SegmentSent {
        header,
        payload_len,
        ..
    } = &entry.event
    else {
        return false;
    };
    let start = transit.header.seq.since(header.seq);
    let end = u64::from(start) + transit.payload_len as u64;
    let flags = transit.header.flags.without(TcpFlags::PSH);
    header.ack == transit.header.ack && header.flags.contains(flags) && end <= *payload_len as u64
}
