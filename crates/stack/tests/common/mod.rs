//! Two stacks on one wire, in virtual time.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::panic,
    reason = "test code, of which each file uses a part"
)]

use bytes::Bytes;
use core::net::IpAddr;
use core::time::Duration;
use handwave_packet::PacketBuf;
use handwave_stack::{
    ConnectOptions, ConnectionId, InterfaceConfig, InterfaceId, ListenerConfig, ListenerId, Prefix,
    Stack, StackConfig,
};
use handwave_tcp::{Config, Endpoint, Instant, Phase, ReceiveError, Secrets};
use std::sync::Arc;

/// The addresses of the two hosts.
pub const CLIENT: &str = "10.0.0.1";
pub const SERVER: &str = "10.0.0.2";
pub const CLIENT6: &str = "2001:db8::1";
pub const SERVER6: &str = "2001:db8::2";

pub fn addr(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn endpoint(text: &str, port: u16) -> Endpoint {
    Endpoint::new(addr(text), port)
}

/// One host and its only interface.
pub struct Host {
    pub stack: Stack,
    pub interface: InterfaceId,
}

impl Host {
    pub fn new(seed: u64, config: StackConfig, interface: InterfaceConfig) -> Self {
        let mut stack = Stack::new(config, Secrets::from_seed(seed), Instant::ZERO);
        let interface = stack.add_interface(interface).unwrap();
        Self { stack, interface }
    }

    /// Everything the host wants to send now.
    pub fn drain(&mut self, now: Instant) -> Vec<PacketBuf> {
        std::iter::from_fn(|| self.stack.poll_transmit(now))
            .map(|(_, packet)| packet)
            .collect()
    }

    /// Hands octets in as a device would.
    pub fn receive(&mut self, now: Instant, octets: &[u8]) {
        let packet = PacketBuf::from_bytes(Bytes::copy_from_slice(octets));
        self.stack.handle_packet(now, self.interface, packet);
    }

    pub fn read_all(&mut self, now: Instant, id: ConnectionId) -> Result<Vec<u8>, ReceiveError> {
        let mut all = Vec::new();
        let mut buffer = [0; 4_096];
        loop {
            match self.stack.read(now, id, &mut buffer) {
                Ok(0) | Err(ReceiveError::WouldBlock) => return Ok(all),
                Ok(n) => all.extend_from_slice(&buffer[..n]),
                Err(error) => return Err(error),
            }
        }
    }

    pub fn phase(&self, id: ConnectionId) -> Option<Phase> {
        self.stack
            .connection(id)
            .map(|connection| connection.phase())
    }
}

/// Short times, so that tests in virtual time say what they wait for.
pub fn tcp_config() -> Arc<Config> {
    Arc::new(Config {
        time_wait: Duration::from_secs(60),
        ..Config::default()
    })
}

pub fn stack_config() -> StackConfig {
    StackConfig {
        tcp: tcp_config(),
        ..StackConfig::default()
    }
}

pub fn ip_interface(v4: &str, v6: &str) -> InterfaceConfig {
    InterfaceConfig::ip(
        1_500,
        [Prefix::new(addr(v4), 24), Prefix::new(addr(v6), 64)],
    )
}

/// Two hosts, and a wire that carries every packet as octets, at once.
pub struct Pair {
    pub now: Instant,
    pub client: Host,
    pub server: Host,
    /// Packets carried so far.
    pub carried: usize,
}

impl Pair {
    pub fn new() -> Self {
        Self::with(stack_config(), stack_config())
    }

    pub fn with(client: StackConfig, server: StackConfig) -> Self {
        Self::over(
            (client, ip_interface(CLIENT, CLIENT6)),
            (server, ip_interface(SERVER, SERVER6)),
        )
    }

    pub fn over(
        client: (StackConfig, InterfaceConfig),
        server: (StackConfig, InterfaceConfig),
    ) -> Self {
        Self {
            now: Instant::from_secs(1),
            client: Host::new(1, client.0, client.1),
            server: Host::new(2, server.0, server.1),
            carried: 0,
        }
    }

    /// Carries packets until nobody has any; `judge` decides which arrive (`true`: from the client).
    pub fn settle_with(&mut self, mut judge: impl FnMut(bool, &[u8]) -> bool) {
        for _ in 0..10_000 {
            let mut quiet = true;
            for from_client in [true, false] {
                let (from, to) = match from_client {
                    true => (&mut self.client, &mut self.server),
                    false => (&mut self.server, &mut self.client),
                };
                let packets = from.drain(self.now);
                quiet &= packets.is_empty();
                self.carried += packets.len();
                for packet in packets {
                    for part in handwave_packet::split::segments(packet) {
                        let octets = part.to_vec();
                        if judge(from_client, &octets) {
                            to.receive(self.now, &octets);
                        }
                    }
                }
            }
            if quiet {
                return;
            }
        }
        panic!("the hosts never fall silent");
    }

    pub fn settle(&mut self) {
        self.settle_with(|_, _| true);
    }

    /// Lets `span` pass, each deadline at its moment.
    pub fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        self.settle();
        for _ in 0..100_000 {
            let deadlines = [
                self.client.stack.poll_timeout(),
                self.server.stack.poll_timeout(),
            ];
            let Some(next) = deadlines
                .into_iter()
                .flatten()
                .min()
                .filter(|next| *next <= end)
            else {
                break;
            };
            self.now = self.now.max(next);
            self.client.stack.handle_timeout(self.now);
            self.server.stack.handle_timeout(self.now);
            self.settle();
        }
        self.now = end;
    }

    pub fn listen(&mut self, port: u16) -> ListenerId {
        self.server
            .stack
            .listen(port, ListenerConfig::default())
            .unwrap()
    }

    pub fn connect(&mut self, to: &str, port: u16) -> ConnectionId {
        self.client
            .stack
            .connect(self.now, endpoint(to, port), ConnectOptions::default())
            .unwrap()
    }

    /// A connection from the client to a fresh listener of the server.
    pub fn establish(&mut self, to: &str, port: u16) -> (ConnectionId, ConnectionId) {
        let listener = self.listen(port);
        let ours = self.connect(to, port);
        self.settle();
        let (theirs, _) = self
            .server
            .stack
            .accept(listener)
            .expect("the handshake completes");
        (ours, theirs)
    }
}
