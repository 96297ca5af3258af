//! Settings nobody chooses, and clocks that do not behave: nothing panics, nothing turns on the spot, and what is read is what was
//! written.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use common::*;
use core::time::Duration;
use handwave_packet::PacketBuf;
use handwave_stack::{
    ConnectOptions, ConnectionId, InterfaceConfig, ListenerConfig, ListenerId, NeighbourLimits,
    PortRange, Prefix, StackConfig, TimeWaitOverflow,
};
use handwave_tcp::congestion::Algorithm;
use handwave_tcp::recovery::RttVariation;
use handwave_tcp::{
    Acknowledging, BufferSize, Config, Instant, KeepAlive, Profile, RateLimit, ReceiveWindow,
    Resets, Segmentation, SequenceCheck, SynCookies, WindowProbe,
};
use std::collections::VecDeque;
use std::sync::Arc;

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// Below `end`, which is not zero.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<T: Copy>(&mut self, these: &[T]) -> T {
        these[self.below(these.len())]
    }

    /// The usual, three times of four; otherwise one of these.
    fn odd<T: Copy>(&mut self, usual: T, these: &[T]) -> T {
        if self.below(4) > 0 {
            usual
        } else {
            self.pick(these)
        }
    }

    fn span(&mut self, usual: Duration) -> Duration {
        let odd = [
            Duration::ZERO,
            Duration::from_nanos(1),
            Duration::from_micros(700),
            Duration::from_secs(1),
            Duration::from_secs(u64::from(u32::MAX)),
            Duration::MAX,
        ];
        self.odd(usual, &odd)
    }

    fn size(&mut self, usual: BufferSize) -> BufferSize {
        let odd = [
            BufferSize::fixed(0),
            BufferSize::fixed(1),
            BufferSize::fixed(u32::MAX),
            BufferSize::growing(0, u32::MAX),
            BufferSize::growing(1, 2),
            BufferSize::growing(10, 1),
            BufferSize::growing(u32::MAX, 0),
            BufferSize::growing(u32::MAX - 1, u32::MAX),
            BufferSize::growing(65_536, u32::MAX),
            BufferSize::fixed(1 << 30),
        ];
        self.odd(usual, &odd)
    }

    fn tcp(&mut self) -> Config {
        let base = match self.below(4) {
            0 => Profile::linux().connection,
            1 => Profile::freebsd().connection,
            _ => Config::default(),
        };
        let keepalive = KeepAlive {
            idle: self.span(Duration::from_secs(5)),
            interval: self.span(Duration::from_secs(1)),
            probes: self.pick(&[0, 1, 3, 255]),
        };
        Config {
            send_buffer: self.size(base.send_buffer),
            receive_buffer: self.size(base.receive_buffer),
            receive_window: self.odd(
                base.receive_window,
                &[ReceiveWindow::Buffer, ReceiveWindow::Growing],
            ),
            window_probe: self.pick(&[WindowProbe::Octet, WindowProbe::Empty]),
            segmentation: self.odd(
                base.segmentation,
                &[Segmentation::Stream, Segmentation::Records],
            ),
            acknowledging: self.odd(
                base.acknowledging,
                &[Acknowledging::EverySecond, Acknowledging::Adaptive],
            ),
            resets: self.odd(base.resets, &[Resets::Plain, Resets::Dressed]),
            sequence_check: self.odd(
                base.sequence_check,
                &[SequenceCheck::Exact, SequenceCheck::Lenient],
            ),
            rtt_variation: self.odd(
                base.rtt_variation,
                &[RttVariation::Smoothed, RttVariation::Windowed],
            ),
            window_scale_for: self.odd(None, &[Some(0), Some(1), Some(u32::MAX)]),
            window_clamp: self.odd(None, &[Some(0), Some(1), Some(700), Some(u32::MAX)]),
            timestamps: self.one_in(2),
            sack: self.one_in(2),
            window_scaling: self.one_in(2),
            mss_max: self.odd(None, &[Some(0), Some(1), Some(88), Some(u16::MAX)]),
            nagle: self.one_in(2),
            cork: self.one_in(8),
            initial_window: self.odd(10, &[0, 1, 255]),
            slow_start_segments: self.odd(8, &[0, 1, u32::MAX]),
            restart_after_idle: self.one_in(2),
            tail_loss_probe: self.one_in(2),
            congestion: self.pick(&[Algorithm::Cubic, Algorithm::Reno]),
            delayed_ack: self.span(base.delayed_ack),
            quick_acks: self.odd(16, &[0, 1, 255]),
            rto_initial: self.span(base.rto_initial),
            rto_min: self.span(base.rto_min),
            rto_max: self.span(base.rto_max),
            r1: self.odd(3, &[0, 255]),
            r2: self.span(base.r2),
            r2_syn: self.span(base.r2_syn),
            syn_retries: self.odd(None, &[Some(0), Some(255)]),
            syn_linear_timeouts: self.odd(0, &[1, 255]),
            user_timeout: self.one_in(4).then(|| self.span(Duration::from_secs(20))),
            persist_max: self.span(base.persist_max),
            keepalive: self.one_in(3).then_some(keepalive),
            time_wait: self.span(base.time_wait),
            fin_wait2_timeout: self.span(base.fin_wait2_timeout),
            orphan_retries: self.odd(8, &[0, 255]),
            challenge_interval: self.span(base.challenge_interval),
            dscp: self.odd(0, &[63, 64, 255]),
            hop_limit: self.odd(64, &[0, 1, 255]),
            ..base
        }
    }

    fn stack(&mut self) -> StackConfig {
        let usual = StackConfig::default();
        let most = [0, 1, 2, usize::MAX];
        let rate = |dice: &mut Self| RateLimit {
            per_second: dice.odd(1_000, &[0, 1, u32::MAX]),
            burst: dice.odd(100, &[0, 1, u32::MAX]),
        };
        StackConfig {
            connections_max: self.odd(100, &[1, 2, usize::MAX]),
            orphans_max: self.odd(100, &most),
            time_wait_max: self.odd(100, &most),
            time_wait_overflow: self
                .pick(&[TimeWaitOverflow::DropNew, TimeWaitOverflow::EvictOldest]),
            memory_soft: self.odd(usual.memory_soft, &[0, 1, 5_000, usize::MAX]),
            memory_hard: self.odd(usual.memory_hard, &[0, 1, 9_000, usize::MAX]),
            memory_max: self.odd(usual.memory_max, &[0, 1, 9_000, usize::MAX]),
            tcp: Arc::new(self.tcp()),
            ephemeral_ports: self.odd(
                usual.ephemeral_ports,
                &[
                    PortRange { first: 0, last: 0 },
                    PortRange { first: 9, last: 3 },
                    PortRange {
                        first: 0,
                        last: u16::MAX,
                    },
                ],
            ),
            ephemeral_attempts_max: self.odd(1 << 16, &[0, 1, u32::MAX]),
            hop_limit: self.odd(64, &[0, 1]),
            reset_rate: rate(self),
            icmp_error_rate: rate(self),
            echo_rate: rate(self),
            path_mtu_entries_max: self.odd(100, &most),
            path_mtu_lifetime: self.span(usual.path_mtu_lifetime),
            neighbours: NeighbourLimits {
                entries_max: self.odd(10, &most),
                queue_max: self.odd(10, &most),
                ..usual.neighbours
            },
            transmit_queue_max: self.odd(100, &most),
            ..usual
        }
    }

    fn listener(&mut self) -> ListenerConfig {
        let usual = ListenerConfig::default();
        let most = [0, 1, usize::MAX];
        ListenerConfig {
            syn_queue_max: self.odd(64, &most),
            accept_queue_max: self.odd(64, &most),
            synack_retries: self.odd(5, &[0, 255]),
            synack_timeout: self.span(usual.synack_timeout),
            reset_on_overflow: self.one_in(2),
            defer_accept: self.odd(0, &[1, 255]),
            cookies: self.pick(&[SynCookies::Off, SynCookies::OnOverflow, SynCookies::Always]),
            ..usual
        }
    }

    fn interface(&mut self, last: u8) -> InterfaceConfig {
        let addresses = [
            Prefix::new([10, 0, 0, last].into(), 24),
            Prefix::new([0x2001, 0xDB8, 0, 0, 0, 0, 0, last.into()].into(), 64),
        ];
        let mtu = self.odd(1_500, &[68, 69, 300, 1_280, 9_000, 65_535]);
        InterfaceConfig {
            super_segment_max: self.pick(&[0, 1, 60_000, u32::MAX]),
            ..InterfaceConfig::ip(mtu, addresses)
        }
    }
}

/// One end of the conversation.
struct End {
    host: Host,
    connection: Option<ConnectionId>,
    listener: Option<ListenerId>,
    written: u64,
    read: u64,
    /// The other side's octets no longer say anything: reading is over.
    silent: bool,
}

fn octet(at: u64) -> u8 {
    (at % 251) as u8
}

impl End {
    fn new(dice: &mut Dice, last: u8, listens: bool) -> Self {
        let (config, interface) = (dice.stack(), dice.interface(last));
        let mut host = Host::new(last.into(), config, interface);
        let limits = dice.listener();
        Self {
            listener: listens.then(|| host.stack.listen(80, limits).unwrap()),
            host,
            connection: None,
            written: 0,
            read: 0,
            silent: false,
        }
    }

    fn act(&mut self, dice: &mut Dice, now: Instant) {
        let stack = &mut self.host.stack;
        if let Some(listener) = self.listener
            && self.connection.is_none()
        {
            self.connection = stack.accept(listener).map(|(id, _)| id);
        }
        let Some(id) = self.connection else {
            return;
        };
        match dice.below(14) {
            0..4 => {
                let len = dice.pick(&[0, 1, 100, 1_500, 20_000, 200_000]);
                let text: Vec<u8> = (self.written..).take(len).map(octet).collect();
                let taken = if dice.one_in(2) {
                    stack.write(now, id, &text)
                } else {
                    stack.write_chunk(now, id, text.into())
                };
                self.written += taken.unwrap_or(0) as u64;
            }
            4..9 => {
                let len = dice.pick(&[0, 1, 100, 5_000, 100_000, 1_000_000]);
                let text = if dice.one_in(2) {
                    let mut buffer = vec![0; len];
                    let got = stack.read(now, id, &mut buffer);
                    buffer.truncate(got.unwrap_or(0));
                    buffer
                } else {
                    stack.read_chunk(now, id, len).unwrap_or_default().to_vec()
                };
                for octets in text {
                    assert_eq!(octets, octet(self.read), "octet {}", self.read);
                    self.read += 1;
                }
            }
            9 if dice.one_in(8) => stack.close(now, id),
            10 if dice.one_in(20) => {
                stack.release(now, id);
                self.silent = true;
            }
            11 if dice.one_in(40) => {
                stack.abort(now, id);
                self.silent = true;
            }
            12 if dice.one_in(6) => {
                let config = Arc::new(dice.tcp());
                let _ = stack.with_connection(now, id, |connection, cx| {
                    connection.set_config(cx, config);
                });
            }
            13 if dice.one_in(6) => {
                let mtu = dice.pick(&[68, 100, 576, 1_280, 1_500, 65_535]);
                stack.set_mtu(self.host.interface, mtu).unwrap();
            }
            _ => {}
        }
        while stack.poll_event().is_some() {}
    }
}

/// How the clock goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clock {
    Steady,
    Late,
    Back,
    Stands,
}

fn play(seed: u64) {
    let mut dice = Dice(seed);
    let clock = dice.odd(Clock::Steady, &[Clock::Late, Clock::Back, Clock::Stands]);
    let v6 = dice.one_in(2);
    let mut ends = [End::new(&mut dice, 1, false), End::new(&mut dice, 2, true)];
    let mut now = match clock {
        Clock::Late => Instant::from_nanos(u64::MAX / 2),
        _ => START,
    };
    let to = endpoint(if v6 { SERVER6 } else { SERVER }, 80);
    let opened = ends[0]
        .host
        .stack
        .connect(now, to, ConnectOptions::default());
    ends[0].connection = opened.ok();
    let mut wires: [VecDeque<Vec<u8>>; 2] = Default::default();
    for _ in 0..400 {
        let who = dice.below(2);
        ends[who].act(&mut dice, now);
        // Output, of which a part is lost.
        for (end, wire) in ends.iter_mut().zip(&mut wires) {
            let mut sent = 0;
            while let Some((_, packet)) = end.host.stack.poll_transmit(now) {
                sent += 1;
                assert!(sent < 100_000, "output ends");
                for part in handwave_packet::split::segments(packet) {
                    wire.push_back(part.to_vec());
                }
            }
            if dice.one_in(12) {
                wire.pop_back();
            }
        }
        for from in 0..2 {
            if dice.one_in(3) {
                continue;
            }
            let packets: Vec<_> = wires[from].drain(..).map(PacketBuf::from).collect();
            let host = &mut ends[1 - from].host;
            host.stack.handle_batch(now, host.interface, packets);
        }
        now = match (clock, dice.below(4)) {
            (Clock::Stands, _) => now,
            (Clock::Back, 0) => now - Duration::from_millis(dice.next() % 5_000),
            (_, 0 | 1) => now + Duration::from_micros(dice.next() % 300_000),
            _ => now,
        };
        if dice.one_in(2) {
            let next = ends
                .iter()
                .filter_map(|end| end.host.stack.poll_timeout())
                .min();
            if let Some(next) = next
                && clock != Clock::Stands
                && next < now + Duration::from_secs(3_600)
            {
                now = now.max(next);
            }
            for end in &mut ends {
                end.host.stack.handle_timeout(now);
            }
        }
    }
    settle(&mut ends, now);
}

/// At one moment there is an end to what is due.
fn settle(ends: &mut [End], now: Instant) {
    for end in ends {
        let stack = &mut end.host.stack;
        let mut turns = 0;
        loop {
            while stack.poll_transmit(now).is_some() {}
            while stack.poll_event().is_some() {}
            match stack.poll_timeout() {
                Some(next) if next <= now => stack.handle_timeout(now),
                _ => break,
            }
            turns += 1;
            assert!(turns < 1_000, "it turns on the spot");
        }
    }
}

#[test]
fn no_setting_and_no_clock_breaks_it() {
    for seed in 0..300 {
        play(seed);
    }
}

/// A clock that was set back: what is due by the time it had reached waits until it is there again, and nobody turns on the spot.
#[test]
fn a_clock_that_goes_back_ends_every_call() {
    let mut pair = Pair::new();
    let later = pair.now + Duration::from_secs(10);
    pair.listen(80);
    // The first SYN+ACKs and SYNs are on their way while time passes, the others once the clock has been set back.
    for (round, now) in [pair.now, pair.now].into_iter().enumerate() {
        for port in 0..40 {
            let options = ConnectOptions {
                local_port: Some(1_000 + 100 * u16::try_from(round).unwrap() + port),
                ..ConnectOptions::default()
            };
            let to = endpoint("10.0.0.77", 80);
            pair.client.stack.connect(now, to, options).unwrap();
            let from = 1_000 + 100 * u16::try_from(round).unwrap() + port;
            let syn = craft::syn(addr("10.0.0.9"), addr(SERVER), from);
            pair.server.receive(now, &syn);
        }
        pair.client.drain(now);
        pair.server.drain(now);
        let wakes = [now, later, now];
        for at in &wakes[..if round == 0 { 2 } else { 3 }] {
            for host in [&mut pair.client, &mut pair.server] {
                host.stack.handle_timeout(*at);
                host.drain(*at);
            }
        }
    }
    for host in [&mut pair.client, &mut pair.server] {
        let due = host.stack.poll_timeout().unwrap();
        host.stack.handle_timeout(due);
        assert!(!host.drain(due).is_empty(), "it goes on");
    }
}
