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
use crate::shared::{Handle, Inner};
use crate::stack::{Stack, specified};
use crate::waiting::Place;

/// A UDP socket, shaped like tokio's.
///
/// Datagrams that nobody receives in time are dropped at the limits of [`UdpLimits`](crate::UdpLimits).
pub struct UdpSocket {
    handle: Handle,
    id: UdpId,
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
        let bound = stack.handle().call(|inner, _| {
            let id = inner.stack.udp_bind(specified(addr), addr.port())?;
            let port = inner.stack.udp_local(id).map_or(0, |(_, port)| port);
            Ok((id, port))
        });
        let (id, port) = bound.map_err(Error::Bind)?;
        Ok(Self {
            handle: stack.handle().clone(),
            id,
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
        let (id, remote) = (self.id, Endpoint::from(to));
        let sent = self.handle.wait_at(Place::Send, |inner, now| {
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
        let received = self
            .handle
            .wait_at(Place::Receive(self.id), |inner, _| self.take(inner));
        let datagram = received.await?;
        let count = datagram.payload.copy_to_slice(buffer);
        Ok((count, datagram.source.into()))
    }

    fn take(&self, inner: &mut Inner) -> Poll<io::Result<UdpDatagram>> {
        let peer = *self.lock_peer();
        if peer.is_some()
            && let Some(why) = inner.stack.udp_take_error(self.id)
        {
            return Poll::Ready(Err(Error::Send(UdpSendError::Unreachable(why)).into()));
        }
        while let Some(datagram) = inner.stack.udp_recv_from(self.id) {
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
        self.handle.call(|inner, _| inner.stack.udp_close(self.id));
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
