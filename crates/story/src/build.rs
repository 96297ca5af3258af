//! From traces and journeys to steps: who sent what when, in whose numbers, and where it ended.

use std::collections::HashMap;

use handwave_tcp::trace::{SendReason, TraceEntry, TraceEvent, UserCall};
use handwave_tcp::{Endpoint, Instant, Phase, Timer};
use handwave_wire::{SeqNum, TcpFlags, TcpHeader};

use crate::arithmetic::Arithmetic;
use crate::explain::Narrator;
use crate::model::{
    Change, End, Fate, LocalEvent, LocalStep, Number, Role, Segment, SegmentStep, Side, Step,
    Story, Trigger, Weight, What,
};
use crate::transit::Transit;

/// What one end contributes to the story.
#[derive(Clone, Copy, Debug)]
pub struct Witness<'a> {
    /// The part it plays.
    pub role: Role,
    /// Its address and port.
    pub endpoint: Endpoint,
    /// Everything its trace recorded, in order. Entries of other connections are skipped.
    pub trace: &'a [TraceEntry],
}

/// Puts the story of one connection together.
///
/// The two witnesses tell of states and reasons, the journeys of what the network did; [`infer`](crate::infer) makes up
/// the latter where nobody recorded them. Journeys must be in the order of departure.
pub fn tell(witnesses: [Witness<'_>; 2], transits: &[Transit]) -> Story {
    let [a, b] = witnesses;
    let traces = [entries(&a, b.endpoint), entries(&b, a.endpoint)];
    let mut numbers = Numbers::new(&traces, transits);
    let ends = [(a, Side::A), (b, Side::B)].map(|(witness, side)| {
        let trace = &traces[side.index()];
        // Who listens and never hears anything leaves no trace of it.
        let silent = if witness.role == Role::Server {
            Phase::Listen
        } else {
            Phase::Closed
        };
        End {
            role: witness.role,
            endpoint: witness.endpoint,
            isn: numbers.isn(side),
            first: trace.first().map_or(silent, |entry| entry.before),
            last: trace.last().map_or(silent, |entry| entry.after),
        }
    });
    let mut steps = Departures::new(&traces).steps(transits, &mut numbers);
    for side in Side::BOTH {
        let local = traces[side.index()].iter().enumerate();
        steps.extend(local.filter_map(|(index, entry)| local_step(side, index, entry)));
    }
    // Calls and timers come before the segments they cause.
    steps.sort_by_key(|step| (step.at, matches!(step.what, What::Segment(_))));
    let mut narrator = Narrator::new(&traces);
    let mut number = 0;
    for step in &mut steps {
        if let What::Segment(segment) = &mut step.what {
            number += 1;
            segment.number = number;
        }
        narrator.explain(step);
    }
    Story { ends, steps }
}

/// The entries of a witness that belong to the connection with `peer`.
fn entries<'a>(witness: &Witness<'a>, peer: Endpoint) -> Vec<&'a TraceEntry> {
    let ours =
        |entry: &&TraceEntry| entry.tuple.local == witness.endpoint && entry.tuple.remote == peer;
    witness.trace.iter().filter(ours).collect()
}

/// Turns numbers on the wire into distances from the initial ones, beyond 2^32 if it must be.
struct Numbers {
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
    fn new(traces: &[Vec<&TraceEntry>; 2], transits: &[Transit]) -> Self {
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

    fn isn(&self, side: Side) -> Option<SeqNum> {
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

    fn segment(&mut self, from: Side, header: &TcpHeader, payload_len: usize) -> Segment {
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
}

/// Finds the trace entries of a journey's two ends, and counts repetitions.
struct Departures<'a> {
    traces: &'a [Vec<&'a TraceEntry>; 2],
    /// The entries of each side at each moment.
    moments: [HashMap<Instant, Vec<usize>>; 2],
    /// Entries already spoken for.
    taken: [Vec<bool>; 2],
    /// How often the octets from a number on were sent, per side; a SYN+ACK counts apart from the SYN.
    sent: [HashMap<(i64, bool), u32>; 2],
    /// One past the highest number sent, per side.
    highest: [i64; 2],
    /// The arrived segments by the number after their last, per side, with the time of arrival.
    arrived: [HashMap<i64, (Instant, Arithmetic)>; 2],
}

impl<'a> Departures<'a> {
    fn new(traces: &'a [Vec<&'a TraceEntry>; 2]) -> Self {
        let mut moments = [HashMap::new(), HashMap::new()];
        for side in Side::BOTH {
            for (index, entry) in traces[side.index()].iter().enumerate() {
                let at: &mut Vec<usize> = moments[side.index()].entry(entry.now).or_default();
                at.push(index);
            }
        }
        let taken = [vec![false; traces[0].len()], vec![false; traces[1].len()]];
        Self {
            traces,
            moments,
            taken,
            sent: Default::default(),
            highest: [i64::MIN; 2],
            arrived: Default::default(),
        }
    }

    fn steps(mut self, transits: &[Transit], numbers: &mut Numbers) -> Vec<Step> {
        transits
            .iter()
            .map(|transit| self.step(transit, numbers))
            .collect()
    }

    fn step(&mut self, transit: &Transit, numbers: &mut Numbers) -> Step {
        let (from, to) = (transit.from, transit.from.other());
        let segment = numbers.segment(from, &transit.header, transit.payload_len);
        let mut order = [None; 2];
        order[from.index()] = self.departure(transit);
        order[to.index()] = self.arrival(transit);
        let entry = |side: Side| order[side.index()].map(|index| self.traces[side.index()][index]);
        let reason = entry(from).and_then(reason);
        let verdict = entry(to).map(|entry| entry.verdict);
        let arithmetic = segment.ack.and_then(|ack| {
            let (at, sum) = self.arrived[to.index()].get(&ack.offset)?;
            (*at <= transit.sent_at).then_some(*sum)
        });
        // A probe sends the same octet on purpose.
        let repeats = !transit.injected && reason != Some(SendReason::WindowProbe);
        let resent = if repeats {
            self.count(from, &segment)
        } else {
            0
        };
        let trigger = (resent > 0).then(|| self.trigger(from, transit.sent_at));
        let arrived_at = match transit.fate {
            Fate::Arrived { at, .. } => Some(at),
            Fate::Lost | Fate::Corrupted | Fate::InFlight => None,
        };
        if let (Some(at), true) = (arrived_at, segment.seq_len() > 0) {
            let sum = Arithmetic::of(&segment);
            self.arrived[from.index()]
                .entry(sum.ack.offset)
                .or_insert((at, sum));
        }
        let sender = (!transit.injected).then(|| self.change(from, order, transit.sent_at));
        let receiver = arrived_at.map(|at| self.change(to, order, at));
        Step {
            at: transit.sent_at,
            what: What::Segment(Box::new(SegmentStep {
                number: 0,
                from,
                segment,
                reason,
                injected: transit.injected,
                resent,
                trigger,
                fate: transit.fate.clone(),
                sender,
                receiver,
                verdict,
                arithmetic,
            })),
            says: Vec::new(),
            weight: Weight::Bulk,
            order,
        }
    }

    /// What a segment did to the state of `side`; without an entry that says so, it did nothing.
    fn change(&self, side: Side, order: [Option<usize>; 2], at: Instant) -> Change {
        let trace = &self.traces[side.index()];
        if let Some(index) = order[side.index()] {
            let entry = trace[index];
            return Change {
                before: entry.before,
                after: entry.after,
            };
        }
        let earlier = trace.partition_point(|entry| entry.now <= at);
        let phase = match earlier.checked_sub(1) {
            Some(last) => trace[last].after,
            None => trace.first().map_or(Phase::Closed, |entry| entry.before),
        };
        Change {
            before: phase,
            after: phase,
        }
    }

    /// The entry that tells of the departure: that of the same segment, or of a super-segment that it is a piece of.
    fn departure(&mut self, transit: &Transit) -> Option<usize> {
        if transit.injected {
            return None;
        }
        let side = transit.from.index();
        let at = self.moments[side].get(&transit.sent_at)?;
        let (traces, taken) = (self.traces, &self.taken);
        let sent = |index: usize| match &traces[side][index].event {
            TraceEvent::SegmentSent {
                header,
                payload_len,
                ..
            } => Some((header, *payload_len)),
            _ => None,
        };
        let same = |index: &usize| {
            let same = sent(*index) == Some((&transit.header, transit.payload_len));
            same && !taken[side][*index]
        };
        let holds = |index: &usize| {
            sent(*index).is_some_and(|(header, payload_len)| {
                let start = transit.header.seq.since(header.seq);
                let end = u64::from(start) + transit.payload_len as u64;
                let flags = transit.header.flags.without(TcpFlags::PSH);
                header.ack == transit.header.ack
                    && header.flags.contains(flags)
                    && end <= payload_len as u64
            })
        };
        let found = at.iter().copied().find(|index| same(index));
        let found = found.or_else(|| at.iter().copied().find(|index| holds(index)))?;
        self.taken[side][found] = true;
        Some(found)
    }

    /// The entry that tells of the first arrival.
    fn arrival(&mut self, transit: &Transit) -> Option<usize> {
        let Fate::Arrived { at, .. } = transit.fate else {
            return None;
        };
        let side = transit.from.other().index();
        let candidates = self.moments[side].get(&at)?;
        let found = candidates.iter().copied().find(|&index| {
            !self.taken[side][index]
                && match &self.traces[side][index].event {
                    TraceEvent::SegmentArrived {
                        header,
                        payload_len,
                        ..
                    } => {
                        (header.seq, header.ack, header.flags, *payload_len)
                            == (
                                transit.header.seq,
                                transit.header.ack,
                                transit.header.flags,
                                transit.payload_len,
                            )
                    }
                    _ => false,
                }
        })?;
        self.taken[side][found] = true;
        Some(found)
    }

    /// How often what the segment carries was sent before.
    fn count(&mut self, from: Side, segment: &Segment) -> u32 {
        let (start, end) = (segment.seq.offset, segment.end().offset);
        if end == start {
            return 0;
        }
        // After SYNs have crossed, SYN+ACK says something that the SYN could not.
        let crossed = segment.has(TcpFlags::SYN) && segment.has(TcpFlags::ACK);
        let times = self.sent[from.index()].entry((start, crossed)).or_default();
        *times += 1;
        let highest = &mut self.highest[from.index()];
        let again = start < *highest && !crossed;
        *highest = end.max(*highest);
        if again {
            (*times - 1).max(1)
        } else {
            *times - 1
        }
    }

    /// Whether a timer ran out at the moment of a repetition.
    fn trigger(&self, from: Side, sent_at: Instant) -> Trigger {
        let at = self.moments[from.index()]
            .get(&sent_at)
            .map_or(&[][..], Vec::as_slice);
        let timeout = at.iter().any(|&index| {
            matches!(
                self.traces[from.index()][index].event,
                TraceEvent::Timeout(Timer::Retransmission)
            )
        });
        if timeout {
            Trigger::Timeout
        } else {
            Trigger::Acknowledgments
        }
    }
}

fn reason(entry: &TraceEntry) -> Option<SendReason> {
    match entry.event {
        TraceEvent::SegmentSent { reason, .. } => Some(reason),
        _ => None,
    }
}

/// The step of an entry that is no segment and that a reader wants to see.
fn local_step(side: Side, index: usize, entry: &TraceEntry) -> Option<Step> {
    let change = Change {
        before: entry.before,
        after: entry.after,
    };
    let event = match entry.event {
        TraceEvent::Call(UserCall::Send(_) | UserCall::Receive(_)) => return None,
        TraceEvent::Call(call) => LocalEvent::Call(call),
        TraceEvent::Timeout(timer) => LocalEvent::Timeout(timer),
        TraceEvent::Icmp => LocalEvent::Icmp,
        TraceEvent::SegmentArrived { .. } | TraceEvent::SegmentSent { .. } => return None,
    };
    let tells = match event {
        LocalEvent::Call(UserCall::Open | UserCall::Close | UserCall::Abort) => true,
        LocalEvent::Timeout(Timer::TimeWait | Timer::UserTimeout) | LocalEvent::Icmp => true,
        // The rest shows in the segments it leads to.
        LocalEvent::Call(_) | LocalEvent::Timeout(_) => change.is_change(),
    };
    let mut order = [None; 2];
    order[side.index()] = Some(index);
    tells.then(|| Step {
        at: entry.now,
        what: What::Local(LocalStep {
            side,
            event,
            change,
        }),
        says: Vec::new(),
        weight: Weight::Key,
        order,
    })
}

#[cfg(test)]
mod tests;
