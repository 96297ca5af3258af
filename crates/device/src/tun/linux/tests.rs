//! Against the kernel, each test in a network namespace of its own that ends with the thread that made it.

use std::collections::VecDeque;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsFd;

use handwave_packet::PacketBuf;
use handwave_wire::icmpv4::Icmpv4Message;
use handwave_wire::icmpv6::Icmpv6Message;
use handwave_wire::ipv4::Ipv4Header;
use handwave_wire::ipv6::Ipv6Header;
use handwave_wire::{IpProtocol, SeqNum, Sum, TcpFlags, TcpHeader, TcpOptions};
use rustix::thread::CapabilitySet;

use super::ioctl::{IFF_NO_PI, IFF_TUN, IFF_VNET_HDR};
use super::*;
use crate::testing::kernel::{self, in_namespace, ip, ip_address, ip_link, receive_one, without};
use crate::testing::packet;
use crate::{Device, Framing};

const OURS_V4: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 2);
const KERNELS_V4: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 1);
const OURS_V6: Ipv6Addr = Ipv6Addr::new(0xfd07, 0, 0, 0, 0, 0, 0, 2);

fn address(text: &str) -> InterfaceAddress {
    text.parse().unwrap()
}

fn builder() -> TunBuilder {
    TunBuilder::new()
        .name("hw0")
        .address(address("10.7.0.1/24"))
        .address(address("fd07::1/64"))
        .mtu(1_400)
}

#[test]
fn a_created_interface_has_what_was_asked_for_and_goes_with_the_device() {
    in_namespace(|| {
        let tun = builder().address(address("10.8.0.1/16")).create().unwrap();
        assert_eq!((tun.name(), tun.mtu()), (Some("hw0"), 1_400));
        let link = ip_link("hw0");
        assert!(link.contains("mtu 1400") && link.contains(",UP,"), "{link}");
        let addresses = ip_address("hw0");
        let expected = [
            "inet 10.7.0.1/24",
            "inet 10.8.0.1/16",
            "inet6 fd07::1/64 scope global nodad",
        ];
        for expected in expected {
            assert!(addresses.contains(expected), "{expected} in {addresses}");
        }
        drop(tun);
        assert!(ip(&["link", "show", "dev", "hw0"]).is_err(), "it is gone");
    });
}

#[test]
fn the_kernel_picks_a_name_and_leaves_the_link_down_if_asked_to() {
    in_namespace(|| {
        let first = TunBuilder::new().up(false).create().unwrap();
        let second = TunBuilder::new().name("wave%d").create().unwrap();
        let third = TunBuilder::new().name("wave%d").create().unwrap();
        assert_eq!(first.name(), Some("tun0"));
        assert_eq!(
            (second.name(), third.name()),
            (Some("wave0"), Some("wave1"))
        );
        assert!(ip_link("tun0").contains("state DOWN"));
    });
}

#[test]
fn an_address_given_twice_is_one_address() {
    in_namespace(|| {
        let _tun = builder().address(address("10.7.0.1/24")).create().unwrap();
        assert_eq!(ip_address("hw0").matches("10.7.0.1/24").count(), 1);
    });
}

#[test]
fn what_fails_half_way_leaves_no_interface() {
    in_namespace(|| {
        std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").unwrap();
        let error = builder().create().unwrap_err();
        assert!(matches!(error, TunError::Ipv6Disabled { .. }), "{error}");
        assert!(ip(&["link", "show", "dev", "hw0"]).is_err());
    });
}

#[test]
fn the_kernels_ping_is_answered_over_both_versions() {
    in_namespace(|| {
        let mut tun = builder().create().unwrap();
        for target in [IpAddr::V4(OURS_V4), IpAddr::V6(OURS_V6)] {
            for len in [0, 56, 1_300] {
                let data: Vec<u8> = (0..len)
                    .map(|index: usize| index.to_le_bytes()[0])
                    .collect();
                let pinger = kernel::Pinger::new(target);
                pinger.ping(&data);
                answer_one_ping(&mut tun);
                assert_eq!(pinger.pong(), data, "{len} octets to {target}");
            }
        }
        assert_eq!(tun.counters().send_dropped, 0);
    });
}

/// Receives until a ping comes (the kernel also looks for routers and neighbours), and answers it.
fn answer_one_ping(tun: &mut Tun) {
    loop {
        let request = receive_one(tun);
        let Some(reply) = echo_reply(&request.to_vec()) else {
            continue;
        };
        assert_eq!(tun.send(&mut VecDeque::from([reply])).unwrap(), 1);
        return;
    }
}

fn echo_reply(request: &[u8]) -> Option<PacketBuf> {
    let mut reply;
    if request[0] >> 4 == 4 {
        let (ip, ip_len) = Ipv4Header::parse(request).ok()?;
        let Ok(Icmpv4Message::EchoRequest(echo)) =
            Icmpv4Message::parse(ip.payload(request, ip_len))
        else {
            return None;
        };
        let message = Icmpv4Message::EchoReply(echo);
        let mut octets = vec![0; message.encoded_len()];
        message.emit(&mut octets);
        reply = PacketBuf::from(octets);
        let header = Ipv4Header {
            source: ip.destination,
            destination: ip.source,
            ..ip
        };
        header.emit(reply.prepend(20));
    } else {
        let (ip, _) = Ipv6Header::parse(request).ok()?;
        let message = Icmpv6Message::parse(ip.payload(request), ip.source, ip.destination);
        let Ok(Icmpv6Message::EchoRequest(echo)) = message else {
            return None;
        };
        let message = Icmpv6Message::EchoReply(echo);
        let mut octets = vec![0; message.encoded_len()];
        message.emit(&mut octets, ip.destination, ip.source);
        reply = PacketBuf::from(octets);
        let header = Ipv6Header {
            source: ip.destination,
            destination: ip.source,
            ..ip
        };
        header.emit(reply.prepend(40));
    }
    Some(reply)
}

/// A persistent interface as an administrator makes it.
fn persistent(name: &str, flags: &[&str]) {
    ip(&[&["tuntap", "add", "dev", name, "mode", "tun"], flags].concat()).unwrap();
}

#[test]
fn attaching_leaves_addresses_mtu_and_state_alone() {
    in_namespace(|| {
        persistent("hw1", &[]);
        ip(&["addr", "add", "10.9.0.1/24", "dev", "hw1"]).unwrap();
        ip(&["link", "set", "dev", "hw1", "mtu", "1333"]).unwrap();
        for up in [false, true] {
            let state = if up { "up" } else { "down" };
            ip(&["link", "set", "dev", "hw1", state]).unwrap();
            let before = without_carrier(&ip_address("hw1"));
            let tun = builder().name("hw1").create_or_attach().unwrap();
            assert_eq!((tun.name(), tun.mtu()), (Some("hw1"), 1_333));
            assert_eq!(without_carrier(&ip_address("hw1")), before);
            drop(tun);
            assert_eq!(
                without_carrier(&ip_address("hw1")),
                before,
                "it outlives us"
            );
        }
    });
}

/// What `ip` says less what follows from a program being attached: the carrier, and the queueing that comes with it.
fn without_carrier(text: &str) -> Vec<String> {
    let drop = ["NO-CARRIER,", ",LOWER_UP"];
    text.lines()
        .filter(|line| !line.contains("fe80::") && !line.contains("valid_lft"))
        .map(|line| {
            drop.iter()
                .fold(line.to_owned(), |line, word| line.replace(word, ""))
        })
        .map(|line| line.split(" qdisc").next().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn attaching_works_for_several_queues_and_without_privilege() {
    in_namespace(|| {
        persistent("hw1", &["multi_queue"]);
        persistent("hw2", &[]);
        without(CapabilitySet::NET_ADMIN, || {
            let tun = Tun::attach("hw1").unwrap();
            let error = Tun::attach("hw1").unwrap_err();
            assert!(matches!(error, TunError::Busy { .. }), "{error}");
            drop(tun);
            Tun::attach("hw2").unwrap();
        });
    });
}

#[test]
fn a_name_that_nobody_has_is_created_on_demand() {
    in_namespace(|| {
        let tun = builder().create_or_attach().unwrap();
        assert!(ip_address("hw0").contains("10.7.0.1/24"));
        assert_eq!(tun.mtu(), 1_400);
    });
}

#[test]
fn each_thing_that_can_be_in_the_way_has_its_error() {
    in_namespace(|| {
        let created = builder().create().unwrap();
        let error = builder().create().unwrap_err();
        assert!(matches!(error, TunError::Exists { .. }), "{error}");
        let error = builder().create_or_attach().unwrap_err();
        assert!(matches!(error, TunError::Busy { .. }), "{error}");
        assert!(error.to_string().starts_with("hw0 is in use"), "{error}");
        drop(created);

        persistent("hw1", &[]);
        let attached = Tun::attach("hw1").unwrap();
        let error = Tun::attach("hw1").unwrap_err();
        assert!(matches!(error, TunError::Busy { .. }), "{error}");
        drop(attached);
        let error = builder().name("hw1").create().unwrap_err();
        assert!(matches!(error, TunError::Exists { .. }), "{error}");

        let error = Tun::attach("hw7").unwrap_err();
        assert!(matches!(error, TunError::NotFound { .. }), "{error}");
        assert!(
            ip(&["link", "show", "dev", "hw7"]).is_err(),
            "and none was made"
        );

        ip(&["tuntap", "add", "dev", "tap5", "mode", "tap"]).unwrap();
        for (name, expected) in [("tap5", "tap"), ("lo", "something else")] {
            let error = Tun::attach(name).unwrap_err();
            assert!(matches!(error, TunError::NotATun { .. }), "{error}");
            assert!(
                error.to_string().contains(&format!("but {expected}")),
                "{error}"
            );
        }
    });
}

#[test]
fn a_missing_privilege_is_told_with_the_command_that_gives_it() {
    in_namespace(|| {
        without(CapabilitySet::NET_ADMIN, || {
            let error = builder().create().unwrap_err();
            assert!(matches!(error, TunError::NoPrivilege { .. }), "{error}");
            let program = std::env::current_exe().unwrap();
            let command = format!("`sudo setcap cap_net_admin+ep {}`", program.display());
            assert!(error.to_string().contains(&command), "{error}");
        });
        ip(&[
            "tuntap", "add", "dev", "hw1", "mode", "tun", "user", "65534",
        ])
        .unwrap();
        without(CapabilitySet::NET_ADMIN, || {
            let error = Tun::attach("hw1").unwrap_err();
            assert!(
                matches!(error, TunError::NoPrivilege { .. }),
                "somebody else's: {error}"
            );
        });
    });
}

#[test]
fn packets_for_an_interface_that_is_down_are_lost_and_the_device_goes_on() {
    in_namespace(|| {
        let mut tun = builder().up(false).create().unwrap();
        let mut waiting = VecDeque::from([packet(1, 40), packet(2, 40)]);
        assert_eq!(tun.send(&mut waiting).unwrap(), 0);
        assert!(waiting.is_empty());
        assert_eq!(tun.counters().send_dropped, 2);
        ip(&["link", "set", "dev", "hw0", "up"]).unwrap();
        // Neither IPv4 nor IPv6: refused, and the next one taken.
        waiting.extend([PacketBuf::from(vec![0x15; 40]), packet(3, 40)]);
        assert_eq!(tun.send(&mut waiting).unwrap(), 1);
        assert_eq!(tun.counters().send_dropped, 3);
    });
}

#[test]
fn a_deleted_interface_is_a_final_error() {
    in_namespace(|| {
        let mut tun = builder().create().unwrap();
        ip(&["link", "delete", "dev", "hw0"]).unwrap();
        let mut waiting = VecDeque::from([packet(1, 40)]);
        let error = tun.send(&mut waiting).unwrap_err();
        assert!(error.to_string().contains("was deleted"), "{error}");
        assert_eq!(waiting.len(), 1);
        let error = tun.receive(8, &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("was deleted"), "{error}");
    });
}

#[test]
fn a_datagram_from_the_kernel_is_taken_and_one_to_it_delivered() {
    in_namespace(|| {
        let mut tun = builder().offload(Offload::Off).create().unwrap();
        let socket = UdpSocket::bind((KERNELS_V4, 5_000)).unwrap();
        socket.send_to(&[7; 100], (OURS_V4, 6_000)).unwrap();
        let request = loop {
            let packet = receive_one(&mut tun).to_vec();
            if packet[0] >> 4 == 4 {
                break packet;
            }
        };
        // Turned round: addresses and ports change places, which leaves every checksum as it is.
        let mut reply = request.clone();
        reply[12..16].copy_from_slice(&request[16..20]);
        reply[16..20].copy_from_slice(&request[12..16]);
        reply[20..22].copy_from_slice(&request[22..24]);
        reply[22..24].copy_from_slice(&request[20..22]);
        tun.send(&mut VecDeque::from([PacketBuf::from(reply)]))
            .unwrap();
        let mut octets = [0; 200];
        let (len, from) = socket.recv_from(&mut octets).unwrap();
        assert_eq!(
            (&octets[..len], from),
            (&[7; 100][..], SocketAddr::from((OURS_V4, 6_000)))
        );
    });
}

/// `TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6`: what a program with offload asks the kernel for.
const TSO: u32 = 0x01 | 0x02 | 0x04;

/// Opens the interface as a program with offload does, and leaves the offload behind.
fn set_offload_and_close(name: &str) {
    let descriptor = queues::open().unwrap();
    let flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
    ioctl::set_interface(descriptor.as_fd(), name, flags).unwrap();
    ioctl::set_offload(descriptor.as_fd(), TSO).unwrap();
}

#[test]
fn offloads_of_an_earlier_program_are_taken_back() {
    in_namespace(|| {
        persistent("hw1", &[]);
        ip(&["addr", "add", "10.7.0.1/24", "dev", "hw1"]).unwrap();
        ip(&["link", "set", "dev", "hw1", "up"]).unwrap();

        // What this guards against is real: a descriptor that takes nothing back gets oversized packets.
        set_offload_and_close("hw1");
        let descriptor = queues::open().unwrap();
        ioctl::set_interface(descriptor.as_fd(), "hw1", IFF_TUN | IFF_NO_PI).unwrap();
        let mut careless = Tun::from_fd(descriptor, u16::MAX, Framing::Plain).unwrap();
        let seen = watch_a_stream(&mut careless);
        assert!(
            seen.longest > 1_500 && seen.incomplete_checksums > 0,
            "the kernel left cutting and summing to us: {seen:?}"
        );
        drop(careless);

        set_offload_and_close("hw1");
        let plain = TunBuilder::new().name("hw1").offload(Offload::Off);
        let mut tun = plain.attach().unwrap();
        assert_eq!(tun.mtu(), 1_500);
        let seen = watch_a_stream(&mut tun);
        assert_eq!((seen.longest, seen.incomplete_checksums), (1_500, 0));
        assert_eq!(tun.counters().receive_dropped, 0);
    });
}

#[test]
fn offloads_are_set_anew_on_each_attach_and_taken_back_on_leaving() {
    in_namespace(|| {
        persistent("hw1", &[]);
        ip(&["addr", "add", "10.7.0.1/24", "dev", "hw1"]).unwrap();
        ip(&["link", "set", "dev", "hw1", "up"]).unwrap();
        for offload in [Offload::On, Offload::Off, Offload::Auto, Offload::Off] {
            let builder = TunBuilder::new().name("hw1").offload(offload);
            let mut tun = builder.attach().unwrap();
            assert_eq!(tun.has_offload(), offload != Offload::Off);
            let seen = watch_a_stream(&mut tun);
            assert_eq!(
                seen.longest > 1_500,
                tun.has_offload(),
                "{offload:?}: {seen:?}"
            );
            assert_eq!(seen.incomplete_checksums > 0, tun.has_offload());
            assert_eq!(tun.counters().receive_dropped, 0);
            drop(tun);
            // A descriptor that sets nothing itself sees what is left behind.
            let descriptor = queues::open().unwrap();
            ioctl::set_interface(descriptor.as_fd(), "hw1", IFF_TUN | IFF_NO_PI).unwrap();
            let mut careless = Tun::from_fd(descriptor, u16::MAX, Framing::Plain).unwrap();
            let seen = watch_a_stream(&mut careless);
            assert_eq!(
                (seen.longest, seen.incomplete_checksums),
                (1_500, 0),
                "{offload:?}"
            );
        }
    });
}

#[test]
fn several_queues_share_an_interface_and_one_queue_is_not_several() {
    in_namespace(|| {
        let queues = builder().create_queues(3).unwrap();
        assert_eq!(queues.len(), 3);
        assert!(queues.iter().all(|queue| queue.name() == Some("hw0")));
        assert!(queues.iter().all(Tun::has_offload));
        drop(queues);
        assert!(ip(&["link", "show", "dev", "hw0"]).is_err(), "it is gone");

        persistent("hw1", &["multi_queue"]);
        let hw1 = || TunBuilder::new().name("hw1");
        for _ in 0..2 {
            let queues = hw1().attach_queues(2).unwrap();
            let error = hw1().attach().unwrap_err();
            assert!(matches!(error, TunError::Busy { .. }), "{error}");
            drop(queues);
        }
        persistent("hw2", &[]);
        let error = TunBuilder::new().name("hw2").attach_queues(2).unwrap_err();
        assert!(
            matches!(error, TunError::SingleQueue { asked: 2, .. }),
            "{error}"
        );
        assert!(error.to_string().contains("multi_queue"), "{error}");
        for count in [0, 257] {
            let error = hw1().attach_queues(count).unwrap_err();
            assert!(matches!(error, TunError::BadQueues { .. }), "{error}");
        }
    });
}

#[test]
fn a_queue_keeps_the_flow_it_has_sent_of() {
    in_namespace(|| {
        let mut queues = builder().create_queues(2).unwrap();
        // Whichever queue answers, what the kernel sends next of the flow comes there.
        let socket = UdpSocket::bind((KERNELS_V4, 5_000)).unwrap();
        let patience = Duration::from_secs(30);
        socket.set_read_timeout(Some(patience)).unwrap();
        for index in [0, 1] {
            let mut datagram = packet(0, 28);
            let from = 6_000_u16;
            let udp = [
                &from.to_be_bytes()[..],
                &5_000_u16.to_be_bytes(),
                &[0, 8, 0, 0],
            ]
            .concat();
            let mut header = Ipv4Header::new(OURS_V4, KERNELS_V4, IpProtocol::UDP);
            header.payload_len = 8;
            datagram.truncate(0);
            datagram.prepend(8).copy_from_slice(&udp);
            header.emit(datagram.prepend(20));
            queues[index].send(&mut VecDeque::from([datagram])).unwrap();
            socket.recv_from(&mut []).unwrap();
            socket.send_to(&[7; 9], (OURS_V4, from)).unwrap();
            loop {
                let packet = receive_one(&mut queues[index]).to_vec();
                if packet[0] >> 4 == 4 {
                    assert_eq!(packet[28..], [7; 9]);
                    break;
                }
            }
        }
    });
}

/// What came of a stream that the kernel sent as fast as it could.
#[derive(Debug, Default)]
struct Seen {
    /// The length of the longest packet.
    longest: usize,
    /// Segments whose checksum is wrong.
    incomplete_checksums: usize,
}

fn watch_a_stream(tun: &mut Tun) -> Seen {
    const OCTETS: usize = 100_000;
    let stream = kernel::on_thread_of_namespace(|| {
        let stream = TcpStream::connect((OURS_V4, 80)).unwrap();
        (&stream).write_all(&vec![0x5A; OCTETS]).unwrap();
        stream
    });
    let mut seen = Seen::default();
    let mut rcv_nxt = SeqNum::default();
    let mut received = 0;
    while received < OCTETS {
        let packet = receive_one(tun).to_vec();
        let Some((ip, tcp, payload)) = segment_of(&packet, &mut seen) else {
            continue;
        };
        if tcp.flags.contains(TcpFlags::SYN) {
            rcv_nxt = tcp.seq + 1;
        } else if tcp.seq == rcv_nxt {
            rcv_nxt += u32::try_from(payload.len()).unwrap();
            received += payload.len();
        }
        let reply = acknowledge(&ip, &tcp, rcv_nxt);
        tun.send(&mut VecDeque::from([reply])).unwrap();
    }
    drop(stream.join().unwrap());
    seen
}

fn segment_of<'a>(packet: &'a [u8], seen: &mut Seen) -> Option<(Ipv4Header, TcpHeader, &'a [u8])> {
    let (ip, ip_len) = Ipv4Header::parse(packet).ok()?;
    let segment = ip.payload(packet, ip_len);
    let (tcp, offset) = TcpHeader::parse(segment).ok()?;
    let len = u32::try_from(segment.len()).unwrap();
    let sum = Sum::default()
        .pseudo_header(
            ip.source.into(),
            ip.destination.into(),
            IpProtocol::TCP,
            len,
        )
        .add_bytes(segment);
    seen.longest = seen.longest.max(packet.len());
    seen.incomplete_checksums += usize::from(sum.finish() != 0);
    Some((ip, tcp, &segment[offset..]))
}

/// As little of a TCP as gets a stream out of the kernel.
fn acknowledge(ip: &Ipv4Header, tcp: &TcpHeader, rcv_nxt: SeqNum) -> PacketBuf {
    let iss = SeqNum::new(1_000);
    let is_syn = tcp.flags.contains(TcpFlags::SYN);
    let reply = TcpHeader {
        source_port: tcp.destination_port,
        destination_port: tcp.source_port,
        seq: if is_syn { iss } else { iss + 1 },
        ack: rcv_nxt,
        flags: if is_syn {
            TcpFlags::SYN | TcpFlags::ACK
        } else {
            TcpFlags::ACK
        },
        window: 65_535,
        urgent: 0,
        options: TcpOptions {
            mss: is_syn.then_some(1_460),
            window_scale: is_syn.then_some(4),
            ..TcpOptions::default()
        },
    };
    let tcp_len = reply.header_len();
    let mut packet = PacketBuf::from(Vec::new());
    let header = packet.prepend(tcp_len);
    reply.emit(header);
    let sum = Sum::default()
        .pseudo_header(
            ip.destination.into(),
            ip.source.into(),
            IpProtocol::TCP,
            u32::try_from(tcp_len).unwrap(),
        )
        .add_bytes(header);
    header[16..18].copy_from_slice(&sum.finish().to_be_bytes());
    let ip = Ipv4Header {
        source: ip.destination,
        destination: ip.source,
        payload_len: u16::try_from(tcp_len).unwrap(),
        ..*ip
    };
    ip.emit(packet.prepend(20));
    packet
}

#[test]
fn a_name_or_a_size_that_cannot_be_is_refused_before_anything_happens() {
    for name in ["", "a-name-too-long-", "a/b", "..", "a b", "a%", "%d%d"] {
        let error = TunBuilder::new().name(name).create().unwrap_err();
        assert!(matches!(error, TunError::BadName { .. }), "{name}: {error}");
    }
    let error = Tun::attach("tun%d").unwrap_err();
    assert!(matches!(error, TunError::BadName { .. }), "{error}");
    let error = builder().mtu(1_279).create().unwrap_err();
    assert!(
        matches!(
            error,
            TunError::BadMtu {
                at_least: 1_280,
                ..
            }
        ),
        "{error}"
    );
    let error = TunBuilder::new().mtu(67).create().unwrap_err();
    assert!(
        matches!(error, TunError::BadMtu { at_least: 68, .. }),
        "{error}"
    );
}

#[test]
fn addresses_are_read_as_people_write_them() {
    for text in ["10.7.0.1/24", "0.0.0.0/0", "fd07::1/64", "::/128"] {
        assert_eq!(address(text).to_string(), text);
    }
    for text in [
        "",
        "10.7.0.1/33",
        "fd07::1/129",
        "10.7.0/24",
        "10.7.0.1/",
        "10.7.0.1/-1",
        "hw0",
    ] {
        let error = text.parse::<InterfaceAddress>().unwrap_err();
        assert!(error.to_string().contains("10.7.0.1/24"), "{error}");
    }
}

#[test]
fn the_command_in_a_message_is_one_a_shell_understands() {
    let error = TunError::NoPrivilege {
        doing: "create",
        name: "tun%d".into(),
        program: "/opt/it's here/handwave".into(),
    };
    let message = error.to_string();
    assert!(
        message.contains(r"setcap cap_net_admin+ep '/opt/it'\''s here/handwave'"),
        "{message}"
    );
    assert!(message.contains("dev tun0 mode tun"), "{message}");
    assert_eq!(
        io::Error::from(error).kind(),
        io::ErrorKind::PermissionDenied
    );
}
