//! [`TcpListener`].

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};

use handwave_stack::{ListenAt, ListenerConfig, ListenerId};
use handwave_tcp::{ListenerCounters, ListenerPool, Tuple};

use super::{Connection, TcpStream};
use crate::error::Error;
use crate::shards::Handles;
use crate::shared::{Handle, Inner};
use crate::stack::{Stack, specified};
use crate::waiting::{Place, Ticket};

/// Where listeners bound to port 0 look for a free one (RFC 6335 6).
const DYNAMIC_PORTS: std::ops::RangeInclusive<u16> = 49_152..=65_535;

/// Waits for connections, shaped like tokio's.
///
/// Connections whose handshake is complete wait in the accept queue until they are [accepted](Self::accept). When it is full, peers are
/// kept waiting with their handshake, as on Linux. Dropping the listener resets those that wait.
pub struct TcpListener {
    handles: Handles,
    /// At each shard.
    ids: Vec<ListenerId>,
    local: SocketAddr,
}

impl TcpListener {
    /// Listens on an address and a port, with the queues of [`ListenerConfig::default`].
    ///
    /// An unspecified address, of either family, takes connections to any address of the stack. Port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// [`AddrInUse`](io::ErrorKind::AddrInUse), or [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable) if the address is
    /// none of the stack's.
    pub fn bind(stack: &Stack, addr: SocketAddr) -> io::Result<Self> {
        Self::bind_with(stack, addr, ListenerConfig::default())
    }

    /// Listens with queues of the caller's choice.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind).
    pub fn bind_with(stack: &Stack, addr: SocketAddr, limits: ListenerConfig) -> io::Result<Self> {
        let ip = specified(addr);
        let mut port = addr.port();
        let pool = stack.handles().listener_pool(&limits.limits);
        // The first shard finds a port, the others follow it.
        let listen = |inner: &mut Inner, _| {
            if port == 0 {
                let (id, found) = listen_anywhere(inner, ip, &limits, pool.as_ref())?;
                port = found;
                return Ok(id);
            }
            let at = ListenAt { addr: ip, port };
            listen_at(inner, at, &limits, pool.as_ref())
        };
        let close = |inner: &mut Inner, now, id| inner.stack.close_listener(now, id);
        let ids = stack.handles().try_each(listen, close)?;
        Ok(Self {
            handles: stack.handles().clone(),
            ids,
            local: SocketAddr::new(addr.ip(), port),
        })
    }

    /// Takes the connection that has waited longest, or waits for one.
    ///
    /// Several tasks may wait at once. Dropping the future loses no connection.
    ///
    /// # Errors
    ///
    /// When the stack's driver has ended. What happens to a connection is an error of that connection, never one of this call.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let place = |shard: usize| Place::Accept(self.ids[shard]);
        let accepted = self
            .handles
            .wait_any(place, |shard, inner| self.take(shard, inner));
        accepted
            .await
            .map(|(shard, taken)| stream(&self.handles[shard], taken))
    }

    /// Takes the connection that has waited longest, or has `cx` woken when there is one. The latest call counts.
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let place = |shard: usize| Place::Accept(self.ids[shard]);
        let accepted = self.handles.poll_any(
            place,
            |_| Ticket::POLL,
            cx,
            |shard, inner| self.take(shard, inner),
        );
        accepted.map_ok(|(shard, taken)| stream(&self.handles[shard], taken))
    }

    /// The address and port that were bound.
    ///
    /// # Errors
    ///
    /// None; the signature is tokio's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    /// Connections that wait to be accepted.
    #[must_use]
    pub fn waiting(&self) -> usize {
        let mut waiting = 0;
        self.for_each(|listener| waiting += listener.waiting());
        waiting
    }

    /// Connections whose handshake is not complete (SYN-RECEIVED).
    #[must_use]
    pub fn half_open(&self) -> usize {
        let mut half_open = 0;
        self.for_each(|listener| half_open += listener.half_open());
        half_open
    }

    /// What has happened here so far.
    #[must_use]
    pub fn counters(&self) -> ListenerCounters {
        let mut total = ListenerCounters::default();
        self.for_each(|listener| total.add(listener.counters()));
        total
    }

    /// Looks at what stands for this listener in each shard.
    fn for_each(&self, mut look: impl FnMut(&handwave_tcp::Listener)) {
        for (handle, id) in self.handles.iter().zip(&self.ids) {
            handle.look(|inner| inner.stack.listener(*id).map(&mut look));
        }
    }

    fn take(&self, shard: usize, inner: &mut Inner) -> Poll<io::Result<Taken>> {
        match inner.stack.accept(self.ids[shard]) {
            Some(taken) => Poll::Ready(Ok(taken)),
            None => Poll::Pending,
        }
    }
}

type Taken = (handwave_stack::ConnectionId, Tuple);

fn stream(handle: &Handle, (id, tuple): Taken) -> (TcpStream, SocketAddr) {
    let connection = Connection::new(handle.clone(), id, tuple);
    (TcpStream::new(connection), tuple.remote.into())
}

fn listen_at(
    inner: &mut Inner,
    at: ListenAt,
    limits: &ListenerConfig,
    pool: Option<&ListenerPool>,
) -> Result<ListenerId, Error> {
    let limits = limits.clone();
    let listening = match pool {
        None => inner.stack.listen(at, limits),
        Some(pool) => {
            let config = Arc::clone(&inner.stack.config().tcp);
            inner.stack.listen_pooled(at, limits, config, pool.clone())
        }
    };
    listening.map_err(Error::from)
}

/// Finds a port that nobody listens on.
fn listen_anywhere(
    inner: &mut Inner,
    addr: Option<IpAddr>,
    limits: &ListenerConfig,
    pool: Option<&ListenerPool>,
) -> Result<(ListenerId, u16), Error> {
    let mut result = Err(Error::Listen(handwave_stack::ListenError::InUse));
    for _ in DYNAMIC_PORTS {
        let port = inner.next_port.max(*DYNAMIC_PORTS.start());
        inner.next_port = port.checked_add(1).unwrap_or(*DYNAMIC_PORTS.start());
        result = listen_at(inner, ListenAt { addr, port }, limits, pool).map(|id| (id, port));
        if result != Err(Error::Listen(handwave_stack::ListenError::InUse)) {
            break;
        }
    }
    result
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        // The first shard, which decides who may listen where, comes last.
        for (handle, id) in self.handles.iter().zip(&self.ids).rev() {
            handle.call(|inner, now| inner.stack.close_listener(now, *id));
        }
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpListener")
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}
