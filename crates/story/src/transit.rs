//! Journeys: what left one end, when, and what the network did with it.
//!
//! Whoever runs the network (the simulator) knows every journey exactly and hands them in. Where nobody does,
//! [`infer`] pairs what one trace says was sent with what the other says arrived.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use handwave_tcp::Instant;
use handwave_tcp::trace::{TraceEntry, TraceEvent};
use handwave_wire::TcpHeader;

use crate::model::{Fate, Side};

/// The journey of one segment.
#[derive(Clone, Debug)]
pub struct Transit {
    /// The side whose address it carries.
    pub from: Side,
    /// When it left.
    pub sent_at: Instant,
    /// Its header.
    pub header: TcpHeader,
    /// Octets of text.
    pub payload_len: usize,
    /// What became of it.
    pub fate: Fate,
    /// Neither end sent it during the story: somebody slipped it into the network.
    pub injected: bool,
}

/// One thing a trace says: this segment, at this moment.
struct Mention {
    at: Instant,
    header: TcpHeader,
    payload_len: usize,
}

/// Everything about a segment that two equal ones share.
type Key = (u32, u32, u16, u16, usize, Option<(u32, u32)>);

fn key(mention: &Mention) -> Key {
    let header = &mention.header;
    (
        header.seq.raw(),
        header.ack.raw(),
        header.flags.bits(),
        header.window,
        mention.payload_len,
        header
            .options
            .timestamps
            .map(|stamps| (stamps.value, stamps.echo)),
    )
}

/// Pairs departures with arrivals from the traces of both ends alone.
///
/// Equal segments are told apart by time: an arrival belongs to the latest departure that left at least the shortest
/// known travelling time before. What arrives again is a copy; what never arrives was lost; what nobody sent was slipped in.
pub fn infer(traces: [&[TraceEntry]; 2]) -> Vec<Transit> {
    let [a, b] = traces;
    let mut transits = one_way(Side::A, &sent(a), &arrived(b));
    transits.extend(one_way(Side::B, &sent(b), &arrived(a)));
    transits.sort_by_key(|transit| transit.sent_at);
    transits
}

fn sent(trace: &[TraceEntry]) -> Vec<Mention> {
    let mention = |entry: &TraceEntry| match &entry.event {
        TraceEvent::SegmentSent {
            header,
            payload_len,
            ..
        } => Some(Mention {
            at: entry.now,
            header: *header,
            payload_len: *payload_len,
        }),
        _ => None,
    };
    trace.iter().filter_map(mention).collect()
}

fn arrived(trace: &[TraceEntry]) -> Vec<Mention> {
    let mention = |entry: &TraceEntry| match &entry.event {
        TraceEvent::SegmentArrived {
            header,
            payload_len,
            ..
        } => Some(Mention {
            at: entry.now,
            header: *header,
            payload_len: *payload_len,
        }),
        _ => None,
    };
    trace.iter().filter_map(mention).collect()
}

fn one_way(from: Side, sent: &[Mention], arrived: &[Mention]) -> Vec<Transit> {
    let mut departures: HashMap<Key, VecDeque<usize>> = HashMap::new();
    for (index, mention) in sent.iter().enumerate() {
        departures.entry(key(mention)).or_default().push_back(index);
    }
    let shortest = shortest_journey(sent, arrived, &departures);
    let mut transits: Vec<Transit> = sent
        .iter()
        .map(|mention| Transit {
            from,
            sent_at: mention.at,
            header: mention.header,
            payload_len: mention.payload_len,
            fate: Fate::Lost,
            injected: false,
        })
        .collect();
    let mut strangers = Vec::new();
    for mention in arrived {
        let candidates = departures
            .get(&key(mention))
            .map(|indices| indices.iter().rev());
        let possible: Vec<usize> = candidates
            .into_iter()
            .flatten()
            .copied()
            .filter(|&index| transits[index].sent_at + shortest <= mention.at)
            .collect();
        let fresh = possible
            .iter()
            .find(|&&index| transits[index].fate == Fate::Lost);
        let Some(&index) = fresh.or(possible.first()) else {
            strangers.push(stranger(from, mention));
            continue;
        };
        match &mut transits[index].fate {
            Fate::Arrived { copies, .. } => copies.push(mention.at),
            fate => {
                *fate = Fate::Arrived {
                    at: mention.at,
                    copies: Vec::new(),
                }
            }
        }
    }
    transits.extend(strangers);
    transits
}

/// The shortest time any segment took that can have only one departure.
fn shortest_journey(
    sent: &[Mention],
    arrived: &[Mention],
    departures: &HashMap<Key, VecDeque<usize>>,
) -> Duration {
    arrived
        .iter()
        .filter_map(|mention| match departures.get(&key(mention)) {
            Some(indices) if indices.len() == 1 && sent[indices[0]].at <= mention.at => {
                Some(mention.at - sent[indices[0]].at)
            }
            _ => None,
        })
        .min()
        .unwrap_or_default()
}

fn stranger(from: Side, mention: &Mention) -> Transit {
    Transit {
        from,
        sent_at: mention.at,
        header: mention.header,
        payload_len: mention.payload_len,
        fate: Fate::Arrived {
            at: mention.at,
            copies: Vec::new(),
        },
        injected: true,
    }
}
