//! Several stacks for one host, one on each core: which of these *shards* a packet belongs to.
//!
//! Shards share nothing but addresses and secrets, so each connection must live in one of them, and everybody must know in
//! which without asking. A keyed hash of the two endpoints says it, the same for both directions. What a peer opens falls where the hash
//! says; what we open gets an ephemeral port for which the hash says the shard that opened it. The hash is keyed because
//! a peer chooses its port: without the key nobody can aim all his flows at one core.
//!
//! Whoever reads the packets (the kernel with a flow table that forgets, a network card with a hash of its own) may bring one to
//! any shard. [`Stack::handle_packet`] looks at it without parsing it whole; what is another shard's is put aside as a
//! [stray](crate::strays), for the owner of the stacks to carry over. Three kinds have no ports to look at:
//!
//! - fragments meet at a shard that their addresses and identification choose, whichever that is, and the whole datagram goes
//!   on from there;
//! - an ICMP error goes where the packet that it quotes came from;
//! - anything else (an echo request, a protocol nobody speaks) is answered where it arrived.

use crate::calls::ConnectOptions;
use crate::config::StackConfig;
use crate::keyed::Key;
use crate::rate::RateLimit;
use crate::stack::Stack;
use crate::strays::Strays;
use core::net::IpAddr;
use handwave_packet::PacketBuf;
use handwave_tcp::{Endpoint, Tuple};
use handwave_wire::IpProtocol;
use handwave_wire::icmpv4::QuotedPacket;
use handwave_wire::ipv4::Ipv4Header;
use handwave_wire::ipv6::{ExtensionLimits, Ipv6Header};

/// One of several stacks that share their addresses and their secrets.
///
/// ```
/// use handwave_stack::{Shard, Stack, StackConfig};
/// use handwave_tcp::{Instant, Secrets};
///
/// let secrets = Secrets::from_seed(1);
/// let config = StackConfig::default();
/// let shards: Vec<Stack> = Shard::all(2)
///     .map(|shard| Stack::new(config.for_shard(shard), secrets.clone(), Instant::ZERO))
///     .collect();
/// let to = ("10.0.0.2:80".parse::<std::net::SocketAddr>().unwrap()).into();
/// let from = ("10.0.0.1:4000".parse::<std::net::SocketAddr>().unwrap()).into();
/// let tuple = handwave_tcp::Tuple::new(to, from);
/// assert_eq!(shards[0].shard_of(&tuple), shards[1].shard_of(&tuple));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Shard {
    index: u16,
    count: u16,
}

/// The only stack of its host.
impl Default for Shard {
    fn default() -> Self {
        Self { index: 0, count: 1 }
    }
}

impl Shard {
    /// Number `index` of `count`, if there is such a one.
    #[must_use]
    pub const fn new(index: u16, count: u16) -> Option<Self> {
        if index < count {
            Some(Self { index, count })
        } else {
            None
        }
    }

    /// All shards of a host that has `count` of them.
    pub fn all(count: u16) -> impl Iterator<Item = Self> {
        (0..count).map(move |index| Self { index, count })
    }

    /// Which one, from 0.
    #[must_use]
    pub const fn index(self) -> u16 {
        self.index
    }

    /// How many there are.
    #[must_use]
    pub const fn count(self) -> u16 {
        self.count
    }

    /// This shard's part of what all have together, rounded up.
    const fn part(self, whole: usize) -> usize {
        whole.div_ceil(self.count as usize)
    }

    const fn part_of_rate(self, whole: RateLimit) -> RateLimit {
        RateLimit {
            per_second: whole.per_second.div_ceil(self.count as u32),
            burst: whole.burst.div_ceil(self.count as u32),
        }
    }
}

impl StackConfig {
    /// The configuration of one of several shards that are to behave as one stack with this configuration: each gets an equal part of
    /// what is limited for all together (connections, memory, rates of answers).
    ///
    /// The parts are fixed: a shard that is full does not borrow from another. The limits of *listeners* are not among them: see
    /// [`ListenerPool`](handwave_tcp::ListenerPool).
    #[must_use]
    pub fn for_shard(&self, shard: Shard) -> Self {
        let mut reassembly = [self.reassembly_ipv4, self.reassembly_ipv6];
        for limits in &mut reassembly {
            limits.datagrams_max = shard.part(limits.datagrams_max);
            limits.octets_max = shard.part(limits.octets_max);
        }
        let [reassembly_ipv4, reassembly_ipv6] = reassembly;
        Self {
            shard,
            connections_max: shard.part(self.connections_max),
            connections_reserved: shard.part(self.connections_reserved),
            orphans_max: shard.part(self.orphans_max),
            time_wait_max: shard.part(self.time_wait_max),
            memory_soft: shard.part(self.memory_soft),
            memory_hard: shard.part(self.memory_hard),
            memory_max: shard.part(self.memory_max),
            reset_rate: shard.part_of_rate(self.reset_rate),
            icmp_error_rate: shard.part_of_rate(self.icmp_error_rate),
            echo_rate: shard.part_of_rate(self.echo_rate),
            reassembly_ipv4,
            reassembly_ipv6,
            ..self.clone()
        }
    }
}

/// What a stack knows of its fellows.
#[derive(Debug)]
pub(crate) struct Steering {
    key: Key,
    shard: Shard,
    /// What arrived here and is others', with the shard each is for.
    pub(crate) strays: Strays,
}

impl Steering {
    pub(crate) fn new(root: &[u8; 16], shard: Shard, strays_max: usize) -> Self {
        Self {
            key: Key::derive(root, b"shards"),
            shard,
            strays: Strays::new(strays_max),
        }
    }

    pub(crate) const fn is_alone(&self) -> bool {
        self.shard.count == 1
    }

    /// The numbers of all shards but this one.
    pub(crate) fn others(&self) -> impl Iterator<Item = u16> + use<> {
        let own = self.shard.index;
        (0..self.shard.count).filter(move |index| *index != own)
    }

    /// Whether a connection between these would live here.
    pub(crate) fn owns(&self, tuple: &Tuple) -> bool {
        self.is_alone() || self.of_tuple(tuple) == self.shard.index
    }

    fn of_tuple(&self, tuple: &Tuple) -> u16 {
        self.reduce(self.key.hash_pair(tuple))
    }

    /// A shard for a hash.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "less than the number of shards"
    )]
    const fn reduce(&self, hash: u64) -> u16 {
        (((hash >> 32) * self.shard.count as u64) >> 32) as u16
    }

    /// Which other shard a packet belongs to, if it does.
    pub(crate) fn elsewhere(&self, packet: &mut PacketBuf) -> Option<u16> {
        let shard = self.of_packet(packet.contiguous()).or_else(|| {
            if packet.contiguous().len() < packet.len() {
                packet.linearize();
            }
            self.of_packet(packet.contiguous())
        });
        shard.filter(|shard| *shard != self.shard.index)
    }

    /// The shard of a packet; `None` if it is anybody's, or too little of it is there to tell.
    fn of_packet(&self, packet: &[u8]) -> Option<u16> {
        match packet.first()? >> 4 {
            4 => self.of_ipv4(packet),
            6 => self.of_ipv6(packet),
            _ => None,
        }
    }

    fn of_ipv4(&self, packet: &[u8]) -> Option<u16> {
        let header: &[u8; Ipv4Header::LEN] = packet.first_chunk()?;
        let source = IpAddr::from(<[u8; 4]>::try_from(&header[12..16]).ok()?);
        let destination = IpAddr::from(<[u8; 4]>::try_from(&header[16..20]).ok()?);
        let protocol = IpProtocol(header[9]);
        // Anything but "don't fragment".
        if header[6] & 0x3f != 0 || header[7] != 0 {
            let identification = u16::from_be_bytes([header[4], header[5]]);
            return Some(self.of_fragment((source, destination), identification.into()));
        }
        let at = usize::from(header[0] & 0x0f) * 4;
        self.of_upper((source, destination), protocol, packet.get(at..)?)
    }

    fn of_ipv6(&self, packet: &[u8]) -> Option<u16> {
        let header: &[u8; Ipv6Header::LEN] = packet.first_chunk()?;
        let source = IpAddr::from(<[u8; 16]>::try_from(&header[8..24]).ok()?);
        let destination = IpAddr::from(<[u8; 16]>::try_from(&header[24..40]).ok()?);
        let ends = (source, destination);
        let (mut protocol, mut at) = (IpProtocol(header[6]), Ipv6Header::LEN);
        if !matches!(
            protocol,
            IpProtocol::TCP | IpProtocol::UDP | IpProtocol::ICMPV6
        ) {
            let (header, _) = Ipv6Header::parse(packet).ok()?;
            let upper = header
                .upper_layer(packet, ExtensionLimits::default())
                .ok()?;
            if let Some(fragment) = upper.fragment {
                return Some(self.of_fragment(ends, fragment.header.identification));
            }
            (protocol, at) = (upper.protocol, upper.offset);
        }
        self.of_upper(ends, protocol, packet.get(at..)?)
    }

    fn of_fragment(&self, (source, destination): (IpAddr, IpAddr), identification: u32) -> u16 {
        let [a, b, c, d] = identification.to_be_bytes();
        let folded = u16::from_be_bytes([a ^ c, b ^ d]);
        self.reduce(self.key.hash_addresses(source, destination, folded))
    }

    fn of_upper(
        &self,
        (source, destination): (IpAddr, IpAddr),
        protocol: IpProtocol,
        upper: &[u8],
    ) -> Option<u16> {
        match protocol {
            IpProtocol::TCP | IpProtocol::UDP => {
                let &[s0, s1, d0, d1] = upper.first_chunk()?;
                let source = Endpoint::new(source, u16::from_be_bytes([s0, s1]));
                let destination = Endpoint::new(destination, u16::from_be_bytes([d0, d1]));
                Some(self.of_tuple(&Tuple::new(destination, source)))
            }
            IpProtocol::ICMP => self.of_error(
                matches!(upper.first()?, 3 | 4 | 11 | 12)
                    .then(|| QuotedPacket::parse_ipv4(upper.get(8..)?).ok())??,
            ),
            IpProtocol::ICMPV6 => self.of_error(
                (*upper.first()? < 128)
                    .then(|| QuotedPacket::parse_ipv6(upper.get(8..)?).ok())??,
            ),
            _ => None,
        }
    }

    /// The shard that sent what an ICMP error is about.
    fn of_error(&self, quoted: QuotedPacket) -> Option<u16> {
        let ports = quoted.ports?;
        let local = Endpoint::new(quoted.source, ports.source);
        let remote = Endpoint::new(quoted.destination, ports.destination);
        Some(self.of_tuple(&Tuple::new(local, remote)))
    }
}

impl Stack {
    /// Which shard a connection between these lives in, or would.
    #[must_use]
    pub fn shard_of(&self, tuple: &Tuple) -> u16 {
        match self.steering.is_alone() {
            true => 0,
            false => self.steering.of_tuple(tuple),
        }
    }

    /// Which shard can send from this port to `remote`, so that the answers are its own; `None` if there is no way to `remote`.
    ///
    /// An active open with a port of the caller's choice has to be made there.
    #[must_use]
    pub fn shard_towards(
        &self,
        local_addr: Option<IpAddr>,
        local_port: u16,
        remote: Endpoint,
    ) -> Option<u16> {
        let hop = self.route_to(remote.addr)?;
        let options = ConnectOptions {
            local_addr,
            ..ConnectOptions::default()
        };
        let local = match local_addr {
            Some(addr) => addr,
            None => self.source_for(&options, remote.addr, hop).ok()?,
        };
        let tuple = Tuple::new(Endpoint::new(local, local_port), remote);
        Some(self.shard_of(&tuple))
    }
}
