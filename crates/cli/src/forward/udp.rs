//! UDP: one socket of the host for each client, whoever it writes to, so that servers that answer from a fresh port find back
//! (RFC 4787 4.1: endpoint-independent mapping). Only hosts that the client has written to get through (RFC 4787 5).

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use handwave::UdpSession;
use tokio::task::AbortHandle;

use super::ours::{OnwardUdp, Ours};
use crate::streams;

/// Every client that has sessions.
#[derive(Clone, Debug, Default)]
pub(super) struct Clients(Arc<Mutex<HashMap<SocketAddr, Weak<Client>>>>);

/// A client with its socket, kept by its sessions.
#[derive(Debug)]
struct Client {
    address: SocketAddr,
    shared: Arc<Shared>,
    clients: Clients,
    answers: AbortHandle,
}

/// What a client's sessions share with the task that waits for answers.
#[derive(Debug)]
struct Shared {
    onward: OnwardUdp,
    /// By destination.
    sessions: Mutex<HashMap<SocketAddr, Arc<UdpSession>>>,
}

/// Forwards the datagrams between a client and one destination until the session is over.
pub(super) async fn forward(session: UdpSession, clients: Clients, ours: Arc<Ours>) {
    let (address, destination) = (session.client(), session.destination());
    if ours.is_udp(address, destination).await {
        tracing::warn!(
            "datagrams to {destination} are dropped: the host routes them to this interface, so our own came back; give it another route"
        );
        return;
    }
    let client = match clients.of(address, ours).await {
        Ok(client) => client,
        Err(error) => {
            tracing::warn!(
                "{address} does not reach {destination}: no socket could be made: {error}"
            );
            return;
        }
    };
    tracing::info!("{address} writes to {destination}");
    let session = Arc::new(session);
    lock(&client.shared.sessions).insert(destination, Arc::clone(&session));
    while let Ok(datagram) = session.recv_payload().await {
        let sent = client
            .shared
            .onward
            .socket
            .send_to(&datagram.into_bytes(), destination)
            .await;
        // As in a network, what cannot be sent is lost.
        if let Err(error) = sent {
            tracing::info!("a datagram of {address} to {destination} was lost: {error}");
        }
    }
    lock(&client.shared.sessions).remove(&destination);
}

impl Clients {
    /// The client of that address, which gets a socket if it has none.
    async fn of(&self, address: SocketAddr, ours: Arc<Ours>) -> std::io::Result<Arc<Client>> {
        if let Some(known) = lock(&self.0).get(&address).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let onward = ours.udp(address.is_ipv4()).await?;
        let shared = Arc::new(Shared {
            onward,
            sessions: Mutex::default(),
        });
        let mut clients = lock(&self.0);
        // Another session of the client may have been faster.
        if let Some(known) = clients.get(&address).and_then(Weak::upgrade) {
            return Ok(known);
        }
        let answers = tokio::spawn(answers(Arc::clone(&shared))).abort_handle();
        let client = Arc::new(Client {
            address,
            shared,
            clients: self.clone(),
            answers,
        });
        clients.insert(address, Arc::downgrade(&client));
        Ok(client)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.answers.abort();
        let mut clients = lock(&self.clients.0);
        // It may have been followed by another already.
        if clients
            .get(&self.address)
            .is_some_and(|known| known.strong_count() == 0)
        {
            clients.remove(&self.address);
        }
    }
}

/// Hands a client what comes back, from whom it came.
async fn answers(shared: Arc<Shared>) {
    loop {
        // An ICMP error about an earlier datagram is an error here, and not the end.
        let Ok((datagram, from)) = streams::receive(&shared.onward.socket).await else {
            continue;
        };
        let Some((session, is_asked)) = shared.session(from) else {
            tracing::debug!("a datagram of {from}, to which nobody has written, was dropped");
            continue;
        };
        let sent = match is_asked {
            true => session.send(&datagram).await,
            false => session.send_from(from, &datagram).await,
        };
        if let Err(error) = sent {
            tracing::info!(
                "a datagram of {from} to {} was lost: {error}",
                session.client()
            );
        }
    }
}

impl Shared {
    /// The session with exactly that peer, or else one with another port of the same host.
    fn session(&self, from: SocketAddr) -> Option<(Arc<UdpSession>, bool)> {
        let sessions = lock(&self.sessions);
        if let Some(session) = sessions.get(&from) {
            return Some((Arc::clone(session), true));
        }
        let same_host = sessions.iter().find(|(peer, _)| peer.ip() == from.ip());
        same_host.map(|(_, session)| (Arc::clone(session), false))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
