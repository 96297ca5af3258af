//! Whatever arrives: no panic, no growth beyond the limits, and the connections of others go on.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use bytes::Bytes;
use common::*;
use core::time::Duration;
use handwave_packet::{PacketBuf, Payload};
use handwave_stack::{
    ConnectionId, InterfaceConfig, ListenerConfig, NeighbourLimits, Prefix, ReassemblyLimits,
    SocketSummary, StackConfig, UdpLimits,
};
use handwave_tcp::Phase;
use handwave_wire::ethernet::MacAddr;
use handwave_wire::icmpv4::{Echo, Icmpv4ErrorKind, Icmpv4Message, Icmpv4Unreachable};
use handwave_wire::icmpv6::{Icmpv6ErrorKind, Icmpv6Message};
use handwave_wire::{SeqNum, TcpFlags, TcpHeader, TcpOptions};
use proptest::prelude::*;

const OCTETS_MAX: usize = 20_000;

/// Limits small enough to be met.
fn tight() -> StackConfig {
    let reassembly = ReassemblyLimits {
        datagrams_max: 4,
        octets_max: OCTETS_MAX,
        fragments_max: 8,
        timeout: Duration::from_secs(30),
    };
    StackConfig {
        connections_max: 8,
        orphans_max: 4,
        time_wait_max: 4,
        reassembly_ipv4: reassembly,
        reassembly_ipv6: reassembly,
        neighbours: NeighbourLimits {
            entries_max: 4,
            ..NeighbourLimits::default()
        },
        udp: UdpLimits {
            datagrams_max: 4,
            octets_max: OCTETS_MAX,
        },
        path_mtu_entries_max: 4,
        transmit_queue_max: 16,
        ..stack_config()
    }
}

/// A host with one interface of each medium, a listener, a UDP socket and an open connection to 10.0.0.1.
struct Victim {
    pair: Pair,
    ethernet: handwave_stack::InterfaceId,
    theirs: ConnectionId,
}

impl Victim {
    fn new() -> Self {
        let mut pair = Pair::with(stack_config(), tight());
        let (_, theirs) = pair.establish(SERVER, 80);
        pair.server.stack.udp_bind(None, 53).unwrap();
        let mac = MacAddr([2, 0, 0, 0, 0, 2]);
        let networks = [
            Prefix::new(addr("10.1.0.2"), 24),
            Prefix::new(addr("2001:db8:1::2"), 64),
        ];
        let ethernet = pair
            .server
            .stack
            .add_interface(InterfaceConfig::ethernet(mac, networks))
            .unwrap();
        Self {
            pair,
            ethernet,
            theirs,
        }
    }

    fn take(&mut self, over_ethernet: bool, packet: PacketBuf) {
        let host = &mut self.pair.server;
        let interface = if over_ethernet {
            self.ethernet
        } else {
            host.interface
        };
        host.stack.handle_packet(self.pair.now, interface, packet);
        let accepted: Vec<ConnectionId> = host
            .stack
            .sockets()
            .filter_map(|socket| match socket {
                SocketSummary::Connection { id, .. } => Some(id),
                _ => None,
            })
            .collect();
        assert!(accepted.len() <= 8);
        let held = host.stack.held_memory();
        let queues = 16 * 65_535;
        let buffers = 8 * 2 * 256 * 1024;
        assert!(
            held <= 3 * OCTETS_MAX + queues + buffers,
            "{held} octets held"
        );
    }

    fn let_pass(&mut self, span: Duration) {
        self.pair.now += span;
        let host = &mut self.pair.server;
        host.stack.handle_timeout(self.pair.now);
        for _ in 0..1_000 {
            if host.stack.poll_transmit(self.pair.now).is_none() {
                break;
            }
        }
        assert!(
            host.stack.poll_transmit(self.pair.now).is_none(),
            "output ends"
        );
        while host.stack.poll_event().is_some() {}
        let next = host.stack.poll_timeout();
        assert!(
            next.is_none_or(|next| next > self.pair.now),
            "{next:?} is not later than {:?}",
            self.pair.now
        );
    }
}

/// A segment to the listener.
fn segment() -> impl Strategy<Value = (TcpHeader, Vec<u8>)> {
    let text = proptest::collection::vec(any::<u8>(), 0..80);
    (any::<u16>(), 0u16..512, any::<u32>(), any::<u32>(), text).prop_map(
        |(source_port, flags, seq, ack, text)| {
            let options = TcpOptions {
                mss: Some(source_port),
                sack_permitted: true,
                ..TcpOptions::default()
            };
            let header = TcpHeader {
                source_port,
                destination_port: 80,
                seq: SeqNum::new(seq),
                ack: SeqNum::new(ack),
                flags: TcpFlags::from_bits(flags),
                window: 1_000,
                urgent: 3,
                options,
            };
            (header, text)
        },
    )
}

/// An ICMP message about a SYN that might have been ours.
fn report() -> impl Strategy<Value = Vec<u8>> {
    let error = (any::<u16>(), any::<u16>()).prop_map(|(next_hop_mtu, port)| {
        let why = Icmpv4Unreachable::FragmentationNeeded { next_hop_mtu };
        let quoted = craft::syn(addr(SERVER), addr(CLIENT), port);
        let kind = Icmpv4ErrorKind::Unreachable(why);
        craft::icmpv4_error(addr(CLIENT), addr(SERVER), kind, &quoted)
    });
    let error6 = (any::<u32>(), any::<u16>()).prop_map(|(mtu, port)| {
        let quoted = craft::syn(addr(SERVER6), addr(CLIENT6), port);
        let kind = Icmpv6ErrorKind::PacketTooBig { mtu };
        craft::icmpv6_error(addr(CLIENT6), addr(SERVER6), kind, &quoted)
    });
    prop_oneof![error, error6]
}

/// A packet of a kind that the stack acts upon, to be damaged.
fn template() -> impl Strategy<Value = Vec<u8>> {
    let tcp =
        segment().prop_map(|(header, text)| craft::tcp(addr(CLIENT), addr(SERVER), &header, &text));
    let tcp6 = segment()
        .prop_map(|(header, text)| craft::tcp(addr(CLIENT6), addr(SERVER6), &header, &text));
    let text = proptest::collection::vec(any::<u8>(), 0..200);
    let udp = text
        .clone()
        .prop_map(|text| craft::udp(addr(CLIENT), addr(SERVER), (7, 53), &text));
    let echo = text.clone().prop_map(|data| {
        let echo = Echo {
            identifier: 1,
            sequence: 1,
            data: &data,
        };
        craft::icmpv4(
            addr(CLIENT),
            addr(SERVER),
            &Icmpv4Message::EchoRequest(echo),
        )
    });
    let echo6 = text.prop_map(|data| {
        let echo = Echo {
            identifier: 1,
            sequence: 1,
            data: &data,
        };
        craft::icmpv6(
            addr(CLIENT6),
            addr(SERVER6),
            &Icmpv6Message::EchoRequest(echo),
        )
    });
    prop_oneof![tcp, tcp6, udp, echo, echo6, report()]
}

/// Damage that keeps the IPv4 header checksum right, so that it gets further than the first test.
fn mend(octets: &mut [u8]) {
    if octets.len() >= 20 && octets[0] == 0x45 {
        octets[10..12].copy_from_slice(&[0, 0]);
        let checksum = handwave_wire::checksum::internet_checksum(&octets[..20]);
        octets[10..12].copy_from_slice(&checksum.to_be_bytes());
    }
}

fn in_pieces(octets: &[u8], size: usize) -> PacketBuf {
    let mut payload = Payload::new();
    for piece in octets.chunks(size.max(1)) {
        payload.push(Bytes::copy_from_slice(piece));
    }
    PacketBuf::with_payload(payload)
}

/// An Ethernet header before an IP packet, now and then.
fn framed(octets: &[u8]) -> Vec<u8> {
    let ethertype = if octets.first().is_some_and(|first| first >> 4 == 6) {
        [0x86, 0xdd]
    } else {
        [8, 0]
    };
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 9];
    frame.extend_from_slice(&ethertype);
    frame.extend_from_slice(octets);
    frame
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn random_octets_do_no_harm(
        packets in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..120)), 0..40),
    ) {
        let mut victim = Victim::new();
        for (over_ethernet, octets) in packets {
            victim.take(over_ethernet, PacketBuf::from_bytes(Bytes::from(octets)));
            victim.let_pass(Duration::from_millis(1));
        }
        prop_assert_eq!(victim.pair.server.phase(victim.theirs), Some(Phase::Established));
    }

    #[test]
    fn damaged_packets_do_no_harm(
        packets in proptest::collection::vec(
            (
                template(),
                proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
                any::<bool>(),
                any::<bool>(),
                1usize..200,
                prop::option::of(0usize..80),
                0u64..40_000,
            ),
            0..40,
        ),
    ) {
        let mut victim = Victim::new();
        for (mut octets, damage, mends, over_ethernet, piece, cut, wait) in packets {
            for (at, value) in damage {
                let at = at.index(octets.len());
                octets[at] = value;
            }
            if mends {
                mend(&mut octets);
            }
            octets.truncate(octets.len() - cut.unwrap_or(0).min(octets.len()));
            let octets = if over_ethernet { framed(&octets) } else { octets };
            victim.take(over_ethernet, in_pieces(&octets, piece));
            victim.let_pass(Duration::from_millis(wait));
        }
        // Nobody knew the sequence numbers: the honest connection is untouched.
        prop_assert_eq!(victim.pair.server.phase(victim.theirs), Some(Phase::Established));
        victim.let_pass(Duration::from_secs(3_600));
        let host = &victim.pair.server.stack;
        let left = host.sockets().filter(|socket| matches!(socket, SocketSummary::TimeWait { .. })).count();
        prop_assert_eq!(left, 0);
    }

    #[test]
    fn a_flood_of_syns_leaves_nothing_behind(ports in proptest::collection::vec(any::<u16>(), 1..300)) {
        let mut victim = Victim::new();
        let limits = ListenerConfig { syn_queue_max: 16, ..ListenerConfig::default() };
        let listener = victim.pair.server.stack.listen(8_080, limits).unwrap();
        for port in ports {
            let mut syn = craft::syn(addr(CLIENT), addr(SERVER), port);
            syn[22..24].copy_from_slice(&8_080u16.to_be_bytes());
            // The checksum is what it was: port 80 became 8080.
            let sum = handwave_wire::checksum::update_u16(u16::from_be_bytes([syn[36], syn[37]]), 80, 8_080);
            syn[36..38].copy_from_slice(&sum.to_be_bytes());
            victim.take(false, PacketBuf::from_bytes(Bytes::from(syn)));
            prop_assert!(victim.pair.server.stack.listener(listener).unwrap().half_open() <= 16);
        }
        victim.let_pass(Duration::ZERO);
        for _ in 0..200 {
            victim.let_pass(Duration::from_secs(1));
        }
        prop_assert_eq!(victim.pair.server.stack.listener(listener).unwrap().half_open(), 0);
    }
}
