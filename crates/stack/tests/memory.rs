//! One budget of memory for all connections of a stack: thousands that would fill their buffers stay within it, and get on.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod common;

use common::{CLIENT, CLIENT6, Host, SERVER, SERVER6, START, endpoint, ip_interface};
use core::time::Duration;
use handwave_stack::{ConnectOptions, ConnectionId, ListenerConfig, StackConfig};
use handwave_tcp::{Instant, Pressure, ReceiveError};

const CONNECTIONS: usize = 10_000;
/// Octets that each writer writes: together several times what both hosts may hold.
const OCTETS: usize = 40_000;
const MAX: usize = 128 << 20;

/// One writer's end of a connection, and the reader's.
struct Flow {
    writer: ConnectionId,
    reader: ConnectionId,
    written: usize,
    read: usize,
}

struct Hosts {
    now: Instant,
    client: Host,
    server: Host,
    flows: Vec<Flow>,
    held_max: [usize; 2],
}

/// The octets of all streams, so that a writer's next ones are a slice.
fn pattern() -> Vec<u8> {
    (0..OCTETS)
        .map(|at| u8::try_from(at % 251).unwrap())
        .collect()
}

impl Hosts {
    /// Ten thousand connections from the client to the server; the defaults but for the budget.
    fn new() -> Self {
        let host = |seed, v4, v6| {
            let config = StackConfig {
                memory_soft: 32 << 20,
                memory_hard: 64 << 20,
                memory_max: MAX,
                ..StackConfig::default()
            };
            Host::new(seed, config, ip_interface(v4, v6))
        };
        let mut hosts = Self {
            now: START + Duration::from_secs(1),
            client: host(1, CLIENT, CLIENT6),
            server: host(2, SERVER, SERVER6),
            flows: Vec::new(),
            held_max: [0; 2],
        };
        let limits = ListenerConfig {
            accept_queue_max: CONNECTIONS,
            syn_queue_max: CONNECTIONS,
            ..ListenerConfig::default()
        };
        let listener = hosts.server.stack.listen(80, limits).unwrap();
        for _ in 0..CONNECTIONS {
            let options = ConnectOptions::default();
            let to = endpoint(SERVER, 80);
            let writer = hosts.client.stack.connect(hosts.now, to, options).unwrap();
            hosts.carry();
            let (reader, _) = hosts.server.stack.accept(listener).unwrap();
            hosts.flows.push(Flow {
                writer,
                reader,
                written: 0,
                read: 0,
            });
        }
        hosts
    }

    /// Carries packets until nobody has any, looking at the memory after each.
    fn carry(&mut self) {
        loop {
            let mut quiet = true;
            for (from, to) in [(0, 1), (1, 0)] {
                let hosts = [&mut self.client, &mut self.server];
                let [client, server] = hosts;
                let (sender, receiver) = if from == 0 {
                    (client, server)
                } else {
                    (server, client)
                };
                for packet in sender.drain(self.now) {
                    quiet = false;
                    receiver.receive(self.now, &packet.to_vec());
                    let held = receiver.stack.held_memory();
                    self.held_max[to] = self.held_max[to].max(held);
                }
            }
            if quiet {
                return;
            }
        }
    }

    /// Every writer writes what is taken of it.
    fn write(&mut self, pattern: &[u8]) {
        for flow in &mut self.flows {
            let rest = &pattern[flow.written..];
            if rest.is_empty() {
                continue;
            }
            let taken = self.client.stack.write(self.now, flow.writer, rest);
            flow.written += taken.unwrap();
            self.held_max[0] = self.held_max[0].max(self.client.stack.held_memory());
        }
    }

    /// Every reader reads all there is.
    fn read(&mut self, pattern: &[u8]) {
        let mut buffer = vec![0; OCTETS];
        for flow in &mut self.flows {
            loop {
                match self.server.stack.read(self.now, flow.reader, &mut buffer) {
                    Ok(octets) => {
                        let expected = &pattern[flow.read..flow.read + octets];
                        assert!(&buffer[..octets] == expected, "octets differ");
                        flow.read += octets;
                    }
                    Err(ReceiveError::WouldBlock) => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    /// Jumps to the next deadline, but not further than `end`.
    fn jump(&mut self, end: Instant) {
        let hosts = [&self.client, &self.server];
        let next = hosts.iter().filter_map(|host| host.stack.poll_timeout());
        // What is due within a tenth of a second is done together.
        let next = next.min().unwrap_or(end) + Duration::from_millis(100);
        self.now = self.now.max(next).min(end);
        self.client.stack.handle_timeout(self.now);
        self.server.stack.handle_timeout(self.now);
        self.carry();
    }
}

#[test]
fn ten_thousand_stalled_writers_and_readers_stay_within_the_budget_and_get_on() {
    let pattern = pattern();
    let mut hosts = Hosts::new();
    let end = hosts.now + Duration::from_secs(20);
    while hosts.now < end {
        hosts.write(&pattern);
        hosts.carry();
        hosts.jump(end);
    }
    let held = [&hosts.client, &hosts.server].map(|host| host.stack.held_memory());
    println!("held {held:?}, at most {:?} of {MAX}", hosts.held_max);
    assert!(hosts.held_max.iter().all(|held| *held <= MAX));
    for host in [&hosts.client, &hosts.server] {
        assert_eq!(host.stack.host().pressure, Pressure::Hard);
        assert!(host.stack.counters().memory_pressures >= 1);
    }
    assert!(hosts.client.stack.host().counters.writes_cut > 0);
    assert!(hosts.server.stack.host().counters.receive_queue_drops > 0);
    let started = hosts.flows.iter().filter(|flow| flow.written > 0).count();
    assert_eq!(started, CONNECTIONS, "each writer has had its turn");

    // Readers come back: everything gets through, still within the budget.
    let end = hosts.now + Duration::from_secs(1_000);
    while hosts.flows.iter().any(|flow| flow.read < OCTETS) {
        assert!(hosts.now < end, "nothing moves any more");
        hosts.read(&pattern);
        hosts.carry();
        hosts.write(&pattern);
        hosts.carry();
        hosts.jump(end);
    }
    assert!(hosts.held_max.iter().all(|held| *held <= MAX));
    hosts.carry();
    assert_eq!(hosts.server.stack.held_memory(), 0);
    assert_eq!(hosts.server.stack.host().pressure, Pressure::None);
    assert!(hosts.server.stack.counters().memory_pressure_millis > 0);
    println!("all through after {:?}", hosts.now);
}

/// Who found no memory is told when there is some, though nothing of his own is acknowledged.
#[test]
fn a_writer_that_found_no_memory_is_woken_when_there_is_some() {
    use common::{Pair, stack_config};
    use handwave_stack::SocketId;
    use handwave_tcp::Events;

    let config = StackConfig {
        memory_soft: 20_000,
        memory_hard: 30_000,
        memory_max: 30_000,
        ..stack_config()
    };
    let mut pair = Pair::with(config, stack_config());
    let (hog, reader) = pair.establish(SERVER, 80);
    let (hungry, _) = pair.establish(SERVER, 81);
    let write = |pair: &mut Pair, id, octets: usize| {
        let data = vec![7; octets];
        pair.client.stack.write(pair.now, id, &data).unwrap()
    };
    while write(&mut pair, hog, 5_000) > 0 {}
    while write(&mut pair, hog, 1) > 0 {}
    assert_eq!(write(&mut pair, hungry, 2_000), 0, "there is nothing left");
    while pair.client.stack.poll_event().is_some() {}
    pair.settle();
    pair.server.read_all(pair.now, reader).unwrap();
    pair.settle();
    let events = std::iter::from_fn(|| pair.client.stack.poll_event());
    let told = events
        .filter(|event| event.socket == SocketId::Connection(hungry))
        .any(|event| event.events.contains(Events::WRITABLE));
    assert!(told, "the hungry writer hears of it");
    assert_eq!(write(&mut pair, hungry, 2_000), 2_000);
}
