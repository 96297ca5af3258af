//! `socket`, `bind`, `listen`, `accept` and `connect`.

use crate::posix::address::Domain;
use crate::posix::call::{Answer, Progress, Step};
use crate::posix::constants::{
    AF_INET, AF_INET6, IPPROTO_TCP, IPPROTO_UDP, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_RAW,
    SOCK_STREAM,
};
use crate::posix::options::Options;
use crate::posix::socket::{Association, Kind, Socket, State};
use crate::posix::{Address, Errno, Fd, Posix};
use handwave_stack::{
    BindError, ConnectError, ConnectOptions, ListenAt, ListenError, SocketSummary,
};
use handwave_tcp::{Endpoint, Events, Instant, Phase};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

impl Posix {
    /// `socket`: a new descriptor.
    ///
    /// # Errors
    ///
    /// `EAFNOSUPPORT`, `EINVAL`, `ESOCKTNOSUPPORT`, `EPROTONOSUPPORT`, `EMFILE`.
    pub fn socket(&mut self, domain: i32, kind: i32, protocol: i32) -> Result<Fd, Errno> {
        let domain = match domain {
            AF_INET => Domain::Inet,
            AF_INET6 => Domain::Inet6,
            _ => return Err(Errno::EAFNOSUPPORT),
        };
        let nonblocking = kind & SOCK_NONBLOCK != 0;
        let kind = match (kind & !(SOCK_NONBLOCK | SOCK_CLOEXEC), protocol) {
            (SOCK_STREAM, 0 | IPPROTO_TCP) => Kind::Stream,
            (SOCK_DGRAM, 0 | IPPROTO_UDP) => Kind::Datagram,
            (SOCK_STREAM | SOCK_DGRAM | SOCK_RAW, _) => return Err(Errno::EPROTONOSUPPORT),
            (known, _) if (0..=10).contains(&known) => return Err(Errno::ESOCKTNOSUPPORT),
            _ => return Err(Errno::EINVAL),
        };
        let mut socket = Socket::new(domain, kind, Options::new(&self.settings));
        socket.nonblocking = nonblocking;
        self.open_socket(socket)
    }

    /// `bind`: gives a socket a local address; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// `EBADF`, `ENOTSOCK`, `EINVAL` when it is bound, `EAFNOSUPPORT`, `EADDRNOTAVAIL`, `EADDRINUSE`.
    pub fn bind(&mut self, fd: Fd, address: Address) -> Result<(), Errno> {
        let place = self.place(fd)?;
        let socket = self.socket_at(place)?;
        let (domain, kind) = (socket.domain, socket.kind);
        let wanted = match address {
            // Old programs leave the family of 0.0.0.0 out.
            Address::Unspecified if domain == Domain::Inet => Endpoint::new(domain.any(), 0),
            Address::Unspecified => return Err(Errno::EAFNOSUPPORT),
            Address::Inet(address) => domain.on_wire(address)?,
        };
        if socket.local.is_some() || socket.state != State::Closed {
            return Err(Errno::EINVAL);
        }
        let any = wanted.addr.is_unspecified();
        if !any && !self.stack.has_address(&wanted.addr) {
            return Err(Errno::EADDRNOTAVAIL);
        }
        if kind == Kind::Datagram {
            return self.bind_datagram(place, wanted);
        }
        let port = if wanted.port == 0 {
            self.free_port(place, wanted.addr)?
        } else {
            wanted.port
        };
        let local = Endpoint::new(wanted.addr, port);
        if wanted.port != 0 && self.conflicts(place, local) {
            return Err(Errno::EADDRINUSE);
        }
        self.socket_at(place)?.local = Some(local);
        Ok(())
    }

    fn bind_datagram(&mut self, place: usize, wanted: Endpoint) -> Result<(), Errno> {
        let addr = (!wanted.addr.is_unspecified()).then_some(wanted.addr);
        let id = self
            .stack
            .udp_bind(addr, wanted.port)
            .map_err(|error| match error {
                BindError::NotLocal => Errno::EADDRNOTAVAIL,
                BindError::TooMany => Errno::ENOBUFS,
                _ => Errno::EADDRINUSE,
            })?;
        let port = self
            .stack
            .udp_local(id)
            .map_or(wanted.port, |(_, port)| port);
        let socket = self.socket_at(place)?;
        socket.local = Some(Endpoint::new(wanted.addr, port));
        socket.state = State::Udp(id, None);
        Ok(())
    }

    /// Gives a UDP socket a port if it has none.
    pub(in crate::posix) fn bind_datagram_anywhere(&mut self, place: usize) -> Result<(), Errno> {
        let socket = self.socket_at(place)?;
        if socket.local.is_some() {
            return Ok(());
        }
        let any = Endpoint::new(socket.domain.any(), 0);
        self.bind_datagram(place, any).map_err(|_| Errno::EAGAIN)
    }

    /// Whether another socket, or what remains of a connection, keeps `local` from the socket at `place`.
    fn conflicts(&mut self, place: usize, local: Endpoint) -> bool {
        let Ok(socket) = self.socket_at(place) else {
            return false;
        };
        let (reuse, reuse_port) = (socket.options.reuse_address, socket.options.reuse_port);
        let overlaps = |other: IpAddr| {
            other == local.addr || other.is_unspecified() || local.addr.is_unspecified()
        };
        let taken = self.bound_to(Kind::Stream, local.port, place).any(|other| {
            let listens = matches!(other.state, State::Listening(_));
            let shares = (reuse && other.options.reuse_address && !listens)
                || (reuse_port && other.options.reuse_port);
            other.local.is_some_and(|other| overlaps(other.addr)) && !shares
        });
        taken || (!reuse && self.left_behind(local.port).any(overlaps))
    }

    /// Addresses of connections on `port` that no socket stands for: orphans and TIME-WAIT.
    fn left_behind(&self, port: u16) -> impl Iterator<Item = IpAddr> {
        self.stack
            .sockets()
            .filter_map(|summary| match summary {
                SocketSummary::Connection {
                    connection, orphan, ..
                } => (orphan && connection.phase() != Phase::Closed)
                    .then(|| connection.tuple().local),
                SocketSummary::TimeWait { tuple, .. } => Some(tuple.local),
                SocketSummary::Listener { .. } | SocketSummary::Udp { .. } => None,
            })
            .filter(move |local| local.port == port)
            .map(|local| local.addr)
    }

    /// A port that nobody uses.
    fn free_port(&mut self, place: usize, addr: IpAddr) -> Result<u16, Errno> {
        let range = self.stack.config().ephemeral_ports;
        (range.first..=range.last)
            .find(|&port| !self.conflicts(place, Endpoint::new(addr, port)))
            .ok_or(Errno::EADDRINUSE)
    }

    /// `listen`: takes connections, of which `backlog` may wait to be accepted.
    ///
    /// # Errors
    ///
    /// `EBADF`, `ENOTSOCK`, `EOPNOTSUPP`, `EINVAL`, `EADDRINUSE`.
    pub fn listen(&mut self, fd: Fd, backlog: i32) -> Result<(), Errno> {
        let place = self.place(fd)?;
        let backlog = u32::try_from(backlog)
            .unwrap_or(u32::MAX)
            .min(self.settings.backlog_max);
        let socket = self.socket_at(place)?;
        if socket.kind == Kind::Datagram {
            return Err(Errno::EOPNOTSUPP);
        }
        match socket.state {
            State::Closed if socket.association == Association::Unconnected => {}
            State::Listening(_) => return Ok(()),
            _ => return Err(Errno::EINVAL),
        }
        let local = match socket.local {
            Some(local) => local,
            None => {
                let any = socket.domain.any();
                Endpoint::new(any, self.free_port(place, any)?)
            }
        };
        let socket = self.socket_at(place)?;
        let config = socket.options.config();
        let at = ListenAt {
            addr: (!local.addr.is_unspecified()).then_some(local.addr),
            port: local.port,
        };
        let mut limits = self.settings.listener.clone();
        // The queue is full when it is longer than the backlog.
        limits.accept_queue_max = backlog as usize + 1;
        let id = self
            .stack
            .listen_with(at, limits, config)
            .map_err(|error| match error {
                ListenError::NotLocal => Errno::EADDRNOTAVAIL,
                ListenError::TooMany => Errno::ENOBUFS,
                _ => Errno::EADDRINUSE,
            })?;
        let socket = self.socket_at(place)?;
        socket.local = Some(local);
        socket.state = State::Listening(id);
        Ok(())
    }

    pub(in crate::posix) fn try_accept(&mut self, fd: Fd, flags: i32) -> Result<Step, Errno> {
        if flags & !(SOCK_NONBLOCK | SOCK_CLOEXEC) != 0 {
            return Err(Errno::EINVAL);
        }
        let socket = self.socket_of(fd)?;
        if socket.kind == Kind::Datagram {
            return Err(Errno::EOPNOTSUPP);
        }
        let State::Listening(listener) = socket.state else {
            return Err(Errno::EINVAL);
        };
        let (domain, options, wait) = (
            socket.domain,
            socket.options.clone(),
            socket.receive_timeout(0),
        );
        let Some((id, tuple)) = self.stack.accept(listener) else {
            return Ok(Step::Wait(wait, Err(Errno::EAGAIN)));
        };
        let mut accepted = Socket::new(domain, Kind::Stream, options);
        accepted.nonblocking = flags & SOCK_NONBLOCK != 0;
        accepted.local = Some(tuple.local);
        accepted.association = Association::Connected;
        accepted.state = State::Open(id);
        let peer = domain.to_program(tuple.remote);
        let fd = self.open_socket(accepted)?;
        let place = self.place(fd)?;
        // It may have come to its end before anybody listened to its events.
        self.note_events(place, id, Events::CLOSED);
        Ok(Answer::Accepted { fd, peer }.into())
    }

    pub(in crate::posix) fn try_connect(
        &mut self,
        now: Instant,
        fd: Fd,
        to: Address,
        progress: &mut Progress,
    ) -> Result<Step, Errno> {
        let place = self.place(fd)?;
        let socket = self.socket_at(place)?;
        if socket.kind == Kind::Datagram {
            return self
                .connect_datagram(place, to)
                .map(|()| Answer::Done.into());
        }
        let Address::Inet(to) = to else {
            return self.dissolve(now, place).map(|()| Answer::Done.into());
        };
        let otherwise = match socket.association {
            Association::Connected => return Err(Errno::EISCONN),
            Association::Connecting if progress.begun => Errno::EINPROGRESS,
            Association::Connecting => Errno::EALREADY,
            Association::Unconnected => {
                self.begin_connection(now, place, to)?;
                progress.begun = true;
                Errno::EINPROGRESS
            }
        };
        let socket = self.socket_at(place)?;
        let (state, wait) = (socket.state, socket.send_timeout(0));
        match self.phase_of(state) {
            Phase::SynSent | Phase::SynReceived => Ok(Step::Wait(wait, Err(otherwise))),
            Phase::Closed => {
                let socket = self.socket_at(place)?;
                let errno = socket.error.take().unwrap_or(Errno::ECONNABORTED);
                self.reset_socket(now, place);
                Err(errno)
            }
            _ => {
                self.socket_at(place)?.association = Association::Connected;
                Ok(Answer::Done.into())
            }
        }
    }

    fn begin_connection(
        &mut self,
        now: Instant,
        place: usize,
        to: SocketAddr,
    ) -> Result<(), Errno> {
        let socket = self.socket_at(place)?;
        if socket.state != State::Closed {
            return Err(Errno::EISCONN);
        }
        let mut remote = socket.domain.on_wire(to)?;
        if socket.options.v6_only && socket.domain == Domain::Inet6 && remote.addr.is_ipv4() {
            return Err(Errno::ENETUNREACH);
        }
        let (local, config) = (socket.local, socket.options.config());
        if remote.addr.is_unspecified() {
            // Nobody means "anywhere": the host itself.
            remote.addr = self.own_address(&remote.addr).ok_or(Errno::ENETUNREACH)?;
        }
        let options = ConnectOptions {
            local_addr: local
                .map(|local| local.addr)
                .filter(|addr| !addr.is_unspecified()),
            local_port: local.map(|local| local.port),
            config: Some(config),
        };
        let id = self
            .stack
            .connect(now, remote, options)
            .map_err(|error| match error {
                ConnectError::BadRemote if remote.port == 0 => Errno::ECONNREFUSED,
                ConnectError::BadRemote | ConnectError::NoRoute => Errno::ENETUNREACH,
                ConnectError::BadLocal => Errno::EINVAL,
                ConnectError::TooMany | ConnectError::NoMemory => Errno::ENOBUFS,
                _ => Errno::EADDRNOTAVAIL,
            })?;
        self.attach(place, id);
        let local = self
            .stack
            .connection(id)
            .map(|connection| connection.tuple().local);
        let socket = self.socket_at(place)?;
        socket.local = local;
        socket.association = Association::Connecting;
        socket.read_shut = false;
        socket.write_shut = false;
        Ok(())
    }

    /// The host's first address of the same family.
    fn own_address(&self, like: &IpAddr) -> Option<IpAddr> {
        let interface = self.stack.interface(self.interface)?;
        let mut addresses = interface.addresses.iter().map(|prefix| prefix.addr);
        addresses.find(|addr| addr.is_ipv4() == like.is_ipv4())
    }

    fn connect_datagram(&mut self, place: usize, to: Address) -> Result<(), Errno> {
        let Address::Inet(to) = to else {
            if let State::Udp(_, peer) = &mut self.socket_at(place)?.state {
                *peer = None;
            }
            return Ok(());
        };
        let remote = self.socket_at(place)?.domain.on_wire(to)?;
        self.bind_datagram_anywhere(place)?;
        if let State::Udp(_, peer) = &mut self.socket_at(place)?.state {
            *peer = Some(remote);
        }
        Ok(())
    }

    /// `connect` to `AF_UNSPEC`: resets the connection, if there is one, and makes the socket as good as new.
    fn dissolve(&mut self, now: Instant, place: usize) -> Result<(), Errno> {
        let state = self.socket_at(place)?.state;
        match state {
            State::Listening(id) => self.stack.close_listener(now, id),
            State::Open(_) | State::Closed | State::Udp(..) => {}
        }
        self.reset_socket(now, place);
        Ok(())
    }

    /// Aborts what stands behind a socket and makes it as good as new; what it is bound to stays.
    pub(in crate::posix) fn reset_socket(&mut self, now: Instant, place: usize) {
        let Ok(socket) = self.socket_at(place) else {
            return;
        };
        socket.association = Association::Unconnected;
        if let State::Open(id) = socket.state {
            self.stack.abort(now, id);
            self.detach(place);
        } else if let Ok(socket) = self.socket_at(place)
            && let State::Listening(_) = socket.state
        {
            socket.state = State::Closed;
        }
    }
}

impl Socket {
    /// How long a call that takes something in waits; `flags` are those of the call.
    pub(in crate::posix) fn receive_timeout(&self, flags: i32) -> Option<Duration> {
        self.timeout(flags, self.options.receive_timeout)
    }

    /// How long a call that lets something out waits.
    pub(in crate::posix) fn send_timeout(&self, flags: i32) -> Option<Duration> {
        self.timeout(flags, self.options.send_timeout)
    }

    fn timeout(&self, flags: i32, limit: Option<Duration>) -> Option<Duration> {
        if self.nonblocking || flags & crate::posix::constants::MSG_DONTWAIT != 0 {
            Some(Duration::ZERO)
        } else {
            limit
        }
    }
}
