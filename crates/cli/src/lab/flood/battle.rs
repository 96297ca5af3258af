//! One flood against one defence: servers, honest clients and an attacker under one virtual clock.

use core::net::{IpAddr, Ipv4Addr};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use handwave_packet::{ChecksumMark, PacketBuf};
use handwave_sim::world::{Balancer, Cause};
use handwave_sim::{HostId, LinkConfig, Loss, Rng, World};
use handwave_stack::{
    ConnectOptions, ConnectionId, Events, InterfaceConfig, ListenerId, Prefix, Route, SocketId,
    Stack, StackConfig,
};
use handwave_tcp::{Config, Endpoint, Instant, ListenerCounters, Phase, Secrets, TopSource};
use handwave_wire::ipv4::Ipv4Header;
use handwave_wire::{IpProtocol, SeqNum, TcpFlags, TcpHeader, TcpOptions};

use super::Defence;
use crate::args::{FloodArgs, Spoof};

const SERVER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 80);
/// Port of the server that waits for a request, and of the one that speaks first.
const PORTS: [u16; 2] = [80, 25];
/// How long a client waits before it gives up.
const PATIENCE: Duration = Duration::from_secs(10);
/// The quiet before the flood.
const QUIET: Duration = Duration::from_secs(1);
/// How often the attacker gets to send, and how often the queue is looked at.
const TICK: Duration = Duration::from_millis(5);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: 192.0.2.80\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n";
const GREETING: &[u8] = b"220 192.0.2.80 ESMTP\r\n";

/// What became of a battle.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) defence: Defence,
    pub(super) clients: usize,
    /// Served, of the clients that speak first and of those that wait.
    pub(super) served: [usize; 2],
    /// How long served clients took to connect, sorted.
    pub(super) connects: Vec<Duration>,
    /// Records in all SYN queues over time.
    pub(super) depths: Vec<usize>,
    pub(super) queue_max: usize,
    pub(super) memory_max: usize,
    pub(super) attack_syns: u64,
    /// SYN+ACKs that went to nobody who had asked.
    pub(super) backscatter: u64,
    pub(super) counters: ListenerCounters,
    /// From the first forged SYN until a detector noticed.
    pub(super) noticed_after: Option<Duration>,
    pub(super) top: Option<TopSource>,
}

impl Outcome {
    pub(super) fn served_all(&self) -> usize {
        self.served.iter().sum()
    }

    /// All SYN+ACKs that left.
    pub(super) fn syn_acks(&self) -> u64 {
        let counters = &self.counters;
        counters.syns_received + counters.synack_retransmissions + counters.syncookies_sent
    }

    /// The time within which `percent` of those served had connected.
    pub(super) fn connect(&self, percent: usize) -> Option<Duration> {
        let last = self.connects.len().checked_sub(1)?;
        self.connects.get((last * percent).div_ceil(100)).copied()
    }
}

/// A client's attempt.
#[derive(Debug)]
struct Attempt {
    addr: Ipv4Addr,
    begins: Instant,
    /// 0: speaks first, 1: waits.
    kind: usize,
    connected: Option<Duration>,
    answered: bool,
    over: bool,
}

struct Battle<'a> {
    args: &'a FloodArgs,
    world: World,
    clients: HostId,
    servers: Vec<HostId>,
    listeners: [ListenerId; 2],
    attempts: Vec<Attempt>,
    /// Attempts in the order in which they begin; the next one.
    next: usize,
    by_connection: BTreeMap<ConnectionId, usize>,
    rng: Rng,
    outcome: Outcome,
}

/// Plays one battle.
pub(super) fn play(args: &FloodArgs, defence: Defence) -> Outcome {
    let mut battle = Battle::new(args, defence);
    battle.run();
    battle.finish()
}

impl<'a> Battle<'a> {
    fn new(args: &'a FloodArgs, defence: Defence) -> Self {
        let mut rng = Rng::from_seed(args.seed);
        let mut world = World::starting_at(Instant::from_secs(1_000));
        let now = world.now();
        let (attempts, mut links) = (attempts(args, now, &mut rng), rng.fork());
        let addresses: Vec<IpAddr> = attempts.iter().map(|a| a.addr.into()).collect();
        let clients = add_host(&mut world, &addresses, 1);
        let listener = defence.listener();
        let mut servers = Vec::new();
        let mut listeners = None;
        for node in 0..defence.nodes() {
            let host = add_host(&mut world, &[SERVER.into()], 2 + node as u64);
            let stack = world.stack_mut(host);
            let listen = PORTS.map(|port| stack.listen(port, listener.clone()));
            if let [Ok(first), Ok(second)] = listen {
                listeners = Some([first, second]);
            }
            let link = LinkConfig {
                delay: args.delay,
                loss: if args.loss > 0.0 {
                    Loss::Random(args.loss)
                } else {
                    Loss::None
                },
                ..LinkConfig::default()
            };
            world.join(clients, host, [link, link], &mut links);
            servers.push(host);
        }
        share_keys(&mut world, &servers);
        let balancer = Balancer {
            nodes: servers.clone(),
            syns_apart: defence.syns_apart(),
        };
        world.balance(SERVER.into(), balancer);
        let outcome = Outcome {
            defence,
            clients: attempts.len(),
            served: [0; 2],
            connects: Vec::new(),
            depths: Vec::new(),
            queue_max: listener.syn_queue_max * PORTS.len() * servers.len(),
            memory_max: 0,
            attack_syns: 0,
            backscatter: 0,
            counters: ListenerCounters::default(),
            noticed_after: None,
            top: None,
        };
        Self {
            args,
            world,
            clients,
            servers,
            // A fresh stack with two free ports listens on both, and slots are handed out in the same order on each node.
            listeners: listeners.unwrap_or([ListenerId::from_bits(0); 2]),
            attempts,
            next: 0,
            by_connection: BTreeMap::new(),
            rng,
            outcome,
        }
    }

    fn run(&mut self) {
        let begin = self.world.now();
        let flood = begin + QUIET..begin + QUIET + self.args.duration;
        let end = flood.end + PATIENCE;
        let mut tick = begin;
        let waits = |battle: &Self| battle.attempts.iter().any(|attempt| !attempt.over);
        while tick < flood.end || tick < end && waits(self) {
            self.let_pass(tick);
            self.begin_attempts(tick);
            self.give_up(tick);
            if flood.contains(&tick) {
                self.attack(tick - flood.start);
            }
            self.look(flood.start);
            tick += TICK;
        }
    }

    /// Lets everything happen that is due before `until`.
    fn let_pass(&mut self, until: Instant) {
        self.world.set_alarm(self.clients, Some(until));
        while let Some(happening) = self.world.step() {
            self.events(happening.host);
            if happening.cause == Cause::Alarm {
                break;
            }
        }
    }

    fn begin_attempts(&mut self, now: Instant) {
        while let Some(attempt) = self.attempts.get(self.next) {
            if attempt.begins > now {
                break;
            }
            let to = Endpoint::new(SERVER.into(), PORTS[attempt.kind]);
            let options = ConnectOptions {
                local_addr: Some(attempt.addr.into()),
                ..ConnectOptions::default()
            };
            let connected = self.world.stack_mut(self.clients).connect(now, to, options);
            match connected {
                Ok(id) => {
                    self.by_connection.insert(id, self.next);
                }
                Err(_) => self.attempts[self.next].over = true,
            }
            self.world.flush(self.clients);
            self.next += 1;
        }
    }

    /// Ends the attempts that have waited too long.
    fn give_up(&mut self, now: Instant) {
        let late = |attempt: &Attempt| !attempt.over && attempt.begins + PATIENCE <= now;
        let attempts = &self.attempts;
        let ids: Vec<(ConnectionId, usize)> = self
            .by_connection
            .iter()
            .filter(|(_, index)| late(&attempts[**index]))
            .map(|(id, index)| (*id, *index))
            .collect();
        for (id, index) in ids {
            self.end(id, index, now);
        }
    }

    fn end(&mut self, id: ConnectionId, index: usize, now: Instant) {
        self.attempts[index].over = true;
        self.by_connection.remove(&id);
        let stack = self.world.stack_mut(self.clients);
        if self.attempts[index].answered {
            stack.close(now, id);
        } else {
            stack.abort(now, id);
        }
        stack.release(now, id);
        self.world.flush(self.clients);
    }

    fn events(&mut self, host: HostId) {
        let now = self.world.now();
        while let Some(event) = self.world.stack_mut(host).poll_event() {
            match event.socket {
                SocketId::Listener(listener) => self.accept(host, listener, now),
                SocketId::Connection(id) if host == self.clients => {
                    self.client(id, event.events, now);
                }
                SocketId::Connection(id) => self.serve(host, id, now),
                _ => {}
            }
        }
        self.world.flush(host);
    }

    fn accept(&mut self, host: HostId, listener: ListenerId, now: Instant) {
        while let Some((id, tuple)) = self.world.stack_mut(host).accept(listener) {
            if tuple.local.port == PORTS[1] {
                // What does not fit is not sent: the greeting fits any buffer.
                let _sent = self.world.stack_mut(host).write(now, id, GREETING);
            }
            self.serve(host, id, now);
        }
    }

    /// The server answers what it reads, and closes when the client does.
    fn serve(&mut self, host: HostId, id: ConnectionId, now: Instant) {
        let stack = self.world.stack_mut(host);
        let mut buffer = [0; 256];
        while let Ok(len) = stack.read(now, id, &mut buffer) {
            if len == 0 {
                stack.close(now, id);
                stack.release(now, id);
                return;
            }
            let _sent = stack.write(now, id, ANSWER);
        }
        let phase = stack.connection(id).map(handwave_tcp::Connection::phase);
        if phase == Some(Phase::Closed) {
            stack.release(now, id);
        }
    }

    fn client(&mut self, id: ConnectionId, events: Events, now: Instant) {
        let Some(&index) = self.by_connection.get(&id) else {
            return;
        };
        let stack = self.world.stack_mut(self.clients);
        let attempt = &mut self.attempts[index];
        if events.contains(Events::CONNECTED) && attempt.connected.is_none() {
            attempt.connected = Some(now - attempt.begins);
            if attempt.kind == 0 {
                let _sent = stack.write(now, id, REQUEST);
            }
        }
        let mut buffer = [0; 256];
        while let Ok(len) = stack.read(now, id, &mut buffer) {
            if len == 0 {
                break;
            }
            attempt.answered = true;
        }
        let closed = events.contains(Events::CLOSED);
        if attempt.answered || closed {
            self.end(id, index, now);
        }
    }

    /// Sends the SYNs that are due `since` the flood began.
    fn attack(&mut self, since: Duration) {
        let due = (since + TICK).as_secs_f64() * f64::from(self.args.rate);
        while (self.outcome.attack_syns as f64) < due.floor() {
            let port = PORTS[usize::from(self.outcome.attack_syns % 2 == 1)];
            self.outcome.attack_syns += 1;
            let source = self.source();
            let syn = forged_syn(source, port, &mut self.rng);
            self.world.hand_over(syn);
        }
        // What detectors have to say of it.
        for host in self.servers.clone() {
            self.events(host);
        }
    }

    fn source(&mut self) -> Ipv4Addr {
        let low = self.rng.next_u64().to_le_bytes();
        match self.args.spoof {
            // Not 0, 10, 127 or a group: what the Internet would carry.
            Spoof::Random => Ipv4Addr::new(11 + low[0] % 100, low[1], low[2], low[3]),
            Spoof::Prefix => Ipv4Addr::new(203, 0, 113, low[3]),
            Spoof::Single => Ipv4Addr::new(203, 0, 113, 66),
            Spoof::Honest => {
                let index = self.rng.index(self.attempts.len());
                self.attempts[index].addr
            }
        }
    }

    /// Takes down how deep the queues are and what they cost.
    fn look(&mut self, flood: Instant) {
        let now = self.world.now();
        let (mut depth, mut memory) = (0, 0);
        for host in &self.servers {
            for id in self.listeners {
                let Some(listener) = self.world.stack(*host).listener(id) else {
                    continue;
                };
                depth += listener.half_open();
                memory += listener.memory();
                if listener.flood().is_flooded() && self.outcome.noticed_after.is_none() {
                    self.outcome.noticed_after = Some(now - flood);
                }
            }
        }
        if self.outcome.top.is_none() && now - flood >= self.args.duration / 2 {
            let first = self.servers.first().copied().unwrap_or(self.clients);
            let listener = self.world.stack(first).listener(self.listeners[0]);
            let top = listener.map(|listener| listener.top_sources(now, 1));
            // Less than a hundredth of the flood is no source to name.
            let least = f64::from(self.args.rate) / 100.0;
            let stands_out = |top: &&TopSource| top.syns_per_second >= least.max(1.0);
            self.outcome.top = top.unwrap_or_default().iter().find(stands_out).copied();
        }
        self.outcome.depths.push(depth);
        self.outcome.memory_max = self.outcome.memory_max.max(memory);
    }

    fn finish(self) -> Outcome {
        let mut outcome = self.outcome;
        for attempt in &self.attempts {
            if attempt.answered {
                outcome.served[attempt.kind] += 1;
                outcome.connects.extend(attempt.connected);
            }
        }
        outcome.connects.sort();
        for host in &self.servers {
            outcome
                .counters
                .add(&self.world.stack(*host).listener_counters());
        }
        outcome.backscatter = self.world.unroutable();
        outcome
    }
}

/// Lets servers that stand behind one address complete each other's handshakes.
fn share_keys(world: &mut World, servers: &[HostId]) {
    let now = world.now();
    let [first, _, ..] = servers else {
        return;
    };
    let shared = world.stack_mut(*first).cookie_keys().export(now);
    for server in servers {
        let keys = world.stack_mut(*server).cookie_keys();
        keys.import(now, &shared, Duration::ZERO);
    }
}

/// The clients, in the order in which they begin: evenly over the flood, from addresses of many networks.
fn attempts(args: &FloodArgs, begin: Instant, rng: &mut Rng) -> Vec<Attempt> {
    let span = args.duration.max(Duration::from_millis(1));
    let mut attempts: Vec<Attempt> = (0..args.clients)
        .map(|n| {
            let [_, _, high, low] = (n * 8).to_be_bytes();
            Attempt {
                addr: Ipv4Addr::new(198, 18, high, low | 1),
                begins: begin + QUIET / 2 + rng.up_to(span),
                kind: usize::from(n % 2 == 1),
                connected: None,
                answered: false,
                over: false,
            }
        })
        .collect();
    attempts.sort_by_key(|attempt| attempt.begins);
    attempts
}

fn add_host(world: &mut World, addresses: &[IpAddr], seed: u64) -> HostId {
    let config = StackConfig {
        tcp: Arc::new(Config::default()),
        ..StackConfig::default()
    };
    let mut stack = Stack::new(config, Secrets::from_seed(seed), world.now());
    let prefixes = addresses.iter().map(|addr| Prefix::new(*addr, 32));
    let interface = stack.add_interface(InterfaceConfig::ip(1_500, prefixes));
    let interface = interface.expect("a fresh stack takes addresses that differ");
    let everywhere = Route {
        destination: Prefix::new(Ipv4Addr::UNSPECIFIED.into(), 0),
        gateway: None,
        interface,
    };
    let _routed = stack.add_route(everywhere);
    world.add_host(stack, interface, addresses.iter().copied())
}

/// A SYN as tools that flood send it: plausible options, random numbers, a source that is not theirs.
fn forged_syn(source: Ipv4Addr, port: u16, rng: &mut Rng) -> PacketBuf {
    let [a, b, c, d, e, f, ..] = rng.next_u64().to_le_bytes();
    let header = TcpHeader {
        source_port: u16::from_le_bytes([a, b]).max(1_024),
        destination_port: port,
        seq: SeqNum::new(u32::from_le_bytes([c, d, e, f])),
        flags: TcpFlags::SYN,
        window: 64_240,
        options: TcpOptions {
            mss: Some(1_460),
            window_scale: Some(7),
            sack_permitted: true,
            ..TcpOptions::default()
        },
        ..TcpHeader::default()
    };
    let mut packet = PacketBuf::with_payload(Default::default());
    let len = header.header_len();
    header.emit(packet.prepend(len));
    let ip = Ipv4Header {
        payload_len: u16::try_from(len).unwrap_or(u16::MAX),
        ..Ipv4Header::new(source, SERVER, IpProtocol::TCP)
    };
    ip.emit(packet.prepend(Ipv4Header::LEN));
    // The attacker's sums are right; the lab does not spend time on them.
    packet.set_checksum(ChecksumMark::Verified);
    packet
}
