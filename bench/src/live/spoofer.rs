//! SYNs with forged sources, at a rate, into a TUN or veth of a namespace of this program's own, and into nothing else.

use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use handwave_wire::ipv4::Ipv4Header;
use handwave_wire::{IpProtocol, SeqNum, Sum, TcpFlags, TcpHeader, TcpOptions};
use rustix::net::{MMsgHdr, SendFlags, sendmmsg};
use socket2::{Domain, Protocol, Socket, Type};

/// However long somebody asks for.
const SPAN_MAX: Duration = Duration::from_secs(10);
/// Packets handed to the kernel at a time.
const BATCH: usize = 32;
/// `IPPROTO_RAW`: packets come with their header.
const RAW: i32 = 255;
/// How long to rest when the rate allows no packet now.
const REST: Duration = Duration::from_micros(100);

/// How fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rate {
    /// So many a second.
    PerSecond(u32),
    /// As fast as the kernel takes them.
    Flat,
}

/// Sends SYNs to one server, each from another address that nobody has.
pub(super) struct Spoofer {
    socket: Socket,
    server: SocketAddrV4,
    state: u64,
}

impl Spoofer {
    /// Gets ready to flood a server behind an interface of the calling thread's namespace.
    ///
    /// Refuses the namespace of the machine, and an interface that is neither a TUN nor a veth.
    pub(super) fn new(interface: &str, server: SocketAddrV4) -> io::Result<Self> {
        let refuse = |why: String| io::Error::new(io::ErrorKind::PermissionDenied, why);
        let namespace = std::fs::read_link("/proc/thread-self/ns/net")?;
        if std::fs::read_link("/proc/1/ns/net").is_ok_and(|machine| machine == namespace) {
            return Err(refuse(
                "no flood outside a network namespace of its own".to_owned(),
            ));
        }
        let kind = kind(interface)?;
        if !["tun", "veth"].contains(&kind.as_str()) {
            let why = format!("no flood into {interface}, which is neither a TUN nor a veth");
            return Err(refuse(why));
        }
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(RAW)))?;
        socket.bind_device(Some(interface.as_bytes()))?;
        Ok(Self {
            socket,
            server,
            state: 1,
        })
    }

    /// Floods until told to stop, and 10 s at most; returns how many SYNs the kernel took.
    pub(super) fn run(&mut self, rate: Rate, stop: &AtomicBool) -> u64 {
        let begin = Instant::now();
        let mut sent = 0;
        while !stop.load(Ordering::Relaxed) && begin.elapsed() < SPAN_MAX {
            let due = match rate {
                Rate::PerSecond(rate) => (begin.elapsed().as_nanos() * u128::from(rate)
                    / 1_000_000_000)
                    .saturating_sub(u128::from(sent)),
                Rate::Flat => BATCH as u128,
            };
            let count = usize::try_from(due).map_or(BATCH, |due| due.min(BATCH));
            match count {
                0 => std::thread::sleep(REST),
                count => sent += self.batch(count),
            }
        }
        sent
    }

    fn batch(&mut self, count: usize) -> u64 {
        let server = self.server.into();
        let packets: Vec<_> = (0..count).map(|_| self.syn()).collect();
        let slices: Vec<_> = packets
            .iter()
            .map(|packet| [IoSlice::new(packet)])
            .collect();
        let mut controls: Vec<_> = (0..count).map(|_| Default::default()).collect();
        let mut messages: Vec<_> = slices
            .iter()
            .zip(&mut controls)
            .map(|(slice, control)| MMsgHdr::new_with_addr(&server, slice, control))
            .collect();
        // What the kernel does not take now is lost, as on a link that is full.
        sendmmsg(&self.socket, &mut messages, SendFlags::empty()).map_or(0, |taken| taken as u64)
    }

    /// A SYN as a client sends it, but for the source.
    fn syn(&mut self) -> [u8; 44] {
        let draw = self.draw();
        let (ip, tcp) = (Ipv4Header::LEN, TcpHeader::LEN_MIN + 4);
        let source = source(draw);
        let header = Ipv4Header {
            payload_len: 24,
            ..Ipv4Header::new(source, *self.server.ip(), IpProtocol::TCP)
        };
        let syn = TcpHeader {
            source_port: 1_024 | low_half(draw >> 48),
            destination_port: self.server.port(),
            seq: SeqNum::new(low_half(draw >> 16).into()),
            flags: TcpFlags::SYN,
            window: 64_240,
            options: TcpOptions {
                mss: Some(1_460),
                ..TcpOptions::default()
            },
            ..TcpHeader::default()
        };
        let mut packet = [0; 44];
        header.emit(&mut packet);
        let segment = &mut packet[ip..ip + tcp];
        syn.emit(segment);
        let server = (*self.server.ip()).into();
        let sum = Sum::default()
            .pseudo_header(
                source.into(),
                server,
                IpProtocol::TCP,
                u32::from(header.payload_len),
            )
            .add_bytes(segment);
        TcpHeader::set_checksum(segment, sum.finish());
        packet
    }

    /// Numbers without a visible pattern (splitmix64).
    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

/// Any address from 64.0.0.0 to 127.0.0.0: none of ours, of a group, or of a loopback.
fn source(draw: u64) -> Ipv4Addr {
    let [.., a, b, c, d] = draw.to_be_bytes();
    Ipv4Addr::new(64 + a % 63, b, c, d)
}

fn low_half(number: u64) -> u16 {
    let [.., high, low] = number.to_be_bytes();
    u16::from_be_bytes([high, low])
}

/// What kind of interface this is, as `ip -details` names it.
fn kind(interface: &str) -> io::Result<String> {
    let link = details(interface)?;
    let kind = &link["linkinfo"]["info_kind"];
    Ok(kind.as_str().unwrap_or_default().to_owned())
}

/// Packets that have come out of an interface into the kernel.
pub(super) fn received(interface: &str) -> io::Result<u64> {
    let link = details(interface)?;
    let packets = link["stats64"]["rx"]["packets"].as_u64();
    packets.ok_or_else(|| io::Error::other(format!("no statistics of {interface}")))
}

fn details(interface: &str) -> io::Result<serde_json::Value> {
    let output = Command::new("ip")
        .args([
            "-details",
            "-statistics",
            "-json",
            "link",
            "show",
            "dev",
            interface,
        ])
        .output()?;
    let links: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    Ok(links[0].clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::namespace;

    #[test]
    fn it_floods_nothing_but_a_tun_or_veth_of_a_namespace_of_its_own() {
        let server = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 80);
        let refused = move |interface: &str| {
            let refused = Spoofer::new(interface, server).err();
            refused.is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
        };
        assert!(refused("lo"), "outside");
        let inside = std::thread::spawn(move || match namespace::enter() {
            Ok(()) => assert!(refused("lo"), "inside"),
            Err(error) => eprintln!("SKIPPED: no network namespace to be had: {error}"),
        });
        assert!(inside.join().is_ok());
    }
}
