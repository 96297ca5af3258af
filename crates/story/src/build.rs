//! From traces and journeys to steps: who sent what when, in whose numbers, and where it ended.

mod entries;
mod numbers;

use std::collections::HashMap;

use handwave_tcp::trace::{SendReason, TraceEntry, TraceEvent, UserCall};
use handwave_tcp::{Endpoint, Instant, Phase, Timer};
use handwave_wire::TcpFlags;

use self::entries::Entries;
use self::numbers::Numbers;
use crate::arithmetic::Arithmetic;
use crate::explain::Narrator;
use crate::model::{
    Change, End, Fate, LocalEvent, LocalStep, Role, Segment, SegmentStep, Side, Step, Story,
    Trigger, Weight, What,
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
    let numbers = Numbers::new(&traces, transits);
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
    let mut journeys = Journeys {
        entries: Entries::new(&traces),
        numbers,
        sent: Default::default(),
        highest: [i64::MIN; 2],
        arrived: Default::default(),
    };
    let mut steps: Vec<Step> = transits
        .iter()
        .map(|transit| journeys.step(transit))
        .collect();
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

/// Turns journeys into steps, and counts repetitions.
struct Journeys<'a> {
    entries: Entries<'a>,
    numbers: Numbers,
    /// How often the octets from a number on were sent, per side; a SYN+ACK counts apart from the SYN.
    sent: [HashMap<(i64, bool), u32>; 2],
    /// One past the highest number sent, per side.
    highest: [i64; 2],
    /// The arrived segments by the number after their last, per side, with the time of arrival.
    arrived: [HashMap<i64, (Instant, Arithmetic)>; 2],
}

impl Journeys<'_> {
    fn step(&mut self, transit: &Transit) -> Step {
        let (from, to) = (transit.from, transit.from.other());
        let segment = self
            .numbers
            .segment(from, &transit.header, transit.payload_len);
        let (departure, arrival) = (
            self.entries.departure(transit),
            self.entries.arrival(transit),
        );
        let reason = departure.and_then(|index| reason(self.entries.get(from, index)));
        let verdict = arrival.map(|index| self.entries.get(to, index).verdict);
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
        let timed_out = self.entries.timed_out(from, transit.sent_at);
        let trigger = if timed_out {
            Trigger::Timeout
        } else {
            Trigger::Acknowledgments
        };
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
        let sender = || self.change(from, departure, transit.sent_at);
        let mut order = [None; 2];
        order[from.index()] = departure;
        order[to.index()] = arrival;
        Step {
            at: transit.sent_at,
            what: What::Segment(Box::new(SegmentStep {
                number: 0,
                from,
                segment,
                reason,
                injected: transit.injected,
                resent,
                trigger: (resent > 0).then_some(trigger),
                fate: transit.fate.clone(),
                sender: (!transit.injected).then(sender),
                receiver: arrived_at.map(|at| self.change(to, arrival, at)),
                verdict,
                arithmetic,
            })),
            says: Vec::new(),
            weight: Weight::Bulk,
            order,
        }
    }

    /// What a segment did to an end; without an entry that says so, it did nothing.
    fn change(&self, side: Side, index: Option<usize>, at: Instant) -> Change {
        let Some(index) = index else {
            let phase = self.entries.phase(side, at);
            return Change {
                before: phase,
                after: phase,
                vars: None,
            };
        };
        let entry = self.entries.get(side, index);
        let vars = self.numbers.vars(side, entry);
        Change {
            before: entry.before,
            after: entry.after,
            vars,
        }
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
        vars: None,
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
