//! smoltcp on a TUN, with its own loop on a thread: poll, serve, wait.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant as WallClock;

use handwave_device::Tun;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

use super::contestant::{
    APPLICATION_BUFFER, CHARGEN, Contestant, DISCARD, ECHO, Mode, ONE_OCTET, PREFIX_LEN, Running,
    SERVER, client_tun,
};

const MTU: usize = 1_500;
/// Buffers of the connections in bulk: more makes it no faster.
const BUFFER: usize = 1 << 20;
/// Connections that may wait at the port that says one octet.
const AT_A_TIME: usize = 128;

pub(super) struct Smoltcp;

impl Contestant for Smoltcp {
    fn name(&self) -> &'static str {
        crate::smoltcp_pair::NAME
    }

    fn start(&self, mode: Mode) -> io::Result<Running> {
        let tun = client_tun(mode)?;
        let mut running = Running::default();
        running.spawn(move |stop| Server::new(tun).run(stop));
        Ok(running)
    }
}

struct Wire {
    tun: Tun,
    read: Vec<u8>,
    written: Vec<u8>,
}

struct Arrived<'a>(&'a [u8]);
struct Leaving<'a>(&'a Tun, &'a mut Vec<u8>);

impl RxToken for Arrived<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

impl TxToken for Leaving<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let packet = &mut self.1[..len];
        let result = f(packet);
        // What the kernel does not take is lost, as on any link.
        let _taken = rustix::io::write(self.0.as_fd(), packet);
        result
    }
}

impl Device for Wire {
    type RxToken<'a> = Arrived<'a>;
    type TxToken<'a> = Leaving<'a>;

    fn receive(&mut self, _now: Instant) -> Option<(Arrived<'_>, Leaving<'_>)> {
        let len = rustix::io::read(self.tun.as_fd(), &mut self.read[..]).ok()?;
        let leaving = Leaving(&self.tun, &mut self.written);
        Some((Arrived(&self.read[..len]), leaving))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Leaving<'_>> {
        Some(Leaving(&self.tun, &mut self.written))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = MTU;
        capabilities
    }
}

struct Server {
    wire: Wire,
    interface: Interface,
    sockets: SocketSet<'static>,
    served: Vec<(u16, SocketHandle)>,
    started: WallClock,
}

impl Server {
    fn new(tun: Tun) -> Self {
        let mut wire = Wire {
            tun,
            read: vec![0; MTU],
            written: vec![0; MTU],
        };
        let config = Config::new(HardwareAddress::Ip);
        let mut interface = Interface::new(config, &mut wire, Instant::ZERO);
        interface.update_ip_addrs(|addresses| {
            let [a, b, c, d] = SERVER;
            let own = IpCidr::new(IpAddress::v4(a, b, c, d), PREFIX_LEN);
            addresses.push(own).expect("room for one address");
        });
        let mut sockets = SocketSet::new(Vec::new());
        let one_octet = std::iter::repeat_n((ONE_OCTET, 64), AT_A_TIME);
        let ports = [(DISCARD, BUFFER), (CHARGEN, BUFFER), (ECHO, 4_096)];
        let served = ports
            .into_iter()
            .chain(one_octet)
            .map(|(port, size)| {
                let buffer = || tcp::SocketBuffer::new(vec![0; size]);
                let mut socket = tcp::Socket::new(buffer(), buffer());
                socket.set_nagle_enabled(false);
                (port, sockets.add(socket))
            })
            .collect();
        Self {
            wire,
            interface,
            sockets,
            served,
            started: WallClock::now(),
        }
    }

    fn run(mut self, stop: &AtomicBool) {
        let mut buffer = vec![0x5A; APPLICATION_BUFFER];
        while !stop.load(Ordering::Relaxed) {
            let now = self.now();
            self.interface.poll(now, &mut self.wire, &mut self.sockets);
            let mut busy = false;
            for (port, handle) in &self.served {
                let socket = self.sockets.get_mut::<tcp::Socket<'_>>(*handle);
                busy |= serve(socket, *port, &mut buffer);
            }
            if !busy {
                self.wait();
            }
        }
    }

    fn now(&self) -> Instant {
        Instant::from_micros(i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX))
    }

    fn wait(&mut self) {
        let delay = self.interface.poll_delay(self.now(), &self.sockets);
        let delay = delay
            .unwrap_or(Duration::MAX)
            .min(Duration::from_millis(20));
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: i64::try_from(delay.total_micros() * 1_000).unwrap_or(0),
        };
        let mut ready = [PollFd::new(&self.wire.tun, PollFlags::IN)];
        let _number = poll(&mut ready, Some(&timeout));
    }
}

/// Does what the port is for; returns whether there is something to send.
fn serve(socket: &mut tcp::Socket<'_>, port: u16, buffer: &mut [u8]) -> bool {
    if !socket.is_open() {
        return socket.listen(port).is_err();
    }
    let mut busy = false;
    match port {
        DISCARD => {
            while socket.can_recv() {
                busy |= socket.recv_slice(buffer).is_ok();
            }
        }
        CHARGEN => {
            while socket.can_send() {
                busy |= socket.send_slice(buffer).is_ok_and(|sent| sent > 0);
            }
        }
        ECHO => {
            while socket.can_recv() && socket.can_send() {
                let count = socket.recv_slice(&mut buffer[..4_096]).unwrap_or(0);
                busy |= socket.send_slice(&buffer[..count]).is_ok();
            }
        }
        _ if socket.may_send() && socket.can_send() => {
            busy |= socket.send_slice(b"x").is_ok();
            socket.close();
        }
        _ => {}
    }
    if !socket.may_recv() && socket.may_send() && port != ONE_OCTET {
        socket.close();
        busy = true;
    }
    busy
}
