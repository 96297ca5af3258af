//! A tunnel of the program's own: two stacks whose packets travel in the datagrams of two UDP sockets, as a VPN's do.
//!
//! Needs no privilege. What a real tunnel adds is a cipher, between the channel and the socket.

use std::io;
use std::net::Ipv4Addr;

use handwave::device::{PacketReceiver, PacketSender, TrySendError, channel};
use handwave::{PacketBuf, Stack, TcpListener, TcpStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UdpSocket;

/// What fits into a datagram on most paths together with its own headers.
const MTU: u16 = 1_420;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let heard = talk(b"hello through the tunnel").await?;
    println!("{}", String::from_utf8_lossy(&heard));
    Ok(())
}

/// Joins two stacks by a tunnel over loopback and has one echo what the other says.
pub(crate) async fn talk(say: &[u8]) -> io::Result<Vec<u8>> {
    let here = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let there = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    here.connect(there.local_addr()?).await?;
    there.connect(here.local_addr()?).await?;
    let client = tunnel(here, [10, 9, 0, 1])?;
    let server = tunnel(there, [10, 9, 0, 2])?;

    let listener = TcpListener::bind(&server, ([10, 9, 0, 2], 7).into())?;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let (mut from, mut to) = stream.split();
        tokio::io::copy(&mut from, &mut to).await?;
        to.shutdown().await
    });

    let mut stream = TcpStream::connect(&client, ([10, 9, 0, 2], 7).into()).await?;
    let (mut from, mut to) = stream.split();
    let writing = async {
        to.write_all(say).await?;
        to.shutdown().await
    };
    let mut heard = Vec::new();
    let (count, wrote) = tokio::join!(from.read_to_end(&mut heard), writing);
    wrote.and(count)?;
    Ok(heard)
}

/// A stack at the inner end of a tunnel whose outer end is `socket`.
pub(crate) fn tunnel(socket: UdpSocket, address: [u8; 4]) -> io::Result<Stack> {
    let (device, to_stack, from_stack) = channel(MTU, 256);
    tokio::spawn(carry(socket, to_stack, from_stack));
    Stack::builder().device(device).address(address, 24).spawn()
}

/// Carries packets both ways until the stack is gone.
async fn carry(socket: UdpSocket, to_stack: PacketSender, mut from_stack: PacketReceiver) {
    let mut datagram = vec![0; MTU.into()];
    loop {
        tokio::select! {
            packet = from_stack.receive() => {
                let Some(packet) = packet else { return };
                // A tunnel may lose packets, as any path may: TCP sees to it.
                let _lost = socket.send(&packet.to_vec()).await;
            }
            Ok(len) = socket.recv(&mut datagram) => {
                let packet = PacketBuf::from(datagram[..len].to_vec());
                if let Err(TrySendError::Closed(_)) = to_stack.try_send(packet) {
                    return;
                }
            }
        }
    }
}
