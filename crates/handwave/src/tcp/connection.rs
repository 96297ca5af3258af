//! What a stream and its halves share: one connection of the stack, released when the last of them goes.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use handwave_stack::{ConnectionId, NoSuchSocket};
use handwave_tcp::{Config, Instant, Phase, ReceiveError, SendError, TcpInfo, Tuple};
use tokio::io::ReadBuf;

use crate::error::{Error, read_failure};
use crate::shared::{Handle, Inner};
use crate::waiting::{Place, Ticket};

/// One connection. Dropping it lets go: what was written is delivered, then the connection closes in order.
#[derive(Debug)]
pub(crate) struct Connection {
    handle: Handle,
    id: ConnectionId,
    tuple: Tuple,
    /// What becomes of text that is not delivered when this is dropped.
    linger: std::sync::Mutex<Option<Duration>>,
}

impl Connection {
    pub(crate) fn new(handle: Handle, id: ConnectionId, tuple: Tuple) -> Self {
        Self {
            handle,
            id,
            tuple,
            linger: std::sync::Mutex::new(None),
        }
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.tuple.local.into()
    }

    pub(crate) fn peer_addr(&self) -> SocketAddr {
        self.tuple.remote.into()
    }

    /// Waits for the end of the handshake.
    pub(crate) async fn established(&self) -> io::Result<()> {
        let id = self.id;
        self.handle
            .wait_at(Place::Write(id), |inner| {
                let connection = inner.stack.connection(id).ok_or(Error::StackGone)?;
                match (connection.phase(), connection.error()) {
                    (Phase::SynSent | Phase::SynReceived, _) => Poll::Pending,
                    (Phase::Closed, Some(error)) => {
                        Poll::Ready(Err(Error::Connection(error).into()))
                    }
                    _ => Poll::Ready(Ok(())),
                }
            })
            .await
    }

    pub(crate) fn poll_read(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let id = self.id;
        self.handle
            .poll_at(Place::Read(id), Ticket::POLL, cx, |inner, now| {
                read_into(inner, now, id, buffer)
            })
    }

    /// A slice of what arrived, at most `max` octets, as it lies in memory; empty at the end of the stream.
    pub(crate) fn poll_read_chunk(
        &self,
        cx: &mut Context<'_>,
        max: usize,
    ) -> Poll<io::Result<Bytes>> {
        if max == 0 {
            return Poll::Ready(Ok(Bytes::new()));
        }
        let id = self.id;
        self.handle
            .poll_at(Place::Read(id), Ticket::POLL, cx, |inner, now| {
                poll_result(inner.stack.read_chunk(now, id, max))
            })
    }

    /// As many slices of what arrived as there are `chunks`, as they lie in memory; none at the end of the stream.
    pub(crate) fn poll_read_chunks(
        &self,
        cx: &mut Context<'_>,
        chunks: &mut [Bytes],
    ) -> Poll<io::Result<usize>> {
        if chunks.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let id = self.id;
        self.handle
            .poll_at(Place::Read(id), Ticket::POLL, cx, |inner, now| {
                poll_result(inner.stack.read_chunks(now, id, chunks))
            })
    }

    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(buffer);
        if buffer.remaining() == 0 {
            return Ok(0);
        }
        let id = self.id;
        let read = self
            .handle
            .call(|inner, now| read_into(inner, now, id, &mut buffer));
        match read {
            Poll::Ready(result) => result.map(|()| buffer.filled().len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    pub(crate) async fn readable(&self) -> io::Result<()> {
        let id = self.id;
        self.handle
            .wait_at(Place::Read(id), |inner| {
                let connection = inner.stack.connection(id).ok_or(Error::StackGone)?;
                let over = connection.peer_closed() || connection.phase() == Phase::Closed;
                match connection.receivable() > 0 || over {
                    true => Poll::Ready(Ok(())),
                    false => Poll::Pending,
                }
            })
            .await
    }

    pub(crate) async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let id = self.id;
        self.handle
            .wait_at(Place::Read(id), |inner| {
                let count = inner.stack.peek(id, buffer);
                if count > 0 {
                    return Poll::Ready(Ok(count));
                }
                // Reading nothing tells the end and the error apart from waiting.
                poll_result(inner.stack.read(self.handle.runtime.now(), id, &mut []))
            })
            .await
    }

    pub(crate) fn poll_write(
        &self,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let id = self.id;
        self.handle
            .poll_at(Place::Write(id), Ticket::POLL, cx, |inner, now| {
                if inner.ahead.pauses(id) && !inner.ended {
                    return Poll::Pending;
                }
                let written = write_from(inner, now, id, slices);
                inner.ahead.wrote(*written.as_ref().unwrap_or(&0));
                match written {
                    Ok(0) if slices.iter().any(|slice| !slice.is_empty()) => Poll::Pending,
                    result => Poll::Ready(result),
                }
            })
    }

    /// Takes what there is room for off the front of `chunk`, without copying it.
    pub(crate) fn poll_write_chunk(
        &self,
        cx: &mut Context<'_>,
        chunk: &mut Bytes,
    ) -> Poll<io::Result<usize>> {
        let id = self.id;
        self.handle
            .poll_at(
                Place::Write(id),
                Ticket::POLL,
                cx,
                |inner, now| match inner.stack.write_chunk(now, id, chunk.clone()) {
                    Ok(0) if !chunk.is_empty() => Poll::Pending,
                    Ok(taken) => {
                        chunk.advance(taken);
                        Poll::Ready(Ok(taken))
                    }
                    Err(error) => Poll::Ready(Err(Error::from(error).into())),
                },
            )
    }

    /// Hands over all of `chunk`, as room comes about.
    pub(crate) async fn write_chunk(&self, mut chunk: Bytes) -> io::Result<()> {
        loop {
            poll_fn(|cx| self.poll_write_chunk(cx, &mut chunk)).await?;
            if chunk.is_empty() {
                return Ok(());
            }
        }
    }

    pub(crate) fn try_write(&self, data: &[u8]) -> io::Result<usize> {
        let id = self.id;
        let slices = [io::IoSlice::new(data)];
        let written = self
            .handle
            .call(|inner, now| write_from(inner, now, id, &slices))?;
        match written {
            0 if !data.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }

    pub(crate) async fn writable(&self) -> io::Result<()> {
        let id = self.id;
        self.handle
            .wait_at(Place::Write(id), |inner| {
                let connection = inner.stack.connection(id).ok_or(Error::StackGone)?;
                if connection.sendable() > 0 || connection.phase() == Phase::Closed {
                    return Poll::Ready(Ok(()));
                }
                // Writing nothing tells whether it makes sense to wait.
                let done = inner.stack.write(self.handle.runtime.now(), id, &[]);
                match done {
                    Ok(_) => Poll::Pending,
                    Err(_) => Poll::Ready(Ok(())),
                }
            })
            .await
    }

    /// Closes the sending direction, and waits until the FIN, and so all that was written, has been sent.
    pub(crate) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let id = self.id;
        let mut driver = None;
        let done = self
            .handle
            .poll_untimed(Place::Write(id), Ticket::POLL, cx, |inner| {
                if !is_closing(inner, id) {
                    inner.stack.close(self.handle.runtime.now(), id);
                    // The FIN has to leave, whether this waits for it or not.
                    driver = inner.driver.take();
                }
                let connection = inner.stack.connection(id).ok_or(Error::StackGone)?;
                match (
                    connection.fin_sent(),
                    connection.phase(),
                    connection.error(),
                ) {
                    (true, _, _) | (_, Phase::Closed, None) => Poll::Ready(Ok(())),
                    (false, Phase::Closed, Some(error)) => {
                        Poll::Ready(Err(Error::Connection(error).into()))
                    }
                    (false, _, _) => Poll::Pending,
                }
            });
        if let Some(driver) = driver {
            driver.wake();
        }
        done
    }

    /// Promises a FIN after what was written.
    pub(crate) fn close(&self) {
        if !self.handle.look(|inner| is_closing(inner, self.id)) {
            self.handle
                .call(|inner, now| inner.stack.close(now, self.id));
        }
    }

    pub(crate) fn abort(&self) {
        let id = self.id;
        self.handle.call(|inner, now| {
            // The handle lives on and tells the error, so this is not the stack's abort, which lets go.
            let aborted = inner
                .stack
                .with_connection(now, id, handwave_tcp::Connection::abort);
            let (Ok(()) | Err(NoSuchSocket)) = aborted;
        });
    }

    pub(crate) fn info(&self) -> io::Result<TcpInfo> {
        let id = self.id;
        self.handle.look(|inner| {
            let connection = inner.stack.connection(id).ok_or(Error::StackGone)?;
            Ok(connection.info())
        })
    }

    pub(crate) fn take_error(&self) -> Option<io::Error> {
        let id = self.id;
        self.handle.look(|inner| {
            let error = inner.stack.connection(id)?.error()?;
            Some(Error::Connection(error).into())
        })
    }

    pub(crate) fn config(&self) -> io::Result<Arc<Config>> {
        let id = self.id;
        self.handle.look(|inner| {
            let connection = inner.stack.connection(id).ok_or(Error::StackGone)?;
            Ok(Arc::clone(connection.config()))
        })
    }

    /// Changes the settings of this connection alone.
    pub(crate) fn change_config(&self, change: impl FnOnce(&mut Config)) -> io::Result<()> {
        let id = self.id;
        let changed = self
            .handle
            .call(|inner, now| set_config(inner, now, id, change));
        changed.map_err(|NoSuchSocket| Error::StackGone.into())
    }

    pub(crate) fn set_linger(&self, linger: Option<Duration>) {
        *self.lock_linger() = linger;
    }

    pub(crate) fn linger(&self) -> Option<Duration> {
        *self.lock_linger()
    }

    fn lock_linger(&self) -> std::sync::MutexGuard<'_, Option<Duration>> {
        self.linger
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Whether the sending direction is closed, or there is nothing left to close.
fn is_closing(inner: &Inner, id: ConnectionId) -> bool {
    let connection = inner.stack.connection(id);
    connection.is_none_or(handwave_tcp::Connection::is_closing)
}

impl Drop for Connection {
    fn drop(&mut self) {
        let (id, linger) = (self.id, self.linger());
        let _wakers = self.handle.call(|inner, now| {
            let wakers = inner.forget(id);
            match linger {
                Some(Duration::ZERO) => inner.stack.abort(now, id),
                Some(limit) => {
                    let changed = set_config(inner, now, id, |config| {
                        config.user_timeout = Some(limit);
                    });
                    let (Ok(()) | Err(NoSuchSocket)) = changed;
                    inner.stack.release(now, id);
                }
                None => inner.stack.release(now, id),
            }
            wakers
        });
    }
}

fn set_config(
    inner: &mut Inner,
    now: Instant,
    id: ConnectionId,
    change: impl FnOnce(&mut Config),
) -> Result<(), NoSuchSocket> {
    inner.stack.with_connection(now, id, |connection, cx| {
        let mut config = Arc::clone(connection.config());
        change(Arc::make_mut(&mut config));
        connection.set_config(cx, config);
    })
}

/// Copies what is there into the part of `buffer` that is not filled.
///
/// Slice by slice: the memory behind `buffer` need not be initialized, and one look at the connection is enough for all.
fn read_into(
    inner: &mut Inner,
    now: Instant,
    id: ConnectionId,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let read = inner.stack.with_connection(now, id, |connection, cx| {
        let before = buffer.remaining();
        while buffer.remaining() > 0 {
            match connection.read_chunk(cx, buffer.remaining()) {
                Ok(chunk) if chunk.is_empty() => break,
                Ok(chunk) => buffer.put_slice(&chunk),
                Err(_) if buffer.remaining() < before => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    });
    poll_result(read.unwrap_or(Ok(())))
}

fn write_from(
    inner: &mut Inner,
    now: Instant,
    id: ConnectionId,
    slices: &[io::IoSlice<'_>],
) -> io::Result<usize> {
    let written = inner.stack.with_connection(now, id, |connection, cx| {
        let mut count = 0;
        for slice in slices {
            let taken = match connection.write(cx, slice) {
                Ok(taken) => taken,
                Err(_) if count > 0 => break,
                Err(error) => return Err(error),
            };
            count += taken;
            if taken < slice.len() {
                break;
            }
        }
        Ok(count)
    });
    let written: Result<usize, SendError> = written.map_err(|NoSuchSocket| Error::StackGone)?;
    written.map_err(|error| Error::from(error).into())
}

fn poll_result<T>(result: Result<T, ReceiveError>) -> Poll<io::Result<T>> {
    match result.map_err(read_failure) {
        Ok(value) => Poll::Ready(Ok(value)),
        Err(Some(error)) => Poll::Ready(Err(error.into())),
        Err(None) => Poll::Pending,
    }
}
