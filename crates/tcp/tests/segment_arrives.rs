//! SEGMENT ARRIVES as a grid (RFC 9293 3.10.7): each kind of segment in each state, with the state after it and the segments
//! that answer it.

mod harness;

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use handwave_packet::Payload;
use handwave_tcp::trace::{ReceiveSnapshot, SendSnapshot, TraceEntry, Tracer};
use handwave_tcp::{Config, Phase, SegmentIn};
use handwave_wire::{SeqNum, TcpFlags, TcpHeader};
use harness::{Pair, Side};

/// Remembers the variables of the last entry.
#[derive(Clone, Debug, Default)]
struct Last(Arc<Mutex<(SendSnapshot, ReceiveSnapshot)>>);

impl Tracer for Last {
    fn record(&mut self, entry: &TraceEntry) {
        *self.0.lock().expect("no panic while held") = (entry.snd, entry.rcv);
    }
}

/// Where the grid starts: each state, SYN-RECEIVED once after a passive and once after a simultaneous open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    Closed,
    Listen,
    Passive,
    State(Phase),
}

const STARTS: [Start; 12] = [
    Start::Closed,
    Start::Listen,
    Start::State(Phase::SynSent),
    Start::Passive,
    Start::State(Phase::SynReceived),
    Start::State(Phase::Established),
    Start::State(Phase::FinWait1),
    Start::State(Phase::FinWait2),
    Start::State(Phase::CloseWait),
    Start::State(Phase::Closing),
    Start::State(Phase::LastAck),
    Start::State(Phase::TimeWait),
];

/// A kind of segment, built from the variables of the connection that it meets.
type Build = fn(SendSnapshot, ReceiveSnapshot) -> SegmentIn;

fn segment(seq: SeqNum, ack: Option<SeqNum>, flags: TcpFlags, text: &'static [u8]) -> SegmentIn {
    let header = TcpHeader {
        source_port: 80,
        destination_port: 49152,
        seq,
        ack: ack.unwrap_or_default(),
        flags: if ack.is_some() {
            flags | TcpFlags::ACK
        } else {
            flags
        },
        window: 1000,
        ..TcpHeader::default()
    };
    SegmentIn::new(header, Payload::from(Bytes::from_static(text)))
}

const NONE: TcpFlags = TcpFlags::from_bits(0);

/// Every kind of segment the grid looks at. Where the peer is unknown (SYN-SENT) RCV.NXT is 0.
const SEGMENTS: [(&str, Build); 22] = [
    ("RST at RCV.NXT", |snd, rcv| {
        segment(rcv.nxt, Some(snd.nxt), TcpFlags::RST, b"")
    }),
    ("RST without ACK", |_, rcv| {
        segment(rcv.nxt, None, TcpFlags::RST, b"")
    }),
    ("RST with text", |snd, rcv| {
        segment(rcv.nxt, Some(snd.nxt), TcpFlags::RST, b"why")
    }),
    ("RST in the window", |snd, rcv| {
        segment(rcv.nxt + 1, Some(snd.nxt), TcpFlags::RST, b"")
    }),
    ("RST outside", |snd, rcv| {
        segment(rcv.nxt - 1, Some(snd.nxt - 9), TcpFlags::RST, b"")
    }),
    ("SYN again", |_, rcv| {
        segment(rcv.irs, None, TcpFlags::SYN, b"")
    }),
    ("SYN in the window", |_, rcv| {
        segment(rcv.nxt + 9, None, TcpFlags::SYN, b"")
    }),
    ("SYN+ACK", |snd, rcv| {
        segment(rcv.irs, Some(snd.iss + 1), TcpFlags::SYN, b"")
    }),
    ("SYN+ACK of nothing sent", |snd, rcv| {
        segment(rcv.irs, Some(snd.nxt + 9), TcpFlags::SYN, b"")
    }),
    ("SYN+FIN", |snd, rcv| {
        segment(
            rcv.nxt + 9,
            Some(snd.nxt),
            TcpFlags::SYN | TcpFlags::FIN,
            b"",
        )
    }),
    ("no ACK bit", |_, rcv| {
        segment(rcv.nxt, None, TcpFlags::PSH, b"text")
    }),
    ("no flags at all", |_, rcv| {
        segment(rcv.nxt, None, NONE, b"")
    }),
    ("ACK, nothing new", |snd, rcv| {
        segment(rcv.nxt, Some(snd.una), NONE, b"")
    }),
    ("ACK of everything", |snd, rcv| {
        segment(rcv.nxt, Some(snd.nxt), NONE, b"")
    }),
    ("ACK of nothing sent", |snd, rcv| {
        segment(rcv.nxt, Some(snd.nxt + 1), NONE, b"")
    }),
    ("ACK far too old", |snd, rcv| {
        segment(rcv.nxt, Some(snd.una - (1 << 30)), NONE, b"")
    }),
    ("text", |snd, rcv| {
        segment(rcv.nxt, Some(snd.una), TcpFlags::PSH, b"text")
    }),
    ("text once more", |snd, rcv| {
        segment(rcv.nxt - 4, Some(snd.una), TcpFlags::PSH, b"text")
    }),
    ("text after a gap", |snd, rcv| {
        segment(rcv.nxt + 100, Some(snd.una), TcpFlags::PSH, b"text")
    }),
    ("text beyond the window", |snd, rcv| {
        segment(rcv.nxt + (1 << 24), Some(snd.una), TcpFlags::PSH, b"text")
    }),
    ("FIN", |snd, rcv| {
        segment(rcv.nxt, Some(snd.una), TcpFlags::FIN, b"")
    }),
    ("FIN and ACK of ours", |snd, rcv| {
        segment(rcv.nxt, Some(snd.nxt), TcpFlags::FIN, b"")
    }),
];

/// The end that the segment meets, in the state that `start` names, and its variables. Nothing is on the wire.
fn begin(start: Start) -> (Pair, Side, Last) {
    // Without timestamps a segment is judged by its sequence number alone.
    let mut pair = Pair::new(Config {
        timestamps: false,
        quick_acks: 0,
        ..Config::default()
    });
    let last = Last::default();
    let side = match start {
        Start::Listen | Start::Passive => Side::B,
        Start::Closed | Start::State(_) => Side::A,
    };
    pair.end(side).host.set_tracer(Some(Box::new(last.clone())));
    match start {
        Start::Closed | Start::Listen => {}
        Start::Passive => {
            pair.open(Side::A);
            pair.step();
            assert_eq!(pair.b.phase(), Phase::SynReceived);
        }
        Start::State(phase) => {
            bring_to(&mut pair, phase);
            if phase != Phase::TimeWait {
                assert_eq!(pair.a.phase(), phase);
            }
        }
    }
    pair.wire.clear();
    pair.forget_log();
    (pair, side, last)
}

fn bring_to(pair: &mut Pair, phase: Phase) {
    let settle = Duration::from_millis(50);
    match phase {
        Phase::Closed | Phase::Listen => unreachable!("no connection"),
        Phase::SynSent => pair.open(Side::A),
        Phase::SynReceived => {
            pair.b.listener = None;
            pair.open(Side::A);
            pair.open(Side::B);
            pair.step();
        }
        Phase::Established => pair.connect(),
        Phase::FinWait1 | Phase::FinWait2 => {
            pair.connect();
            pair.close(Side::A);
            if phase == Phase::FinWait2 {
                pair.run_for(settle);
            }
        }
        Phase::CloseWait | Phase::LastAck => {
            pair.connect();
            pair.close(Side::B);
            pair.run_for(settle);
            if phase == Phase::LastAck {
                pair.close(Side::A);
            }
        }
        Phase::Closing => {
            pair.connect();
            pair.close(Side::A);
            pair.close(Side::B);
            pair.step();
        }
        Phase::TimeWait => {
            bring_to(pair, Phase::FinWait2);
            pair.close(Side::B);
            pair.run_for(settle);
            assert!(pair.a.time_wait.is_some());
        }
    }
}

/// The state after the segment, and the flags of what answered it at once.
fn outcome(start: Start, build: Build) -> String {
    let (mut pair, side, last) = begin(start);
    let (snd, rcv) = *last.0.lock().expect("no panic while held");
    pair.inject(side, build(snd, rcv));
    let before = match start {
        Start::Closed => Phase::Closed,
        Start::Listen => Phase::Listen,
        Start::Passive => Phase::SynReceived,
        Start::State(phase) => phase,
    };
    let end = pair.end(side);
    let after = if end.time_wait.is_some() {
        Phase::TimeWait
    } else {
        end.phase()
    };
    let answers: Vec<_> = pair
        .log
        .iter()
        .map(|(_, _, segment, _)| segment.header.flags.to_string())
        .collect();
    let change = if after == before { "=" } else { short(after) };
    format!("{change} {}", answers.join(" "))
        .trim_end()
        .to_string()
}

fn short(phase: Phase) -> &'static str {
    match phase {
        Phase::Closed => "CLOSED",
        Phase::Listen => "LISTEN",
        Phase::SynSent => "SYN-S",
        Phase::SynReceived => "SYN-R",
        Phase::Established => "ESTAB",
        Phase::FinWait1 => "FW-1",
        Phase::FinWait2 => "FW-2",
        Phase::CloseWait => "CL-W",
        Phase::Closing => "CLOSING",
        Phase::LastAck => "LAST-A",
        Phase::TimeWait => "TIME-W",
    }
}

#[test]
fn rfc9293_3_10_7_grid() {
    let mut grid = format!("{:24}", "");
    for start in STARTS {
        let label = match start {
            Start::Closed => "CLOSED",
            Start::Listen => "LISTEN",
            Start::Passive => "SYN-R p.",
            Start::State(phase) => short(phase),
        };
        let _ = write!(grid, "|{label:9}");
    }
    for (name, build) in SEGMENTS {
        let _ = write!(grid, "\n{name:24}");
        for start in STARTS {
            let _ = write!(grid, "|{:9}", outcome(start, build));
        }
    }
    let grid: String = grid
        .lines()
        .map(|line| format!("{}\n", line.trim_end()))
        .collect();
    assert!(grid.trim() == GRID.trim(), "the grid has changed:\n{grid}");
}

/// `=` stays in the state; then the flags of each answer, as tcpdump writes them. `SYN-R p.` came from LISTEN.
const GRID: &str = "
                        |CLOSED   |LISTEN   |SYN-S    |SYN-R p. |SYN-R    |ESTAB    |FW-1     |FW-2     |CL-W     |CLOSING  |LAST-A   |TIME-W
RST at RCV.NXT          |=        |=        |CLOSED   |LISTEN   |CLOSED   |CLOSED   |CLOSED   |CLOSED   |CLOSED   |CLOSED   |CLOSED   |=
RST without ACK         |=        |=        |=        |LISTEN   |CLOSED   |CLOSED   |CLOSED   |CLOSED   |CLOSED   |CLOSED   |CLOSED   |=
RST with text           |=        |=        |CLOSED   |LISTEN   |CLOSED   |CLOSED   |CLOSED   |CLOSED   |CLOSED   |CLOSED   |CLOSED   |=
RST in the window       |=        |=        |CLOSED   |= .      |= .      |= .      |= .      |= .      |= .      |= .      |= .      |=
RST outside             |=        |=        |=        |=        |=        |=        |=        |=        |=        |=        |=        |=
SYN again               |= R.     |SYN-R S. |SYN-R S. |= S.     |= S.     |= .      |= .      |= .      |= .      |= .      |= .      |= .
SYN in the window       |= R.     |SYN-R S. |SYN-R S. |= .      |= .      |= .      |= .      |= .      |= .      |= .      |= .      |CLOSED R.
SYN+ACK                 |= R      |= R      |ESTAB .  |= S.     |ESTAB    |= .      |= .      |= .      |= .      |= .      |= .      |= .
SYN+ACK of nothing sent |= R      |= R      |= R      |= S.     |= R      |= .      |= .      |= .      |= .      |= .      |= .      |= .
SYN+FIN                 |= R      |= R      |CL-W .   |= .      |= .      |= .      |= .      |= .      |= .      |= .      |= .      |= .
no ACK bit              |= R.     |=        |=        |=        |=        |=        |=        |=        |=        |=        |=        |=
no flags at all         |= R.     |=        |=        |=        |=        |=        |=        |=        |=        |=        |=        |=
ACK, nothing new        |= R      |= R      |= R      |= R      |= R      |=        |=        |=        |=        |=        |=        |=
ACK of everything       |= R      |= R      |=        |ESTAB    |ESTAB    |=        |FW-2     |=        |=        |TIME-W   |CLOSED   |=
ACK of nothing sent     |= R      |= R      |= R      |= R      |= R      |= .      |= .      |= .      |= .      |= .      |= .      |=
ACK far too old         |= R      |= R      |= R      |= R      |= R      |= .      |= .      |= .      |= .      |= .      |= .      |=
text                    |= R      |= R      |= R      |= R      |= R      |=        |=        |=        |=        |=        |=        |= .
text once more          |= R      |= R      |= R      |= .      |= .      |= .      |= .      |= .      |= .      |= .      |= .      |= .
text after a gap        |= R      |= R      |= R      |= R      |= R      |= .      |= .      |= .      |=        |=        |=        |= .
text beyond the window  |= R      |= R      |= R      |= .      |= .      |= .      |= .      |= .      |= .      |= .      |= .      |= .
FIN                     |= R      |= R      |= R      |= R      |= R      |CL-W .   |CLOSING .|TIME-W . |=        |=        |=        |= .
FIN and ACK of ours     |= R      |= R      |=        |CL-W .   |CL-W .   |CL-W .   |TIME-W . |TIME-W . |=        |TIME-W   |CLOSED   |= .";
