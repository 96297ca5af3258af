//! What all services on a TCP port have in common: accepting, a task for each connection, and an orderly end.

use std::future::Future;
use std::io;

use handwave::{TcpListener, TcpStream};

use crate::live::Tasks;
use crate::streams;

/// What to do with one connection.
pub(super) trait Service: Clone + Send + Sync + 'static {
    /// Serves until both directions have ended.
    fn serve(&self, stream: &mut TcpStream) -> impl Future<Output = io::Result<()>> + Send;
}

/// Serves every connection that arrives, until asked to end.
pub(super) async fn serve(listener: TcpListener, service: impl Service, tasks: Tasks) {
    let port = listener.local_addr().map_or(0, |local| local.port());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = tasks.stopped() => return,
        };
        // The only error is that the stack is gone, which whoever runs it has noticed, too.
        let Ok((mut stream, peer)) = accepted else {
            return;
        };
        let (service, stop) = (service.clone(), tasks.clone());
        tasks.spawn(async move {
            tracing::info!("port {port}: {peer} is connected");
            let served = tokio::select! {
                served = service.serve(&mut stream) => served,
                () = stop.stopped() => streams::finish(&mut stream).await,
            };
            match served {
                Ok(()) => tracing::info!("port {port}: {peer} is done"),
                Err(error) => tracing::info!("port {port}: {peer} is gone: {error}"),
            }
        });
    }
}
