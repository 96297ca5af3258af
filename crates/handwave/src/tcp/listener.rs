//! [`TcpListener`].

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use handwave_stack::{ListenAt, ListenerConfig, ListenerId};
use handwave_tcp::{ListenerCounters, Tuple};

use super::{Connection, TcpStream};
use crate::error::Error;
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
    handle: Handle,
    id: ListenerId,
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
        let (id, port) = stack.handle().call(|inner, _| match addr.port() {
            0 => listen_anywhere(inner, ip, &limits),
            port => Ok((
                inner.stack.listen(ListenAt { addr: ip, port }, limits)?,
                port,
            )),
        })?;
        Ok(Self {
            handle: stack.handle().clone(),
            id,
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
        let place = Place::Accept(self.id);
        let accepted = self.handle.wait_at(place, |inner, _| self.take(inner));
        accepted.await.map(|taken| self.stream(taken))
    }

    /// Takes the connection that has waited longest, or has `cx` woken when there is one. The latest call counts.
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let place = Place::Accept(self.id);
        let accepted = self
            .handle
            .poll_at(place, Ticket::POLL, cx, |inner, _| self.take(inner));
        accepted.map_ok(|taken| self.stream(taken))
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
        self.of_listener(handwave_tcp::Listener::waiting)
    }

    /// Connections whose handshake is not complete (SYN-RECEIVED).
    #[must_use]
    pub fn half_open(&self) -> usize {
        self.of_listener(handwave_tcp::Listener::half_open)
    }

    /// What has happened here so far.
    #[must_use]
    pub fn counters(&self) -> ListenerCounters {
        self.of_listener(|listener| listener.counters().clone())
    }

    fn of_listener<R: Default>(&self, look: impl FnOnce(&handwave_tcp::Listener) -> R) -> R {
        let id = self.id;
        self.handle
            .look(|inner| inner.stack.listener(id).map(look).unwrap_or_default())
    }

    fn take(&self, inner: &mut Inner) -> Poll<io::Result<(handwave_stack::ConnectionId, Tuple)>> {
        match inner.stack.accept(self.id) {
            Some(taken) => Poll::Ready(Ok(taken)),
            None => Poll::Pending,
        }
    }

    fn stream(&self, taken: (handwave_stack::ConnectionId, Tuple)) -> (TcpStream, SocketAddr) {
        let (id, tuple) = taken;
        let connection = Connection::new(self.handle.clone(), id, tuple);
        (TcpStream::new(connection), tuple.remote.into())
    }
}

/// Finds a port that nobody listens on.
fn listen_anywhere(
    inner: &mut Inner,
    addr: Option<IpAddr>,
    limits: &ListenerConfig,
) -> Result<(ListenerId, u16), Error> {
    let mut result = Err(Error::Listen(handwave_stack::ListenError::InUse));
    for _ in DYNAMIC_PORTS {
        let port = inner.next_port.max(*DYNAMIC_PORTS.start());
        inner.next_port = port.checked_add(1).unwrap_or(*DYNAMIC_PORTS.start());
        result = inner
            .stack
            .listen(ListenAt { addr, port }, limits.clone())
            .map(|id| (id, port))
            .map_err(Error::from);
        if result != Err(Error::Listen(handwave_stack::ListenError::InUse)) {
            break;
        }
    }
    result
}

impl Drop for TcpListener {
    fn drop(&mut self) {
        self.handle
            .call(|inner, now| inner.stack.close_listener(now, self.id));
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpListener")
            .field("local", &self.local)
            .finish_non_exhaustive()
    }
}
