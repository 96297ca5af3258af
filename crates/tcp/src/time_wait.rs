//! TIME-WAIT as a compact record (RFC 9293 3.6.1, 3.10.7.4; RFC 1337; RFC 6191).

use core::time::Duration;

use handwave_wire::{OptionOrder, SeqNum, TcpFlags};

use crate::config::SequenceCheck;
use crate::error::DropReason;
use crate::host::Context;
use crate::options::TimestampClock;
use crate::output::Reply;
use crate::phase::Phase;
use crate::segment::{SegmentIn, SegmentOut};
use crate::tcb::Tcb;
use crate::time::Instant;
use crate::timer::Timer;
use crate::trace::{ReceiveSnapshot, SendReason, SendSnapshot, TraceEntry, TraceEvent, Verdict};
use crate::tuple::Tuple;

/// What remains of a connection for two maximum segment lifetimes after both FINs are acknowledged.
///
/// It answers a repeated FIN, ignores old duplicates, and lets a newer SYN begin the next incarnation. When the wait is over is
/// for its owner to keep, who has a timer for it anyway.
#[derive(Debug)]
pub struct TimeWait {
    tuple: Tuple,
    /// What is added to the millisecond clock to give TSval.
    ts_offset: u32,
    ts_recent: u32,
    snd_nxt: SeqNum,
    rcv_nxt: SeqNum,
    /// How long the wait is, in milliseconds.
    wait_millis: u32,
    window: u16,
    dscp: u8,
    hop_limit: u8,
    /// When an empty segment was last answered, in [`STEP`]s, modulo 2^16; 0 for never.
    answered: u16,
    rules: u8,
}

/// Timestamps are in use.
const TIMESTAMPS: u8 = 1;
/// A RST is not believed.
const IGNORES_RST: u8 = 1 << 1;
/// Segments are judged as Linux does it.
const LENIENT: u8 = 1 << 2;
/// What times that need not be exact are counted in, in milliseconds.
const STEP: u64 = 16;
/// Steps for which empty segments go unanswered after one was answered.
const UNANSWERED: u16 = 31;

/// What becomes of a segment that meets a TIME-WAIT record.
#[derive(Debug)]
pub enum TimeWaitVerdict {
    /// Ignored.
    Dropped(DropReason),
    /// An empty segment with the number that was expected: nothing to answer, and the wait begins anew.
    Renewed {
        /// When it is over.
        until: Instant,
    },
    /// Acknowledged; a repeated FIN has also restarted the wait.
    Reply {
        /// The acknowledgment to send.
        segment: SegmentOut,
        /// Why the segment itself was of no use.
        reason: DropReason,
        /// When the wait that a repeated FIN has begun anew is over.
        until: Option<Instant>,
    },
    /// A newer SYN: drop the record and hand the SYN to the listener, whose ISS must not be before `iss_floor`.
    Reopen {
        /// One more than the last sequence number the old incarnation used.
        iss_floor: SeqNum,
        /// The reason to count if nobody listens.
        reason: DropReason,
    },
    /// A RST was believed: drop the record (only where RFC 1337 is switched off).
    Closed,
}

impl TimeWait {
    pub(crate) fn of(tcb: &Tcb) -> Self {
        let wait = tcb.config.time_wait.as_nanos().div_ceil(1_000_000);
        Self {
            tuple: tcb.tuple,
            ts_offset: tcb.clock.offset,
            ts_recent: tcb.clock.recent,
            snd_nxt: tcb.snd.nxt,
            rcv_nxt: tcb.rcv.nxt,
            wait_millis: u32::try_from(wait).unwrap_or(u32::MAX),
            window: u16::try_from(tcb.rcv.wnd() >> tcb.rcv.shift.get()).unwrap_or(u16::MAX),
            dscp: tcb.config.dscp,
            hop_limit: tcb.config.hop_limit,
            answered: 0,
            rules: [
                (tcb.negotiated.timestamps, TIMESTAMPS),
                (tcb.config.time_wait_ignores_rst, IGNORES_RST),
                (tcb.config.sequence_check == SequenceCheck::Lenient, LENIENT),
            ]
            .into_iter()
            .filter_map(|(holds, rule)| holds.then_some(rule))
            .sum(),
        }
    }

    const fn has(&self, rule: u8) -> bool {
        self.rules & rule != 0
    }

    /// Both endpoints.
    #[must_use]
    pub const fn tuple(&self) -> &Tuple {
        &self.tuple
    }

    /// Takes a segment for the old connection.
    pub fn handle_segment(&mut self, cx: &mut Context<'_>, segment: &SegmentIn) -> TimeWaitVerdict {
        cx.host.counters.segments_in += 1;
        let verdict = self.judge(cx, segment);
        let (summary, after) = match &verdict {
            TimeWaitVerdict::Dropped(reason) => (Verdict::Dropped(*reason), Phase::TimeWait),
            TimeWaitVerdict::Renewed { .. } => (Verdict::Accepted, Phase::TimeWait),
            TimeWaitVerdict::Reply { reason, .. } => {
                (Verdict::Acknowledged(*reason), Phase::TimeWait)
            }
            TimeWaitVerdict::Reopen { .. } => (Verdict::Accepted, Phase::Closed),
            TimeWaitVerdict::Closed => (Verdict::ConnectionReset, Phase::Closed),
        };
        if let Verdict::Dropped(reason) | Verdict::Acknowledged(reason) = summary {
            cx.host.counters.count_drop(reason);
        }
        self.trace(
            cx,
            TraceEvent::SegmentArrived {
                header: segment.header,
                payload_len: segment.payload.len(),
            },
            summary,
            after,
        );
        if let TimeWaitVerdict::Reply { segment, .. } = &verdict {
            cx.host.counters.segments_out += 1;
            let reason = SendReason::Acknowledgment;
            let event = TraceEvent::SegmentSent {
                header: segment.header,
                payload_len: 0,
                reason,
            };
            self.trace(cx, event, Verdict::Accepted, Phase::TimeWait);
        }
        verdict
    }

    /// Notes that the wait is over; forget the record after this.
    pub fn expire(&self, cx: &mut Context<'_>) {
        let event = TraceEvent::Timeout(Timer::TimeWait);
        self.trace(cx, event, Verdict::Accepted, Phase::Closed);
    }

    /// Decides; shared with a TCB in TIME-WAIT that its application still holds.
    pub(crate) fn judge(&mut self, cx: &Context<'_>, segment: &SegmentIn) -> TimeWaitVerdict {
        let header = &segment.header;
        if header.flags.contains(TcpFlags::RST) {
            // Believing a RST here would let an old duplicate in behind it (RFC 1337 3).
            return if self.has(IGNORES_RST) || header.seq != self.rcv_nxt {
                TimeWaitVerdict::Dropped(DropReason::RstInTimeWait)
            } else {
                TimeWaitVerdict::Closed
            };
        }
        if header.flags.contains(TcpFlags::SYN) {
            return self.judge_syn(cx, segment);
        }
        if self.has(LENIENT) {
            return self.judge_as_linux(cx, segment);
        }
        if !header.flags.contains(TcpFlags::ACK) {
            return TimeWaitVerdict::Dropped(DropReason::AckMissing);
        }
        if segment.seq_len() == 0 {
            return TimeWaitVerdict::Dropped(DropReason::OutOfWindow);
        }
        let repeats_fin = header.flags.contains(TcpFlags::FIN) && segment.seq_end() == self.rcv_nxt;
        let begins_anew = repeats_fin && !self.is_older(segment);
        let wait = Duration::from_millis(self.wait_millis.into());
        let until = begins_anew.then(|| cx.now + wait);
        self.reply(cx, DropReason::OutOfWindow, until)
    }

    /// Linux starts the wait again for whatever has an ACK, and acknowledges it unless it is an empty segment at RCV.NXT; twice in a
    /// short time only what takes sequence numbers.
    fn judge_as_linux(&mut self, cx: &Context<'_>, segment: &SegmentIn) -> TimeWaitVerdict {
        let (header, empty) = (&segment.header, segment.seq_len() == 0);
        let older = self.is_older(segment);
        let until = cx.now + Duration::from_millis(self.wait_millis.into());
        let expected = !older && empty && header.seq == self.rcv_nxt;
        if expected {
            return TimeWaitVerdict::Renewed { until };
        }
        if empty && !self.may_answer(cx.now) {
            return TimeWaitVerdict::Dropped(DropReason::OutOfWindow);
        }
        let renews = older || header.flags.contains(TcpFlags::ACK);
        self.reply(cx, DropReason::OutOfWindow, renews.then_some(until))
    }

    /// Whether no empty segment was answered for a while; two ends in TIME-WAIT would answer each other for ever.
    fn may_answer(&mut self, now: Instant) -> bool {
        #[expect(clippy::cast_possible_truncation, reason = "modulo 2^16")]
        let step = ((now.as_millis() / STEP) as u16).max(1);
        let may = self.answered == 0 || step.wrapping_sub(self.answered) >= UNANSWERED;
        if may {
            self.answered = step;
        }
        may
    }

    /// A SYN newer than everything before, by timestamp or by sequence number, may begin anew [MAY-2] [SHLD-4].
    fn judge_syn(&self, cx: &Context<'_>, segment: &SegmentIn) -> TimeWaitVerdict {
        let header = &segment.header;
        if header.flags.contains(TcpFlags::ACK) {
            return self.reply(cx, DropReason::SynInSynchronized, None);
        }
        let higher_seq = header.seq.after(self.rcv_nxt);
        let newer = match header.options.timestamps.filter(|_| self.has(TIMESTAMPS)) {
            Some(stamp) if stamp.value == self.ts_recent => higher_seq,
            Some(stamp) => SeqNum::new(stamp.value).after(SeqNum::new(self.ts_recent)),
            None => higher_seq,
        };
        if newer {
            TimeWaitVerdict::Reopen {
                iss_floor: self.snd_nxt + 1,
                reason: DropReason::SynInSynchronized,
            }
        } else {
            self.reply(cx, DropReason::SynInSynchronized, None)
        }
    }

    fn is_older(&self, segment: &SegmentIn) -> bool {
        self.has(TIMESTAMPS)
            && segment
                .header
                .options
                .timestamps
                .is_some_and(|stamp| SeqNum::new(stamp.value).before(SeqNum::new(self.ts_recent)))
    }

    fn reply(
        &self,
        cx: &Context<'_>,
        reason: DropReason,
        until: Option<Instant>,
    ) -> TimeWaitVerdict {
        let clock = TimestampClock {
            offset: self.ts_offset,
            recent: self.ts_recent,
            recent_at: cx.now,
        };
        let acknowledgment = Reply {
            seq: self.snd_nxt,
            ack: Some(self.rcv_nxt),
            flags: TcpFlags::ACK,
            window: self.window,
            mss: None,
            window_scale: None,
            sack_permitted: false,
            timestamps: self.has(TIMESTAMPS).then(|| clock.stamp(cx.now)),
            order: OptionOrder::Linux,
            dscp: self.dscp,
            hop_limit: self.hop_limit,
        };
        TimeWaitVerdict::Reply {
            segment: acknowledgment.segment(&self.tuple),
            reason,
            until,
        }
    }

    fn trace(&self, cx: &mut Context<'_>, event: TraceEvent, verdict: Verdict, after: Phase) {
        if !cx.host.is_traced() {
            return;
        }
        let entry = TraceEntry {
            now: cx.now,
            tuple: self.tuple,
            event,
            before: Phase::TimeWait,
            after,
            verdict,
            snd: SendSnapshot {
                una: self.snd_nxt,
                nxt: self.snd_nxt,
                ..SendSnapshot::default()
            },
            rcv: ReceiveSnapshot {
                nxt: self.rcv_nxt,
                ..ReceiveSnapshot::default()
            },
        };
        cx.host.trace(&entry);
    }
}
