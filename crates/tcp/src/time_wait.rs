//! TIME-WAIT as a compact record (RFC 9293 3.6.1, 3.10.7.4; RFC 1337; RFC 6191).

use core::time::Duration;

use handwave_wire::{OptionOrder, SeqNum, TcpFlags};

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
    timestamps: bool,
    ignores_rst: bool,
}

/// What becomes of a segment that meets a TIME-WAIT record.
#[derive(Debug)]
pub enum TimeWaitVerdict {
    /// Ignored.
    Dropped(DropReason),
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
            timestamps: tcb.negotiated.timestamps,
            ignores_rst: tcb.config.time_wait_ignores_rst,
        }
    }

    /// Both endpoints.
    #[must_use]
    pub const fn tuple(&self) -> &Tuple {
        &self.tuple
    }

    /// Takes a segment for the old connection.
    pub fn handle_segment(&self, cx: &mut Context<'_>, segment: &SegmentIn) -> TimeWaitVerdict {
        cx.host.counters.segments_in += 1;
        let verdict = self.judge(cx, segment);
        let (summary, after) = match &verdict {
            TimeWaitVerdict::Dropped(reason) => (Verdict::Dropped(*reason), Phase::TimeWait),
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
    pub(crate) fn judge(&self, cx: &Context<'_>, segment: &SegmentIn) -> TimeWaitVerdict {
        let header = &segment.header;
        if header.flags.contains(TcpFlags::RST) {
            // Believing a RST here would let an old duplicate in behind it (RFC 1337 3).
            return if self.ignores_rst || header.seq != self.rcv_nxt {
                TimeWaitVerdict::Dropped(DropReason::RstInTimeWait)
            } else {
                TimeWaitVerdict::Closed
            };
        }
        if header.flags.contains(TcpFlags::SYN) {
            return self.judge_syn(cx, segment);
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

    /// A SYN newer than everything before, by timestamp or by sequence number, may begin anew [MAY-2] [SHLD-4].
    fn judge_syn(&self, cx: &Context<'_>, segment: &SegmentIn) -> TimeWaitVerdict {
        let header = &segment.header;
        if header.flags.contains(TcpFlags::ACK) {
            return self.reply(cx, DropReason::SynInSynchronized, None);
        }
        let higher_seq = header.seq.after(self.rcv_nxt);
        let newer = match header.options.timestamps.filter(|_| self.timestamps) {
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
        self.timestamps
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
            timestamps: self.timestamps.then(|| clock.stamp(cx.now)),
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
