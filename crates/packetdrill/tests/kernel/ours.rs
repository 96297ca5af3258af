//! The calls as our sockets answer them: one process in virtual time, whose packets come back to itself.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::task::Poll;
use std::time::Duration;

use handwave_script::posix::constants::MSG_CTRUNC;
use handwave_script::posix::{
    Address, Answer, Call, Control, Environment, Errno, Op, PollFd, Posix, encode_control,
};
use handwave_tcp::{Instant, Profile};

use super::sequence::{Host, OWN, Outcome, Reply, Sys};

/// Our sockets.
pub(crate) struct Ours {
    posix: Posix,
    now: Instant,
    /// Calls that were begun, and what came of them.
    calls: Vec<(Call, Option<Outcome>)>,
    /// Ancillary data of the last call that received.
    control: Vec<Control>,
}

impl Ours {
    pub(crate) fn new() -> Self {
        let addresses: [IpAddr; 2] = [OWN.into(), Ipv6Addr::LOCALHOST.into()];
        let environment = Environment::new(Profile::linux(), addresses);
        Self {
            posix: Posix::new(Instant::ZERO, environment).unwrap(),
            now: Instant::ZERO,
            calls: Vec::new(),
            control: Vec::new(),
        }
    }

    /// What leaves comes back in, and calls that wait are attempted, until nothing happens any more.
    fn carry(&mut self) {
        let mut calm = 0;
        // What is sent to the host itself may not show outside of the stack.
        while calm < 3 {
            let mut quiet = true;
            while let Some(packet) = self.posix.poll_transmit(self.now) {
                self.posix.handle_packet(self.now, packet);
                quiet = false;
            }
            for (call, outcome) in &mut self.calls {
                if outcome.is_none()
                    && let Poll::Ready(result) = call.attempt(&mut self.posix, self.now)
                {
                    if let Ok(Answer::Received(received)) = &result {
                        self.control.clone_from(&received.control);
                    }
                    *outcome = Some(reply(result));
                    quiet = false;
                }
            }
            calm = if quiet { calm + 1 } else { 0 };
        }
    }

    /// Goes on to the next deadline, if that is not after `end`.
    fn step(&mut self, end: Instant) -> bool {
        let waiting = self.calls.iter().filter(|(_, outcome)| outcome.is_none());
        let deadlines = waiting.filter_map(|(call, _)| call.deadline());
        let due = deadlines.chain(self.posix.poll_timeout()).min();
        let Some(due) = due.filter(|due| *due <= end) else {
            return false;
        };
        self.now = self.now.max(due);
        self.posix.handle_timeout(self.now);
        self.carry();
        true
    }

    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while self.step(end) {}
        self.now = end;
    }

    /// A call that may wait: time passes until it returns.
    fn waits(&mut self, op: Op) -> Outcome {
        self.calls.push((Call::new(op), None));
        self.carry();
        let end = self.now + Duration::from_secs(10_000);
        let waits = |all: &Self| {
            all.calls
                .last()
                .is_some_and(|(_, outcome)| outcome.is_none())
        };
        while waits(self) && self.step(end) {}
        let last = self.calls.pop().and_then(|(_, outcome)| outcome);
        last.unwrap_or(Err(i32::MAX))
    }

    fn done(&mut self, result: Result<(), Errno>) -> Outcome {
        self.carry();
        result.map(|()| Reply::default()).map_err(Errno::number)
    }

    fn option(&mut self, call: &Sys) -> Outcome {
        let (now, posix) = (self.now, &mut self.posix);
        match call {
            Sys::Set(fd, level, name, value) => {
                let set = posix.set_option_octets(now, *fd, (*level, *name), value);
                self.done(set)
            }
            Sys::Get(fd, level, name, room) => {
                let octets = posix.option_octets(*fd, (*level, *name), *room);
                Ok(Reply {
                    data: octets.map_err(Errno::number)?,
                    ..Reply::default()
                })
            }
            _ => Err(Errno::ENOSYS.number()),
        }
    }

    fn op(call: &Sys) -> Option<Op> {
        Some(match call {
            Sys::Accept(fd, flags) => Op::Accept {
                fd: *fd,
                flags: *flags,
            },
            Sys::Connect(fd, to) => Op::Connect {
                fd: *fd,
                to: address(*to),
            },
            Sys::Send(fd, data, flags, to) => Op::Send {
                fd: *fd,
                data: data.clone(),
                flags: *flags,
                to: to.map(Address::Inet),
            },
            Sys::Receive(fd, len, flags, _) => Op::Receive {
                fd: *fd,
                len: *len,
                flags: *flags,
            },
            Sys::Splice(from, to, len, flags) => Op::Splice {
                from: *from,
                to: *to,
                len: *len,
                flags: flags.cast_signed(),
            },
            Sys::Close(fd) => Op::Close { fd: *fd },
            Sys::Poll(fd, events, timeout) => Op::Poll {
                fds: vec![PollFd {
                    fd: *fd,
                    events: *events,
                    revents: 0,
                }],
                timeout: span(*timeout),
            },
            Sys::EpollWait(fd, most, timeout) => Op::EpollWait {
                fd: *fd,
                max: usize::try_from(*most).unwrap_or(0),
                timeout: span(*timeout),
            },
            _ => return None,
        })
    }
}

fn span(millis: i32) -> Option<Duration> {
    u64::try_from(millis).ok().map(Duration::from_millis)
}

fn address(address: Option<SocketAddr>) -> Address {
    address.map_or(Address::Unspecified, Address::Inet)
}

fn reply(result: Result<Answer, Errno>) -> Outcome {
    let answer = result.map_err(Errno::number)?;
    let plain = Reply::value(answer.value());
    Ok(match answer {
        Answer::Accepted { fd, peer } => Reply {
            opened: vec![fd],
            address: Some(peer),
            ..plain
        },
        Answer::Received(received) => Reply {
            data: received.data,
            flags: received.flags,
            ..plain
        },
        Answer::Events(events) => Reply {
            bits: events.iter().map(|(bits, _)| *bits).collect(),
            ..plain
        },
        Answer::Polled { fds, .. } => Reply {
            bits: fds.iter().map(|fd| fd.revents).collect(),
            ..plain
        },
        Answer::Done | Answer::Count(_) => plain,
    })
}

impl Host for Ours {
    fn run(&mut self, call: &Sys) -> Outcome {
        if let Some(op) = Self::op(call) {
            let mut outcome = self.waits(op);
            if let (Ok(reply), Sys::Receive(.., room)) = (&mut outcome, call) {
                let (octets, cut) = encode_control(&std::mem::take(&mut self.control), *room);
                reply.control = items(&octets);
                reply.flags |= if cut { MSG_CTRUNC } else { 0 };
            }
            return outcome;
        }
        let now = self.now;
        let posix = &mut self.posix;
        let opened = |fd: Result<i32, Errno>| {
            let fd = fd.map_err(Errno::number)?;
            Ok(Reply {
                opened: vec![fd],
                ..Reply::value(fd.into())
            })
        };
        let number = |value: Result<i32, Errno>| {
            value
                .map(|value| Reply::value(value.into()))
                .map_err(Errno::number)
        };
        let named = |name: Result<SocketAddr, Errno>| {
            let address = Some(name.map_err(Errno::number)?);
            Ok(Reply {
                address,
                ..Reply::default()
            })
        };
        match call {
            Sys::Socket(domain, kind, protocol) => opened(posix.socket(*domain, *kind, *protocol)),
            Sys::Bind(fd, at) => {
                let bound = posix.bind(*fd, address(*at));
                self.done(bound)
            }
            Sys::Listen(fd, backlog) => {
                let listening = posix.listen(*fd, *backlog);
                self.done(listening)
            }
            Sys::Shutdown(fd, how) => {
                let shut = posix.shutdown(now, *fd, *how);
                self.done(shut)
            }
            Sys::Set(..) | Sys::Get(..) => self.option(call),
            Sys::Ioctl(fd, request, argument) => number(posix.ioctl(*fd, *request, *argument)),
            Sys::Fcntl(fd, command, argument) => number(posix.fcntl(*fd, *command, *argument)),
            Sys::Name(fd) => named(posix.local_name(*fd)),
            Sys::Peer(fd) => named(posix.peer_name(*fd)),
            Sys::Pipe => {
                let (reader, writer) = posix
                    .pipe(handwave_script::posix::constants::O_NONBLOCK)
                    .map_err(Errno::number)?;
                Ok(Reply {
                    opened: vec![reader, writer],
                    ..Reply::default()
                })
            }
            Sys::EpollCreate => opened(posix.epoll_create()),
            Sys::EpollControl(epoll, command, fd, events) => {
                let done = posix.epoll_ctl(*epoll, *command, *fd, (*events, 7));
                self.done(done)
            }
            _ => Err(Errno::ENOSYS.number()),
        }
    }

    fn wait(&mut self, millis: u64) {
        self.pass(Duration::from_millis(millis));
    }

    fn begin(&mut self, call: Sys) {
        let op = Self::op(&call).unwrap();
        self.calls.push((Call::new(op), None));
        self.carry();
        self.pass(Duration::from_millis(30));
    }

    fn end(&mut self) -> Option<Outcome> {
        if self.calls.last()?.1.is_none() {
            self.pass(Duration::from_millis(300));
        }
        self.calls.pop()?.1
    }
}

/// Ancillary data as a program finds it in its buffer.
fn items(octets: &[u8]) -> Vec<(i32, i32, Vec<u8>)> {
    let mut items = Vec::new();
    let mut rest = octets;
    while let Some(len) = rest.first_chunk() {
        let len = usize::from_ne_bytes(*len);
        let word = |at: usize| i32::from_ne_bytes(rest[at..at + 4].try_into().unwrap());
        items.push((word(8), word(12), rest[16..len].to_vec()));
        rest = rest.get(len.next_multiple_of(8)..).unwrap_or_default();
    }
    items
}
