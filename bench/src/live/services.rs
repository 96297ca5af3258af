//! What the ports do, over any stream.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::contestant::{APPLICATION_BUFFER, CHARGEN, DISCARD, ECHO, ONE_OCTET};

/// Serves a connection to `port` until it ends.
pub(super) async fn serve<S>(port: u16, stream: S) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match port {
        DISCARD => discard(stream).await,
        CHARGEN => chargen(stream).await,
        ECHO => echo(stream).await,
        ONE_OCTET => one_octet(stream).await,
        _ => Err(io::ErrorKind::AddrNotAvailable.into()),
    }
}

async fn discard(mut stream: impl AsyncRead + Unpin) -> io::Result<()> {
    let mut buffer = vec![0; APPLICATION_BUFFER];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

async fn chargen(mut stream: impl AsyncWrite + Unpin) -> io::Result<()> {
    let data = vec![0x5A; APPLICATION_BUFFER];
    loop {
        stream.write_all(&data).await?;
    }
}

async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut buffer = vec![0; 4_096];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            count => {
                stream.write_all(&buffer[..count]).await?;
                stream.flush().await?;
            }
        }
    }
}

async fn one_octet(mut stream: impl AsyncWrite + Unpin) -> io::Result<()> {
    stream.write_all(b"x").await?;
    stream.flush().await?;
    stream.shutdown().await
}
