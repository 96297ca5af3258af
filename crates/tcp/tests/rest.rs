//! A connection that is said to rest need not be polled: whatever comes first after a rest, it goes on as one that never rested.
#![allow(clippy::unwrap_used, reason = "test code")]

#[path = "../../handwave/tests/common/dice.rs"]
mod dice;

use std::sync::Arc;
use std::time::Duration;

use dice::Dice;
use handwave_packet::Payload;
use handwave_tcp::{
    BufferSize, Config, Connection, Context, Endpoint, Host, IcmpError, IcmpKind, Instant, Path,
    Phase, Pressure, Profile, Secrets, SegmentIn, SegmentOut, Tuple, Unreachable,
};
use handwave_wire::{
    Ecn, SackBlock, SackBlocks, SeqNum, TcpFlags, TcpHeader, TcpOptions, Timestamps,
};

/// One of two that hear the same; `asks` first whether it rests.
struct End {
    connection: Box<Connection>,
    host: Host,
    asks: bool,
    rested: u64,
}

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    Segment(Box<SegmentIn>),
    Write(usize),
    WriteUrgent(usize),
    Read(usize),
    Time(Duration),
    Icmp(IcmpError),
    PathMtu(u16),
    Pressure(Pressure),
    Configure(Arc<Config>),
    QuickAck(bool),
    Memory,
    Close,
    Release,
    Abort,
}

impl End {
    fn opening(config: &Arc<Config>, now: Instant, asks: bool) -> Self {
        let end = |last: u8, port| Endpoint::new([192, 0, 2, last].into(), port);
        let mut host = Host::new(Secrets::from_seed(1));
        let tuple = Tuple::new(end(1, 49_152), end(2, 80));
        let mut cx = Context::new(now, &mut host);
        let path = Path::with_mtu(1_500);
        let connection = Connection::connect(&mut cx, Arc::clone(config), tuple, path);
        Self {
            connection,
            host,
            asks,
            rested: 0,
        }
    }

    fn takes(&mut self, now: Instant, step: Step) {
        let connection = &mut self.connection;
        if let Step::Pressure(pressure) = step {
            self.host.pressure = pressure;
        }
        let mut cx = Context::new(now, &mut self.host);
        match step {
            Step::Segment(segment) => {
                connection.handle_segment(&mut cx, *segment);
            }
            Step::Write(len) => {
                let _written = connection.write(&mut cx, &vec![1; len]);
            }
            Step::WriteUrgent(len) => {
                let _written = connection.write_urgent(&mut cx, &vec![2; len]);
            }
            Step::Read(len) => {
                let _read = connection.read(&mut cx, &mut vec![0; len]);
            }
            Step::Time(_) => connection.handle_timeout(&mut cx),
            Step::Icmp(error) => {
                connection.handle_icmp(&mut cx, error);
            }
            Step::PathMtu(mtu) => connection.handle_path_mtu(&mut cx, mtu),
            Step::Pressure(_) => {}
            Step::Configure(config) => connection.set_config(&mut cx, config),
            Step::QuickAck(on) => connection.set_quick_ack(on),
            Step::Memory => connection.handle_memory(),
            Step::Close => connection.close(&mut cx),
            Step::Release => connection.release(&mut cx),
            Step::Abort => connection.abort(&mut cx),
        }
    }

    fn drains(&mut self, now: Instant) -> Vec<SegmentOut> {
        let mut cx = Context::new(now, &mut self.host);
        if self.asks && self.connection.rests(&mut cx) {
            self.rested += 1;
            return Vec::new();
        }
        std::iter::from_fn(|| self.connection.poll_transmit(&mut cx)).collect()
    }

    /// All that shows of it.
    fn shows(&mut self) -> String {
        let connection = &mut self.connection;
        let timers: Vec<_> = connection.timers().collect();
        format!(
            "{:?} {:?} {timers:?} {:?} {} {} {:?}",
            connection.info(),
            connection.take_events(),
            connection.poll_timeout(),
            connection.held(),
            connection.sendable(),
            self.host.counters
        )
    }
}

/// A peer that mostly keeps to the protocol.
struct Peer {
    dice: Dice,
    seq: SeqNum,
    /// The end of what has arrived, all of it or not, and what has been acknowledged.
    heard: SeqNum,
    ack: SeqNum,
    echo: u32,
    timestamps: bool,
    began: Instant,
    is_open: bool,
}

impl Peer {
    fn hears(&mut self, sent: &[SegmentOut]) {
        for segment in sent {
            let end = segment.header.seq + segment.header.seq_len(segment.payload.len());
            self.heard = match segment.header.flags.contains(TcpFlags::SYN) {
                true => end,
                false => self.heard.later(end),
            };
            let stamp = segment.header.options.timestamps;
            self.echo = stamp.map_or(self.echo, |stamp| stamp.value);
        }
    }

    fn segment(&mut self, now: Instant) -> SegmentIn {
        let dice = &mut self.dice;
        let ticks = u32::try_from((now - self.began).as_millis()).unwrap();
        let mut header = TcpHeader {
            source_port: 80,
            destination_port: 49_152,
            seq: self.seq,
            flags: TcpFlags::ACK,
            window: dice.pick(&[65_535, 65_535, 30_000, 1_000, 0]),
            options: TcpOptions {
                timestamps: self.timestamps.then_some(Timestamps {
                    value: 1 + ticks,
                    echo: self.echo,
                }),
                ..TcpOptions::NONE
            },
            ..TcpHeader::default()
        };
        let mut len = 0;
        if !self.is_open {
            self.is_open = true;
            header.flags |= TcpFlags::SYN;
            header.options.mss = Some(1_460);
            header.options.sack_permitted = dice.one_in(2);
            header.options.window_scale = dice.one_in(2).then_some(2);
            self.ack = self.heard;
            self.seq += 1;
        } else {
            let flight = self.heard.since(self.ack);
            if flight < 1 << 30 {
                self.ack += dice.pick(&[flight, flight, flight / 2, 0]);
            }
            if dice.one_in(2) {
                len = dice.pick(&[1, 100, 1_460, 1_460]);
            }
            let odd = dice.below(40);
            match odd {
                0 => header.flags |= TcpFlags::FIN,
                1 if dice.one_in(4) => header.flags |= TcpFlags::RST,
                2 => header.seq += dice.pick(&[1, 1_460, 100_000]),
                3 => header.seq -= dice.pick(&[1, 1_460, 100_000]),
                4 => header.flags |= TcpFlags::SYN,
                5 => header.flags |= TcpFlags::URG,
                6 => header.flags |= TcpFlags::ECE,
                7 => header.flags |= TcpFlags::PSH,
                8 => self.ack += 1,
                9..14 if flight > 2_000 && flight < 1 << 30 => {
                    let block = SackBlock {
                        left: self.ack + flight / 2,
                        right: self.ack + flight,
                    };
                    header.options.sack = SackBlocks::new();
                    header.options.sack.push(block);
                }
                _ => {}
            }
            if !(2..4).contains(&odd) {
                self.seq += len;
            }
            self.seq += u32::from(odd == 0);
        }
        header.ack = self.ack;
        let mut segment = SegmentIn::new(header, Payload::from(vec![7; len as usize]));
        if self.dice.one_in(30) {
            segment.ecn = Ecn::Ce;
        }
        segment
    }
}

fn config(dice: &mut Dice) -> Config {
    let base = match dice.below(3) {
        0 => Config::default(),
        1 => Profile::linux().connection,
        _ => Profile::freebsd().connection,
    };
    Config {
        timestamps: dice.one_in(2),
        sack: dice.one_in(2),
        nagle: dice.one_in(2),
        cork: dice.one_in(10),
        receive_buffer: dice.pick(&[BufferSize::fixed(8_192), base.receive_buffer]),
        user_timeout: dice.one_in(8).then_some(Duration::from_secs(20)),
        time_wait: Duration::from_secs(5),
        ..base
    }
}

fn step(peer: &mut Peer, now: Instant, next: Option<Instant>) -> Step {
    let dice = &mut peer.dice;
    match dice.below(40) {
        0..16 => Step::Segment(Box::new(peer.segment(now))),
        16..21 => Step::Write(dice.pick(&[1, 100, 1_460, 5_000, 100_000])),
        21 => Step::WriteUrgent(1),
        22..26 => Step::Read(dice.pick(&[1, 1_000, 100_000])),
        26..33 => {
            let due = next.map_or(Duration::from_secs(1), |next| next - now);
            Step::Time(match dice.one_in(3) {
                true => Duration::from_millis(dice.next() % 500),
                false => due.min(Duration::from_secs(3_600)),
            })
        }
        33 => Step::Icmp(IcmpError {
            kind: dice.pick(&[
                IcmpKind::Unreachable(Unreachable::Port),
                IcmpKind::Unreachable(Unreachable::Host),
                IcmpKind::TimeExceeded,
                IcmpKind::PacketTooBig { mtu: 900 },
            ]),
            seq: peer.ack,
        }),
        34 => Step::PathMtu(dice.pick(&[576, 900, 1_500])),
        35 => Step::Pressure(dice.pick(&[Pressure::None, Pressure::Soft, Pressure::Hard])),
        36 => Step::Configure(Arc::new(config(dice))),
        37 if dice.one_in(3) => Step::Memory,
        37 => Step::QuickAck(dice.one_in(2)),
        38 if dice.one_in(4) => Step::Close,
        39 if dice.one_in(8) => Step::Abort,
        39 if dice.one_in(8) => Step::Release,
        _ => Step::Segment(Box::new(peer.segment(now))),
    }
}

/// Returns how often one rested.
fn play(seed: u64) -> u64 {
    let mut dice = Dice(seed);
    let config = Arc::new(config(&mut dice));
    let mut now = Instant::from_secs(1_000);
    let mut ends = [true, false].map(|asks| End::opening(&config, now, asks));
    let mut peer = Peer {
        seq: SeqNum::new(dice.below(u32::MAX)),
        heard: SeqNum::new(0),
        ack: SeqNum::new(0),
        echo: 0,
        timestamps: dice.one_in(2),
        began: now,
        is_open: false,
        dice,
    };
    for number in 0..150 {
        let [first, other] = &mut ends;
        let sent = [first.drains(now), other.drains(now)];
        let what = format!("seed {seed}, step {number}");
        let sent = sent.map(|sent| {
            peer.hears(&sent);
            format!("{sent:?}")
        });
        assert_eq!(sent[0], sent[1], "{what}");
        assert_eq!(first.shows(), other.shows(), "{what}");
        if first.connection.phase() == Phase::Closed {
            break;
        }
        let step = step(&mut peer, now, first.connection.poll_timeout());
        if let Step::Time(span) = step {
            now += span;
        }
        for end in &mut ends {
            end.takes(now, step.clone());
        }
    }
    ends[0].rested
}

#[test]
fn a_connection_that_rested_goes_on_as_if_it_had_been_polled() {
    let number = |name, or| std::env::var(name).map_or(or, |number| number.parse().unwrap());
    let first = number("HANDWAVE_FIRST", 0);
    let rested: u64 = (first..first + number("HANDWAVE_CASES", 1_000))
        .map(play)
        .sum();
    assert!(rested > 10_000, "rested {rested} times");
}
