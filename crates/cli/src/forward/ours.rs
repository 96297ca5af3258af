//! The host's sockets that flows are re-made with, and the test whether a flow is one of our own that came back.
//!
//! If the host routes a destination to the very interface that flows come from, each flow would be re-made for ever.

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpStream, UdpSocket};

/// How long a destination may take to answer a SYN.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(130);

/// The local ends of our sockets.
#[derive(Debug, Default)]
pub(super) struct Ours {
    tcp: Mutex<HashSet<SocketAddr>>,
    udp: Mutex<HashSet<u16>>,
}

/// A connection to a destination. While it exists, its local end is known as ours.
#[derive(Debug)]
pub(super) struct Onward {
    pub(super) stream: TcpStream,
    _known: Known,
}

#[derive(Debug)]
struct Known {
    ours: Arc<Ours>,
    local: SocketAddr,
}

impl Drop for Known {
    fn drop(&mut self) {
        lock(&self.ours.tcp).remove(&self.local);
    }
}

/// A socket for the datagrams of one client. While it exists, its port is known as ours.
#[derive(Debug)]
pub(super) struct OnwardUdp {
    pub(super) socket: UdpSocket,
    ours: Arc<Ours>,
    port: u16,
}

impl Drop for OnwardUdp {
    fn drop(&mut self) {
        lock(&self.ours.udp).remove(&self.port);
    }
}

impl Ours {
    /// Connects to a destination.
    pub(super) async fn connect(self: Arc<Self>, destination: SocketAddr) -> io::Result<Onward> {
        let socket = Socket::new(
            Domain::for_address(destination),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        socket.set_nonblocking(true)?;
        let local = {
            // The SYN may be back before this thread is: whoever gets it waits here until its source is known.
            let mut tcp = lock(&self.tcp);
            match socket.connect(&destination.into()) {
                Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => {
                    return Err(error);
                }
                _ => {}
            }
            let local = socket
                .local_addr()?
                .as_socket()
                .ok_or(io::ErrorKind::AddrNotAvailable)?;
            tcp.insert(local);
            local
        };
        let known = Known { ours: self, local };
        let stream = TcpStream::from_std(socket.into())?;
        tokio::time::timeout(CONNECT_TIMEOUT, stream.writable())
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        match stream.take_error()? {
            Some(error) => Err(error),
            None => Ok(Onward {
                stream,
                _known: known,
            }),
        }
    }

    /// A socket that may write to anybody of a family.
    pub(super) async fn udp(self: Arc<Self>, is_ipv4: bool) -> io::Result<OnwardUdp> {
        let any: IpAddr = match is_ipv4 {
            true => Ipv4Addr::UNSPECIFIED.into(),
            false => Ipv6Addr::UNSPECIFIED.into(),
        };
        let socket = UdpSocket::bind((any, 0)).await?;
        let port = socket.local_addr()?.port();
        lock(&self.udp).insert(port);
        Ok(OnwardUdp {
            socket,
            ours: self,
            port,
        })
    }

    /// Whether this client is one of our own connections.
    pub(super) fn is_tcp(&self, client: SocketAddr) -> bool {
        lock(&self.tcp).contains(&client)
    }

    /// Whether this client is one of our own sockets.
    pub(super) async fn is_udp(&self, client: SocketAddr, destination: SocketAddr) -> bool {
        if !lock(&self.udp).contains(&client.port()) {
            return false;
        }
        // Somebody else's port may have the same number. Ours would have the address that the host takes for this destination.
        let source = async {
            let any: IpAddr = match destination.is_ipv4() {
                true => Ipv4Addr::UNSPECIFIED.into(),
                false => Ipv6Addr::UNSPECIFIED.into(),
            };
            let probe = UdpSocket::bind((any, 0)).await?;
            probe.connect(destination).await?;
            probe.local_addr()
        };
        source.await.is_ok_and(|source| source.ip() == client.ip())
    }
}

fn lock<T>(set: &Mutex<T>) -> MutexGuard<'_, T> {
    set.lock().unwrap_or_else(PoisonError::into_inner)
}
