//! A segment for a half-open record: SYN-RECEIVED of a passive open (RFC 9293 3.10.7.4).

use alloc::sync::Arc;

use handwave_wire::{SeqNum, TcpFlags};

use super::syn_queue::HalfOpen;
use super::{ListenVerdict, Listener, drop_segment};
use crate::config::{Config, ReceiveWindow, SequenceCheck};
use crate::connection::Connection;
use crate::error::DropReason;
use crate::events::segment_arrives::is_acceptable;
use crate::host::Context;
use crate::phase::Phase;
use crate::segment::{Path, SegmentIn};
use crate::tcb::Origin;
use crate::trace::Verdict;
use crate::tuple::Tuple;

impl Listener {
    /// Sorts out what needs no connection; the acknowledgment of our SYN makes one and is processed by it in full.
    pub(super) fn handle_half_open(
        &mut self,
        cx: &mut Context<'_>,
        tuple: Tuple,
        path: Path,
        segment: &mut SegmentIn,
        record: &HalfOpen,
    ) -> ListenVerdict {
        let header = segment.header;
        let (nxt, offered) = (record.irs + 1, u32::from(record.offered()));
        if header.flags.contains(TcpFlags::RST) {
            return self.half_open_reset(cx, &tuple, segment, nxt);
        }
        if header.flags.contains(TcpFlags::SYN) {
            return self.half_open_syn(cx, &tuple, segment, record);
        }
        let lenient = self.config.sequence_check == SequenceCheck::Lenient;
        let acknowledges = header.flags.contains(TcpFlags::ACK);
        // Linux looks at the number acknowledged first.
        if lenient && acknowledges && header.ack != record.iss + 1 {
            return self.take_for_cookie(cx, tuple, path, segment);
        }
        if !is_acceptable(header.seq, segment.seq_len(), nxt, offered)
            || is_old(record, segment)
            || (lenient && self.echoes_another(cx, segment, record))
        {
            cx.host.counters.segments_in += 1;
            cx.host.counters.count_drop(DropReason::OutOfWindow);
            self.acknowledge_half_open(cx, &tuple, segment.seq_len() > 0);
            return ListenVerdict::Queued;
        }
        if !header.flags.contains(TcpFlags::ACK) {
            cx.host.counters.segments_in += 1;
            return drop_segment(cx, DropReason::AckMissing);
        }
        if header.ack != record.iss + 1 {
            return self.take_for_cookie(cx, tuple, path, segment);
        }
        // `sent` counts the first SYN+ACK too.
        if record.sent <= self.limits.defer_accept && segment.seq_len() == 0 {
            cx.host.counters.segments_in += 1;
            self.syn_queue.note_deferred(&tuple);
            return ListenVerdict::Queued;
        }
        if self.accept_queue_is_full() {
            cx.host.counters.segments_in += 1;
            return self.wait_for_room(cx, tuple, segment);
        }
        if let Some(lost) = self.refuse_handshake(cx, tuple, segment) {
            cx.host.counters.segments_in += 1;
            return lost;
        }
        self.establish(cx, tuple, path, segment, record)
    }

    /// Acknowledges something other than the record's SYN: a cookie that answered the SYN before there was a record, if cookies are about.
    fn take_for_cookie(
        &mut self,
        cx: &mut Context<'_>,
        tuple: Tuple,
        path: Path,
        segment: &mut SegmentIn,
    ) -> ListenVerdict {
        if !self.expects_cookies(cx) {
            return self.refuse_acknowledgment(cx, segment);
        }
        cx.host.counters.segments_in += 1;
        self.handle_cookie(cx, tuple, path, segment)
    }

    /// Acknowledges something other than our SYN.
    fn refuse_acknowledgment(
        &mut self,
        cx: &mut Context<'_>,
        segment: &SegmentIn,
    ) -> ListenVerdict {
        cx.host.counters.segments_in += 1;
        cx.host
            .counters
            .count_drop(DropReason::HandshakeAckUnacceptable);
        self.reset(cx, segment)
    }

    /// Acknowledges a segment that a record has no use for; where repetitions are answered sparingly, only if it `carries` something or
    /// nothing was answered for a while.
    fn acknowledge_half_open(&mut self, cx: &Context<'_>, tuple: &Tuple, carries: bool) {
        let lenient = self.config.sequence_check == SequenceCheck::Lenient;
        let interval = self.config.challenge_interval;
        if !lenient || carries || self.syn_queue.may_repeat(tuple, cx.now, interval) {
            self.syn_queue.want_acknowledgment(tuple);
        }
    }

    /// Whether a segment echoes a timestamp that no SYN+ACK of the record carried.
    fn echoes_another(&self, cx: &Context<'_>, segment: &SegmentIn, record: &HalfOpen) -> bool {
        let echo = segment.header.options.timestamps.map_or(0, |ts| ts.echo);
        if !record.has_timestamps() || echo == 0 {
            return false;
        }
        let clock = record.clock(cx.now);
        let first = SeqNum::new(clock.value(self.syn_queue.arrived(record)));
        let last = SeqNum::new(clock.value(self.syn_queue.last_sent(record)));
        let echo = SeqNum::new(echo);
        echo.before(first) || echo.after(last)
    }

    /// Only a RST at RCV.NXT exactly returns the record to LISTEN, which for a record means being forgotten [MUST-11].
    fn half_open_reset(
        &mut self,
        cx: &mut Context<'_>,
        tuple: &Tuple,
        segment: &SegmentIn,
        nxt: SeqNum,
    ) -> ListenVerdict {
        cx.host.counters.segments_in += 1;
        if segment.header.seq == nxt {
            self.trace_arrival(
                cx,
                tuple,
                segment,
                (Phase::SynReceived, Phase::Listen),
                Verdict::ConnectionReset,
            );
            self.remove_record(tuple);
            self.counters.reset += 1;
            cx.host.counters.attempt_fails += 1;
            return ListenVerdict::Dropped(DropReason::RstUnacceptable);
        }
        if segment.header.seq.in_window(nxt, u32::from(u16::MAX)) && cx.host.challenge.take(cx.now)
        {
            self.acknowledge_half_open(cx, tuple, false);
            cx.host.counters.count_drop(DropReason::RstNotExact);
            return ListenVerdict::Queued;
        }
        drop_segment(cx, DropReason::RstUnacceptable)
    }

    /// The same SYN again asks for the SYN+ACK again; another SYN is a stranger's or a peer's that restarted.
    fn half_open_syn(
        &mut self,
        cx: &mut Context<'_>,
        tuple: &Tuple,
        segment: &SegmentIn,
        record: &HalfOpen,
    ) -> ListenVerdict {
        cx.host.counters.segments_in += 1;
        let lenient = self.config.sequence_check == SequenceCheck::Lenient;
        let (nxt, offered) = (record.irs + 1, u32::from(record.offered()));
        if lenient && is_acceptable(segment.header.seq, segment.seq_len(), nxt, offered) {
            // A peer that begins anew: the record is forgotten, and the next SYN makes another.
            self.remove_record(tuple);
            self.counters.reset += 1;
            cx.host.counters.attempt_fails += 1;
            return self.reset(cx, segment);
        }
        let acknowledges = segment.header.flags.contains(TcpFlags::ACK);
        if lenient && acknowledges && segment.header.ack != record.iss + 1 {
            cx.host.counters.segments_in -= 1;
            return self.refuse_acknowledgment(cx, segment);
        }
        let verdict = if record.irs == segment.header.seq && lenient && acknowledges {
            self.acknowledge_half_open(cx, tuple, false);
            Verdict::Acknowledged(DropReason::SynInSynchronized)
        } else if record.irs == segment.header.seq {
            self.counters.syns_repeated += 1;
            if lenient {
                let interval = self.config.challenge_interval;
                self.syn_queue
                    .want_syn_ack_sparingly(tuple, cx.now, interval);
            } else {
                self.syn_queue.want_syn_ack(tuple, cx.now);
            }
            Verdict::Accepted
        } else {
            if cx.host.challenge.take(cx.now) {
                self.acknowledge_half_open(cx, tuple, false);
            }
            cx.host.counters.count_drop(DropReason::SynInSynchronized);
            Verdict::Challenged(DropReason::SynInSynchronized)
        };
        self.trace_arrival(
            cx,
            tuple,
            segment,
            (Phase::SynReceived, Phase::SynReceived),
            verdict,
        );
        ListenVerdict::Queued
    }

    /// No room in the accept queue: the record stays, and its SYN+ACK, sent again, makes the client acknowledge again.
    fn wait_for_room(
        &mut self,
        cx: &mut Context<'_>,
        tuple: Tuple,
        segment: &SegmentIn,
    ) -> ListenVerdict {
        self.counters.accept_queue_full += 1;
        self.counters.drops += 1;
        if self.limits.reset_on_overflow {
            self.remove_record(&tuple);
            return self.reset(cx, segment);
        }
        drop_segment(cx, DropReason::AcceptQueueFull)
    }

    /// The handshake is complete: the record becomes a TCB, which processes the segment with its text and FIN.
    #[inline(always)]
    fn establish(
        &mut self,
        cx: &mut Context<'_>,
        tuple: Tuple,
        path: Path,
        segment: &mut SegmentIn,
        record: &HalfOpen,
    ) -> ListenVerdict {
        self.syn_queue.remove_found(record);
        self.forget(&tuple, record);
        let mut connection = Connection::passive(
            cx.now,
            Origin {
                config: Arc::clone(&self.config),
                tuple,
                iss: record.iss,
                irs: record.irs,
                path,
                peer_mss: record.peer_mss(),
                negotiated: record.negotiated(),
                clock: record.clock(cx.now),
                edge: record.irs + 1 + first_window(&self.config, record),
                handshake_repeats: record.sent.saturating_sub(1).max(u8::from(record.resent())),
            },
            (!record.resent()).then(|| cx.now - self.syn_queue.arrived(record)),
        );
        connection.handle_segment_in_place(cx, segment);
        self.count_established(cx);
        ListenVerdict::Established(connection)
    }

    pub(super) fn count_established(&mut self, cx: &mut Context<'_>) {
        self.flood.on_completed();
        self.counters.established += 1;
        cx.host.counters.passive_opens += 1;
    }
}

/// The window that the SYN+ACK offered; Linux stands by what it would have offered, had the field had room for it.
#[inline]
fn first_window(config: &Config, record: &HalfOpen) -> u32 {
    let offered = record.offered().into();
    if config.receive_window == ReceiveWindow::Growing {
        record.first_window().max(offered)
    } else {
        offered
    }
}

/// PAWS for the segments of a handshake (RFC 7323 5.3).
fn is_old(record: &HalfOpen, segment: &SegmentIn) -> bool {
    record.has_timestamps()
        && segment
            .header
            .options
            .timestamps
            .is_some_and(|stamp| SeqNum::new(stamp.value).before(SeqNum::new(record.ts_recent)))
}
