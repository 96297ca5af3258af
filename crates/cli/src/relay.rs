//! Joins a connection of Handwave's to one of the host's own network.

use std::io;
use std::time::Duration;

use handwave::TcpStream;
use tokio::net::TcpStream as HostStream;

/// Octets that may be under way in each direction between the two.
const BUFFER: usize = 64 * 1024;

/// Copies both ways until both directions have ended. Each end of a direction is passed on as one; a failure of either side
/// resets the other, so that nobody takes half of the data for all of it.
pub(crate) async fn relay(stream: &mut TcpStream, host: &mut HostStream) -> io::Result<()> {
    // Whoever wrote small segments had a reason.
    stream.set_nodelay(true)?;
    host.set_nodelay(true)?;
    let copied = tokio::io::copy_bidirectional_with_sizes(stream, host, BUFFER, BUFFER).await;
    if copied.is_err() {
        stream.abort();
        let _ = host.set_zero_linger();
    }
    copied.map(drop)
}

/// How long a server of the host's network may take to answer a SYN.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Opens a connection in the host's network, in bounded time.
pub(crate) async fn connect(target: impl tokio::net::ToSocketAddrs) -> io::Result<HostStream> {
    tokio::time::timeout(CONNECT_TIMEOUT, HostStream::connect(target))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
