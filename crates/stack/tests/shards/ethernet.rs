//! Shards on Ethernet: each asks for its neighbours, and hears what was answered to another.

use super::*;
use handwave_stack::Prefix;
use handwave_wire::arp::{ArpOperation, ArpPacket};
use handwave_wire::ethernet::{EtherType, EthernetHeader, MacAddr};

const PEER_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 1]);
const HOST_MAC: MacAddr = MacAddr([2, 0, 0, 0, 0, 2]);

fn sharded(count: u16) -> Sharded {
    let interface = |mac, v4, v6| {
        InterfaceConfig::ethernet(mac, [Prefix::new(addr(v4), 24), Prefix::new(addr(v6), 64)])
    };
    let peer = interface(PEER_MAC, CLIENT, CLIENT6);
    Sharded::over(count, (peer, interface(HOST_MAC, SERVER, SERVER6)))
}

#[test]
fn a_neighbour_answers_at_any_queue_and_connections_live_where_they_belong() {
    for to in [CLIENT, CLIENT6] {
        for queue in 0..3 {
            let mut host = sharded(3);
            host.queue = queue;
            for from in 0..3 {
                let (ours, theirs) = host.connect(from, to);
                host.peer.stack.write(host.now, theirs, b"frame").unwrap();
                host.settle();
                let heard = host.shards[from].read_all(host.now, ours);
                assert_eq!(heard.unwrap(), b"frame", "shard {from}, queue {queue}");
            }
            assert!(host.strays() > 0);
        }
    }
}

/// What somebody asks who wants to know the host's link address.
fn question() -> Vec<u8> {
    let mut octets = vec![0; EthernetHeader::LEN + ArpPacket::LEN];
    EthernetHeader {
        destination: MacAddr([0xff; 6]),
        source: PEER_MAC,
        ethertype: EtherType::ARP,
    }
    .emit(&mut octets);
    ArpPacket {
        operation: ArpOperation::Request,
        sender_mac: PEER_MAC,
        sender_ip: CLIENT.parse().unwrap(),
        target_mac: MacAddr([0; 6]),
        target_ip: SERVER.parse().unwrap(),
    }
    .emit(&mut octets[EthernetHeader::LEN..]);
    octets
}

#[test]
fn a_question_is_answered_by_one_shard_and_who_asked_is_known_to_all() {
    let mut host = sharded(3);
    host.queue = 1;
    host.arrives(&question());
    let now = host.now;
    let mut answers = host.shards.iter_mut().map(|shard| shard.drain(now).len());
    assert!(answers.by_ref().eq([0, 1, 0]));
    assert_eq!(host.strays(), 0, "no packet was another shard's");
    for shard in &mut host.shards {
        let to = endpoint(CLIENT, 80);
        let opened = shard.stack.connect(now, to, ConnectOptions::default());
        assert!(opened.is_ok());
        let frames = shard.drain(now);
        let syn = frames.iter().any(|frame| {
            let (header, _) = EthernetHeader::parse(frame.contiguous()).unwrap();
            header.ethertype == EtherType::IPV4 && header.destination == PEER_MAC
        });
        assert!(syn, "the SYN leaves without a question to everybody");
    }
}

#[test]
fn a_segment_to_a_link_group_is_dropped_by_the_shard_that_it_is_carried_to() {
    let mut host = sharded(2);
    let syns = (1_000..1_020).map(|port| {
        let mut frame = vec![0; EthernetHeader::LEN];
        EthernetHeader {
            destination: MacAddr([0xff; 6]),
            source: PEER_MAC,
            ethertype: EtherType::IPV4,
        }
        .emit(&mut frame);
        frame.extend(craft::syn(addr(CLIENT), addr(SERVER), port));
        frame
    });
    let carried = syns.filter(|frame| host.arrives(frame)).count();
    assert!(carried > 0, "some belong to the other shard");
    let now = host.now;
    let answered = host
        .shards
        .iter_mut()
        .any(|shard| !shard.drain(now).is_empty());
    assert!(!answered, "TCP has nothing to say to groups");
}
