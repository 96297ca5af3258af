//! The examples, each run.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "an example has a `main` of its own, and a test may fail"
)]

#[cfg(target_os = "linux")]
#[path = "../examples/axum.rs"]
mod axum_over_tun;
mod common;
#[path = "../examples/in_a_test.rs"]
mod in_a_test;
#[cfg(target_os = "linux")]
#[path = "../examples/tun2socks.rs"]
mod tun2socks;
#[path = "../examples/tunnel.rs"]
mod tunnel;

use common::{text, within};

#[test]
fn in_a_test_is_the_same_octet_for_octet_each_time() {
    let (answers, took, capture) = in_a_test::run(7).unwrap();
    let expected = [
        "tea for 3 coins",
        "bread for 4 coins",
        "nothing for no coins",
    ];
    assert_eq!(answers, expected);
    let again = in_a_test::run(7).unwrap();
    assert!(capture == again.2, "the same seed gives the same capture");
    assert_eq!((took, answers), (again.1, again.0));
    let other = in_a_test::run(8).unwrap();
    assert_eq!(other.0, expected);
    assert!(capture != other.2, "another seed loses other packets");
}

#[tokio::test]
async fn tunnel_carries_everything() {
    let say = text(300_000);
    assert!(within(tunnel::talk(&say)).await.unwrap() == say);
}

#[cfg(target_os = "linux")]
mod with_the_kernel {
    use std::io::{ErrorKind, Read, Write};
    use std::net::{SocketAddr, TcpStream};
    use std::thread;
    use std::time::{Duration, Instant};

    use handwave::{Stack, UdpSocket, device};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::common::namespace;
    use super::{axum_over_tun, text, tun2socks, within};

    #[test]
    fn axum_answers_the_kernel() {
        if !namespace::entered() {
            return;
        }
        thread::spawn(|| {
            axum_over_tun::main()
                .map_err(|error| error.to_string())
                .unwrap()
        });
        let mut stream = connect(([10, 7, 0, 2], 80).into());
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: 10.7.0.2\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("Hello from another TCP\n"), "{answer}");
    }

    /// Tries until the interface is there and somebody listens.
    fn connect(addr: SocketAddr) -> TcpStream {
        let start = Instant::now();
        loop {
            match TcpStream::connect_timeout(&addr, Duration::from_secs(5)) {
                Ok(stream) => return stream,
                Err(error) => assert!(start.elapsed() < Duration::from_secs(60), "{error}"),
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    #[tokio::test]
    async fn tun2socks_makes_flows_again_with_the_hosts_sockets() {
        if !namespace::entered() {
            return;
        }
        namespace::ip(&["addr", "add", "203.0.113.9/32", "dev", "lo"]);
        let (left, right) = device::pair(1_500, 256);
        let client = Stack::builder()
            .device(left)
            .address([10, 8, 0, 2], 24)
            .spawn()
            .unwrap();
        let gateway = Stack::builder().device(right).spawn().unwrap();
        tokio::spawn(async move { tun2socks::forward(&gateway).await });

        let server = tokio::net::TcpListener::bind("203.0.113.9:0")
            .await
            .unwrap();
        let addr = server.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = server.accept().await {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await.unwrap();
            }
        });
        let mut stream = within(handwave::TcpStream::connect(&client, addr))
            .await
            .unwrap();
        let say = text(400_000);
        let (mut from, mut to) = stream.split();
        let writing = async {
            to.write_all(&say).await.unwrap();
            to.shutdown().await.unwrap();
        };
        let mut heard = Vec::new();
        let (count, ()) =
            within(async { tokio::join!(from.read_to_end(&mut heard), writing) }).await;
        count.unwrap();
        assert!(heard == say);

        let refused = handwave::TcpStream::connect(&client, "203.0.113.9:9".parse().unwrap());
        let refused = within(refused).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);

        let server = tokio::net::UdpSocket::bind("203.0.113.9:0").await.unwrap();
        let addr = server.local_addr().unwrap();
        let socket = UdpSocket::bind(&client, "0.0.0.0:0".parse().unwrap()).unwrap();
        socket.send_to(b"ask", addr).await.unwrap();
        let mut buffer = [0; 16];
        let (count, from) = within(server.recv_from(&mut buffer)).await.unwrap();
        assert_eq!(&buffer[..count], b"ask");
        server.send_to(b"answer", from).await.unwrap();
        let (count, from) = within(socket.recv_from(&mut buffer)).await.unwrap();
        assert_eq!((&buffer[..count], from), (&b"answer"[..], addr));
    }
}
