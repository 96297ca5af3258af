//! LISTEN (RFC 9293 3.10.7.2): half-open records in a SYN queue, established connections in an accept queue, and what keeps both
//! in bounds when somebody floods them.
//!
//! A SYN's way: [`sources`] say what its source has used of its budget, [`heavy_hitters`] and [`flood`] take note of it; then
//! [`admission`] makes a record ([`syn_queue`]), answers with a [`cookie`], or refuses. The last ACK makes a connection of a
//! record ([`handshake`]) or of a cookie ([`cookie_handshake`]). An owner that keeps the queues itself asks [`screening`]. Every SYN that is lost has a counter ([`counters`]).
#![allow(
    rustdoc::private_intra_doc_links,
    reason = "the overview names private modules for readers of the source"
)]

mod accept_queue;
mod admission;
mod cookie;
mod cookie_handshake;
mod counters;
mod flood;
mod handshake;
mod heavy_hitters;
mod limits;
mod look;
mod pool;
mod rates;
mod screening;
mod sources;
mod status;
mod syn_queue;

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::ops::ControlFlow;

use handwave_wire::{SeqNum, TcpFlags};

use accept_queue::AcceptQueue;
use flood::FloodDetector;
use heavy_hitters::HeavyHitters;
use pool::Share;
use rates::Meter;
use sources::Sources;
use syn_queue::{HalfOpen, SynQueue};

pub use cookie::{CookieKeys, MSS_TABLE, SharedCookieKeys, SynCookies};
pub use counters::{DescribedCounter, ListenerCounters};
pub use flood::{FloodState, FloodThresholds};
pub use heavy_hitters::TopSource;
pub use limits::{BadPrefix, Limits, Refusal, SourcePrefix, Unverified};
pub use look::{HalfOpenCursor, HalfOpenRecord};
pub use pool::{BudgetLock, ListenerPool, SourceBudgets};
pub use rates::ListenerRates;
use screening::is_plain_syn;
pub use screening::{Requests, Screened};

use crate::config::{Config, ListenerConfig};
use crate::connection::Connection;
use crate::error::DropReason;
use crate::events::icmp::IcmpError;
use crate::host::{Context, Secrets};
use crate::notice::Events;
use crate::output::{Reply, reset_for};
use crate::phase::Phase;
use crate::rate::Bucket;
use crate::segment::{Path, SegmentIn, SegmentOut};
use crate::time::Instant;
use crate::trace::{ReceiveSnapshot, SendReason, SendSnapshot, TraceEntry, TraceEvent, Verdict};
use crate::tuple::Tuple;

/// A passive OPEN: takes SYNs, carries out handshakes, and queues what is established until the application accepts it.
///
/// A half-open connection is a compact record, not a [`Connection`]; listening goes on beside any number of them, and none
/// disturbs another [MUST-41] [MUST-42]. The owner stores the connections that
/// [`handle_segment`](Self::handle_segment) hands out and queues a name for each with [`push_accepted`](Self::push_accepted).
/// After each input drain [`poll_transmit`](Self::poll_transmit).
///
/// ```
/// use std::sync::Arc;
/// use handwave_tcp::{Config, Context, Endpoint, Host, Instant, ListenVerdict, Listener, ListenerConfig, Path, Secrets};
/// use handwave_tcp::{SegmentIn, Tuple};
/// use handwave_wire::{SeqNum, TcpFlags, TcpHeader};
///
/// let secrets = Secrets::from_seed(1);
/// let mut listener = Listener::new(Arc::new(Config::default()), ListenerConfig::default(), &secrets);
/// let mut host = Host::new(secrets);
/// let mut cx = Context::new(Instant::ZERO, &mut host);
/// let end = |last, port| Endpoint::new([192, 0, 2, last].into(), port);
/// let syn = TcpHeader { seq: SeqNum::new(7), flags: TcpFlags::SYN, window: 1000, ..TcpHeader::default() };
/// let verdict = listener.handle_segment(
///     &mut cx, Tuple::new(end(1, 80), end(2, 4000)), Path::with_mtu(1500), SegmentIn::new(syn, Default::default()), None);
/// assert!(matches!(verdict, ListenVerdict::Queued));
/// let (_, syn_ack) = listener.poll_transmit(&mut cx).expect("the SYN+ACK leaves at once");
/// assert_eq!(syn_ack.header.ack, SeqNum::new(8));
/// assert_eq!(listener.half_open(), 1);
/// ```
#[derive(Debug)]
pub struct Listener {
    config: Arc<Config>,
    limits: ListenerConfig,
    syn_queue: SynQueue,
    accept_queue: AcceptQueue,
    /// What the owner keeps in place of both queues.
    requests: Requests,
    sources: Sources,
    heavy_hitters: HeavyHitters,
    flood: FloodDetector,
    /// When the last cookie was sent: acknowledgments are looked at for as long as it is good.
    cookie_sent_at: Option<Instant>,
    /// Acknowledgments that may still bring a wrong cookie before those without a timestamp are doubted.
    blind_acks: Bucket,
    meter: Meter,
    counters: ListenerCounters,
    /// What listeners of other shards count with this one.
    share: Share,
}

/// What becomes of a segment that a listener takes.
#[derive(Debug)]
pub enum ListenVerdict {
    /// Taken: a record was made or refreshed; drain [`Listener::poll_transmit`].
    Queued,
    /// Answer with this SYN+ACK, of which nothing is kept: its numbers are a cookie.
    Cookie(Reply),
    /// The handshake is complete: store the connection and call [`Listener::push_accepted`]. It has already processed the
    /// segment and may have something to transmit.
    Established(Box<Connection>),
    /// Dropped.
    Dropped(DropReason),
    /// Answer with this RST.
    Reset(Reply),
}

impl ListenVerdict {
    /// Whether the segment led to nothing: no record, no cookie, no connection.
    #[must_use]
    pub const fn is_lost(&self) -> bool {
        matches!(self, Self::Dropped(_) | Self::Reset(_))
    }
}

impl Listener {
    /// A passive OPEN with empty queues; `secrets` key its hash tables.
    #[must_use]
    pub fn new(config: Arc<Config>, limits: ListenerConfig, secrets: &Secrets) -> Self {
        let key = &secrets.table_key;
        let limits = ListenerConfig {
            defer_accept: limits.defer_accept.min(limits.synack_retries),
            ..limits
        };
        Self {
            syn_queue: SynQueue::new(key, &limits, &config),
            accept_queue: AcceptQueue::new(limits.accept_queue_max),
            requests: Requests::default(),
            sources: Sources::new(&limits.limits, key),
            heavy_hitters: HeavyHitters::new(key),
            flood: FloodDetector::new(limits.flood, limits.syn_queue_max),
            cookie_sent_at: None,
            blind_acks: Bucket::default(),
            meter: Meter::new(limits.flood.window),
            counters: ListenerCounters::default(),
            share: Share::default(),
            config,
            limits,
        }
    }

    /// A passive OPEN in one of several shards of a host, whose queue limits and limits on sources hold for the listeners of
    /// all shards together; see [`ListenerPool`].
    ///
    /// What is measured as a rate and not counted together (SYNs that make a flood, wrong cookies) is judged by a shard's part
    /// of it.
    #[must_use]
    pub fn pooled(
        config: Arc<Config>,
        mut limits: ListenerConfig,
        secrets: &Secrets,
        pool: ListenerPool,
    ) -> Self {
        limits.flood.syn_rate = pool.part(limits.flood.syn_rate);
        limits.blind_acks.per_second = pool.part(limits.blind_acks.per_second);
        limits.blind_acks.burst = pool.part(limits.blind_acks.burst);
        let mut listener = Self::new(config, limits, secrets);
        if listener.limits.limits.keeps_count() {
            // The pool has the table.
            listener.sources = Sources::new(&Limits::default(), &secrets.table_key);
        }
        listener.share = Share::of(pool, &listener.limits);
        listener
    }

    /// Takes a segment addressed to this listener, whether or not a half-open record exists for it.
    ///
    /// `path` is what the network layer says of the way back; `iss_floor` comes from a TIME-WAIT record that gave way to
    /// this SYN (RFC 6191): what the SYN is answered with begins beyond it. Such a SYN has a record as long as there is room, and a
    /// cookie only if that happens to lie beyond; if it is lost, the TIME-WAIT record stays. Text on a SYN is neither stored nor acknowledged: the peer sends it again.
    pub fn handle_segment(
        &mut self,
        cx: &mut Context<'_>,
        tuple: Tuple,
        path: Path,
        mut segment: SegmentIn,
        iss_floor: Option<SeqNum>,
    ) -> ListenVerdict {
        self.handle_segment_in_place(cx, tuple, path, &mut segment, iss_floor)
    }

    /// The same with a segment that is not moved: what is kept of it is taken out.
    pub fn handle_segment_in_place(
        &mut self,
        cx: &mut Context<'_>,
        tuple: Tuple,
        path: Path,
        segment: &mut SegmentIn,
        iss_floor: Option<SeqNum>,
    ) -> ListenVerdict {
        self.meter.on_time(cx.now, &self.counters);
        let verdict = match self.syn_queue.find(&tuple) {
            Some(place) => {
                let record = self.syn_queue.at(place);
                self.handle_half_open(cx, tuple, path, segment, &record)
            }
            None if is_plain_syn(segment) => {
                match self.sift_syn(cx, tuple, path, segment, iss_floor) {
                    ControlFlow::Break(verdict) => verdict,
                    ControlFlow::Continue(()) => {
                        self.make_record(cx, tuple, path, segment, iss_floor)
                    }
                }
            }
            None => self.turn_away(cx, tuple, path, segment),
        };
        self.tell_others();
        verdict
    }

    /// Tells the other shards' listeners how long the queues are.
    fn tell_others(&mut self) {
        if self.share.is_pooled() {
            let (half_open, waiting) = (self.half_open(), self.waiting());
            self.share.tell(half_open, waiting);
        }
    }

    /// Whether anything about single sources is kept; most listeners keep nothing, and need not ask.
    #[inline]
    fn watches_sources(&self) -> bool {
        self.sources.watches() || self.share.is_pooled()
    }

    /// Calls with the budgets of sources, wherever they are kept.
    #[inline]
    fn with_sources<R: Default>(&mut self, call: impl FnOnce(&mut Sources, &Limits) -> R) -> R {
        let limits = &self.limits.limits;
        if self.share.is_pooled() && limits.keeps_count() {
            return self.share.with_sources(|sources| call(sources, limits));
        }
        call(&mut self.sources, limits)
    }

    /// Changes how many connections may wait to be accepted, and for how many timeouts each may wait for its first text; for those
    /// that come from now on.
    pub fn set_limits(&mut self, accept_queue_max: usize, defer_accept: u8) {
        self.limits.accept_queue_max = accept_queue_max;
        self.limits.defer_accept = defer_accept.min(self.limits.synack_retries);
        self.accept_queue.set_max(accept_queue_max);
        self.syn_queue.set_defer(self.limits.defer_accept);
    }

    fn reset(&self, cx: &mut Context<'_>, segment: &SegmentIn) -> ListenVerdict {
        match reset_for(&self.config, &segment.header, segment.payload.len()) {
            Some(reset) => {
                cx.host.counters.resets_out += 1;
                ListenVerdict::Reset(reset)
            }
            None => ListenVerdict::Dropped(DropReason::RstUnacceptable),
        }
    }

    /// The next SYN+ACK, or acknowledgment of a half-open connection, to send; `None` when all have been.
    pub fn poll_transmit(&mut self, cx: &mut Context<'_>) -> Option<(Tuple, SegmentOut)> {
        let mut segment = SegmentOut::default();
        let tuple = self.poll_transmit_into(cx, &mut segment)?;
        Some((tuple, segment))
    }

    /// The same built where `segment` lies, as [`Connection::poll_transmit_into`] does it; returns over which tuple it goes.
    pub fn poll_transmit_into(
        &mut self,
        cx: &mut Context<'_>,
        segment: &mut SegmentOut,
    ) -> Option<Tuple> {
        let (tuple, record) = self.syn_queue.poll_transmit(&self.config, cx, segment)?;
        cx.host.counters.segments_out += 1;
        let repeated = record.resent() && segment.header.flags.contains(TcpFlags::SYN);
        if repeated {
            self.counters.synack_retransmissions += 1;
            cx.host.counters.segments_retransmitted += 1;
        }
        if cx.host.is_traced() {
            let reason = if segment.header.flags.contains(TcpFlags::SYN) {
                SendReason::Handshake
            } else {
                SendReason::Challenge
            };
            let event = TraceEvent::SegmentSent {
                header: segment.header,
                payload_len: 0,
                reason,
            };
            let entry = record_entry(
                cx.now,
                tuple,
                &record,
                event,
                (Phase::SynReceived, Phase::SynReceived),
                Verdict::Accepted,
            );
            cx.host.trace(&entry);
        }
        Some(tuple)
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let deadlines = [self.syn_queue.next_deadline(), self.flood.deadline()];
        deadlines.into_iter().flatten().min()
    }

    /// Sends SYN+ACKs again that went unanswered, and forgets records whose retries are used up.
    ///
    /// A SYN+ACK is tried for a minute (5 retries, as Linux has it), not for the three that RFC 9293 3.8.3 [MUST-23] asks of a
    /// SYN: that rule is about opens of this host's own, and a record that waits longer serves only who floods.
    pub fn handle_timeout(&mut self, cx: &mut Context<'_>) {
        let depth = self.half_open() + self.share.others_half_open();
        self.flood.on_time(cx.now, depth);
        self.count_flood();
        while let Some((tuple, record)) = self.syn_queue.expire(cx.now) {
            self.forget(&tuple, &record);
            self.counters.expired += 1;
            cx.host.counters.attempt_fails += 1;
            if cx.host.is_traced() {
                let event = TraceEvent::Timeout(crate::timer::Timer::Retransmission);
                let entry = record_entry(
                    cx.now,
                    tuple,
                    &record,
                    event,
                    (Phase::SynReceived, Phase::Listen),
                    Verdict::Accepted,
                );
                cx.host.trace(&entry);
            }
        }
        self.tell_others();
    }

    /// Takes an ICMP error about a SYN+ACK; hard errors forget the record (RFC 9293 3.9.2.2). `false` if it quotes nothing
    /// of ours.
    pub fn handle_icmp(&mut self, cx: &mut Context<'_>, tuple: &Tuple, error: IcmpError) -> bool {
        let Some(record) = self.syn_queue.get(tuple) else {
            return false;
        };
        if record.iss != error.seq {
            return false;
        }
        if error.kind.hard_error().is_some() {
            self.remove_record(tuple);
            self.tell_others();
            self.counters.unreachable += 1;
            cx.host.counters.attempt_fails += 1;
        }
        true
    }

    /// Whether a half-open record exists for `tuple`.
    #[must_use]
    pub fn contains(&self, tuple: &Tuple) -> bool {
        self.syn_queue.get(tuple).is_some()
    }

    /// What happened since this was last called: [`Events::FLOOD`] or nothing.
    pub fn take_events(&mut self) -> Events {
        if self.flood.take_change() {
            Events::FLOOD
        } else {
            Events::NONE
        }
    }

    /// A connection that this listener established, to a peer at `remote`, is over: it counts no more against the limits of its
    /// source. Only owners that set such [`Limits`] need to tell.
    pub fn on_connection_ended(&mut self, remote: core::net::IpAddr) {
        self.with_sources(|sources, limits| sources.on_end(limits, remote));
    }

    /// Queues an established connection, by its owner's name for it, until the application accepts it.
    pub fn push_accepted(&mut self, name: u64) {
        self.accept_queue.push(name);
        self.tell_others();
    }

    /// ACCEPT: the connection that has waited longest, by its owner's name.
    pub fn accept(&mut self) -> Option<u64> {
        let name = self.accept_queue.pop();
        self.tell_others();
        name
    }

    /// Takes a half-open record out.
    fn remove_record(&mut self, tuple: &Tuple) -> Option<HalfOpen> {
        let record = self.syn_queue.remove(tuple)?;
        self.forget(tuple, &record);
        Some(record)
    }

    /// Gives back what a record that is gone took of its source's budget.
    fn forget(&mut self, tuple: &Tuple, record: &HalfOpen) {
        if record.counted() {
            let addr = tuple.remote.addr;
            self.with_sources(|sources, limits| sources.on_record_gone(limits, addr));
        }
    }

    fn trace_arrival(
        &self,
        cx: &mut Context<'_>,
        tuple: &Tuple,
        segment: &SegmentIn,
        change: (Phase, Phase),
        verdict: Verdict,
    ) {
        if !cx.host.is_traced() {
            return;
        }
        if let Some(record) = self.syn_queue.get(tuple) {
            let event = TraceEvent::SegmentArrived {
                header: segment.header,
                payload_len: segment.payload.len(),
            };
            let entry = record_entry(cx.now, *tuple, &record, event, change, verdict);
            cx.host.trace(&entry);
        }
    }
}

fn drop_segment(cx: &mut Context<'_>, reason: DropReason) -> ListenVerdict {
    cx.host.counters.count_drop(reason);
    ListenVerdict::Dropped(reason)
}

fn record_entry(
    now: Instant,
    tuple: Tuple,
    record: &HalfOpen,
    event: TraceEvent,
    (before, after): (Phase, Phase),
    verdict: Verdict,
) -> TraceEntry {
    let snd = SendSnapshot {
        iss: record.iss,
        una: record.iss,
        nxt: record.iss + 1,
        wnd: u32::from(record.peer_window),
        ..SendSnapshot::default()
    };
    let rcv = ReceiveSnapshot {
        irs: record.irs,
        nxt: record.irs + 1,
        wnd: u32::from(record.offered()),
    };
    TraceEntry {
        now,
        tuple,
        event,
        before,
        after,
        verdict,
        snd,
        rcv,
    }
}
