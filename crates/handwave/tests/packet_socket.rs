//! A stack that is a station on Ethernet, beside the kernel at the other end of a `veth` pair: streams both ways, with the super-segments
//! and partial checksums that such an interface hands over, and with segments as they go on a wire.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a helper fails as a test does")]

mod common;

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::thread;

use common::{namespace, text, within};
use handwave::Stack;
use handwave::device::PacketSocketBuilder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const LEN: usize = 3_000_000;
const ECHO: u16 = 7;

/// Makes a cable: the stack is to be at `left`, the kernel is 10.7.0.1 and fd07::1 at `right`.
fn cable() {
    for command in [
        "link add left type veth peer name right",
        "link set dev left up",
        "link set dev right up",
        "addr add 10.7.0.1/24 dev right",
        "addr add fd07::1/64 dev right nodad",
    ] {
        namespace::ip(&command.split(' ').collect::<Vec<_>>());
    }
}

/// A stack at `left` that echoes, with so many queues.
fn stack(offload: bool, queues: usize) -> Stack {
    let sockets = PacketSocketBuilder::new("left")
        .offload(offload)
        .open_queues(queues);
    let stack = Stack::builder()
        .queues(sockets.unwrap())
        .address([10, 7, 0, 2], 24)
        .address("fd07::2".parse::<IpAddr>().unwrap(), 64)
        .spawn()
        .unwrap();
    let listener = handwave::TcpListener::bind(&stack, ([0, 0, 0, 0], ECHO).into()).unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = tokio::io::split(stream);
                let _end = tokio::io::copy(&mut from, &mut to).await;
                let _end = to.shutdown().await;
            });
        }
    });
    stack
}

/// Sends a text through the kernel's socket and hears it back.
fn echo(addr: SocketAddr) {
    let stream = TcpStream::connect(addr).unwrap();
    let say = text(LEN);
    thread::scope(|scope| {
        scope.spawn(|| {
            (&stream).write_all(&say).unwrap();
            stream.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let mut heard = Vec::new();
        (&stream).read_to_end(&mut heard).unwrap();
        assert!(heard == say, "{addr}: other octets came back");
    });
}

async fn clients_of_the_kernel_and_of_the_stack(offload: bool, queues: usize) -> Stack {
    cable();
    let stack = stack(offload, queues);
    for ours in ["10.7.0.2:7", "[fd07::2]:7"] {
        let addr = ours.parse().unwrap();
        within(tokio::task::spawn_blocking(move || echo(addr)))
            .await
            .unwrap();
    }
    let server = TcpListener::bind("10.7.0.1:0").unwrap();
    let addr = server.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        std::io::copy(&mut stream.try_clone().unwrap(), &mut stream).unwrap();
    });
    let stream = within(handwave::TcpStream::connect(&stack, addr)).await;
    let (mut from, mut to) = tokio::io::split(stream.unwrap());
    let say = text(LEN);
    let mut heard = Vec::new();
    let writing = async {
        to.write_all(&say).await.unwrap();
        to.shutdown().await.unwrap();
    };
    let (count, ()) = within(async { tokio::join!(from.read_to_end(&mut heard), writing) }).await;
    count.unwrap();
    assert!(heard == say);
    stack
}

#[tokio::test]
async fn streams_pass_as_super_segments() {
    if namespace::entered() {
        let _stack = clients_of_the_kernel_and_of_the_stack(true, 1).await;
    }
}

#[tokio::test]
async fn streams_pass_as_segments_cut_before_the_wire() {
    if namespace::entered() {
        let _stack = clients_of_the_kernel_and_of_the_stack(false, 1).await;
    }
}

#[tokio::test]
async fn streams_pass_by_several_queues_and_live_in_their_shards() {
    if namespace::entered() {
        let stack = clients_of_the_kernel_and_of_the_stack(true, 3).await;
        for _ in 0..12 {
            let addr = "10.7.0.2:7".parse().unwrap();
            within(tokio::task::spawn_blocking(move || echo(addr)))
                .await
                .unwrap();
        }
        assert!(
            stack.counters().strays > 0,
            "not all came where they belong"
        );
    }
}
