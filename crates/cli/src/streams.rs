//! What is done with streams everywhere: reading without a buffer of one's own, and ending in order.
//!
//! Octets are read into memory that all connections share, so that one that waits owns none.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;

use handwave::TcpStream;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UdpSocket;

/// As long as the longest datagram, too.
const LEN: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; LEN].into());
}

/// Waits for octets and looks at those that have arrived; `None` is the end.
///
/// Dropping the future loses nothing.
pub(crate) async fn read<R>(
    stream: &TcpStream,
    look: impl Fn(&[u8]) -> R,
) -> io::Result<Option<R>> {
    loop {
        stream.readable().await?;
        let read = SCRATCH.with_borrow_mut(|scratch| {
            let count = stream.try_read(scratch)?;
            Ok((count > 0).then(|| look(scratch.get(..count).unwrap_or_default())))
        });
        match read {
            Err(error) if is_early(&error) => {}
            read => return read,
        }
    }
}

/// Reads and forgets, to the end.
pub(crate) async fn discard(stream: &TcpStream) -> io::Result<()> {
    while read(stream, |_| ()).await?.is_some() {}
    Ok(())
}

/// Says that nothing more will come, and waits for the peer to say the same.
pub(crate) async fn finish(stream: &mut TcpStream) -> io::Result<()> {
    stream.shutdown().await?;
    discard(stream).await
}

/// Waits for a datagram, and says from whom it is.
pub(crate) async fn receive(socket: &UdpSocket) -> io::Result<(Vec<u8>, SocketAddr)> {
    loop {
        socket.readable().await?;
        let received = SCRATCH.with_borrow_mut(|scratch| {
            let (count, from) = socket.try_recv_from(scratch)?;
            Ok((scratch.get(..count).unwrap_or_default().to_vec(), from))
        });
        match received {
            Err(error) if is_early(&error) => {}
            received => return received,
        }
    }
}

fn is_early(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}
