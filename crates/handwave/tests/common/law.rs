//! The law of the way in: the same packets one by one, in pieces, in a batch whose segments are coupled, and joined as they are read, lead to
//! the same octets, the same states and variables, and to answers from which a peer learns the same.
//!
//! The numbers come from `crate::dice::Dice`: a seed's in the tests, a fuzzer's octets in `fuzz/`, which includes this file.
#![allow(clippy::unwrap_used, dead_code, reason = "test code")]

use std::net::IpAddr;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::time::Duration;

use crate::dice::Dice;
use handwave_device::{Device, Framing, Trains, Tun};
use handwave_packet::{ChecksumMark, PacketBuf};
use handwave_stack::{
    ConnectionId, InterfaceConfig, InterfaceId, ListenerConfig, Prefix, Stack, StackConfig,
};
use handwave_tcp::{BufferSize, Config, Instant, Phase, Repair, Secrets, TcpInfo};
use handwave_wire::{
    IpProtocol, SackBlock, SackBlocks, SeqNum, Sum, TcpFlags, TcpHeader, TcpOptions, Timestamps,
};

/// How packets reach the stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Path {
    OneByOne,
    /// One by one, each in two pieces: the short way in, which is for packets in one piece, is passed by.
    InPieces,
    /// One by one, each in many pieces of any length.
    InSlices,
    Batch,
    /// A batch whose packets are in pieces.
    BatchInPieces,
    Joined,
    /// Joined, and nobody has looked at a checksum, as between two machines on one computer.
    Offloaded,
    /// The same through a descriptor that has a virtio header in front of each packet, of which everything that need not be right is wrong.
    Kernel,
}

pub(crate) const PATHS: [Path; 8] = [
    Path::OneByOne,
    Path::InPieces,
    Path::InSlices,
    Path::Batch,
    Path::BatchInPieces,
    Path::Joined,
    Path::Offloaded,
    Path::Kernel,
];

/// What the peer does beside sending text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manners {
    /// It sends no more than the window allows.
    pub(crate) keeps_to_window: bool,
    /// Octets that the host buffers.
    pub(crate) buffer: u32,
    /// What the host sends, and when, depends on how often it has looked: only what it has received is compared.
    pub(crate) only_received: bool,
}

impl Manners {
    /// A window that nobody exceeds.
    pub(crate) const GOOD: Self = Self {
        keeps_to_window: true,
        buffer: 1 << 20,
        only_received: false,
    };
}

/// A host with a connection, and what it has been seen to do.
pub(crate) struct Host {
    stack: Stack,
    wire: InterfaceId,
    connection: Option<ConnectionId>,
    trains: Trains,
    /// A device with a virtio header in front of each packet, and its other end.
    kernel: (Tun, UnixDatagram),
    path: Path,
    sent: Vec<Vec<u8>>,
}

/// The peer: it can say anything.
pub(crate) struct Peer {
    pub(crate) dice: Dice,
    addrs: [IpAddr; 2],
    timestamps: bool,
    sack: bool,
    manners: Manners,
    /// What the host has sent for certain ends here, and what is acknowledged begins at `ack`.
    sent: u32,
    window: u16,
    /// It changes its window, and sends nothing again: of text that fills a gap, and more that waits behind it, a segment alone is old once
    /// the one before has filled the gap, and so is its window.
    changes_window: bool,
    blocks: SackBlocks,
    /// The next octet to send, what is acknowledged, and the timestamp.
    pub(crate) next: u32,
    ack: u32,
    stamp: u32,
    pub(crate) mss: u32,
    /// The right edges of the windows that the hosts have told last, and the leftmost: how far one opens depends on how often the host has
    /// looked at it.
    edges: Vec<SeqNum>,
    edge: SeqNum,
}

impl Host {
    pub(crate) fn new(path: Path, addrs: [IpAddr; 2], profile: Config, manners: Manners) -> Self {
        let config = StackConfig {
            tcp: Arc::new(Config {
                receive_buffer: BufferSize::fixed(manners.buffer),
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
            kernel: kernel(),
            path,
            sent: Vec::new(),
        }
    }

    pub(crate) fn take(&mut self, now: Instant, packets: &[Vec<u8>]) {
        match self.path {
            Path::OneByOne => {
                for packet in packets {
                    let packet = PacketBuf::from(packet.clone());
                    self.stack.handle_packet(now, self.wire, packet);
                }
            }
            Path::InPieces | Path::InSlices => {
                for packet in packets {
                    let packet = self.in_pieces(packet);
                    self.stack.handle_packet(now, self.wire, packet);
                }
            }
            Path::BatchInPieces => {
                let mut batch: Vec<_> = packets
                    .iter()
                    .map(|packet| self.in_pieces(packet))
                    .collect();
                self.stack.handle_batch_in_place(now, self.wire, &mut batch);
            }
            Path::Batch => {
                let packets = packets.iter().map(|packet| PacketBuf::from(packet.clone()));
                self.stack.handle_batch(now, self.wire, packets);
            }
            Path::Joined | Path::Offloaded | Path::Kernel => {
                let (mut packets, mut batch) = (packets.iter(), Vec::new());
                let count = packets.len();
                let taken = self.trains.receive(count, &mut batch, |chunk| {
                    chunk.extend_from_slice(packets.next()?);
                    Some(())
                });
                assert_eq!(taken, count);
                if self.path == Path::Kernel {
                    batch = self.through_kernel(&batch);
                }
                if self.path == Path::Offloaded {
                    let verified = batch
                        .iter_mut()
                        .filter(|packet| packet.checksum() == ChecksumMark::Verified);
                    verified.for_each(|packet| packet.set_checksum(ChecksumMark::Partial));
                }
                self.stack.handle_batch_in_place(now, self.wire, &mut batch);
            }
        }
    }

    /// Takes packets as a device of another kind has read them.
    pub(crate) fn take_batch(&mut self, now: Instant, batch: &mut [PacketBuf]) {
        self.stack.handle_batch_in_place(now, self.wire, batch);
    }

    fn in_pieces(&self, packet: &[u8]) -> PacketBuf {
        // No number of a packet decides how it is cut, and yet each is cut otherwise.
        let mut size = match self.path {
            Path::InSlices => packet.len() % 89 + 1,
            _ => 14,
        };
        let mut rest = packet;
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let (piece, more) = rest.split_at(rest.len().min(size));
            pieces.push(piece.to_vec().into());
            rest = more;
            size = match self.path {
                Path::InSlices => size * 7 % 1_021 + 1,
                _ => usize::MAX,
            };
        }
        PacketBuf::with_payload(pieces.into_iter().collect())
    }

    /// What comes of the packets where they have to pass a kernel.
    fn through_kernel(&mut self, batch: &[PacketBuf]) -> Vec<PacketBuf> {
        let mut passed = Vec::new();
        for packet in batch {
            let octets = packet.to_vec();
            let noise = octets
                .iter()
                .fold(0_u8, |sum, octet| sum.rotate_left(1) ^ octet);
            // Flags, type, length of the headers, size, where the sum begins, and where it goes. Who knows what they are cuts and sums.
            let mut front = [noise; 10];
            front[0] = match packet.checksum() {
                ChecksumMark::Unknown => noise & 0xFC,
                _ if noise.is_multiple_of(2) => noise & 0xFC | 1,
                _ => noise & 0xFC | 2,
            };
            let is_v4 = octets.first().is_some_and(|first| first >> 4 == 4);
            front[1] = match packet.segment_size() {
                None => 0,
                Some(_) if is_v4 => 1,
                Some(_) => 4,
            } | noise & 0x80;
            let size = packet.segment_size().unwrap_or(0).to_ne_bytes();
            front[4..6].copy_from_slice(&size);
            let (tun, kernel) = &mut self.kernel;
            kernel.send(&[&front[..], &octets].concat()).unwrap();
            assert_eq!(tun.receive(2, &mut passed).unwrap(), 1);
        }
        passed
    }

    pub(crate) fn drain(&mut self, now: Instant) {
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

    pub(crate) fn headers(&self, tcp_at: usize) -> Vec<(TcpHeader, usize)> {
        let parse = |packet: &Vec<u8>| {
            let (header, len) = TcpHeader::parse(&packet[tcp_at..]).unwrap();
            (header, packet.len() - tcp_at - len)
        };
        let is_tcp = |packet: &&Vec<u8>| packet[if tcp_at == 20 { 9 } else { 6 }] == 6;
        self.sent.iter().filter(is_tcp).map(parse).collect()
    }
}

impl Peer {
    pub(crate) fn tcp_at(&self) -> usize {
        if self.addrs[0].is_ipv4() { 20 } else { 40 }
    }

    /// A packet as it should be.
    pub(crate) fn packet(&self, header: &TcpHeader, text: &[u8]) -> Vec<u8> {
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

    pub(crate) fn header(&self, flags: TcpFlags) -> TcpHeader {
        TcpHeader {
            source_port: 4_000,
            destination_port: 80,
            seq: SeqNum::new(self.next),
            ack: SeqNum::new(self.ack),
            flags,
            window: self.window,
            urgent: 0,
            options: TcpOptions {
                sack: self.blocks,
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
            if self.dice.one_in(3) && !self.changes_window {
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
            self.acknowledge();
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

    /// What the next run acknowledges, and the window it offers.
    fn acknowledge(&mut self) {
        let flight = self.sent.wrapping_sub(self.ack);
        if flight > 0 && flight < 1 << 30 && self.dice.one_in(2) {
            self.ack = self.ack.wrapping_add(self.dice.below(flight + 1));
        }
        if self.changes_window && self.dice.one_in(6) {
            self.window = self.dice.pick(&[0, 1, 150, 2_500, 20_000, 65_535]);
        }
        self.blocks = SackBlocks::new();
        let flight = self.sent.wrapping_sub(self.ack);
        if self.sack && flight > 1 && flight < 1 << 30 && self.dice.one_in(3) {
            for _ in 0..=self.dice.below(3_u32) {
                let left = self.dice.below(flight);
                let right = left + 1 + self.dice.below(flight - left);
                let [left, right] = [left, right].map(|at| SeqNum::new(self.ack.wrapping_add(at)));
                let _fits = self.blocks.push(SackBlock { left, right });
            }
        }
    }

    fn one(&mut self, len: u32, packets: &mut Vec<Vec<u8>>) {
        let end = SeqNum::new(self.next.wrapping_add(len));
        let agreed = self.edges.iter().all(|edge| *edge == self.edge);
        if (self.manners.keeps_to_window || !agreed) && end.after(self.edge) {
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
            0 => {
                header.flags |= TcpFlags::URG;
                header.urgent = self.dice.pick(&[0, 1, 3_000, 65_535]);
            }
            1 => header.flags |= TcpFlags::ECE,
            2 => header.flags |= TcpFlags::CWR,
            // Of what one host has sent, and another may not have.
            3 if !self.sack && !self.manners.only_received => header.ack += 1,
            4 if self.changes_window => header.window = 0,
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

/// A peer with nothing but the plainest numbers.
impl Peer {
    pub(crate) fn without_options(dice: Dice, addrs: [IpAddr; 2]) -> Self {
        Self {
            dice,
            addrs,
            timestamps: false,
            sack: false,
            changes_window: false,
            manners: Manners::GOOD,
            sent: 0,
            window: 20_000,
            blocks: SackBlocks::new(),
            next: 5,
            ack: 0,
            stamp: 0,
            mss: 1_000,
            edges: Vec::new(),
            edge: SeqNum::default(),
        }
    }
}

/// What came of a batch, and what of reading and writing afterwards.
struct Heard {
    answers: [Vec<(TcpHeader, usize)>; 2],
    text: Vec<u8>,
    /// The right edge of the window and the end of what was sent, as the last answer had them.
    edge: Option<SeqNum>,
    end: Option<SeqNum>,
    /// Octets up to the urgent pointer.
    urgent: u32,
    state: Option<State>,
    /// All octets sent, and all that was counted.
    all: (Vec<Vec<u8>>, String),
}

/// What a connection is after a batch, as far as it does not depend on how often it was looked at.
#[derive(PartialEq, Debug)]
struct State {
    phase: Phase,
    /// Octets that can be read; that arrived in order; that were acknowledged, are not yet, and have not been sent.
    text: [u64; 5],
    /// The peer's window, the congestion window, the slow-start threshold; octets SACKed, lost, sent again.
    numbers: [u32; 6],
    /// Segments in all, and with text.
    segments: [u64; 2],
    repair: Repair,
    times: [Option<Duration>; 4],
    fin_received: bool,
}

impl State {
    fn of(info: &TcpInfo, has_sack: bool) -> Self {
        let mut state = Self::with_all(info);
        if info.phase == Phase::Closed {
            // What the end of the connection had before or behind it counts or not, and nothing is sent any more.
            state.segments = [0; 2];
            (state.text[3], state.text[4]) = (0, 0);
        }
        if has_sack {
            // How long a segment is depends on the options beside its text, and how much fits the window on that.
            state.text[3] += core::mem::take(&mut state.text[4]);
            state.numbers = [info.snd_wnd; 6];
            state.repair = Repair::Open;
            state.times = [None; 4];
        }
        state
    }

    fn with_all(info: &TcpInfo) -> Self {
        Self {
            phase: info.phase,
            text: [
                info.receivable.into(),
                info.bytes_received,
                info.bytes_acked,
                info.unacked.into(),
                info.notsent.into(),
            ],
            numbers: [
                info.snd_wnd,
                info.snd_cwnd,
                info.snd_ssthresh,
                info.sacked,
                info.lost,
                info.retrans,
            ],
            segments: [info.segs_in, info.data_segs_in],
            repair: info.repair,
            times: [Some(info.rto), info.rtt, info.rttvar, info.min_rtt],
            fin_received: info.fin_received,
        }
    }
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
    fn of(answers: &[(TcpHeader, usize)], has_sack: bool) -> Self {
        let last = answers.last().map(|(header, _)| {
            // How far the window opens depends on how often it is looked at, and so does which timestamp is echoed.
            (header.ack, header.window == 0)
        });
        let text = answers.iter().filter(|(_, len)| *len > 0);
        // How long they are depends on what options are beside them, and with SACK these depend on how often was answered.
        let text = text
            .filter(|_| !has_sack)
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
pub(crate) fn handshake(peer: &mut Peer, hosts: &mut [Host]) {
    let now = Instant::ZERO;
    let mut syn = peer.header(TcpFlags::SYN);
    syn.options.mss = Some(1_240);
    syn.options.sack_permitted = peer.sack;
    syn.options.window_scale = Some(3);
    let syn = peer.packet(&syn, &[]);
    peer.next = peer.next.wrapping_add(1);
    for host in hosts.iter_mut() {
        host.take(now, std::slice::from_ref(&syn));
        host.drain(now);
    }
    let (answer, _) = hosts[0].headers(peer.tcp_at())[0];
    peer.ack = answer.seq.raw().wrapping_add(1);
    peer.sent = peer.ack;
    peer.edge = answer.ack + u32::from(answer.window);
    peer.edges = vec![peer.edge; hosts.len()];
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

fn kernel() -> (Tun, UnixDatagram) {
    let (ours, kernel) = UnixDatagram::pair().unwrap();
    let tun = Tun::from_fd(ours.into(), 1_500, Framing::VirtioNet).unwrap();
    (tun, kernel)
}

/// A peer whose family, options and numbers are drawn.
fn peer(mut dice: Dice, manners: Manners) -> Peer {
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
        edges: Vec::new(),
        edge: SeqNum::default(),
        sack: dice.one_in(2),
        changes_window: dice.one_in(2),
        manners,
        sent: 0,
        window: 20_000,
        blocks: SackBlocks::new(),
        addrs,
        dice,
    }
}

pub(crate) fn play(dice: Dice, paths: &[Path], profile: &Config, manners: Manners, what: &str) {
    let mut peer = peer(dice, manners);
    let addrs = peer.addrs;
    let hosts = paths
        .iter()
        .map(|path| Host::new(*path, addrs, profile.clone(), manners));
    let mut hosts: Vec<Host> = hosts.collect();
    let mut now = Instant::ZERO;

    handshake(&mut peer, &mut hosts);
    for round in 0..12 {
        now += Duration::from_micros(10_000 + u64::from(peer.dice.below(60_000_u32)));
        let mut packets = Vec::new();
        peer.batch(&mut packets);
        let reads = peer.dice.below(300_000_usize);
        let writes = peer.dice.below(3_usize) * peer.dice.pick(&[100, 100, 4_000]);
        let mut heard = Vec::new();
        for host in &mut hosts {
            heard.push(host.hear(now, &peer, &packets, reads, writes));
        }
        peer.learn(&heard);
        let first = &heard[0];
        for (other, host) in heard.iter().zip(&hosts).skip(1) {
            let what = format!("{what}, round {round}, {:?}", host.path);
            if matches!(host.path, Path::InPieces | Path::InSlices) {
                assert_eq!(first.all, other.all, "{what}");
            }
            assert!(first.text == other.text, "{what}: what is read");
            assert_eq!(first.state, other.state, "{what}");
            assert_eq!(first.urgent, other.urgent, "{what}");
            if !manners.only_received {
                for (first, other) in first.answers.iter().zip(&other.answers) {
                    compare(first, other, peer.sack, &what);
                }
            }
        }
    }
}

impl Host {
    /// Takes packets, then reads and writes.
    fn hear(
        &mut self,
        now: Instant,
        peer: &Peer,
        packets: &[Vec<u8>],
        reads: usize,
        writes: usize,
    ) -> Heard {
        self.stack.handle_timeout(now);
        self.take(now, packets);
        let connection = self.connection.unwrap();
        self.drain(now);
        let at_once = self.headers(peer.tcp_at());
        let mut sent = self.sent.clone();
        let mut text = vec![0; reads];
        let got = self.stack.read(now, connection, &mut text);
        text.truncate(got.unwrap_or(0));
        let _written = self.stack.write(now, connection, &vec![9; writes]);
        self.drain(now);
        sent.append(&mut self.sent.clone());
        let (ip, tcp) = (self.stack.counters(), &self.stack.host().counters);
        let counted = format!("{ip:?} {tcp:?}");
        let known = self.stack.connection(connection);
        let urgent = known.map_or(0, |known| known.urgent_pending());
        let info = known.map(|known| known.info());
        let answers = [at_once, self.headers(peer.tcp_at())];
        let last = answers.iter().flatten().last();
        let edge = last
            .zip(info.as_ref())
            .map(|((last, _), info)| last.ack + (u32::from(last.window) << info.rcv_wscale));
        let end = answers
            .iter()
            .flatten()
            .map(|(header, len)| header.seq + header.seq_len(*len));
        Heard {
            edge,
            end: end.max_by_key(|end| end.raw().wrapping_sub(peer.ack) as i32),
            answers,
            text,
            urgent,
            state: info
                .as_ref()
                .map(|info| State::of(info, peer.sack || peer.manners.only_received)),
            all: (sent, counted),
        }
    }
}

impl Peer {
    /// Keeps what all hosts have said for certain.
    fn learn(&mut self, heard: &[Heard]) {
        for (edge, heard) in self.edges.iter_mut().zip(heard) {
            *edge = heard.edge.unwrap_or(*edge);
        }
        let leftmost = self.edges.iter().copied().reduce(SeqNum::earlier_of);
        self.edge = leftmost.unwrap_or(self.edge);
        let ends: Option<Vec<_>> = heard.iter().map(|heard| heard.end).collect();
        if let Some(end) = ends.and_then(|ends| ends.into_iter().reduce(SeqNum::earlier_of))
            && end.after(SeqNum::new(self.sent))
        {
            self.sent = end.raw();
        }
    }
}

/// Whatever came as several and was handed on as one, a peer learns the same, if not as often.
fn compare(first: &[(TcpHeader, usize)], other: &[(TcpHeader, usize)], has_sack: bool, what: &str) {
    let [learnt, from_fewer] = [first, other].map(|answers| Learnt::of(answers, has_sack));
    assert_eq!(learnt.text, from_fewer.text, "{what}");
    // At the start each segment, later every second is acknowledged at once: one that stands for many may have to wait.
    if first.is_empty() || other.is_empty() {
        return;
    }
    assert_eq!(learnt, from_fewer, "{what}");
}
