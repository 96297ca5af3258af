//! Halves that borrow a stream.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::TcpStream;

/// The reading half of a borrowed [`TcpStream`].
#[derive(Debug)]
pub struct ReadHalf<'a>(&'a TcpStream);

/// The writing half of a borrowed [`TcpStream`]. Unlike [`OwnedWriteHalf`](super::OwnedWriteHalf), dropping it shuts nothing down.
#[derive(Debug)]
pub struct WriteHalf<'a>(&'a TcpStream);

pub(super) fn split(stream: &mut TcpStream) -> (ReadHalf<'_>, WriteHalf<'_>) {
    (ReadHalf(stream), WriteHalf(stream))
}

impl ReadHalf<'_> {
    /// See [`TcpStream::peek`].
    ///
    /// # Errors
    ///
    /// As reading.
    pub async fn peek(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.peek(buffer).await
    }

    /// See [`TcpStream::read_chunk`].
    ///
    /// # Errors
    ///
    /// As reading.
    pub async fn read_chunk(&mut self, max: usize) -> io::Result<Bytes> {
        poll_fn(|cx| self.0.connection.poll_read_chunk(cx, max)).await
    }

    /// See [`TcpStream::read_chunks`].
    ///
    /// # Errors
    ///
    /// As reading.
    pub async fn read_chunks(&mut self, chunks: &mut [Bytes]) -> io::Result<usize> {
        poll_fn(|cx| self.0.connection.poll_read_chunks(cx, chunks)).await
    }

    /// See [`TcpStream::peer_addr`].
    ///
    /// # Errors
    ///
    /// None; the signature is tokio's.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
    }

    /// See [`TcpStream::local_addr`].
    ///
    /// # Errors
    ///
    /// None; the signature is tokio's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl WriteHalf<'_> {
    /// See [`TcpStream::write_chunk`].
    ///
    /// # Errors
    ///
    /// As writing.
    pub async fn write_chunk(&mut self, chunk: Bytes) -> io::Result<()> {
        self.0.connection.write_chunk(chunk).await
    }

    /// See [`TcpStream::peer_addr`].
    ///
    /// # Errors
    ///
    /// None; the signature is tokio's.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
    }

    /// See [`TcpStream::local_addr`].
    ///
    /// # Errors
    ///
    /// None; the signature is tokio's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl AsyncRead for ReadHalf<'_> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.connection.poll_read(cx, buffer)
    }
}

impl AsyncWrite for WriteHalf<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.connection.poll_write(cx, &[io::IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.connection.poll_write(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.connection.poll_shutdown(cx)
    }
}
