//! The kernel under one program: a stack, its sockets, and how to drive them.

use super::epoll::Epoll;
use super::error_queue::Progress;
use super::files::{File, Files};
use super::pipes::Pipe;
use super::socket::{Kind, Socket, State, errno_of, errno_of_icmp, errno_of_soft};
use super::urgent::Urgent;
use super::{Errno, Fd};
use handwave_packet::{ChecksumMark, PacketBuf};
use handwave_stack::{
    ConnectionId, InterfaceConfig, InterfaceError, InterfaceId, ListenerConfig, Prefix, Route,
    SocketId, Stack, StackConfig,
};
use handwave_tcp::{
    ChallengeBudget, Config, Connection, Instant, KeepAlive, Phase, Profile, Secrets,
};
use handwave_wire::{Sum, TcpHeader};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a program finds: a profile, an interface with its addresses, limits, secrets.
#[derive(Clone, Debug)]
pub struct Environment {
    /// How connections and listeners behave by default.
    pub profile: Profile,
    /// Limits of the stack.
    pub stack: StackConfig,
    /// The one interface; everything that is not local goes there.
    pub interface: InterfaceConfig,
    /// What sequence numbers and timestamps are made of.
    pub secrets: Secrets,
}

impl Environment {
    /// An interface of 1500 octets with `addresses`, each the only one of its network, and secrets that everybody knows.
    #[must_use]
    pub fn new(profile: Profile, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let prefix = |addr: IpAddr| Prefix::new(addr, if addr.is_ipv4() { 32 } else { 128 });
        Self {
            profile,
            stack: StackConfig::default(),
            interface: InterfaceConfig {
                super_segment_max: 65_535,
                ..InterfaceConfig::ip(1500, addresses.into_iter().map(prefix))
            },
            secrets: Secrets::from_seed(0),
        }
    }
}

/// What sockets start from: the profile, changed by what `sysctl` set.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// Settings of connections.
    pub connection: Config,
    /// Settings of listeners.
    pub listener: ListenerConfig,
    /// Times of keep-alive, for sockets that switch it on.
    pub keepalive: KeepAlive,
    /// `net.core.somaxconn`: the longest accept queue a program may ask for.
    pub backlog_max: u32,
    /// `net.core.rmem_max`: the largest `SO_RCVBUF`, before doubling.
    pub receive_buffer_max: u32,
    /// `net.core.wmem_max`: the largest `SO_SNDBUF`, before doubling.
    pub send_buffer_max: u32,
    /// Octets not sent from which on a socket is not writable.
    pub notsent_low_water: u32,
}

impl Settings {
    /// What Linux adds to a profile.
    #[must_use]
    pub fn new(profile: Profile) -> Self {
        Self {
            keepalive: profile.connection.keepalive.unwrap_or_default(),
            connection: profile.connection,
            listener: profile.listener,
            backlog_max: 4096,
            receive_buffer_max: 4_194_304,
            send_buffer_max: 4_194_304,
            notsent_low_water: u32::MAX,
        }
    }
}

/// One program's sockets and the stack under them; the module's documentation shows how calls are made.
///
/// As with the [`Stack`], its owner hands in packets ([`handle_packet`](Self::handle_packet)), lets time pass
/// ([`handle_timeout`](Self::handle_timeout)) and makes calls; after each of these it drains
/// [`poll_transmit`](Self::poll_transmit), attempts the [`Call`](super::Call)s that wait, and arms a timer for
/// [`poll_timeout`](Self::poll_timeout).
#[derive(Debug)]
pub struct Posix {
    pub(super) stack: Stack,
    pub(super) interface: InterfaceId,
    pub(super) settings: Settings,
    pub(super) files: Files,
    pub(super) sockets: Vec<Option<Socket>>,
    /// Packets that left while a write went on.
    pub(super) outbox: VecDeque<PacketBuf>,
    pub(super) epolls: Vec<Option<Epoll>>,
    pub(super) pipes: Vec<Option<Pipe>>,
    /// Ports whose sockets did not share them when they were closed.
    pub(super) unshared_ports: BTreeSet<u16>,
    /// Sockets that wait to tell what became of what they sent.
    pub(super) marked: BTreeSet<usize>,
    /// The latest time that anybody named.
    pub(super) now: Instant,
    by_connection: BTreeMap<ConnectionId, usize>,
}

impl Posix {
    /// A program without descriptors, whose clock stands at `now`.
    ///
    /// # Errors
    ///
    /// [`InterfaceError`] if the interface is impossible.
    pub fn new(now: Instant, environment: Environment) -> Result<Self, InterfaceError> {
        let Environment {
            profile,
            mut stack,
            interface,
            secrets,
        } = environment;
        stack.tcp = profile.connection.clone().into();
        let mut stack = Stack::new(stack, secrets.clone(), now);
        // Linux limits challenge ACKs per connection only.
        stack.host_mut().challenge = ChallengeBudget::new(&secrets, u32::MAX);
        let interface = stack.add_interface(interface)?;
        let everything = [
            Prefix::new(Ipv4Addr::UNSPECIFIED.into(), 0),
            Prefix::new(Ipv6Addr::UNSPECIFIED.into(), 0),
        ];
        for destination in everything {
            stack.add_route(Route {
                destination,
                gateway: None,
                interface,
            })?;
        }
        Ok(Self {
            stack,
            interface,
            settings: Settings::new(profile),
            now,
            files: Files::default(),
            sockets: Vec::new(),
            outbox: VecDeque::new(),
            epolls: Vec::new(),
            pipes: Vec::new(),
            unshared_ports: BTreeSet::new(),
            marked: BTreeSet::new(),
            by_connection: BTreeMap::new(),
        })
    }

    /// Takes an IP packet that arrived.
    pub fn handle_packet(&mut self, now: Instant, packet: PacketBuf) {
        self.now = self.now.max(now);
        self.stack.handle_packet(now, self.interface, packet);
        self.settle_marks(now);
    }

    /// The next IP packet to send; `None` when there is nothing more.
    ///
    /// As a capture on Linux shows it: a train of segments that Linux hands to its device as one is one packet here, its checksum
    /// that of the whole. It still says how long its segments are; use [`handwave_packet::split`] to cut it for a real link.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<PacketBuf> {
        let early = self.outbox.pop_front();
        if let Some(packet) = early {
            return Some(packet);
        }
        let next = self.stack.poll_transmit(now);
        self.settle_marks(now);
        if next.is_none() {
            self.absorb_events();
        }
        next.map(|(_, packet)| finished(packet))
    }

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called; `None` if nothing waits for time to pass.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.stack.poll_timeout()
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = self.now.max(now);
        self.stack.handle_timeout(now);
    }

    /// Says that nothing has happened up to `now`.
    pub(crate) fn reach(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }

    /// What the stack calls the one interface.
    #[must_use]
    pub const fn interface(&self) -> InterfaceId {
        self.interface
    }

    /// The stack under the sockets.
    #[must_use]
    pub const fn stack(&self) -> &Stack {
        &self.stack
    }

    /// The same, to set routes or a tracer.
    pub const fn stack_mut(&mut self) -> &mut Stack {
        &mut self.stack
    }

    /// What sockets start from.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The same, to change it for sockets opened later.
    pub const fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    /// The connection behind a descriptor, to look at: `None` if there is none (yet).
    #[must_use]
    pub fn connection_of(&self, fd: Fd) -> Option<ConnectionId> {
        let place = self.place(fd).ok()?;
        match self.sockets.get(place)?.as_ref()?.state {
            State::Open(id) => Some(id),
            State::Closed | State::Listening(_) | State::Udp(..) => None,
        }
    }

    // ----- sockets, for the calls -----

    /// The place of the socket that `fd` names.
    pub(super) fn place(&self, fd: Fd) -> Result<usize, Errno> {
        match self.files.get(fd)? {
            File::Socket(place) => Ok(place),
            File::Epoll(_) | File::Pipe(_) | File::Zeros => Err(Errno::ENOTSOCK),
        }
    }

    /// The same, with what has happened to it until now.
    pub(super) fn place_now(&mut self, fd: Fd) -> Result<usize, Errno> {
        self.absorb_events();
        let place = self.place(fd)?;
        self.refresh(place);
        Ok(place)
    }

    /// The socket that `fd` names.
    pub(super) fn socket_of(&mut self, fd: Fd) -> Result<&mut Socket, Errno> {
        let place = self.place(fd)?;
        self.socket_at(place)
    }

    pub(super) fn socket_at(&mut self, place: usize) -> Result<&mut Socket, Errno> {
        self.sockets
            .get_mut(place)
            .and_then(Option::as_mut)
            .ok_or(Errno::EBADF)
    }

    /// Takes a socket in and hands out its descriptor.
    pub(super) fn open_socket(&mut self, socket: Socket) -> Result<Fd, Errno> {
        let place = self
            .sockets
            .iter()
            .position(Option::is_none)
            .unwrap_or(self.sockets.len());
        let fd = self.files.open(File::Socket(place))?;
        if let State::Open(id) = socket.state {
            self.by_connection.insert(id, place);
        }
        if place == self.sockets.len() {
            self.sockets.push(None);
        }
        self.sockets[place] = Some(socket);
        Ok(fd)
    }

    /// Notes that the socket at `place` has a connection.
    pub(super) fn attach(&mut self, place: usize, id: ConnectionId) {
        self.by_connection.insert(id, place);
        if let Ok(socket) = self.socket_at(place) {
            socket.state = State::Open(id);
        }
    }

    /// Takes the connection away from its socket, which is as good as new.
    pub(super) fn detach(&mut self, place: usize) {
        if let Ok(socket) = self.socket_at(place)
            && let State::Open(id) = socket.state
        {
            socket.state = State::Closed;
            socket.fin = false;
            socket.ended = false;
            socket.urgent = Urgent::default();
            self.by_connection.remove(&id);
            self.give_up_marks(place);
        }
    }

    /// Forgets a socket.
    pub(super) fn forget(&mut self, place: usize) {
        if let Ok(socket) = self.socket_at(place)
            && !socket.options.reuse_address
            && let Some(local) = socket.local
        {
            self.unshared_ports.insert(local.port);
        }
        self.detach(place);
        if let Some(socket) = self.sockets.get_mut(place) {
            *socket = None;
        }
    }

    /// The state of the connection behind a socket; CLOSED when there is none, and in TIME-WAIT, which is no socket's.
    pub(super) fn phase_of(&self, state: State) -> Phase {
        match state {
            State::Open(id) => match self.stack.connection(id).map(Connection::phase) {
                None | Some(Phase::TimeWait) => Phase::Closed,
                Some(phase) => phase,
            },
            State::Listening(_) => Phase::Listen,
            State::Closed | State::Udp(..) => Phase::Closed,
        }
    }

    /// Whether a socket other than the one at `except` is bound to `port`.
    pub(super) fn bound_to(
        &self,
        kind: Kind,
        port: u16,
        except: usize,
    ) -> impl Iterator<Item = &Socket> {
        self.sockets
            .iter()
            .enumerate()
            .filter(move |(place, _)| *place != except)
            .filter_map(|(_, socket)| socket.as_ref())
            .filter(move |socket| {
                socket.kind == kind
                    && socket.holds_port
                    && socket.local.is_some_and(|local| local.port == port)
            })
    }

    /// Tells sockets what the stack has to say about their connections.
    pub(super) fn absorb_events(&mut self) {
        while let Some(event) = self.stack.poll_event() {
            let place = match event.socket {
                SocketId::Connection(id) => {
                    let place = self.by_connection.get(&id).copied();
                    if let Some(place) = place {
                        self.refresh(place);
                        self.follow_mark(place, id);
                    }
                    place
                }
                SocketId::Listener(id) => self.place_of(State::Listening(id)),
                SocketId::Udp(id) => self.sockets.iter().position(|socket| {
                    matches!(socket, Some(Socket { state: State::Udp(of, _), .. }) if *of == id)
                }),
            };
            if let Some(place) = place {
                self.wake(place);
            }
        }
    }

    fn place_of(&self, state: State) -> Option<usize> {
        self.sockets
            .iter()
            .position(|socket| socket.as_ref().is_some_and(|socket| socket.state == state))
    }

    /// Notes in a socket what has happened to what stands behind it.
    pub(super) fn refresh(&mut self, place: usize) {
        let Ok(socket) = self.socket_at(place) else {
            return;
        };
        let (state, kind) = (socket.state, socket.kind);
        let id = match state {
            State::Open(id) if kind == Kind::Stream => id,
            State::Udp(id, Some(peer)) => {
                let ipv6 = peer.addr.is_ipv6();
                if let Some(why) = self.stack.udp_take_error(id)
                    && let Ok(socket) = self.socket_at(place)
                {
                    socket.error = Some(errno_of_icmp(why, ipv6));
                }
                return;
            }
            _ => return,
        };
        let over = self.phase_of(state) == Phase::Closed;
        let connection = self.stack.connection(id);
        let fin = connection.is_some_and(Connection::peer_closed);
        let error = connection.and_then(Connection::error);
        let ipv6 = connection.is_some_and(|connection| connection.tuple().remote.addr.is_ipv6());
        let Ok(socket) = self.socket_at(place) else {
            return;
        };
        let half_closed = fin && !socket.write_shut;
        socket.fin |= fin;
        socket.read_shut |= fin;
        let told_at_once = !over && socket.options.reports_icmp();
        if told_at_once && let Some(errno) = self.take_soft_error(id) {
            self.note_error(place, errno);
        }
        let Ok(socket) = self.socket_at(place) else {
            return;
        };
        if !over || socket.ended {
            return;
        }
        socket.ended = true;
        let errno = error.and_then(|error| errno_of(error, half_closed, ipv6));
        // Why nothing was answered is worth more than that nothing was.
        let errno = match errno {
            Some(Errno::ETIMEDOUT) => self.take_soft_error(id).or(errno),
            _ => errno,
        };
        if let Some(errno) = errno {
            self.note_error(place, errno);
        }
        let Ok(socket) = self.socket_at(place) else {
            return;
        };
        socket.read_shut = true;
        socket.write_shut = true;
        socket.release_port();
        self.give_up_marks(place);
    }

    fn note_error(&mut self, place: usize, errno: Errno) {
        if let Ok(socket) = self.socket_at(place) {
            socket.error = Some(errno);
        }
    }

    /// Takes the errno of what ICMP last said of a connection that goes on.
    pub(super) fn take_soft_error(&mut self, id: ConnectionId) -> Option<Errno> {
        let now = self.now;
        let told = self.stack.with_connection(now, id, |connection, _| {
            let ipv6 = connection.tuple().remote.addr.is_ipv6();
            let kind = connection.take_soft_error()?;
            errno_of_soft(kind, ipv6)
        });
        told.ok().flatten()
    }

    /// Lets segments leave in the middle of a write: one train, or all that may.
    pub(super) fn send_early(&mut self, now: Instant, all: bool) {
        while let Some((_, packet)) = self.stack.poll_transmit(now) {
            self.outbox.push_back(finished(packet));
            if !all {
                break;
            }
        }
    }

    /// Tells the sockets that wait for it how far their connections have come.
    pub(super) fn settle_marks(&mut self, now: Instant) {
        for place in self.marked.clone() {
            let Some(Some(socket)) = self.sockets.get_mut(place) else {
                self.marked.remove(&place);
                continue;
            };
            let State::Open(id) = socket.state else {
                continue;
            };
            let Some(connection) = self.stack.connection(id) else {
                continue;
            };
            let info = connection.info();
            let told = socket.errors.has_notices();
            socket.errors.settle(
                now,
                Progress {
                    sent: socket.errors.written().saturating_sub(info.notsent.into()),
                    acknowledged: acknowledged(connection, socket.errors.written()),
                },
            );
            if !socket.errors.has_marks() {
                self.marked.remove(&place);
            }
            if !told && socket.errors.has_notices() {
                self.wake(place);
            }
        }
    }

    /// What was written and not acknowledged never will be.
    fn give_up_marks(&mut self, place: usize) {
        let now = self.now;
        self.marked.remove(&place);
        if let Ok(socket) = self.socket_at(place) {
            socket.errors.give_up(now);
        }
    }
}

/// Octets of text, of `written` in all, that the peer has acknowledged; neither SYN nor FIN counts.
pub(super) fn acknowledged(connection: &Connection, written: u64) -> u64 {
    let info = connection.info();
    let fin_waits = connection.fin_sent()
        && matches!(
            connection.phase(),
            Phase::FinWait1 | Phase::Closing | Phase::LastAck
        );
    let flight = u64::from(info.unacked) - u64::from(fin_waits && info.unacked > 0);
    written.saturating_sub(u64::from(info.notsent) + flight)
}

/// A packet whose checksum is complete: super-segments come without.
pub(crate) fn finished(packet: PacketBuf) -> PacketBuf {
    if packet.checksum() != ChecksumMark::Partial {
        return packet;
    }
    let mut octets = packet.to_vec();
    let ipv4 = octets.first().is_some_and(|first| first >> 4 == 4);
    let header = match octets.first() {
        Some(first) if ipv4 => usize::from(first & 0xf) * 4,
        _ => 40,
    };
    // What stands in the field is the sum of the pseudo header.
    if let Some(segment) = octets.get_mut(header..)
        && segment.len() >= TcpHeader::LEN_MIN
    {
        let checksum = Sum::default().add_bytes(segment).finish();
        TcpHeader::set_checksum(segment, checksum);
    }
    let mut finished = PacketBuf::from_bytes(octets.into());
    finished.set_segment_size(packet.segment_size());
    finished
}
