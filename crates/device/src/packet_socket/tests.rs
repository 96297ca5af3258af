//! Over a `veth` pair in a network namespace that each test makes: a packet socket at one end, another one or the kernel at the other.

use handwave_packet::ChecksumMark;
use handwave_wire::ethernet::{EtherType, EthernetHeader};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::thread::CapabilitySet;

use super::*;
use crate::testing::kernel::{in_namespace, ip, receive_one, without};
use crate::testing::{super_segment, tcp_payload};

const OURS: MacAddr = MacAddr([2, 0, 0, 0, 0, 42]);
const THEIRS: MacAddr = MacAddr([2, 0, 0, 0, 0, 43]);
/// Of frames that the tests send; the kernel sends none of these (IEEE 802 local experimental ethertype 1).
const EXPERIMENTAL: EtherType = EtherType(0x88B5);

/// Makes both ends of a cable, on which the kernel says nothing of its own accord.
fn cable() {
    std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap();
    ip(&[
        "link", "add", "left", "type", "veth", "peer", "name", "right",
    ])
    .unwrap();
    for end in ["left", "right"] {
        ip(&["link", "set", "dev", end, "up"]).unwrap();
    }
}

fn open(name: &str, mac: MacAddr) -> PacketSocket {
    PacketSocketBuilder::new(name).mac(mac).open().unwrap()
}

fn frame(destination: MacAddr, text: &[u8]) -> PacketBuf {
    let mut frame = PacketBuf::from(text.to_vec());
    let header = EthernetHeader {
        destination,
        source: THEIRS,
        ethertype: EXPERIMENTAL,
    };
    header.emit(frame.prepend(EthernetHeader::LEN));
    frame
}

fn send(socket: &mut PacketSocket, packets: impl IntoIterator<Item = PacketBuf>) -> usize {
    let mut queue: VecDeque<_> = packets.into_iter().collect();
    let sent = socket.send(&mut queue).unwrap();
    assert!(queue.is_empty(), "the socket has room for all");
    sent
}

#[test]
fn frames_for_its_own_address_and_for_groups_come_in_and_no_others() {
    in_namespace(|| {
        cable();
        let (mut ours, mut theirs) = (open("left", OURS), open("right", THEIRS));
        assert_eq!((ours.name(), ours.mtu()), ("left", 1_500));
        assert_eq!(
            (ours.medium(), Device::mac(&ours)),
            (Medium::Ethernet, Some(OURS))
        );
        let mut tagged = frame(OURS, b"of a VLAN");
        tagged.advance(12);
        let addresses = frame(OURS, b"").to_vec();
        let header = tagged.prepend(16);
        header[..12].copy_from_slice(&addresses[..12]);
        header[12..].copy_from_slice(&[0x81, 0x00, 0x00, 0x05]);
        let frames = [
            frame(THEIRS, b"for somebody else"),
            frame(MacAddr([2, 0, 0, 0, 1, 42]), b"for somebody alike"),
            tagged,
            frame(MacAddr::BROADCAST, b"for all"),
            frame(MacAddr([1, 0, 0x5E, 0, 0, 1]), b"for a group"),
            frame(OURS, b"for us"),
        ];
        assert_eq!(send(&mut theirs, frames), 6);
        // What this machine sends by the same interface.
        let mut beside = open("left", MacAddr([2, 0, 0, 0, 0, 44]));
        send(&mut beside, [frame(OURS, b"outgoing")]);
        send(&mut theirs, [frame(OURS, b"the last")]);
        for expected in [&b"for all"[..], b"for a group", b"for us", b"the last"] {
            let got = receive_one(&mut ours).to_vec();
            assert_eq!(&got[EthernetHeader::LEN..], expected);
        }
        assert_eq!(ours.counters().received, 4);
    });
}

/// A super-segment in a frame, as a stack on Ethernet makes it.
fn super_frame(len: usize) -> PacketBuf {
    let mut packet = super_segment(len, 1_460);
    let header = EthernetHeader {
        destination: OURS,
        source: THEIRS,
        ethertype: EtherType::IPV4,
    };
    header.emit(packet.prepend(EthernetHeader::LEN));
    packet
}

#[test]
fn super_segments_and_partial_checksums_pass_whole() {
    in_namespace(|| {
        cable();
        let (mut ours, mut theirs) = (open("left", OURS), open("right", THEIRS));
        let mut ordinary = super_frame(1_000);
        ordinary.set_segment_size(None);
        for (sent, segment_size) in [(super_frame(40_000), Some(1_460)), (ordinary, None)] {
            let octets = sent.to_vec();
            assert_eq!(send(&mut theirs, [sent]), 1);
            let got = receive_one(&mut ours);
            assert_eq!(got.checksum(), ChecksumMark::Partial);
            assert_eq!(got.segment_size(), segment_size);
            assert_eq!(got.to_vec(), octets);
        }
    });
}

#[test]
fn without_offload_segments_leave_with_whole_checksums() {
    in_namespace(|| {
        cable();
        let mut ours = open("left", OURS);
        let builder = PacketSocketBuilder::new("right").mac(THEIRS);
        let mut theirs = builder.offload(false).open().unwrap();
        assert!(ours.has_offload() && !theirs.has_offload());
        let packet = super_frame(4_000);
        let payload = packet.to_vec()[EthernetHeader::LEN + 40..].to_vec();
        assert_eq!(send(&mut theirs, [packet]), 3);
        let mut arrived = Vec::new();
        for len in [1_460, 1_460, 1_080] {
            let got = receive_one(&mut ours);
            assert_eq!(got.checksum(), ChecksumMark::Unknown);
            let got = got.to_vec();
            assert_eq!(got[..6], OURS.octets());
            let text = tcp_payload(&got[EthernetHeader::LEN..]);
            assert_eq!(text.len(), len);
            arrived.extend(text);
        }
        assert_eq!(arrived, payload);
    });
}

#[test]
fn an_interface_that_is_down_loses_frames_and_one_that_is_gone_is_an_error() {
    in_namespace(|| {
        cable();
        let (mut ours, mut theirs) = (open("left", OURS), open("right", THEIRS));
        ip(&["link", "set", "dev", "left", "down"]).unwrap();
        assert_eq!(send(&mut ours, [frame(THEIRS, b"lost")]), 0);
        assert_eq!(ours.counters().send_dropped, 1);
        assert_eq!(ours.receive(8, &mut Vec::new()).unwrap(), 0);
        ip(&["link", "set", "dev", "left", "up"]).unwrap();
        wait_for_carrier("left");
        send(&mut theirs, [frame(OURS, b"up again")]);
        let got = receive_one(&mut ours).to_vec();
        assert_eq!(&got[EthernetHeader::LEN..], b"up again");

        ip(&["link", "delete", "dev", "left"]).unwrap();
        let patience = Timespec {
            tv_sec: 30,
            tv_nsec: 0,
        };
        let mut ready = [PollFd::new(&ours, PollFlags::IN)];
        assert_eq!(poll(&mut ready, Some(&patience)), Ok(1), "the end is told");
        let error = ours.receive(8, &mut Vec::new()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe, "{error}");
        let mut queue = VecDeque::from([frame(THEIRS, b"nowhere")]);
        let error = ours.send(&mut queue).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe, "{error}");
        assert!(error.to_string().contains("left was deleted"), "{error}");
    });
}

fn wait_for_carrier(name: &str) {
    while !ip(&["link", "show", "dev", name])
        .unwrap()
        .contains("LOWER_UP")
    {
        std::thread::yield_now();
    }
}

#[test]
fn queues_share_what_arrives_and_a_flow_stays_at_one() {
    in_namespace(|| {
        cable();
        let builder = PacketSocketBuilder::new("left").mac(OURS);
        let mut queues = builder.clone().open_queues(3).unwrap();
        let mut theirs = open("right", THEIRS);
        let datagram = |port: u16| {
            let mut packet = vec![0; 28];
            packet[..4].copy_from_slice(&[0x45, 0, 0, 28]);
            packet[8..10].copy_from_slice(&[64, 17]);
            packet[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
            packet[20..22].copy_from_slice(&port.to_be_bytes());
            let mut frame = PacketBuf::from(packet);
            let header = EthernetHeader {
                destination: OURS,
                source: THEIRS,
                ethertype: EtherType::IPV4,
            };
            header.emit(frame.prepend(EthernetHeader::LEN));
            frame
        };
        let mut at_each = [0; 3];
        for port in 1_000..1_060 {
            send(&mut theirs, [datagram(port), datagram(port)]);
            let before = at_each;
            while at_each.iter().sum::<usize>() < before.iter().sum::<usize>() + 2 {
                for (queue, count) in queues.iter_mut().zip(&mut at_each) {
                    *count += queue.receive(8, &mut Vec::new()).unwrap();
                }
            }
            let came = at_each.iter().zip(before).map(|(now, then)| now - then);
            assert_eq!(came.max(), Some(2), "port {port}: at one queue, each once");
        }
        assert!(at_each.iter().all(|count| *count > 0), "{at_each:?}");
        // What this machine sends reaches none of them.
        send(&mut queues[0], [frame(OURS, b"outgoing")]);
        let mut got = Vec::new();
        for queue in &mut queues {
            queue.receive(8, &mut got).unwrap();
        }
        assert!(got.is_empty());

        // A second group does not mix with the first.
        let _second = builder.clone().open_queues(2).unwrap();
        for (asked, expected) in [(0, "0 queues"), (257, "257 queues")] {
            let error = builder.clone().open_queues(asked).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
        ip(&["link", "set", "dev", "left", "down"]).unwrap();
        let error = builder.open_queues(2).unwrap_err();
        assert!(matches!(error, PacketSocketError::Down { .. }), "{error}");
    });
}

#[test]
fn an_address_of_its_own_is_found_and_the_interface_takes_frames_for_all() {
    in_namespace(|| {
        cable();
        let promiscuous = || {
            let link = ip(&["-details", "link", "show", "dev", "left"]).unwrap();
            link.contains("promiscuity 1")
        };
        let ours = PacketSocket::open("left").unwrap();
        let link = Netlink::open().unwrap().link("left").unwrap().unwrap();
        assert_ne!(Some(ours.mac()), link.mac);
        assert!(ours.mac().is_unicast() && ours.mac().octets()[0] & 2 == 2);
        assert_eq!(PacketSocket::open("left").unwrap().mac(), ours.mac());
        assert!(promiscuous());
        drop(ours);
        assert!(!promiscuous(), "it is taken back");
        let own = open("left", link.mac.unwrap());
        assert!(!promiscuous(), "nothing to do for the interface's own");
        drop(own);
    });
}

#[test]
fn each_thing_that_can_be_in_the_way_has_its_error() {
    in_namespace(|| {
        cable();
        let error = PacketSocket::open("middle").unwrap_err();
        assert!(
            matches!(error, PacketSocketError::NotFound { .. }),
            "{error}"
        );
        let error = PacketSocket::open("lo").unwrap_err();
        assert!(
            matches!(error, PacketSocketError::NotEthernet { .. }),
            "{error}"
        );
        let builder = PacketSocketBuilder::new("left").mac(MacAddr::BROADCAST);
        let error = builder.open().unwrap_err();
        assert!(matches!(error, PacketSocketError::BadMac { .. }), "{error}");
        without(CapabilitySet::NET_RAW, || {
            let error = PacketSocket::open("left").unwrap_err();
            let text = error.to_string();
            assert!(
                matches!(error, PacketSocketError::NoPrivilege { .. }),
                "{text}"
            );
            assert!(text.contains("sudo setcap cap_net_raw+ep /"), "{text}");
            let error = io::Error::from(error);
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
        });
    });
}
