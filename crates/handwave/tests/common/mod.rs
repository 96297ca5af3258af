//! Two stacks on one wire.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test file uses its share, and a helper may fail as a test does"
)]

#[cfg(target_os = "linux")]
pub(crate) mod namespace;

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use handwave::{Builder, Driver, Stack, TcpListener, TcpStream, device};

/// Where servers listen.
pub(crate) const SERVER: SocketAddr =
    SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2)), 80);

/// Two stacks on one wire, not built yet: 10.0.0.1 and 10.0.0.2.
pub(crate) fn builders() -> (Builder, Builder) {
    let (left, right) = device::pair(1_500, 256);
    (
        Stack::builder().device(left).address([10, 0, 0, 1], 24),
        Stack::builder().device(right).address([10, 0, 0, 2], 24),
    )
}

/// Two stacks that run.
pub(crate) fn pair() -> (Stack, Stack) {
    let (left, right) = builders();
    (left.spawn().unwrap(), right.spawn().unwrap())
}

/// Two stacks; the second one's driver is a task that can be aborted.
pub(crate) fn pair_with_driver() -> (Stack, Stack, tokio::task::JoinHandle<std::io::Result<()>>) {
    let (left, right) = builders();
    let (server, driver): (Stack, Driver) = right.build().unwrap();
    (left.spawn().unwrap(), server, tokio::spawn(driver))
}

/// Fails instead of hanging.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future)
        .await
        .expect("it takes too long")
}

/// Both ends of a connection, and the stacks that carry it.
pub(crate) async fn connected() -> ((Stack, Stack, TcpListener), TcpStream, TcpStream) {
    let (client, server) = pair();
    let listener = TcpListener::bind(&server, SERVER).unwrap();
    let (ours, theirs) =
        within(async { tokio::join!(TcpStream::connect(&client, SERVER), listener.accept()) })
            .await;
    ((client, server, listener), ours.unwrap(), theirs.unwrap().0)
}

/// Both ends of a connection over a link on which a super-segment passes whole.
pub(crate) async fn connected_in_large_packets() -> ((Stack, Stack), TcpStream, TcpStream) {
    let (left, right) = device::pair(65_535, 64);
    let client = Stack::builder().device(left).address([10, 0, 0, 1], 24);
    let server = Stack::builder().device(right).address([10, 0, 0, 2], 24);
    let (client, server) = (client.spawn().unwrap(), server.spawn().unwrap());
    let listener = TcpListener::bind(&server, SERVER).unwrap();
    let (ours, theirs) = tokio::join!(TcpStream::connect(&client, SERVER), listener.accept());
    ((client, server), ours.unwrap(), theirs.unwrap().0)
}

/// Octets that do not repeat soon.
pub(crate) fn text(len: usize) -> Vec<u8> {
    (0..251).cycle().take(len).collect()
}

/// Takes the only address away from a stack, so that it hears nothing any more.
pub(crate) fn unplug(stack: &Stack, addr: IpAddr) {
    let interface = stack.interface();
    assert!(stack.with(|stack| stack.remove_address(interface, addr)));
}
