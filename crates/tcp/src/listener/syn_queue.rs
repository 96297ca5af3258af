//! Half-open connections: compact records, found by hash, their SYN+ACK timers in queues of equal waiting time.
//!
//! Every operation costs the same with one record and with a million.

mod table;

use core::ops::Deref;
use core::time::Duration;

use handwave_wire::{SeqNum, TcpFlags, TcpHeader, TcpOptions};

use table::{AnyKey, Kept, Key, KeyV4, KeyV6, Record, Table, flag};

use crate::config::{Config, ListenerConfig};
use crate::host::Context;
use crate::options::{Negotiated, TIMESTAMPS_LEN, TimestampClock, announced_mss, syn_options};
use crate::output::{Bare, FirstWindow, bare_segment};
use crate::segment::{Path, SegmentOut};
use crate::time::Instant;
use crate::tuple::Tuple;
use crate::tuple_hash::TupleHash;
use crate::vars::WindowShift;

/// A connection in SYN-RECEIVED that came from LISTEN, as the code works with it: what is kept of it, and what goes for all of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct HalfOpen {
    kept: Kept,
    window: FirstWindow,
    receive_shift: WindowShift,
    /// Where it lies, if it is in the queue.
    place: Option<Place>,
}

impl Deref for HalfOpen {
    type Target = Kept;

    fn deref(&self) -> &Kept {
        &self.kept
    }
}

/// Where a record lies.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    V4(u32),
    V6(u32),
}

impl HalfOpen {
    #[inline(always)]
    pub(super) fn new(
        config: &Config,
        now: Instant,
        tuple: &Tuple,
        path: Path,
        syn: &TcpHeader,
        (iss, offset): (SeqNum, u32),
    ) -> Self {
        let Negotiated {
            timestamps,
            sack,
            window_scaling,
            send_shift,
            receive_shift: _,
        } = Negotiated::new(config, &syn.options);
        let mut kept = Kept::new(iss, syn.seq);
        kept.ts_recent = syn.options.timestamps.map_or(0, |stamp| stamp.value);
        kept.offset = offset;
        kept.set_due(now);
        kept.mss = announced_mss(config, tuple, path);
        kept.peer_mss = syn.options.mss.unwrap_or(0);
        kept.peer_window = syn.window;
        kept.options = u8::from(timestamps)
            | u8::from(sack) << 1
            | u8::from(window_scaling) << 2
            | send_shift.get() << 4;
        kept.flags = flag::RETRY;
        Self {
            kept,
            window: FirstWindow::of(config),
            receive_shift: WindowShift::for_buffer(config.window_scale_for()),
            place: None,
        }
    }

    /// Notes whether the record counts against the budget of its source.
    pub(super) const fn set_counted(&mut self, counted: bool) {
        if counted {
            self.kept.set(flag::COUNTED);
        }
    }

    /// Counted against the budget of its source.
    pub(super) fn counted(&self) -> bool {
        self.has(flag::COUNTED)
    }

    /// A SYN+ACK had to be sent again, for whatever reason.
    pub(super) fn resent(&self) -> bool {
        self.has(flag::RESENT)
    }

    pub(super) fn peer_mss(&self) -> Option<u16> {
        Some(self.kept.peer_mss).filter(|&mss| mss != 0)
    }

    /// Whether the options say that timestamps were agreed on.
    pub(super) const fn has_timestamps(&self) -> bool {
        self.kept.options & 1 != 0
    }

    #[inline(always)]
    pub(super) fn negotiated(&self) -> Negotiated {
        let option = |bit: u8| self.options & bit != 0;
        let window_scaling = option(1 << 2);
        Negotiated {
            timestamps: self.has_timestamps(),
            sack: option(1 << 1),
            window_scaling,
            send_shift: WindowShift::new(self.options >> 4),
            receive_shift: if window_scaling {
                self.receive_shift
            } else {
                WindowShift::NONE
            },
        }
    }

    /// Text in the peer's full segments.
    #[inline(always)]
    fn full_segment(&self) -> u16 {
        let stamps = if self.has_timestamps() {
            TIMESTAMPS_LEN
        } else {
            0
        };
        self.mss.saturating_sub(stamps)
    }

    /// The window our SYN+ACK offered.
    #[inline(always)]
    pub(super) fn offered(&self) -> u16 {
        self.window.field(self.full_segment())
    }

    /// The window this connection begins with, which the field of a SYN+ACK may have no room for.
    #[inline(always)]
    pub(super) fn first_window(&self) -> u32 {
        self.window.octets(self.full_segment())
    }

    /// The timestamps of this handshake.
    pub(super) fn clock(&self, now: Instant) -> TimestampClock {
        TimestampClock {
            offset: self.offset,
            recent: self.ts_recent,
            recent_at: now,
        }
    }
}

/// A bit of the packed options: the handshake is complete, text is waited for.
const DEFERRED: u8 = 1 << 3;

/// The half-open records of one listener.
#[derive(Debug)]
pub(super) struct SynQueue {
    v4: Table<KeyV4>,
    v6: Table<KeyV6>,
    /// Whose turn it is to send.
    v6_first: bool,
    max: usize,
    rules: Rules,
}

/// What is the same for all records.
#[derive(Clone, Copy, Debug)]
struct Rules {
    retries: u8,
    defer: u8,
    timeout: Duration,
    window: FirstWindow,
    receive_shift: WindowShift,
}

/// Calls a generic function with the table that a tuple belongs in, and its key there.
macro_rules! dispatch {
    ($queue:expr, $tuple:expr, |$table:ident, $key:ident| $body:expr) => {
        match AnyKey::from($tuple) {
            AnyKey::V4($key) => {
                let $table = &mut $queue.v4;
                $body
            }
            AnyKey::V6($key) => {
                let $table = &mut $queue.v6;
                $body
            }
        }
    };
}

impl SynQueue {
    pub(super) fn new(key: &[u8; 16], limits: &ListenerConfig, config: &Config) -> Self {
        let levels = usize::from(limits.synack_retries) + 1;
        Self {
            v4: Table::new(TupleHash::new(key), levels),
            v6: Table::new(TupleHash::new(key), levels),
            v6_first: false,
            max: limits.syn_queue_max,
            rules: Rules {
                retries: limits.synack_retries,
                defer: limits.defer_accept,
                timeout: limits.synack_timeout,
                window: FirstWindow::of(config),
                receive_shift: WindowShift::for_buffer(config.window_scale_for()),
            },
        }
    }

    pub(super) fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.v4.occupied() + self.v6.occupied() >= self.max
    }

    /// Octets of memory that the records and their tables take.
    pub(super) fn memory(&self) -> usize {
        self.v4.memory() + self.v6.memory()
    }

    /// Where the record of a tuple lies. Every segment that comes to a listener asks, so it is a part of whoever does for it.
    #[inline(always)]
    pub(super) fn find(&self, tuple: &Tuple) -> Option<Place> {
        if self.len() == 0 {
            return None;
        }
        match AnyKey::from(tuple) {
            AnyKey::V4(key) => self.v4.find(&key).map(Place::V4),
            AnyKey::V6(key) => self.v6.look_up(&key).map(Place::V6),
        }
    }

    /// The record that lies there.
    #[inline(always)]
    pub(super) fn at(&self, place: Place) -> HalfOpen {
        let kept: &Kept = match place {
            Place::V4(slot) => self.v4.at(slot),
            Place::V6(slot) => self.v6.at(slot),
        };
        self.rules.of(kept, Some(place))
    }

    /// The record of a tuple, where it is seldom asked for.
    pub(super) fn get(&self, tuple: &Tuple) -> Option<HalfOpen> {
        self.find(tuple).map(|place| self.at(place))
    }

    /// The record at a place of one of the two tables. The outer `None` says that there is no such place, the inner one that
    /// nothing stands there.
    pub(super) fn place(&self, v6: bool, place: u32) -> Option<Option<(Tuple, HalfOpen)>> {
        let rules = self.rules;
        if v6 {
            let record = self.v6.place(place)?;
            Some(record.map(|record| (record.key.tuple(), rules.unpack(record))))
        } else {
            let record = self.v4.place(place)?;
            Some(record.map(|record| (record.key.tuple(), rules.unpack(record))))
        }
    }

    /// When the SYN of a record arrived, to within the time its first SYN+ACK waited to leave.
    #[inline]
    pub(super) fn arrived(&self, record: &HalfOpen) -> Instant {
        if record.sent == 1 {
            return record.due().saturating_sub(self.rules.timeout);
        }
        let waits = (0..record.sent).map(|level| self.rules.wait(level));
        waits.fold(record.due(), Instant::saturating_sub)
    }

    /// When the last SYN+ACK of a record left.
    pub(super) fn last_sent(&self, record: &HalfOpen) -> Instant {
        let waits = self.rules.wait(record.sent.saturating_sub(1));
        record.due().saturating_sub(waits)
    }

    /// Adds a record whose SYN+ACK leaves with the next poll.
    pub(super) fn insert(&mut self, tuple: &Tuple, record: &HalfOpen) {
        dispatch!(self, tuple, |table, key| {
            let slot = table.insert(Record::new(key, record.kept));
            want(table, slot, flag::SYN_ACK);
        });
    }

    pub(super) fn remove(&mut self, tuple: &Tuple) -> Option<HalfOpen> {
        let record = self.get(tuple)?;
        self.remove_found(&record);
        Some(record)
    }

    /// Takes out a record as [`get`](Self::get) has just found it.
    pub(super) fn remove_found(&mut self, record: &HalfOpen) {
        match record.place {
            Some(Place::V4(slot)) => self.v4.discard(slot),
            Some(Place::V6(slot)) => self.v6.discard(slot),
            None => {}
        }
    }

    /// Queues the SYN+ACK for a SYN that came again, once. A record that is about to be forgotten stays for as long as after its last
    /// SYN+ACK, so that the answer to this one finds it; whom that would serve as an attacker could send the SYN a moment later.
    pub(super) fn want_syn_ack(&mut self, tuple: &Tuple, now: Instant) {
        let rules = self.rules;
        dispatch!(self, tuple, |table, key| {
            if let Some(slot) = table.look_up(&key) {
                if table.at(slot).sent > rules.retries {
                    rules.begin_wait_again(table, slot, now);
                }
                want(table, slot, flag::SYN_ACK);
            }
        });
    }

    /// The same as Linux answers a SYN that came again: once in an `interval`, and the timer starts over.
    pub(super) fn want_syn_ack_sparingly(
        &mut self,
        tuple: &Tuple,
        now: Instant,
        interval: Duration,
    ) {
        let rules = self.rules;
        dispatch!(self, tuple, |table, key| {
            if let Some(slot) = table.look_up(&key)
                && table.at_mut(slot).may_repeat(now, interval)
            {
                rules.begin_wait_again(table, slot, now);
                want(table, slot, flag::SYN_ACK);
            }
        });
    }

    /// Whether a segment that has no use may be answered: none was for an `interval`.
    pub(super) fn may_repeat(&mut self, tuple: &Tuple, now: Instant, interval: Duration) -> bool {
        dispatch!(self, tuple, |table, key| {
            table
                .look_up(&key)
                .is_some_and(|slot| table.at_mut(slot).may_repeat(now, interval))
        })
    }

    /// Notes that the handshake is complete but for the text that the application waits for.
    pub(super) fn note_deferred(&mut self, tuple: &Tuple) {
        dispatch!(self, tuple, |table, key| {
            if let Some(slot) = table.look_up(&key) {
                table.at_mut(slot).options |= DEFERRED;
            }
        });
    }

    /// From now on text is waited for as long as so many timeouts take.
    pub(super) const fn set_defer(&mut self, timeouts: u8) {
        self.rules.defer = timeouts;
    }

    /// Queues a bare acknowledgment, once.
    pub(super) fn want_acknowledgment(&mut self, tuple: &Tuple) {
        self.want(tuple, flag::ACK);
    }

    fn want(&mut self, tuple: &Tuple, what: u8) {
        dispatch!(self, tuple, |table, key| {
            if let Some(slot) = table.look_up(&key) {
                want(table, slot, what);
            }
        });
    }

    /// Builds the next segment where `out` lies; returns over which tuple it goes, and its record as it stands afterwards.
    pub(super) fn poll_transmit(
        &mut self,
        config: &Config,
        cx: &Context<'_>,
        out: &mut SegmentOut,
    ) -> Option<(Tuple, HalfOpen)> {
        self.v6_first = !self.v6_first;
        let rules = self.rules;
        let (tuple, record, what) = if self.v6_first {
            let next = rules.next_if_any(&mut self.v6, cx.now);
            next.or_else(|| rules.next_if_any(&mut self.v4, cx.now))
        } else {
            let next = rules.next_if_any(&mut self.v4, cx.now);
            next.or_else(|| rules.next_if_any(&mut self.v6, cx.now))
        }?;
        match what {
            Wanted::SynAck => syn_ack(config, cx, tuple, &record, out),
            Wanted::Acknowledgment => acknowledgment(config, cx, tuple, &record, out),
        }
        Some((tuple, record))
    }

    /// The earliest moment at which a SYN+ACK is due again or a record expires.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let deadlines = [self.v4.next_deadline(), self.v6.next_deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// Queues again what is due, and removes and returns the next record whose retries are used up.
    pub(super) fn expire(&mut self, now: Instant) -> Option<(Tuple, HalfOpen)> {
        let rules = self.rules;
        let expired = rules.expire(&mut self.v4, now);
        expired.or_else(|| rules.expire(&mut self.v6, now))
    }
}

/// What a record wants sent.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    SynAck,
    Acknowledgment,
}

impl Rules {
    /// How long the SYN+ACK after `level` others is waited for.
    fn wait(&self, level: u8) -> Duration {
        match level {
            // Nearly always.
            0 => self.timeout,
            _ => self.timeout.saturating_mul(1 << level.min(16)),
        }
    }

    /// The wait for an answer to the last SYN+ACK begins anew, if a record is waiting.
    fn begin_wait_again<K: Key>(&self, table: &mut Table<K>, slot: u32, now: Instant) {
        let level = table.at(slot).sent.saturating_sub(1);
        table.restart_timer(slot, now + self.wait(level));
    }

    /// What is kept of a record, to work with.
    #[inline(always)]
    const fn of(&self, kept: &Kept, place: Option<Place>) -> HalfOpen {
        HalfOpen {
            kept: *kept,
            window: self.window,
            receive_shift: self.receive_shift,
            place,
        }
    }

    /// A record, to work with.
    #[inline]
    fn unpack<K>(&self, record: &Record<K>) -> HalfOpen {
        self.of(record, None)
    }

    #[inline(always)]
    fn next_if_any<K: Key>(
        &self,
        table: &mut Table<K>,
        now: Instant,
    ) -> Option<(Tuple, HalfOpen, Wanted)> {
        if table.has_ready() {
            self.next_to_send(table, now)
        } else {
            None
        }
    }

    #[inline(always)]
    fn next_to_send<K: Key>(
        &self,
        table: &mut Table<K>,
        now: Instant,
    ) -> Option<(Tuple, HalfOpen, Wanted)> {
        let slot = table.pop_ready()?;
        let record = table.at_mut(slot);
        if !record.take(flag::SYN_ACK) {
            record.take(flag::ACK);
            let record = table.at(slot);
            return Some((
                record.key.tuple(),
                self.unpack(record),
                Wanted::Acknowledgment,
            ));
        }
        let asks_too = record.has(flag::ACK);
        if record.sent > 0 {
            record.set(flag::RESENT);
        }
        // A SYN+ACK that a repeated SYN asked for leaves the timer as it is: the peer's insistence brings no more of them.
        if record.take(flag::RETRY) {
            let wait = self.wait(record.sent);
            record.set_due(now + wait);
            record.sent += 1;
            table.push_timer(slot);
        }
        if asks_too {
            table.push_ready(slot);
        }
        let record = table.at(slot);
        Some((record.key.tuple(), self.unpack(record), Wanted::SynAck))
    }

    fn expire<K: Key>(&self, table: &mut Table<K>, now: Instant) -> Option<(Tuple, HalfOpen)> {
        while let Some(slot) = table.pop_due(now) {
            let (timeouts, deferred) =
                (table.at(slot).sent, table.at(slot).options & DEFERRED != 0);
            if timeouts > self.retries && (!deferred || timeouts > self.defer) {
                let record = table.remove(slot);
                return Some((record.key.tuple(), self.unpack(&record)));
            }
            if deferred && timeouts < self.defer {
                // The peer has acknowledged: it is asked again only once its time for text is over.
                table.at_mut(slot).set_due(now + self.wait(timeouts));
                table.at_mut(slot).sent += 1;
                table.push_timer(slot);
                continue;
            }
            table.at_mut(slot).set(flag::RETRY);
            want(table, slot, flag::SYN_ACK);
        }
        None
    }
}

fn want<K: Key>(table: &mut Table<K>, slot: u32, what: u8) {
    table.at_mut(slot).set(what);
    table.push_ready(slot);
}

fn syn_ack(
    config: &Config,
    cx: &Context<'_>,
    tuple: Tuple,
    record: &HalfOpen,
    out: &mut SegmentOut,
) {
    let stamp = record.clock(cx.now).stamp(cx.now);
    bare_segment(
        config,
        Bare {
            tuple,
            seq: record.iss,
            ack: Some(record.irs + 1),
            flags: TcpFlags::SYN,
            window: record.offered(),
            options: syn_options(config, record.mss, stamp, &record.negotiated()),
        },
        out,
    );
}

fn acknowledgment(
    config: &Config,
    cx: &Context<'_>,
    tuple: Tuple,
    record: &HalfOpen,
    out: &mut SegmentOut,
) {
    let clock = || record.clock(cx.now).stamp(cx.now);
    bare_segment(
        config,
        Bare {
            tuple,
            seq: record.iss + 1,
            ack: Some(record.irs + 1),
            flags: TcpFlags::ACK,
            window: record.offered() >> record.negotiated().receive_shift.get(),
            options: TcpOptions {
                timestamps: record.has_timestamps().then(clock),
                ..TcpOptions::NONE
            },
        },
        out,
    );
}
