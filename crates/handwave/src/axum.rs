//! `axum::serve` takes a [`TcpListener`] as it is.

use std::io;
use std::net::SocketAddr;

use axum::serve::Listener;

use crate::tcp::{TcpListener, TcpStream};

impl Listener for TcpListener {
    type Io = TcpStream;
    type Addr = SocketAddr;

    /// Waits for ever once the stack's driver has ended: there is nothing to accept, and no other way to say so.
    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        match Self::accept(self).await {
            Ok(accepted) => accepted,
            Err(_) => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }
}
