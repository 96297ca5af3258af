//! What a script runs against: sockets, and the wire under them.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::task::Poll;
use std::time::Duration;

use handwave_packet::PacketBuf;
use handwave_tcp::Instant;

use super::shell;
use crate::posix::{Address, Answer, Call, Errno, Fd, Op, OptionValue, Posix};

/// Sockets, and the wire under them: a stack of ours in virtual time, or another one in its own.
///
/// The runner's clock is the host's: [`now`](Self::now) says what it shows, [`pass`](Self::pass) lets time go by. Everything
/// else happens at the instant it is told.
#[allow(
    clippy::missing_errors_doc,
    reason = "they are those of the call of the same name"
)]
pub trait Host {
    /// A call that may wait.
    type Call: Debug;

    /// How long a call without a time range, or a packet expected at any time, may keep the script waiting.
    const PATIENCE: Duration;
    /// How long a packet is looked for that is too late, to say when it came.
    const CURIOSITY: Duration;

    /// Everything is set up: the script's time 0, [`START`](super::START), is now.
    fn start(&mut self) {}

    /// What the clock shows, which is not before `earliest`.
    fn now(&self, earliest: Instant) -> Instant;

    /// Lets time pass until something has happened that may concern the script, a call's `deadline` included, and says when
    /// that was; `None` if nothing happens up to `end`, and then it is `end`.
    fn pass(&mut self, now: Instant, deadline: Option<Instant>, end: Instant) -> Option<Instant>;

    /// Takes an IP packet of the peer.
    fn handle_packet(&mut self, now: Instant, packet: PacketBuf);

    /// The next packet that the host has sent, and when it did; checksums are complete.
    fn poll_transmit(&mut self, now: Instant) -> Option<(Instant, PacketBuf)>;

    /// Carries out a shell command, or says why that is not possible.
    fn command(&mut self, text: &str, allow_shell: bool) -> Result<(), String>;

    /// Prepares a call; nothing happens before the first attempt.
    fn begin(&mut self, op: Op) -> Self::Call;

    /// Tries to carry the call out, as [`Call::attempt`] describes.
    fn attempt(&mut self, call: &mut Self::Call, now: Instant) -> Poll<Result<Answer, Errno>>;

    /// When the call wants to be attempted again although nothing has happened.
    fn deadline(call: &Self::Call) -> Option<Instant>;

    /// `socket`.
    fn socket(&mut self, domain: i32, kind: i32, protocol: i32) -> Result<Fd, Errno>;

    /// `bind`.
    fn bind(&mut self, fd: Fd, to: Address) -> Result<(), Errno>;

    /// `listen`.
    fn listen(&mut self, fd: Fd, backlog: i32) -> Result<(), Errno>;

    /// `shutdown`.
    fn shutdown(&mut self, now: Instant, fd: Fd, how: i32) -> Result<(), Errno>;

    /// `getsockopt`.
    fn option(&mut self, fd: Fd, level: i32, name: i32) -> Result<OptionValue, Errno>;

    /// `setsockopt` of the option `name`: level and number.
    fn set_option(
        &mut self,
        now: Instant,
        fd: Fd,
        name: (i32, i32),
        value: &OptionValue,
    ) -> Result<(), Errno>;

    /// The same with the octets that C passes, as many as the script says.
    fn set_option_octets(
        &mut self,
        now: Instant,
        fd: Fd,
        name: (i32, i32),
        octets: &[u8],
    ) -> Result<(), Errno>;

    /// `pipe2`: the end to read from, and that to write to.
    fn pipe(&mut self, flags: i32) -> Result<(Fd, Fd), Errno>;

    /// `open` of a file that reads as zeros.
    fn open_zeros(&mut self) -> Result<Fd, Errno>;

    /// `getsockname`.
    fn local_name(&mut self, fd: Fd) -> Result<SocketAddr, Errno>;

    /// `getpeername`.
    fn peer_name(&mut self, fd: Fd) -> Result<SocketAddr, Errno>;

    /// `fcntl`.
    fn fcntl(&mut self, fd: Fd, command: i32, argument: i32) -> Result<i32, Errno>;

    /// `ioctl`; returns what it stores.
    fn ioctl(&mut self, fd: Fd, request: i32, argument: i32) -> Result<i32, Errno>;

    /// `epoll_create`.
    fn epoll_create(&mut self) -> Result<Fd, Errno>;

    /// `epoll_ctl`: `event` is bits and data.
    fn epoll_ctl(
        &mut self,
        epoll: Fd,
        command: i32,
        fd: Fd,
        event: (i32, u64),
    ) -> Result<(), Errno>;
}

impl Host for Posix {
    type Call = Call;

    const PATIENCE: Duration = Duration::from_secs(10_000);
    const CURIOSITY: Duration = Duration::from_secs(100_000);

    fn now(&self, earliest: Instant) -> Instant {
        earliest
    }

    fn pass(&mut self, now: Instant, deadline: Option<Instant>, end: Instant) -> Option<Instant> {
        let next = [self.poll_timeout(), deadline].into_iter().flatten().min();
        let Some(next) = next.filter(|next| *next <= end) else {
            // Calls that are made next see what the clock shows then.
            self.reach(end);
            return None;
        };
        let next = next.max(now);
        self.handle_timeout(next);
        Some(next)
    }

    fn handle_packet(&mut self, now: Instant, packet: PacketBuf) {
        self.handle_packet(now, packet);
    }

    fn poll_transmit(&mut self, now: Instant) -> Option<(Instant, PacketBuf)> {
        self.poll_transmit(now).map(|packet| (now, packet))
    }

    fn command(&mut self, text: &str, allow_shell: bool) -> Result<(), String> {
        shell::run(self, text, allow_shell)
    }

    fn begin(&mut self, op: Op) -> Call {
        Call::new(op)
    }

    fn attempt(&mut self, call: &mut Call, now: Instant) -> Poll<Result<Answer, Errno>> {
        call.attempt(self, now)
    }

    fn deadline(call: &Call) -> Option<Instant> {
        call.deadline()
    }

    fn socket(&mut self, domain: i32, kind: i32, protocol: i32) -> Result<Fd, Errno> {
        self.socket(domain, kind, protocol)
    }

    fn bind(&mut self, fd: Fd, to: Address) -> Result<(), Errno> {
        self.bind(fd, to)
    }

    fn listen(&mut self, fd: Fd, backlog: i32) -> Result<(), Errno> {
        self.listen(fd, backlog)
    }

    fn shutdown(&mut self, now: Instant, fd: Fd, how: i32) -> Result<(), Errno> {
        self.shutdown(now, fd, how)
    }

    fn option(&mut self, fd: Fd, level: i32, name: i32) -> Result<OptionValue, Errno> {
        self.option(fd, level, name)
    }

    fn set_option(
        &mut self,
        now: Instant,
        fd: Fd,
        name: (i32, i32),
        value: &OptionValue,
    ) -> Result<(), Errno> {
        self.set_option(now, fd, name, value)
    }

    fn set_option_octets(
        &mut self,
        now: Instant,
        fd: Fd,
        name: (i32, i32),
        octets: &[u8],
    ) -> Result<(), Errno> {
        self.set_option_octets(now, fd, name, octets)
    }

    fn pipe(&mut self, flags: i32) -> Result<(Fd, Fd), Errno> {
        self.pipe(flags)
    }

    fn open_zeros(&mut self) -> Result<Fd, Errno> {
        self.open_zeros()
    }

    fn local_name(&mut self, fd: Fd) -> Result<SocketAddr, Errno> {
        self.local_name(fd)
    }

    fn peer_name(&mut self, fd: Fd) -> Result<SocketAddr, Errno> {
        self.peer_name(fd)
    }

    fn fcntl(&mut self, fd: Fd, command: i32, argument: i32) -> Result<i32, Errno> {
        self.fcntl(fd, command, argument)
    }

    fn ioctl(&mut self, fd: Fd, request: i32, argument: i32) -> Result<i32, Errno> {
        self.ioctl(fd, request, argument)
    }

    fn epoll_create(&mut self) -> Result<Fd, Errno> {
        self.epoll_create()
    }

    fn epoll_ctl(
        &mut self,
        epoll: Fd,
        command: i32,
        fd: Fd,
        event: (i32, u64),
    ) -> Result<(), Errno> {
        self.epoll_ctl(epoll, command, fd, event)
    }
}
