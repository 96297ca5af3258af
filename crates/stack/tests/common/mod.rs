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
use handwave_tcp::{BufferSize, Config, Endpoint, Instant, Phase, ReceiveError, Secrets};
use std::sync::Arc;

/// When the stacks are made: somewhere in the clock of a program that counts from the Unix epoch.
pub const START: Instant = Instant::from_secs(1_795_000_000);

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
        let mut stack = Stack::new(config, Secrets::from_seed(seed), START);
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

/// Short times and buffers of one size, so that tests in virtual time say what they wait for.
pub fn tcp_config() -> Arc<Config> {
    Arc::new(Config {
        time_wait: Duration::from_secs(60),
        send_buffer: BufferSize::fixed(256 << 10),
        receive_buffer: BufferSize::fixed(256 << 10),
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
            now: START + Duration::from_secs(1),
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

/// Packets made by hand, as a stranger would.
pub mod craft {
    use core::net::IpAddr;
    use handwave_wire::icmpv4::{Icmpv4Error, Icmpv4ErrorKind, Icmpv4Message};
    use handwave_wire::icmpv6::{Icmpv6Error, Icmpv6ErrorKind, Icmpv6Message};
    use handwave_wire::ipv4::Ipv4Header;
    use handwave_wire::ipv6::Ipv6Header;
    use handwave_wire::udp::UdpHeader;
    use handwave_wire::{IpProtocol, Sum, TcpFlags, TcpHeader};

    pub fn ip(
        source: IpAddr,
        destination: IpAddr,
        protocol: IpProtocol,
        payload: &[u8],
    ) -> Vec<u8> {
        let payload_len = u16::try_from(payload.len()).unwrap();
        let mut packet = match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let header = Ipv4Header {
                    payload_len,
                    ..Ipv4Header::new(source, destination, protocol)
                };
                let mut octets = vec![0; Ipv4Header::LEN];
                header.emit(&mut octets);
                octets
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let header = Ipv6Header {
                    payload_len,
                    ..Ipv6Header::new(source, destination, protocol)
                };
                let mut octets = vec![0; Ipv6Header::LEN];
                header.emit(&mut octets);
                octets
            }
            _ => panic!("families do not mix"),
        };
        packet.extend_from_slice(payload);
        packet
    }

    fn pseudo(source: IpAddr, destination: IpAddr, protocol: IpProtocol, len: usize) -> Sum {
        Sum::default().pseudo_header(source, destination, protocol, u32::try_from(len).unwrap())
    }

    pub fn tcp(source: IpAddr, destination: IpAddr, header: &TcpHeader, text: &[u8]) -> Vec<u8> {
        let mut segment = vec![0; header.header_len()];
        header.emit(&mut segment);
        segment.extend_from_slice(text);
        let sum = pseudo(source, destination, IpProtocol::TCP, segment.len()).add_bytes(&segment);
        TcpHeader::set_checksum(&mut segment, sum.finish());
        ip(source, destination, IpProtocol::TCP, &segment)
    }

    /// A SYN to port 80.
    pub fn syn(source: IpAddr, destination: IpAddr, source_port: u16) -> Vec<u8> {
        let header = TcpHeader {
            source_port,
            destination_port: 80,
            flags: TcpFlags::SYN,
            window: 65_535,
            ..TcpHeader::default()
        };
        tcp(source, destination, &header, b"")
    }

    pub fn udp_datagram(
        source: IpAddr,
        destination: IpAddr,
        ports: (u16, u16),
        text: &[u8],
    ) -> Vec<u8> {
        let header = UdpHeader {
            source_port: ports.0,
            destination_port: ports.1,
            payload_len: u16::try_from(text.len()).unwrap(),
        };
        let mut datagram = vec![0; UdpHeader::LEN];
        header.emit(&mut datagram);
        datagram.extend_from_slice(text);
        let sum = pseudo(source, destination, IpProtocol::UDP, datagram.len()).add_bytes(&datagram);
        UdpHeader::set_checksum(&mut datagram, UdpHeader::checksum(sum));
        datagram
    }

    pub fn udp(source: IpAddr, destination: IpAddr, ports: (u16, u16), text: &[u8]) -> Vec<u8> {
        ip(
            source,
            destination,
            IpProtocol::UDP,
            &udp_datagram(source, destination, ports, text),
        )
    }

    pub fn icmpv4(source: IpAddr, destination: IpAddr, message: &Icmpv4Message<'_>) -> Vec<u8> {
        let mut octets = vec![0; message.encoded_len()];
        message.emit(&mut octets);
        ip(source, destination, IpProtocol::ICMP, &octets)
    }

    pub fn icmpv6(source: IpAddr, destination: IpAddr, message: &Icmpv6Message<'_>) -> Vec<u8> {
        let (IpAddr::V6(from), IpAddr::V6(to)) = (source, destination) else {
            panic!("not IPv6")
        };
        let mut octets = vec![0; message.encoded_len()];
        message.emit(&mut octets, from, to);
        ip(source, destination, IpProtocol::ICMPV6, &octets)
    }

    pub fn icmpv4_error(
        source: IpAddr,
        destination: IpAddr,
        kind: Icmpv4ErrorKind,
        quoted: &[u8],
    ) -> Vec<u8> {
        let quoted = &quoted[..quoted.len().min(548)];
        icmpv4(
            source,
            destination,
            &Icmpv4Message::Error(Icmpv4Error { kind, quoted }),
        )
    }

    pub fn icmpv6_error(
        source: IpAddr,
        destination: IpAddr,
        kind: Icmpv6ErrorKind,
        quoted: &[u8],
    ) -> Vec<u8> {
        let quoted = &quoted[..quoted.len().min(1232)];
        icmpv6(
            source,
            destination,
            &Icmpv6Message::Error(Icmpv6Error { kind, quoted }),
        )
    }

    /// The upper layer of a packet without options or extension headers.
    pub fn upper(packet: &[u8]) -> &[u8] {
        match packet[0] >> 4 {
            4 => &packet[Ipv4Header::LEN..],
            _ => &packet[Ipv6Header::LEN..],
        }
    }

    /// The TCP header of a packet.
    pub fn tcp_header(packet: &[u8]) -> TcpHeader {
        TcpHeader::parse(upper(packet)).unwrap().0
    }
}
