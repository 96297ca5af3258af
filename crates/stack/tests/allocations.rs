//! In its stride a connection asks the allocator for nothing, whichever way octets go and by whichever calls.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use allocation_counter::measure;
use bytes::{Bytes, BytesMut};
use common::{CLIENT, CLIENT6, Host, SERVER, SERVER6, endpoint, ip_interface, stack_config};
use core::time::Duration;
use handwave_packet::{ChecksumMark, ChunkPool, PacketBuf, split};
use handwave_stack::{ConnectOptions, ConnectionId, InterfaceConfig, ListenerConfig};
use handwave_tcp::Instant;
use std::collections::VecDeque;

/// Packets that the wire takes before the other end runs.
const BATCH: usize = 64;
const FRAMES: usize = 1 << 16;
/// Room for all that can be read at once: of a slice that is read in part, what is left may move to memory of its size.
const SINK: usize = 1 << 18;
const WARM_UP: usize = 200;
const ROUNDS: usize = 300;

/// How the application's octets enter and leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Calls {
    Copy,
    Chunks,
}

/// How packets cross.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Crossing {
    /// In one piece each, of chunks that go round.
    Frames,
    /// As the stack made them: headers, and slices of the send queue.
    Slices,
    /// Super-segments uncut.
    Whole,
}

struct Pair {
    now: Instant,
    hosts: [(Host, ConnectionId); 2],
    crossing: Crossing,
    chunk: BytesMut,
    pool: ChunkPool,
    packets: VecDeque<PacketBuf>,
}

impl Pair {
    fn new(crossing: Crossing) -> Self {
        let host = |seed, v4, v6| {
            let interface = InterfaceConfig {
                super_segment_max: 65_000,
                ..ip_interface(v4, v6)
            };
            Host::new(seed, stack_config(), interface)
        };
        let (mut client, mut server) = (host(1, CLIENT, CLIENT6), host(2, SERVER, SERVER6));
        let now = Instant::from_secs(1);
        let listener = server.stack.listen(80, ListenerConfig::default()).unwrap();
        let to = endpoint(SERVER, 80);
        let ours = client.stack.connect(now, to, ConnectOptions::default());
        let ours = ours.unwrap();
        for _ in 0..2 {
            for packet in client.drain(now) {
                let wire = server.interface;
                server.stack.handle_packet(now, wire, packet);
            }
            for packet in server.drain(now) {
                let wire = client.interface;
                client.stack.handle_packet(now, wire, packet);
            }
        }
        let theirs = server.stack.accept(listener).unwrap().0;
        let mut pool = ChunkPool::new(FRAMES, BATCH);
        Self {
            now,
            hosts: [(client, ours), (server, theirs)],
            crossing,
            chunk: pool.take(),
            pool,
            packets: VecDeque::new(),
        }
    }

    /// Carries up to a batch of packets from one host to the other.
    fn carry(&mut self, from: usize) {
        let mtu = 1_500;
        while self.packets.len() < BATCH
            && let Some((_, mut packet)) = self.hosts[from].0.stack.poll_transmit(self.now)
        {
            if self.crossing == Crossing::Whole {
                packet.set_segment_size(None);
            }
            let room = if self.crossing == Crossing::Whole {
                packet.len()
            } else {
                mtu
            };
            let mut segments = split::segments(packet);
            if self.crossing == Crossing::Slices {
                self.packets.extend(segments);
                continue;
            }
            loop {
                if self.chunk.capacity() < room {
                    let full = core::mem::replace(&mut self.chunk, self.pool.take());
                    self.pool.put(full);
                }
                if segments.write_next(&mut self.chunk).is_none() {
                    break;
                }
                let frame = self.chunk.split().freeze();
                self.packets.push_back(PacketBuf::from_bytes(frame));
            }
        }
        for packet in &mut self.packets {
            packet.set_checksum(ChecksumMark::Unknown);
        }
        let (to, _) = &mut self.hosts[1 - from];
        to.stack
            .handle_batch(self.now, to.interface, self.packets.drain(..));
    }

    fn write(&mut self, from: usize, calls: Calls, source: &Bytes) {
        let (host, id) = &mut self.hosts[from];
        loop {
            let taken = match calls {
                Calls::Copy => host.stack.write(self.now, *id, source),
                Calls::Chunks => host.stack.write_chunk(self.now, *id, source.clone()),
            };
            if taken.unwrap() < source.len() {
                break;
            }
        }
    }

    /// Reads all there is; returns the number of octets.
    fn read(&mut self, at: usize, calls: Calls, sink: &mut [u8]) -> usize {
        let (host, id) = &mut self.hosts[at];
        let mut octets = 0;
        let mut chunks = [const { Bytes::new() }; 8];
        loop {
            let read = match calls {
                Calls::Copy => host.stack.read(self.now, *id, sink),
                Calls::Chunks => host
                    .stack
                    .read_chunks(self.now, *id, &mut chunks)
                    .map(|count| chunks[..count].iter().map(Bytes::len).sum()),
            };
            match read {
                Ok(read) => octets += read,
                Err(_) => return octets,
            }
        }
    }

    /// Lets the hosts in `senders` write what they may and the others read; returns the octets read.
    fn round(&mut self, senders: &[usize], calls: Calls, source: &Bytes, sink: &mut [u8]) -> usize {
        for &from in senders {
            self.write(from, calls, source);
        }
        self.carry(0);
        let mut octets = self.read(1, calls, sink);
        self.carry(1);
        octets += self.read(0, calls, sink);
        self.now += Duration::from_micros(100);
        for (host, _) in &mut self.hosts {
            if host.stack.poll_timeout().is_some_and(|at| at <= self.now) {
                host.stack.handle_timeout(self.now);
            }
            while host.stack.poll_event().is_some() {}
        }
        octets
    }
}

/// Allocations of `ROUNDS` rounds, and the octets that they move.
fn allocations(crossing: Crossing, calls: Calls, senders: &[usize], size: usize) -> (u64, usize) {
    let mut pair = Pair::new(crossing);
    let (source, mut sink) = (Bytes::from(vec![0x5a; size]), vec![0; SINK]);
    for _ in 0..WARM_UP {
        pair.round(senders, calls, &source, &mut sink);
    }
    let mut octets = 0;
    let info = measure(|| {
        for _ in 0..ROUNDS {
            octets += pair.round(senders, calls, &source, &mut sink);
        }
    });
    (info.count_total, octets)
}

#[test]
fn a_busy_connection_allocates_nothing() {
    for crossing in [Crossing::Frames, Crossing::Whole, Crossing::Slices] {
        for calls in [Calls::Copy, Calls::Chunks] {
            for senders in [&[0][..], &[1], &[0, 1]] {
                let (count, octets) = allocations(crossing, calls, senders, 1 << 16);
                assert!(octets > ROUNDS * 64_000, "{octets} octets");
                assert_eq!(
                    count, 0,
                    "{crossing:?}, {calls:?}, senders {senders:?}: {octets} octets"
                );
            }
        }
    }
}
