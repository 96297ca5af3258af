//! What the application asks for: open, listen, accept, read, write, close.
//!
//! Nothing leaves during these calls: drain [`poll_transmit`](Stack::poll_transmit) afterwards. A handle that names
//! nothing (any more) answers like a connection that was aborted.

use crate::connections::Slot;
use crate::demux::Owner;
use crate::error::{ConnectError, ListenError, NoSuchSocket};
use crate::id::{ConnectionId, InterfaceId, ListenerId};
use crate::listening::ListenAt;
use crate::routes::NextHop;
use crate::stack::Stack;
use alloc::sync::Arc;
use bytes::Bytes;
use core::net::IpAddr;
use handwave_tcp::{
    Config, Connection, ConnectionError, Context, Endpoint, Instant, Listener, ListenerConfig,
    ListenerPool, ReceiveError, SendError, Tuple,
};

/// How to open a connection.
#[derive(Clone, Default, Debug)]
pub struct ConnectOptions {
    /// The local address (RFC 9293 3.9.1.1 [MUST-43]); `None` takes the one that suits the route.
    pub local_addr: Option<IpAddr>,
    /// The local port; `None` takes an ephemeral one.
    pub local_port: Option<u16>,
    /// How the connection behaves; `None` takes [`StackConfig::tcp`](crate::StackConfig::tcp).
    pub config: Option<Arc<Config>>,
}

impl Stack {
    /// Active OPEN (RFC 9293 3.10.1): begins a connection to `remote`.
    ///
    /// A local port may be used again and again, as long as the four numbers differ.
    ///
    /// # Errors
    ///
    /// [`ConnectError`] if it cannot even begin; later failures are events of the connection.
    pub fn connect(
        &mut self,
        now: Instant,
        remote: Endpoint,
        options: ConnectOptions,
    ) -> Result<ConnectionId, ConnectError> {
        let usual_source = self.usual_source(remote.addr);
        let makes_sense = usual_source.is_some() || self.is_connectable(remote.addr);
        if remote.port == 0 || !makes_sense {
            return Err(ConnectError::BadRemote);
        }
        if self.connections.len() >= self.config.connections_max {
            self.counters.connections_refused += 1;
            return Err(ConnectError::TooMany);
        }
        if self.refuses_memory() {
            return Err(ConnectError::NoMemory);
        }
        let (hop, path) = self.way_to(remote.addr).ok_or(ConnectError::NoRoute)?;
        let local_addr = match usual_source {
            Some(source) if options.local_addr.is_none() => source,
            _ => {
                let source = self.source_for(&options, remote.addr, hop)?;
                if options.local_addr.is_none() {
                    self.set_usual_source(remote.addr, source);
                }
                source
            }
        };
        let port = self.local_port(&options, local_addr, remote)?;
        let tuple = Tuple::new(Endpoint::new(local_addr, port), remote);
        let config = options
            .config
            .unwrap_or_else(|| Arc::clone(&self.config.tcp));
        let mut cx = Context::new(now, &mut self.host);
        let connection = Connection::connect(&mut cx, config, tuple, path);
        let id = self.insert_connection(connection, (hop, path.mtu), None);
        self.connections.begin(id.slot);
        Ok(id)
    }

    /// Passive OPEN (RFC 9293 3.10.1): waits for connections, which are configured with
    /// [`StackConfig::tcp`](crate::StackConfig::tcp).
    ///
    /// # Errors
    ///
    /// [`ListenError`] if the place is impossible or taken.
    pub fn listen(
        &mut self,
        at: impl Into<ListenAt>,
        limits: ListenerConfig,
    ) -> Result<ListenerId, ListenError> {
        let config = Arc::clone(&self.config.tcp);
        self.listen_with(at, limits, config)
    }

    /// Passive OPEN with a configuration for the connections that come of it.
    ///
    /// # Errors
    ///
    /// [`ListenError`] if the place is impossible or taken.
    pub fn listen_with(
        &mut self,
        at: impl Into<ListenAt>,
        limits: ListenerConfig,
        config: Arc<Config>,
    ) -> Result<ListenerId, ListenError> {
        self.listen_at(at.into(), limits, config, None)
    }

    /// Passive OPEN in one of several [shards](crate::Shard), with limits that hold for all shards whose listeners are in `pool`.
    ///
    /// # Errors
    ///
    /// [`ListenError`] if the place is impossible or taken.
    pub fn listen_pooled(
        &mut self,
        at: impl Into<ListenAt>,
        limits: ListenerConfig,
        config: Arc<Config>,
        pool: ListenerPool,
    ) -> Result<ListenerId, ListenError> {
        self.listen_at(at.into(), limits, config, Some(pool))
    }

    fn listen_at(
        &mut self,
        at: ListenAt,
        limits: ListenerConfig,
        config: Arc<Config>,
        pool: Option<ListenerPool>,
    ) -> Result<ListenerId, ListenError> {
        if at.port == 0 {
            return Err(ListenError::BadPort);
        }
        let exact = at.addr.filter(|addr| !addr.is_unspecified());
        if exact.is_some_and(|addr| !self.addresses.is_ours(&addr)) {
            return Err(ListenError::NotLocal);
        }
        if self.listening.is_taken(at) {
            return Err(ListenError::InUse);
        }
        if self.listening.len() >= self.config.listeners_max {
            return Err(ListenError::TooMany);
        }
        let listener = match pool {
            None => Listener::new(config, limits, &self.host.secrets),
            Some(pool) => Listener::pooled(config, limits, &self.host.secrets, pool),
        };
        Ok(self.listening.insert(at, listener))
    }

    /// Takes the connection that has waited longest; `None` if none waits.
    ///
    /// It may have ended meanwhile: then what arrived before can still be read, and the error after that.
    pub fn accept(&mut self, listener: ListenerId) -> Option<(ConnectionId, Tuple)> {
        let entry = self.listening.get_mut(listener)?;
        loop {
            let id = ConnectionId::from_bits(entry.listener.accept()?);
            if let Some(slot) = self.connections.get(id) {
                return Some((id, *slot.connection.tuple()));
            }
        }
    }

    /// Stops listening; connections that were not accepted are reset, half-open ones forgotten. The listener of a forwarder
    /// goes with [`stop_forwarding`](Self::stop_forwarding) only.
    pub fn close_listener(&mut self, now: Instant, listener: ListenerId) {
        if self.forward_listener() == Some(listener) {
            return;
        }
        while let Some((id, _)) = self.accept(listener) {
            self.abort(now, id);
        }
        self.listening.remove(listener);
    }

    /// A listener, to look at.
    #[must_use]
    pub fn listener(&self, id: ListenerId) -> Option<&Listener> {
        self.listening.get(id).map(|entry| &*entry.listener)
    }

    /// Changes how many connections may wait to be accepted, and how long for their first text; see
    /// [`ListenerConfig`].
    pub fn set_listener_limits(
        &mut self,
        id: ListenerId,
        accept_queue_max: usize,
        defer_accept: u8,
    ) {
        if let Some(entry) = self.listening.get_mut(id) {
            entry.listener.set_limits(accept_queue_max, defer_accept);
        }
    }

    /// A connection, to look at.
    #[must_use]
    pub fn connection(&self, id: ConnectionId) -> Option<&Connection> {
        self.connections.get(id).map(|slot| &*slot.connection)
    }

    /// Calls into a connection, for what has no method here.
    ///
    /// # Errors
    ///
    /// [`NoSuchSocket`] if there is none of that name.
    pub fn with_connection<R>(
        &mut self,
        now: Instant,
        id: ConnectionId,
        call: impl FnOnce(&mut Connection, &mut Context<'_>) -> R,
    ) -> Result<R, NoSuchSocket> {
        if self.connections.get(id).is_none() {
            return Err(NoSuchSocket);
        }
        if self.is_crowded() {
            // The parts of a connection that is far away come together, not one after another.
            self.look_at(&[id.slot]);
        }
        self.with_slot(now, id.slot, call).ok_or(NoSuchSocket)
    }

    /// Copies what fits of `data` into the send buffer and returns the number of octets taken; see
    /// [`Connection::write`].
    ///
    /// # Errors
    ///
    /// [`SendError`].
    pub fn write(
        &mut self,
        now: Instant,
        id: ConnectionId,
        data: &[u8],
    ) -> Result<usize, SendError> {
        let taken = self.with_connection(now, id, |connection, cx| connection.write(cx, data));
        taken.map_err(|NoSuchSocket| SendError::Lost(ConnectionError::Aborted))?
    }

    /// Takes as much of `chunk` as fits without copying it; see [`Connection::write_chunk`].
    ///
    /// # Errors
    ///
    /// [`SendError`].
    pub fn write_chunk(
        &mut self,
        now: Instant,
        id: ConnectionId,
        chunk: Bytes,
    ) -> Result<usize, SendError> {
        let taken =
            self.with_connection(now, id, |connection, cx| connection.write_chunk(cx, chunk));
        taken.map_err(|NoSuchSocket| SendError::Lost(ConnectionError::Aborted))?
    }

    /// Copies what arrived into `buffer`; `Ok(0)` is the end of the stream; see [`Connection::read`].
    ///
    /// # Errors
    ///
    /// [`ReceiveError`].
    pub fn read(
        &mut self,
        now: Instant,
        id: ConnectionId,
        buffer: &mut [u8],
    ) -> Result<usize, ReceiveError> {
        let taken = self.with_connection(now, id, |connection, cx| connection.read(cx, buffer));
        taken.map_err(|NoSuchSocket| ReceiveError::Lost(ConnectionError::Aborted))?
    }

    /// Takes a slice of what arrived without copying it; empty at the end of the stream; see
    /// [`Connection::read_chunk`].
    ///
    /// # Errors
    ///
    /// [`ReceiveError`].
    pub fn read_chunk(
        &mut self,
        now: Instant,
        id: ConnectionId,
        max: usize,
    ) -> Result<Bytes, ReceiveError> {
        let chunk = self.with_connection(now, id, |connection, cx| connection.read_chunk(cx, max));
        chunk.map_err(|NoSuchSocket| ReceiveError::Lost(ConnectionError::Aborted))?
    }

    /// Takes slices of what arrived without copying them, one for each of `chunks`; returns how many, zero at the end of the stream.
    ///
    /// Cheaper than as many calls of [`read_chunk`](Self::read_chunk): the window is looked at once.
    ///
    /// # Errors
    ///
    /// [`ReceiveError`].
    pub fn read_chunks(
        &mut self,
        now: Instant,
        id: ConnectionId,
        chunks: &mut [Bytes],
    ) -> Result<usize, ReceiveError> {
        let taken =
            self.with_connection(now, id, |connection, cx| connection.read_chunks(cx, chunks));
        taken.map_err(|NoSuchSocket| ReceiveError::Lost(ConnectionError::Aborted))?
    }

    /// Copies what arrived into `buffer` and leaves it there.
    #[must_use]
    pub fn peek(&self, id: ConnectionId, buffer: &mut [u8]) -> usize {
        self.connection(id)
            .map_or(0, |connection| connection.peek(buffer))
    }

    /// CLOSE (RFC 9293 3.10.4): a FIN follows what has been written; reading goes on.
    pub fn close(&mut self, now: Instant, id: ConnectionId) {
        let _gone = self.with_connection(now, id, Connection::close);
    }

    /// The application will not read any more, but keeps the connection: see [`Connection::stop_reading`].
    pub fn stop_reading(&mut self, now: Instant, id: ConnectionId) {
        let _gone = self.with_connection(now, id, |connection, _| connection.stop_reading());
    }

    /// Lets go of a connection: the handle names nothing from now on, the stack delivers what was written and closes
    /// in order.
    ///
    /// What has arrived and was not read, or arrives later, is answered with RST. Beyond
    /// [`orphans_max`](crate::StackConfig::orphans_max) the connection is reset instead.
    pub fn release(&mut self, now: Instant, id: ConnectionId) {
        if self.connections.get(id).is_none() {
            return;
        }
        let too_many = self.connections.orphans() >= self.config.orphans_max;
        let refused = self.with_slot(now, id.slot, |connection, cx| {
            connection.release(cx);
            let refused = too_many && !connection.is_finished();
            if refused {
                connection.abort(cx);
            }
            refused
        });
        self.counters.orphans_refused += u64::from(refused == Some(true));
        self.orphan(id.slot);
    }

    /// ABORT (RFC 9293 3.10.5): resets the connection and lets go of it.
    pub fn abort(&mut self, now: Instant, id: ConnectionId) {
        if self.connections.get(id).is_none() {
            return;
        }
        self.with_slot(now, id.slot, |connection, cx| {
            connection.abort(cx);
            connection.release(cx);
        });
        self.orphan(id.slot);
    }

    /// Whether a connection to `addr` makes sense (RFC 9293 3.9.2.3 [MUST-46]).
    fn is_connectable(&self, addr: IpAddr) -> bool {
        let broadcast = match addr {
            IpAddr::V4(addr) => (0u16..)
                .zip(&self.interfaces)
                .any(|(n, _)| self.addresses.is_broadcast(InterfaceId(n), addr)),
            IpAddr::V6(_) => false,
        };
        !broadcast && !addr.is_unspecified() && !addr.is_multicast()
    }

    /// The local address of an active OPEN, settled before the first SYN leaves (RFC 9293 3.9.1.1 [MUST-44]).
    pub(crate) fn source_for(
        &self,
        options: &ConnectOptions,
        remote: IpAddr,
        hop: NextHop,
    ) -> Result<IpAddr, ConnectError> {
        match options.local_addr {
            Some(addr) if addr.is_ipv4() == remote.is_ipv4() && self.addresses.is_ours(&addr) => {
                Ok(addr)
            }
            Some(_) => Err(ConnectError::BadLocal),
            None if self.addresses.is_ours(&remote) => Ok(remote),
            None => {
                let interface = self.interfaces.get(hop.interface.index());
                interface
                    .and_then(|known| known.source_for(remote))
                    .ok_or(ConnectError::NoSource)
            }
        }
    }

    fn local_port(
        &mut self,
        options: &ConnectOptions,
        local: IpAddr,
        remote: Endpoint,
    ) -> Result<u16, ConnectError> {
        let tuple = |port| Tuple::new(Endpoint::new(local, port), remote);
        if let Some(port) = options.local_port {
            return match self.owner_of(&tuple(port)) {
                Some(Owner::Connection(_) | Owner::TimeWait(_)) => Err(ConnectError::InUse),
                None if port == 0 => Err(ConnectError::BadLocal),
                None if !self.steering.owns(&tuple(port)) => Err(ConnectError::OtherShard),
                None => Ok(port),
            };
        }
        // The table of ports is lent out while the other tables are asked.
        let Self {
            ports,
            listening,
            demux,
            connections,
            time_waits,
            steering,
            ..
        } = self;
        let is_free = |port| {
            let owns = |owner, tuple: &Tuple| match owner {
                Owner::Connection(slot) => connections.owns(slot, tuple),
                Owner::TimeWait(slot) => time_waits.owns(slot, tuple),
            };
            let endpoint = Endpoint::new(local, port);
            steering.owns(&tuple(port))
                && listening.find(&endpoint).is_none()
                && demux.find(&tuple(port), owns).is_none()
        };
        ports
            .pick(local, remote, is_free)
            .ok_or(ConnectError::NoPort)
    }
}

/// One socket of a stack at one moment, for `ss` and its like.
#[derive(Clone, Debug)]
pub enum SocketSummary<'a> {
    /// A connection.
    Connection {
        /// Its name.
        id: ConnectionId,
        /// Itself, to look at.
        connection: &'a Connection,
        /// Whether the application has let go of it.
        orphan: bool,
    },
    /// A connection in TIME-WAIT.
    TimeWait {
        /// Its four numbers.
        tuple: Tuple,
        /// When it is forgotten.
        deadline: Instant,
    },
    /// A listener.
    Listener {
        /// Its name.
        id: ListenerId,
        /// Where it waits.
        at: ListenAt,
        /// Itself, to look at.
        listener: &'a Listener,
    },
    /// A UDP socket.
    Udp {
        /// Its name.
        id: crate::UdpId,
        /// Its address; `None` for any.
        addr: Option<IpAddr>,
        /// Its port.
        port: u16,
        /// Datagrams that wait.
        queued: usize,
        /// What it has counted.
        counters: crate::UdpCounters,
    },
}

impl Stack {
    /// Every socket, in an order that does not change while nothing happens. Costs what there is: for display, not
    /// for packets.
    pub fn sockets(&self) -> impl Iterator<Item = SocketSummary<'_>> {
        let listeners = self
            .listening
            .iter()
            .map(|(id, entry)| SocketSummary::Listener {
                id,
                at: entry.at,
                listener: &entry.listener,
            });
        let connections =
            self.connections
                .iter()
                .map(|(id, slot): (_, &Slot)| SocketSummary::Connection {
                    id,
                    connection: &slot.connection,
                    orphan: slot.is_orphan(),
                });
        let time_waits = self
            .time_waits
            .iter()
            .map(|(record, deadline)| SocketSummary::TimeWait {
                tuple: *record.tuple(),
                deadline,
            });
        let udp = self.udp.iter().map(|(id, socket)| SocketSummary::Udp {
            id,
            addr: socket.addr,
            port: socket.port,
            queued: socket.queued(),
            counters: socket.counters,
        });
        listeners.chain(connections).chain(time_waits).chain(udp)
    }
}
