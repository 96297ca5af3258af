//! Two Handwave stacks in one thread, joined by queues of packets.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant as WallClock;

use bytes::{Bytes, BytesMut};
use handwave_packet::{ChecksumMark, PacketBuf, split};
use handwave_stack::{
    ConnectOptions, ConnectionId, InterfaceConfig, InterfaceId, ListenerConfig, ListenerId, Prefix,
    Stack, StackConfig,
};
use handwave_tcp::{BufferSize, Config, Endpoint, Instant, Secrets};

/// How packets cross from one stack to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crossing {
    /// Each is copied into one contiguous buffer, as a device does.
    Contiguous,
    /// Each is handed over as it is: headers and slices of the send queue.
    Slices,
}

/// How the application's octets enter and leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Calls {
    /// Copied in by `write` and out by `read`.
    Copy,
    /// Handed over in refcounted chunks.
    Chunks,
}

#[derive(Debug)]
struct Host {
    stack: Stack,
    wire: InterfaceId,
}

/// A client and a server, an established connection between them, and idle ones beside it.
#[derive(Debug)]
pub(crate) struct Pair {
    client: Host,
    server: Host,
    sender: ConnectionId,
    receiver: ConnectionId,
    idle: usize,
    started: WallClock,
    packets: VecDeque<PacketBuf>,
    arena: BytesMut,
    crossing: Crossing,
    mtu: usize,
}

const SERVER: [u8; 4] = [10, 0, 0, 2];
const LISTENERS: usize = 16;
const ARENA: usize = 1 << 16;
/// Packets that the wire takes before the other end runs, as many as smoltcp's wire does.
pub(crate) const BATCH: usize = 64;

impl Pair {
    pub(crate) fn new(mtu: u16, buffer: u32, idle: usize, crossing: Crossing) -> Self {
        let tcp = Arc::new(Config {
            send_buffer: BufferSize::fixed(buffer),
            receive_buffer: BufferSize::fixed(buffer),
            ..Config::default()
        });
        let host = |last: u8| {
            let config = StackConfig {
                tcp: Arc::clone(&tcp),
                ..StackConfig::default()
            };
            let mut stack = Stack::new(config, Secrets::from_seed(last.into()), Instant::ZERO);
            let address = Prefix::new([10, 0, 0, last].into(), 24);
            // What leaves is cut at the edge, where a device without offload would do it.
            let interface = InterfaceConfig {
                super_segment_max: 65_000,
                ..InterfaceConfig::ip(mtu, [address])
            };
            let wire = stack.add_interface(interface).expect("one address");
            Host { stack, wire }
        };
        let (client, server) = (host(1), host(2));
        let mut pair = Self {
            client,
            server,
            sender: ConnectionId::from_bits(0),
            receiver: ConnectionId::from_bits(0),
            idle: 0,
            started: WallClock::now(),
            packets: VecDeque::new(),
            arena: BytesMut::new(),
            crossing,
            mtu: mtu.into(),
        };
        pair.open(idle);
        pair
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// Opens the busy connection and `idle` others, spread over a few ports.
    fn open(&mut self, idle: usize) {
        let limits = ListenerConfig {
            accept_queue_max: 1 << 20,
            syn_queue_max: 1 << 20,
            ..ListenerConfig::default()
        };
        let listeners: Vec<ListenerId> = (0..LISTENERS)
            .map(|n| {
                self.server
                    .stack
                    .listen(port(n), limits.clone())
                    .expect("a free port")
            })
            .collect();
        for n in 0..=idle {
            let now = self.now();
            let to = Endpoint::new(SERVER.into(), port(n % LISTENERS));
            let ours = self
                .client
                .stack
                .connect(now, to, ConnectOptions::default())
                .expect("a free port");
            while self.exchange() {}
            let theirs = self
                .server
                .stack
                .accept(listeners[n % LISTENERS])
                .expect("the handshake is complete")
                .0;
            (self.sender, self.receiver) = (ours, theirs);
            self.idle = n;
        }
        while self.client.stack.poll_event().is_some() {}
        while self.server.stack.poll_event().is_some() {}
    }

    /// Carries what both have to send; `false` when neither has anything.
    fn exchange(&mut self) -> bool {
        let now = self.now();
        let there = self.carry(now, true);
        let back = self.carry(now, false);
        there || back
    }

    fn carry(&mut self, now: Instant, forward: bool) -> bool {
        let (from, to) = if forward {
            (&mut self.client, &mut self.server)
        } else {
            (&mut self.server, &mut self.client)
        };
        while self.packets.len() < BATCH
            && let Some((_, packet)) = from.stack.poll_transmit(now)
        {
            let mut segments = split::segments(packet);
            match self.crossing {
                Crossing::Slices => self.packets.extend(segments),
                Crossing::Contiguous => {
                    while let Some(frame) = next_frame(&mut self.arena, self.mtu, &mut segments) {
                        self.packets.push_back(frame);
                    }
                }
            }
        }
        for packet in &mut self.packets {
            packet.set_checksum(ChecksumMark::Unknown);
        }
        let any = !self.packets.is_empty();
        to.stack.handle_batch(now, to.wire, self.packets.drain(..));
        any
    }

    /// Moves octets for `span`; returns how many arrived and in how many seconds.
    pub(crate) fn transfer(&mut self, span: std::time::Duration, calls: Calls) -> (u64, f64) {
        let source = Bytes::from(vec![0x5a; 1 << 16]);
        let mut sink = vec![0; 1 << 16];
        let mut arrived = 0;
        let begin = WallClock::now();
        loop {
            for _ in 0..16 {
                arrived += self.round(&source, &mut sink, calls);
            }
            if begin.elapsed() >= span {
                break;
            }
        }
        (arrived, begin.elapsed().as_secs_f64())
    }

    fn round(&mut self, source: &Bytes, sink: &mut [u8], calls: Calls) -> u64 {
        let now = self.now();
        loop {
            let taken = match calls {
                Calls::Copy => self.client.stack.write(now, self.sender, source),
                Calls::Chunks => self
                    .client
                    .stack
                    .write_chunk(now, self.sender, source.clone()),
            };
            if taken.expect("the connection lives") < source.len() {
                break;
            }
        }
        self.carry(now, true);
        let arrived = self.read(now, sink, calls);
        self.carry(now, false);
        for host in [&mut self.client, &mut self.server] {
            if host.stack.poll_timeout().is_some_and(|at| at <= now) {
                host.stack.handle_timeout(now);
            }
            while host.stack.poll_event().is_some() {}
        }
        arrived
    }

    fn read(&mut self, now: Instant, sink: &mut [u8], calls: Calls) -> u64 {
        let mut arrived = 0;
        loop {
            let read = match calls {
                Calls::Copy => self.server.stack.read(now, self.receiver, sink),
                Calls::Chunks => self
                    .server
                    .stack
                    .read_chunk(now, self.receiver, usize::MAX)
                    .map(|chunk| chunk.len()),
            };
            match read {
                Ok(octets) => arrived += octets as u64,
                Err(_) => break,
            }
        }
        arrived
    }

    /// Connections open beside the busy one.
    pub(crate) const fn idle(&self) -> usize {
        self.idle
    }
}

fn port(n: usize) -> u16 {
    1000 + u16::try_from(n).unwrap_or(0)
}

/// The next segment in one piece, carved from a chunk that many packets share.
fn next_frame(
    arena: &mut BytesMut,
    mtu: usize,
    segments: &mut split::Segments,
) -> Option<PacketBuf> {
    if arena.capacity() < mtu && !arena.try_reclaim(ARENA) {
        *arena = BytesMut::with_capacity(ARENA);
    }
    segments.write_next(arena)?;
    Some(PacketBuf::from_bytes(arena.split().freeze()))
}
