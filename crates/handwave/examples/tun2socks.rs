//! Every flow that enters a TUN interface, made again with the host's own sockets: a tun2socks without the socks.
//!
//! Run it as root, and lead a network into it that the host itself reaches another way, for instance from a network namespace or a
//! container: `ip route add 203.0.113.0/24 dev hw-socks`.
//!
//! A client hears of its connection only when the way onward stands. What refuses the host refuses the client, and what the host cannot
//! reach the client cannot either.

use std::error::Error;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use handwave::device::TunBuilder;
use handwave::{
    Flow, Forwarder, ForwarderConfig, Stack, TcpRequest, TcpStream, UdpSession, Unreachable,
};
use tokio::net;

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn Error>> {
    let kernel = "10.8.0.1/24".parse()?;
    let tun = TunBuilder::new()
        .name("hw-socks")
        .address(kernel)
        .create()?;
    let gateway = Stack::builder().device(tun).spawn()?;
    println!("hw-socks is up: lead a network into it with `ip route add .. dev hw-socks`");
    forward(&gateway).await?;
    Ok(())
}

/// Makes every flow that enters `gateway` again with the host's sockets, until the stack ends.
pub(crate) async fn forward(gateway: &Stack) -> io::Result<()> {
    let forwarder = Forwarder::new(gateway, ForwarderConfig::default())?;
    loop {
        match forwarder.next().await? {
            Flow::Tcp(request) => {
                tokio::spawn(async move {
                    let (client, destination) = (request.client(), request.destination());
                    match relay_stream(request).await {
                        Ok((there, back)) => {
                            println!("{client} > {destination}: {there} octets there, {back} back")
                        }
                        Err(error) => println!("{client} > {destination}: {error}"),
                    }
                });
            }
            Flow::Udp(session) => {
                tokio::spawn(relay_datagrams(session));
            }
        }
    }
}

async fn relay_stream(request: TcpRequest) -> io::Result<(u64, u64)> {
    let mut outside = match net::TcpStream::connect(request.destination()).await {
        Ok(stream) => stream,
        Err(error) => {
            turn_down(request, error.kind());
            return Err(error);
        }
    };
    let mut inside: TcpStream = request.accept().await?;
    let relayed = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
    if relayed.is_err() {
        // A connection that broke off on one side must not look complete on the other.
        inside.abort();
        outside.set_zero_linger()?;
    }
    relayed
}

/// Tells the client what the host was told.
fn turn_down(request: TcpRequest, why: ErrorKind) {
    match why {
        ErrorKind::ConnectionRefused => request.refuse(),
        ErrorKind::NetworkUnreachable => request.unreachable(Unreachable::Network),
        ErrorKind::HostUnreachable => request.unreachable(Unreachable::Host),
        ErrorKind::PermissionDenied => request.unreachable(Unreachable::Prohibited),
        _ => request.ignore(),
    }
}

/// Ends when the session has been idle for long enough.
async fn relay_datagrams(session: UdpSession) -> io::Result<()> {
    let any: SocketAddr = match session.destination() {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let outside = net::UdpSocket::bind(any).await?;
    outside.connect(session.destination()).await?;
    let (mut there, mut back) = (vec![0; 65_535], vec![0; 65_535]);
    loop {
        tokio::select! {
            count = session.recv(&mut there) => {
                // Datagrams may be lost anywhere, so also here.
                let _lost = outside.send(&there[..count?]).await;
            }
            Ok(count) = outside.recv(&mut back) => {
                session.send(&back[..count]).await?;
            }
        }
    }
}
