//! `--forward`: connections handed on to a server in the host's own network.

pub(super) mod udp;

use std::io;
use std::sync::Arc;

use handwave::TcpStream;

use super::service::Service;
use crate::relay;

/// Where to.
#[derive(Clone, Debug)]
pub(super) struct Forward {
    target: Arc<str>,
}

impl Forward {
    pub(super) fn new(target: &str) -> Self {
        Self {
            target: target.into(),
        }
    }
}

impl Service for Forward {
    async fn serve(&self, stream: &mut TcpStream) -> io::Result<()> {
        let mut host = match relay::connect(&*self.target).await {
            Ok(host) => host,
            Err(error) => {
                let peer = stream.peer_addr()?;
                tracing::warn!(
                    "{peer} was reset: the backend {} cannot be reached: {error}",
                    self.target
                );
                stream.abort();
                return Err(error);
            }
        };
        relay::relay(stream, &mut host).await
    }
}
