//! LISTEN (RFC 9293 3.10.7.2): half-open records in a SYN queue, established connections in an accept queue.

mod accept_queue;
mod handshake;
mod look;
mod syn_queue;

use alloc::boxed::Box;
use alloc::sync::Arc;

use handwave_wire::{SeqNum, TcpFlags};

pub use look::{HalfOpenCursor, HalfOpenRecord};

use accept_queue::AcceptQueue;
use syn_queue::{HalfOpen, SynQueue};

use crate::config::{Config, ListenerConfig};
use crate::connection::Connection;
use crate::error::DropReason;
use crate::events::icmp::IcmpError;
use crate::host::{Context, Secrets};
use crate::output::reset_for;
use crate::phase::Phase;
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
    counters: ListenerCounters,
}

/// What becomes of a segment that a listener takes.
#[derive(Debug)]
pub enum ListenVerdict {
    /// Taken: a record was made or refreshed; drain [`Listener::poll_transmit`].
    Queued,
    /// The handshake is complete: store the connection and call [`Listener::push_accepted`]. It has already processed the
    /// segment and may have something to transmit.
    Established(Box<Connection>),
    /// Dropped.
    Dropped(DropReason),
    /// Answer with this RST.
    Reset(SegmentOut),
}

/// What happened at one listener, in the meaning of Linux's counters where there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenerCounters {
    /// SYNs that made a record.
    pub syns_received: u64,
    /// SYNs that found their record already there.
    pub syns_repeated: u64,
    /// SYN+ACKs sent again.
    pub synack_retransmissions: u64,
    /// SYNs dropped because the SYN queue was full (`TCPReqQFullDrop`).
    pub syn_queue_full: u64,
    /// SYNs and last acknowledgments that found the accept queue full (`ListenOverflows`).
    pub accept_queue_full: u64,
    /// SYNs dropped for any reason (`ListenDrops`).
    pub drops: u64,
    /// Records forgotten because no SYN+ACK was answered.
    pub expired: u64,
    /// Records removed by the peer's RST.
    pub reset: u64,
    /// Handshakes completed.
    pub established: u64,
}

impl Listener {
    /// A passive OPEN with empty queues; `secrets` keys the hash table of the SYN queue.
    #[must_use]
    pub fn new(config: Arc<Config>, limits: ListenerConfig, secrets: &Secrets) -> Self {
        Self {
            syn_queue: SynQueue::new(&secrets.table_key, &limits),
            accept_queue: AcceptQueue::new(limits.accept_queue_max),
            config,
            limits,
            counters: ListenerCounters::default(),
        }
    }

    /// Takes a segment addressed to this listener, whether or not a half-open record exists for it.
    ///
    /// `path` is what the network layer says of the way back; `iss_floor` comes from a TIME-WAIT record that gave way to
    /// this SYN (RFC 6191). Text on a SYN is neither stored nor acknowledged: the peer sends it again.
    pub fn handle_segment(
        &mut self,
        cx: &mut Context<'_>,
        tuple: Tuple,
        path: Path,
        segment: SegmentIn,
        iss_floor: Option<SeqNum>,
    ) -> ListenVerdict {
        if self.syn_queue.get(&tuple).is_some() {
            return self.handle_half_open(cx, tuple, path, segment);
        }
        cx.host.counters.segments_in += 1;
        let header = &segment.header;
        if header.flags.contains(TcpFlags::RST) {
            return drop_segment(cx, DropReason::RstUnacceptable);
        }
        if header.flags.contains(TcpFlags::ACK) {
            cx.host.counters.count_drop(DropReason::NoConnection);
            return self.reset(cx, tuple, &segment);
        }
        if !header.flags.contains(TcpFlags::SYN) {
            return drop_segment(cx, DropReason::NotSyn);
        }
        if header.flags.contains(TcpFlags::FIN) {
            return drop_segment(cx, DropReason::IllegalFlags);
        }
        self.handle_syn(cx, tuple, path, &segment, iss_floor)
    }

    fn handle_syn(
        &mut self,
        cx: &mut Context<'_>,
        tuple: Tuple,
        path: Path,
        segment: &SegmentIn,
        iss_floor: Option<SeqNum>,
    ) -> ListenVerdict {
        if self.accept_queue.is_full() {
            self.counters.accept_queue_full += 1;
            self.counters.drops += 1;
            if self.limits.reset_on_overflow {
                return self.reset(cx, tuple, segment);
            }
            return drop_segment(cx, DropReason::AcceptQueueFull);
        }
        if self.syn_queue.is_full() {
            self.counters.syn_queue_full += 1;
            self.counters.drops += 1;
            return drop_segment(cx, DropReason::SynQueueFull);
        }
        let mut iss = cx.host.isn(&tuple, cx.now);
        if let Some(floor) = iss_floor.filter(|&floor| iss.before(floor)) {
            iss = floor;
        }
        let record = HalfOpen::new(&self.config, cx, &tuple, path, &segment.header, iss);
        self.syn_queue.insert(tuple, record);
        self.counters.syns_received += 1;
        self.trace_arrival(
            cx,
            &tuple,
            segment,
            (Phase::Listen, Phase::SynReceived),
            Verdict::Accepted,
        );
        ListenVerdict::Queued
    }

    fn reset(&self, cx: &mut Context<'_>, tuple: Tuple, segment: &SegmentIn) -> ListenVerdict {
        match reset_for(&self.config, tuple, &segment.header, segment.payload.len()) {
            Some(reset) => {
                cx.host.counters.resets_out += 1;
                ListenVerdict::Reset(reset)
            }
            None => ListenVerdict::Dropped(DropReason::RstUnacceptable),
        }
    }

    /// The next SYN+ACK, or acknowledgment of a half-open connection, to send; `None` when all have been.
    pub fn poll_transmit(&mut self, cx: &mut Context<'_>) -> Option<(Tuple, SegmentOut)> {
        let (tuple, segment, record) = self.syn_queue.poll_transmit(&self.config, cx.now)?;
        cx.host.counters.segments_out += 1;
        let repeated = record.resent && segment.header.flags.contains(TcpFlags::SYN);
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
        Some((tuple, segment))
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.syn_queue.next_deadline()
    }

    /// Sends SYN+ACKs again that went unanswered, and forgets records whose retries are used up.
    pub fn handle_timeout(&mut self, cx: &mut Context<'_>) {
        while let Some((tuple, record)) = self.syn_queue.expire(cx.now) {
            let Some(record) = record else {
                continue;
            };
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
            self.syn_queue.remove(tuple);
            cx.host.counters.attempt_fails += 1;
        }
        true
    }

    /// Whether a half-open record exists for `tuple`.
    #[must_use]
    pub fn contains(&self, tuple: &Tuple) -> bool {
        self.syn_queue.get(tuple).is_some()
    }

    /// Queues an established connection, by its owner's name for it, until the application accepts it.
    pub fn push_accepted(&mut self, name: u64) {
        self.accept_queue.push(name);
    }

    /// ACCEPT: the connection that has waited longest, by its owner's name.
    pub fn accept(&mut self) -> Option<u64> {
        self.accept_queue.pop()
    }

    /// Connections in SYN-RECEIVED.
    #[must_use]
    pub fn half_open(&self) -> usize {
        self.syn_queue.len()
    }

    /// Established connections that wait to be accepted.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.accept_queue.len()
    }

    /// The limits in force.
    #[must_use]
    pub const fn limits(&self) -> &ListenerConfig {
        &self.limits
    }

    /// The settings that accepted connections get.
    #[must_use]
    pub const fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// What happened so far.
    #[must_use]
    pub const fn counters(&self) -> &ListenerCounters {
        &self.counters
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
            let entry = record_entry(cx.now, *tuple, record, event, change, verdict);
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
        wnd: u32::from(record.offered),
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
