//! Half-open connections: compact records, found by hash, their SYN+ACK timers in queues of equal waiting time.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::hash::BuildHasher;
use core::time::Duration;

use handwave_wire::{SeqNum, TcpFlags, TcpHeader};
use hashbrown::HashMap;
use siphasher::sip::SipHasher13;

use crate::config::{Config, ListenerConfig};
use crate::host::Context;
use crate::options::{Negotiated, TimestampClock, announced_mss, syn_options};
use crate::output::{Bare, bare_segment, syn_window};
use crate::segment::{Path, SegmentOut};
use crate::time::Instant;
use crate::tuple::Tuple;

/// A connection in SYN-RECEIVED that came from LISTEN.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what is known and what is to be sent, each on its own"
)]
pub(super) struct HalfOpen {
    pub(super) iss: SeqNum,
    pub(super) irs: SeqNum,
    /// TSval of the SYN, to be echoed.
    pub(super) ts_recent: u32,
    /// Our timestamp offset for this tuple.
    pub(super) ts_offset: u32,
    /// When the SYN arrived.
    pub(super) arrived: Instant,
    pub(super) mss: u16,
    pub(super) peer_mss: Option<u16>,
    pub(super) peer_window: u16,
    /// The window our SYN+ACK offered.
    pub(super) offered: u16,
    pub(super) negotiated: Negotiated,
    /// SYN+ACKs sent because of time: the first, and one for each timeout.
    pub(super) sent: u8,
    /// A SYN+ACK had to be sent again, for whatever reason.
    pub(super) resent: bool,
    /// The SYN+ACK in the queue of segments to send is due to a timeout.
    retry: bool,
    /// The SYN+ACK is in the queue of segments to send.
    queued: bool,
    /// A bare acknowledgment is in that queue.
    ack_queued: bool,
}

impl HalfOpen {
    pub(super) fn new(
        config: &Config,
        cx: &Context<'_>,
        tuple: &Tuple,
        path: Path,
        syn: &TcpHeader,
        iss: SeqNum,
    ) -> Self {
        Self {
            iss,
            irs: syn.seq,
            ts_recent: syn.options.timestamps.map_or(0, |stamp| stamp.value),
            ts_offset: cx.host.timestamp_offset(tuple),
            arrived: cx.now,
            mss: announced_mss(config, tuple, path),
            peer_mss: syn.options.mss,
            peer_window: syn.window,
            offered: syn_window(config.receive_buffer),
            negotiated: Negotiated::new(config, &syn.options),
            sent: 0,
            resent: false,
            retry: true,
            queued: false,
            ack_queued: false,
        }
    }

    pub(super) fn clock(&self) -> TimestampClock {
        TimestampClock {
            offset: self.ts_offset,
            recent: self.ts_recent,
            recent_at: self.arrived,
        }
    }

    fn syn_ack(&self, config: &Config, tuple: Tuple, now: Instant) -> SegmentOut {
        bare_segment(
            config,
            Bare {
                tuple,
                seq: self.iss,
                ack: Some(self.irs + 1),
                flags: TcpFlags::SYN,
                window: self.offered,
                options: syn_options(
                    config,
                    self.mss,
                    self.clock().stamp(now),
                    Some(&self.negotiated),
                ),
            },
        )
    }

    fn acknowledgment(&self, config: &Config, tuple: Tuple, now: Instant) -> SegmentOut {
        let timestamps = self.negotiated.timestamps.then(|| self.clock().stamp(now));
        bare_segment(
            config,
            Bare {
                tuple,
                seq: self.iss + 1,
                ack: Some(self.irs + 1),
                flags: TcpFlags::ACK,
                window: self.offered >> self.negotiated.receive_shift.get(),
                options: handwave_wire::TcpOptions {
                    timestamps,
                    ..handwave_wire::TcpOptions::default()
                },
            },
        )
    }
}

/// Hashes tuples with a secret, so that nobody can aim at one bucket.
#[derive(Clone, Debug)]
struct Keyed([u8; 16]);

impl BuildHasher for Keyed {
    type Hasher = SipHasher13;
    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_key(&self.0)
    }
}

/// When a SYN+ACK was sent, and which record it belongs to.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    due: Instant,
    tuple: Tuple,
    iss: SeqNum,
}

/// The half-open records of one listener.
#[derive(Debug)]
pub(super) struct SynQueue {
    records: HashMap<Tuple, HalfOpen, Keyed>,
    /// Records with a segment to send.
    ready: VecDeque<Tuple>,
    /// One queue for each number of SYN+ACKs sent. All in one queue wait equally long, so each is in order of deadline.
    waiting: Vec<VecDeque<Waiting>>,
    max: usize,
    retries: u8,
    timeout: Duration,
}

impl SynQueue {
    pub(super) fn new(key: &[u8; 16], limits: &ListenerConfig) -> Self {
        Self {
            records: HashMap::with_hasher(Keyed(*key)),
            ready: VecDeque::new(),
            waiting: alloc::vec![VecDeque::new(); usize::from(limits.synack_retries) + 1],
            max: limits.syn_queue_max,
            retries: limits.synack_retries,
            timeout: limits.synack_timeout,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.records.len() >= self.max
    }

    pub(super) fn get(&self, tuple: &Tuple) -> Option<&HalfOpen> {
        self.records.get(tuple)
    }

    /// Adds a record whose SYN+ACK leaves with the next poll.
    pub(super) fn insert(&mut self, tuple: Tuple, record: HalfOpen) {
        self.records.insert(tuple, record);
        self.want_syn_ack(&tuple);
    }

    pub(super) fn remove(&mut self, tuple: &Tuple) -> Option<HalfOpen> {
        self.records.remove(tuple)
    }

    /// Queues the SYN+ACK, once.
    pub(super) fn want_syn_ack(&mut self, tuple: &Tuple) {
        if let Some(record) = self.records.get_mut(tuple)
            && !core::mem::replace(&mut record.queued, true)
        {
            self.ready.push_back(*tuple);
        }
    }

    /// Queues a bare acknowledgment, once.
    pub(super) fn want_acknowledgment(&mut self, tuple: &Tuple) {
        if let Some(record) = self.records.get_mut(tuple)
            && !core::mem::replace(&mut record.ack_queued, true)
        {
            self.ready.push_back(*tuple);
        }
    }

    /// The next segment and a copy of its record as it stands afterwards.
    pub(super) fn poll_transmit(
        &mut self,
        config: &Config,
        now: Instant,
    ) -> Option<(Tuple, SegmentOut, HalfOpen)> {
        while let Some(tuple) = self.ready.pop_front() {
            let Some(record) = self.records.get_mut(&tuple) else {
                continue;
            };
            if core::mem::take(&mut record.queued) {
                record.resent |= record.sent > 0;
                // A SYN+ACK that a repeated SYN asked for leaves the timer as it is: the peer's insistence neither
                // prolongs nor shortens the life of the record.
                if core::mem::take(&mut record.retry) {
                    let level = usize::from(record.sent);
                    record.sent += 1;
                    let due = now + self.timeout.saturating_mul(1 << level.min(16));
                    if let Some(queue) = self.waiting.get_mut(level) {
                        queue.push_back(Waiting {
                            due,
                            tuple,
                            iss: record.iss,
                        });
                    }
                }
                return Some((tuple, record.syn_ack(config, tuple, now), record.clone()));
            }
            if core::mem::take(&mut record.ack_queued) {
                return Some((
                    tuple,
                    record.acknowledgment(config, tuple, now),
                    record.clone(),
                ));
            }
        }
        None
    }

    /// The earliest moment at which a SYN+ACK is due again or a record expires.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.waiting
            .iter()
            .filter_map(|queue| queue.front())
            .map(|first| first.due)
            .min()
    }

    /// The record at place `index` among those that have sent `sent` SYN+ACKs, and when the next is due.
    ///
    /// The outer `None` says that there is no such place; the inner one that what stood there is gone.
    pub(super) fn place(
        &self,
        sent: usize,
        index: usize,
    ) -> Option<Option<(Tuple, &HalfOpen, Option<Instant>)>> {
        let (tuple, due) = match sent.checked_sub(1) {
            Some(level) => {
                let waiting = self.waiting.get(level)?.get(index)?;
                (waiting.tuple, Some(waiting.due))
            }
            None => (*self.ready.get(index)?, None),
        };
        let record = self.records.get(&tuple);
        let record = record.filter(|record| usize::from(record.sent) == sent);
        Some(record.map(|record| (tuple, record, due)))
    }

    /// One more than the most SYN+ACKs that any record can have sent.
    pub(super) fn levels(&self) -> usize {
        self.waiting.len() + 1
    }

    /// Handles one record that is due: its SYN+ACK is queued again, or it is removed and returned.
    ///
    /// `None` when nothing more is due.
    pub(super) fn expire(&mut self, now: Instant) -> Option<(Tuple, Option<HalfOpen>)> {
        let level = (0..self.waiting.len())
            .find(|&level| self.waiting[level].front().is_some_and(|w| w.due <= now))?;
        let Waiting { tuple, iss, .. } = self.waiting[level].pop_front()?;
        let record = self
            .records
            .get_mut(&tuple)
            .filter(|record| record.iss == iss);
        let Some(record) = record else {
            return Some((tuple, None));
        };
        if level >= usize::from(self.retries) {
            return Some((tuple, self.records.remove(&tuple)));
        }
        record.retry = true;
        self.want_syn_ack(&tuple);
        Some((tuple, None))
    }
}

#[cfg(test)]
mod tests {
    use super::{HalfOpen, Tuple, Waiting};

    #[test]
    fn a_half_open_connection_stays_small() {
        let record = size_of::<(Tuple, HalfOpen)>();
        let waiting = size_of::<Waiting>();
        std::println!("record with its tuple {record}, place in the timer queue {waiting}");
        assert!(record <= 96, "a half-open record takes {record} octets");
        assert!(
            waiting <= 56,
            "its place in the timer queue takes {waiting} octets"
        );
    }
}
