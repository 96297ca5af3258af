//! What `TcpStream` and `TcpListener` promise to programs written for sockets.

mod common;

use std::io::ErrorKind;

use common::{SERVER, pair, within};
use handwave::{TcpListener, TcpStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test]
async fn an_echo_comes_back_octet_for_octet() {
    let (client, server) = pair();
    let listener = TcpListener::bind(&server, SERVER).unwrap();
    let echo = tokio::spawn(async move {
        let (mut stream, peer) = listener.accept().await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), peer);
        let (mut from, mut to) = stream.split();
        tokio::io::copy(&mut from, &mut to).await.unwrap()
    });
    let text: Vec<u8> = (0..1_000_000_u32).map(|n| (n * 7 % 251) as u8).collect();
    let stream = TcpStream::connect(&client, SERVER).await.unwrap();
    let (mut from, mut to) = stream.into_split();
    let (back, ()) = within(async {
        tokio::join!(
            async {
                let mut back = Vec::new();
                from.read_to_end(&mut back).await.unwrap();
                back
            },
            async {
                to.write_all(&text).await.unwrap();
                to.shutdown().await.unwrap();
            }
        )
    })
    .await;
    assert!(back == text);
    assert_eq!(echo.await.unwrap(), text.len() as u64);
}

#[tokio::test]
async fn nobody_listening_is_connection_refused() {
    let (client, _server) = pair();
    let error = within(TcpStream::connect(&client, SERVER))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}
