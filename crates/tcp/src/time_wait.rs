//! TIME-WAIT as a compact record (RFC 9293 3.6.1, 3.10.7.4; RFC 1337; RFC 6191).

use alloc::sync::Arc;

use handwave_wire::{SeqNum, TcpFlags, TcpOptions};

use crate::config::Config;
use crate::error::DropReason;
use crate::host::Context;
use crate::options::TimestampClock;
use crate::output::{Bare, bare_segment};
use crate::phase::Phase;
use crate::segment::{SegmentIn, SegmentOut};
use crate::tcb::Tcb;
use crate::time::Instant;
use crate::timer::Timer;
use crate::trace::{ReceiveSnapshot, SendReason, SendSnapshot, TraceEntry, TraceEvent, Verdict};
use crate::tuple::Tuple;

/// What remains of a connection for two maximum segment lifetimes after both FINs are acknowledged.
///
/// It answers a repeated FIN, ignores old duplicates, and lets a newer SYN begin the next incarnation.
#[derive(Debug)]
pub struct TimeWait {
    tuple: Tuple,
    config: Arc<Config>,
    deadline: Instant,
    clock: TimestampClock,
    snd_nxt: SeqNum,
    rcv_nxt: SeqNum,
    window: u16,
    timestamps: bool,
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
        let deadline = tcb.timers.deadline(Timer::TimeWait).unwrap_or_default();
        Self {
            tuple: tcb.tuple,
            config: Arc::clone(&tcb.config),
            deadline,
            clock: tcb.clock,
            snd_nxt: tcb.snd.nxt,
            rcv_nxt: tcb.rcv.nxt,
            window: u16::try_from(tcb.rcv.wnd() >> tcb.rcv.shift.get()).unwrap_or(u16::MAX),
            timestamps: tcb.negotiated.timestamps,
        }
    }

    /// Both endpoints.
    #[must_use]
    pub const fn tuple(&self) -> &Tuple {
        &self.tuple
    }

    /// When the record is to be dropped.
    #[must_use]
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Takes a segment for the old connection.
    pub fn handle_segment(&mut self, cx: &mut Context<'_>, segment: &SegmentIn) -> TimeWaitVerdict {
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
    pub(crate) fn judge(&mut self, cx: &Context<'_>, segment: &SegmentIn) -> TimeWaitVerdict {
        let header = &segment.header;
        if header.flags.contains(TcpFlags::RST) {
            // Believing a RST here would let an old duplicate in behind it (RFC 1337 3).
            return if self.config.time_wait_ignores_rst || header.seq != self.rcv_nxt {
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
        if repeats_fin && !self.is_older(segment) {
            self.deadline = cx.now + self.config.time_wait;
        }
        self.reply(cx, DropReason::OutOfWindow)
    }

    /// A SYN newer than everything before, by timestamp or by sequence number, may begin anew [MAY-2] [SHLD-4].
    fn judge_syn(&self, cx: &Context<'_>, segment: &SegmentIn) -> TimeWaitVerdict {
        let header = &segment.header;
        if header.flags.contains(TcpFlags::ACK) {
            return self.reply(cx, DropReason::SynInSynchronized);
        }
        let higher_seq = header.seq.after(self.rcv_nxt);
        let newer = match header.options.timestamps.filter(|_| self.timestamps) {
            Some(stamp) if stamp.value == self.clock.recent => higher_seq,
            Some(stamp) => SeqNum::new(stamp.value).after(SeqNum::new(self.clock.recent)),
            None => higher_seq,
        };
        if newer {
            TimeWaitVerdict::Reopen {
                iss_floor: self.snd_nxt + 1,
                reason: DropReason::SynInSynchronized,
            }
        } else {
            self.reply(cx, DropReason::SynInSynchronized)
        }
    }

    fn is_older(&self, segment: &SegmentIn) -> bool {
        self.timestamps
            && segment.header.options.timestamps.is_some_and(|stamp| {
                SeqNum::new(stamp.value).before(SeqNum::new(self.clock.recent))
            })
    }

    fn reply(&self, cx: &Context<'_>, reason: DropReason) -> TimeWaitVerdict {
        let timestamps = self.timestamps.then(|| self.clock.stamp(cx.now));
        let segment = bare_segment(
            &self.config,
            Bare {
                tuple: self.tuple,
                seq: self.snd_nxt,
                ack: Some(self.rcv_nxt),
                flags: TcpFlags::ACK,
                window: self.window,
                options: TcpOptions {
                    timestamps,
                    ..TcpOptions::default()
                },
            },
        );
        TimeWaitVerdict::Reply { segment, reason }
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
