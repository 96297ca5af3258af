//! [`Flooder`]: somebody who wants the second host's tables, and sends far more than anybody who is served.
//!
//! Nearly all of it is forged and sent blindly. Two kinds cannot be: who holds a connection open has to complete its handshake, so
//! a real stack at an address of its own does that ([`Holders`]).

use super::attack::tcp_packet;
use crate::plan::{Family, Flood, FloodKind, Plan};
use crate::{HostId, LinkConfig, Rng, World};
use core::net::IpAddr;
use core::time::Duration;
use handwave_packet::PacketBuf;
use handwave_stack::{
    ConnectOptions, ConnectionId, InterfaceConfig, Prefix, SocketId, Stack, StackConfig,
};
use handwave_tcp::time::Instant;
use handwave_tcp::{BufferSize, Config, Endpoint, Secrets, Tuple};
use handwave_wire::{SeqNum, Sum, TcpFlags, TcpHeader, TcpOptions, Timestamps};
use std::sync::Arc;

/// Connections that are held at most.
pub(super) const HOLDERS_MAX: usize = 6;
/// The port of the first holder; those of clients lie above.
const HOLDER_PORT: u16 = 20_000;

#[derive(Debug)]
pub(super) struct Flooder {
    rng: Rng,
    flood: Flood,
    next: Instant,
    until: Instant,
    left: usize,
    client: IpAddr,
}

impl Flooder {
    pub(super) fn new(
        mut rng: Rng,
        flood: Flood,
        client: IpAddr,
        [from, until]: [Instant; 2],
    ) -> Self {
        let next = from + rng.up_to(flood.pause_max);
        Self {
            rng,
            left: flood.packets,
            flood,
            next,
            until,
            client,
        }
    }

    /// When it sends next, if it has not given up.
    pub(super) fn next(&self) -> Option<Instant> {
        (self.left > 0 && self.next < self.until).then_some(self.next)
    }

    /// The burst that is due at `now`, if any, to one of `servers`.
    pub(super) fn strike(&mut self, now: Instant, servers: &[Endpoint]) -> Vec<PacketBuf> {
        if servers.is_empty() || self.next().is_none_or(|next| next > now) {
            return Vec::new();
        }
        self.next = now + Duration::from_micros(1) + self.rng.up_to(self.flood.pause_max);
        let burst = (self.rng.index(self.flood.burst_max) + 1).min(self.left);
        self.left -= burst;
        let kind = self.rng.pick(&self.flood.kinds);
        let server = self.rng.pick(servers);
        (0..burst)
            .filter_map(|_| self.packet(kind, server))
            .collect()
    }

    fn packet(&mut self, kind: FloodKind, server: Endpoint) -> Option<PacketBuf> {
        match kind {
            FloodKind::RandomSyns => {
                let source = self.anybody(u64::MAX);
                Some(self.syn(source, server))
            }
            FloodKind::PrefixSyns => {
                let source = self.anybody(0xFF);
                Some(self.syn(source, server))
            }
            FloodKind::HonestSyns => Some(self.syn(self.client, server)),
            FloodKind::Acks => {
                let source = self.anybody(u64::MAX);
                Some(self.ack(source, server))
            }
            FloodKind::CookieGuesses => Some(self.ack(self.client, server)),
            FloodKind::Fragments => {
                let source = self.anybody(0xF);
                Some(self.fragment(source, server.addr))
            }
            FloodKind::ZeroWindows | FloodKind::HalfClosed => None,
        }
    }

    /// A stranger's address; `mask` says how far strangers are apart.
    fn anybody(&mut self, mask: u64) -> IpAddr {
        let bits = self.rng.next_u64() & mask;
        match self.client {
            #[expect(clippy::cast_possible_truncation, reason = "the bits that IPv4 has")]
            IpAddr::V4(_) => {
                core::net::Ipv4Addr::from_bits(0x1000_0000 | bits as u32 & 0x3FFF_FFFF).into()
            }
            IpAddr::V6(_) => {
                core::net::Ipv6Addr::from_bits(0x2A00 << 112 | u128::from(bits) << 40 | 7).into()
            }
        }
    }

    /// A port that no honest client uses.
    fn port(&mut self) -> u16 {
        u16::try_from(self.rng.within(50_000..=60_000)).unwrap_or(50_000)
    }

    fn number(&mut self) -> u32 {
        u32::try_from(self.rng.next_u64() >> 32).unwrap_or(0)
    }

    fn syn(&mut self, source: IpAddr, server: Endpoint) -> PacketBuf {
        let stamped = self.rng.chance(0.5);
        let options = TcpOptions {
            mss: Some(1_400),
            sack_permitted: true,
            window_scale: Some(9),
            timestamps: stamped.then(|| Timestamps {
                value: self.number(),
                echo: 0,
            }),
            ..TcpOptions::default()
        };
        let header = TcpHeader {
            seq: SeqNum::new(self.number()),
            flags: TcpFlags::SYN,
            window: 1_000,
            options,
            ..TcpHeader::default()
        };
        self.send(source, server, header)
    }

    fn ack(&mut self, source: IpAddr, server: Endpoint) -> PacketBuf {
        let stamped = self.rng.chance(0.5);
        let options = TcpOptions {
            timestamps: stamped.then(|| Timestamps {
                value: self.number(),
                echo: self.number(),
            }),
            ..TcpOptions::default()
        };
        let header = TcpHeader {
            seq: SeqNum::new(self.number()),
            ack: SeqNum::new(self.number()),
            flags: TcpFlags::ACK,
            window: 1_000,
            options,
            ..TcpHeader::default()
        };
        self.send(source, server, header)
    }

    fn send(&mut self, source: IpAddr, server: Endpoint, header: TcpHeader) -> PacketBuf {
        let remote = Endpoint::new(source, self.port());
        let tuple = Tuple {
            local: server,
            remote,
        };
        let header = TcpHeader {
            source_port: remote.port,
            destination_port: server.port,
            ..header
        };
        tcp_packet(&tuple, &header, Vec::new())
    }

    /// A piece of a packet of which the rest never comes.
    fn fragment(&mut self, source: IpAddr, server: IpAddr) -> PacketBuf {
        let units = u16::try_from(self.rng.within(0..=180)).unwrap_or(0);
        let text = vec![0xFA; self.rng.index(100) * 8 + 8];
        let id = self.number();
        match (source, server) {
            (IpAddr::V4(source), IpAddr::V4(server)) => {
                let mut octets = vec![0x45, 0, 0, 0];
                let len = u16::try_from(20 + text.len()).unwrap_or(u16::MAX);
                octets[2..4].copy_from_slice(&len.to_be_bytes());
                octets.extend_from_slice(&id.to_be_bytes()[..2]);
                // More fragments follow.
                octets.extend_from_slice(&(0x2000 | units).to_be_bytes());
                octets.extend_from_slice(&[64, 6, 0, 0]);
                octets.extend_from_slice(&source.octets());
                octets.extend_from_slice(&server.octets());
                let sum = Sum::default().add_bytes(&octets).finish();
                octets[10..12].copy_from_slice(&sum.to_be_bytes());
                octets.extend(text);
                PacketBuf::from(octets)
            }
            (IpAddr::V6(source), IpAddr::V6(server)) => {
                let mut octets = vec![0x60, 0, 0, 0];
                let len = u16::try_from(8 + text.len()).unwrap_or(u16::MAX);
                octets.extend_from_slice(&len.to_be_bytes());
                octets.extend_from_slice(&[44, 64]);
                octets.extend_from_slice(&source.octets());
                octets.extend_from_slice(&server.octets());
                octets.extend_from_slice(&[6, 0]);
                octets.extend_from_slice(&(units << 3 | 1).to_be_bytes());
                octets.extend_from_slice(&id.to_be_bytes());
                octets.extend(text);
                PacketBuf::from(octets)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
                PacketBuf::from(Vec::new())
            }
        }
    }
}

/// A host that opens connections and holds them: it does not read, or does not close.
#[derive(Debug)]
pub(super) struct Holders {
    pub(super) host: HostId,
    addr: IpAddr,
    reads: bool,
    next_port: u16,
    until: Instant,
    held: Vec<ConnectionId>,
}

impl Holders {
    /// Joins `server`'s network, if the plan has holders.
    pub(super) fn new(
        world: &mut World,
        plan: &Plan,
        server: HostId,
        rng: &mut Rng,
    ) -> Option<Self> {
        let kinds = &plan.flood.as_ref()?.kinds;
        let holds =
            |kind: &&FloodKind| matches!(kind, FloodKind::ZeroWindows | FloodKind::HalfClosed);
        let kind = kinds.iter().find(holds)?;
        let (addr, len) = match plan.family {
            Family::V4 => (IpAddr::from([192, 0, 2, 3]), 24),
            Family::V6 => (IpAddr::from([0x2001, 0xDB8, 0, 0, 0, 0, 0, 3]), 64),
        };
        let secrets = Secrets::from_seed(rng.next_u64());
        let mut stack = Stack::new(StackConfig::default(), secrets, world.now());
        let interface = InterfaceConfig::ip(plan.interface_mtu, [Prefix::new(addr, len)]);
        let interface = stack.add_interface(interface).ok()?;
        let host = world.add_host(stack, interface, [addr]);
        let link = LinkConfig {
            delay: Duration::from_millis(1),
            mtu: plan.interface_mtu.into(),
            ..LinkConfig::default()
        };
        world.join(host, server, [link; 2], rng);
        Some(Self {
            host,
            addr,
            reads: *kind == FloodKind::HalfClosed,
            next_port: HOLDER_PORT,
            until: plan.faults_end,
            held: Vec::new(),
        })
    }

    /// Opens another connection to one of `servers`, if there is none too many.
    pub(super) fn open(&mut self, now: Instant, server: Endpoint, stack: &mut Stack) {
        if now >= self.until || self.held.len() >= HOLDERS_MAX {
            return;
        }
        let config = Config {
            receive_buffer: BufferSize::fixed(600),
            ..Config::default()
        };
        let options = ConnectOptions {
            local_addr: Some(self.addr),
            local_port: Some(self.next_port),
            config: Some(Arc::new(config)),
        };
        self.next_port += 1;
        self.held.extend(stack.connect(now, server, options));
    }

    /// Reads, if it does, and lets go when it is time.
    pub(super) fn act(&mut self, now: Instant, stack: &mut Stack) {
        while let Some(event) = stack.poll_event() {
            if let SocketId::Connection(id) = event.socket
                && self.reads
            {
                while stack
                    .read(now, id, &mut [0; 1_000])
                    .is_ok_and(|octets| octets > 0)
                {}
            }
        }
        if now >= self.until {
            for id in self.held.drain(..) {
                stack.abort(now, id);
            }
        }
    }
}
