//! Whatever comes, a stack hears the same of packets one by one, in a batch whose segments it couples, and joined as they are read.
#![allow(clippy::unwrap_used, reason = "test code")]

#[path = "common/dice.rs"]
mod dice;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use dice::Dice;
use handwave_device::Trains;
use handwave_packet::PacketBuf;
use handwave_stack::{
    ConnectionId, InterfaceConfig, InterfaceId, ListenerConfig, Prefix, Stack, StackConfig,
};
use handwave_tcp::{BufferSize, Config, Instant, Phase, Profile, Secrets};
use handwave_wire::{IpProtocol, SeqNum, Sum, TcpFlags, TcpHeader, TcpOptions, Timestamps};

/// How packets reach the stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Path {
    OneByOne,
    /// One by one, each in two pieces: the short way in, which is for packets in one piece, is passed by.
    InPieces,
    Batch,
    Joined,
}

const PATHS: [Path; 4] = [Path::OneByOne, Path::InPieces, Path::Batch, Path::Joined];

/// A host with a connection, and what it has been seen to do.
struct Host {
    stack: Stack,
    wire: InterfaceId,
    connection: Option<ConnectionId>,
    trains: Trains,
    path: Path,
    sent: Vec<Vec<u8>>,
}

/// The peer: it can say anything.
struct Peer {
    dice: Dice,
    addrs: [IpAddr; 2],
    timestamps: bool,
    /// The next octet to send, what the host has sent, and the timestamp.
    next: u32,
    ack: u32,
    stamp: u32,
    mss: u32,
    /// The right edge of the window, as far as all hosts have told it.
    edge: SeqNum,
}

impl Host {
    fn new(path: Path, addrs: [IpAddr; 2], profile: Config) -> Self {
        // A window that nobody exceeds: what lies behind its edge is judged by where each segment begins and ends.
        let config = StackConfig {
            tcp: Arc::new(Config {
                receive_buffer: BufferSize::fixed(1 << 20),
                delayed_ack: Duration::from_millis(1),
                ..profile
            }),
            ..StackConfig::default()
        };
        let mut stack = Stack::new(config, Secrets::from_seed(1), Instant::ZERO);
        let len = if addrs[1].is_ipv4() { 24 } else { 64 };
        let interface = InterfaceConfig::ip(1_500, [Prefix::new(addrs[1], len)]);
        let wire = stack.add_interface(interface).unwrap();
        let _listener = stack.listen(80, ListenerConfig::default()).unwrap();
        Self {
            stack,
            wire,
            connection: None,
            trains: Trains::new(1_500).unwrap(),
            path,
            sent: Vec::new(),
        }
    }

    fn take(&mut self, now: Instant, packets: &[Vec<u8>]) {
        match self.path {
            Path::OneByOne => {
                for packet in packets {
                    let packet = PacketBuf::from(packet.clone());
                    self.stack.handle_packet(now, self.wire, packet);
                }
            }
            Path::InPieces => {
                for packet in packets {
                    let (front, back) = packet.split_at(packet.len().min(14));
                    let pieces = [front, back].map(|piece| piece.to_vec().into());
                    let packet = PacketBuf::with_payload(pieces.into_iter().collect());
                    self.stack.handle_packet(now, self.wire, packet);
                }
            }
            Path::Batch => {
                let packets = packets.iter().map(|packet| PacketBuf::from(packet.clone()));
                self.stack.handle_batch(now, self.wire, packets);
            }
            Path::Joined => {
                let (mut packets, mut batch) = (packets.iter(), Vec::new());
                let count = packets.len();
                let taken = self.trains.receive(count, &mut batch, |chunk| {
                    chunk.extend_from_slice(packets.next()?);
                    Some(())
                });
                assert_eq!(taken, count);
                self.stack.handle_batch_in_place(now, self.wire, &mut batch);
            }
        }
    }

    fn drain(&mut self, now: Instant) {
        self.sent.clear();
        self.send(now);
        // What may wait is due.
        let later = now + Duration::from_millis(2);
        self.stack.handle_timeout(later);
        self.send(later);
    }

    fn send(&mut self, now: Instant) {
        while let Some((_, packet)) = self.stack.poll_transmit(now) {
            self.sent.push(packet.to_vec());
        }
    }

    fn headers(&self, tcp_at: usize) -> Vec<(TcpHeader, usize)> {
        let parse = |packet: &Vec<u8>| {
            let (header, len) = TcpHeader::parse(&packet[tcp_at..]).unwrap();
            (header, packet.len() - tcp_at - len)
        };
        let is_tcp = |packet: &&Vec<u8>| packet[if tcp_at == 20 { 9 } else { 6 }] == 6;
        self.sent.iter().filter(is_tcp).map(parse).collect()
    }
}

impl Peer {
    fn tcp_at(&self) -> usize {
        if self.addrs[0].is_ipv4() { 20 } else { 40 }
    }

    /// A packet as it should be.
    fn packet(&self, header: &TcpHeader, text: &[u8]) -> Vec<u8> {
        let mut tcp = vec![0; header.header_len()];
        header.emit(&mut tcp);
        tcp.extend_from_slice(text);
        let (source, destination) = (self.addrs[0], self.addrs[1]);
        let mut packet = match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let mut ip = vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0];
                ip.extend(source.octets());
                ip.extend(destination.octets());
                ip
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let mut ip = vec![0x60, 0, 0, 0, 0, 0, 6, 64];
                ip.extend(source.octets());
                ip.extend(destination.octets());
                ip
            }
            _ => unreachable!("one family"),
        };
        packet.extend(tcp);
        self.seal(&mut packet);
        packet
    }

    /// Sets lengths and sums.
    fn seal(&self, packet: &mut [u8]) {
        let (tcp_at, len) = (self.tcp_at(), packet.len());
        let tcp_len = u32::try_from(len - tcp_at).unwrap();
        if tcp_at == 20 {
            packet[2..4].copy_from_slice(&u16::try_from(len).unwrap().to_be_bytes());
            packet[10..12].fill(0);
            let sum = Sum::default().add_bytes(&packet[..20]).finish();
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
        } else {
            packet[4..6].copy_from_slice(&u16::try_from(tcp_len).unwrap().to_be_bytes());
        }
        packet[tcp_at + 16..tcp_at + 18].fill(0);
        let sum =
            Sum::default().pseudo_header(self.addrs[0], self.addrs[1], IpProtocol::TCP, tcp_len);
        let sum = sum.add_bytes(&packet[tcp_at..]).finish();
        packet[tcp_at + 16..tcp_at + 18].copy_from_slice(&sum.to_be_bytes());
    }

    fn header(&self, flags: TcpFlags) -> TcpHeader {
        TcpHeader {
            source_port: 4_000,
            destination_port: 80,
            seq: SeqNum::new(self.next),
            ack: SeqNum::new(self.ack),
            flags,
            window: 20_000,
            urgent: 0,
            options: TcpOptions {
                timestamps: self.timestamps.then_some(Timestamps {
                    value: self.stamp,
                    echo: 0,
                }),
                ..TcpOptions::NONE
            },
        }
    }

    /// Packets of a few runs, with all that can be wrong with some.
    fn batch(&mut self, packets: &mut Vec<Vec<u8>>) {
        let runs = 1 + self.dice.below(4);
        for _ in 0..runs {
            if self.dice.one_in(3) {
                // Back, or beyond a gap.
                let step = self.dice.below(6 * self.mss);
                self.next = match self.dice.one_in(2) {
                    true => self.next.wrapping_add(step),
                    false => self.next.wrapping_sub(step),
                };
            }
            if self.dice.one_in(4) {
                self.stamp = self.stamp.wrapping_add(self.dice.below(70));
            }
            let most = if self.dice.one_in(8) { 60 } else { 8 };
            let count = 1 + self.dice.below(most);
            let size = match self.dice.one_in(4) {
                true => 1 + self.dice.below(self.mss),
                false => self.mss,
            };
            for _ in 0..count {
                let len = if self.dice.one_in(12) {
                    self.dice.below(size + 1)
                } else {
                    size
                };
                self.one(len, packets);
            }
        }
    }

    fn one(&mut self, len: u32, packets: &mut Vec<Vec<u8>>) {
        if SeqNum::new(self.next.wrapping_add(len)).after(self.edge) {
            return;
        }
        let mut header = self.header(TcpFlags::ACK);
        if self.dice.one_in(12) {
            header.flags |= TcpFlags::PSH;
        }
        let odd = match self.dice.one_in(25) {
            true => self.dice.below(24),
            false => u32::MAX,
        };
        match odd {
            0 => header.flags |= TcpFlags::URG,
            1 => header.flags |= TcpFlags::ECE,
            2 => header.flags |= TcpFlags::CWR,
            3 => header.ack += 1,
            4 => header.window = 0,
            5 => header.urgent = 7,
            6 => header.options.timestamps = None,
            7 => header.seq += 1,
            8 if self.dice.one_in(8) => header.flags |= TcpFlags::FIN,
            9 if self.dice.one_in(8) => header.flags |= TcpFlags::RST,
            10 => header.flags |= TcpFlags::SYN,
            11 => header.flags = TcpFlags::PSH,
            _ => {}
        }
        let mark = if self.dice.one_in(40) { 1 } else { 0 };
        let text: Vec<u8> = (0..len)
            .map(|at| (self.next.wrapping_add(at) % 251) as u8 ^ mark)
            .collect();
        let mut packet = self.packet(&header, &text);
        let tcp_at = self.tcp_at();
        match odd {
            12 => packet[1] = 3,
            13 => packet[tcp_at + 16] ^= 1,
            14 => packet[8] = 3,
            15 => packet.extend([0; 5]),
            16 => packet.truncate(packet.len() - 1),
            17 => packet[tcp_at + 12] = 0xF0,
            18 => packet[tcp_at + 12] = 0x10,
            19 => packet[tcp_at + 12] |= 0x01,
            20 => packet[6] ^= 0x20,
            21 => {
                let at = self.dice.below(u32::try_from(packet.len()).unwrap()) as usize;
                packet[at] ^= 1 << self.dice.below(8);
            }
            22 => packet[0] ^= 0x01,
            _ => {}
        }
        if matches!(odd, 12 | 14 | 19) && self.dice.one_in(2) {
            self.seal(&mut packet);
        }
        if odd == 23 || self.dice.one_in(60) {
            packets.push(packet.clone());
        }
        packets.push(packet);
        if !self.dice.one_in(30) {
            self.next = self.next.wrapping_add(len);
        }
    }
}

/// What came of a batch, and what of reading and writing afterwards.
struct Heard {
    answers: [Vec<(TcpHeader, usize)>; 2],
    text: Vec<u8>,
    state: Option<(Phase, usize)>,
    /// All octets sent, and all that was counted.
    all: (Vec<Vec<u8>>, String),
}

/// What a peer learns of answers, however many they are.
#[derive(PartialEq, Debug)]
struct Learnt {
    last: Option<(SeqNum, bool)>,
    /// Where text begins that was sent.
    text: Option<SeqNum>,
    flags: Vec<u16>,
}

impl Learnt {
    fn of(answers: &[(TcpHeader, usize)]) -> Self {
        let last = answers.last().map(|(header, _)| {
            // How far the window opens depends on how often it is looked at, and so does which timestamp is echoed.
            (header.ack, header.window == 0)
        });
        let text = answers.iter().filter(|(_, len)| *len > 0);
        // How long they are depends on what options are beside them.
        let text = text
            .map(|(header, _)| header.seq)
            .min_by_key(|seq| seq.raw());
        let flags = answers
            .iter()
            .map(|(header, _)| header.flags.without(TcpFlags::PSH).bits());
        let mut flags: Vec<_> = flags.collect();
        flags.sort_unstable();
        flags.dedup();
        Self { last, text, flags }
    }
}

/// The peer opens a connection to each of them.
fn handshake(peer: &mut Peer, hosts: &mut [Host], sack: bool) {
    let now = Instant::ZERO;
    let mut syn = peer.header(TcpFlags::SYN);
    syn.options.mss = Some(1_240);
    syn.options.sack_permitted = sack;
    syn.options.window_scale = Some(3);
    let syn = peer.packet(&syn, &[]);
    peer.next = peer.next.wrapping_add(1);
    for host in hosts.iter_mut() {
        host.take(now, std::slice::from_ref(&syn));
        host.drain(now);
    }
    let (answer, _) = hosts[0].headers(peer.tcp_at())[0];
    peer.ack = answer.seq.raw().wrapping_add(1);
    peer.edge = answer.ack + u32::from(answer.window);
    let ack = peer.packet(&peer.header(TcpFlags::ACK), &[]);
    for host in hosts.iter_mut() {
        host.take(now, std::slice::from_ref(&ack));
        host.drain(now);
    }
    for host in hosts.iter_mut() {
        let (listener, ..) = host.stack.listeners().next().unwrap();
        host.connection = host
            .stack
            .accept(listener)
            .map(|(connection, _)| connection);
    }
}

/// A peer whose family, options and numbers are drawn.
fn peer(mut dice: Dice) -> Peer {
    let v6 = dice.one_in(2);
    let addr = |last: u8| -> IpAddr {
        match v6 {
            true => [0xFD00, 0, 0, 0, 0, 0, 0, last.into()].into(),
            false => [10, 0, 0, last].into(),
        }
    };
    let addrs = [addr(1), addr(2)];
    Peer {
        timestamps: dice.one_in(2),
        next: match dice.one_in(2) {
            true => 0_u32.wrapping_sub(dice.below(60_000)),
            false => dice.below(u32::MAX),
        },
        ack: 0,
        stamp: 0_u32.wrapping_sub(dice.below(50)),
        mss: 1_200,
        edge: SeqNum::default(),
        addrs,
        dice,
    }
}

fn play(seed: u64, paths: &[Path], profile: &Config) {
    let mut peer = peer(Dice(seed));
    let addrs = peer.addrs;
    let sack = peer.dice.one_in(2);
    let hosts = paths
        .iter()
        .map(|path| Host::new(*path, addrs, profile.clone()));
    let mut hosts: Vec<Host> = hosts.collect();
    let mut now = Instant::ZERO;

    handshake(&mut peer, &mut hosts, sack);
    for round in 0..12 {
        now += Duration::from_micros(10_000 + u64::from(peer.dice.below(60_000_u32)));
        let mut packets = Vec::new();
        peer.batch(&mut packets);
        let reads = peer.dice.below(300_000_usize);
        let writes = peer.dice.below(3_usize) * 100;
        let (mut heard, mut edges) = (Vec::new(), Vec::new());
        for host in &mut hosts {
            host.stack.handle_timeout(now);
            host.take(now, &packets);
            let connection = host.connection.unwrap();
            host.drain(now);
            let at_once = host.headers(peer.tcp_at());
            let mut sent = host.sent.clone();
            let mut text = vec![0; reads];
            let got = host.stack.read(now, connection, &mut text);
            text.truncate(got.unwrap_or(0));
            let _written = host.stack.write(now, connection, &vec![9; writes]);
            host.drain(now);
            sent.append(&mut host.sent.clone());
            let (ip, tcp) = (host.stack.counters(), &host.stack.host().counters);
            let counted = format!("{ip:?} {tcp:?}");
            let known = host.stack.connection(connection);
            let last = host.headers(peer.tcp_at()).last().copied();
            if let (Some((last, _)), Some(known)) = (last, known) {
                edges.push(last.ack + (u32::from(last.window) << known.info().rcv_wscale));
            }
            heard.push(Heard {
                answers: [at_once, host.headers(peer.tcp_at())],
                text,
                state: known.map(|known| (known.phase(), known.receivable())),
                all: (sent, counted),
            });
        }
        if edges.len() == hosts.len() {
            peer.edge = edges.into_iter().reduce(SeqNum::earlier_of).unwrap();
        }
        let first = &heard[0];
        for (other, host) in heard.iter().zip(&hosts).skip(1) {
            let what = format!("seed {seed}, round {round}, {:?}", host.path);
            if host.path == Path::InPieces {
                assert_eq!(first.all, other.all, "{what}");
            }
            assert!(first.text == other.text, "{what}: what is read");
            assert_eq!(first.state, other.state, "{what}");
            for (first, other) in first.answers.iter().zip(&other.answers) {
                compare(first, other, &what);
            }
        }
    }
}

/// Whatever came as several and was handed on as one, a peer learns the same, if not as often.
fn compare(first: &[(TcpHeader, usize)], other: &[(TcpHeader, usize)], what: &str) {
    let (learnt, from_fewer) = (Learnt::of(first), Learnt::of(other));
    assert_eq!(learnt.text, from_fewer.text, "{what}");
    // At the start each segment, later every second is acknowledged at once: one that stands for many may have to wait.
    if first.is_empty() || other.is_empty() {
        return;
    }
    assert_eq!(learnt, from_fewer, "{what}");
}

#[test]
fn the_same_is_heard_however_packets_come() {
    for seed in 0..300 {
        play(seed, &PATHS, &Config::default());
    }
}

/// Whoever knows no SACK counts duplicate acknowledgments, and sends again after three (RFC 5681 3.2).
#[test]
fn each_segment_beyond_a_gap_is_answered_where_the_peer_counts() {
    for path in PATHS {
        let addrs = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
        let mut hosts = [Host::new(path, addrs, Config::default())];
        let mut peer = Peer {
            dice: Dice(1),
            addrs,
            timestamps: false,
            next: 5,
            ack: 0,
            stamp: 0,
            mss: 1_000,
            edge: SeqNum::default(),
        };
        handshake(&mut peer, &mut hosts, false);
        peer.next += peer.mss;
        let mut packets = Vec::new();
        for _ in 0..9 {
            packets.push(peer.packet(&peer.header(TcpFlags::ACK), &[7; 1_000]));
            peer.next += peer.mss;
        }
        let [host] = &mut hosts;
        host.take(Instant::ZERO, &packets);
        host.drain(Instant::ZERO);
        let answers = host.headers(peer.tcp_at());
        assert_eq!(answers.len(), 9, "{path:?}");
        assert!(
            answers
                .iter()
                .all(|(header, _)| header.ack == SeqNum::new(6))
        );
    }
}

/// The short way in is no other way: the octets that are sent, and all that is counted, are those of the long one.
#[test]
fn the_short_way_in_differs_in_nothing() {
    let paths = [Path::OneByOne, Path::InPieces];
    for seed in 0..300 {
        play(seed, &paths, &Profile::linux().connection);
    }
}
