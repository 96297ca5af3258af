//! First check: sequence number (RFC 9293 3.10.7.4), after the timestamp check of RFC 7323 5.3.

use core::ops::ControlFlow::{self, Break, Continue};
use core::time::Duration;

use handwave_wire::{SackBlock, SeqNum, TcpFlags};

use super::other_states::Step;
use crate::config::SequenceCheck;
use crate::delayed_ack;
use crate::error::DropReason;
use crate::host::Context;
use crate::phase::Phase;
use crate::segment::SegmentIn;
use crate::tcb::{Tcb, octets};
use crate::trace::Verdict;

/// TS.Recent is not believed after this long without a segment (RFC 7323 5.5) [RFC7323-28].
const TS_RECENT_MAX_AGE: Duration = Duration::from_secs(24 * 24 * 3600);

/// A timestamp that TS.Recent may follow once the acknowledgment of its segment has proved good.
#[derive(Debug)]
#[must_use]
pub(super) struct FreshTimestamp(Option<u32>);

impl FreshTimestamp {
    /// Moves TS.Recent (RFC 7323 4.3 (2)).
    pub(super) const fn take(self, tcb: &mut Tcb, cx: &Context<'_>) {
        if let Self(Some(value)) = self {
            tcb.clock.recent = value;
            tcb.clock.recent_at = cx.now;
        }
    }
}

/// Drops what lies outside the window and trims what straddles its edges [RFC7323-26].
///
/// Continues with the timestamp to remember. RFC 7323 5.3 (R3) remembers it here already; then a forged segment that hits the
/// window, and is dropped for its acknowledgment, would leave a timestamp behind against which PAWS drops all true ones.
pub(super) fn check(
    tcb: &mut Tcb,
    cx: &mut Context<'_>,
    segment: &mut SegmentIn,
) -> ControlFlow<Verdict, FreshTimestamp> {
    strip_repeated_syn(tcb, segment);
    let rst = segment.header.flags.contains(TcpFlags::RST);
    check_timestamp(tcb, cx, segment, rst)?;
    let lenient = tcb.config.sequence_check == SequenceCheck::Lenient;
    if lenient {
        drop_last_joined(tcb, segment);
    }
    let (seq, len) = (segment.header.seq, segment.seq_len());
    let acceptable = if lenient {
        is_heard(tcb, seq, len)
    } else {
        is_acceptable(seq, len, tcb.rcv.nxt, tcb.rcv.wnd()) || is_around_window(tcb, seq, len)
    };
    if !acceptable {
        if rst && repeats_fin(tcb, seq) {
            return Continue(FreshTimestamp(None));
        }
        if rst {
            return Break(Verdict::Dropped(DropReason::RstUnacceptable));
        }
        if !(tcb.rcv.wnd() == 0 && seq == tcb.rcv.nxt) {
            return Break(refuse(tcb, cx, segment));
        }
        // The window is shut: text has no place, but ACK, URG and RST are heard [MUST-66], and a probe is answered.
        segment.payload.truncate(0);
        segment.header.flags = segment.header.flags.without(TcpFlags::FIN);
        tcb.intents.ack = true;
    }
    let fresh = fresh_timestamp(tcb, cx, segment, rst);
    // A SYN that is no part of a handshake is answered as such wherever it lies (RFC 5961 4.2), and a lenient RST judged by its own number.
    if (lenient && rst) || segment.header.flags.contains(TcpFlags::SYN) {
        return Continue(fresh);
    }
    if len > 0 && lenient && (seq + len).at_or_before(tcb.rcv.nxt) {
        note_duplicate(tcb, segment);
        delayed_ack::on_trouble(tcb);
    }
    trim(tcb, segment);
    Continue(fresh)
}

/// The four cases of the acceptability test (RFC 9293 3.4, table 6).
pub(crate) const fn is_acceptable(seq: SeqNum, len: u32, nxt: SeqNum, wnd: u32) -> bool {
    if len == 0 {
        return if wnd == 0 {
            seq.raw() == nxt.raw()
        } else {
            seq.in_window(nxt, wnd)
        };
    }
    wnd > 0 && (seq.in_window(nxt, wnd) || last_octet(seq, len).in_window(nxt, wnd))
}

/// Whether a segment begins before the window and ends behind it: it fills all of it, once it has been trimmed (RFC 9293 3.10.7.4), though
/// the table asks of none but its first and its last octet.
fn is_around_window(tcb: &Tcb, seq: SeqNum, len: u32) -> bool {
    tcb.rcv.wnd() > 0 && seq.before(tcb.rcv.nxt) && (seq + len).after(tcb.rcv.edge)
}

/// Whether a segment is heard where the check is lenient ([`SequenceCheck::Lenient`]).
fn is_heard(tcb: &Tcb, seq: SeqNum, len: u32) -> bool {
    let end = seq + len;
    if end.before(tcb.rcv.last_ack_sent) || seq.after(tcb.rcv.edge) {
        return false;
    }
    end.at_or_before(tcb.rcv.edge) || tcb.receive.is_empty()
}

/// Of segments that were joined only the first may straddle the right edge where the check is lenient: once text waits, the one that does is
/// refused with those behind it, and those before it are not.
fn drop_last_joined(tcb: &mut Tcb, segment: &mut SegmentIn) {
    let (seq, edge) = (segment.header.seq, tcb.rcv.edge);
    let Some(joined) = segment.joined else {
        return;
    };
    if seq.after(edge) || (seq + octets(segment.payload.len())).at_or_before(edge) {
        return;
    }
    let end = joined.start_of(edge);
    let waits = !tcb.receive.is_empty() || seq.at_or_before(tcb.rcv.nxt) && end.after(tcb.rcv.nxt);
    if waits && end.after(seq) {
        segment.payload.truncate(end.since(seq) as usize);
        segment.header.flags = segment.header.flags.without(TcpFlags::FIN);
        tcb.intents.ack = true;
    }
}

/// Whether `seq` is that of the FIN by which the peer has ended its text: some peers reset with the number they know.
pub(super) fn repeats_fin(tcb: &Tcb, seq: SeqNum) -> bool {
    tcb.config.sequence_check == SequenceCheck::Lenient
        && seq + 1 == tcb.rcv.nxt
        && matches!(
            tcb.phase(),
            Phase::CloseWait | Phase::LastAck | Phase::Closing
        )
}

const fn last_octet(seq: SeqNum, len: u32) -> SeqNum {
    SeqNum::new(seq.raw().wrapping_add(len - 1))
}

/// In a simultaneous open the peer's SYN+ACK repeats the SYN we know; what counts is the rest (RFC 9293 3.5 figure 7).
fn strip_repeated_syn(tcb: &mut Tcb, segment: &mut SegmentIn) {
    let lenient = tcb.config.sequence_check == SequenceCheck::Lenient;
    let header = &mut segment.header;
    // Linux challenges a SYN that comes again alone, and leaves its own to the timer.
    if lenient && !header.flags.contains(TcpFlags::ACK) {
        return;
    }
    let repeats = tcb.phase() == Phase::SynReceived
        && header.flags.contains(TcpFlags::SYN)
        && !header.flags.contains(TcpFlags::RST)
        && header.seq == tcb.rcv.irs;
    if repeats {
        header.flags = header.flags.without(TcpFlags::SYN);
        header.seq += 1;
        // The window of a SYN is never scaled (RFC 7323 2.2), those of all that comes after this check are.
        header.window >>= tcb.snd.shift.get();
        if !header.flags.contains(TcpFlags::ACK) {
            tcb.intents.synack = true;
        } else if lenient {
            // Linux takes the SYN for text that arrived twice, and answers it as such.
            let (left, right) = (tcb.rcv.irs, tcb.rcv.irs + 1);
            let sack = tcb.negotiated.sack;
            tcb.intents.ack = true;
            tcb.rare_mut().duplicate_block = sack.then_some(SackBlock { left, right });
        }
    }
}

/// PAWS: an old timestamp marks an old duplicate (RFC 7323 5.3 R1); never applied to RST [RFC7323-14] [RFC7323-15] [RFC7323-16] [RFC7323-25] [RFC7323-24].
fn check_timestamp(tcb: &mut Tcb, cx: &mut Context<'_>, segment: &SegmentIn, rst: bool) -> Step {
    if !tcb.negotiated.timestamps || rst {
        return Continue(());
    }
    let Some(timestamps) = segment.header.options.timestamps else {
        if tcb.config.accept_missing_timestamps || segment.header.flags.contains(TcpFlags::SYN) {
            return Continue(());
        }
        return Break(Verdict::Dropped(DropReason::TimestampMissing));
    };
    let older = SeqNum::new(timestamps.value).before(SeqNum::new(tcb.clock.recent));
    let expired = cx.now - tcb.clock.recent_at > TS_RECENT_MAX_AGE;
    if !older || expired {
        return Continue(());
    }
    note_duplicate(tcb, segment);
    acknowledge_limited(tcb, cx, segment);
    Break(Verdict::Acknowledged(DropReason::Paws))
}

/// TS.Recent follows segments that start at or before the last acknowledgment (RFC 7323 4.3 (2)) [RFC7323-20] [RFC7323-21] [RFC7323-22].
fn fresh_timestamp(tcb: &Tcb, cx: &Context<'_>, segment: &SegmentIn, rst: bool) -> FreshTimestamp {
    let wanted = tcb.negotiated.timestamps && !rst;
    let covers = first_seq(tcb, segment).at_or_before(tcb.rcv.last_ack_sent);
    let Some(timestamps) = segment
        .header
        .options
        .timestamps
        .filter(|_| wanted && covers)
    else {
        return FreshTimestamp(None);
    };
    let older = SeqNum::new(timestamps.value).before(SeqNum::new(tcb.clock.recent));
    let expired = cx.now - tcb.clock.recent_at > TS_RECENT_MAX_AGE;
    FreshTimestamp((!older || expired).then_some(timestamps.value))
}

/// SEG.SEQ of the first segment that is acceptable: those joined with it may be old.
fn first_seq(tcb: &Tcb, segment: &SegmentIn) -> SeqNum {
    let seq = segment.header.seq;
    match segment.joined {
        Some(joined)
            if tcb.config.sequence_check != SequenceCheck::Lenient && seq.before(tcb.rcv.nxt) =>
        {
            joined.start_of(tcb.rcv.nxt)
        }
        _ => seq,
    }
}

/// Answers a segment outside the window with an acknowledgment.
fn refuse(tcb: &mut Tcb, cx: &mut Context<'_>, segment: &SegmentIn) -> Verdict {
    note_duplicate(tcb, segment);
    if !segment.payload.is_empty() && segment.header.seq.before(tcb.rcv.nxt) {
        delayed_ack::on_trouble(tcb);
    }
    acknowledge_limited(tcb, cx, segment);
    Verdict::Acknowledged(DropReason::OutOfWindow)
}

/// Remembers text that arrived again, to be reported in the next acknowledgment (RFC 2883 4).
fn note_duplicate(tcb: &mut Tcb, segment: &SegmentIn) {
    let seq = segment.header.seq;
    // A sender that counts segments reports a FIN as it does text.
    let len = if tcb.repairs.is_some() {
        segment.seq_len()
    } else {
        octets(segment.payload.len())
    };
    let is_syn = segment.header.flags.contains(TcpFlags::SYN);
    if !tcb.negotiated.sack || len == 0 || is_syn || !seq.before(tcb.rcv.nxt) {
        return;
    }
    let end = (seq + len).earlier_of(tcb.rcv.nxt);
    if end.after(seq) {
        tcb.rare_mut().duplicate_block = Some(SackBlock {
            left: seq,
            right: end,
        });
    }
}

/// An acknowledgment at once; for segments without text at a limited rate, lest two ends answer each other forever.
fn acknowledge_limited(tcb: &mut Tcb, cx: &mut Context<'_>, segment: &SegmentIn) {
    // A SYN may be part of a loop too, whatever it carries.
    let carries = segment.seq_len() > 0 && !segment.header.flags.contains(TcpFlags::SYN);
    if carries || tcb.may_challenge(cx.now) {
        tcb.intents.ack = true;
    } else {
        cx.host.counters.challenge_acks_skipped += 1;
    }
}

/// Cuts off what was received before and what lies beyond the window, SYN and FIN included.
#[inline]
pub(super) fn trim(tcb: &mut Tcb, segment: &mut SegmentIn) {
    // As with most: it continues what is here, and fits.
    let room = tcb.rcv.edge.since(tcb.rcv.nxt) as usize;
    if segment.header.seq != tcb.rcv.nxt || segment.payload.len() > room {
        cut(tcb, segment);
    }
}

fn cut(tcb: &mut Tcb, segment: &mut SegmentIn) {
    let header = &mut segment.header;
    if header.seq.before(tcb.rcv.nxt) {
        let mut old = tcb.rcv.nxt.since(header.seq);
        if header.flags.contains(TcpFlags::SYN) {
            header.flags = header.flags.without(TcpFlags::SYN);
            header.seq += 1;
            old -= 1;
        }
        let cut = old.min(octets(segment.payload.len()));
        if cut > 0 && tcb.negotiated.sack {
            tcb.rare_mut().duplicate_block = Some(SackBlock {
                left: header.seq,
                right: header.seq + cut,
            });
        }
        segment.payload.advance(cut as usize);
        header.seq += cut;
        if old > cut {
            header.flags = header.flags.without(TcpFlags::FIN);
        }
    }
    let room = tcb.rcv.edge.since(header.seq) as usize;
    if header.seq.at_or_before(tcb.rcv.edge) && segment.payload.len() > room {
        segment.payload.truncate(room);
        header.flags = header.flags.without(TcpFlags::FIN);
    }
}
