//! Two smoltcp interfaces in one thread, joined by queues of packets: the peer of the `bulk` benchmark.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::hint::black_box;
use std::rc::Rc;
use std::time::Instant as WallClock;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpAddress, IpCidr};

use crate::ours::{APPLICATION, BATCH, Calls};

pub(crate) const NAME: &str = "smoltcp 0.14";

type Queue = Rc<RefCell<VecDeque<Vec<u8>>>>;

/// One end of the wire. Buffers go round, so that no packet costs an allocation.
#[derive(Debug)]
struct Wire {
    mtu: usize,
    arriving: Queue,
    leaving: Queue,
    spare: Queue,
}

struct Arrived(Vec<u8>, Queue);
struct Leaving<'a>(&'a Wire);

impl RxToken for Arrived {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        let result = f(&self.0);
        self.1.borrow_mut().push_back(self.0);
        result
    }
}

impl TxToken for Leaving<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        let mut packet = self.0.spare.borrow_mut().pop_front().unwrap_or_default();
        packet.resize(len, 0);
        let result = f(&mut packet);
        self.0.leaving.borrow_mut().push_back(packet);
        result
    }
}

impl Device for Wire {
    type RxToken<'a> = Arrived;
    type TxToken<'a> = Leaving<'a>;

    fn receive(&mut self, _now: Instant) -> Option<(Arrived, Leaving<'_>)> {
        let packet = self.arriving.borrow_mut().pop_front()?;
        Some((Arrived(packet, Rc::clone(&self.spare)), Leaving(self)))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Leaving<'_>> {
        // A bound such as every device has; without one a whole window would be sent before the other end runs.
        (self.leaving.borrow().len() < BATCH).then_some(Leaving(self))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = self.mtu;
        capabilities
    }
}

struct Host {
    wire: Wire,
    interface: Interface,
    sockets: SocketSet<'static>,
}

impl Host {
    fn new(mut wire: Wire, last: u8, now: Instant) -> Self {
        let mut interface = Interface::new(Config::new(HardwareAddress::Ip), &mut wire, now);
        interface.update_ip_addrs(|addresses| {
            addresses
                .push(IpCidr::new(IpAddress::v4(10, 0, 0, last), 24))
                .expect("room for one address");
        });
        Self {
            wire,
            interface,
            sockets: SocketSet::new(Vec::new()),
        }
    }

    fn poll(&mut self, now: Instant) {
        self.interface.poll(now, &mut self.wire, &mut self.sockets);
    }
}

/// A client and a server, an established connection between them, and idle ones beside it.
pub(crate) struct Pair {
    client: Host,
    server: Host,
    sender: SocketHandle,
    receiver: SocketHandle,
    /// What the application sends, and where it reads to.
    source: Vec<u8>,
    sink: Vec<u8>,
    started: WallClock,
}

impl Pair {
    pub(crate) fn new(mtu: usize, buffer: usize, idle: usize) -> Self {
        let queue = Queue::default;
        let (there, back, spare) = (queue(), queue(), queue());
        let wire = |arriving: &Queue, leaving: &Queue| Wire {
            mtu,
            arriving: Rc::clone(arriving),
            leaving: Rc::clone(leaving),
            spare: Rc::clone(&spare),
        };
        let now = Instant::ZERO;
        let mut client = Host::new(wire(&back, &there), 1, now);
        let mut server = Host::new(wire(&there, &back), 2, now);
        let mut pair = {
            let sender = add_socket(&mut client, buffer);
            let receiver = add_socket(&mut server, buffer);
            Self {
                client,
                server,
                sender,
                receiver,
                source: vec![0x5a; APPLICATION],
                sink: vec![0; APPLICATION],
                started: WallClock::now(),
            }
        };
        let (sender, receiver) = (pair.sender, pair.receiver);
        pair.connect(sender, receiver, 49_152);
        for n in 0..idle {
            let (ours, theirs) = (
                add_socket(&mut pair.client, 64),
                add_socket(&mut pair.server, 64),
            );
            pair.connect(ours, theirs, 1_000 + u16::try_from(n % 40_000).unwrap_or(0));
        }
        pair
    }

    fn now(&self) -> Instant {
        Instant::from_micros(i64::try_from(self.started.elapsed().as_micros()).unwrap_or(i64::MAX))
    }

    fn connect(&mut self, ours: SocketHandle, theirs: SocketHandle, port: u16) {
        let server: &mut tcp::Socket<'_> = self.server.sockets.get_mut(theirs);
        server.listen(80).expect("a port");
        let client: &mut tcp::Socket<'_> = self.client.sockets.get_mut(ours);
        client
            .connect(
                self.client.interface.context(),
                (IpAddress::v4(10, 0, 0, 2), 80),
                port,
            )
            .expect("a route");
        while !self
            .server
            .sockets
            .get::<tcp::Socket<'_>>(theirs)
            .may_send()
        {
            let now = self.now();
            self.client.poll(now);
            self.server.poll(now);
        }
    }

    /// Moves octets for `span`; returns how many arrived and in how many seconds.
    pub(crate) fn transfer(&mut self, span: std::time::Duration, calls: Calls) -> (u64, f64) {
        let mut arrived = 0;
        let begin = WallClock::now();
        loop {
            for _ in 0..4 {
                arrived += self.round(calls);
            }
            if begin.elapsed() >= span {
                break;
            }
        }
        (arrived, begin.elapsed().as_secs_f64())
    }

    fn round(&mut self, calls: Calls) -> u64 {
        let now = self.now();
        let sender = self.client.sockets.get_mut::<tcp::Socket<'_>>(self.sender);
        while sender.can_send() {
            let _sent = match calls {
                Calls::Copy => sender.send_slice(&self.source),
                Calls::Chunks => sender.send(|room| (room.len(), room.len())),
            };
        }
        self.client.poll(now);
        self.server.poll(now);
        let receiver = self
            .server
            .sockets
            .get_mut::<tcp::Socket<'_>>(self.receiver);
        let mut arrived = 0;
        while receiver.can_recv() {
            // Somebody looks at it: what nobody reads, an optimiser does not copy.
            let read = match calls {
                Calls::Copy => {
                    let read = receiver.recv_slice(&mut self.sink);
                    black_box(&mut self.sink);
                    read
                }
                Calls::Chunks => receiver.recv(|text| {
                    let octets = black_box(text).len();
                    (octets, octets)
                }),
            };
            arrived += read.unwrap_or(0) as u64;
        }
        arrived
    }
}

fn add_socket(host: &mut Host, buffer: usize) -> SocketHandle {
    let ring = || tcp::SocketBuffer::new(vec![0; buffer]);
    let mut socket = tcp::Socket::new(ring(), ring());
    // Its best setting for bulk: an acknowledgment for every second segment, and no waiting for company.
    socket.set_nagle_enabled(false);
    host.sockets.add(socket)
}
