//! Which sentences a step deserves: what happened, and why.

use handwave_tcp::trace::{SendReason, TraceEntry, TraceEvent, UserCall, Verdict};
use handwave_tcp::{DropReason, Phase, Timer};
use handwave_wire::TcpFlags;

use crate::model::{
    Fate, LocalEvent, LocalStep, Number, SegmentStep, Side, Step, Trigger, Weight, What,
};
use crate::sentence::Sentence;

/// Walks through the steps in order and remembers what a reader has seen so far.
pub(crate) struct Narrator<'a> {
    traces: &'a [Vec<&'a TraceEntry>; 2],
    sides: [Seen; 2],
}

/// What has been seen of one side.
#[derive(Clone, Copy, Default)]
struct Seen {
    /// A bare SYN left.
    syn: bool,
    /// The latest ACK field that left.
    ack: Option<Number>,
    /// The window that was last offered.
    window: Option<u32>,
    /// One past the FIN that left.
    fin_end: Option<Number>,
    /// The other side's FIN was acknowledged.
    fin_acknowledged: bool,
    /// The number of the octet that last probed a shut window.
    probe: Option<Number>,
    /// Segments with text that left.
    texts: u64,
    /// Acknowledgments of text that left.
    acks: u64,
    /// Acknowledgments of text that were lost.
    lost_acks: u64,
    /// The entry of the last segment that arrived without having been sent.
    stray: Option<usize>,
    /// The missing number in front of the text that last arrived too early.
    hole: Option<Number>,
    /// The missing number that an acknowledgment last repeated.
    complaint: Option<Number>,
}

impl<'a> Narrator<'a> {
    pub(crate) fn new(traces: &'a [Vec<&'a TraceEntry>; 2]) -> Self {
        Self {
            traces,
            sides: [Seen::default(); 2],
        }
    }

    /// Fills in the sentences and the weight of a step.
    pub(crate) fn explain(&mut self, step: &mut Step) {
        match &step.what {
            What::Local(local) => step.says = vec![of_local(local)],
            What::Segment(segment) => {
                let (says, weight) = self.of_segment(segment, step.order);
                self.remember(segment, step.order, &says);
                step.says = says;
                step.weight = weight;
            }
        }
    }

    fn of_segment(&self, step: &SegmentStep, order: [Option<usize>; 2]) -> (Vec<Sentence>, Weight) {
        let mut says = Vec::new();
        let segment = &step.segment;
        let mut weight = Weight::Key;
        if step.injected {
            says.push(Sentence::OldDuplicate { from: step.from });
        } else if segment.has(TcpFlags::RST) {
            says.push(self.of_rst(step, order));
        } else if segment.has(TcpFlags::SYN) {
            self.of_syn(step, &mut says);
        } else if segment.has(TcpFlags::FIN) {
            self.of_fin(step, &mut says);
        } else if segment.len > 0 {
            weight = self.of_text(step, &mut says);
        } else {
            weight = self.of_ack(step, order, &mut says);
        }
        if matches!(step.fate, Fate::Lost) && weight == Weight::Bulk && segment.is_pure_ack() {
            says.push(Sentence::LostAck);
            let first = self.sides[step.from.index()].lost_acks == 0;
            return (says, if first { Weight::Notable } else { Weight::Bulk });
        }
        let planned = says.len();
        self.of_journey(step, order, &mut says);
        let troubled = says[planned..].iter().any(|says| match says {
            // One segment after a hole tells the story of all that follow it.
            Sentence::OutOfOrder { at, expected } => self.sides[at.index()].hole != Some(*expected),
            _ => true,
        });
        (
            says,
            if troubled {
                weight.max(Weight::Notable)
            } else {
                weight
            },
        )
    }

    fn of_rst(&self, step: &SegmentStep, order: [Option<usize>; 2]) -> Sentence {
        let from = step.from;
        let aborted = || {
            let departure = order[from.index()]?;
            let sent_at = self.traces[from.index()][departure].now;
            self.traces[from.index()][..departure]
                .iter()
                .rev()
                .take_while(|entry| entry.now == sent_at)
                .find(|entry| matches!(entry.event, TraceEvent::Call(_)))
        };
        if aborted().is_some() {
            Sentence::RstAborts { from }
        } else if step
            .sender
            .is_some_and(|sender| sender.before == Phase::SynSent)
        {
            Sentence::RstRefusesOldSyn { from }
        } else {
            Sentence::RstNoConnection { from }
        }
    }

    fn of_syn(&self, step: &SegmentStep, says: &mut Vec<Sentence>) {
        let from = step.from;
        let (own, other) = (self.sides[from.index()], self.sides[from.other().index()]);
        if step.resent > 0 && own.syn != step.segment.has(TcpFlags::ACK) {
            says.push(Sentence::RepeatedAfterTimeout {
                from,
                times: step.resent,
            });
            return;
        }
        let Some(ack) = step.segment.ack else {
            says.push(if other.syn {
                Sentence::SynCrosses { from }
            } else {
                Sentence::SynOpens { from }
            });
            return;
        };
        if own.syn {
            says.push(Sentence::SynAckAfterCrossing { from });
        } else if ack.offset == 1 {
            says.push(Sentence::SynAckAgrees { from });
            if step
                .receiver
                .is_some_and(|receiver| receiver.after == Phase::Established)
            {
                says.push(Sentence::OpenerKnows {
                    opener: from.other(),
                });
            }
            return;
        } else {
            says.push(Sentence::SynAckForOldSyn { from, ack });
        }
        if step
            .receiver
            .is_some_and(|receiver| receiver.after == Phase::Established)
        {
            says.push(Sentence::CrossedOpenDone { at: from.other() });
        }
    }

    fn of_fin(&self, step: &SegmentStep, says: &mut Vec<Sentence>) {
        let from = step.from;
        let phase = step.sender.map(|sender| sender.after);
        let other = self.sides[from.other().index()];
        says.push(if step.resent > 0 {
            if phase == Some(Phase::LastAck) {
                Sentence::FinRepeated { from }
            } else {
                Sentence::RepeatedAfterTimeout {
                    from,
                    times: step.resent,
                }
            }
        } else if phase == Some(Phase::LastAck) {
            if self.sides[from.index()].fin_acknowledged {
                Sentence::FinOfSecond { from }
            } else {
                Sentence::FinMerged { from }
            }
        } else if other.fin_end.is_some() {
            Sentence::FinsCross { from }
        } else {
            Sentence::FinCloses { from }
        });
    }

    fn of_text(&self, step: &SegmentStep, says: &mut Vec<Sentence>) -> Weight {
        let from = step.from;
        let segment = &step.segment;
        if step.reason == Some(SendReason::WindowProbe) {
            says.push(Sentence::WindowProbe { from });
            return Weight::Key;
        }
        if self.sides[from.index()].probe == Some(segment.seq) {
            says.push(Sentence::ResumesAfterProbe { from });
            return Weight::Key;
        }
        if step.resent > 0 {
            says.push(match step.trigger {
                Some(Trigger::Timeout) => Sentence::RepeatedAfterTimeout {
                    from,
                    times: step.resent,
                },
                Some(Trigger::Acknowledgments) | None => Sentence::RepeatedAfterAcks { from },
            });
            return Weight::Notable;
        }
        let half_closed = step
            .sender
            .is_some_and(|sender| sender.after == Phase::CloseWait);
        says.push(if half_closed {
            Sentence::DataHalfClosed {
                from,
                len: segment.len,
            }
        } else {
            let last = segment.seq + (i64::from(segment.len) - 1);
            Sentence::Data {
                from,
                first: segment.seq,
                last,
            }
        });
        if self.sides[from.index()].texts == 0 {
            Weight::Key
        } else {
            Weight::Bulk
        }
    }

    fn of_ack(
        &self,
        step: &SegmentStep,
        order: [Option<usize>; 2],
        says: &mut Vec<Sentence>,
    ) -> Weight {
        let from = step.from;
        let segment = &step.segment;
        let (own, other) = (self.sides[from.index()], self.sides[from.other().index()]);
        let Some(ack) = segment.ack else {
            return Weight::Bulk;
        };
        let phase = step.sender.map(|sender| sender.after);
        let receiver_opens = step
            .receiver
            .is_some_and(|r| r.before == Phase::SynReceived && r.after != Phase::SynReceived);
        let first = own.ack.is_none() && segment.seq.offset == 1 && ack.offset == 1;
        let acks_fin = other.fin_end == Some(ack);
        let answered = self.answered_drop(from, order);
        says.push(match step.reason {
            Some(SendReason::WindowProbe) => Sentence::WindowProbe { from },
            Some(SendReason::KeepAlive) => Sentence::KeepAlive { from },
            Some(SendReason::Challenge) => Sentence::Challenge { from, ack },
            _ if first => Sentence::HandshakeAck { from },
            _ if acks_fin && own.fin_acknowledged && phase == Some(Phase::TimeWait) => {
                Sentence::TimeWaitAnswers { from }
            }
            _ if acks_fin && !own.fin_acknowledged => match phase {
                Some(Phase::CloseWait) => Sentence::FinAcknowledged { from },
                Some(Phase::Closing) => Sentence::AckOfCrossedFin { from },
                _ => Sentence::LastAck { from },
            },
            _ if segment.window == 0 && own.window == Some(0) => Sentence::ProbeAnswered { from },
            _ if segment.window == 0 => Sentence::WindowShut { from },
            _ if own.window == Some(0) => Sentence::WindowReopens {
                from,
                window: segment.window,
            },
            _ if own.ack == Some(ack) && answered.is_some() && answered == own.stray => {
                Sentence::Challenge { from, ack }
            }
            _ if own.ack == Some(ack) && answered.is_some() => Sentence::SaysAgain { from, ack },
            _ if own.ack == Some(ack) && !segment.options.sack.is_empty() => {
                Sentence::AckStays { from, ack }
            }
            _ => Sentence::PureAck { from, ack },
        });
        if receiver_opens {
            says.push(Sentence::AnswererKnows {
                answerer: from.other(),
            });
        }
        match says[..] {
            [Sentence::PureAck { .. } | Sentence::SaysAgain { .. }] if own.acks > 0 => Weight::Bulk,
            [Sentence::AckStays { ack, .. }] if own.complaint == Some(ack) => Weight::Bulk,
            [Sentence::AckStays { .. }] => Weight::Notable,
            _ => Weight::Key,
        }
    }

    /// The entry of the dropped arrival that a departure answers, if it answers one.
    fn answered_drop(&self, from: Side, order: [Option<usize>; 2]) -> Option<usize> {
        let trace = &self.traces[from.index()];
        let arrived =
            |entry: &&TraceEntry| matches!(entry.event, TraceEvent::SegmentArrived { .. });
        let last = trace[..order[from.index()]?].iter().rposition(arrived)?;
        let dropped = matches!(
            trace[last].verdict,
            Verdict::Acknowledged(_) | Verdict::Challenged(_)
        );
        dropped.then_some(last)
    }

    /// What the network and the receiver did with the segment.
    fn of_journey(&self, step: &SegmentStep, order: [Option<usize>; 2], says: &mut Vec<Sentence>) {
        let at = step.from.other();
        match &step.fate {
            Fate::Lost => says.push(Sentence::Lost),
            Fate::Corrupted => says.push(Sentence::Corrupted { at }),
            Fate::Arrived { copies, .. } if !copies.is_empty() => {
                says.push(Sentence::Copied { at });
            }
            Fate::Arrived { .. } | Fate::InFlight => {}
        }
        let arrival = order[at.index()].map(|index| self.traces[at.index()][index]);
        let (Some(entry), Some(verdict)) = (arrival, step.verdict) else {
            return;
        };
        let segment = &step.segment;
        let ahead = segment.raw_seq.after(entry.rcv.nxt);
        let distance = entry.rcv.nxt.since(segment.raw_seq).cast_signed();
        let expected = segment.seq + i64::from(distance);
        let rst = segment.has(TcpFlags::RST);
        let back = step
            .receiver
            .is_some_and(|receiver| receiver.after == Phase::Listen);
        match verdict {
            Verdict::ConnectionReset if back => says.push(Sentence::BackToListen { at }),
            Verdict::ConnectionReset => says.push(Sentence::ResetDone { at }),
            Verdict::Accepted if segment.len > 0 && ahead => {
                says.push(Sentence::OutOfOrder { at, expected });
            }
            Verdict::Accepted | Verdict::ResetSent(_) => {}
            Verdict::Dropped(DropReason::RstInTimeWait) => {
                says.push(Sentence::RstInTimeWait { at });
            }
            Verdict::Dropped(_) | Verdict::Challenged(_) | Verdict::Acknowledged(_) if rst => {
                says.push(Sentence::RstIgnored { at });
            }
            Verdict::Dropped(reason)
            | Verdict::Challenged(reason)
            | Verdict::Acknowledged(reason) => {
                says.extend(of_drop(reason, step, at, expected));
            }
        }
    }

    fn remember(&mut self, step: &SegmentStep, order: [Option<usize>; 2], says: &[Sentence]) {
        for says in says {
            match *says {
                Sentence::OutOfOrder { at, expected } => {
                    self.sides[at.index()].hole = Some(expected);
                }
                Sentence::AckStays { from, ack } => self.sides[from.index()].complaint = Some(ack),
                Sentence::LostAck => self.sides[step.from.index()].lost_acks += 1,
                _ => {}
            }
        }
        if step.injected {
            let to = step.from.other().index();
            self.sides[to].stray = order[to];
            return;
        }
        let segment = &step.segment;
        let other_fin = self.sides[step.from.other().index()].fin_end;
        let seen = &mut self.sides[step.from.index()];
        let acks_text = seen.ack.is_some_and(|before| Some(before) != segment.ack);
        seen.syn |= segment.has(TcpFlags::SYN) && segment.ack.is_none();
        seen.acks += u64::from(segment.is_pure_ack() && acks_text);
        seen.texts += u64::from(segment.len > 0);
        seen.ack = segment.ack.or(seen.ack);
        if segment.len > 0 {
            let probes = step.reason == Some(SendReason::WindowProbe);
            seen.probe = probes.then_some(segment.seq);
        }
        seen.fin_acknowledged |= other_fin.is_some() && segment.ack == other_fin;
        if !segment.has(TcpFlags::RST) {
            seen.window = Some(segment.window);
        }
        if segment.has(TcpFlags::FIN) {
            seen.fin_end = Some(segment.end());
        }
    }
}

fn of_drop(reason: DropReason, step: &SegmentStep, at: Side, expected: Number) -> Option<Sentence> {
    let known = step.segment.end().offset <= expected.offset;
    Some(match reason {
        DropReason::Paws => Sentence::OldTimestamp { at },
        DropReason::OutOfWindow if step.injected => Sentence::OutsideWindow { at, expected },
        DropReason::OutOfWindow if step.segment.seq_len() > 0 && known => {
            // TIME-WAIT says it better in its answer.
            if step
                .receiver
                .is_some_and(|receiver| receiver.after == Phase::TimeWait)
            {
                return None;
            }
            Sentence::AlreadyHad { at }
        }
        // A probe is outside the window on purpose; its answer tells the story.
        DropReason::OutOfWindow if step.segment.seq_len() <= 1 => return None,
        DropReason::OutOfWindow => Sentence::OutsideWindow { at, expected },
        _ => Sentence::Dropped { at },
    })
}

fn of_local(local: &LocalStep) -> Sentence {
    let side = local.side;
    match local.event {
        LocalEvent::Call(UserCall::Open) => Sentence::CallOpen { side },
        LocalEvent::Call(UserCall::Close) => Sentence::CallClose { side },
        LocalEvent::Call(UserCall::Abort) => Sentence::CallAbort { side },
        LocalEvent::Call(UserCall::Release | UserCall::Send(_) | UserCall::Receive(_)) => {
            Sentence::CallRelease { side }
        }
        LocalEvent::Timeout(Timer::TimeWait) => Sentence::TimerTimeWait { side },
        LocalEvent::Timeout(Timer::FinWait2) => Sentence::TimerFinWait2 { side },
        LocalEvent::Timeout(_) if local.change.after == Phase::Closed => {
            Sentence::TimerGivesUp { side }
        }
        LocalEvent::Timeout(Timer::Persist) => Sentence::TimerPersist { side },
        LocalEvent::Timeout(_) => Sentence::TimerRetransmission { side },
        LocalEvent::Icmp => Sentence::Icmp { side },
    }
}
