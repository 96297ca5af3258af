//! ipstack: takes the device as a stream of which each read and each write is a packet.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use handwave_packet::PacketBuf;
use ipstack::{IpStack, IpStackConfig, IpStackStream, IpStackTcpStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::super::services;
use super::wire::Wire;

const MTU: u16 = 1_500;
/// Turns of other tasks in which the last ACK of a handshake is taken in.
const TURNS: usize = 16;

pub(super) fn serve(wire: Arc<Wire>) -> io::Result<()> {
    let mut config = IpStackConfig::default();
    config.mtu(MTU).map_err(io::Error::other)?;
    let mut stack = IpStack::new(config, Packets::new(wire));
    tokio::spawn(async move {
        while let Ok(arrived) = stack.accept().await {
            if let IpStackStream::Tcp(stream) = arrived {
                drop(tokio::spawn(serve_one(stream)));
            }
        }
    });
    Ok(())
}

async fn serve_one(stream: IpStackTcpStream) -> io::Result<()> {
    // A stream is handed over before the handshake is complete, and what is written until then never arrives.
    for _ in 0..TURNS {
        tokio::task::yield_now().await;
    }
    // It calls whom a connection was made to its peer.
    services::serve(stream.peer_addr().port(), stream).await
}

type Pending<T> = Option<Pin<Box<dyn Future<Output = io::Result<T>> + Send>>>;

/// The TUN as ipstack wants it.
struct Packets {
    wire: Arc<Wire>,
    arrived: VecDeque<PacketBuf>,
    receiving: Pending<Vec<PacketBuf>>,
    sending: Pending<()>,
}

impl Packets {
    fn new(wire: Arc<Wire>) -> Self {
        Self {
            wire,
            arrived: VecDeque::new(),
            receiving: None,
            sending: None,
        }
    }

    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(sending) = &mut self.sending else {
            return Poll::Ready(Ok(()));
        };
        let sent = ready!(sending.as_mut().poll(cx));
        self.sending = None;
        Poll::Ready(sent)
    }
}

impl AsyncRead for Packets {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if let Some(packet) = self.arrived.pop_front() {
                let len = packet.write_to(buffer.initialize_unfilled());
                buffer.advance(len);
                return Poll::Ready(Ok(()));
            }
            let wire = Arc::clone(&self.wire);
            let receiving = self
                .receiving
                .get_or_insert_with(|| Box::pin(async move { wire.receive().await }));
            let arrived = ready!(receiving.as_mut().poll(cx))?;
            self.receiving = None;
            self.arrived.extend(arrived);
        }
    }
}

impl AsyncWrite for Packets {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_sent(cx))?;
        let (wire, packet) = (Arc::clone(&self.wire), PacketBuf::from(octets.to_vec()));
        self.sending = Some(Box::pin(async move { wire.send(packet).await }));
        // Unless the TUN is full the packet is gone when this returns.
        if let Poll::Ready(Err(error)) = self.poll_sent(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_sent(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}
