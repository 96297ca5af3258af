//! Setting the hosts' clocks so that sequence numbers or timestamps wrap in the middle of a run.
//!
//! Initial sequence numbers advance by one each 4 µs (RFC 9293 3.4.1), timestamps by one each millisecond; both start from a
//! keyed hash of the connection. A probe finds out what they are at time zero, and the clock is set forward by what is missing.

use super::journal::Entry;
use super::run::Run;
use crate::LinkConfig;
use crate::plan::{Clock, Plan};
use core::time::Duration;
use handwave_tcp::time::Instant;
use handwave_wire::TcpFlags;

/// Steps in which both ends of an undisturbed connection have sent their SYNs.
const STEPS_MAX: usize = 1_000;
/// What a tick of the clock for initial sequence numbers takes.
const SEQUENCE_TICK: Duration = Duration::from_micros(4);
/// What a tick of the timestamp clock takes.
const TIMESTAMP_TICK: Duration = Duration::from_millis(1);

/// What the clocks show when `plan` begins.
pub(super) fn start(plan: &Plan) -> Instant {
    let (end, field, before, tick): (_, fn(&Entry) -> Option<u32>, _, _) = match plan.clock {
        Clock::Zero => return Instant::ZERO,
        Clock::SequenceWraps { end, octets } => {
            (end, |syn| Some(syn.seq.raw()), octets, SEQUENCE_TICK)
        }
        Clock::TimestampWraps { end, ticks } => (end, |syn| syn.timestamp, ticks, TIMESTAMP_TICK),
    };
    let missing = probe(plan, end)
        .as_ref()
        .and_then(field)
        .map(|value| 0u32.wrapping_sub(value).wrapping_sub(before));
    missing.map_or(Instant::ZERO, |ticks| Instant::ZERO + tick * ticks)
}

/// The first SYN of one end when the first conversation is undisturbed and begins with a clock at zero.
fn probe(plan: &Plan, end: usize) -> Option<Entry> {
    let mut quiet = plan.clone();
    quiet.conversations.truncate(1);
    quiet.mtu_changes.clear();
    quiet.outages.clear();
    quiet.attack_pause = None;
    quiet.links = quiet.links.map(|link| LinkConfig {
        jitter: Duration::ZERO,
        ..link.without_faults()
    });
    let mut run = Run::new(quiet, Instant::ZERO, false);
    run.begin().ok()?;
    for _ in 0..STEPS_MAX {
        let syn = run.journal().with(|entries| {
            let mut syns = entries
                .iter()
                .filter(|entry| entry.flags.contains(TcpFlags::SYN));
            syns.find(|entry| entry.from.index() == end).copied()
        });
        if syn.is_some() {
            return syn;
        }
        run.advance().ok()?;
    }
    None
}
