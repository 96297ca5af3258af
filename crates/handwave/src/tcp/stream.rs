//! [`TcpStream`].

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use handwave_stack::ConnectOptions;
use handwave_tcp::{Endpoint, KeepAlive, TcpInfo};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::owned::{OwnedReadHalf, OwnedWriteHalf};
use super::split::{ReadHalf, WriteHalf};
use super::{Connection, owned, split};
use crate::error::Error;
use crate::shared::{Handle, Inner};
use crate::stack::Stack;

/// A TCP connection, shaped like tokio's.
///
/// Reading gives 0 octets only after the peer's FIN; a connection that ended otherwise gives an error, for instance
/// [`ConnectionReset`](io::ErrorKind::ConnectionReset) after a RST, once what arrived before has been read.
///
/// `shutdown` sends what was written and a FIN, and completes when the FIN has left; reading goes on. Dropping a stream that was not
/// shut down closes it in order, too, unless something that arrived has not been read: the peer must learn that it is lost, so
/// that is answered with a RST (RFC 9293 3.6.1). [`set_linger`](Self::set_linger) changes what dropping does.
///
/// Every future here may be dropped at any time without losing data.
pub struct TcpStream {
    pub(super) connection: Arc<Connection>,
}

impl TcpStream {
    /// Opens a connection to `peer`.
    ///
    /// Dropping the future gives up the attempt.
    ///
    /// # Errors
    ///
    /// [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) when nobody listens there,
    /// [`TimedOut`](io::ErrorKind::TimedOut) when nobody answers, and others that [`Error`] tells apart.
    pub async fn connect(stack: &Stack, peer: SocketAddr) -> io::Result<Self> {
        Self::connect_with(stack, peer, ConnectOptions::default()).await
    }

    /// Opens a connection to `peer` from an address, a port or with settings of the caller's choice.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn connect_with(
        stack: &Stack,
        peer: SocketAddr,
        options: ConnectOptions,
    ) -> io::Result<Self> {
        let remote = Endpoint::from(peer);
        let handle = shard_for(stack, remote, &options);
        let opened = handle.call(|inner, now| {
            if inner.ended {
                return Err(Error::StackGone);
            }
            let id = inner.stack.connect(now, remote, options)?;
            let connection = inner.stack.connection(id).ok_or(Error::StackGone)?;
            Ok((id, *connection.tuple()))
        });
        let (id, tuple) = opened?;
        let connection = Connection::new(handle.clone(), id, tuple);
        connection.established().await?;
        Ok(Self::new(connection))
    }

    pub(crate) fn new(connection: Connection) -> Self {
        Self {
            connection: Arc::new(connection),
        }
    }

    /// The address and port of this side.
    ///
    /// # Errors
    ///
    /// None; the signature is tokio's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.connection.local_addr())
    }

    /// The address and port of the peer.
    ///
    /// # Errors
    ///
    /// None; the signature is tokio's.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.connection.peer_addr())
    }

    /// Splits the stream in two that can be used at once in one task.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        split::split(self)
    }

    /// Splits the stream in two that can be moved to different tasks. Dropping the writing half shuts down its direction.
    #[must_use]
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        owned::split(self)
    }

    /// Copies what has arrived into `buffer` and leaves it there to be read; waits until there is something. 0 is the end.
    ///
    /// # Errors
    ///
    /// As reading.
    pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.connection.peek(buffer).await
    }

    /// Waits until reading would not wait.
    ///
    /// # Errors
    ///
    /// When the stack's driver has ended.
    pub async fn readable(&self) -> io::Result<()> {
        self.connection.readable().await
    }

    /// Waits until writing would not wait.
    ///
    /// # Errors
    ///
    /// When the stack's driver has ended.
    pub async fn writable(&self) -> io::Result<()> {
        self.connection.writable().await
    }

    /// Reads what there is, without waiting.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is nothing yet; otherwise as reading.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.connection.try_read(buffer)
    }

    /// Writes what fits, without waiting.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room; otherwise as writing.
    pub fn try_write(&self, data: &[u8]) -> io::Result<usize> {
        self.connection.try_write(data)
    }

    /// Takes a slice of what has arrived, at most `max` octets, where it lies in memory; waits until there is something. Empty is the
    /// end of the stream.
    ///
    /// Nothing is copied: the slice shares the memory that the device received it into, and keeps all of that alive (a packet or two; 64
    /// KiB at most on a device with offload). While it is held it counts neither against the receive window nor against the stack's
    /// memory, so keep few of them, or copy. Small segments are joined when they arrive, to which this makes no difference.
    ///
    /// # Errors
    ///
    /// As reading.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// use handwave::{Bytes, Stack, TcpListener, TcpStream, device};
    ///
    /// let (left, right) = device::pair(9_000, 64);
    /// let client = Stack::builder().device(left).address([10, 0, 0, 1], 24).spawn()?;
    /// let server = Stack::builder().device(right).address([10, 0, 0, 2], 24).spawn()?;
    /// let listener = TcpListener::bind(&server, ([10, 0, 0, 2], 80).into())?;
    /// let mut ours = TcpStream::connect(&client, listener.local_addr()?).await?;
    /// let (mut theirs, _) = listener.accept().await?;
    ///
    /// let page = Bytes::from(vec![b'x'; 4_000]);
    /// ours.write_chunk(page.clone()).await?;
    /// let chunk = theirs.read_chunk(usize::MAX).await?;
    /// assert_eq!(chunk, page);
    /// // In memory nobody has copied it on the way: these are the same octets.
    /// assert_eq!(chunk.as_ptr(), page.as_ptr());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn read_chunk(&mut self, max: usize) -> io::Result<Bytes> {
        poll_fn(|cx| self.connection.poll_read_chunk(cx, max)).await
    }

    /// Takes slices of what has arrived, one for each of `chunks`, which they replace; waits until there is something. Returns how many
    /// there were, zero at the end of the stream.
    ///
    /// What [`read_chunk`](Self::read_chunk) says of a slice holds for each of them. One call for many packets costs little more than one for
    /// one.
    ///
    /// # Errors
    ///
    /// As reading.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// use tokio::io::AsyncWriteExt;
    /// # use handwave::{Bytes, Stack, TcpListener, TcpStream, device};
    /// # let (left, right) = device::pair(1_500, 64);
    /// # let client = Stack::builder().device(left).address([10, 0, 0, 1], 24).spawn()?;
    /// # let server = Stack::builder().device(right).address([10, 0, 0, 2], 24).spawn()?;
    /// # let listener = TcpListener::bind(&server, ([10, 0, 0, 2], 80).into())?;
    /// # let mut ours = TcpStream::connect(&client, listener.local_addr()?).await?;
    /// # let (mut theirs, _) = listener.accept().await?;
    /// ours.write_chunk(Bytes::from(vec![b'x'; 20_000])).await?;
    /// ours.shutdown().await?;
    /// let (mut chunks, mut octets) = ([const { Bytes::new() }; 16], 0);
    /// loop {
    ///     let count = theirs.read_chunks(&mut chunks).await?;
    ///     if count == 0 {
    ///         break;
    ///     }
    ///     octets += chunks[..count].iter().map(Bytes::len).sum::<usize>();
    /// }
    /// assert_eq!(octets, 20_000);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn read_chunks(&mut self, chunks: &mut [Bytes]) -> io::Result<usize> {
        poll_fn(|cx| self.connection.poll_read_chunks(cx, chunks)).await
    }

    /// Writes all of `chunk` without copying it: the segments are slices of it, also when they are sent again.
    ///
    /// Octets count against the send buffer as with any other write; the memory behind the [`Bytes`] beyond them is kept alive as
    /// well, until the last octet is acknowledged, and is the caller's to account for. Less than 512 octets are copied, which is
    /// cheaper.
    ///
    /// Dropping the future leaves the part written for which there was room; [`poll_write_chunk`](Self::poll_write_chunk) tells how
    /// much that is.
    ///
    /// # Errors
    ///
    /// As writing.
    pub async fn write_chunk(&mut self, chunk: Bytes) -> io::Result<()> {
        self.connection.write_chunk(chunk).await
    }

    /// Writes what there is room for off the front of `chunk` without copying it, and returns how many octets; or has `cx` woken when
    /// there is room.
    ///
    /// # Errors
    ///
    /// As writing.
    pub fn poll_write_chunk(
        &mut self,
        cx: &mut Context<'_>,
        chunk: &mut Bytes,
    ) -> Poll<io::Result<usize>> {
        self.connection.poll_write_chunk(cx, chunk)
    }

    /// Writes `len` octets of a file from `offset` on, and returns how many: fewer where the file ends before.
    ///
    /// They are copied once, out of the file's cache into memory that becomes the send buffer, 64 KiB at a time and as there is room.
    /// The position of the file does not change. Like `sendfile` this waits for the storage in the thread that calls it, where what is
    /// asked for is not in the cache.
    ///
    /// Dropping the future leaves a part written.
    ///
    /// # Errors
    ///
    /// As writing, and what reading the file says.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// use handwave::{Stack, TcpListener, TcpStream, device};
    /// use std::io::Write;
    /// use tokio::io::AsyncReadExt;
    ///
    /// # let (left, right) = device::pair(1_500, 64);
    /// # let client = Stack::builder().device(left).address([10, 0, 0, 1], 24).spawn()?;
    /// # let server = Stack::builder().device(right).address([10, 0, 0, 2], 24).spawn()?;
    /// # let listener = TcpListener::bind(&server, ([10, 0, 0, 2], 80).into())?;
    /// # let mut ours = TcpStream::connect(&client, listener.local_addr()?).await?;
    /// # let (mut theirs, _) = listener.accept().await?;
    /// let mut file = tempfile::tempfile()?;
    /// file.write_all(b"a header, and what it is about")?;
    /// assert_eq!(ours.write_file(&file, 10, 1_000_000).await?, 20);
    /// drop(ours);
    /// let mut text = String::new();
    /// theirs.read_to_string(&mut text).await?;
    /// assert_eq!(text, "and what it is about");
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(unix)]
    pub async fn write_file(
        &mut self,
        file: &std::fs::File,
        offset: u64,
        len: u64,
    ) -> io::Result<u64> {
        super::file::write(&self.connection, file, offset, len).await
    }

    /// The connection's numbers, as `ss -i` shows them.
    ///
    /// # Errors
    ///
    /// When the stack's driver has ended.
    pub fn tcp_info(&self) -> io::Result<TcpInfo> {
        self.connection.info()
    }

    /// Why the connection ended before its time, if it did. The error stays: calling this does not take it away.
    ///
    /// # Errors
    ///
    /// None; the signature is tokio's.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(self.connection.take_error())
    }

    /// Whether small segments are sent at once instead of being held back while others are unacknowledged (Nagle).
    ///
    /// # Errors
    ///
    /// When the stack's driver has ended.
    pub fn nodelay(&self) -> io::Result<bool> {
        Ok(!self.connection.config()?.nagle)
    }

    /// Sends small segments at once (`true`), or holds them back while others are unacknowledged.
    ///
    /// # Errors
    ///
    /// When the stack's driver has ended.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.connection
            .change_config(|config| config.nagle = !nodelay)
    }

    /// When a silent peer is probed; `None` is never.
    ///
    /// # Errors
    ///
    /// When the stack's driver has ended.
    pub fn keepalive(&self) -> io::Result<Option<KeepAlive>> {
        Ok(self.connection.config()?.keepalive)
    }

    /// Probes a silent peer, or stops doing so.
    ///
    /// # Errors
    ///
    /// When the stack's driver has ended.
    pub fn set_keepalive(&self, keepalive: Option<KeepAlive>) -> io::Result<()> {
        self.connection
            .change_config(|config| config.keepalive = keepalive)
    }

    /// How long what was written may stay unacknowledged before the connection is given up; `None` leaves it to the
    /// retransmission limits.
    ///
    /// # Errors
    ///
    /// When the stack's driver has ended.
    pub fn set_user_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        self.connection
            .change_config(|config| config.user_timeout = limit)
    }

    /// The hop limit (IPv4: TTL) of what is sent.
    ///
    /// # Errors
    ///
    /// When the stack's driver has ended.
    pub fn set_ttl(&self, hop_limit: u8) -> io::Result<()> {
        self.connection
            .change_config(|config| config.hop_limit = hop_limit)
    }

    /// What dropping the stream does; see [`set_linger`](Self::set_linger).
    ///
    /// # Errors
    ///
    /// None; the signature is tokio's.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        Ok(self.connection.linger())
    }

    /// Sets what dropping the stream does with what was written and is not delivered.
    ///
    /// `None`: it is delivered for as long as the peer acknowledges. A time: the connection is given up when nothing is
    /// acknowledged for so long. Zero: the connection is reset at once.
    ///
    /// # Errors
    ///
    /// None; the signature is tokio's.
    pub fn set_linger(&self, linger: Option<Duration>) -> io::Result<()> {
        self.connection.set_linger(linger);
        Ok(())
    }

    /// Resets the connection: what was written and is not delivered is lost, and the peer is told.
    pub fn abort(&self) {
        self.connection.abort();
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.connection.poll_read(cx, buffer)
    }
}

impl AsyncWrite for TcpStream {
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

    /// Nothing to do: what is written is sent as soon as the windows let it.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.poll_shutdown(cx)
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpStream")
            .field("local", &self.connection.local_addr())
            .field("peer", &self.connection.peer_addr())
            .finish_non_exhaustive()
    }
}

/// The shard that is to open a connection: any in its turn, unless the port decides.
fn shard_for<'a>(stack: &'a Stack, remote: Endpoint, options: &ConnectOptions) -> &'a Handle {
    let handles = stack.handles();
    if handles.len() == 1 {
        return handles.first();
    }
    let shard = match options.local_port {
        None => handles.first().group.next(),
        Some(port) => {
            let towards =
                |inner: &mut Inner| inner.stack.shard_towards(options.local_addr, port, remote);
            handles.first().look(towards).unwrap_or(0).into()
        }
    };
    handles.get(shard).unwrap_or_else(|| handles.first())
}
