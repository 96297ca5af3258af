//! Two Handwave stacks in one thread, joined by queues of packets.

use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant as WallClock;

use bytes::{Bytes, BytesMut};
use handwave_device::Trains;
use handwave_packet::{ChecksumMark, ChunkPool, PacketBuf, Payload, split};
use handwave_stack::{
    ConnectOptions, ConnectionId, InterfaceConfig, InterfaceId, ListenerConfig, ListenerId, Prefix,
    Shard, Stack, StackConfig,
};
use handwave_tcp::{BufferSize, Config, Endpoint, Instant, ListenerPool, Secrets, Tuple};

/// How packets cross from one stack to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Crossing {
    /// Each is copied into one contiguous buffer, as a device does.
    Contiguous,
    /// The same, read as a device reads them that joins what follows on.
    Joined,
    /// Each is handed over as it is: headers and slices of the send queue.
    Slices,
    /// Super-segments of up to 64 KiB are copied whole, as between a TUN and a kernel that take them.
    Whole,
    /// Super-segments are handed over as they are.
    WholeSlices,
}

impl Crossing {
    /// Whether super-segments are not cut.
    const fn is_whole(self) -> bool {
        matches!(self, Self::Whole | Self::WholeSlices)
    }
}

/// How the application's octets enter and leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Calls {
    /// Copied in by `write` and out by `read`.
    Copy,
    /// Handed over in refcounted chunks.
    Chunks,
}

/// What the stacks are told the time is.
#[derive(Debug)]
enum Clock {
    Wall(WallClock),
    /// A microsecond more at each look: the same run does the same work, however long that takes.
    Steps(Cell<u64>),
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
    clock: Clock,
    /// What the application sends, and where it reads to.
    source: Bytes,
    sink: Vec<u8>,
    /// What is on the wire.
    packets: Queue,
    arena: Arena,
    /// Where packets are read to that are joined.
    trains: Trains,
    crossing: Crossing,
    mtu: usize,
    shard: Shard,
    /// The next local port to try.
    local_port: u16,
    /// Of each listener, local ports from which connections belong to this shard, taken in turn once they are known: to find one
    /// is not the shard's work.
    local_ports: Vec<std::collections::VecDeque<u16>>,
    listeners: Vec<ListenerId>,
}

const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SERVER: [u8; 4] = [10, 0, 0, 2];
const PORT_MIN: u16 = 20_000;
const LISTENERS: usize = 64;
/// Local ports that connections to one listener come from, one after the other.
const LOCAL_PORTS: usize = 256;
/// Octets that the application writes and reads at a time, at most.
pub(crate) const APPLICATION: usize = 1 << 16;
const ARENA: usize = 1 << 16;
/// The longest packets that are joined.
pub(crate) const LEN_MAX: u16 = 1_500;
/// Slices that a reader takes at a time.
const CHUNKS: usize = 64;
/// Packets that the wire takes before the other end runs, as many as smoltcp's wire does.
pub(crate) const BATCH: usize = 64;

impl Pair {
    pub(crate) fn new(mtu: u16, buffer: u32, idle: usize, crossing: Crossing) -> Self {
        Self::of_shard((Shard::default(), None), mtu, buffer, idle, crossing)
    }

    /// The same with a server that is one of several shards, whose listeners are in a pool; the client has connections with this
    /// shard only.
    pub(crate) fn of_shard(
        (shard, pool): (Shard, Option<&ListenerPool>),
        mtu: u16,
        buffer: u32,
        idle: usize,
        crossing: Crossing,
    ) -> Self {
        let tcp = Arc::new(Config {
            send_buffer: BufferSize::fixed(buffer),
            receive_buffer: BufferSize::fixed(buffer),
            ..Config::default()
        });
        let host = |last: u8, shard| {
            let usual = StackConfig::default();
            let config = StackConfig {
                tcp: Arc::clone(&tcp),
                connections_max: usual.connections_max.max(idle + LISTENERS),
                ..usual
            };
            let config = config.for_shard(shard);
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
        let (client, server) = (host(1, Shard::default()), host(2, shard));
        let mut pair = Self {
            client,
            server,
            sender: ConnectionId::from_bits(0),
            receiver: ConnectionId::from_bits(0),
            idle: 0,
            clock: Clock::Wall(WallClock::now()),
            source: Bytes::from(vec![0x5a; APPLICATION]),
            sink: vec![0; APPLICATION],
            packets: Queue::default(),
            arena: Arena::new(),
            trains: Trains::new(LEN_MAX.into()).expect("packets that are worth it"),
            crossing,
            mtu: mtu.into(),
            shard,
            local_port: PORT_MIN,
            local_ports: Vec::new(),
            listeners: Vec::new(),
        };
        pair.listen(pool);
        pair.open(idle);
        pair
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(match &self.clock {
            Clock::Wall(started) => u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX),
            Clock::Steps(nanos) => {
                nanos.set(nanos.get() + 1_000);
                nanos.get()
            }
        })
    }

    /// Takes the pair off the wall clock: from here on time passes by the work that is done.
    pub(crate) fn step_by_work(&mut self) {
        let nanos = self.now().as_nanos();
        self.clock = Clock::Steps(Cell::new(nanos));
    }

    fn listen(&mut self, pool: Option<&ListenerPool>) {
        let limits = ListenerConfig {
            accept_queue_max: 1 << 20,
            syn_queue_max: 1 << 20,
            ..ListenerConfig::default()
        };
        let server = &mut self.server.stack;
        let config = Arc::clone(&server.config().tcp);
        self.listeners = (0..LISTENERS)
            .map(|n| match pool {
                None => server.listen(port(n), limits.clone()),
                Some(pool) => {
                    server.listen_pooled(port(n), limits.clone(), Arc::clone(&config), pool.clone())
                }
            })
            .map(|listening| listening.expect("a free port"))
            .collect();
    }

    /// Opens the busy connection and `idle` others, spread over a few ports.
    fn open(&mut self, idle: usize) {
        for n in 0..=idle {
            (self.sender, self.receiver) = self.open_one(n % LISTENERS);
            self.idle = n;
        }
        while self.client.stack.poll_event().is_some() {}
        while self.server.stack.poll_event().is_some() {}
    }

    fn open_one(&mut self, listener: usize) -> (ConnectionId, ConnectionId) {
        let now = self.now();
        let to = Endpoint::new(SERVER.into(), port(listener));
        let options = ConnectOptions {
            local_port: self.local_port(listener, to),
            ..ConnectOptions::default()
        };
        let ours = self.client.stack.connect(now, to, options);
        while self.exchange() {}
        let theirs = self.server.stack.accept(self.listeners[listener]);
        (
            ours.expect("a free port"),
            theirs.expect("the handshake is complete").0,
        )
    }

    /// The local port of the client for the next connection; any if there is only one shard and nobody has asked for the same work
    /// as with several.
    fn local_port(&mut self, listener: usize, to: Endpoint) -> Option<u16> {
        if let Some(known) = self.local_ports.get_mut(listener) {
            known.rotate_left(1);
            return known.front().copied();
        }
        (self.shard.count() > 1).then(|| self.port_of_shard(to))
    }

    /// A local port of the client for which the connection belongs to this shard.
    fn port_of_shard(&mut self, to: Endpoint) -> u16 {
        loop {
            self.local_port = self.local_port.checked_add(1).unwrap_or(PORT_MIN);
            let from = Endpoint::new(CLIENT.into(), self.local_port);
            if self.server.stack.shard_of(&Tuple::new(to, from)) == self.shard.index() {
                return self.local_port;
            }
        }
    }

    /// Opens and resets connections for `span`; returns how many and in how many seconds.
    pub(crate) fn handshakes(&mut self, span: std::time::Duration) -> (u64, f64) {
        if self.local_ports.is_empty() {
            self.local_ports = (0..LISTENERS)
                .map(|n| {
                    let to = Endpoint::new(SERVER.into(), port(n));
                    (0..LOCAL_PORTS).map(|_| self.port_of_shard(to)).collect()
                })
                .collect();
        }
        let (mut opened, begin) = (0, WallClock::now());
        while begin.elapsed() < span {
            for n in 0..LISTENERS {
                let (ours, theirs) = self.open_one(n);
                let now = self.now();
                self.client.stack.abort(now, ours);
                self.server.stack.abort(now, theirs);
                while self.exchange() {}
                opened += 1;
            }
            for host in [&mut self.client, &mut self.server] {
                while host.stack.poll_event().is_some() {}
            }
        }
        (opened, begin.elapsed().as_secs_f64())
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
        let queue = &mut self.packets;
        let mut on_wire = 0;
        while on_wire < BATCH
            && let Some((_, mut packet)) = from.stack.poll_transmit(now)
        {
            let mtu = if self.crossing.is_whole() {
                packet.set_segment_size(None);
                packet.len()
            } else {
                self.mtu
            };
            let mut segments = split::segments(packet);
            on_wire += match self.crossing {
                Crossing::Slices | Crossing::WholeSlices => queue.fill(|place| {
                    let filled = segments.next_into(place);
                    place.set_checksum(ChecksumMark::Unknown);
                    filled
                }),
                Crossing::Joined => queue.append(|packets| {
                    self.trains.receive(usize::MAX, packets, |chunk| {
                        segments.write_next(chunk).map(|_| ())
                    })
                }),
                Crossing::Contiguous | Crossing::Whole => queue.fill(|place| {
                    let frame = self.arena.next_frame(mtu, &mut segments);
                    frame.is_some_and(|frame| {
                        place.restart(frame.into());
                        true
                    })
                }),
            };
        }
        let any = on_wire > 0;
        to.stack
            .handle_batch_in_place(now, to.wire, queue.packets());
        queue.clear();
        any
    }

    /// Moves octets for `span`; returns how many arrived and in how many seconds.
    pub(crate) fn transfer(&mut self, span: std::time::Duration, calls: Calls) -> (u64, f64) {
        let mut arrived = 0;
        let begin = WallClock::now();
        loop {
            for _ in 0..16 {
                arrived += self.round(calls);
            }
            if begin.elapsed() >= span {
                break;
            }
        }
        (arrived, begin.elapsed().as_secs_f64())
    }

    fn round(&mut self, calls: Calls) -> u64 {
        let now = self.now();
        let source = &self.source;
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
        let arrived = self.read(now, calls);
        self.carry(now, false);
        for host in [&mut self.client, &mut self.server] {
            if host.stack.poll_timeout().is_some_and(|at| at <= now) {
                host.stack.handle_timeout(now);
            }
            while host.stack.poll_event().is_some() {}
        }
        arrived
    }

    fn read(&mut self, now: Instant, calls: Calls) -> u64 {
        let (stack, id, sink) = (&mut self.server.stack, self.receiver, &mut self.sink);
        let mut arrived = 0;
        match calls {
            Calls::Copy => {
                while let Ok(octets) = stack.read(now, id, sink) {
                    // Somebody looks at it: what nobody reads, an optimiser does not copy.
                    black_box(&mut sink[..octets]);
                    arrived += octets as u64;
                }
            }
            Calls::Chunks => {
                let mut chunks = [const { Bytes::new() }; CHUNKS];
                while let Ok(count) = stack.read_chunks(now, id, &mut chunks) {
                    let chunks = black_box(&chunks[..count]);
                    let octets: usize = chunks.iter().map(Bytes::len).sum();
                    arrived += octets as u64;
                }
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

/// Packets in places that are used again: none is moved.
#[derive(Debug, Default)]
struct Queue {
    places: Vec<PacketBuf>,
    used: usize,
}

impl Queue {
    /// Has places filled until `next` says that there was nothing left for one; returns how many were.
    fn fill(&mut self, mut next: impl FnMut(&mut PacketBuf) -> bool) -> usize {
        let before = self.used;
        loop {
            if self.used == self.places.len() {
                self.places.push(PacketBuf::default());
            }
            if !next(&mut self.places[self.used]) {
                return self.used - before;
            }
            self.used += 1;
        }
    }

    /// Has packets appended behind those that there are.
    fn append<R>(&mut self, more: impl FnOnce(&mut Vec<PacketBuf>) -> R) -> R {
        self.places.truncate(self.used);
        let result = more(&mut self.places);
        self.used = self.places.len();
        result
    }

    fn packets(&mut self) -> &mut [PacketBuf] {
        &mut self.places[..self.used]
    }

    /// Empties all places: what is left in one keeps memory alive.
    fn clear(&mut self) {
        for packet in self.packets() {
            if !packet.is_empty() {
                packet.restart(Payload::new());
            }
        }
        self.used = 0;
    }
}

/// What frames are carved from: chunks that go round, as a device's do, so that no packet costs an allocation.
#[derive(Debug)]
struct Arena {
    chunk: BytesMut,
    pool: ChunkPool,
}

impl Arena {
    fn new() -> Self {
        let mut pool = ChunkPool::new(ARENA, BATCH);
        let chunk = pool.take();
        Self { chunk, pool }
    }

    /// The next segment in one piece.
    fn next_frame(&mut self, mtu: usize, segments: &mut split::Segments) -> Option<Bytes> {
        if self.chunk.capacity() < mtu {
            let full = std::mem::replace(&mut self.chunk, self.pool.take());
            self.pool.put(full);
        }
        segments.write_next(&mut self.chunk)?;
        Some(self.chunk.split().freeze())
    }
}
