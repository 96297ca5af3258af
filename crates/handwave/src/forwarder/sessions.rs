//! UDP sessions of a forwarder: datagrams sorted by client and destination, bounded, ended when idle.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use handwave_packet::Payload;
use handwave_stack::{UdpDatagram, UdpId};
use handwave_tcp::{Endpoint, Instant};

use super::ForwarderConfig;
use crate::shared::Handle;
use crate::udp::poll_sent;
use crate::waiting::{Place, Waiting};

/// Between whom a session is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct SessionFlow {
    client: Endpoint,
    destination: Endpoint,
}

/// All sessions of a stack's forwarder.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    /// The socket on which all datagrams arrive, while there is a forwarder.
    udp: Option<UdpId>,
    by_flow: HashMap<SessionFlow, u64>,
    table: HashMap<u64, Session>,
    /// Sessions that the program has not seen.
    fresh: VecDeque<u64>,
    /// When each session may be over; it is looked at again then.
    deadlines: BinaryHeap<Reverse<(Instant, u64)>>,
    next_id: u64,
    sessions_max: usize,
    queue_max: usize,
    idle: Duration,
}

#[derive(Debug)]
struct Session {
    flow: SessionFlow,
    queue: VecDeque<Payload>,
    last_used: Instant,
}

impl Sessions {
    pub(crate) fn new(udp: UdpId, config: &ForwarderConfig) -> Self {
        Self {
            udp: Some(udp),
            sessions_max: config.sessions_max,
            queue_max: config.session_queue_max,
            idle: config.session_idle,
            ..Self::default()
        }
    }

    /// Forgets the sessions that the program has not seen; the others end when they are dropped.
    pub(crate) fn stop(&mut self) {
        self.udp = None;
        while let Some(id) = self.fresh.pop_front() {
            self.remove(id);
        }
    }

    /// Whether datagrams to be forwarded arrive on this socket.
    pub(crate) fn is_at(&self, udp: UdpId) -> bool {
        self.udp == Some(udp)
    }

    /// Puts a datagram into its session, or begins one.
    pub(crate) fn sort(
        &mut self,
        now: Instant,
        datagram: UdpDatagram,
        waiting: &mut Waiting,
        woken: &mut Vec<Waker>,
    ) {
        let flow = SessionFlow {
            client: datagram.source,
            destination: datagram.destination,
        };
        let id = match self.by_flow.get(&flow) {
            Some(id) => *id,
            None if self.table.len() >= self.sessions_max => return,
            None => {
                let id = self.begin(now, flow);
                waiting.take(Place::Session, woken);
                id
            }
        };
        let Some(session) = self.table.get_mut(&id) else {
            return;
        };
        session.last_used = now;
        if session.queue.len() < self.queue_max {
            session.queue.push_back(datagram.payload);
            waiting.take(Place::Datagram(id), woken);
        }
    }

    fn begin(&mut self, now: Instant, flow: SessionFlow) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let session = Session {
            flow,
            queue: VecDeque::new(),
            last_used: now,
        };
        self.table.insert(id, session);
        self.by_flow.insert(flow, id);
        self.fresh.push_back(id);
        self.deadlines.push(Reverse((now + self.idle, id)));
        id
    }

    /// The oldest session that the program has not seen.
    pub(crate) fn accept(&mut self) -> Option<(u64, SessionFlow)> {
        loop {
            let id = self.fresh.pop_front()?;
            if let Some(session) = self.table.get(&id) {
                return Some((id, session.flow));
            }
        }
    }

    /// When a session may be over.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines
            .peek()
            .map(|Reverse((deadline, _))| *deadline)
    }

    /// Ends the sessions that nobody has used for too long.
    pub(crate) fn expire(&mut self, now: Instant, waiting: &mut Waiting, woken: &mut Vec<Waker>) {
        while let Some(Reverse((deadline, id))) = self.deadlines.peek().copied() {
            if deadline > now {
                return;
            }
            self.deadlines.pop();
            let Some(session) = self.table.get(&id) else {
                continue;
            };
            let over = session.last_used + self.idle;
            if over > now {
                self.deadlines.push(Reverse((over, id)));
            } else {
                self.remove(id);
                waiting.take(Place::Datagram(id), woken);
            }
        }
    }

    fn remove(&mut self, id: u64) {
        if let Some(session) = self.table.remove(&id) {
            self.by_flow.remove(&session.flow);
        }
        // Sessions that end early leave their deadlines behind, which must not outgrow the table.
        if self.deadlines.len() > 2 * self.table.len() + 64 {
            let table = &self.table;
            self.deadlines
                .retain(|Reverse((_, id))| table.contains_key(id));
        }
    }
}

/// Datagrams between one client and the address and port that it wrote to.
///
/// A session is over when neither side has said anything for [`session_idle`](super::ForwarderConfig::session_idle), or when this is
/// dropped; the client's next datagram then begins another.
pub struct UdpSession {
    handle: Handle,
    id: u64,
    flow: SessionFlow,
}

impl UdpSession {
    pub(super) fn new(handle: Handle, id: u64, flow: SessionFlow) -> Self {
        Self { handle, id, flow }
    }

    /// The client.
    #[must_use]
    pub fn client(&self) -> SocketAddr {
        self.flow.client.into()
    }

    /// The address and port that the client writes to.
    #[must_use]
    pub fn destination(&self) -> SocketAddr {
        self.flow.destination.into()
    }

    /// Waits for the client's next datagram; octets that do not fit into `buffer` are lost.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](io::ErrorKind::TimedOut) when the session is over.
    pub async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.recv_payload().await?.copy_to_slice(buffer))
    }

    /// Waits for the client's next datagram, which is not copied.
    ///
    /// # Errors
    ///
    /// As [`recv`](Self::recv).
    pub async fn recv_payload(&self) -> io::Result<Payload> {
        let id = self.id;
        let received = self.handle.wait_at(Place::Datagram(id), |inner| {
            let Some(session) = inner.sessions.table.get_mut(&id) else {
                return Poll::Ready(Err(over()));
            };
            match session.queue.pop_front() {
                Some(payload) => Poll::Ready(Ok(payload)),
                None => Poll::Pending,
            }
        });
        received.await
    }

    /// Sends a datagram to the client, from the address and port that it wrote to.
    ///
    /// # Errors
    ///
    /// [`TimedOut`](io::ErrorKind::TimedOut) when the session is over; otherwise as
    /// [`UdpSocket::send_to`](crate::UdpSocket::send_to).
    pub async fn send(&self, data: &[u8]) -> io::Result<usize> {
        self.send_as(self.flow.destination, data).await
    }

    /// Sends a datagram to the client from another address or port, as a server does that answers from a fresh port (TFTP,
    /// RFC 1350 4). What the client writes back to it is a session of its own.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn send_from(&self, source: SocketAddr, data: &[u8]) -> io::Result<usize> {
        self.send_as(source.into(), data).await
    }

    async fn send_as(&self, source: Endpoint, data: &[u8]) -> io::Result<usize> {
        let payload = Payload::from(Bytes::copy_from_slice(data));
        let client = self.flow.client;
        let sent = self.handle.wait_at(Place::Send, |inner| {
            let Some(session) = inner.sessions.table.get_mut(&self.id) else {
                return Poll::Ready(Err(over()));
            };
            let now = self.handle.runtime.now();
            session.last_used = now;
            let sent = inner
                .stack
                .udp_send_from(now, source, client, payload.clone());
            poll_sent(sent, data.len())
        });
        sent.await
    }
}

fn over() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the session has been idle")
}

impl Drop for UdpSession {
    fn drop(&mut self) {
        self.handle.look(|inner| inner.sessions.remove(self.id));
    }
}

impl fmt::Debug for UdpSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpSession")
            .field("client", &self.client())
            .field("destination", &self.destination())
            .finish_non_exhaustive()
    }
}
