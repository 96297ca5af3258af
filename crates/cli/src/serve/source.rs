//! `--source`: sends zeros as fast as the peer takes them, until the peer has nothing more to say.

use std::io;

use handwave::TcpStream;
use tokio::io::AsyncWriteExt as _;

use super::service::Service;
use crate::streams;

static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

#[derive(Clone, Copy, Debug)]
pub(super) struct Source;

impl Service for Source {
    async fn serve(&self, stream: &mut TcpStream) -> io::Result<()> {
        tokio::select! {
            ended = streams::discard(stream) => ended?,
            Err(error) = pour(stream) => return Err(error),
        }
        stream.shutdown().await
    }
}

/// Writes without end; what it returns is an error.
async fn pour(stream: &TcpStream) -> io::Result<()> {
    loop {
        stream.writable().await?;
        match stream.try_write(&ZEROS) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
    }
}
