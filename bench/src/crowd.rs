//! Two stacks in one thread with many connections between them, every one of them known by name.

use std::sync::Arc;
use std::time::{Duration, Instant as WallClock};

use bytes::{Bytes, BytesMut};
use handwave_packet::{PacketBuf, Payload};
use handwave_stack::{
    ConnectOptions, ConnectionId, InterfaceConfig, InterfaceId, ListenerConfig, ListenerId, Prefix,
    SocketSummary, Stack, StackConfig,
};
use handwave_tcp::{Config, Connection, Context, Endpoint, Instant, Secrets};

/// Connections to one port: well below the number of ephemeral ports, so that each finds a free one at once.
const PER_PORT: usize = 10_000;
const FIRST_PORT: u16 = 1_000;
/// Connections whose handshakes go on together.
const TOGETHER: usize = 64;
const SERVER: [u8; 4] = [10, 0, 0, 2];
/// Octets of the chunks that packets are received into.
const CHUNK: usize = 1 << 16;
/// Octets of text in a segment at MTU 1500 with timestamps.
pub(crate) const SEGMENT: usize = 1_448;

#[derive(Debug)]
struct Host {
    stack: Stack,
    wire: InterfaceId,
}

/// A connection: the client's name for it and the server's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) client: ConnectionId,
    pub(crate) server: ConnectionId,
}

/// The two stacks and their connections, in the order in which they were opened.
#[derive(Debug)]
pub(crate) struct Crowd {
    client: Host,
    server: Host,
    listeners: Vec<ListenerId>,
    connections: Vec<Ends>,
    /// Packets under way, and behind them places that are used again.
    packets: Vec<PacketBuf>,
    /// The packet that is sent.
    packet: PacketBuf,
    /// The chunk that packets are received into.
    chunk: BytesMut,
    started: WallClock,
    /// What the stacks' clock is ahead by.
    skipped: Duration,
    /// Packets cross as they were made, not copied into one piece each.
    as_made: bool,
    /// One in so many packets of the client's is lost; 0: none.
    lose_every: u64,
    sent: u64,
}

impl Crowd {
    /// Stacks that can hold `connections` connections, and have none.
    pub(crate) fn new(connections: usize, config: Config) -> Self {
        let tcp = Arc::new(config);
        let host = |last: u8| {
            let config = StackConfig {
                tcp: Arc::clone(&tcp),
                connections_max: connections + TOGETHER,
                time_wait_max: connections + TOGETHER,
                ..StackConfig::default()
            };
            let mut stack = Stack::new(config, Secrets::from_seed(last.into()), Instant::ZERO);
            let address = Prefix::new([10, 0, 0, last].into(), 24);
            let wire = stack
                .add_interface(InterfaceConfig::ip(1_500, [address]))
                .expect("one address");
            Host { stack, wire }
        };
        let (client, mut server) = (host(1), host(2));
        let limits = ListenerConfig {
            accept_queue_max: 1 << 20,
            syn_queue_max: 1 << 20,
            ..ListenerConfig::default()
        };
        let listeners = (0..=connections / PER_PORT)
            .map(|n| server.stack.listen(port(n), limits.clone()))
            .collect::<Result<_, _>>()
            .expect("free ports");
        Self {
            client,
            server,
            listeners,
            connections: Vec::new(),
            packets: Vec::new(),
            packet: PacketBuf::default(),
            chunk: BytesMut::new(),
            started: WallClock::now(),
            skipped: Duration::ZERO,
            as_made: false,
            lose_every: 0,
            sent: 0,
        }
    }

    pub(crate) fn now(&self) -> Instant {
        let passed = self.started.elapsed() + self.skipped;
        Instant::from_nanos(u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Lets time pass for the stacks alone.
    pub(crate) fn skip(&mut self, span: Duration) {
        self.skipped += span;
    }

    /// Hands packets over as they were made from here on, as a network inside one program does, instead of copied as by a device.
    pub(crate) const fn hand_over_as_made(&mut self) {
        self.as_made = true;
    }

    /// Loses one in `n` packets on the way to the server from here on; 0: none.
    pub(crate) const fn lose_every(&mut self, n: u64) {
        self.lose_every = n;
    }

    /// The connections there are.
    pub(crate) fn connections(&self) -> &[Ends] {
        &self.connections
    }

    /// Opens connections until there are `count`: a handshake each, and the server accepts.
    pub(crate) fn open(&mut self, count: usize) {
        while self.connections.len() < count {
            let wanted = TOGETHER.min(count - self.connections.len());
            let place = self.connections.len() / PER_PORT;
            let to = Endpoint::new(SERVER.into(), port(place));
            let now = self.now();
            let mut clients: Vec<(u16, ConnectionId)> =
                (0..wanted).map(|_| self.connect(now, to)).collect();
            self.settle();
            clients.sort_unstable_by_key(|(port, _)| *port);
            for _ in 0..wanted {
                let accepted = self.server.stack.accept(self.listeners[place]);
                let (server, tuple) = accepted.expect("the handshake is complete");
                let port = tuple.remote.port;
                let found = clients.binary_search_by_key(&port, |(port, _)| *port);
                let client = clients[found.expect("one of these")].1;
                self.connections.push(Ends { client, server });
            }
        }
    }

    /// An active open; returns the port it has and its name.
    fn connect(&mut self, now: Instant, to: Endpoint) -> (u16, ConnectionId) {
        let stack = &mut self.client.stack;
        let id = stack
            .connect(now, to, ConnectOptions::default())
            .expect("a free port");
        let connection = stack.connection(id).expect("just opened");
        (connection.tuple().local.port, id)
    }

    /// Opens and closes so many connections, the client first: it is left with a record in TIME-WAIT of each.
    pub(crate) fn pass(&mut self, count: usize) {
        for begun in (0..count).step_by(TOGETHER) {
            let wanted = TOGETHER.min(count - begun);
            let place = begun / PER_PORT;
            let to = Endpoint::new(SERVER.into(), port(place));
            let now = self.now();
            let clients: Vec<_> = (0..wanted).map(|_| self.connect(now, to).1).collect();
            self.settle();
            for id in clients {
                self.client.stack.release(now, id);
            }
            self.settle();
            while let Some((id, _)) = self.server.stack.accept(self.listeners[place]) {
                self.server.stack.release(now, id);
            }
            self.settle();
        }
    }

    /// Records in TIME-WAIT at the client.
    pub(crate) fn time_waits(&self) -> usize {
        let is_one = |socket: &_| matches!(socket, SocketSummary::TimeWait { .. });
        self.client.stack.sockets().filter(is_one).count()
    }

    /// Resets the connections opened last until `count` are left.
    pub(crate) fn close(&mut self, count: usize) {
        let now = self.now();
        for ends in self.connections.drain(count..) {
            self.client.stack.abort(now, ends.client);
            self.client.stack.release(now, ends.client);
            self.server.stack.release(now, ends.server);
        }
        self.settle();
    }

    /// Writes `chunk` at the client's end of a connection; what does not fit is dropped.
    pub(crate) fn write(&mut self, ends: Ends, chunk: &Bytes) {
        let now = self.now();
        let written = self
            .client
            .stack
            .write_chunk(now, ends.client, chunk.clone());
        written.expect("the connection lives");
    }

    /// Reads all that has arrived at the server's end of a connection; returns the octets.
    pub(crate) fn read(&mut self, ends: Ends) -> u64 {
        let now = self.now();
        let mut octets = 0;
        while let Ok(chunk) = self.server.stack.read_chunk(now, ends.server, usize::MAX) {
            if chunk.is_empty() {
                break;
            }
            octets += chunk.len() as u64;
        }
        octets
    }

    /// Gives the client's end of a connection other settings.
    pub(crate) fn configure(&mut self, ends: Ends, config: &Arc<Config>) {
        let now = self.now();
        let call = |connection: &mut Connection, cx: &mut Context<'_>| {
            connection.set_config(cx, Arc::clone(config));
        };
        let client = &mut self.client.stack;
        let done = client.with_connection(now, ends.client, call);
        done.expect("the connection lives");
    }

    /// Carries packets both ways until nobody has any.
    pub(crate) fn settle(&mut self) {
        while self.carry(true) | self.carry(false) {}
        while self.client.stack.poll_event().is_some() {}
        while self.server.stack.poll_event().is_some() {}
    }

    /// Lets both stacks do what is due.
    pub(crate) fn tick(&mut self) {
        let now = self.now();
        self.client.stack.handle_timeout(now);
        self.server.stack.handle_timeout(now);
    }

    /// Carries what one side has to send; `false` if it had nothing.
    fn carry(&mut self, forward: bool) -> bool {
        let now = self.now();
        let (from, to) = if forward {
            (&mut self.client, &mut self.server)
        } else {
            (&mut self.server, &mut self.client)
        };
        let mut any = false;
        let packet = &mut self.packet;
        let mut count = 0;
        while count < TOGETHER && from.stack.poll_transmit_into(now, packet).is_some() {
            any = true;
            if forward {
                self.sent += 1;
                if self.lose_every > 0 && self.sent.is_multiple_of(self.lose_every) {
                    continue;
                }
            }
            if self.packets.len() == count {
                self.packets.push(PacketBuf::default());
            }
            let place = &mut self.packets[count];
            if self.as_made {
                core::mem::swap(place, packet);
            } else {
                place.restart(received(packet, &mut self.chunk).into());
            }
            count += 1;
        }
        let arrived = &mut self.packets[..count];
        to.stack.handle_batch_in_place(now, to.wire, arrived);
        for packet in arrived {
            packet.restart(Payload::new());
        }
        any
    }
}

/// What a device makes of a packet: one piece, carved from a chunk that many packets share, its checksum not looked at.
fn received(packet: &PacketBuf, chunk: &mut BytesMut) -> Bytes {
    if chunk.capacity() < packet.len() && !chunk.try_reclaim(CHUNK) {
        *chunk = BytesMut::with_capacity(CHUNK);
    }
    chunk.extend_from_slice(packet.head());
    for piece in packet.payload().pieces() {
        chunk.extend_from_slice(piece);
    }
    chunk.split().freeze()
}

fn port(n: usize) -> u16 {
    FIRST_PORT + u16::try_from(n).unwrap_or(0)
}
