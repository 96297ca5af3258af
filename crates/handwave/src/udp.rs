//! [`UdpSocket`].

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;

use bytes::Bytes;
use handwave_packet::Payload;
use handwave_stack::{UdpDatagram, UdpId, UdpSendError};
use handwave_tcp::Endpoint;

use crate::error::Error;
use crate::shards::Handles;
use crate::shared::Inner;
use crate::stack::{Stack, specified};
use crate::waiting::Place;

/// A UDP socket, shaped like tokio's.
///
/// Datagrams that nobody receives in time are dropped at the limits of [`UdpLimits`](crate::UdpLimits).
pub struct UdpSocket {
    handles: Handles,
    /// At each shard.
    ids: Vec<UdpId>,
    local: SocketAddr,
    /// Who may send, and to whom [`send`](Self::send) sends.
    peer: Mutex<Option<Endpoint>>,
}

impl UdpSocket {
    /// Binds an address and a port. An unspecified address means all of the stack's, port 0 a free one.
    ///
    /// # Errors
    ///
    /// [`AddrInUse`](io::ErrorKind::AddrInUse), or [`AddrNotAvailable`](io::ErrorKind::AddrNotAvailable) if the address is
    /// none of the stack's.
    pub fn bind(stack: &Stack, addr: SocketAddr) -> io::Result<Self> {
        let mut port = addr.port();
        // The first shard finds a port, the others follow it.
        let bind = |inner: &mut Inner, _| {
            let id = inner.stack.udp_bind(specified(addr), port)?;
            port = inner.stack.udp_local(id).map_or(0, |(_, port)| port);
            Ok(id)
        };
        let close = |inner: &mut Inner, _, id| inner.stack.udp_close(id);
        let bound = stack.handles().try_each(bind, close);
        Ok(Self {
            ids: bound.map_err(Error::Bind)?,
            handles: stack.handles().clone(),
            local: SocketAddr::new(addr.ip(), port),
            peer: Mutex::new(None),
        })
    }

    /// Talks to one peer from here on: what others send is dropped.
    ///
    /// # Errors
    ///
    /// None; the signature is tokio's, which waits for nothing here either.
    pub async fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        *self.lock_peer() = Some(peer.into());
        Ok(())
    }

    /// The address and port that were bound.
    ///
    /// # Errors
    ///
    /// None; the signature is tokio's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    /// The peer of a connected socket.
    ///
    /// # Errors
    ///
    /// [`NotConnected`](io::ErrorKind::NotConnected).
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer()?.into())
    }

    /// Sends a datagram to the peer.
    ///
    /// # Errors
    ///
    /// As [`send_to`](Self::send_to), and [`NotConnected`](io::ErrorKind::NotConnected).
    pub async fn send(&self, data: &[u8]) -> io::Result<usize> {
        let peer = self.peer()?;
        self.send_to(data, peer.into()).await
    }

    /// Sends a datagram; waits while the stack has too many packets to send.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) if it is too long,
    /// [`NetworkUnreachable`](io::ErrorKind::NetworkUnreachable) without a route, and, once, what an ICMP message said about
    /// an earlier datagram.
    pub async fn send_to(&self, data: &[u8], to: SocketAddr) -> io::Result<usize> {
        let payload = Payload::from(Bytes::copy_from_slice(data));
        let remote = Endpoint::from(to);
        // From there the answer, or what an ICMP message says of it, finds its way back.
        let shard = self.shard_towards(remote);
        let sent = self.handles[shard].wait_at(Place::Send, |inner| {
            let (id, now) = (self.ids[shard], self.handles[shard].runtime.now());
            let sent = inner.stack.udp_send_to(now, id, remote, payload.clone());
            poll_sent(sent, data.len())
        });
        sent.await
    }

    /// Receives a datagram of the peer; octets that do not fit into `buffer` are lost.
    ///
    /// # Errors
    ///
    /// [`NotConnected`](io::ErrorKind::NotConnected);
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) and others if an ICMP message said so.
    pub async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.peer()?;
        self.recv_from(buffer).await.map(|(count, _)| count)
    }

    /// Receives a datagram and who sent it; octets that do not fit into `buffer` are lost.
    ///
    /// # Errors
    ///
    /// When the stack's driver has ended.
    pub async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let received = self.handles.wait_any(
            |shard| Place::Receive(self.ids[shard]),
            |shard, inner| self.take(shard, inner),
        );
        let (_, datagram) = received.await?;
        let count = datagram.payload.copy_to_slice(buffer);
        Ok((count, datagram.source.into()))
    }

    fn shard_towards(&self, remote: Endpoint) -> usize {
        if self.handles.len() == 1 {
            return 0;
        }
        let (local, port) = (specified(self.local), self.local.port());
        let shard = self
            .handles
            .first()
            .look(|inner| inner.stack.shard_towards(local, port, remote));
        // Without a way there any shard can say so.
        shard.unwrap_or(0).into()
    }

    fn take(&self, shard: usize, inner: &mut Inner) -> Poll<io::Result<UdpDatagram>> {
        let id = self.ids[shard];
        let peer = *self.lock_peer();
        if peer.is_some()
            && let Some(why) = inner.stack.udp_take_error(id)
        {
            return Poll::Ready(Err(Error::Send(UdpSendError::Unreachable(why)).into()));
        }
        while let Some(datagram) = inner.stack.udp_recv_from(id) {
            if peer.is_none_or(|peer| peer == datagram.source) {
                return Poll::Ready(Ok(datagram));
            }
        }
        Poll::Pending
    }

    fn peer(&self) -> io::Result<Endpoint> {
        let peer = *self.lock_peer();
        peer.ok_or_else(|| Error::NotConnected.into())
    }

    fn lock_peer(&self) -> std::sync::MutexGuard<'_, Option<Endpoint>> {
        self.peer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A full queue is a reason to wait.
pub(crate) fn poll_sent(sent: Result<(), UdpSendError>, len: usize) -> Poll<io::Result<usize>> {
    match sent {
        Ok(()) => Poll::Ready(Ok(len)),
        Err(UdpSendError::QueueFull) => Poll::Pending,
        Err(error) => Poll::Ready(Err(Error::Send(error).into())),
    }
}

impl Drop for UdpSocket {
    fn drop(&mut self) {
        for (handle, id) in self.handles.iter().zip(&self.ids).rev() {
            handle.call(|inner, _| inner.stack.udp_close(*id));
        }
    }
}

impl fmt::Debug for UdpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UdpSocket")
            .field("local", &self.local)
            .field("peer", &*self.lock_peer())
            .finish_non_exhaustive()
    }
}
