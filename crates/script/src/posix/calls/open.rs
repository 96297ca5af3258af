//! `socket`, `bind`, `listen`, `accept` and `connect`.

use crate::posix::address::{Domain, Reach};
use crate::posix::call::{Answer, Progress, Step};
use crate::posix::constants::{
    AF_INET, AF_INET6, IPPROTO_TCP, IPPROTO_UDP, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_RAW,
    SOCK_STREAM,
};
use crate::posix::options::Options;
use crate::posix::socket::{Association, Kind, Socket, State};
use crate::posix::{Address, Errno, Fd, Posix};
use handwave_stack::{
    BindError, ConnectError, ConnectOptions, ListenAt, ListenError, ListenerConfig, SocketSummary,
};
use handwave_tcp::{Endpoint, Instant, Phase};
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
        let close_on_exec = kind & SOCK_CLOEXEC != 0;
        let kind = match (kind & !(SOCK_NONBLOCK | SOCK_CLOEXEC), protocol) {
            (SOCK_STREAM, 0 | IPPROTO_TCP) => Kind::Stream,
            (SOCK_DGRAM, 0 | IPPROTO_UDP) => Kind::Datagram,
            (SOCK_STREAM | SOCK_DGRAM | SOCK_RAW, _) => return Err(Errno::EPROTONOSUPPORT),
            (known, _) if (0..=10).contains(&known) => return Err(Errno::ESOCKTNOSUPPORT),
            _ => return Err(Errno::EINVAL),
        };
        let mut socket = Socket::new(domain, kind, Options::new(&self.settings));
        socket.nonblocking = nonblocking;
        let fd = self.open_socket(socket)?;
        self.files.set_close_on_exec(fd, close_on_exec);
        Ok(fd)
    }

    /// `bind`: gives a socket a local address; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// `EBADF`, `ENOTSOCK`, `EINVAL` when it is bound, `EAFNOSUPPORT`, `EADDRNOTAVAIL`, `EADDRINUSE`.
    pub fn bind(&mut self, fd: Fd, address: Address) -> Result<(), Errno> {
        let place = self.place_now(fd)?;
        let socket = self.socket_at(place)?;
        let (domain, kind) = (socket.domain, socket.kind);
        let wanted = match address {
            // Old programs leave the family of 0.0.0.0 out.
            Address::Unspecified if domain == Domain::Inet => Endpoint::new(domain.any(), 0),
            // Its address is shorter than one of IPv6.
            Address::Unspecified => return Err(Errno::EINVAL),
            Address::Inet(address) => domain.on_wire(address)?,
        };
        let foreign = domain.is_ipv6() && wanted.addr.is_ipv4() && socket.options.v6_only;
        if foreign {
            return Err(Errno::EINVAL);
        }
        let (bound, free) = (socket.holds_port, socket.options.binds_anywhere());
        let state = socket.state;
        let any = wanted.addr.is_unspecified();
        let many =
            matches!(wanted.addr, IpAddr::V4(addr) if addr.is_multicast() || addr.is_broadcast());
        if !any && !many && !free && !self.stack.has_address(&wanted.addr) {
            return Err(Errno::EADDRNOTAVAIL);
        }
        if bound || self.phase_of(state) != Phase::Closed {
            return Err(Errno::EINVAL);
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
        let socket = self.socket_at(place)?;
        socket.local = Some(local);
        socket.holds_port = true;
        socket.address_named = !any;
        socket.port_named = wanted.port != 0;
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
        socket.holds_port = true;
        socket.address_named = addr.is_some();
        socket.port_named = wanted.port != 0;
        socket.state = State::Udp(id, None);
        Ok(())
    }

    /// Gives a UDP socket a port if it has none.
    pub(in crate::posix) fn bind_datagram_anywhere(&mut self, place: usize) -> Result<(), Errno> {
        let socket = self.socket_at(place)?;
        if socket.holds_port {
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
        let own = Reach::new(socket.domain, socket.options.v6_only, local.addr);
        let taken = self.bound_to(Kind::Stream, local.port, place).any(|other| {
            let listening = matches!(other.state, State::Listening(_));
            let shares = (reuse && other.options.reuse_address && !listening)
                || (reuse_port && other.options.reuse_port);
            let reach = |at: Endpoint| Reach::new(other.domain, other.options.v6_only, at.addr);
            other.local.is_some_and(|at| own.overlaps(reach(at))) && !shares
        });
        if taken {
            return true;
        }
        let left: Vec<IpAddr> = self.left_behind(local.port).collect();
        if left.is_empty() {
            self.unshared_ports.remove(&local.port);
        }
        // Who left it behind has to have shared it, too.
        let shares = reuse && !self.unshared_ports.contains(&local.port);
        let mut left = left.into_iter();
        !shares && left.any(|addr| own.overlaps(Reach::exactly(addr)))
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
        let place = self.place_now(fd)?;
        let backlog = u32::try_from(backlog)
            .unwrap_or(u32::MAX)
            .min(self.settings.backlog_max);
        // The queue is full when it is longer than the backlog.
        let most = backlog as usize + 1;
        let socket = self.socket_at(place)?;
        if socket.kind == Kind::Datagram {
            return Err(Errno::EOPNOTSUPP);
        }
        if socket.association != Association::Unconnected {
            return Err(Errno::EINVAL);
        }
        let (state, deferral) = (socket.state, socket.options.defer_accept);
        if let State::Listening(id) = state {
            self.stack.set_listener_limits(id, most, deferral);
            return Ok(());
        }
        if self.phase_of(state) != Phase::Closed {
            return Err(Errno::EINVAL);
        }
        self.detach(place);
        let socket = self.socket_at(place)?;
        let any = Endpoint::new(socket.domain.any(), 0);
        let held = socket.holds_port;
        let mut local = socket.local.unwrap_or(any);
        if !held {
            local.port = self.free_port(place, local.addr)?;
        }
        if self.conflicts(place, local) {
            return Err(Errno::EADDRINUSE);
        }
        let socket = self.socket_at(place)?;
        let config = socket.options.config();
        let both = socket.domain.is_ipv6() && !socket.options.v6_only && local.addr.is_ipv6();
        let at = ListenAt {
            // An unspecified address stands for those of its family.
            addr: (!(both && local.addr.is_unspecified())).then_some(local.addr),
            port: local.port,
        };
        let limits = ListenerConfig {
            accept_queue_max: most,
            defer_accept: deferral,
            ..self.settings.listener.clone()
        };
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
        socket.holds_port = true;
        socket.state = State::Listening(id);
        Ok(())
    }

    pub(in crate::posix) fn try_accept(&mut self, fd: Fd, flags: i32) -> Result<Step, Errno> {
        if flags & !(SOCK_NONBLOCK | SOCK_CLOEXEC) != 0 {
            return Err(Errno::EINVAL);
        }
        let place = self.place_now(fd)?;
        let socket = self.socket_at(place)?;
        if socket.kind == Kind::Datagram {
            return Err(Errno::EOPNOTSUPP);
        }
        let State::Listening(listener) = socket.state else {
            return Err(Errno::EINVAL);
        };
        let named = (socket.address_named, socket.port_named);
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
        accepted.holds_port = true;
        (accepted.address_named, accepted.port_named) = named;
        accepted.association = Association::Connected;
        accepted.state = State::Open(id);
        let peer = domain.to_program(tuple.remote);
        let fd = self.open_socket(accepted)?;
        self.files.set_close_on_exec(fd, flags & SOCK_CLOEXEC != 0);
        let place = self.place(fd)?;
        // Much may have happened before anybody listened to its events.
        self.refresh(place);
        Ok(Answer::Accepted { fd, peer }.into())
    }

    pub(in crate::posix) fn try_connect(
        &mut self,
        now: Instant,
        fd: Fd,
        to: Address,
        progress: &mut Progress,
    ) -> Result<Step, Errno> {
        let place = self.place_now(fd)?;
        let socket = self.socket_at(place)?;
        if socket.kind == Kind::Datagram {
            return self
                .connect_datagram(place, to)
                .map(|()| Answer::Done.into());
        }
        let Address::Inet(to) = to else {
            self.disconnect(now, place);
            return Ok(Answer::Done.into());
        };
        let otherwise = match socket.association {
            Association::Connected => return Err(Errno::EISCONN),
            Association::Disconnecting => return Err(Errno::EINVAL),
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
                self.disconnect(now, place);
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
        let state = self.socket_at(place)?.state;
        if self.phase_of(state) != Phase::Closed {
            return Err(Errno::EISCONN);
        }
        let mut remote = self.socket_at(place)?.domain.on_wire(to)?;
        self.detach(place);
        let socket = self.socket_at(place)?;
        if socket.options.v6_only && socket.domain == Domain::Inet6 && remote.addr.is_ipv4() {
            return Err(Errno::ENETUNREACH);
        }
        let (local, held, config) = (socket.local, socket.holds_port, socket.options.config());
        if remote.addr.is_unspecified() {
            // Nobody means "anywhere": the host itself.
            remote.addr = self.own_address(&remote.addr).ok_or(Errno::ENETUNREACH)?;
        }
        let options = ConnectOptions {
            local_addr: local
                .map(|local| local.addr)
                .filter(|addr| !addr.is_unspecified()),
            local_port: local.filter(|_| held).map(|local| local.port),
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
        socket.holds_port = true;
        socket.association = Association::Connecting;
        socket.error = None;
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
            return self.dissolve_datagram(place);
        };
        self.bind_datagram_anywhere(place)?;
        let remote = self.socket_at(place)?.domain.on_wire(to)?;
        let source = if self.stack.has_address(&remote.addr) {
            Some(remote.addr)
        } else {
            self.own_address(&remote.addr)
        };
        let socket = self.socket_at(place)?;
        if let State::Udp(_, peer) = &mut socket.state {
            *peer = Some(remote);
        }
        if let Some(local) = socket.local.as_mut().filter(|_| !socket.address_named) {
            local.addr = source.unwrap_or(local.addr);
        }
        Ok(())
    }

    /// A UDP socket forgets its peer, and what `bind` has not named of its address.
    fn dissolve_datagram(&mut self, place: usize) -> Result<(), Errno> {
        let socket = self.socket_at(place)?;
        let State::Udp(id, peer) = &mut socket.state else {
            return Ok(());
        };
        *peer = None;
        let id = *id;
        if let Some(local) = socket.local.as_mut().filter(|_| !socket.address_named) {
            local.addr = socket.domain.any();
        }
        if !socket.port_named {
            socket.local = None;
            socket.holds_port = false;
            socket.state = State::Closed;
            self.stack.udp_close(id);
        }
        Ok(())
    }

    /// Takes away what stands behind a socket and makes it as good as new, as `connect` to `AF_UNSPEC` does; what `bind` named stays.
    pub(in crate::posix) fn disconnect(&mut self, now: Instant, place: usize) {
        let Ok(socket) = self.socket_at(place) else {
            return;
        };
        let state = socket.state;
        match (state, self.phase_of(state)) {
            (State::Listening(id), _) => self.stack.close_listener(now, id),
            (State::Open(id), phase) => {
                if phase != Phase::Closed
                    && let Ok(socket) = self.socket_at(place)
                {
                    socket.error = Some(Errno::ECONNRESET);
                }
                self.stack.abort(now, id);
            }
            (State::Closed | State::Udp(..), _) => {}
        }
        self.detach(place);
        let Ok(socket) = self.socket_at(place) else {
            return;
        };
        socket.state = State::Closed;
        socket.association = Association::Unconnected;
        socket.read_shut = false;
        socket.write_shut = false;
        socket.release_port();
        if let Some(local) = socket.local.as_mut().filter(|_| !socket.address_named) {
            local.addr = socket.domain.any();
        }
        self.wake(place);
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
