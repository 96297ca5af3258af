//! The transmission control block of a connection whose peer is known (RFC 9293 3.3.1), and its invariants.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::time::Duration;

use handwave_wire::{SackBlock, SeqNum};

use crate::buffer::{ReceiveBuffer, SendBuffer};
use crate::config::{Acknowledging, Config, Segmentation};
use crate::congestion::{Controller, initial_window};
use crate::delayed_ack::DelayedAck;
use crate::error::ConnectionError;
use crate::events::icmp::IcmpKind;
use crate::host::Context;
use crate::notice::Events;
use crate::options::{Mss, Negotiated, TimestampClock};
use crate::output::Intents;
use crate::phase::{Cause, Phase};
use crate::records::Records;
use crate::recovery::repairs::Repairs;
use crate::recovery::{RttEstimator, Scoreboard};
use crate::segment::Path;
use crate::time::Instant;
use crate::timer::{Timer, Timers};
use crate::trace::{ReceiveSnapshot, SendSnapshot, TraceEntry, TraceEvent, Verdict};
use crate::tuning::{self, LinuxQueue, ReceiveTuning};
use crate::tuple::Tuple;
use crate::vars::{ReceiveVars, SendVars};

/// All that is known about a connection from SYN-RECEIVED on.
#[derive(Debug)]
pub(crate) struct Tcb {
    phase: Phase,
    pub(crate) config: Arc<Config>,
    /// Both ends; the local address stays what the first segment said (RFC 9293 3.9.1.1 [MUST-45]).
    pub(crate) tuple: Tuple,
    pub(crate) snd: SendVars,
    pub(crate) rcv: ReceiveVars,
    pub(crate) mss: Mss,
    pub(crate) negotiated: Negotiated,
    pub(crate) clock: TimestampClock,
    pub(crate) send: SendBuffer,
    /// Where writes ended, if they leave a mark on segments.
    pub(crate) records: Option<Box<Records>>,
    pub(crate) receive: ReceiveBuffer,
    /// How the receive buffer finds its size, while it may grow.
    pub(crate) receive_tuning: Option<Box<ReceiveTuning>>,
    pub(crate) rtt: RttEstimator,
    /// The octet whose acknowledgment is being timed, and when it was sent (RFC 6298 3, Karn's algorithm) [RFC6298-6] [RFC6298-7].
    pub(crate) timed: Option<(SeqNum, Instant)>,
    /// Losses in octets; empty where `repairs` counts them in segments.
    pub(crate) scoreboard: Scoreboard,
    pub(crate) repairs: Option<Box<Repairs>>,
    pub(crate) loss: LossState,
    /// SND.NXT when the last loss was noticed, ISS before any (RFC 6582 3.2).
    pub(crate) recover: SeqNum,
    pub(crate) congestion: Controller,
    pub(crate) timers: Timers,
    pub(crate) intents: Intents,
    pub(crate) ack: AckState,
    pub(crate) patience: Patience,
    pub(crate) app: AppState,
    pub(crate) events: Events,
    pub(crate) error: Option<ConnectionError>,
    pub(crate) stats: Stats,
    rare: Option<Box<Rare>>,
}

/// What most connections never come to know: it takes memory from the first time on that there is something to say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rare {
    /// SND.UP: the octet after the last urgent one, while urgent text is unacknowledged.
    pub(crate) snd_up: Option<SeqNum>,
    /// RCV.UP: the octet after the peer's last urgent one.
    pub(crate) rcv_up: Option<SeqNum>,
    /// A block that arrived a second time, to be reported once (RFC 2883).
    pub(crate) duplicate_block: Option<SackBlock>,
    /// What a router or the peer's host last said against a segment, until an acknowledgment says that all is well.
    pub(crate) soft_error: Option<IcmpKind>,
    /// The last challenge or out-of-window acknowledgment, for the limit per connection.
    pub(crate) last_challenge: Option<Instant>,
    /// When what has been sent would have left at its pace; nothing new leaves before.
    pub(crate) paced_to: Option<Instant>,
    /// When a window that opened last had everything in flight sent again.
    pub(crate) reopened: Option<Instant>,
    pub(crate) bytes_retransmitted: u64,
    pub(crate) retransmissions: u32,
    pub(crate) timeouts: u32,
}

impl Rare {
    const NOTHING: &Self = &Self {
        snd_up: None,
        rcv_up: None,
        duplicate_block: None,
        soft_error: None,
        last_challenge: None,
        paced_to: None,
        reopened: None,
        bytes_retransmitted: 0,
        retransmissions: 0,
        timeouts: 0,
    };

    /// What a handshake in which a SYN or SYN+ACK was repeated so often leaves behind.
    fn after_handshake(repeats: u8) -> Option<Box<Self>> {
        (repeats > 0).then(|| {
            Box::new(Self {
                retransmissions: u32::from(repeats),
                ..Self::default()
            })
        })
    }
}

/// Whether lost segments are being repaired (RFC 6675 5, RFC 6582 3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum LossState {
    /// Nothing is known to be lost.
    #[default]
    Open,
    /// Fast recovery, until `recover` is acknowledged.
    FastRecovery,
    /// Slow start after a retransmission timeout, until `recover` is acknowledged.
    Timeout,
    /// What was in flight leaves again for a reason that says nothing about congestion, until `recover` is acknowledged: the windows
    /// stay, and a segment that is lost on the way is the timer's.
    Resending,
}

/// What decides when to acknowledge.
#[derive(Clone, Debug, Default)]
pub(crate) struct AckState {
    /// Octets received in order and not acknowledged.
    pub(crate) pending: u32,
    /// The adaptive receiver's memory, if that is what decides.
    pub(crate) adaptive: Option<Box<DelayedAck>>,
    /// Segments to acknowledge at once while the peer is in slow start.
    pub(crate) quick_left: u8,
    /// Duplicate acknowledgments in a row (RFC 5681 2).
    pub(crate) duplicates: u8,
}

/// How long the peer has been silent about what it owes us.
#[derive(Clone, Debug)]
pub(crate) struct Patience {
    /// Retransmissions or probes in a row without progress.
    pub(crate) tries: u8,
    /// When the first of them became due; R2 counts from the transmission before it.
    pub(crate) since: Option<Instant>,
    /// Probes of a shut window in a row without an answer.
    pub(crate) unanswered: u8,
    /// Keep-alive probes in a row without an answer.
    pub(crate) keepalive_probes: u8,
    /// When the last segment arrived.
    pub(crate) last_heard: Instant,
    /// When the last text was sent.
    pub(crate) last_sent: Instant,
}

impl Patience {
    /// All is well.
    const fn new(now: Instant) -> Self {
        Self {
            tries: 0,
            since: None,
            unanswered: 0,
            keepalive_probes: 0,
            last_heard: now,
            last_sent: now,
        }
    }
}

/// What the application has said and may still do.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct AppState {
    /// CLOSE was called: a FIN follows the text in the send buffer.
    pub(crate) closing: bool,
    /// The application let go of the connection.
    pub(crate) released: bool,
    /// The application will not read, though it holds on.
    pub(crate) deaf: bool,
    /// A write found the buffer full; [`Events::WRITABLE`] is owed.
    pub(crate) wants_write: bool,
}

/// Totals for `tcp_info`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stats {
    pub(crate) bytes_acked: u64,
    pub(crate) bytes_received: u64,
    pub(crate) segments_in: u64,
    pub(crate) segments_out: u64,
    pub(crate) data_segments_in: u64,
    pub(crate) data_segments_out: u64,
    pub(crate) bytes_sent: u64,
}

impl Stats {
    /// Nothing but the peer's SYN.
    fn with_syn() -> Self {
        Self {
            segments_in: 1,
            ..Self::default()
        }
    }
}

/// What a new TCB starts from; the handshake knows it all.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) config: Arc<Config>,
    pub(crate) tuple: Tuple,
    pub(crate) iss: SeqNum,
    pub(crate) irs: SeqNum,
    pub(crate) path: Path,
    pub(crate) peer_mss: Option<u16>,
    pub(crate) negotiated: Negotiated,
    pub(crate) clock: TimestampClock,
    /// Right edge of the window offered so far.
    pub(crate) edge: SeqNum,
    /// How often a SYN or SYN+ACK had to be sent again.
    pub(crate) handshake_repeats: u8,
}

impl Tcb {
    /// A connection in SYN-RECEIVED, our SYN unacknowledged.
    #[inline(always)]
    pub(crate) fn new(now: Instant, origin: Origin) -> Self {
        let Origin {
            config,
            tuple,
            iss,
            irs,
            path,
            peer_mss,
            negotiated,
            clock,
            edge,
            handshake_repeats,
        } = origin;
        let mss = Mss::new(&tuple, path, peer_mss, negotiated.timestamps, &config);
        let window = first_window(&config, mss.send, handshake_repeats);
        let congestion = config.congestion.controller(window);
        let mut snd = SendVars::new(iss, first_send_buffer(&config, &mss, congestion.window()));
        snd.shift = negotiated.send_shift;
        let mut rcv = ReceiveVars::new(irs, config.receive_buffer.at_first());
        (rcv.shift, rcv.edge, rcv.granted) = (negotiated.receive_shift, edge, edge);
        let receive_tuning = ReceiveTuning::at_first(now, &config, &mut rcv, mss.receive);
        let mut rtt = RttEstimator::new(config.rtt());
        if handshake_repeats > 0 {
            rtt.on_syn_retransmitted();
        }
        let adaptive = (config.acknowledging == Acknowledging::Adaptive).then(|| {
            let size = u32::from(mss.announced().min(mss.send));
            Box::new(DelayedAck::new(now, size, edge.since(irs), irs))
        });
        let records =
            (config.segmentation == Segmentation::Records).then(|| Box::new(Records::new(iss + 1)));
        let repairs = records.is_some().then(|| Box::new(Repairs::new(iss)));
        Self {
            phase: Phase::SynReceived,
            ack: AckState {
                quick_left: config.quick_acks,
                adaptive,
                ..AckState::default()
            },
            patience: Patience::new(now),
            config,
            tuple,
            snd,
            rcv,
            mss,
            negotiated,
            clock,
            send: SendBuffer::default(),
            records,
            receive: ReceiveBuffer::default(),
            receive_tuning,
            rtt,
            timed: None,
            scoreboard: Scoreboard::default(),
            repairs,
            loss: LossState::Open,
            recover: iss,
            congestion,
            timers: Timers::default(),
            intents: Intents::default(),
            app: AppState::default(),
            events: Events::NONE,
            error: None,
            stats: Stats::with_syn(),
            rare: Rare::after_handshake(handshake_repeats),
        }
    }

    pub(crate) const fn phase(&self) -> Phase {
        self.phase
    }

    /// Looks at fields all over the TCB; see [`Connection::glance`](crate::Connection::glance).
    pub(crate) fn glance(&self) -> u64 {
        let narrow = [
            self.tuple.local.port.into(),
            self.snd.una.raw(),
            self.snd.nxt.raw(),
            self.rcv.nxt.raw(),
            self.rcv.buffer,
            self.mss.send.into(),
            self.clock.offset,
            self.recover.raw(),
            self.ack.pending,
            u32::from(self.ack.quick_left),
            u32::from(self.patience.tries),
            u32::from(self.intents.ack),
        ];
        let wide = [
            self.clock.recent_at.as_nanos(),
            self.patience.last_heard.as_nanos(),
            self.patience.last_sent.as_nanos(),
            self.stats.bytes_acked,
            self.stats.bytes_sent,
            self.timers.glance(),
            self.rtt.glance(),
            u64::from(self.receive.has_gap()),
            u64::from(self.send.is_empty()),
            u64::from(self.scoreboard.is_empty()),
            u64::from(self.rare.is_some()),
        ];
        let narrow = narrow.into_iter().map(u64::from);
        narrow.chain(wide).fold(0, u64::wrapping_add)
    }

    /// Changes the state: the only place that does.
    pub(crate) fn advance(&mut self, cx: &mut Context<'_>, cause: Cause) {
        let Some(next) = self.phase.next(cause) else {
            debug_assert!(false, "{:?} cannot occur in {}", cause, self.phase);
            return;
        };
        self.phase = next;
        match next {
            Phase::Established => self.enter_established(cx),
            Phase::TimeWait => self.enter_time_wait(cx.now),
            Phase::Closed => self.enter_closed(),
            Phase::FinWait2 if self.app.released => {
                self.timers
                    .set(Timer::FinWait2, cx.now + self.config.fin_wait2_timeout);
            }
            Phase::Listen
            | Phase::SynSent
            | Phase::SynReceived
            | Phase::FinWait1
            | Phase::FinWait2
            | Phase::CloseWait
            | Phase::Closing
            | Phase::LastAck => {}
        }
    }

    fn enter_established(&mut self, cx: &mut Context<'_>) {
        self.events |= Events::CONNECTED | Events::WRITABLE;
        self.patience.tries = 0;
        self.patience.since = None;
        if self.app.closing {
            self.advance(cx, Cause::Close);
        }
        if let Some(keepalive) = self.config.keepalive {
            self.timers.set(Timer::KeepAlive, cx.now + keepalive.idle);
        }
    }

    /// Starts the 2 MSL wait and turns off the other timers (RFC 9293 3.10.7.4, eighth check).
    fn enter_time_wait(&mut self, now: Instant) {
        self.timers.stop_all();
        self.timers
            .set(Timer::TimeWait, now + self.config.time_wait);
        self.events |= Events::CLOSED;
    }

    fn enter_closed(&mut self) {
        self.timers.stop_all();
        self.intents.clear();
        self.send.clear();
        self.scoreboard.clear();
        if let Some(repairs) = self.repairs.as_deref_mut() {
            repairs.flight.clear();
        }
        self.events |= Events::CLOSED | Events::READABLE | Events::WRITABLE;
        if self.app.released {
            self.receive.discard();
        }
    }

    /// Ends the connection for a reason the application is told.
    pub(crate) fn fail(&mut self, cx: &mut Context<'_>, cause: Cause, error: ConnectionError) {
        if self.phase == Phase::SynReceived {
            cx.host.counters.attempt_fails += 1;
        } else if cause == Cause::Reset {
            cx.host.counters.established_resets += 1;
        }
        self.error = Some(error);
        self.advance(cx, cause);
    }

    /// What is seldom known.
    pub(crate) fn rare(&self) -> &Rare {
        self.rare.as_deref().unwrap_or(Rare::NOTHING)
    }

    /// The same, to note something.
    pub(crate) fn rare_mut(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// The same, to forget something if it was ever noted.
    pub(crate) fn rare_if_any(&mut self) -> Option<&mut Rare> {
        self.rare.as_deref_mut()
    }

    /// Whether our SYN still takes a sequence number before the text.
    pub(crate) fn syn_unacknowledged(&self) -> bool {
        self.snd.una == self.snd.iss
    }

    /// Sequence number of the first octet in the send buffer.
    pub(crate) fn text_start(&self) -> SeqNum {
        if self.syn_unacknowledged() {
            self.snd.una + 1
        } else {
            self.snd.una
        }
    }

    /// Sequence number after the last octet in the send buffer: where a FIN stands.
    pub(crate) fn text_end(&self) -> SeqNum {
        if self.fin_acknowledged() {
            return self.snd.una - 1;
        }
        self.text_start() + octets(self.send.len())
    }

    /// Whether a FIN was sent at least once.
    pub(crate) fn fin_sent(&self) -> bool {
        self.app.closing && self.snd.nxt.after(self.text_end())
    }

    /// Whether our FIN is acknowledged; known from the state, which the acknowledgment changed.
    pub(crate) const fn fin_acknowledged(&self) -> bool {
        matches!(self.phase, Phase::FinWait2 | Phase::TimeWait)
    }

    /// Whether something awaits its acknowledgment.
    pub(crate) const fn is_outstanding(&self) -> bool {
        self.snd.flight() != 0
    }

    /// Octets of text not sent yet.
    pub(crate) fn unsent(&self) -> u32 {
        let end = self.text_end();
        if self.snd.nxt.after(end) {
            0
        } else {
            end.since(self.snd.nxt)
        }
    }

    /// Whether text or a FIN waits to be sent for the first time.
    pub(crate) fn has_unsent(&self) -> bool {
        self.unsent() > 0 || (self.app.closing && !self.fin_acknowledged() && !self.fin_sent())
    }

    /// Octets the network is believed to hold (RFC 6675 SetPipe).
    pub(crate) fn pipe(&self) -> u32 {
        if let Some(repairs) = self.repairs.as_deref() {
            let smss = u32::from(self.mss.send);
            return repairs.flight.in_network().saturating_mul(smss);
        }
        self.scoreboard.pipe(self.snd.una, self.snd.nxt)
    }

    /// Whether text of ours, a FIN apart, has not been acknowledged.
    pub(crate) fn has_unacknowledged_text(&self) -> bool {
        !self.send.is_empty()
    }

    /// Whether the peer's FIN has been taken.
    pub(crate) fn fin_received(&self) -> bool {
        self.rcv.fin.is_some_and(|fin| self.rcv.nxt.after(fin))
    }

    /// Sequence number of the next octet the application will read.
    pub(crate) fn read_position(&self) -> SeqNum {
        self.rcv.nxt - octets(self.receive.len()) - u32::from(self.fin_received())
    }

    /// Whether this connection may send another challenge ACK (RFC 5961 7); if so, counts it [RFC5961-8].
    pub(crate) fn may_challenge(&mut self, now: Instant) -> bool {
        let due = self
            .rare()
            .last_challenge
            .is_none_or(|last| now - last >= self.config.challenge_interval);
        if due {
            self.rare_mut().last_challenge = Some(now);
        }
        due
    }

    /// Answers something a stranger might have sent: the peer, if it is the peer, will show it (RFC 5961).
    pub(crate) fn challenge(&mut self, cx: &mut Context<'_>) {
        if self.may_challenge(cx.now) && cx.host.challenge.take(cx.now) {
            self.intents.challenge = true;
        } else {
            cx.host.counters.challenge_acks_skipped += 1;
        }
    }

    /// Everything in flight is to be sent again, for a reason that says nothing about congestion.
    pub(crate) fn count_flight_as_lost(&mut self, now: Instant) {
        if self.repairs.is_some() {
            return crate::repair::resend_all(self, now);
        }
        self.scoreboard.begin_recovery();
        self.count_first_flight_as_lost();
    }

    /// The same for what has not been sent again yet.
    pub(crate) fn count_first_flight_as_lost(&mut self) {
        self.scoreboard.mark_lost_below(self.snd.nxt);
        if self.loss == LossState::Open {
            self.loss = LossState::Resending;
        }
        self.recover = self.snd.nxt;
        self.intents.retransmit = true;
    }

    /// Describes an input that was just processed.
    pub(crate) fn trace_entry(
        &self,
        now: Instant,
        event: TraceEvent,
        before: Phase,
        verdict: Verdict,
    ) -> TraceEntry {
        let snd = SendSnapshot {
            iss: self.snd.iss,
            una: self.snd.una,
            nxt: self.snd.nxt,
            wnd: self.snd.wnd,
            cwnd: self.congestion.window(),
            ssthresh: self.congestion.ssthresh(),
            pipe: self.pipe(),
        };
        let rcv = ReceiveSnapshot {
            irs: self.rcv.irs,
            nxt: self.rcv.nxt,
            wnd: self.rcv.wnd(),
        };
        TraceEntry {
            now,
            tuple: self.tuple,
            event,
            before,
            after: self.phase,
            verdict,
            snd,
            rcv,
        }
    }

    /// The largest window the receive buffer allows for.
    pub(crate) fn window_max(&self) -> u32 {
        let most = self
            .linux_queue()
            .map_or(self.rcv.buffer, |queue| queue.clamp());
        most.min(self.config.window_clamp.unwrap_or(u32::MAX))
    }

    /// The receive queue as Linux charges it, if that is what windows follow.
    pub(crate) fn linux_queue(&self) -> Option<&LinuxQueue> {
        self.receive_tuning.as_deref()?.linux.as_ref()
    }

    /// Room left in the receive buffer beyond RCV.NXT.
    pub(crate) fn receive_room(&self) -> u32 {
        let room = self.window_max().saturating_sub(octets(self.receive.len()));
        room.min(self.rcv.limit)
    }

    /// Time after which the retransmission timer expires if armed at `now`.
    pub(crate) fn rto(&self) -> Duration {
        self.rtt.rto()
    }

    /// What must hold between any two calls; checked in tests, simulation and fuzzing.
    pub(crate) fn check_invariants(&self, now: Instant) {
        if !cfg!(debug_assertions) || self.phase == Phase::Closed {
            return;
        }
        let Self { snd, rcv, .. } = self;
        assert!(
            snd.una.at_or_before(snd.nxt),
            "SND.UNA {} after SND.NXT {}",
            snd.una,
            snd.nxt
        );
        assert!(
            rcv.nxt.at_or_before(rcv.edge),
            "RCV.NXT {} beyond the window {}",
            rcv.nxt,
            rcv.edge
        );
        assert!(
            rcv.last_ack_sent.at_or_before(rcv.nxt),
            "acknowledged what did not arrive"
        );
        let end = self.text_end() + u32::from(self.app.closing);
        assert!(
            snd.nxt.at_or_before(end),
            "SND.NXT {} beyond what was written {end}",
            snd.nxt
        );
        assert!(
            snd.wnd <= snd.wnd_max,
            "the largest window is smaller than the current one"
        );
        let owes = self.is_outstanding() || (self.phase.is_synchronized() && self.has_unsent());
        let armed = [Timer::Retransmission, Timer::Persist, Timer::Pacing]
            .into_iter()
            .any(|timer| self.timers.is_set(timer));
        assert!(
            !owes || armed || self.intents.is_pending() || self.may_transmit(now),
            "something is owed and no timer runs"
        );
    }

    /// Whether `poll_transmit` would find text to send.
    fn may_transmit(&self, now: Instant) -> bool {
        crate::output::has_text_to_send(self, now)
    }
}

/// The octets of the send buffer that a connection begins with; as Linux has it, they depend on the peer's segments.
fn first_send_buffer(config: &Config, mss: &Mss, window: u32) -> u32 {
    match config.segmentation {
        Segmentation::Records => tuning::linux_send_buffer(config.send_buffer, mss, window),
        Segmentation::Stream => config.send_buffer.at_first(),
    }
}

/// The congestion window that a connection begins with, in octets: one segment if the handshake went badly.
fn first_window(config: &Config, smss: u16, handshake_repeats: u8) -> u32 {
    let smss = u32::from(smss);
    let counts_segments = config.segmentation == Segmentation::Records;
    // Linux forgives one repetition, which may have been spurious (RFC 6298 5.7 speaks of the timer alone).
    if handshake_repeats > u8::from(counts_segments) {
        return smss;
    }
    if counts_segments {
        return u32::from(config.initial_window).saturating_mul(smss);
    }
    initial_window(config.initial_window, smss)
}

/// A length held in memory as a count of sequence numbers. Buffers are limited to `u32` by configuration.
pub(crate) fn octets(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
