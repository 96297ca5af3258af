//! A counter for every packet that was not used and for every limit that was reached.
//!
//! Where Linux counts the same thing, its name (as `nstat` prints it) is given. What connections count themselves is in
//! [`handwave_tcp::Counters`], reached through [`Stack::host`](crate::Stack::host).

use handwave_tcp::DescribedCounter;

/// Declares the counters with their names, so that they can be listed.
macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident = $shown:literal,)*) => {
        /// What a stack has counted since it was made.
        #[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
        pub struct Counters {
            $($(#[doc = $doc])* pub $name: u64,)*
        }

        impl Counters {
            /// All counters as (name, value), in the order of the fields.
            ///
            /// ```
            /// use handwave_stack::Counters;
            ///
            /// let counters = Counters::default();
            /// assert!(counters.iter().any(|(name, value)| name == "IpInReceives" && value == 0));
            /// ```
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$(($shown, self.$name)),*].into_iter()
            }

            /// Adds what another stack has counted.
            pub fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)*
            }

            /// All counters with what they count.
            ///
            /// ```
            /// use handwave_stack::Counters;
            ///
            /// let counters = Counters::default();
            /// assert!(counters.described().any(|counter| counter.field == "ip_received" && counter.name == "IpInReceives"));
            /// ```
            pub fn described(&self) -> impl Iterator<Item = DescribedCounter> {
                [$(handwave_tcp::described_counter!(self.$name, $shown, $($doc),*)),*].into_iter()
            }
        }
    };
}

counters! {
    /// IP packets that arrived (`IpInReceives` and `Ip6InReceives`).
    ip_received = "IpInReceives",
    /// Packets whose IP header could not be read.
    ip_header_errors = "IpInHdrErrors",
    /// Packets to an address that is not ours.
    ip_foreign_address = "IpInAddrErrors",
    /// Packets from an address that cannot be a source: multicast, broadcast, loopback from outside, our own
    /// ([MUST-63]).
    ip_invalid_source = "TcpExtIPMartianSource",
    /// Packets of a protocol that nobody here speaks.
    ip_unknown_protocol = "IpInUnknownProtos",
    /// Frames that are neither IP nor ARP, or not for us.
    frames_ignored = "EthernetInIgnored",
    /// Frames or ARP packets that could not be read.
    frames_malformed = "EthernetInErrors",
    /// Packets handed to an interface that does not exist.
    no_interface = "InNoInterface",
    /// Fragments that arrived.
    fragments_received = "IpReasmReqds",
    /// Datagrams put together.
    reassembled = "IpReasmOKs",
    /// Fragments refused, and datagrams discarded for an overlap or a contradiction.
    reassembly_failures = "IpReasmFails",
    /// Datagrams given up because fragments were missing.
    reassembly_timeouts = "IpReasmTimeout",
    /// Fragments too small to carry the upper header (RFC 1858, RFC 7112).
    tiny_fragments = "IpReasmTiny",
    /// Datagrams cut into fragments on the way out.
    fragmented = "IpFragOKs",
    /// TCP segments that could not be read.
    tcp_malformed = "TcpInErrs",
    /// TCP segments with a wrong checksum.
    tcp_checksum_errors = "TcpInCsumErrors",
    /// Segments to a port where nobody listens.
    tcp_no_port = "TcpInNoPorts",
    /// SYNs to a group address, dropped in silence (RFC 9293 3.9.2.3 [MUST-57]).
    tcp_to_group = "TcpInGroup",
    /// RSTs not sent because the rate limit was reached.
    resets_limited = "TcpOutRstsLimited",
    /// Requests to forward: SYNs to foreign addresses, and cookies that came back from clients of such.
    forward_requests = "ForwardRequests",
    /// SYNs to foreign addresses that found too many requests undecided: a cookie answered them, or they were dropped.
    forward_requests_full = "ForwardRequestsFull",
    /// Times that memory became scarce: soft pressure began.
    memory_pressures = "TcpExtTCPMemoryPressures",
    /// Milliseconds of soft pressure or more.
    memory_pressure_millis = "TcpExtTCPMemoryPressuresChrono",
    /// Active opens, SYNs, datagrams and fragments refused because memory was at its limit.
    memory_refused = "MemoryRefused",
    /// Connections that found the table full.
    connections_refused = "TcpExtConnectionTableFull",
    /// Orphans reset because there were too many (`TCPAbortOnMemory` counts them on Linux).
    orphans_refused = "TcpExtTCPAbortOnMemory",
    /// TIME-WAIT records not made, or thrown out early, because the table was full.
    time_wait_overflows = "TcpExtTCPTimeWaitOverflow",
    /// TIME-WAIT records made.
    time_waits = "TcpExtTW",
    /// TIME-WAIT records that gave way to a new SYN.
    time_waits_recycled = "TcpExtTWRecycled",
    /// UDP datagrams that arrived for a socket.
    udp_received = "UdpInDatagrams",
    /// UDP datagrams that could not be read.
    udp_malformed = "UdpInErrors",
    /// UDP datagrams with a wrong checksum.
    udp_checksum_errors = "UdpInCsumErrors",
    /// UDP datagrams to a port that nobody has.
    udp_no_port = "UdpNoPorts",
    /// UDP datagrams dropped because the socket's queue was full.
    udp_queue_full = "UdpRcvbufErrors",
    /// UDP datagrams sent.
    udp_sent = "UdpOutDatagrams",
    /// ICMP messages that arrived.
    icmp_received = "IcmpInMsgs",
    /// ICMP messages that could not be read.
    icmp_malformed = "IcmpInErrors",
    /// ICMP messages with a wrong checksum.
    icmp_checksum_errors = "IcmpInCsumErrors",
    /// Echo requests answered.
    icmp_echoes = "IcmpOutEchoReps",
    /// Echo requests not answered because the rate limit was reached.
    icmp_echoes_limited = "IcmpOutEchoRepsLimited",
    /// ICMP errors sent.
    icmp_errors_sent = "IcmpOutErrors",
    /// ICMP errors not sent because the rate limit was reached.
    icmp_errors_limited = "IcmpOutRateLimitGlobal",
    /// ICMP errors that did not match anything in flight (RFC 5927 4.1).
    icmp_errors_unmatched = "TcpExtOutOfWindowIcmps",
    /// ICMP errors delivered to the socket that caused them.
    icmp_errors_delivered = "IcmpInDelivered",
    /// Source Quenches dropped in silence (RFC 6633).
    icmp_source_quenches = "IcmpInSrcQuenchs",
    /// Path MTUs lowered by a believed report.
    path_mtu_reduced = "PathMtuReduced",
    /// Neighbour answers and solicitations that could not be believed.
    neighbour_ignored = "NeighbourIgnored",
    /// Packets dropped because their neighbour did not answer or too many waited for it.
    neighbour_failures = "NeighbourFailures",
    /// Packets dropped because no route led to their destination (`IpOutNoRoutes`).
    no_route = "IpOutNoRoutes",
    /// Packets dropped because too many waited to be sent.
    transmit_queue_full = "OutQueueFull",
    /// Packets that arrived at a shard they do not belong to, and were put aside for their owner.
    strays = "ShardStrays",
    /// Packets and news of neighbours that were for other shards, dropped because too many waited to be carried over.
    strays_dropped = "ShardStraysDropped",
    /// Packets handed to an interface.
    packets_sent = "IpOutRequests",
}
