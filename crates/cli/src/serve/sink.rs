//! `--sink`: reads and discards (RFC 863).

use std::io;

use handwave::TcpStream;
use tokio::io::AsyncWriteExt as _;

use super::service::Service;
use crate::streams;

#[derive(Clone, Copy, Debug)]
pub(super) struct Sink;

impl Service for Sink {
    async fn serve(&self, stream: &mut TcpStream) -> io::Result<()> {
        streams::discard(stream).await?;
        stream.shutdown().await
    }
}
