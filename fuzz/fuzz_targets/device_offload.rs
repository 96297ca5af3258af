//! Whatever stands in the virtio header in front of a packet, and whatever follows it: what a device makes of it, cut or whole, does no harm
//! to a stack that takes it as a batch, and the octets of text are those that came.
//!
//! The input is cut into records: the length of the packet (two octets), flags, the virtio header (ten) and the packet. Flags choose
//! whether the packet is an octet string of its own or text of the connection, and end a batch.

#![no_main]

#[path = "../../crates/handwave/tests/common/law.rs"]
mod law;
mod dice;

use std::os::unix::net::UnixDatagram;

use dice::Dice;
use handwave_device::{Device, Framing, Tun};
use handwave_packet::{PacketBuf, split};
use handwave_tcp::{Config, Instant};
use handwave_wire::TcpFlags;
use law::{Host, Manners, Path, Peer, handshake};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| run(octets));

const FRONT: usize = 10;

fn run(mut script: &[u8]) {
    let (ours, kernel) = UnixDatagram::pair().expect("two sockets");
    let mut tun = Tun::from_fd(ours.into(), 1_500, Framing::VirtioNet).expect("a device");
    let addrs = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
    let mut hosts = [Host::new(Path::Batch, addrs, Config::default(), Manners::GOOD)];
    let mut peer = Peer::without_options(Dice::new(&[]), addrs);
    handshake(&mut peer, &mut hosts);
    let [mut host] = hosts;
    let now = Instant::ZERO;
    let mut batch: Vec<PacketBuf> = Vec::new();
    while let [l0, l1, flags, rest @ ..] = script {
        let len = usize::from(u16::from_le_bytes([*l0, *l1]));
        let (front, rest) = rest.split_at(rest.len().min(FRONT));
        let (octets, rest) = match flags & 1 {
            0 => rest.split_at(rest.len().min(len)),
            _ => (&[][..], rest),
        };
        script = rest;
        let octets = match flags & 1 {
            0 => octets.to_vec(),
            _ => {
                let mut flag = TcpFlags::ACK;
                flag |= TcpFlags::from_bits(u16::from(flags >> 4));
                let text: Vec<u8> = (0..len).map(|at| at as u8).collect();
                let packet = peer.packet(&peer.header(flag), &text[..len.min(65_000)]);
                peer.next = peer.next.wrapping_add(len as u32);
                packet
            }
        };
        if front.is_empty() && octets.is_empty() {
            // That is how a descriptor says that it has ended.
            continue;
        }
        // A kernel refuses what is longer than its buffer.
        let sent = kernel.send(&[front, &octets].concat());
        let before = batch.len();
        while tun.receive(64, &mut batch).expect("no packet ends a device") > 0 {}
        assert!(sent.is_ok() || batch.len() == before);
        for packet in &batch[before..] {
            let parts: usize = split::segments(packet.clone()).map(|part| part.payload().len()).sum();
            assert!(parts <= packet.len() && packet.len() <= octets.len());
        }
        if flags & 2 != 0 || batch.len() > 100 {
            host.take_batch(now, &mut batch);
            batch.clear();
            host.drain(now);
        }
    }
    host.take_batch(now, &mut batch);
    host.drain(now);
}
