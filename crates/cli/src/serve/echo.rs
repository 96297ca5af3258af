//! `--echo`: sends back what arrives (RFC 862).

use std::io;

use handwave::TcpStream;
use tokio::io::AsyncWriteExt as _;

use super::service::Service;

#[derive(Clone, Copy, Debug)]
pub(super) struct Echo;

impl Service for Echo {
    async fn serve(&self, stream: &mut TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let (mut from, mut to) = stream.split();
        tokio::io::copy(&mut from, &mut to).await?;
        to.shutdown().await
    }
}
