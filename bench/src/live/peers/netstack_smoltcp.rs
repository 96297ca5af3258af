//! netstack-smoltcp: smoltcp behind channels of packets.

use std::io;
use std::sync::Arc;

use futures::{SinkExt, StreamExt};
use handwave_packet::PacketBuf;
use netstack_smoltcp::StackBuilder;

use super::super::services;
use super::wire::Wire;

const MTU: usize = 1_500;

pub(super) fn serve(wire: Arc<Wire>) -> io::Result<()> {
    let builder = StackBuilder::default().enable_tcp(true).mtu(MTU);
    let (stack, Some(runner), _, Some(mut listener)) = builder.build()? else {
        return Err(io::Error::other("a stack without TCP"));
    };
    tokio::spawn(runner);
    let (mut sink, mut stream) = stack.split();
    let outward = Arc::clone(&wire);
    tokio::spawn(async move {
        while let Some(Ok(packet)) = stream.next().await {
            outward.send(PacketBuf::from(packet)).await?;
        }
        io::Result::Ok(())
    });
    tokio::spawn(async move {
        loop {
            for packet in wire.receive().await? {
                sink.feed(packet.to_vec()).await?;
            }
            sink.flush().await?;
        }
        #[expect(unreachable_code, reason = "names the type of what ends the loop")]
        io::Result::Ok(())
    });
    tokio::spawn(async move {
        while let Some((stream, _, to)) = listener.next().await {
            drop(tokio::spawn(services::serve(to.port(), stream)));
        }
    });
    Ok(())
}
