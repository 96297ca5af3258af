//! SYN-SENT (RFC 9293 3.10.7.3): our SYN is out and nothing of the peer is known.

use alloc::sync::Arc;
use core::time::Duration;

use handwave_wire::{SeqNum, TcpFlags, TcpHeader};

use crate::buffer::SendBuffer;
use crate::config::{Config, ReceiveWindow, SequenceCheck};
use crate::delayed_ack;
use crate::error::{ConnectionError, DropReason};
use crate::events::icmp::IcmpKind;
use crate::host::Context;
use crate::notice::Events;
use crate::options::{Negotiated, TimestampClock, announced_mss, syn_options};
use crate::output::{
    Bare, FirstWindow, Reply, bare_segment, reset_for, restart_retransmission_timer, update_rate,
};
use crate::phase::{Cause, Phase};
use crate::recovery::flight::REORDERING;
use crate::recovery::rtt::CLOCK_GRANULARITY;
use crate::repair;
use crate::segment::{Path, SegmentIn, SegmentOut};
use crate::status::{Repair, SegmentCounts, TcpInfo};
use crate::tcb::{Origin, Tcb, octets};
use crate::time::Instant;
use crate::trace::Verdict;
use crate::tuple::Tuple;
use crate::vars::{RawWindow, WindowShift};

/// How soon a SYN follows what answered it wrongly: two ticks of Linux's clock, which are 2 to 12 ms.
const SYN_AFTER_RESET: Duration = Duration::from_millis(6);

/// A connection whose SYN has not been answered [RFC5961-4].
#[derive(Debug)]
pub(crate) struct SynSent {
    pub(crate) config: Arc<Config>,
    pub(crate) tuple: Tuple,
    pub(crate) path: Path,
    pub(crate) iss: SeqNum,
    pub(crate) clock: TimestampClock,
    /// What the SYN offers: once it has been sent, the peer holds us to it, whatever the settings become.
    offer: Negotiated,
    window: FirstWindow,
    /// Text queued before the handshake completes; it leaves afterwards.
    pub(crate) send: SendBuffer,
    /// SYNs sent.
    pub(crate) attempts: u8,
    pub(crate) opened_at: Instant,
    /// When the SYN is sent again.
    pub(crate) deadline: Option<Instant>,
    /// A SYN is to be sent.
    pub(crate) syn_wanted: bool,
    /// A RST for a segment that acknowledges what was never sent.
    pub(crate) reset: Option<Reply>,
    /// What a router last said against the SYN.
    pub(crate) unreachable: Option<ConnectionError>,
    pub(crate) events: Events,
    pub(crate) wants_write: bool,
}

/// What becomes of the connection.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Still waiting.
    Waiting(Verdict),
    /// The segment makes the peer known: see [`SynSent::origin`] and [`Past::meet`].
    Known,
    /// The peer refused.
    Refused,
}

impl SynSent {
    #[inline]
    pub(crate) fn new(cx: &mut Context<'_>, config: Arc<Config>, tuple: Tuple, path: Path) -> Self {
        let secret = cx.host.secret_of(&tuple);
        let clock = TimestampClock {
            offset: secret.timestamp_offset,
            recent: 0,
            recent_at: cx.now,
        };
        Self {
            iss: secret.isn(cx.now),
            offer: Negotiated::offer(&config),
            window: FirstWindow::of(&config),
            config,
            tuple,
            path,
            clock,
            send: SendBuffer::default(),
            attempts: 0,
            opened_at: cx.now,
            deadline: None,
            syn_wanted: true,
            reset: None,
            unreachable: None,
            events: Events::NONE,
            wants_write: false,
        }
    }

    /// Moves the ISS up to `floor`, before anything is sent.
    pub(crate) fn begin_beyond(&mut self, floor: Option<SeqNum>) {
        if let Some(floor) = floor.filter(|&floor| self.iss.before(floor)) {
            self.iss = floor;
        }
    }

    /// Replaces the settings. Of what the SYN has said nothing is taken back.
    pub(crate) fn set_config(&mut self, config: Arc<Config>) {
        if self.attempts == 0 {
            self.offer = Negotiated::offer(&config);
            self.window = FirstWindow::of(&config);
            self.config = config;
            return;
        }
        let mss_max = self.config.mss_max;
        self.config = config.that_counts_as(&self.config);
        if self.config.mss_max != mss_max {
            Arc::make_mut(&mut self.config).mss_max = mss_max;
        }
    }

    /// Builds the next segment, a RST that is owed, or the SYN, where `out` lies; `false` if there is none.
    pub(crate) fn poll_transmit(&mut self, now: Instant, out: &mut SegmentOut) -> bool {
        if let Some(reset) = self.reset.take() {
            reset.write(&self.tuple, out);
            return true;
        }
        if !core::mem::take(&mut self.syn_wanted) {
            return false;
        }
        let linear = self.config.syn_linear_timeouts;
        let doublings = u32::from(self.attempts.saturating_sub(linear));
        self.attempts = self.attempts.saturating_add(1);
        let rto = self.syn_timeout(doublings);
        self.deadline = Some(now + rto);
        let mss = announced_mss(&self.config, &self.tuple, self.path);
        bare_segment(
            &self.config,
            Bare {
                tuple: self.tuple,
                seq: self.iss,
                ack: None,
                flags: TcpFlags::SYN,
                window: self.window.field(mss),
                options: syn_options(&self.config, mss, self.clock.stamp(now), &self.offer),
            },
            out,
        );
        true
    }

    /// Whether a segment waits to be built.
    pub(crate) const fn has_something(&self) -> bool {
        self.syn_wanted || self.reset.is_some()
    }

    /// The SYN's timer: again, or give up after R2 [MUST-22] [MUST-23].
    pub(crate) fn handle_timeout(&mut self, now: Instant) -> Result<(), ConnectionError> {
        if self.deadline.is_none_or(|deadline| deadline > now) {
            return Ok(());
        }
        self.deadline = None;
        let retries = self
            .config
            .syn_retries
            .map(|retries| u32::from(retries) + u32::from(self.config.syn_linear_timeouts) + 1);
        let over = retries.map_or(now - self.opened_at >= self.config.r2_syn, |sent| {
            u32::from(self.attempts) >= sent
        });
        if over {
            return Err(self.unreachable.unwrap_or(ConnectionError::TimedOut));
        }
        if self.attempts >= self.config.r1 {
            self.events |= Events::SOFT_ERROR;
        }
        self.syn_wanted = true;
        Ok(())
    }

    /// A soft ICMP error: the attempt goes on, and the error is named if it fails in the end (RFC 9293 3.9.2.2 [SHLD-25]).
    pub(crate) fn handle_soft_error(&mut self, kind: IcmpKind) {
        match kind {
            IcmpKind::PacketTooBig { mtu } => self.path.mtu = mtu,
            IcmpKind::Unreachable(why) => {
                self.unreachable = Some(ConnectionError::Unreachable(why));
                self.events |= Events::SOFT_ERROR;
            }
            IcmpKind::TimeExceeded | IcmpKind::ParameterProblem => {
                self.events |= Events::SOFT_ERROR
            }
        }
    }

    /// The numbers of an attempt.
    pub(crate) fn info(&self) -> TcpInfo {
        let repeats = self.attempts.saturating_sub(1);
        let repeated = u32::from(repeats > 0);
        let doublings = u32::from(repeats.saturating_sub(self.config.syn_linear_timeouts));
        TcpInfo {
            phase: Phase::SynSent,
            retransmits: repeats,
            backoff: u8::try_from(doublings).unwrap_or(u8::MAX),
            total_retrans: u32::from(repeats),
            rto: self.syn_timeout(doublings),
            pmtu: self.path.mtu,
            advmss: announced_mss(&self.config, &self.tuple, self.path),
            unacked: 1,
            snd_ssthresh: u32::MAX,
            notsent: octets(self.send.len()),
            snd_buffer: self.config.send_buffer.at_first(),
            rcv_buffer: self.config.receive_buffer.at_first(),
            repair: if repeats > 0 {
                Repair::Loss
            } else {
                Repair::Open
            },
            segments: Some(SegmentCounts {
                unacked: 1,
                lost: repeated,
                retrans: repeated,
                reordering: REORDERING,
                ..SegmentCounts::default()
            }),
            congestion: self.config.congestion.name(),
            ..TcpInfo::default()
        }
    }

    /// Time until the SYN is sent again.
    fn syn_timeout(&self, doublings: u32) -> Duration {
        self.config
            .rto_initial
            .saturating_mul(1 << doublings.min(16))
            .min(self.config.rto_max)
            .max(CLOCK_GRANULARITY)
    }

    /// Looks at a segment and says what it does to the connection.
    pub(crate) fn handle_segment(&mut self, cx: &mut Context<'_>, segment: &SegmentIn) -> Outcome {
        let header = &segment.header;
        let acks = header.flags.contains(TcpFlags::ACK);
        if acks && header.ack != self.iss + 1 {
            self.hurry(cx.now);
            if header.flags.contains(TcpFlags::RST) {
                return Outcome::Waiting(Verdict::Dropped(DropReason::RstUnacceptable));
            }
            self.reset = reset_for(&self.config, header, segment.payload.len());
            cx.host.counters.resets_out += 1;
            return Outcome::Waiting(Verdict::ResetSent(DropReason::HandshakeAckUnacceptable));
        }
        if header.flags.contains(TcpFlags::RST) {
            if acks {
                return Outcome::Refused;
            }
            return Outcome::Waiting(Verdict::Dropped(DropReason::RstUnacceptable));
        }
        if !header.flags.contains(TcpFlags::SYN) {
            return Outcome::Waiting(Verdict::Dropped(DropReason::NotSyn));
        }
        Outcome::Known
    }

    /// The peer still answers an older SYN: ours is sent again as soon as the RST has done its work.
    fn hurry(&mut self, now: Instant) {
        if self.config.sequence_check == SequenceCheck::Lenient && self.attempts == 1 {
            self.deadline = Some(now + SYN_AFTER_RESET);
        }
    }

    /// What the TCB for the peer whose SYN is `syn` starts from, in SYN-RECEIVED.
    pub(crate) fn origin(&self, now: Instant, syn: &TcpHeader) -> Origin {
        let mut clock = self.clock;
        clock.recent = syn.options.timestamps.map_or(0, |ts| ts.value);
        clock.recent_at = now;
        let mss = announced_mss(&self.config, &self.tuple, self.path);
        let offered = match self.config.receive_window {
            // Linux stands by what it would have offered, had the field had room for it.
            ReceiveWindow::Growing => self.window.octets(mss),
            ReceiveWindow::Buffer => u32::from(self.window.field(mss)),
        };
        Origin {
            config: Arc::clone(&self.config),
            tuple: self.tuple,
            iss: self.iss,
            irs: syn.seq,
            path: self.path,
            peer_mss: syn.options.mss,
            negotiated: self.offer.met_by(&syn.options),
            clock,
            edge: syn.seq + 1 + offered,
            handshake_repeats: self.attempts.saturating_sub(1),
        }
    }

    /// Lets go of what the TCB does not start from.
    pub(crate) fn past(&mut self) -> Past {
        Past {
            send: core::mem::take(&mut self.send),
            attempts: self.attempts,
            opened_at: self.opened_at,
            events: self.events,
            wants_write: self.wants_write,
        }
    }
}

/// What has happened before the peer was known.
#[derive(Debug)]
pub(crate) struct Past {
    send: SendBuffer,
    attempts: u8,
    opened_at: Instant,
    events: Events,
    wants_write: bool,
}

impl Past {
    /// Hands on what the application has done so far.
    fn hand_on(&mut self, tcb: &mut Tcb) {
        tcb.send = core::mem::take(&mut self.send);
        let (start, end) = (tcb.text_start(), tcb.text_end());
        if let Some(records) = tcb.records.as_deref_mut() {
            records.cover(start, end);
        }
        tcb.events = self.events;
        tcb.app.wants_write = self.wants_write;
    }

    /// Continues with the peer's SYN: ESTABLISHED if it acknowledges ours, SYN-RECEIVED if both opened at once [MUST-10].
    pub(crate) fn meet(
        mut self,
        cx: &mut Context<'_>,
        segment: &mut SegmentIn,
        tcb: &mut Tcb,
    ) -> Verdict {
        let header = &segment.header;
        let acks = header.flags.contains(TcpFlags::ACK);
        self.hand_on(tcb);
        // The window of a SYN is never scaled (RFC 7323 2.2).
        tcb.snd.take_window(
            RawWindow(header.window) << WindowShift::NONE,
            header.seq,
            header.ack,
        );
        if acks {
            tcb.snd.una = tcb.snd.iss + 1;
            repair::keep_to_window(tcb);
            delayed_ack::begin(tcb);
            tcb.stats.segments_out = u64::from(self.attempts);
            tcb.stats.bytes_acked += u64::from(tcb.repairs.is_some());
            if self.attempts == 1 {
                tcb.rtt.on_sample(cx.now - self.opened_at);
                update_rate(tcb);
            }
            tcb.intents.ack = true;
            tcb.advance(cx, Cause::SynAcknowledged);
        } else {
            tcb.intents.synack = true;
            restart_retransmission_timer(tcb, cx.now);
            // Our SYN leaves again, with an ACK: its acknowledgment is timed from here.
            tcb.timed = Some((tcb.snd.iss + 1, cx.now));
        }
        if acks && tcb.config.sequence_check == SequenceCheck::Lenient {
            // Linux takes no text with a SYN+ACK unless it has asked for it (RFC 7413): the peer sends it again.
            segment.payload.truncate(0);
            segment.header.flags = segment.header.flags.without(TcpFlags::FIN);
        }
        segment.header.flags = segment.header.flags.without(TcpFlags::SYN);
        segment.header.seq += 1;
        super::other_states::take_text(tcb, cx, segment)
    }
}
