//! When an acknowledgment leaves, as Linux decides it ([`Acknowledging::Adaptive`](crate::Acknowledging::Adaptive)).
//!
//! At the start, and after trouble, a budget of segments is acknowledged at once (*quick*). Whoever answers what it reads is in
//! *ping-pong* mode: its answer is expected to carry the acknowledgment. Otherwise an acknowledgment waits for a time that follows the
//! gaps between segments (*ato*, 40 ms at least), for a second full segment, or for the application to read the end of a write.

use core::time::Duration;

use handwave_wire::TcpFlags;

use crate::segment::SegmentIn;
use crate::tcb::Tcb;
use crate::time::Instant;
use crate::timer::Timer;

/// The least time an acknowledgment waits.
const ATO_MIN: Duration = Duration::from_millis(40);
/// The longest, where an answer or the end of a write is expected.
const ATO_MAX: Duration = Duration::from_millis(200);
/// The longest elsewhere.
const ATO_MAX_ONE_WAY: Duration = Duration::from_millis(500);
/// The least time any timer takes.
const TICK: Duration = Duration::from_millis(1);
/// Segments acknowledged at once, at most.
const QUICK_MAX: u32 = 16;
/// Duplicate acknowledgments that leave at once for one RCV.NXT; further ones are merged.
const DUPLICATES_AT_ONCE: u8 = 3;
/// Merged duplicates after which one leaves whatever the time.
const MERGED_MAX: u8 = 44;
/// The longest time that duplicates are merged; shorter where a twentieth of the round trip is.
const MERGE_MAX: Duration = Duration::from_millis(1);
/// The size of the peer's segments is believed to be this at first, and not less than the second.
const SEGMENT_FIRST: u32 = 536;
const SEGMENT_MIN: u32 = 88;

/// What the adaptive receiver remembers.
#[derive(Clone, Debug)]
pub(crate) struct DelayedAck {
    /// Segments to be acknowledged at once.
    quick: u32,
    /// An answer is expected to carry the acknowledgment.
    pingpong: bool,
    /// How long an acknowledgment waits; zero before the first text.
    ato: Duration,
    last_text: Instant,
    /// The size of the peer's full segments, as observed.
    segment: u32,
    /// The size of the last segment that was not.
    last_size: u32,
    /// An acknowledgment is owed.
    scheduled: bool,
    /// Short segments, ends of writes, since the last acknowledgment: none, one, more.
    pushed: u8,
    at_once: bool,
    duplicates: u8,
    merged: u8,
    /// RCV.NXT that the duplicates are about.
    duplicates_of: handwave_wire::SeqNum,
}

impl DelayedAck {
    pub(crate) fn new(now: Instant, mss: u32, window: u32, irs: handwave_wire::SeqNum) -> Self {
        let segment = mss.min(window / 2).clamp(SEGMENT_MIN, SEGMENT_FIRST);
        Self {
            quick: 0,
            pingpong: false,
            ato: Duration::ZERO,
            last_text: now,
            segment,
            last_size: 0,
            scheduled: false,
            pushed: 0,
            at_once: false,
            duplicates: 0,
            merged: 0,
            duplicates_of: irs,
        }
    }

    /// The size of the peer's full segments.
    pub(crate) const fn segment(&self) -> u32 {
        self.segment
    }

    /// When text last arrived in order.
    pub(crate) const fn last_text(&self) -> Instant {
        self.last_text
    }

    /// How long an acknowledgment waits.
    pub(crate) const fn ato(&self) -> Duration {
        self.ato
    }

    /// Whether acknowledgments wait for an answer.
    pub(crate) const fn is_pingpong(&self) -> bool {
        self.pingpong
    }

    fn raise_quick(&mut self, window: u32) {
        let segments = match window / (2 * self.segment.max(1)) {
            0 => 2,
            segments => segments.min(QUICK_MAX),
        };
        self.quick = self.quick.max(segments);
    }

    /// Trouble: the peer needs to hear of every segment.
    fn enter_quick(&mut self, window: u32) {
        self.raise_quick(window);
        self.pingpong = false;
        self.ato = ATO_MIN;
    }

    /// Learns the size of the peer's segments (its largest, or two equal ones in a row).
    fn measure(&mut self, len: u32, options: u32, pushes: bool, mss: u32) {
        if len >= self.segment {
            self.segment = len.min(mss);
            if pushes {
                self.pushed = self.pushed.max(1);
            }
            return;
        }
        // The first part is what a segment has without options; the second says that nothing but text length differs.
        if len >= SEGMENT_FIRST || (len + options >= SEGMENT_MIN && !pushes) {
            let same = self.last_size == len;
            self.last_size = len;
            if same {
                self.segment = len;
                return;
            }
        }
        self.pushed = (self.pushed + 1).min(2);
    }

    /// Adapts to the time that passed since the last text.
    fn adapt(&mut self, now: Instant, window: u32, rto: Duration) {
        if self.ato.is_zero() {
            self.raise_quick(window);
            self.ato = ATO_MIN;
        } else {
            let gap = now - self.last_text;
            if gap <= ATO_MIN / 2 {
                self.ato = self.ato / 2 + ATO_MIN / 2;
            } else if gap < self.ato {
                self.ato = (self.ato / 2 + gap).min(rto);
            } else if gap > rto {
                self.raise_quick(window);
            }
        }
        self.last_text = now;
    }
}

/// The handshake is complete: a peer with a small window has small segments, as far as can be told.
pub(crate) fn begin(tcb: &mut Tcb) {
    let mss = u32::from(tcb.mss.send);
    if let Some(policy) = tcb.ack.adaptive.as_deref_mut() {
        policy.segment = policy.segment.min(mss).max(SEGMENT_MIN);
    }
}

/// Notes that text arrived, in order or not; `in_order` text also moves the clockwork [RFC5681-21] [RFC5681-23].
pub(crate) fn on_text(tcb: &mut Tcb, now: Instant, segment: &SegmentIn, len: u32, in_order: bool) {
    let (window, rto, mss) = (offered(tcb), tcb.rto(), u32::from(tcb.mss.announced()));
    let options = u32::from(segment.header.options.timestamps.is_some()) * 12;
    let pushes = segment.header.flags.contains(TcpFlags::PSH);
    let Some(policy) = tcb.ack.adaptive.as_deref_mut() else {
        return;
    };
    policy.scheduled = true;
    let count = segment.joined.map_or(1, |joined| joined.count.max(1));
    // Of those that were joined the last may be shorter; two of a length say all.
    for _ in 0..count.min(2) {
        policy.measure(len.div_ceil(count), options, pushes, mss);
    }
    if !in_order {
        return;
    }
    policy.adapt(now, window, rto);
}

/// The window as the peer was told of it last.
fn offered(tcb: &Tcb) -> u32 {
    tcb.rcv.edge.since(tcb.rcv.last_ack_sent)
}

/// The window will be larger: the peer is to know with the next acknowledgment, which leaves at once.
pub(crate) fn on_window_grown(tcb: &mut Tcb) {
    if let Some(policy) = tcb.ack.adaptive.as_deref_mut() {
        policy.quick |= 1;
    }
}

/// Notes that an acknowledgment is owed for a reason other than text.
pub(crate) fn schedule(tcb: &mut Tcb) {
    if let Some(policy) = tcb.ack.adaptive.as_deref_mut() {
        policy.scheduled = true;
    }
}

/// The peer's FIN came while this side may still send: an answer is expected.
pub(crate) fn on_fin(tcb: &mut Tcb) {
    if let Some(policy) = tcb.ack.adaptive.as_deref_mut() {
        policy.scheduled = true;
        policy.pingpong = true;
    }
}

/// A gap was filled: the peer is to know at once (RFC 5681 4.2).
pub(crate) fn on_gap_filled(tcb: &mut Tcb) {
    if let Some(policy) = tcb.ack.adaptive.as_deref_mut() {
        policy.at_once = true;
    }
}

/// Old text, or text outside the window: the peer is in trouble.
pub(crate) fn on_trouble(tcb: &mut Tcb) {
    let window = offered(tcb);
    if let Some(policy) = tcb.ack.adaptive.as_deref_mut() {
        policy.enter_quick(window);
        policy.scheduled = true;
    }
}

/// Decides, after a segment has been processed, whether to acknowledge at once, later or with the duplicates that follow.
#[inline]
pub(crate) fn decide(tcb: &mut Tcb, now: Instant) {
    if tcb
        .ack
        .adaptive
        .as_deref()
        .is_some_and(|policy| policy.scheduled)
    {
        decide_when(tcb, now);
    }
}

/// Decides when to send the acknowledgment that is scheduled.
fn decide_when(tcb: &mut Tcb, now: Instant) {
    let unacknowledged = tcb.rcv.nxt.since(tcb.rcv.last_ack_sent);
    let policy = tcb.ack.adaptive.as_deref();
    let many = policy.is_some_and(|policy| unacknowledged > policy.segment);
    let second_segment = many && crate::output::keeps_window_open(tcb);
    let has_gap = tcb.receive.has_gap();
    let (nxt, srtt, sack) = (tcb.rcv.nxt, tcb.rtt.srtt(), tcb.negotiated.sack);
    let Some(policy) = tcb.ack.adaptive.as_deref_mut() else {
        return;
    };
    let quick = policy.quick > 0 && !policy.pingpong;
    if second_segment || quick || policy.at_once || (has_gap && !sack) {
        tcb.intents.ack = true;
        return;
    }
    if !has_gap {
        return delay(tcb, now);
    }
    if policy.duplicates_of != nxt {
        policy.duplicates_of = nxt;
        policy.duplicates = 0;
    }
    if policy.duplicates < DUPLICATES_AT_ONCE || policy.merged >= MERGED_MAX {
        policy.duplicates += u8::from(policy.duplicates < DUPLICATES_AT_ONCE);
        tcb.intents.ack = true;
        return;
    }
    policy.merged += 1;
    if policy.merged == 1 {
        let part = srtt.map_or(MERGE_MAX, |srtt| srtt / 20);
        tcb.timers.set(Timer::DelayedAck, now + part.min(MERGE_MAX));
    }
}

/// Arms the timer of a delayed acknowledgment; one that is armed already is never put off.
fn delay(tcb: &mut Tcb, now: Instant) {
    let (srtt, rto_min) = (tcb.rtt.srtt(), tcb.config.rto_min);
    let Some(policy) = tcb.ack.adaptive.as_deref() else {
        return;
    };
    let mut wait = policy.ato;
    if wait > ATO_MIN {
        let expects = policy.pingpong || policy.pushed > 0;
        let mut most = if expects { ATO_MAX } else { ATO_MAX_ONE_WAY };
        if let Some(srtt) = srtt {
            most = most.min(srtt.max(ATO_MIN));
        }
        wait = wait.min(most);
    }
    let most = rto_min
        .saturating_sub(Duration::from_millis(1))
        .min(ATO_MAX)
        .max(Duration::from_millis(1));
    // Before the first text there is nothing to go by, and a timer's least is a tick.
    wait = wait.min(most).max(TICK);
    if let Some(armed) = tcb.timers.deadline(Timer::DelayedAck) {
        if armed <= now + wait / 4 {
            tcb.intents.ack = true;
        } else if now + wait < armed {
            tcb.timers.set(Timer::DelayedAck, now + wait);
        }
        return;
    }
    tcb.timers.set(Timer::DelayedAck, now + wait);
}

/// The timer ran out: what was waited for did not come.
pub(crate) fn on_timeout(tcb: &mut Tcb) {
    let rto = tcb.rto();
    if let Some(policy) = tcb.ack.adaptive.as_deref_mut() {
        if policy.merged > 0 {
            policy.merged = 0;
        } else if policy.pingpong {
            policy.pingpong = false;
            policy.ato = ATO_MIN;
        } else {
            policy.ato = (policy.ato * 2).min(rto);
        }
    }
    tcb.intents.ack = true;
}

/// An acknowledgment has left, alone or with text.
pub(crate) fn on_sent(tcb: &mut Tcb, now: Instant, carries_text: bool) {
    let Some(policy) = tcb.ack.adaptive.as_deref_mut() else {
        return;
    };
    if policy.quick > 0 && policy.scheduled {
        policy.quick -= 1;
        if policy.quick == 0 {
            policy.ato = ATO_MIN;
        }
    }
    policy.scheduled = false;
    policy.pushed = 0;
    policy.at_once = false;
    policy.merged = 0;
    if carries_text && now - policy.last_text < policy.ato {
        policy.pingpong = true;
    }
}

/// The application has read: the end of a write, or the second segment, is acknowledged once it is taken.
pub(crate) fn on_read(tcb: &mut Tcb, taken: usize) -> bool {
    let unacknowledged = tcb.rcv.nxt.since(tcb.rcv.last_ack_sent);
    let drained = tcb.receive.is_empty();
    let Some(policy) = tcb.ack.adaptive.as_deref() else {
        return false;
    };
    if !policy.scheduled {
        return false;
    }
    let ended = policy.pushed > 1 || (policy.pushed > 0 && !policy.pingpong);
    unacknowledged > policy.segment || (taken > 0 && drained && ended)
}

/// Switches ping-pong mode off, and sends what is owed, or on.
pub(crate) fn set_quick(tcb: &mut Tcb, on: bool) {
    let Some(policy) = tcb.ack.adaptive.as_deref_mut() else {
        return;
    };
    policy.pingpong = !on;
    if on && policy.scheduled {
        policy.pushed = policy.pushed.max(1);
        if on_read(tcb, 1) {
            tcb.intents.ack = true;
        }
    }
}
