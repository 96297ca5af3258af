//! System calls: from what a script writes to what the process does, and what comes back against what the script says.

mod arguments;
mod control;
mod information;
mod pointers;
mod results;

use std::task::Poll;
use std::time::Duration;

use handwave_tcp::Instant;

use super::clock::Waiting;
use super::{Failure, HappeningKind, Host, Runner};
use crate::language::ast::{Call, Expression, Place};
use crate::posix::constants as c;
use crate::posix::{self, Answer, Errno, Fd, Op, OptionValue, PollFd};

use arguments::{Arguments, address, integer, members};

/// What a call hands back besides its number.
#[derive(Clone, Debug, PartialEq)]
enum Reply {
    /// A number.
    Value(i64),
    /// A descriptor that a number in the script stands for from here on.
    Descriptor(Fd),
    /// The value of a socket option.
    Option(OptionValue),
    /// What `ioctl` stores.
    Stored(i32),
    /// An address.
    Name(std::net::SocketAddr),
    /// What a call that may wait answers.
    Answer(Answer),
}

/// A call that has been made.
enum Made {
    /// It has returned.
    Returned(Result<Reply, Errno>),
    /// It may wait.
    Begun(Op),
}

impl<H: Host> Runner<H> {
    /// Makes a call; with `until`, it returns then, while the script goes on.
    pub(super) fn call(
        &mut self,
        call: &Call,
        until: Option<Instant>,
        place: &Place,
    ) -> Result<(), Failure> {
        let may_wait = matches!(
            call.name.as_str(),
            "accept"
                | "accept4"
                | "connect"
                | "read"
                | "readv"
                | "recv"
                | "recvfrom"
                | "recvmsg"
                | "write"
                | "writev"
                | "send"
                | "sendto"
                | "sendmsg"
                | "poll"
                | "epoll_wait"
                | "splice"
                | "sendfile"
                | "close"
        );
        // The program has one thread for calls that wait.
        if until.is_some() && may_wait {
            self.finish_waiting()?;
        }
        let made = self
            .make(call)
            .map_err(|message| Failure::new(message).expected(call))?;
        let op = match made {
            Made::Returned(result) => {
                let outcome = self.check(call, result, place);
                self.drain();
                return outcome;
            }
            Made::Begun(op) => op,
        };
        let mut waiting = Waiting {
            call: self.host.begin(op),
            said: call.clone(),
            place: place.clone(),
            until,
        };
        match self.host.attempt(&mut waiting.call, self.now) {
            Poll::Ready(result) => self.returned(&waiting, result),
            Poll::Pending if until.is_some() => {
                self.note(
                    Some(place),
                    HappeningKind::Call,
                    format!("{} begins", call.name),
                );
                self.waiting = Some(waiting);
                Ok(())
            }
            Poll::Pending => {
                let before = self.waiting.take();
                self.waiting = Some(waiting);
                let outcome = self.finish_waiting();
                self.waiting = before;
                outcome.map_err(|failure| Failure {
                    message: format!(
                        "{}; without a time range such as `+0...0.2` it has to return at once",
                        failure.message
                    ),
                    ..failure
                })
            }
        }
    }

    /// A call that was allowed to wait has returned.
    pub(super) fn returned(
        &mut self,
        waiting: &Waiting<H::Call>,
        result: Result<Answer, Errno>,
    ) -> Result<(), Failure> {
        let result = pointers::fault(&waiting.said, result);
        let reply = result.map(|answer| match answer {
            Answer::Accepted { fd, peer } => {
                self.accepted(peer);
                Reply::Descriptor(fd)
            }
            other => Reply::Answer(other),
        });
        self.check(&waiting.said, reply, &waiting.place)?;
        self.drain();
        let Some(until) = waiting.until.filter(|_| !self.observing) else {
            return Ok(());
        };
        let tolerance = self.tolerance(until);
        let off = until
            .saturating_since(self.now)
            .max(self.now.saturating_since(until));
        if off <= tolerance {
            return Ok(());
        }
        let time = |at| crate::language::print::Seconds(self.micros(at)).to_string();
        Err(
            Failure::new("the call returned at another time than expected")
                .expected(format!("{} at {} s", waiting.said, time(until)))
                .actual(format!("at {} s", time(self.now))),
        )
    }

    /// The connection of the peer that was accepted gets the next descriptor.
    fn accepted(&mut self, peer: std::net::SocketAddr) {
        let peer = (peer.ip().to_canonical(), peer.port());
        let known = self
            .connections
            .iter()
            .rposition(|connection| connection.remote == peer);
        self.accepting = known;
    }

    fn check(
        &mut self,
        call: &Call,
        result: Result<Reply, Errno>,
        place: &Place,
    ) -> Result<(), Failure> {
        let differences = self.compare_result(call, &result);
        let shown = self.show(call, &result);
        self.note(Some(place), HappeningKind::Call, shown.clone());
        match differences {
            Ok(()) => Ok(()),
            Err(_) if self.observing => Ok(()),
            Err(differences) => {
                let failure = Failure {
                    differences,
                    ..Failure::new(format!("{} returned something else", call.name))
                };
                let failure = failure.expected(call).actual(shown);
                Err(self.located(failure, place))
            }
        }
    }

    fn make(&mut self, call: &Call) -> Result<Made, String> {
        let arguments = Arguments(&call.arguments);
        match call.name.as_str() {
            "socket" => self.make_socket(&arguments),
            "bind" | "listen" | "connect" | "accept" | "accept4" => {
                self.make_opening(call, &arguments)
            }
            "read" | "readv" | "recv" | "recvfrom" | "recvmsg" => {
                self.make_receive(call, &arguments)
            }
            "write" | "writev" | "send" | "sendto" | "sendmsg" => self.make_send(call, &arguments),
            "close" => {
                let script = arguments.integer(0)?;
                let fd = self.files.live(script);
                self.files.forget(script);
                Ok(Made::Begun(Op::Close { fd }))
            }
            "shutdown" => {
                let (fd, how) = (self.fd(&arguments, 0)?, arguments.int(1)?);
                let result = self.host.shutdown(self.now, fd, how);
                Ok(returned(result.map(|()| Reply::Value(0))))
            }
            "getsockopt" | "setsockopt" => self.make_option(call, &arguments),
            "getsockname" | "getpeername" => {
                let fd = self.fd(&arguments, 0)?;
                let name = if call.name == "getsockname" {
                    self.host.local_name(fd)
                } else {
                    self.host.peer_name(fd)
                };
                Ok(returned(name.map(Reply::Name)))
            }
            "fcntl" => {
                let (fd, command) = (self.fd(&arguments, 0)?, arguments.int(1)?);
                let argument = arguments.int_or(2, 0)?;
                let result = self.host.fcntl(fd, command, argument);
                Ok(returned(result.map(|value| Reply::Value(value.into()))))
            }
            "ioctl" => self.make_ioctl(&arguments),
            "poll" => self.make_poll(&arguments),
            "epoll_create" | "epoll_create1" => {
                let result = self.host.epoll_create();
                Ok(returned(result.map(Reply::Descriptor)))
            }
            "epoll_ctl" => self.make_epoll_ctl(&arguments),
            "pipe" | "pipe2" | "splice" | "open" | "sendfile" => self.make_move(call, &arguments),
            "epoll_wait" => {
                let max = arguments.integer(2)?;
                Ok(Made::Begun(Op::EpollWait {
                    fd: self.fd(&arguments, 0)?,
                    max: usize::try_from(max).unwrap_or(0),
                    timeout: timeout(arguments.integer(3)?),
                }))
            }
            other => Err(format!(
                "there is no system call `{other}`; there are socket, bind, listen, accept, accept4, \
                 connect, read, readv, recv, recvfrom, recvmsg, write, writev, send, sendto, sendmsg, \
                 close, shutdown, getsockopt, setsockopt, getsockname, getpeername, fcntl, ioctl, poll, \
                 epoll_create, epoll_ctl, epoll_wait, pipe, splice, open and sendfile"
            )),
        }
    }

    fn fd(&self, arguments: &Arguments<'_>, index: usize) -> Result<Fd, String> {
        Ok(self.files.live(arguments.integer(index)?))
    }

    fn make_socket(&mut self, arguments: &Arguments<'_>) -> Result<Made, String> {
        let domain = match arguments.0.first() {
            Some(Expression::Ellipsis) => match self.settings.ip_version {
                super::IpVersion::V4 => c::AF_INET,
                super::IpVersion::V6 | super::IpVersion::V4Mapped => c::AF_INET6,
            },
            _ => arguments.int(0)?,
        };
        let result = self
            .host
            .socket(domain, arguments.int(1)?, arguments.int(2)?);
        Ok(returned(result.map(Reply::Descriptor)))
    }

    fn make_opening(&mut self, call: &Call, arguments: &Arguments<'_>) -> Result<Made, String> {
        let (script, fd) = (arguments.integer(0)?, self.fd(arguments, 0)?);
        match call.name.as_str() {
            "bind" => {
                let usual =
                    self.program_address(self.settings.local_address(), self.settings.bind_port);
                let at = address(arguments.0.get(1), usual)?;
                let result = self.host.bind(fd, at);
                Ok(returned(result.map(|()| Reply::Value(0))))
            }
            "listen" => {
                let result = self.host.listen(fd, arguments.int(1)?);
                if result.is_ok() {
                    self.listening = true;
                }
                Ok(returned(result.map(|()| Reply::Value(0))))
            }
            "connect" => {
                let usual = self
                    .program_address(self.settings.remote_address(), self.settings.connect_port);
                let to = address(arguments.0.get(1), usual)?;
                self.connecting(script, fd, &to);
                Ok(Made::Begun(Op::Connect { fd, to }))
            }
            _ => Ok(Made::Begun(Op::Accept {
                fd,
                flags: arguments.int_or(3, 0)?,
            })),
        }
    }

    fn make_receive(&mut self, call: &Call, arguments: &Arguments<'_>) -> Result<Made, String> {
        let fd = self.fd(arguments, 0)?;
        let (len, flags) = match call.name.as_str() {
            "read" => (arguments.integer(2)?, 0),
            "readv" => (arguments::vector_len(arguments.0.get(1))?, 0),
            "recvmsg" => {
                let message = members(arguments.0.get(1))?;
                (
                    arguments::vector_len(message.get("msg_iov").copied())?,
                    arguments.int_or(2, 0)?,
                )
            }
            _ => (arguments.integer(2)?, arguments.int_or(3, 0)?),
        };
        let len = usize::try_from(len).map_err(|_| "a buffer has no negative length")?;
        // What cannot be stored stays where it is.
        let (len, flags) = match pointers::before_null(call) {
            None => (len, flags),
            Some(0) => (len, flags | c::MSG_PEEK),
            Some(before) => (before, flags),
        };
        Ok(Made::Begun(Op::Receive { fd, len, flags }))
    }

    fn make_send(&mut self, call: &Call, arguments: &Arguments<'_>) -> Result<Made, String> {
        let fd = self.fd(arguments, 0)?;
        let usual =
            self.program_address(self.settings.remote_address(), self.settings.connect_port);
        let mut to = None;
        let (mut data, flags) = match call.name.as_str() {
            "write" => (arguments.data(1, 2)?, 0),
            "writev" => (
                vec![0; arguments::octets(arguments::vector_len(arguments.0.get(1))?)?],
                0,
            ),
            "send" => (arguments.data(1, 2)?, arguments.int_or(3, 0)?),
            "sendto" => {
                if arguments
                    .0
                    .get(4)
                    .is_some_and(|to| *to != Expression::integer(0) && !arguments::is_null(to))
                {
                    to = Some(address(arguments.0.get(4), usual)?);
                }
                (arguments.data(1, 2)?, arguments.int_or(3, 0)?)
            }
            _ => {
                let message = members(arguments.0.get(1))?;
                if let Some(name) = message.get("msg_name")
                    && **name != Expression::Ellipsis
                    && !arguments::is_null(name)
                {
                    to = Some(address(Some(name), usual)?);
                }
                let len = arguments::vector_len(message.get("msg_iov").copied())?;
                (vec![0; arguments::octets(len)?], arguments.int_or(2, 0)?)
            }
        };
        if let Some(before) = pointers::before_null(call) {
            data.truncate(before);
        }
        if let Some(to) = &to {
            let script = arguments.integer(0)?;
            self.connecting(script, fd, to);
        }
        Ok(Made::Begun(Op::Send {
            fd,
            data,
            flags,
            to,
        }))
    }

    fn make_option(&mut self, call: &Call, arguments: &Arguments<'_>) -> Result<Made, String> {
        let fd = self.fd(arguments, 0)?;
        let (level, name) = (arguments.int(1)?, arguments.int(2)?);
        if call.name == "getsockopt" {
            let result = self.host.option(fd, level, name);
            return Ok(returned(result.map(Reply::Option)));
        }
        if arguments.0.get(3).is_some_and(pointers::is_nowhere) && arguments.int_or(4, 4)? > 0 {
            let known = self.host.option(fd, c::SOL_SOCKET, c::SO_TYPE);
            return Ok(returned(known.and(Err(Errno::EFAULT))));
        }
        let value = arguments::option_value(arguments.0.get(3), level, name)?;
        let result = match arguments.0.get(4) {
            Some(Expression::Integer(len)) => {
                let mut octets = value.encode();
                octets.resize(arguments::octets(len.value)?, 0);
                let option = (level, name);
                self.host.set_option_octets(self.now, fd, option, &octets)
            }
            _ => self.host.set_option(self.now, fd, (level, name), &value),
        };
        Ok(returned(result.map(|()| Reply::Value(0))))
    }

    fn make_ioctl(&mut self, arguments: &Arguments<'_>) -> Result<Made, String> {
        let (fd, request) = (self.fd(arguments, 0)?, arguments.int(1)?);
        let argument = match arguments.0.get(2) {
            Some(Expression::List(items)) if request == c::FIONBIO => match items.first() {
                Some(item) => arguments::as_int(integer(item)?)?,
                None => 0,
            },
            Some(value @ Expression::Integer(_)) => arguments::as_int(integer(value)?)?,
            _ => 0,
        };
        let result = self.host.ioctl(fd, request, argument);
        Ok(returned(result.map(Reply::Stored)))
    }

    /// Calls about octets that go from one descriptor to another.
    fn make_move(&mut self, call: &Call, arguments: &Arguments<'_>) -> Result<Made, String> {
        match call.name.as_str() {
            "splice" => Ok(Made::Begun(Op::Splice {
                from: self.fd(arguments, 0)?,
                to: self.fd(arguments, 2)?,
                len: arguments::octets(arguments.integer(4)?)?,
                flags: arguments.int_or(5, 0)?,
            })),
            // What a file holds is nobody's matter here: it reads as zeros.
            "open" => Ok(returned(self.host.open_zeros().map(Reply::Descriptor))),
            "sendfile" => Ok(Made::Begun(Op::Send {
                fd: self.fd(arguments, 0)?,
                data: vec![0; arguments::octets(arguments.integer(3)?)?],
                flags: 0,
                to: None,
            })),
            _ => self.make_pipe(arguments),
        }
    }

    fn make_pipe(&mut self, arguments: &Arguments<'_>) -> Result<Made, String> {
        let Some(Expression::List(ends)) = arguments.0.first() else {
            return Err("pipe needs a list such as [5, 6]".to_owned());
        };
        let [reader, writer] = &ends[..] else {
            return Err("a pipe has two ends, such as [5, 6]".to_owned());
        };
        let (reader, writer) = (integer(reader)?, integer(writer)?);
        let result = self.host.pipe(arguments.int_or(1, 0)?);
        if let Ok((live_reader, live_writer)) = result {
            self.files.learn(reader, live_reader);
            self.files.learn(writer, live_writer);
        }
        Ok(returned(result.map(|_| Reply::Value(0))))
    }

    fn make_poll(&mut self, arguments: &Arguments<'_>) -> Result<Made, String> {
        let Some(Expression::List(items)) = arguments.0.first() else {
            return Err("poll needs a list such as [{fd=3, events=POLLIN, revents=0}]".to_owned());
        };
        let mut fds = Vec::new();
        for item in items {
            let item = members(Some(item))?;
            let number = |name| item.get(name).map_or(Ok(0), |value| integer(value));
            let script = number("fd")?;
            fds.push(PollFd {
                fd: match self.files.live(script) {
                    _ if script < 0 => -1,
                    // A negative number is passed over; what is not open has to be complained of.
                    live if live < 0 => Fd::MAX,
                    live => live,
                },
                events: arguments::as_int(number("events")?)?,
                revents: 0,
            });
        }
        Ok(Made::Begun(Op::Poll {
            fds,
            timeout: timeout(arguments.integer(2)?),
        }))
    }

    fn make_epoll_ctl(&mut self, arguments: &Arguments<'_>) -> Result<Made, String> {
        let (epoll, fd) = (self.fd(arguments, 0)?, self.fd(arguments, 2)?);
        let event = match arguments.0.get(3) {
            Some(value) if !arguments::is_null(value) => members(Some(value))?,
            _ => members(None)?,
        };
        let events = event.get("events").map_or(Ok(0), |value| integer(value))?;
        let data = match ["fd", "ptr", "u32", "u64"]
            .into_iter()
            .find_map(|name| event.get(name))
        {
            Some(value) => integer(value)?.cast_unsigned(),
            None => 0,
        };
        let events = arguments::as_int(events)?;
        let result = self
            .host
            .epoll_ctl(epoll, arguments.int(1)?, fd, (events, data));
        Ok(returned(result.map(|()| Reply::Value(0))))
    }

    /// An address as a program of the script's family writes it.
    fn program_address(&self, ip: std::net::IpAddr, port: u16) -> posix::Address {
        let ip = match (self.settings.ip_version, ip) {
            (super::IpVersion::V4Mapped, std::net::IpAddr::V4(v4)) => v4.to_ipv6_mapped().into(),
            _ => ip,
        };
        posix::Address::Inet(std::net::SocketAddr::new(ip, port))
    }

    /// An active open begins: packets are its own from here on.
    fn connecting(&mut self, script: i64, fd: Fd, to: &posix::Address) {
        let posix::Address::Inet(to) = to else {
            return;
        };
        let under_way = self
            .current
            .is_some_and(|current| self.connections[current].fd == Some(script));
        if under_way {
            return;
        }
        let port = self.host.local_name(fd).map_or(0, |name| name.port());
        let local = (self.settings.local_address(), port);
        let index = self.add_connection(local, (to.ip().to_canonical(), to.port()));
        self.connections[index].fd = Some(script);
        self.current = Some(index);
        self.listening = false;
    }
}

fn returned(result: Result<Reply, Errno>) -> Made {
    Made::Returned(result)
}

/// Milliseconds as `poll` takes them; negative: for ever.
fn timeout(milliseconds: i64) -> Option<Duration> {
    u64::try_from(milliseconds).ok().map(Duration::from_millis)
}
