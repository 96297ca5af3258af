//! The kernel as the host of a script: real sockets in a network namespace of their own, a TUN device for the wire, real time.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant as RealInstant};

use handwave_device::{Device as _, InterfaceAddress, Offload, Tun, TunBuilder};
use handwave_packet::PacketBuf;
use handwave_script::posix::{Address, Answer, Errno, Fd, Op, OptionValue};
use handwave_script::runner::{Host, START, Settings};
use handwave_tcp::Instant;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use crate::{shell, sys};

/// How long a call is given to return before it counts as one that waits.
const AT_ONCE: Duration = Duration::from_micros(700);

/// The kernel under one script.
#[derive(Debug)]
pub(crate) struct Kernel {
    tun: Tun,
    /// When the script's time 0 was.
    began: RealInstant,
    /// Packets that have been read and not yet asked for.
    arrived: VecDeque<(Instant, PacketBuf)>,
    /// Threads that make calls write here when they are done.
    bell: Arc<OwnedFd>,
    /// What the script has opened: any other number may be ours.
    open: BTreeSet<Fd>,
    outgoing: VecDeque<PacketBuf>,
    /// The congestion control of new sockets: that of the profile, whatever this machine has.
    congestion: String,
}

/// A call, made on a thread of its own.
#[derive(Debug)]
pub(crate) enum KernelCall {
    Prepared(Op),
    Begun(Receiver<Result<Answer, Errno>>, Option<Fd>),
}

impl Kernel {
    /// A namespace for this thread alone, with a device that has the addresses of `settings`.
    pub(crate) fn new(settings: &Settings) -> Result<Self, String> {
        sys::leave_network()
            .map_err(|error| format!("a private network namespace needs CAP_SYS_ADMIN: {error}"))?;
        let tun = device(settings)?;
        let bell = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)
            .map_err(|error| format!("eventfd: {error}"))?;
        sys::hurry();
        Ok(Self {
            tun,
            began: RealInstant::now(),
            arrived: VecDeque::new(),
            bell: Arc::new(bell),
            open: BTreeSet::new(),
            outgoing: VecDeque::new(),
            congestion: settings.profile.connection.congestion.name().to_owned(),
        })
    }

    fn clock(&self) -> Instant {
        START.saturating_add(self.began.elapsed())
    }

    /// What the script has opened stands for itself, everything else for nothing.
    fn known(&self, fd: Fd) -> Fd {
        if self.open.contains(&fd) { fd } else { -1 }
    }

    /// Reads what the kernel has sent.
    fn sniff(&mut self) {
        let mut batch = Vec::new();
        while self
            .tun
            .receive(64, &mut batch)
            .is_ok_and(|count| count > 0)
        {
            let now = self.clock();
            let interesting = batch.drain(..).filter(is_of_interest);
            self.arrived.extend(interesting.map(|packet| (now, packet)));
        }
    }

    /// The call with descriptors that only the script has.
    fn guarded(&self, op: &Op) -> Op {
        let mut op = op.clone();
        match &mut op {
            Op::Accept { fd, .. }
            | Op::Connect { fd, .. }
            | Op::Receive { fd, .. }
            | Op::Send { fd, .. }
            | Op::Close { fd }
            | Op::EpollWait { fd, .. } => *fd = self.known(*fd),
            Op::Splice { from, to, .. } => {
                (*from, *to) = (self.known(*from), self.known(*to));
            }
            Op::Poll { fds, .. } => {
                for polled in fds {
                    // A negative number is passed over; what is not open has to be complained of.
                    if polled.fd >= 0 && !self.open.contains(&polled.fd) {
                        polled.fd = Fd::MAX;
                    }
                }
            }
        }
        op
    }

    fn opened(&mut self, fd: Result<Fd, Errno>) -> Result<Fd, Errno> {
        let fd = fd?;
        self.open.insert(fd);
        Ok(fd)
    }

    fn over(
        &mut self,
        result: Result<Answer, Errno>,
        closes: Option<Fd>,
    ) -> Poll<Result<Answer, Errno>> {
        if let Some(fd) = closes {
            self.open.remove(&fd);
        }
        if let Ok(Answer::Accepted { fd, .. }) = &result {
            self.open.insert(*fd);
        }
        Poll::Ready(result)
    }
}

impl Host for Kernel {
    type Call = KernelCall;

    const PATIENCE: Duration = Duration::from_secs(30);
    const CURIOSITY: Duration = Duration::from_millis(500);

    fn start(&mut self) {
        self.began = RealInstant::now();
    }

    fn now(&self, earliest: Instant) -> Instant {
        self.clock().max(earliest)
    }

    fn pass(&mut self, _now: Instant, _deadline: Option<Instant>, end: Instant) -> Option<Instant> {
        loop {
            let left = end.saturating_since(self.clock());
            let timeout = Timespec {
                tv_sec: left.as_secs().cast_signed(),
                tv_nsec: left.subsec_nanos().into(),
            };
            let mut fds = [
                PollFd::from_borrowed_fd(self.tun.as_fd(), PollFlags::IN),
                PollFd::from_borrowed_fd(self.bell.as_fd(), PollFlags::IN),
            ];
            let ready = poll(&mut fds, Some(&timeout)).unwrap_or(0);
            let rung = fds[1].revents().contains(PollFlags::IN);
            if rung {
                let mut count = [0; 8];
                let _ = rustix::io::read(&*self.bell, &mut count);
            }
            self.sniff();
            if rung || !self.arrived.is_empty() {
                return Some(self.clock());
            }
            if ready == 0 && self.clock() >= end {
                return None;
            }
        }
    }

    fn handle_packet(&mut self, _now: Instant, packet: PacketBuf) {
        self.outgoing.push_back(packet);
        let _ = self.tun.send(&mut self.outgoing);
    }

    fn poll_transmit(&mut self, _now: Instant) -> Option<(Instant, PacketBuf)> {
        if self.arrived.is_empty() {
            self.sniff();
        }
        self.arrived.pop_front()
    }

    fn command(&mut self, text: &str, allow_shell: bool) -> Result<(), String> {
        if let Some(congestion) = shell::run(text, allow_shell)? {
            self.congestion = congestion;
        }
        Ok(())
    }

    fn begin(&mut self, op: Op) -> KernelCall {
        KernelCall::Prepared(op)
    }

    fn attempt(&mut self, call: &mut KernelCall, _now: Instant) -> Poll<Result<Answer, Errno>> {
        match call {
            KernelCall::Prepared(op) => {
                let op = self.guarded(op);
                let closes = match &op {
                    Op::Close { fd } => Some(*fd),
                    _ => None,
                };
                let (done, result) = channel();
                let bell = Arc::clone(&self.bell);
                thread::spawn(move || {
                    // Nobody may be left to hear it.
                    let _ = done.send(carry_out(&op));
                    let _ = rustix::io::write(&*bell, &1_u64.to_ne_bytes());
                });
                match result.recv_timeout(AT_ONCE) {
                    Ok(outcome) => self.over(outcome, closes),
                    Err(RecvTimeoutError::Timeout) => {
                        *call = KernelCall::Begun(result, closes);
                        Poll::Pending
                    }
                    Err(RecvTimeoutError::Disconnected) => Poll::Ready(Err(Errno::EIO)),
                }
            }
            KernelCall::Begun(result, closes) => match result.try_recv() {
                Ok(outcome) => {
                    let closes = *closes;
                    self.over(outcome, closes)
                }
                Err(TryRecvError::Empty) => Poll::Pending,
                Err(TryRecvError::Disconnected) => Poll::Ready(Err(Errno::EIO)),
            },
        }
    }

    fn deadline(_call: &KernelCall) -> Option<Instant> {
        None
    }

    fn socket(&mut self, domain: i32, kind: i32, protocol: i32) -> Result<Fd, Errno> {
        let fd = self.opened(sys::socket(domain, kind, protocol))?;
        // A namespace may not choose among all that there are; a privileged socket may. It fails where there is none.
        let name = (libc::SOL_TCP, libc::TCP_CONGESTION);
        let _ = sys::set_option(fd, name, &OptionValue::Name(self.congestion.clone()));
        Ok(fd)
    }

    fn bind(&mut self, fd: Fd, to: Address) -> Result<(), Errno> {
        sys::bind(self.known(fd), to)
    }

    fn listen(&mut self, fd: Fd, backlog: i32) -> Result<(), Errno> {
        sys::listen(self.known(fd), backlog)
    }

    fn shutdown(&mut self, _now: Instant, fd: Fd, how: i32) -> Result<(), Errno> {
        sys::shutdown(self.known(fd), how)
    }

    fn option(&mut self, fd: Fd, level: i32, name: i32) -> Result<OptionValue, Errno> {
        sys::option(self.known(fd), level, name)
    }

    fn set_option(
        &mut self,
        _now: Instant,
        fd: Fd,
        name: (i32, i32),
        value: &OptionValue,
    ) -> Result<(), Errno> {
        sys::set_option(self.known(fd), name, value)
    }

    fn set_option_octets(
        &mut self,
        _now: Instant,
        fd: Fd,
        name: (i32, i32),
        octets: &[u8],
    ) -> Result<(), Errno> {
        sys::set_option_octets(self.known(fd), name, octets)
    }

    fn pipe(&mut self, flags: i32) -> Result<(Fd, Fd), Errno> {
        let (reader, writer) = sys::pipe(flags)?;
        Ok((self.opened(Ok(reader))?, self.opened(Ok(writer))?))
    }

    fn open_zeros(&mut self) -> Result<Fd, Errno> {
        self.opened(sys::open_zeros())
    }

    fn local_name(&mut self, fd: Fd) -> Result<SocketAddr, Errno> {
        sys::local_name(self.known(fd))
    }

    fn peer_name(&mut self, fd: Fd) -> Result<SocketAddr, Errno> {
        sys::peer_name(self.known(fd))
    }

    fn fcntl(&mut self, fd: Fd, command: i32, argument: i32) -> Result<i32, Errno> {
        let result = sys::fcntl(self.known(fd), command, argument);
        if command == handwave_script::posix::constants::F_DUPFD {
            return self.opened(result);
        }
        result
    }

    fn ioctl(&mut self, fd: Fd, request: i32, argument: i32) -> Result<i32, Errno> {
        sys::ioctl(self.known(fd), request, argument)
    }

    fn epoll_create(&mut self) -> Result<Fd, Errno> {
        self.opened(sys::epoll_create())
    }

    fn epoll_ctl(
        &mut self,
        epoll: Fd,
        command: i32,
        fd: Fd,
        event: (i32, u64),
    ) -> Result<(), Errno> {
        sys::epoll_ctl(self.known(epoll), command, self.known(fd), event)
    }
}

/// Makes the call, waiting as long as it does.
fn carry_out(op: &Op) -> Result<Answer, Errno> {
    let milliseconds = |timeout: &Option<Duration>| {
        timeout.map_or(-1, |timeout| {
            i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX)
        })
    };
    match op {
        Op::Accept { fd, flags } => {
            let (fd, peer) = sys::accept(*fd, *flags)?;
            let nobody = || SocketAddr::new(IpAddr::from([0, 0, 0, 0]), 0);
            Ok(Answer::Accepted {
                fd,
                peer: peer.unwrap_or_else(nobody),
            })
        }
        Op::Connect { fd, to } => sys::connect(*fd, *to).map(|()| Answer::Done),
        Op::Receive { fd, len, flags } => match sys::receive(*fd, *len, *flags) {
            Err(Errno::ENOTSOCK) => sys::read(*fd, *len).map(|data| {
                Answer::Received(handwave_script::posix::Received {
                    count: data.len(),
                    data,
                    ..Default::default()
                })
            }),
            received => received.map(Answer::Received),
        },
        Op::Send {
            fd,
            data,
            flags,
            to,
        } => sys::send(*fd, data, *flags, *to).map(Answer::Count),
        Op::Splice {
            from,
            to,
            len,
            flags,
        } => sys::splice(*from, *to, *len, *flags).map(Answer::Count),
        Op::Close { fd } => sys::close(*fd).map(|()| Answer::Done),
        Op::EpollWait { fd, max, timeout } => {
            sys::epoll_wait(*fd, *max, milliseconds(timeout)).map(Answer::Events)
        }
        Op::Poll { fds, timeout } => {
            let (fds, ready) = sys::poll(fds, milliseconds(timeout))?;
            Ok(Answer::Polled { fds, ready })
        }
    }
}

/// The device, up, with the script's addresses, and everything else behind it.
fn device(settings: &Settings) -> Result<Tun, String> {
    let local = settings.local_address();
    // The network that packetdrill's addresses lie in.
    let prefix = if local.is_ipv4() { 16 } else { 32 };
    let address = InterfaceAddress::new(local, prefix).ok_or("an address has no such prefix")?;
    shell::set("net/ipv6/conf/default/accept_dad", "0")?;
    shell::set("net/ipv6/conf/default/router_solicitations", "0")?;
    shell::set("net/ipv4/conf/all/rp_filter", "0")?;
    shell::set("net/ipv4/conf/default/rp_filter", "0")?;
    let tun = TunBuilder::new()
        .name("tun0")
        .mtu(settings.mtu)
        .address(address)
        .offload(Offload::default())
        .create()
        .map_err(|error| error.to_string())?;
    shell::program("ip link set lo up")?;
    let family = if local.is_ipv4() { "-4" } else { "-6" };
    shell::program(&format!("ip {family} route add default dev tun0"))?;
    Ok(tun)
}

/// Whether a packet is one that a script can be about: not the chatter of a new IPv6 interface.
fn is_of_interest(packet: &PacketBuf) -> bool {
    let front = packet.contiguous();
    match front.first().map(|first| first >> 4) {
        Some(4) => front.get(16).is_some_and(|octet| *octet < 224),
        Some(6) => front.get(24).is_some_and(|octet| *octet != 0xff),
        _ => false,
    }
}
