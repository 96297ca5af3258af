//! TCP: the client hears of a connection only once the destination has accepted one.

use std::io;
use std::sync::Arc;

use handwave::{TcpRequest, Unreachable};

use super::ours::Ours;
use crate::live::Tasks;
use crate::{relay, streams};

/// Forwards one flow to its end.
pub(super) async fn forward(request: TcpRequest, ours: Arc<Ours>, tasks: Tasks) {
    let (client, destination) = (request.client(), request.destination());
    if ours.is_tcp(client) {
        tracing::warn!(
            "{destination} was refused: the host routes it to this interface, so our own connection came back; give it another route"
        );
        return request.refuse();
    }
    let connected = tokio::select! {
        connected = ours.connect(destination) => connected,
        () = tasks.stopped() => return,
    };
    let mut onward = match connected {
        Ok(onward) => onward,
        Err(error) => {
            tracing::info!("{client} does not reach {destination}: {error}");
            return decline(request, &error);
        }
    };
    // The client may have given up meanwhile.
    let Ok(mut stream) = request.accept().await else {
        return;
    };
    tracing::info!("{client} is connected to {destination}");
    let relayed = tokio::select! {
        relayed = relay::relay(&mut stream, &mut onward.stream) => relayed,
        () = tasks.stopped() => streams::finish(&mut stream).await,
    };
    match relayed {
        Ok(()) => tracing::info!("{client} is done with {destination}"),
        Err(error) => tracing::info!("{client} has lost {destination}: {error}"),
    }
}

/// Answers the client as the destination, or the network before it, answered us.
fn decline(request: TcpRequest, error: &io::Error) {
    match error.kind() {
        io::ErrorKind::NetworkUnreachable => request.unreachable(Unreachable::Network),
        io::ErrorKind::HostUnreachable => request.unreachable(Unreachable::Host),
        // A firewall of the host.
        io::ErrorKind::PermissionDenied => request.unreachable(Unreachable::Prohibited),
        io::ErrorKind::TimedOut => request.ignore(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset => request.refuse(),
        _ => {
            let destination = request.destination();
            tracing::warn!("{destination} was refused: no connection could be made: {error}");
            request.refuse();
        }
    }
}
