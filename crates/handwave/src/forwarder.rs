//! [`Forwarder`]: every flow that enters the stack, whatever its destination, handed to the program.

mod sessions;

pub use sessions::UdpSession;

pub(crate) use sessions::Sessions;

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use handwave_stack::{ForwardLimits, ForwardRequest};
use handwave_tcp::{Config, ListenerCounters, Unreachable};
use handwave_wire::TcpOptions;

use crate::error::Error;
use crate::shards::Handles;
use crate::shared::{Handle, Inner};
use crate::stack::Stack;
use crate::tcp::{Connection, TcpStream};
use crate::waiting::Place;

/// Limits of a [`Forwarder`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwarderConfig {
    /// TCP requests that are not decided and the defence against a flood of them, and datagrams that wait to be sorted.
    pub limits: ForwardLimits,
    /// UDP sessions at a time. At the limit datagrams that would begin another are dropped.
    pub sessions_max: usize,
    /// How long a UDP session lives without a datagram in either direction (RFC 4787 4.3 asks for two minutes at least).
    pub session_idle: Duration,
    /// Datagrams that wait in one session for the program; the next ones are dropped.
    pub session_queue_max: usize,
}

impl Default for ForwarderConfig {
    fn default() -> Self {
        Self {
            limits: ForwardLimits::default(),
            sessions_max: 4_096,
            session_idle: Duration::from_secs(120),
            session_queue_max: 64,
        }
    }
}

/// Takes flows to any address and any port, as a transparent proxy or the inner end of a VPN does.
///
/// A TCP flow is decided before its client hears anything: the program may first connect onward and accept the client only when that has
/// succeeded. A UDP flow is a session between a client and the address it wrote to; answers bear that address.
///
/// While more clients ask than [`ForwarderConfig::limits`] lets wait, as in a SYN flood, the next ones are answered by cookies, and
/// their requests come once they have proved that they are where they say: see [`TcpRequest::is_established`].
///
/// What is for the stack's own addresses goes to its own listeners and sockets. One stack has one forwarder; dropping it drops
/// what is undecided, and the sessions of UDP. Streams that it has given live on.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// use handwave::{Flow, Forwarder, ForwarderConfig, Stack, TcpStream, device};
/// use tokio::io::AsyncReadExt;
///
/// let (left, right) = device::pair(1_500, 256);
/// let client = Stack::builder().device(left).address([10, 0, 0, 1], 24).spawn()?;
/// let gateway = Stack::builder().device(right).spawn()?;
///
/// let forwarder = Forwarder::new(&gateway, ForwarderConfig::default())?;
/// tokio::spawn(async move {
///     while let Ok(flow) = forwarder.next().await {
///         match flow {
///             Flow::Tcp(request) if request.destination().port() == 80 => {
///                 let stream = request.accept().await?;
///                 stream.try_write(b"not the host you think")?;
///             }
///             Flow::Tcp(request) => request.refuse(),
///             Flow::Udp(session) => drop(session),
///         }
///     }
///     std::io::Result::Ok(())
/// });
///
/// let mut stream = TcpStream::connect(&client, "203.0.113.9:80".parse().unwrap()).await?;
/// let mut text = String::new();
/// stream.read_to_string(&mut text).await?;
/// assert_eq!(text, "not the host you think");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Forwarder {
    handles: Handles,
}

/// A flow that has entered.
#[derive(Debug)]
pub enum Flow {
    /// A client wants a connection.
    Tcp(TcpRequest),
    /// A client has sent a datagram.
    Udp(UdpSession),
}

impl Forwarder {
    /// Begins to take what enters `stack` for others.
    ///
    /// # Errors
    ///
    /// [`AddrInUse`](io::ErrorKind::AddrInUse) if the stack has a forwarder.
    pub fn new(stack: &Stack, config: ForwarderConfig) -> io::Result<Self> {
        let handles = stack.handles().clone();
        let config = ForwarderConfig {
            sessions_max: config.sessions_max.div_ceil(handles.len()),
            ..config
        };
        let pool = handles.listener_pool(&config.limits.tcp.limits);
        let start = |inner: &mut Inner, _| {
            let (interface, limits) = (inner.interface, config.limits.clone());
            let udp = match &pool {
                None => inner.stack.start_forwarding(interface, limits),
                Some(pool) => {
                    let pool = pool.clone();
                    inner.stack.start_forwarding_pooled(interface, limits, pool)
                }
            }?;
            inner.sessions = Sessions::new(udp, &config);
            Ok::<(), Error>(())
        };
        handles.try_each(start, |inner, now, ()| inner.stack.stop_forwarding(now))?;
        Ok(Self { handles })
    }

    /// Waits for the next flow of either kind. Dropping the future loses none.
    ///
    /// # Errors
    ///
    /// When the stack's driver has ended.
    pub async fn next(&self) -> io::Result<Flow> {
        let mut tcp = pin!(self.tcp());
        let mut udp = pin!(self.udp());
        poll_fn(|cx| {
            if let Poll::Ready(request) = tcp.as_mut().poll(cx) {
                return Poll::Ready(request.map(Flow::Tcp));
            }
            udp.as_mut().poll(cx).map(|session| session.map(Flow::Udp))
        })
        .await
    }

    /// Waits for the next client that wants a TCP connection. Dropping the future loses none.
    ///
    /// # Errors
    ///
    /// When the stack's driver has ended.
    pub async fn tcp(&self) -> io::Result<TcpRequest> {
        let request = self.handles.wait_any(
            |_| Place::Request,
            |_, inner| match inner.stack.poll_forward_request() {
                Some(request) => Poll::Ready(Ok(request)),
                None => Poll::Pending,
            },
        );
        let (shard, request) = request.await?;
        Ok(TcpRequest {
            request,
            handle: self.handles[shard].clone(),
            decided: false,
        })
    }

    /// Waits for the next UDP session. Dropping the future loses none.
    ///
    /// # Errors
    ///
    /// When the stack's driver has ended.
    pub async fn udp(&self) -> io::Result<UdpSession> {
        let fresh = self.handles.wait_any(
            |_| Place::Session,
            |_, inner| match inner.sessions.accept() {
                Some(fresh) => Poll::Ready(Ok(fresh)),
                None => Poll::Pending,
            },
        );
        let (shard, (id, flow)) = fresh.await?;
        Ok(UdpSession::new(self.handles[shard].clone(), id, flow))
    }
}

impl Forwarder {
    /// What has happened to the SYNs of clients so far: how many were recorded, answered by cookies, refused and why.
    #[must_use]
    pub fn counters(&self) -> ListenerCounters {
        let mut total = ListenerCounters::default();
        for handle in self.handles.iter() {
            handle.look(|inner| {
                let listener = inner.stack.forward_listener();
                let known = listener.and_then(|id| inner.stack.listener(id));
                known.map(|known| total.add(known.counters()))
            });
        }
        total
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        for handle in self.handles.iter().rev() {
            handle.call(|inner, now| {
                inner.stack.stop_forwarding(now);
                inner.sessions.stop();
            });
        }
    }
}

/// A client that wants a TCP connection, and has heard nothing yet.
///
/// Dropping a request refuses it.
pub struct TcpRequest {
    handle: Handle,
    request: ForwardRequest,
    decided: bool,
}

impl TcpRequest {
    /// The client.
    #[must_use]
    pub fn client(&self) -> SocketAddr {
        self.request.tuple.remote.into()
    }

    /// The address and port that the client asks for.
    #[must_use]
    pub fn destination(&self) -> SocketAddr {
        self.request.tuple.local.into()
    }

    /// What the client offers in its SYN.
    #[must_use]
    pub const fn options(&self) -> &TcpOptions {
        &self.request.options
    }

    /// Whether a cookie answered the client's SYN, and the client has brought it back.
    ///
    /// Then it believes the connection open already, and may have written. Accepting is done at once, with the settings that all
    /// connections have. What is refused or unreachable is reset; a request that was ignored comes again with the client's next
    /// segment.
    #[must_use]
    pub const fn is_established(&self) -> bool {
        self.request.established
    }

    /// Answers with SYN+ACK and waits for the handshake. Dropping the future gives the connection up.
    ///
    /// # Errors
    ///
    /// [`ConnectionAborted`](io::ErrorKind::ConnectionAborted) if the client has given up meanwhile, and as
    /// [`TcpStream::connect`].
    pub async fn accept(self) -> io::Result<TcpStream> {
        self.answer(None).await
    }

    /// The same, with settings for this connection alone. They come too late for one that is [established](Self::is_established).
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    pub async fn accept_with(self, config: Arc<Config>) -> io::Result<TcpStream> {
        self.answer(Some(config)).await
    }

    async fn answer(mut self, config: Option<Arc<Config>>) -> io::Result<TcpStream> {
        self.decided = true;
        let tuple = self.request.tuple;
        let accepted = self
            .handle
            .call(|inner, now| inner.stack.accept_forward(now, &tuple, config));
        let id = accepted.map_err(Error::from)?;
        let connection = Connection::new(self.handle.clone(), id, tuple);
        connection.established().await?;
        Ok(TcpStream::new(connection))
    }

    /// Answers with RST, as if nobody listened there.
    pub fn refuse(self) {
        // Dropping does it.
    }

    /// Answers with an ICMP error: the way onward is closed. The client goes on trying, and names this error if all fails. One
    /// that is [established](Self::is_established) is reset.
    pub fn unreachable(mut self, why: Unreachable) {
        self.decided = true;
        let tuple = self.request.tuple;
        self.handle
            .call(|inner, now| inner.stack.forward_unreachable(now, &tuple, why));
    }

    /// Does not answer. If the client repeats its SYN, that is another request.
    pub fn ignore(mut self) {
        self.decided = true;
        let tuple = self.request.tuple;
        self.handle
            .call(|inner, _| inner.stack.drop_forward(&tuple));
    }
}

impl Drop for TcpRequest {
    fn drop(&mut self) {
        if self.decided {
            return;
        }
        let tuple = self.request.tuple;
        self.handle
            .call(|inner, now| inner.stack.refuse_forward(now, &tuple));
    }
}

impl fmt::Debug for TcpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpRequest")
            .field("client", &self.client())
            .field("destination", &self.destination())
            .finish_non_exhaustive()
    }
}
