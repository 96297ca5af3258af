//! What a run comes to in numbers.

use std::time::Duration;

use handwave_story::{Fate, Side, Story};
use handwave_tcp::trace::TraceEntry;
use handwave_tcp::{Instant, TcpInfo};
use serde_json::{Value, json};

use super::payload::{Hash, Origin, Payload, hex};
use super::play::Played;
use super::world::Stuck;

/// The numbers of a run.
pub(crate) struct Summary {
    /// What was to be sent, if the scenario sends anything.
    pub(crate) sent: Option<Sent>,
    /// Why the scenario did not go to its end.
    pub(crate) stuck: Option<Stuck>,
    /// Segments per sending side.
    pub(crate) segments: [u64; 2],
    /// Segments that carried what had been sent before.
    pub(crate) resent: u64,
    /// Segments that the network lost.
    pub(crate) lost: u64,
    /// Segments that arrived damaged.
    pub(crate) corrupted: u64,
    /// Copies that the network made.
    pub(crate) copies: u64,
    /// From the first call to the last octet.
    pub(crate) took: Duration,
    /// From the first call to the last thing that happened.
    pub(crate) virtual_time: Duration,
    /// What all that took outside.
    pub(crate) wall: Duration,
    /// The sender's own numbers.
    pub(crate) info: Option<TcpInfo>,
    /// The sender's congestion window over the time of the transfer.
    pub(crate) cwnd: Vec<u32>,
}

/// The data, before and after.
pub(crate) struct Sent {
    pub(crate) origin: Origin,
    pub(crate) octets: u64,
    pub(crate) hash: Hash,
    pub(crate) received: Hash,
    pub(crate) received_octets: u64,
}

/// How many values of the congestion window are kept.
const SAMPLES: usize = 64;

/// The congestion window at evenly spaced moments of the transfer.
fn sampled(sender: &[TraceEntry], took: Duration) -> Vec<u32> {
    let open = |entry: &&TraceEntry| entry.after.is_synchronized() && entry.snd.cwnd > 0;
    let known: Vec<(Duration, u32)> = sender
        .iter()
        .filter(open)
        .map(|entry| (entry.now - Instant::ZERO, entry.snd.cwnd))
        .take_while(|(at, _)| *at <= took)
        .collect();
    let Some((start, _)) = known.first().copied() else {
        return Vec::new();
    };
    let step = took.saturating_sub(start) / u32::try_from(SAMPLES).unwrap_or(u32::MAX);
    if step.is_zero() {
        return Vec::new();
    }
    let moments = (0..SAMPLES).scan(start, |at, _| {
        *at += step;
        Some(*at)
    });
    moments
        .filter_map(|moment| {
            let until = known.partition_point(|(at, _)| *at <= moment);
            until.checked_sub(1).map(|last| known[last].1)
        })
        .collect()
}

impl Sent {
    pub(crate) fn is_whole(&self) -> bool {
        self.hash == self.received && self.octets == self.received_octets
    }
}

impl Summary {
    pub(crate) fn new(
        story: &Story,
        payload: &Payload,
        played: &Played,
        sender: &[TraceEntry],
        wall: Duration,
    ) -> Self {
        let count = |test: &dyn Fn(&handwave_story::SegmentStep) -> bool| {
            story.segments().filter(|step| test(step)).count() as u64
        };
        let copies = story.segments().map(|step| match &step.fate {
            Fate::Arrived { copies, .. } => copies.len() as u64,
            Fate::Lost | Fate::Corrupted | Fate::InFlight => 0,
        });
        Self {
            sent: played.received.map(|(received, received_octets)| Sent {
                origin: payload.origin.clone(),
                octets: payload.octets,
                hash: payload.hash,
                received,
                received_octets,
            }),
            stuck: played.end.clone().err(),
            segments: Side::BOTH.map(|side| count(&|step| step.from == side && !step.injected)),
            resent: count(&|step| step.resent > 0),
            lost: count(&|step| step.fate == Fate::Lost),
            corrupted: count(&|step| step.fate == Fate::Corrupted),
            copies: copies.sum(),
            took: played.took,
            virtual_time: story.steps.last().map_or_else(Duration::default, |step| {
                Duration::from_nanos(step.at.as_nanos())
            }),
            wall,
            info: played.info.clone(),
            cwnd: sampled(sender, played.took),
        }
    }

    /// Whether the data arrived whole and the scenario ended as it should.
    pub(crate) fn is_fine(&self) -> bool {
        self.stuck.is_none() && self.sent.as_ref().is_none_or(Sent::is_whole)
    }

    /// Octets of text per second of virtual time, in bits.
    pub(crate) fn goodput_bits(&self) -> Option<f64> {
        // A few octets measure the handshake, not the path.
        const OCTETS_MIN: u64 = 64 * 1024;
        let octets = self.sent.as_ref()?.received_octets;
        let seconds = self.took.as_secs_f64();
        (octets >= OCTETS_MIN && seconds > 0.0).then(|| octets as f64 * 8.0 / seconds)
    }

    /// The window's highest value, where there is a course worth drawing.
    pub(crate) fn cwnd_max(&self) -> Option<u32> {
        let changes = self.cwnd.windows(2).any(|pair| pair[0] != pair[1]);
        self.cwnd.iter().copied().max().filter(|_| changes)
    }

    pub(crate) fn to_json(&self) -> Value {
        let nanos = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        json!({
            "fine": self.is_fine(),
            "stuck": self.stuck.as_ref().map(|stuck| match stuck {
                Stuck::Silent => "nothing more would have happened".to_owned(),
                Stuck::TooLong => "a day passed".to_owned(),
                Stuck::Socket(error) => error.clone(),
            }),
            "data": self.sent.as_ref().map(|sent| json!({
                "origin": match &sent.origin {
                    Origin::Generated => "generated",
                    Origin::File(name) => name,
                    Origin::Stdin => "standard input",
                },
                "octets": sent.octets,
                "sha256": hex(&sent.hash),
                "received_octets": sent.received_octets,
                "received_sha256": hex(&sent.received),
                "whole": sent.is_whole(),
            })),
            "segments": { "a": self.segments[0], "b": self.segments[1] },
            "resent": self.resent,
            "lost": self.lost,
            "corrupted": self.corrupted,
            "copies": self.copies,
            "transfer_ns": nanos(self.took),
            "virtual_time_ns": nanos(self.virtual_time),
            "goodput_bits_per_second": self.goodput_bits(),
            "cwnd": self.cwnd,
            "rtt": self.info.as_ref().map(|info| json!({
                "srtt_ns": info.rtt.map(nanos),
                "min_ns": info.min_rtt.map(nanos),
            })),
        })
    }
}
