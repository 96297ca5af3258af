//! tcp_ip: sockets, and two halves that take and give packets.

use std::io;
use std::sync::Arc;

use handwave_packet::PacketBuf;
use tcp_ip::IpStackConfig;
use tcp_ip::tcp::TcpListener;

use super::super::services;
use super::wire::Wire;

const MTU: u16 = 1_500;
/// Packets taken from the stack at once.
const BATCH: usize = 64;

pub(super) fn serve(wire: Arc<Wire>) -> io::Result<()> {
    let config = IpStackConfig::builder().mtu(MTU).build();
    let (stack, inward, mut outward) = tcp_ip::ip_stack(config)?;
    let out_wire = Arc::clone(&wire);
    tokio::spawn(async move {
        let mut buffers = vec![vec![0; usize::from(MTU)]; BATCH];
        let mut sizes = [0; BATCH];
        while let Ok(count) = outward.recv_ip_packet(&mut buffers, &mut sizes).await {
            for (buffer, size) in buffers.iter().zip(sizes).take(count) {
                let packet = PacketBuf::from(buffer[..size].to_vec());
                out_wire.send(packet).await?;
            }
        }
        io::Result::Ok(())
    });
    tokio::spawn(async move {
        while let Ok(packets) = wire.receive().await {
            for packet in packets {
                // What it refuses is lost, as on any link.
                let _refused = inward.send_ip_packet(&packet.to_vec()).await;
            }
        }
    });
    tokio::spawn(async move {
        let mut listener = TcpListener::bind_all(stack).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            let port = stream.local_addr()?.port();
            drop(tokio::spawn(services::serve(port, stream)));
        }
        #[expect(unreachable_code, reason = "names the type of what ends the loop")]
        io::Result::Ok(())
    });
    Ok(())
}
