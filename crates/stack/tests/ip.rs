//! What arrives over IP: addresses that may not, fragments, damaged headers.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod common;
mod shards;

use bytes::Bytes;
use common::*;
use core::time::Duration;
use handwave_packet::{ChecksumMark, PacketBuf, Payload};
use handwave_stack::{
    ConnectError, ConnectOptions, HostModel, InterfaceConfig, InterfaceError, Prefix, Route,
    StackConfig,
};
use handwave_wire::icmpv4::{Icmpv4ErrorKind, Icmpv4Message, TimeExceeded};
use handwave_wire::icmpv6::{Icmpv6ErrorKind, Icmpv6Message, ParameterProblemCode};
use handwave_wire::ipv4::Ipv4Header;
use handwave_wire::ipv6::{FragmentHeader, Ipv6Header};
use handwave_wire::{IpProtocol, TcpFlags, TcpHeader};

/// A server that listens on port 80, and what it answers to `packet`.
fn server() -> Pair {
    let mut pair = Pair::new();
    pair.listen(80);
    pair
}

fn answers(pair: &mut Pair, packet: &[u8]) -> Vec<Vec<u8>> {
    pair.server.receive(pair.now, packet);
    let packets = pair.server.drain(pair.now);
    packets.iter().map(|packet| packet.to_vec()).collect()
}

/// [MUST-57]: a SYN to a broadcast or multicast address is dropped in silence.
#[test]
fn a_syn_to_a_group_is_dropped_in_silence() {
    let mut pair = server();
    let groups = ["10.0.0.255", "255.255.255.255", "224.0.0.1", "239.1.2.3"];
    for to in groups {
        assert!(
            answers(&mut pair, &craft::syn(addr(CLIENT), addr(to), 4_000)).is_empty(),
            "{to}"
        );
    }
    assert!(
        answers(
            &mut pair,
            &craft::syn(addr(CLIENT6), addr("ff02::1"), 4_000)
        )
        .is_empty()
    );
    assert_eq!(pair.server.stack.counters().tcp_to_group, 5);
    // The same SYN to the host itself is answered.
    assert_eq!(
        answers(&mut pair, &craft::syn(addr(CLIENT), addr(SERVER), 4_000)).len(),
        1
    );
}

/// [MUST-63]: a SYN from an address that cannot be a source is ignored.
#[test]
fn a_syn_from_an_invalid_source_is_ignored() {
    let mut pair = server();
    let sources = [
        "0.0.0.0",
        "255.255.255.255",
        "10.0.0.255",
        "224.0.0.1",
        "127.0.0.1",
        SERVER,
    ];
    for from in sources {
        assert!(
            answers(&mut pair, &craft::syn(addr(from), addr(SERVER), 4_000)).is_empty(),
            "{from}"
        );
    }
    for from in ["::", "ff02::1", "::1", SERVER6] {
        assert!(
            answers(&mut pair, &craft::syn(addr(from), addr(SERVER6), 4_000)).is_empty(),
            "{from}"
        );
    }
    assert_eq!(pair.server.stack.counters().ip_invalid_source, 10);
}

/// [MUST-46]: an active OPEN to such an address is refused.
#[test]
fn an_active_open_to_a_group_is_refused() {
    let mut pair = Pair::new();
    let groups = [
        "0.0.0.0",
        "255.255.255.255",
        "10.0.0.255",
        "224.0.0.1",
        "::",
        "ff02::1",
    ];
    for to in groups {
        let refused =
            pair.client
                .stack
                .connect(pair.now, endpoint(to, 80), ConnectOptions::default());
        assert_eq!(refused, Err(ConnectError::BadRemote), "{to}");
    }
    let no_port =
        pair.client
            .stack
            .connect(pair.now, endpoint(SERVER, 0), ConnectOptions::default());
    assert_eq!(no_port, Err(ConnectError::BadRemote));
    assert!(pair.client.drain(pair.now).is_empty());
}

/// [MUST-58] [MUST-59]: all segments that arrived together are processed before anything is sent.
#[test]
fn a_batch_is_answered_by_one_acknowledgment() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.establish(SERVER, 80);
    pair.client
        .stack
        .write(pair.now, ours, &[1; 8 * 1_448])
        .unwrap();
    let batch = pair.client.drain(pair.now);
    assert!(batch.len() >= 8);
    let server = &mut pair.server;
    server.stack.handle_batch(pair.now, server.interface, batch);
    let answers = server.drain(pair.now);
    assert_eq!(answers.len(), 1);
    assert_eq!(server.read_all(pair.now, theirs).unwrap().len(), 8 * 1_448);
}

/// [RFC1122-2]: silence.
#[test]
fn packets_for_others_are_dropped() {
    let mut pair = server();
    assert!(
        answers(
            &mut pair,
            &craft::syn(addr(CLIENT), addr("10.0.0.3"), 4_000)
        )
        .is_empty()
    );
    assert_eq!(pair.server.stack.counters().ip_foreign_address, 1);
}

#[test]
fn the_host_model_decides_about_the_address_of_another_interface() {
    for (host_model, answered) in [(HostModel::Strong, 0), (HostModel::Weak, 1)] {
        let mut pair = Pair::with(
            stack_config(),
            StackConfig {
                host_model,
                ..stack_config()
            },
        );
        pair.listen(80);
        let other = InterfaceConfig::ip(1_500, [Prefix::new(addr("192.0.2.1"), 24)]);
        pair.server.stack.add_interface(other).unwrap();
        let syn = craft::syn(addr(CLIENT), addr("192.0.2.1"), 4_000);
        assert_eq!(answers(&mut pair, &syn).len(), answered, "{host_model:?}");
    }
}

/// [RFC1122-1]: not a word about a damaged header.
#[test]
fn damaged_segments_and_headers_are_only_counted() {
    let mut pair = server();
    let good = craft::syn(addr(CLIENT), addr(SERVER), 4_000);
    let damage = |at: usize| {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        bad
    };
    for at in 0..20 {
        assert!(answers(&mut pair, &damage(at)).is_empty(), "octet {at}");
    }
    assert_eq!(pair.server.stack.counters().ip_header_errors, 20);
    for at in 20..40 {
        assert!(answers(&mut pair, &damage(at)).is_empty(), "octet {at}");
    }
    assert_eq!(pair.server.stack.counters().tcp_checksum_errors, 20);
    assert!(answers(&mut pair, &good[..39]).is_empty());
    assert!(answers(&mut pair, &[]).is_empty());
    assert!(answers(&mut pair, &[0x50; 40]).is_empty());
    assert_eq!(pair.server.stack.counters().ip_header_errors, 23);
}

#[test]
fn a_checksum_that_the_device_verified_is_not_summed_again() {
    let mut pair = server();
    let mut syn = craft::syn(addr(CLIENT), addr(SERVER), 4_000);
    syn[36] ^= 0xff;
    for (mark, answered) in [
        (ChecksumMark::Unknown, 0),
        (ChecksumMark::Verified, 1),
        (ChecksumMark::Partial, 1),
    ] {
        let mut packet = PacketBuf::from_bytes(Bytes::copy_from_slice(&syn));
        packet.set_checksum(mark);
        let interface = pair.server.interface;
        pair.server.stack.handle_packet(pair.now, interface, packet);
        assert_eq!(pair.server.drain(pair.now).len(), answered, "{mark:?}");
    }
}

/// [MUST-50]: IP options that mean nothing to TCP are passed over.
#[test]
fn ip_options_are_passed_over() {
    let mut pair = server();
    let plain = craft::syn(addr(CLIENT), addr(SERVER), 4_000);
    let mut packet = plain[..20].to_vec();
    // An unknown option of 8 octets, then the end of the list.
    packet.extend_from_slice(&[0x9e, 8, 1, 2, 3, 4, 5, 6, 0, 0, 0, 0]);
    packet.extend_from_slice(&plain[20..]);
    packet[0] = 0x48;
    packet[3] += 12;
    packet[10..12].copy_from_slice(&[0, 0]);
    let checksum = handwave_wire::checksum::internet_checksum(&packet[..32]);
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    let answer = answers(&mut pair, &packet);
    assert_eq!(
        craft::tcp_header(&answer[0]).flags,
        TcpFlags::SYN | TcpFlags::ACK
    );
}

#[test]
fn link_padding_is_not_text() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.establish(SERVER, 80);
    pair.client.stack.write(pair.now, ours, b"x").unwrap();
    let mut packet = pair.client.drain(pair.now)[0].to_vec();
    packet.extend_from_slice(&[0xee; 30]);
    pair.server.receive(pair.now, &packet);
    assert_eq!(pair.server.read_all(pair.now, theirs).unwrap(), b"x");
}

/// A packet whose headers and text lie in many pieces.
#[test]
fn a_packet_in_pieces_is_read_all_the_same() {
    let mut pair = server();
    let syn = craft::syn(addr(CLIENT), addr(SERVER), 4_000);
    let syn6 = craft::syn(addr(CLIENT6), addr(SERVER6), 4_000);
    for octets in [syn, syn6] {
        let mut payload = Payload::new();
        for piece in octets.chunks(7) {
            payload.push(Bytes::copy_from_slice(piece));
        }
        let interface = pair.server.interface;
        pair.server
            .stack
            .handle_packet(pair.now, interface, PacketBuf::with_payload(payload));
        assert_eq!(pair.server.drain(pair.now).len(), 1);
    }
}

/// Cuts an IPv4 packet; `sizes` are multiples of 8 but the last.
fn fragments(packet: &[u8], size: usize, id: u16) -> Vec<Vec<u8>> {
    let (header, _) = Ipv4Header::parse(packet).unwrap();
    let payload = &packet[20..];
    let count = payload.len().div_ceil(size);
    payload
        .chunks(size)
        .enumerate()
        .map(|(n, piece)| {
            let header = Ipv4Header {
                identification: id,
                dont_fragment: false,
                more_fragments: n + 1 < count,
                fragment_offset: u16::try_from(n * size).unwrap(),
                payload_len: u16::try_from(piece.len()).unwrap(),
                ..header
            };
            let mut fragment = vec![0; 20];
            header.emit(&mut fragment);
            fragment.extend_from_slice(piece);
            fragment
        })
        .collect()
}

fn fragments6(packet: &[u8], size: usize, id: u32) -> Vec<Vec<u8>> {
    let (header, _) = Ipv6Header::parse(packet).unwrap();
    let payload = &packet[40..];
    let count = payload.len().div_ceil(size);
    payload
        .chunks(size)
        .enumerate()
        .map(|(n, piece)| {
            let ip = Ipv6Header {
                next_header: IpProtocol::FRAGMENT,
                payload_len: u16::try_from(piece.len() + 8).unwrap(),
                ..header
            };
            let fragment = FragmentHeader {
                next_header: header.next_header,
                offset: u16::try_from(n * size).unwrap(),
                more: n + 1 < count,
                identification: id,
            };
            let mut octets = vec![0; 48];
            ip.emit(&mut octets);
            fragment.emit(&mut octets[40..]);
            octets.extend_from_slice(piece);
            octets
        })
        .collect()
}

/// [RFC1122-9]: in any order.
#[test]
fn a_segment_in_fragments_is_put_together() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.establish(SERVER, 80);
    let text = vec![9; 1_000];
    pair.client.stack.write(pair.now, ours, &text).unwrap();
    let packet = pair.client.drain(pair.now)[0].to_vec();
    let mut parts = fragments(&packet, 200, 77);
    parts.reverse();
    for part in &parts {
        pair.server.receive(pair.now, part);
    }
    assert_eq!(pair.server.read_all(pair.now, theirs).unwrap(), text);
    assert_eq!(pair.server.stack.counters().reassembled, 1);

    let (ours, theirs) = pair.establish(SERVER6, 81);
    pair.client.stack.write(pair.now, ours, &text).unwrap();
    let packet = pair.client.drain(pair.now)[0].to_vec();
    for part in fragments6(&packet, 200, 77) {
        pair.server.receive(pair.now, &part);
    }
    assert_eq!(pair.server.read_all(pair.now, theirs).unwrap(), text);
    assert_eq!(pair.server.stack.counters().reassembled, 2);
}

/// [RFC1122-10]: time exceeded.
#[test]
fn missing_fragments_are_reported_after_their_time() {
    let mut pair = server();
    let datagram = craft::udp(addr(CLIENT), addr(SERVER), (1, 2), &[3; 600]);
    let parts = fragments(&datagram, 400, 5);
    assert!(answers(&mut pair, &parts[0]).is_empty());
    // Without the first fragment nothing may be said.
    let silent = fragments(&datagram, 400, 6);
    assert!(answers(&mut pair, &silent[1]).is_empty());
    let datagram6 = craft::udp(addr(CLIENT6), addr(SERVER6), (1, 2), &[3; 600]);
    let parts6 = fragments6(&datagram6, 400, 5);
    assert!(answers(&mut pair, &parts6[0]).is_empty());
    assert!(pair.server.stack.held_memory() > 0);

    pair.now += Duration::from_secs(30);
    assert_eq!(pair.server.stack.poll_timeout(), Some(pair.now));
    pair.server.stack.handle_timeout(pair.now);
    let reports = pair.server.drain(pair.now);
    assert_eq!(reports.len(), 1);
    let octets = reports[0].to_vec();
    let Ok(Icmpv4Message::Error(error)) = Icmpv4Message::parse(craft::upper(&octets)) else {
        panic!("an error is expected")
    };
    assert_eq!(
        error.kind,
        Icmpv4ErrorKind::TimeExceeded(TimeExceeded::Reassembly)
    );
    assert_eq!(error.quoted, parts[0]);

    pair.now += Duration::from_secs(30);
    pair.server.stack.handle_timeout(pair.now);
    let octets = pair.server.drain(pair.now)[0].to_vec();
    let message = Icmpv6Message::parse(
        craft::upper(&octets),
        SERVER6.parse().unwrap(),
        CLIENT6.parse().unwrap(),
    );
    let Ok(Icmpv6Message::Error(error)) = message else {
        panic!("an error is expected")
    };
    assert_eq!(
        error.kind,
        Icmpv6ErrorKind::TimeExceeded(TimeExceeded::Reassembly)
    );
    assert_eq!(error.quoted, parts6[0]);
    assert_eq!(pair.server.stack.counters().reassembly_timeouts, 3);
    assert_eq!(pair.server.stack.held_memory(), 0);
}

/// RFC 1858: the first fragment must hold the TCP header, and none may begin inside it.
#[test]
fn tiny_fragments_are_dropped() {
    let mut pair = server();
    let syn = craft::syn(addr(CLIENT), addr(SERVER), 4_000);
    for part in fragments(&syn, 8, 1) {
        assert!(answers(&mut pair, &part).is_empty());
    }
    assert_eq!(pair.server.stack.counters().tiny_fragments, 3);
    assert_eq!(pair.server.stack.held_memory(), 0);
}

/// RFC 7112: over IPv6 the sender is told.
#[test]
fn a_first_ipv6_fragment_without_the_whole_header_is_reported() {
    let mut pair = server();
    let syn = craft::syn(addr(CLIENT6), addr(SERVER6), 4_000);
    let parts = fragments6(&syn, 8, 1);
    let report = answers(&mut pair, &parts[0]);
    let message = Icmpv6Message::parse(
        craft::upper(&report[0]),
        SERVER6.parse().unwrap(),
        CLIENT6.parse().unwrap(),
    );
    let Ok(Icmpv6Message::Error(error)) = message else {
        panic!("an error is expected")
    };
    let Icmpv6ErrorKind::ParameterProblem { code, .. } = error.kind else {
        panic!("{error:?}")
    };
    assert_eq!(code, ParameterProblemCode::IncompleteFirstFragment);
}

/// RFC 6946: a fragment that is the whole packet is processed at once, whatever else has its identification.
#[test]
fn an_atomic_fragment_stands_alone() {
    let mut pair = server();
    let syn = craft::syn(addr(CLIENT6), addr(SERVER6), 4_000);
    let atomic = fragments6(&syn, 1_000, 9);
    assert_eq!(atomic.len(), 1);
    assert_eq!(answers(&mut pair, &atomic[0]).len(), 1);
}

#[test]
fn overlapping_fragments_bring_nothing() {
    let mut pair = server();
    let datagram = craft::udp(addr(CLIENT), addr(SERVER), (1, 2), &[3; 600]);
    let parts = fragments(&datagram, 400, 5);
    let overlapping = fragments(&datagram, 200, 5);
    for part in [&parts[0], &overlapping[1], &parts[1]] {
        assert!(answers(&mut pair, part).is_empty());
    }
    assert_eq!(pair.server.stack.counters().reassembled, 0);
    assert_eq!(pair.server.stack.counters().reassembly_failures, 2);
}

#[test]
fn routes_lead_through_gateways_and_interfaces() {
    let mut pair = Pair::new();
    let host = &mut pair.client;
    let nowhere = host.stack.connect(
        pair.now,
        endpoint("192.0.2.9", 80),
        ConnectOptions::default(),
    );
    assert_eq!(nowhere, Err(ConnectError::NoRoute));
    let second = host
        .stack
        .add_interface(InterfaceConfig::ip(
            1_400,
            [Prefix::new(addr("10.9.0.1"), 16)],
        ))
        .unwrap();
    let default = Route {
        destination: Prefix::new(addr("0.0.0.0"), 0),
        gateway: Some(addr("10.9.0.254")),
        interface: second,
    };
    host.stack.add_route(default).unwrap();
    host.stack
        .connect(
            pair.now,
            endpoint("192.0.2.9", 80),
            ConnectOptions::default(),
        )
        .unwrap();
    let (interface, packet) = host.stack.poll_transmit(pair.now).unwrap();
    assert_eq!(interface, second);
    let octets = packet.to_vec();
    let (header, _) = Ipv4Header::parse(&octets).unwrap();
    assert_eq!(
        header.source,
        "10.9.0.1".parse::<core::net::Ipv4Addr>().unwrap()
    );
    assert!(header.dont_fragment, "TCP is never fragmented");
    assert_eq!(header.identification, 0, "RFC 6864 4.1");
    assert_eq!(craft::tcp_header(&octets).options.mss, Some(1_360));
}

#[test]
fn a_changed_mtu_reaches_connections_before_they_send() {
    let mut pair = Pair::new();
    let (ours, theirs) = pair.establish(SERVER, 80);
    let interface = pair.client.interface;
    pair.client.stack.set_mtu(interface, 600).unwrap();
    pair.client
        .stack
        .write(pair.now, ours, &[1; 5_000])
        .unwrap();
    let mut largest = 0;
    pair.settle_with(|from_client, octets| {
        if from_client {
            largest = largest.max(octets.len());
        }
        true
    });
    assert_eq!(largest, 600);
    assert_eq!(pair.server.read_all(pair.now, theirs).unwrap().len(), 5_000);
}

#[test]
fn a_removed_address_is_nobodys() {
    let mut pair = server();
    let interface = pair.server.interface;
    assert!(pair.server.stack.remove_address(interface, addr(SERVER)));
    assert!(!pair.server.stack.remove_address(interface, addr(SERVER)));
    assert!(answers(&mut pair, &craft::syn(addr(CLIENT), addr(SERVER), 4_000)).is_empty());
    pair.server
        .stack
        .add_address(interface, Prefix::new(addr("10.0.0.7"), 24))
        .unwrap();
    assert_eq!(
        answers(
            &mut pair,
            &craft::syn(addr(CLIENT), addr("10.0.0.7"), 4_000)
        )
        .len(),
        1
    );
}

/// Two hosts, whose interfaces can do what `able` says.
fn pair_over(able: impl Fn(InterfaceConfig) -> InterfaceConfig) -> Pair {
    Pair::over(
        (stack_config(), able(ip_interface(CLIENT, CLIENT6))),
        (stack_config(), able(ip_interface(SERVER, SERVER6))),
    )
}

#[test]
fn super_segments_are_cut_by_the_edge_and_arrive_whole() {
    let mut pair = pair_over(|interface| InterfaceConfig {
        super_segment_max: 60_000,
        checksum_offload: true,
        ..interface
    });
    for (to, port) in [(SERVER, 80), (SERVER6, 81)] {
        let (ours, theirs) = pair.establish(to, port);
        let text: Vec<u8> = (0..100_000u32).map(|n| n.to_le_bytes()[0]).collect();
        let (mut sent, mut got) = (0, Vec::new());
        let before = pair.carried;
        while got.len() < text.len() {
            sent += pair
                .client
                .stack
                .write(pair.now, ours, &text[sent..])
                .unwrap();
            pair.pass(Duration::from_millis(1));
            got.extend(pair.server.read_all(pair.now, theirs).unwrap());
        }
        assert!(got == text);
        assert!(
            pair.carried - before < 60,
            "fewer packets than segments: {}",
            pair.carried - before
        );
    }
    assert_eq!(pair.server.stack.counters().tcp_checksum_errors, 0);
}

#[test]
fn the_checksum_of_a_short_text_is_right_whatever_the_device_could_do() {
    let mut pair = pair_over(|interface| InterfaceConfig {
        checksum_offload: true,
        ..interface
    });
    for (to, port) in [(SERVER, 80), (SERVER6, 81)] {
        let (ours, theirs) = pair.establish(to, port);
        for (len, mark) in [(64, ChecksumMark::Unknown), (65, ChecksumMark::Partial)] {
            let text = vec![0xA5; len];
            let written = pair.client.stack.write(pair.now, ours, &text);
            assert_eq!(written.unwrap(), len);
            let [packet] = &pair.client.drain(pair.now)[..] else {
                panic!("one segment")
            };
            assert_eq!(packet.checksum(), mark);
            // Without the mark: the receiver has to compare.
            pair.server.receive(pair.now, &packet.to_vec());
            let arrived = pair.server.read_all(pair.now, theirs).unwrap();
            assert_eq!(arrived == text, mark == ChecksumMark::Unknown);
            pair.settle();
        }
    }
    assert_eq!(pair.server.stack.counters().tcp_checksum_errors, 2);
}

#[test]
fn a_reply_without_a_route_goes_back_where_the_segment_came_from() {
    let mut pair = server();
    let syn = craft::syn(addr("198.51.100.1"), addr(SERVER), 4_000);
    let answer = answers(&mut pair, &syn);
    assert_eq!(
        craft::tcp_header(&answer[0]).flags,
        TcpFlags::SYN | TcpFlags::ACK
    );
    let header = TcpHeader {
        source_port: 4_000,
        destination_port: 80,
        seq: craft::tcp_header(&answer[0]).ack,
        ack: craft::tcp_header(&answer[0]).seq + 1,
        flags: TcpFlags::ACK,
        window: 1_000,
        ..TcpHeader::default()
    };
    let ack = craft::tcp(addr("198.51.100.1"), addr(SERVER), &header, b"text");
    let answer = answers(&mut pair, &ack);
    assert_eq!(craft::tcp_header(&answer[0]).ack, header.seq + 4);
}

/// RFC 6437 3: all packets of a flow have one label, and flows have different ones.
#[test]
fn each_ipv6_flow_has_its_label() {
    let mut pair = Pair::new();
    let mut labels = std::collections::BTreeMap::<u16, std::collections::BTreeSet<u32>>::new();
    for port in 80..84 {
        pair.listen(port);
        let id = pair.connect(SERVER6, port);
        pair.client.stack.write(pair.now, id, &[1; 5_000]).unwrap();
    }
    pair.settle_with(|from_client, octets| {
        if from_client {
            let (header, _) = Ipv6Header::parse(octets).unwrap();
            let port = craft::tcp_header(octets).destination_port;
            labels.entry(port).or_default().insert(header.flow_label);
        }
        true
    });
    assert!(
        labels.values().all(|labels| labels.len() == 1),
        "{labels:?}"
    );
    let different: std::collections::BTreeSet<_> = labels.values().flatten().collect();
    assert_eq!(different.len(), 4);
    assert!(!different.contains(&0));
}

#[test]
fn an_address_has_one_owner() {
    let mut pair = Pair::new();
    let interface = pair.server.interface;
    let host = &mut pair.server.stack;
    let taken = Err(InterfaceError::AddressInUse);
    assert_eq!(
        host.add_address(interface, Prefix::new(addr(SERVER), 24)),
        Ok(())
    );
    assert_eq!(
        host.add_address(interface, Prefix::new(addr(SERVER), 16)),
        taken
    );
    let twice = [
        Prefix::new(addr("192.0.2.1"), 24),
        Prefix::new(addr("192.0.2.1"), 25),
    ];
    assert_eq!(
        host.add_interface(InterfaceConfig::ip(1_500, twice)),
        Err(InterfaceError::AddressInUse)
    );
    assert_eq!(
        host.add_interface(InterfaceConfig::ip(1_500, [Prefix::new(addr(SERVER), 24)])),
        Err(InterfaceError::AddressInUse)
    );
    for bad in ["0.0.0.0", "255.255.255.255", "224.0.0.1", "::", "ff02::1"] {
        let refused = host.add_address(interface, Prefix::new(addr(bad), 24));
        assert_eq!(refused, Err(InterfaceError::BadAddress), "{bad}");
    }
    assert_eq!(
        host.set_mtu(interface, 67),
        Err(InterfaceError::MtuTooSmall)
    );
}

/// The path may shrink between the SYN and the first text.
#[test]
fn a_path_that_changes_during_the_handshake_is_known_when_it_is_complete() {
    let mut pair = Pair::new();
    let listener = pair.listen(80);
    let ours = pair.connect(SERVER, 80);
    let interface = pair.server.interface;
    let syn = pair.client.drain(pair.now)[0].to_vec();
    pair.server.receive(pair.now, &syn);
    let syn_ack = pair.server.drain(pair.now)[0].to_vec();
    pair.server.stack.set_mtu(interface, 900).unwrap();
    pair.client.receive(pair.now, &syn_ack);
    pair.settle();
    let (theirs, _) = pair.server.stack.accept(listener).unwrap();
    pair.server
        .stack
        .write(pair.now, theirs, &[1; 5_000])
        .unwrap();
    let mut largest = 0;
    pair.settle_with(|from_client, octets| {
        if !from_client {
            largest = largest.max(octets.len());
        }
        true
    });
    assert_eq!(largest, 900);
    assert_eq!(pair.client.read_all(pair.now, ours).unwrap().len(), 5_000);
}

#[test]
fn a_fragment_within_fragments_is_refused() {
    let mut pair = server();
    let syn = craft::syn(addr(CLIENT6), addr(SERVER6), 4_000);
    // The SYN as the first of two fragments, and that packet itself in two.
    let mut padded = syn.clone();
    padded.extend_from_slice(&[0; 24]);
    padded[5] += 24;
    let inner = &fragments6(&padded, 40, 1)[0];
    for part in fragments6(inner, 40, 2) {
        assert!(answers(&mut pair, &part).is_empty());
    }
    let counters = pair.server.stack.counters();
    assert_eq!((counters.reassembled, counters.reassembly_failures), (1, 1));
    assert_eq!(pair.server.stack.held_memory(), 0);
}
