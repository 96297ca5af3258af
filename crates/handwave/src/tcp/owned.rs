//! Halves that own their stream together.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Connection, TcpStream};

/// The reading half of a [`TcpStream`]; the connection is let go of when both halves are dropped.
#[derive(Debug)]
pub struct OwnedReadHalf {
    connection: Arc<Connection>,
}

/// The writing half of a [`TcpStream`]. Dropping it shuts its direction down: a FIN follows what was written.
#[derive(Debug)]
pub struct OwnedWriteHalf {
    connection: Arc<Connection>,
    shutdown_on_drop: bool,
}

pub(super) fn split(stream: TcpStream) -> (OwnedReadHalf, OwnedWriteHalf) {
    let connection = Arc::clone(&stream.connection);
    let read = OwnedReadHalf { connection };
    let write = OwnedWriteHalf {
        connection: stream.connection,
        shutdown_on_drop: true,
    };
    (read, write)
}

/// The halves are not of one stream; here they are again.
#[derive(Debug)]
pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

impl fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the halves belong to different connections")
    }
}

impl std::error::Error for ReuniteError {}

impl OwnedReadHalf {
    /// Makes one stream of both halves again.
    ///
    /// # Errors
    ///
    /// [`ReuniteError`] if they are of different streams.
    pub fn reunite(self, mut other: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
        if !Arc::ptr_eq(&self.connection, &other.connection) {
            return Err(ReuniteError(self, other));
        }
        other.shutdown_on_drop = false;
        Ok(TcpStream {
            connection: self.connection,
        })
    }

    /// See [`TcpStream::peek`].
    ///
    /// # Errors
    ///
    /// As reading.
    pub async fn peek(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.connection.peek(buffer).await
    }

    /// See [`TcpStream::read_chunk`].
    ///
    /// # Errors
    ///
    /// As reading.
    pub async fn read_chunk(&mut self, max: usize) -> io::Result<Bytes> {
        poll_fn(|cx| self.connection.poll_read_chunk(cx, max)).await
    }

    /// See [`TcpStream::read_chunks`].
    ///
    /// # Errors
    ///
    /// As reading.
    pub async fn read_chunks(&mut self, chunks: &mut [Bytes]) -> io::Result<usize> {
        poll_fn(|cx| self.connection.poll_read_chunks(cx, chunks)).await
    }

    /// See [`TcpStream::peer_addr`].
    ///
    /// # Errors
    ///
    /// None; the signature is tokio's.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.connection.peer_addr())
    }

    /// See [`TcpStream::local_addr`].
    ///
    /// # Errors
    ///
    /// None; the signature is tokio's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.connection.local_addr())
    }
}

impl OwnedWriteHalf {
    /// Lets go of this half without shutting its direction down: that happens when the reading half is dropped.
    pub fn forget(mut self) {
        self.shutdown_on_drop = false;
    }

    /// See [`TcpStream::write_chunk`].
    ///
    /// # Errors
    ///
    /// As writing.
    pub async fn write_chunk(&mut self, chunk: Bytes) -> io::Result<()> {
        self.connection.write_chunk(chunk).await
    }

    /// See [`TcpStream::peer_addr`].
    ///
    /// # Errors
    ///
    /// None; the signature is tokio's.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.connection.peer_addr())
    }

    /// See [`TcpStream::local_addr`].
    ///
    /// # Errors
    ///
    /// None; the signature is tokio's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.connection.local_addr())
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if self.shutdown_on_drop {
            self.connection.close();
        }
    }
}

impl AsyncRead for OwnedReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.connection.poll_read(cx, buffer)
    }
}

impl AsyncWrite for OwnedWriteHalf {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.connection.poll_write(cx, &[io::IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.connection.poll_write(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.poll_shutdown(cx)
    }
}
