//! `--forward ../udp`: each client's datagrams through a socket of its own, so that answers find back.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use handwave::UdpSocket;
use tokio::net::UdpSocket as HostSocket;

use crate::live::Tasks;
use crate::streams;

/// Clients at a time; datagrams of others are dropped.
const CLIENTS_MAX: usize = 4_096;
/// How long a server may be silent before its client is forgotten (RFC 4787 4.3 asks for two minutes at least).
const IDLE: Duration = Duration::from_secs(120);
/// No datagram is longer.
const DATAGRAM_MAX: usize = 65_535;

/// The host's socket of each client.
type Clients = Arc<Mutex<HashMap<SocketAddr, Arc<HostSocket>>>>;

/// Forwards datagrams until asked to end.
pub(in crate::serve) async fn serve(socket: UdpSocket, target: String, tasks: Tasks) {
    let socket = Arc::new(socket);
    let clients = Clients::default();
    let mut buffer = vec![0; DATAGRAM_MAX];
    loop {
        let received = tokio::select! {
            received = socket.recv_from(&mut buffer) => received,
            () = tasks.stopped() => return,
        };
        let Ok((count, client)) = received else {
            return;
        };
        let host = match host_socket(&clients, client, &target).await {
            Ok(Known::Old(host)) => host,
            Ok(Known::New(host)) => {
                let answers = answers(
                    Arc::clone(&socket),
                    client,
                    Arc::clone(&host),
                    Arc::clone(&clients),
                );
                let stop = tasks.clone();
                tasks.spawn(async move {
                    tokio::select! {
                        () = answers => {}
                        () = stop.stopped() => {}
                    }
                });
                host
            }
            Ok(Known::TooMany) => continue,
            Err(error) => {
                tracing::warn!(
                    "a datagram of {client} was dropped: the backend {target} cannot be reached: {error}"
                );
                continue;
            }
        };
        let datagram = buffer.get(..count).unwrap_or_default();
        // As in a network, what cannot be sent is lost. An ICMP error about an earlier datagram is told here.
        if let Err(error) = host.send(datagram).await {
            tracing::warn!("a datagram of {client} was lost: the backend {target} says: {error}");
        }
    }
}

enum Known {
    Old(Arc<HostSocket>),
    New(Arc<HostSocket>),
    TooMany,
}

async fn host_socket(clients: &Clients, client: SocketAddr, target: &str) -> io::Result<Known> {
    {
        let clients = lock(clients);
        if let Some(host) = clients.get(&client) {
            return Ok(Known::Old(Arc::clone(host)));
        }
        if clients.len() >= CLIENTS_MAX {
            return Ok(Known::TooMany);
        }
    }
    let host = Arc::new(connected(target).await?);
    lock(clients).insert(client, Arc::clone(&host));
    Ok(Known::New(host))
}

async fn connected(target: &str) -> io::Result<HostSocket> {
    let mut result = Err(io::ErrorKind::NotFound.into());
    for address in tokio::net::lookup_host(target).await? {
        let any = match address {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let host = HostSocket::bind(any).await?;
        result = host.connect(address).await.map(|()| host);
        if result.is_ok() {
            break;
        }
    }
    result
}

/// Sends a client what its server answers, until that has been silent for long.
async fn answers(
    socket: Arc<UdpSocket>,
    client: SocketAddr,
    host: Arc<HostSocket>,
    clients: Clients,
) {
    while let Ok(Ok((datagram, _))) = tokio::time::timeout(IDLE, streams::receive(&host)).await {
        if socket.send_to(&datagram, client).await.is_err() {
            break;
        }
    }
    lock(&clients).remove(&client);
}

fn lock(clients: &Clients) -> std::sync::MutexGuard<'_, HashMap<SocketAddr, Arc<HostSocket>>> {
    clients.lock().unwrap_or_else(PoisonError::into_inner)
}
