//! Hand-written traces for tests: what two hosts and a network of 20 ms would have recorded.

use handwave_tcp::trace::{
    ReceiveSnapshot, SendReason, SendSnapshot, TraceEntry, TraceEvent, UserCall, Verdict,
};
use handwave_tcp::{Endpoint, Instant, Phase, Tuple};
use handwave_wire::{SeqNum, TcpFlags, TcpHeader, TcpOptions};

use crate::build::{Witness, tell};
use crate::model::{Fate, Role, Side, Story};
use crate::transit::{Transit, infer};

pub(crate) const SYN: TcpFlags = TcpFlags::SYN;
pub(crate) const ACK: TcpFlags = TcpFlags::ACK;
pub(crate) const FIN: TcpFlags = TcpFlags::FIN;
const X: SeqNum = SeqNum::new(0xffff_fff0);
const Y: SeqNum = SeqNum::new(5_000);
const DELAY_MS: u64 = 20;

/// Records two traces and the journeys between them.
pub(crate) struct Fixture {
    pub(crate) traces: [Vec<TraceEntry>; 2],
    pub(crate) transits: Vec<Transit>,
    now_ms: u64,
    phases: [Phase; 2],
    next: [SeqNum; 2],
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self {
            traces: [Vec::new(), Vec::new()],
            transits: Vec::new(),
            now_ms: 0,
            phases: [Phase::Closed, Phase::Listen],
            next: [X, Y],
        }
    }

    pub(crate) fn wait_ms(&mut self, ms: u64) -> &mut Self {
        self.now_ms += ms;
        self
    }

    fn endpoints(side: Side) -> Tuple {
        let client = Endpoint::new([10, 0, 0, 1].into(), 49152);
        let server = Endpoint::new([10, 0, 0, 2].into(), 80);
        match side {
            Side::A => Tuple::new(client, server),
            Side::B => Tuple::new(server, client),
        }
    }

    fn record(&mut self, side: Side, ms: u64, event: TraceEvent, after: Phase, verdict: Verdict) {
        let before = std::mem::replace(&mut self.phases[side.index()], after);
        self.traces[side.index()].push(TraceEntry {
            now: Instant::from_millis(ms),
            tuple: Self::endpoints(side),
            event,
            before,
            after,
            verdict,
            snd: SendSnapshot::default(),
            rcv: ReceiveSnapshot {
                nxt: self.next[side.other().index()],
                ..ReceiveSnapshot::default()
            },
        });
    }

    pub(crate) fn call(&mut self, side: Side, call: UserCall, after: Phase) -> &mut Self {
        self.record(
            side,
            self.now_ms,
            TraceEvent::Call(call),
            after,
            Verdict::Accepted,
        );
        self
    }

    /// Sends a segment and lets it arrive, then moves on to that moment.
    pub(crate) fn segment(
        &mut self,
        from: Side,
        flags: TcpFlags,
        payload_len: usize,
        after: Phase,
    ) -> &mut Self {
        let header = self.leave(from, flags, payload_len);
        self.now_ms += DELAY_MS;
        let arrived = TraceEvent::SegmentArrived {
            header,
            payload_len,
        };
        self.record(from.other(), self.now_ms, arrived, after, Verdict::Accepted);
        let at = Instant::from_millis(self.now_ms);
        self.transit(
            from,
            header,
            payload_len,
            Fate::Arrived {
                at,
                copies: Vec::new(),
            },
        );
        self
    }

    /// Both sides close and send at the same moment; each segment arrives after the other has left.
    pub(crate) fn cross(&mut self, flags: TcpFlags, after: Phase) -> &mut Self {
        let acks = self.next;
        let mut headers = Side::BOTH.map(|side| {
            self.call(side, UserCall::Close, Phase::FinWait1);
            self.leave(side, flags, 0)
        });
        self.now_ms += DELAY_MS;
        let at = Instant::from_millis(self.now_ms);
        for from in Side::BOTH {
            let header = &mut headers[from.index()];
            header.ack = acks[from.other().index()];
            let header = *header;
            // What left before the other's FIN was known cannot acknowledge it.
            for entry in &mut self.traces[from.index()] {
                if let TraceEvent::SegmentSent { header: sent, .. } = &mut entry.event
                    && sent.seq == header.seq
                    && sent.flags == flags
                {
                    sent.ack = header.ack;
                }
            }
            let arrived = TraceEvent::SegmentArrived {
                header,
                payload_len: 0,
            };
            self.record(from.other(), self.now_ms, arrived, after, Verdict::Accepted);
            self.transit(
                from,
                header,
                0,
                Fate::Arrived {
                    at,
                    copies: Vec::new(),
                },
            );
        }
        self
    }

    pub(crate) fn lost(&mut self, from: Side, flags: TcpFlags, payload_len: usize) -> &mut Self {
        let header = self.leave(from, flags, payload_len);
        self.now_ms += DELAY_MS;
        self.transit(from, header, payload_len, Fate::Lost);
        // The octets are sent again from the same number.
        self.next[from.index()] = header.seq;
        self
    }

    fn leave(&mut self, from: Side, flags: TcpFlags, payload_len: usize) -> TcpHeader {
        let tuple = Self::endpoints(from);
        let header = TcpHeader {
            source_port: tuple.local.port,
            destination_port: tuple.remote.port,
            seq: self.next[from.index()],
            ack: self.next[from.other().index()],
            flags,
            window: 65_535,
            urgent: 0,
            options: TcpOptions::default(),
        };
        self.next[from.index()] += header.seq_len(payload_len);
        let reason = if payload_len > 0 {
            SendReason::Data
        } else {
            SendReason::Acknowledgment
        };
        let event = TraceEvent::SegmentSent {
            header,
            payload_len,
            reason,
        };
        self.record(
            from,
            self.now_ms,
            event,
            self.phases[from.index()],
            Verdict::Accepted,
        );
        header
    }

    fn transit(&mut self, from: Side, header: TcpHeader, payload_len: usize, fate: Fate) {
        let sent_at = Instant::from_millis(self.now_ms - DELAY_MS);
        self.transits.push(Transit {
            from,
            sent_at,
            header,
            payload_len,
            fate,
            injected: false,
        });
    }

    fn witnesses(&self) -> [Witness<'_>; 2] {
        [(Side::A, Role::Client), (Side::B, Role::Server)].map(|(side, role)| Witness {
            role,
            endpoint: Self::endpoints(side).local,
            trace: &self.traces[side.index()],
        })
    }

    pub(crate) fn tell(&self) -> Story {
        tell(self.witnesses(), &self.transits)
    }

    /// The story by someone who did not see the network.
    pub(crate) fn tell_from_traces(&self) -> Story {
        let [a, b] = &self.traces;
        tell(self.witnesses(), &infer([a, b]))
    }

    pub(crate) fn handshake(&mut self) -> &mut Self {
        self.call(Side::A, UserCall::Open, Phase::SynSent)
            .segment(Side::A, SYN, 0, Phase::SynReceived)
            .segment(Side::B, SYN | ACK, 0, Phase::Established)
            .segment(Side::A, ACK, 0, Phase::Established)
    }

    /// Handshake, one request and its ACK, and the four segments of a close that the client begins.
    pub(crate) fn textbook() -> Self {
        let mut fixture = Self::new();
        fixture
            .handshake()
            .segment(Side::A, ACK, 1460, Phase::Established)
            .segment(Side::B, ACK, 0, Phase::Established)
            .call(Side::A, UserCall::Close, Phase::FinWait1)
            .segment(Side::A, FIN | ACK, 0, Phase::CloseWait)
            .segment(Side::B, ACK, 0, Phase::FinWait2)
            .wait_ms(100)
            .call(Side::B, UserCall::Close, Phase::LastAck)
            .segment(Side::B, FIN | ACK, 0, Phase::TimeWait)
            .segment(Side::A, ACK, 0, Phase::Closed);
        fixture
    }
}
