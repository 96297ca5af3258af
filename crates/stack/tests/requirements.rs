//! The labelled requirements of RFC 9293 that show between TCP and the network layer: addresses, checksums, ICMP, IP options.
//!
//! A stack with one interface meets packets written octet by octet. What shows between two endpoints whatever carries their
//! segments is proven in `handwave-tcp`.
#![expect(clippy::unwrap_used, reason = "a test that cannot unwrap has failed")]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use handwave_packet::PacketBuf;
use handwave_stack::{
    ConnectError, ConnectOptions, ConnectionId, InterfaceConfig, InterfaceId, ListenAt,
    ListenerConfig, Prefix, Stack, StackConfig,
};
use handwave_tcp::{
    Config, ConnectionError, Endpoint, Events, Instant, Phase, Secrets, Unreachable,
};
use handwave_wire::arp::{ArpOperation, ArpPacket};
use handwave_wire::checksum::internet_checksum;
use handwave_wire::ethernet::{EtherType, EthernetHeader, MacAddr};
use handwave_wire::ipv4::Ipv4Header;
use handwave_wire::{IpProtocol, SeqNum, Sum, TcpFlags, TcpHeader, TcpOptions};

const OURS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const OURS_TOO: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 129);
const PEER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
const NOW: Instant = Instant::from_secs(1_000);
const PEER_ISS: SeqNum = SeqNum::new(7_000);

/// A packet that left, taken apart.
#[derive(Debug)]
struct Sent {
    ip: Ipv4Header,
    tcp: TcpHeader,
    text: Vec<u8>,
    octets: Vec<u8>,
}

struct Bench {
    stack: Stack,
    interface: InterfaceId,
}

impl Bench {
    fn new() -> Self {
        let mut stack = Stack::new(StackConfig::default(), Secrets::from_seed(1), NOW);
        let addresses = [OURS, OURS_TOO].map(|addr| Prefix::new(addr.into(), 24));
        let interface = stack
            .add_interface(InterfaceConfig::ip(1500, addresses))
            .unwrap();
        Self { stack, interface }
    }

    /// A stack that listens on port 80 of any address.
    fn listening() -> Self {
        let mut bench = Self::new();
        bench.stack.listen(80, ListenerConfig::default()).unwrap();
        bench
    }

    /// A stack with a connection to port 80 of the peer, its handshake complete.
    fn connected(config: Config) -> (Self, ConnectionId, Sent) {
        let mut bench = Self::new();
        let options = ConnectOptions {
            config: Some(Arc::new(config)),
            ..ConnectOptions::default()
        };
        let id = bench
            .stack
            .connect(NOW, Endpoint::new(PEER.into(), 80), options)
            .unwrap();
        let syn = bench.drain().remove(0);
        let syn_ack = TcpHeader {
            seq: PEER_ISS,
            flags: TcpFlags::SYN | TcpFlags::ACK,
            options: TcpOptions {
                mss: Some(1460),
                ..TcpOptions::default()
            },
            ..answer(&syn)
        };
        bench.arrives(packet(PEER, OURS, &syn_ack, b""));
        assert_eq!(
            bench.stack.connection(id).unwrap().phase(),
            Phase::Established
        );
        let third = bench.drain().remove(0);
        (bench, id, third)
    }

    fn arrives(&mut self, octets: Vec<u8>) {
        self.stack.handle_packet(
            NOW,
            self.interface,
            PacketBuf::from_bytes(Bytes::from(octets)),
        );
    }

    fn writes(&mut self, id: ConnectionId, text: &[u8]) -> Vec<Sent> {
        assert_eq!(self.stack.write(NOW, id, text), Ok(text.len()));
        self.drain()
    }

    fn drain(&mut self) -> Vec<Sent> {
        std::iter::from_fn(|| self.stack.poll_transmit(NOW))
            .map(|(_, packet)| take_apart(packet.to_vec()))
            .collect()
    }

    fn events(&mut self) -> Events {
        std::iter::from_fn(|| self.stack.poll_event())
            .fold(Events::NONE, |all, event| all | event.events)
    }
}

fn take_apart(octets: Vec<u8>) -> Sent {
    let (ip, ip_len) =
        Ipv4Header::parse(&octets).expect("a right IP header, its checksum included");
    let (tcp, tcp_len) = TcpHeader::parse(&octets[ip_len..]).unwrap();
    let text = octets[ip_len + tcp_len..].to_vec();
    Sent {
        ip,
        tcp,
        text,
        octets,
    }
}

/// The header of an answer to `sent`, acknowledging all of it.
fn answer(sent: &Sent) -> TcpHeader {
    TcpHeader {
        source_port: sent.tcp.destination_port,
        destination_port: sent.tcp.source_port,
        seq: sent.tcp.ack,
        ack: sent.tcp.seq + sent.tcp.seq_len(sent.text.len()),
        flags: TcpFlags::ACK,
        window: 50_000,
        ..TcpHeader::default()
    }
}

fn syn() -> TcpHeader {
    TcpHeader {
        source_port: 4_000,
        destination_port: 80,
        seq: PEER_ISS,
        flags: TcpFlags::SYN,
        window: 50_000,
        ..TcpHeader::default()
    }
}

/// An IPv4 packet with all checksums right.
fn packet(source: Ipv4Addr, destination: Ipv4Addr, tcp: &TcpHeader, text: &[u8]) -> Vec<u8> {
    with_ip_options(
        source,
        destination,
        &[],
        &segment(source, destination, tcp, text),
        IpProtocol::TCP,
    )
}

fn segment(source: Ipv4Addr, destination: Ipv4Addr, tcp: &TcpHeader, text: &[u8]) -> Vec<u8> {
    let mut segment = vec![0; tcp.header_len()];
    tcp.emit(&mut segment);
    segment.extend(text);
    let len = u32::try_from(segment.len()).unwrap();
    let sum = Sum::default()
        .pseudo_header(source.into(), destination.into(), IpProtocol::TCP, len)
        .add_bytes(&segment);
    TcpHeader::set_checksum(&mut segment, sum.finish());
    segment
}

/// An IPv4 packet whose header carries `options`, a multiple of four octets.
fn with_ip_options(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    options: &[u8],
    payload: &[u8],
    protocol: IpProtocol,
) -> Vec<u8> {
    let mut header = vec![0; 20];
    let payload_len = u16::try_from(options.len() + payload.len()).unwrap();
    Ipv4Header {
        ttl: 64,
        payload_len,
        ..Ipv4Header::new(source, destination, protocol)
    }
    .emit(&mut header);
    header[0] = 0x40 | u8::try_from(5 + options.len() / 4).unwrap();
    header.extend(options);
    header[10..12].fill(0);
    let checksum = internet_checksum(&header);
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
    header.extend(payload);
    header
}

/// An ICMP error of a router about `quoted`, a packet of ours.
fn icmp(kind: u8, code: u8, quoted: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0, 0, 0, 0, 0];
    message.extend(&quoted[..quoted.len().min(48)]);
    let checksum = internet_checksum(&message);
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    with_ip_options(
        Ipv4Addr::new(192, 0, 2, 254),
        OURS,
        &[],
        &message,
        IpProtocol::ICMP,
    )
}

/// [MUST-2]
#[test]
fn every_segment_carries_a_right_checksum() {
    let (mut bench, id, third) = Bench::connected(Config::default());
    let mut sent = vec![third];
    for len in [1, 2, 3, 1_000, 9_999] {
        sent.extend(bench.writes(id, &vec![0xa5; len]));
        let last = answer(sent.last().unwrap());
        bench.arrives(packet(PEER, OURS, &last, b""));
        sent.extend(bench.drain());
    }
    bench.stack.abort(NOW, id);
    sent.extend(bench.drain());
    assert!(sent.len() > 8);
    for Sent { octets, tcp, .. } in sent {
        assert!(
            TcpHeader::checksum_is_valid(&octets[20..], OURS.into(), PEER.into()),
            "{tcp:?}"
        );
    }
}

/// [MUST-3]
#[test]
fn a_segment_with_a_wrong_checksum_is_dropped() {
    let mut bench = Bench::listening();
    let right = packet(PEER, OURS, &syn(), b"");
    for octet in 20..right.len() {
        let mut wrong = right.clone();
        wrong[octet] ^= 0x40;
        bench.arrives(wrong);
        assert!(bench.drain().is_empty(), "octet {octet} is wrong");
    }
    assert_eq!(
        bench.stack.counters().tcp_checksum_errors,
        u64::try_from(right.len() - 20).unwrap()
    );
    bench.arrives(right);
    assert_eq!(bench.drain().len(), 1);
}

/// OPEN takes an optional local address, passive and active [MUST-43].
#[test]
fn the_local_address_may_be_given() {
    let mut bench = Bench::new();
    let at = ListenAt {
        addr: Some(OURS_TOO.into()),
        port: 80,
    };
    bench.stack.listen(at, ListenerConfig::default()).unwrap();
    bench.arrives(packet(PEER, OURS, &syn(), b""));
    assert!(
        bench.drain()[0].tcp.flags.contains(TcpFlags::RST),
        "nobody listens on this address"
    );
    bench.arrives(packet(PEER, OURS_TOO, &syn(), b""));
    let sent = bench.drain();
    assert!(sent[0].tcp.flags.contains(TcpFlags::SYN));
    assert_eq!(sent[0].ip.source, OURS_TOO);

    let options = ConnectOptions {
        local_addr: Some(OURS_TOO.into()),
        ..ConnectOptions::default()
    };
    bench
        .stack
        .connect(NOW, Endpoint::new(PEER.into(), 80), options)
        .unwrap();
    assert_eq!(bench.drain()[0].ip.source, OURS_TOO);
    let foreign = ConnectOptions {
        local_addr: Some(PEER.into()),
        ..ConnectOptions::default()
    };
    assert_eq!(
        bench
            .stack
            .connect(NOW, Endpoint::new(PEER.into(), 80), foreign),
        Err(ConnectError::BadLocal)
    );
}

/// Without one the network layer chooses it before the SYN leaves, and every later segment keeps it [MUST-44] [MUST-45].
#[test]
fn the_local_address_is_chosen_once() {
    let (mut bench, id, third) = Bench::connected(Config::default());
    assert_eq!(third.ip.source, OURS);
    assert_eq!(
        bench.stack.connection(id).unwrap().tuple().local.addr,
        IpAddr::V4(OURS)
    );
    let sent = bench.writes(id, b"hello");
    assert_eq!(sent[0].ip.source, OURS);

    let mut bench = Bench::listening();
    bench.arrives(packet(PEER, OURS_TOO, &syn(), b""));
    let syn_ack = bench.drain().remove(0);
    bench.arrives(packet(PEER, OURS_TOO, &answer(&syn_ack), b"hello"));
    let later = bench.drain();
    assert!(
        later.iter().all(|sent| sent.ip.source == OURS_TOO),
        "the address the SYN was sent to: {later:?}"
    );
    assert!(!later.is_empty());
}

/// [MUST-46]
#[test]
fn an_active_open_to_a_group_is_refused() {
    let mut bench = Bench::new();
    let bad: [IpAddr; 5] = [
        Ipv4Addr::BROADCAST.into(),
        Ipv4Addr::new(192, 0, 2, 255).into(),
        Ipv4Addr::new(224, 0, 0, 1).into(),
        Ipv4Addr::UNSPECIFIED.into(),
        "ff02::1".parse().unwrap(),
    ];
    for addr in bad {
        let refused = bench
            .stack
            .connect(NOW, Endpoint::new(addr, 80), ConnectOptions::default());
        assert_eq!(refused, Err(ConnectError::BadRemote), "{addr}");
    }
    assert!(bench.drain().is_empty());
}

/// [MUST-57]
#[test]
fn a_syn_to_a_group_is_dropped_silently() {
    let mut bench = Bench::listening();
    for group in [
        Ipv4Addr::BROADCAST,
        Ipv4Addr::new(192, 0, 2, 255),
        Ipv4Addr::new(224, 0, 0, 1),
    ] {
        bench.arrives(packet(PEER, group, &syn(), b""));
        assert!(bench.drain().is_empty(), "{group}");
    }
}

/// [MUST-63]
#[test]
fn a_syn_from_an_impossible_source_is_ignored() {
    let mut bench = Bench::listening();
    let sources = [
        Ipv4Addr::BROADCAST,
        Ipv4Addr::new(192, 0, 2, 255),
        Ipv4Addr::new(224, 0, 0, 1),
        Ipv4Addr::UNSPECIFIED,
        Ipv4Addr::LOCALHOST,
        OURS,
    ];
    for source in sources {
        bench.arrives(packet(source, OURS, &syn(), b""));
        assert!(bench.drain().is_empty(), "{source}");
    }
    bench.arrives(packet(PEER, OURS, &syn(), b""));
    assert_eq!(bench.drain().len(), 1, "a possible source is answered");
}

/// The codepoint and the hop limit that TCP gives are those of the packet [SHLD-22] [MUST-48] [MUST-49].
#[test]
fn dscp_and_hop_limit_reach_the_ip_header() {
    let (mut bench, id, third) = Bench::connected(Config {
        dscp: 46,
        hop_limit: 3,
        ..Config::default()
    });
    assert_eq!((third.ip.dscp, third.ip.ttl), (46, 3));
    let sent = bench.writes(id, b"hello");
    assert_eq!((sent[0].ip.dscp, sent[0].ip.ttl), (46, 3));
}

/// IP options that nobody knows, and those that TCP has no use for, leave the segment as it is [MUST-50].
#[test]
fn ip_options_are_ignored() {
    let record_route = [7, 7, 4, 0, 0, 0, 0, 0];
    let timestamp = [68, 8, 5, 0, 0, 0, 0, 0];
    let unknown = [0x9e, 4, 1, 2];
    let nops = [1, 1, 1, 0];
    for options in [&record_route[..], &timestamp, &unknown, &nops] {
        let mut bench = Bench::listening();
        let segment = segment(PEER, OURS, &syn(), b"");
        bench.arrives(with_ip_options(
            PEER,
            OURS,
            options,
            &segment,
            IpProtocol::TCP,
        ));
        let sent = bench.drain();
        assert_eq!(sent[0].tcp.ack, PEER_ISS + 1, "{options:?}");
        assert_eq!(sent[0].octets[0], 0x45, "no option is sent back");
    }
}

/// An ICMP error reaches the connection whose segment it quotes, and no other [MUST-54].
#[test]
fn icmp_errors_reach_the_connection_that_caused_them() {
    let mut bench = Bench::new();
    let remote = Endpoint::new(PEER.into(), 80);
    let first = bench
        .stack
        .connect(NOW, remote, ConnectOptions::default())
        .unwrap();
    let second = bench
        .stack
        .connect(NOW, remote, ConnectOptions::default())
        .unwrap();
    let sent = bench.drain();
    let port = bench.stack.connection(first).unwrap().tuple().local.port;
    let quoted = sent
        .iter()
        .find(|sent| sent.tcp.source_port == port)
        .unwrap();
    bench.arrives(icmp(3, 3, &quoted.octets));
    bench.drain();
    let phase = |id| {
        bench
            .stack
            .connection(id)
            .map(handwave_tcp::Connection::phase)
    };
    assert_eq!(phase(first), Some(Phase::Closed));
    assert_eq!(phase(second), Some(Phase::SynSent));
    let error = bench.stack.connection(first).unwrap().error();
    assert_eq!(error, Some(ConnectionError::Unreachable(Unreachable::Port)));
}

/// [MUST-55]
#[test]
fn source_quench_is_dropped_silently() {
    let (mut bench, id, _) = Bench::connected(Config::default());
    let window = |bench: &Bench| bench.stack.connection(id).unwrap().info().snd_cwnd;
    let sent = bench.writes(id, b"hello");
    bench.events();
    let before = window(&bench);
    bench.arrives(icmp(4, 0, &sent[0].octets));
    assert!(bench.drain().is_empty());
    assert_eq!(window(&bench), before);
    assert!(bench.events().is_empty());
    assert_eq!(bench.stack.counters().icmp_source_quenches, 1);
}

/// Unreachable 0, 1 and 5, time exceeded and parameter problem may heal: the application hears of them and nothing else
/// happens [MUST-56] [SHLD-25].
#[test]
fn soft_icmp_errors_do_not_abort() {
    for (kind, code) in [(3, 0), (3, 1), (3, 5), (11, 0), (11, 1), (12, 0)] {
        let (mut bench, id, _) = Bench::connected(Config {
            hard_icmp_aborts: true,
            ..Config::default()
        });
        let sent = bench.writes(id, b"hello");
        bench.events();
        bench.arrives(icmp(kind, code, &sent[0].octets));
        bench.drain();
        assert_eq!(
            bench.stack.connection(id).unwrap().phase(),
            Phase::Established,
            "type {kind}, code {code}"
        );
        assert!(
            bench.events().contains(Events::SOFT_ERROR),
            "type {kind}, code {code}"
        );
    }
}

/// Unreachable 2 and 3 are hard; 4 is path MTU discovery's (RFC 1191) [SHLD-26].
#[test]
fn hard_icmp_errors_abort_where_configured() {
    for code in [2, 3] {
        let (mut bench, id, _) = Bench::connected(Config {
            hard_icmp_aborts: true,
            ..Config::default()
        });
        let sent = bench.writes(id, b"hello");
        bench.arrives(icmp(3, code, &sent[0].octets));
        bench.drain();
        assert_eq!(
            bench.stack.connection(id).unwrap().phase(),
            Phase::Closed,
            "code {code}"
        );
    }
}

/// When retransmissions go unanswered the neighbour that was to carry them is asked whether it is still there
/// (RFC 1122 3.3.1.4) [MUST-20].
#[test]
fn excessive_retransmission_doubts_the_next_hop() {
    let (ours, theirs) = (MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 0, 2]));
    let mut stack = Stack::new(StackConfig::default(), Secrets::from_seed(1), NOW);
    let interface = stack
        .add_interface(InterfaceConfig::ethernet(
            ours,
            [Prefix::new(OURS.into(), 24)],
        ))
        .unwrap();
    let polls = |stack: &mut Stack, now| {
        let frames: Vec<Vec<u8>> = std::iter::from_fn(|| stack.poll_transmit(now))
            .map(|(_, frame)| frame.to_vec())
            .collect();
        let kinds: Vec<(EtherType, MacAddr)> = frames
            .iter()
            .map(|frame| EthernetHeader::parse(frame).unwrap().0)
            .map(|header| (header.ethertype, header.destination))
            .collect();
        kinds
    };
    stack
        .connect(
            NOW,
            Endpoint::new(PEER.into(), 80),
            ConnectOptions::default(),
        )
        .unwrap();
    assert_eq!(
        polls(&mut stack, NOW),
        [(EtherType::ARP, MacAddr::BROADCAST)]
    );
    let mut reply = vec![0; EthernetHeader::LEN + ArpPacket::LEN];
    EthernetHeader {
        destination: ours,
        source: theirs,
        ethertype: EtherType::ARP,
    }
    .emit(&mut reply);
    ArpPacket {
        operation: ArpOperation::Reply,
        sender_mac: theirs,
        sender_ip: PEER,
        target_mac: ours,
        target_ip: OURS,
    }
    .emit(&mut reply[EthernetHeader::LEN..]);
    stack.handle_packet(NOW, interface, PacketBuf::from_bytes(Bytes::from(reply)));

    let mut sent = polls(&mut stack, NOW);
    while let Some(now) = stack
        .poll_timeout()
        .filter(|now| *now < NOW + Duration::from_secs(8))
    {
        stack.handle_timeout(now);
        sent.extend(polls(&mut stack, now));
    }
    let syn = (EtherType::IPV4, theirs);
    let question = (EtherType::ARP, theirs);
    assert_eq!(
        sent[..3],
        [syn; 3],
        "the SYN and two retransmissions, the address believed"
    );
    assert!(
        sent[3..].contains(&question),
        "R1: asked directly, though the address is not old: {sent:?}"
    );
}

/// The MSS announced follows the MTU of the interface the connection uses [SHLD-6] [MUST-67].
#[test]
fn the_announced_mss_follows_the_interface() {
    let mut stack = Stack::new(StackConfig::default(), Secrets::from_seed(1), NOW);
    let interface = stack
        .add_interface(InterfaceConfig::ip(1300, [Prefix::new(OURS.into(), 24)]))
        .unwrap();
    let mut bench = Bench { stack, interface };
    bench.stack.listen(80, ListenerConfig::default()).unwrap();
    bench
        .stack
        .connect(
            NOW,
            Endpoint::new(PEER.into(), 80),
            ConnectOptions::default(),
        )
        .unwrap();
    assert_eq!(bench.drain()[0].tcp.options.mss, Some(1_260));
    bench.arrives(packet(PEER, OURS, &syn(), b""));
    assert_eq!(bench.drain()[0].tcp.options.mss, Some(1_260));
}
