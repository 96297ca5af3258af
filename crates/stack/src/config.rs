//! Every limit of a stack in one place, with what happens when it is reached.

use crate::input::ReassemblyLimits;
use crate::neighbours::NeighbourLimits;
use crate::ports::PortRange;
use crate::rate::RateLimit;
use crate::steering::Shard;
use crate::udp::UdpLimits;
use alloc::sync::Arc;
use core::time::Duration;
use handwave_tcp::Config;

/// What to do when a connection should enter TIME-WAIT and the table is full.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum TimeWaitOverflow {
    /// Forget the new one at once, as Linux does. What is in the table has been promised its time.
    #[default]
    DropNew,
    /// Forget the one that was made first.
    EvictOldest,
}

/// Whether a packet may arrive for an address of another interface (RFC 1122 3.3.4.2).
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum HostModel {
    /// Only for addresses of the interface it arrived on.
    #[default]
    Strong,
    /// For any address of this host.
    Weak,
}

/// How a stack behaves and what it may use.
///
/// ```
/// use handwave_stack::StackConfig;
///
/// let config = StackConfig { connections_max: 1_000, ..StackConfig::default() };
/// assert_eq!(config.hop_limit, 64);
/// ```
#[derive(Clone, Debug)]
pub struct StackConfig {
    /// Which one this is, where several stacks share the work of one host: see [`for_shard`](Self::for_shard).
    pub shard: Shard,
    /// Connections at a time, orphans included. At the limit active opens fail and the final ACK of a handshake is
    /// answered with RST.
    pub connections_max: usize,
    /// Connections for which room is made in all tables at the start, so that none has to grow (and move) under load.
    pub connections_reserved: usize,
    /// Connections that the application has let go of and that are not closed yet. At the limit the next one is reset.
    pub orphans_max: usize,
    /// TIME-WAIT records.
    pub time_wait_max: usize,
    /// What happens when there are more.
    pub time_wait_overflow: TimeWaitOverflow,
    /// Listeners at a time.
    pub listeners_max: usize,
    /// Bytes of memory held by buffers of all sockets from which on windows and buffers stop growing and shrink to what is in use.
    pub memory_soft: usize,
    /// Bytes of memory held by buffers of all sockets from which on memory is given back: connections drop what came
    /// out of order and refuse text, and active opens, SYNs, UDP datagrams and fragments are refused. A connection that holds
    /// nothing may still queue a segment that arrives and a few thousand octets to send, so that it gets on.
    pub memory_hard: usize,
    /// Bytes of memory that buffers never exceed by what arrives for connections and what is written to them; at least `memory_hard`.
    pub memory_max: usize,
    /// What a connection is configured with when [`ConnectOptions`](crate::ConnectOptions) says nothing else.
    pub tcp: Arc<Config>,
    /// The ports to choose from for active opens and for UDP sockets bound to port 0.
    pub ephemeral_ports: PortRange,
    /// Ports looked at before an active open fails for want of one.
    pub ephemeral_attempts_max: u32,
    /// Which packets are for us.
    pub host_model: HostModel,
    /// TTL and hop limit of what no connection sends: UDP, ICMP, resets.
    pub hop_limit: u8,
    /// RSTs in answer to segments that belong to nothing.
    pub reset_rate: RateLimit,
    /// ICMP errors.
    pub icmp_error_rate: RateLimit,
    /// Answers to echo requests; a burst of 0 answers none.
    pub echo_rate: RateLimit,
    /// Destinations whose path MTU is remembered; the oldest makes room.
    pub path_mtu_entries_max: usize,
    /// How long a lowered path MTU is believed (RFC 1191 6.3).
    pub path_mtu_lifetime: Duration,
    /// ARP and NDP.
    pub neighbours: NeighbourLimits,
    /// Fragments of IPv4.
    pub reassembly_ipv4: ReassemblyLimits,
    /// Fragments of IPv6.
    pub reassembly_ipv6: ReassemblyLimits,
    /// UDP sockets at a time.
    pub udp_sockets_max: usize,
    /// Limits of each UDP socket.
    pub udp: UdpLimits,
    /// Packets of UDP, ICMP and neighbour discovery that wait to be polled. TCP segments do not wait: they are built
    /// when polled.
    pub transmit_queue_max: usize,
}

impl Default for StackConfig {
    fn default() -> Self {
        let reassembly = ReassemblyLimits {
            datagrams_max: 1_024,
            octets_max: 4 << 20,
            fragments_max: 64,
            timeout: Duration::from_secs(30),
        };
        Self {
            shard: Shard::default(),
            connections_max: 1 << 20,
            connections_reserved: 0,
            orphans_max: 1 << 16,
            time_wait_max: 1 << 18,
            time_wait_overflow: TimeWaitOverflow::default(),
            listeners_max: 1 << 16,
            memory_soft: 384 << 20,
            memory_hard: 512 << 20,
            memory_max: 576 << 20,
            tcp: Arc::new(Config::default()),
            ephemeral_ports: PortRange::default(),
            ephemeral_attempts_max: 1 << 16,
            host_model: HostModel::default(),
            hop_limit: 64,
            reset_rate: RateLimit {
                per_second: 1_000,
                burst: 200,
            },
            icmp_error_rate: RateLimit {
                per_second: 1_000,
                burst: 50,
            },
            echo_rate: RateLimit {
                per_second: 10_000,
                burst: 1_000,
            },
            path_mtu_entries_max: 4_096,
            path_mtu_lifetime: Duration::from_secs(600),
            neighbours: NeighbourLimits::default(),
            reassembly_ipv4: reassembly,
            reassembly_ipv6: ReassemblyLimits {
                timeout: Duration::from_secs(60),
                ..reassembly
            },
            udp_sockets_max: 1 << 14,
            udp: UdpLimits::default(),
            transmit_queue_max: 4_096,
        }
    }
}
