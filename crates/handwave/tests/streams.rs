//! What `TcpStream` and `TcpListener` promise to programs written for sockets.

mod common;
#[path = "common/devices.rs"]
mod devices;
mod shards;

use std::future::poll_fn;
use std::io::{ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use common::{
    SERVER, builders, connected, connected_in_large_packets, pair, pair_with_driver, text, within,
};
use handwave::{
    BufferSize, Bytes, Config, KeepAlive, ListenerConfig, Phase, Stack, TcpListener, TcpStream,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

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
    let text = text(1_000_000);
    let stream = TcpStream::connect(&client, SERVER).await.unwrap();
    let (mut from, mut to) = stream.into_split();
    let reading = async {
        let mut back = Vec::new();
        from.read_to_end(&mut back).await.unwrap();
        back
    };
    let writing = async {
        to.write_all(&text).await.unwrap();
        to.shutdown().await.unwrap();
    };
    let (back, ()) = within(async { tokio::join!(reading, writing) }).await;
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

#[tokio::test(start_paused = true)]
async fn nobody_answering_is_timed_out() {
    let (client, server) = pair();
    let nobody = "10.0.0.9:80".parse().unwrap();
    let error = TcpStream::connect(&client, nobody).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    drop(server);
}

#[tokio::test]
async fn reading_into_nothing_is_no_end_of_stream() {
    let (_stacks, mut ours, mut theirs) = connected().await;
    assert_eq!(ours.read(&mut []).await.unwrap(), 0);
    theirs.write_all(b"still here").await.unwrap();
    let mut buffer = [0; 10];
    within(ours.read_exact(&mut buffer)).await.unwrap();
    assert_eq!(&buffer, b"still here");
}

#[tokio::test]
async fn a_read_appends_to_what_the_buffer_holds_and_leaves_the_rest_alone() {
    let (_stacks, ours, mut theirs) = connected().await;
    theirs.write_all(b"tail").await.unwrap();
    within(ours.readable()).await.unwrap();
    let mut memory = [std::mem::MaybeUninit::uninit(); 64];
    let mut buffer = ReadBuf::uninit(&mut memory);
    buffer.put_slice(b"head ");
    let mut ours = ours;
    within(poll_fn(|cx| Pin::new(&mut ours).poll_read(cx, &mut buffer)))
        .await
        .unwrap();
    assert_eq!(buffer.filled(), b"head tail");
    assert_eq!(
        buffer.initialized().len(),
        buffer.filled().len(),
        "no needless clearing"
    );
}

#[tokio::test]
async fn the_end_of_the_stream_is_told_again_and_again() {
    let (_stacks, mut ours, mut theirs) = connected().await;
    theirs.write_all(b"last words").await.unwrap();
    theirs.shutdown().await.unwrap();
    let mut heard = Vec::new();
    within(ours.read_to_end(&mut heard)).await.unwrap();
    assert_eq!(heard, b"last words");
    for _ in 0..3 {
        assert_eq!(ours.read(&mut [0; 4]).await.unwrap(), 0);
        assert_eq!(ours.peek(&mut [0; 4]).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn half_closed_streams_go_on_the_other_way() {
    let (_stacks, mut ours, mut theirs) = connected().await;
    within(ours.shutdown()).await.unwrap();
    let error = ours.write(b"too late").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    assert_eq!(within(theirs.read(&mut [0; 4])).await.unwrap(), 0);

    let long = text(300_000);
    let answering = async {
        theirs.write_all(&long).await.unwrap();
        theirs.shutdown().await.unwrap();
    };
    let mut heard = Vec::new();
    let (count, ()) = within(async { tokio::join!(ours.read_to_end(&mut heard), answering) }).await;
    assert_eq!(count.unwrap(), long.len());
    assert!(heard == long);
}

#[tokio::test]
async fn shutdown_waits_until_everything_has_left() {
    let (_stacks, mut ours, mut theirs) = connected().await;
    // More than both buffers hold: the FIN can leave only after the peer has read.
    let mut sent = 0;
    while let Ok(count) = ours.try_write(&[7; 16_384]) {
        sent += count;
        tokio::task::yield_now().await;
    }
    let early = tokio::time::timeout(Duration::from_millis(50), ours.shutdown()).await;
    assert!(early.is_err(), "the window is shut");
    let reading = async {
        let mut heard = Vec::new();
        theirs.read_to_end(&mut heard).await.unwrap();
        heard.len()
    };
    let (done, heard) = within(async { tokio::join!(ours.shutdown(), reading) }).await;
    done.unwrap();
    assert_eq!(heard, sent);
    assert!(ours.tcp_info().unwrap().phase != Phase::Established);
    within(ours.shutdown()).await.unwrap();
}

#[tokio::test]
async fn copy_bidirectional_loses_nothing() {
    let (_stacks, mut near, mut left) = connected().await;
    let (_more, mut right, mut far) = connected().await;
    let relay = tokio::spawn(async move {
        tokio::io::copy_bidirectional(&mut left, &mut right)
            .await
            .unwrap()
    });
    let (there, back) = (text(700_000), text(500_001));
    let talk = async |stream: &mut TcpStream, say: &[u8]| {
        let (mut from, mut to) = stream.split();
        let writing = async {
            to.write_all(say).await.unwrap();
            to.shutdown().await.unwrap();
        };
        let mut heard = Vec::new();
        let (count, ()) = tokio::join!(from.read_to_end(&mut heard), writing);
        count.unwrap();
        heard
    };
    let (heard_here, heard_there) =
        within(async { tokio::join!(talk(&mut near, &there), talk(&mut far, &back)) }).await;
    assert!(heard_here == back && heard_there == there);
    assert_eq!(relay.await.unwrap(), (700_000, 500_001));
}

#[tokio::test]
async fn a_cancelled_read_loses_no_octet() {
    let (_stacks, mut ours, mut theirs) = connected().await;
    let long = text(100_000);
    let expected = long.clone();
    let writing = tokio::spawn(async move {
        for part in long.chunks(977) {
            theirs.write_all(part).await.unwrap();
            tokio::task::yield_now().await;
        }
        theirs
    });
    let mut heard = Vec::new();
    while heard.len() < expected.len() {
        let mut buffer = [0; 1_500];
        tokio::select! {
            biased;
            () = tokio::task::yield_now() => {}
            count = ours.read(&mut buffer) => heard.extend_from_slice(&buffer[..count.unwrap()]),
        }
    }
    assert!(heard == expected);
    drop(writing.await.unwrap());
}

#[tokio::test]
async fn a_cancelled_write_has_written_nothing() {
    let (_stacks, mut ours, theirs) = connected().await;
    let (mut written, mut cancelled) = (Vec::new(), 0);
    let long = text(4_000_000);
    let reading = tokio::spawn(async move {
        let mut theirs = theirs;
        let mut heard = Vec::new();
        theirs.read_to_end(&mut heard).await.unwrap();
        heard
    });
    while written.len() < long.len() {
        let rest = &long[written.len()..];
        tokio::select! {
            biased;
            count = ours.write(rest) => written.extend_from_slice(&rest[..count.unwrap()]),
            () = std::future::ready(()) => {
                cancelled += 1;
                tokio::task::yield_now().await;
            }
        }
    }
    assert!(cancelled > 0, "some write had to wait");
    within(ours.shutdown()).await.unwrap();
    assert!(within(reading).await.unwrap() == long);
}

#[tokio::test]
async fn vectored_writes_keep_their_order_and_skip_what_is_empty() {
    let (_stacks, mut ours, mut theirs) = connected().await;
    assert!(ours.is_write_vectored());
    let slices = ["", "one ", "", "two ", "three"].map(|part| IoSlice::new(part.as_bytes()));
    assert_eq!(ours.write_vectored(&slices).await.unwrap(), 13);
    assert_eq!(ours.write(&[]).await.unwrap(), 0);
    drop(ours);
    let mut heard = String::new();
    within(theirs.read_to_string(&mut heard)).await.unwrap();
    assert_eq!(heard, "one two three");
}

#[tokio::test]
async fn a_cancelled_accept_loses_no_connection() {
    let (client, server) = pair();
    let listener = TcpListener::bind(&server, SERVER).unwrap();
    for _ in 0..20 {
        let mut connecting = std::pin::pin!(TcpStream::connect(&client, SERVER));
        let mut accepted = false;
        let mut connected = false;
        while !(accepted && connected) {
            tokio::select! {
                biased;
                () = tokio::task::yield_now() => {}
                stream = listener.accept(), if !accepted => { stream.unwrap(); accepted = true; }
                stream = &mut connecting, if !connected => { stream.unwrap(); connected = true; }
            }
        }
    }
    assert_eq!(
        (listener.waiting(), listener.counters().established),
        (0, 20)
    );
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_connect_leaves_nothing_behind() {
    let (client, _server) = pair();
    let nobody = "10.0.0.9:80".parse().unwrap();
    let attempt = TcpStream::connect(&client, nobody);
    let cancelled = tokio::time::timeout(Duration::from_millis(10), attempt).await;
    assert!(cancelled.is_err());
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(client.with(|stack| stack.sockets().count()), 0);
}

#[tokio::test]
async fn a_reset_is_connection_reset_for_both_directions() {
    let (_stacks, mut ours, mut theirs) = connected().await;
    theirs.write_all(b"before").await.unwrap();
    let mut buffer = [0; 6];
    within(ours.read_exact(&mut buffer)).await.unwrap();
    theirs.abort();
    let error = within(ours.read(&mut buffer)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let error = ours.write(b"?").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let told = ours.take_error().unwrap().map(|error| error.kind());
    assert_eq!(told, Some(ErrorKind::ConnectionReset));
    let own = theirs.read(&mut buffer).await.unwrap_err();
    assert_eq!(own.kind(), ErrorKind::ConnectionAborted);
}

#[tokio::test]
async fn a_waiting_reader_and_a_waiting_writer_are_woken_by_a_reset() {
    let (_stacks, ours, theirs) = connected().await;
    while ours.try_write(&[0; 65_536]).is_ok() {
        tokio::task::yield_now().await;
    }
    let (mut from, mut to) = ours.into_split();
    let reader = tokio::spawn(async move { from.read(&mut [0; 1]).await });
    let writer = tokio::spawn(async move { to.write_all(&[0; 1 << 20]).await });
    tokio::task::yield_now().await;
    theirs.abort();
    let read = within(reader).await.unwrap().unwrap_err();
    let written = within(writer).await.unwrap().unwrap_err();
    assert_eq!(read.kind(), ErrorKind::ConnectionReset);
    assert_eq!(written.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn dropping_delivers_what_was_written_and_then_ends_the_stream() {
    let (_stacks, mut ours, mut theirs) = connected().await;
    let long = text(100_000);
    ours.write_all(&long).await.unwrap();
    drop(ours);
    let mut heard = Vec::new();
    within(theirs.read_to_end(&mut heard)).await.unwrap();
    assert!(heard == long);
}

#[tokio::test]
async fn dropping_with_something_unread_resets() {
    let (_stacks, ours, mut theirs) = connected().await;
    theirs.write_all(b"nobody will read this").await.unwrap();
    within(ours.readable()).await.unwrap();
    drop(ours);
    let error = within(theirs.read(&mut [0; 1])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_linger_of_zero_resets_on_drop() {
    let (_stacks, mut ours, mut theirs) = connected().await;
    ours.set_linger(Some(Duration::ZERO)).unwrap();
    ours.write_all(b"perhaps lost").await.unwrap();
    drop(ours);
    let mut heard = Vec::new();
    let error = within(theirs.read_to_end(&mut heard)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn a_linger_gives_up_what_is_not_acknowledged_in_time() {
    let (stacks, mut ours, _theirs) = connected().await;
    let connections = || stacks.0.with(|stack| stack.sockets().count());
    ours.set_linger(Some(Duration::from_secs(5))).unwrap();
    assert_eq!(ours.linger().unwrap(), Some(Duration::from_secs(5)));
    common::unplug(&stacks.1, SERVER.ip());
    ours.write_all(b"nobody hears this").await.unwrap();
    drop(ours);
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(connections(), 1, "it is still being tried");
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(connections(), 0);
}

#[tokio::test]
async fn owned_halves_close_as_they_go() {
    let (_stacks, ours, mut theirs) = connected().await;
    let (from, to) = ours.into_split();
    drop(to);
    assert_eq!(within(theirs.read(&mut [0; 1])).await.unwrap(), 0);
    theirs.write_all(b"x").await.unwrap();
    let mut from = from;
    assert_eq!(within(from.read(&mut [0; 1])).await.unwrap(), 1);

    let (_stacks, ours, mut theirs) = connected().await;
    let (from, to) = ours.into_split();
    let mut whole = from.reunite(to).unwrap();
    whole.write_all(b"whole").await.unwrap();
    let mut heard = [0; 5];
    within(theirs.read_exact(&mut heard)).await.unwrap();
    let (_stacks, other, _theirs) = connected().await;
    assert!(whole.into_split().0.reunite(other.into_split().1).is_err());
}

#[tokio::test]
async fn peeking_takes_nothing() {
    let (_stacks, mut ours, mut theirs) = connected().await;
    let peeking = async {
        let mut buffer = [0; 16];
        let count = ours.peek(&mut buffer).await.unwrap();
        buffer[..count].to_vec()
    };
    let (peeked, written) =
        within(async { tokio::join!(peeking, theirs.write_all(b"look")) }).await;
    written.unwrap();
    let mut heard = [0; 4];
    within(ours.read_exact(&mut heard)).await.unwrap();
    assert_eq!((peeked.as_slice(), &heard), (&b"look"[..], b"look"));
}

#[tokio::test]
async fn options_reach_the_connection() {
    let (_stacks, ours, _theirs) = connected().await;
    assert!(!ours.nodelay().unwrap());
    ours.set_nodelay(true).unwrap();
    assert!(ours.nodelay().unwrap());
    let keepalive = KeepAlive {
        probes: 3,
        ..KeepAlive::default()
    };
    ours.set_keepalive(Some(keepalive)).unwrap();
    assert_eq!(ours.keepalive().unwrap(), Some(keepalive));
    let info = ours.tcp_info().unwrap();
    assert_eq!((info.phase, info.snd_mss), (Phase::Established, 1_448));
    assert_eq!(ours.peer_addr().unwrap(), SERVER);
    assert_eq!(ours.local_addr().unwrap().ip().to_string(), "10.0.0.1");
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_given_up_by_keepalive() {
    let (stacks, mut ours, theirs) = connected().await;
    let keepalive = KeepAlive {
        idle: Duration::from_secs(60),
        interval: Duration::from_secs(5),
        probes: 3,
    };
    ours.set_keepalive(Some(keepalive)).unwrap();
    // The peer's host is unplugged: it neither answers nor says goodbye.
    let away = "10.0.0.2".parse().unwrap();
    common::unplug(&stacks.1, away);
    let start = tokio::time::Instant::now();
    let error = ours.read(&mut [0; 1]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(start.elapsed().as_secs(), 75);
    drop(theirs);
}

#[tokio::test]
async fn the_accept_queue_is_as_long_as_asked_for() {
    let (client, server) = pair();
    let limits = ListenerConfig {
        accept_queue_max: 3,
        ..ListenerConfig::default()
    };
    let listener = TcpListener::bind_with(&server, SERVER, limits).unwrap();
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(within(TcpStream::connect(&client, SERVER)).await.unwrap());
    }
    assert_eq!(listener.waiting(), 3);
    let attempt = TcpStream::connect(&client, SERVER);
    let refused = tokio::time::timeout(Duration::from_millis(100), attempt).await;
    assert!(refused.is_err(), "the fourth is kept waiting");
    assert!(listener.counters().accept_queue_full > 0);
    for _ in 0..3 {
        within(listener.accept()).await.unwrap();
    }
    within(TcpStream::connect(&client, SERVER)).await.unwrap();
}

#[tokio::test]
async fn dropping_the_listener_resets_who_waits_and_frees_the_port() {
    let (client, server) = pair();
    let listener = TcpListener::bind(&server, SERVER).unwrap();
    let taken = TcpListener::bind(&server, SERVER).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AddrInUse);
    let foreign = TcpListener::bind(&server, "10.0.0.7:80".parse().unwrap()).unwrap_err();
    assert_eq!(foreign.kind(), ErrorKind::AddrNotAvailable);
    let mut stream = within(TcpStream::connect(&client, SERVER)).await.unwrap();
    within(async {
        while listener.waiting() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(listener);
    let error = within(stream.read(&mut [0; 1])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(TcpListener::bind(&server, SERVER).is_ok());
}

#[tokio::test]
async fn port_zero_finds_a_free_port() {
    let (client, server) = pair();
    let any = "0.0.0.0:0".parse().unwrap();
    let first = TcpListener::bind(&server, any).unwrap();
    let second = TcpListener::bind(&server, any).unwrap();
    let (first, second) = (first.local_addr().unwrap(), second.local_addr().unwrap());
    assert!(first.port() >= 49_152 && second.port() >= 49_152 && first != second);
    let refused = within(TcpStream::connect(&client, (SERVER.ip(), 49_151).into())).await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn two_hundred_connections_at_once() {
    let (client, server) = pair();
    let listener = TcpListener::bind_with(
        &server,
        SERVER,
        ListenerConfig {
            accept_queue_max: 256,
            ..ListenerConfig::default()
        },
    )
    .unwrap();
    let serving = tokio::spawn(async move {
        for _ in 0..200 {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await.unwrap();
                to.shutdown().await.unwrap();
            });
        }
    });
    let clients: Vec<_> = (0..200_usize)
        .map(|n| {
            let client = client.clone();
            tokio::spawn(async move {
                let say = text(1_000 + n * 100);
                let mut stream = TcpStream::connect(&client, SERVER).await.unwrap();
                let (mut from, mut to) = stream.split();
                let writing = async {
                    to.write_all(&say).await.unwrap();
                    to.shutdown().await.unwrap();
                };
                let mut heard = Vec::new();
                let (count, ()) = tokio::join!(from.read_to_end(&mut heard), writing);
                count.unwrap();
                assert!(heard == say);
            })
        })
        .collect();
    for client in clients {
        within(client).await.unwrap();
    }
    within(serving).await.unwrap();
    assert!(client.counters().packets_sent > 0);
}

#[tokio::test]
async fn dropping_the_driver_resets_what_is_left() {
    let (client, server, driver) = pair_with_driver();
    let listener = TcpListener::bind(&server, SERVER).unwrap();
    let mut ours = within(TcpStream::connect(&client, SERVER)).await.unwrap();
    let (mut theirs, _) = within(listener.accept()).await.unwrap();
    driver.abort();
    let error = within(ours.read(&mut [0; 1])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "the peer is told");
    let error = within(theirs.read(&mut [0; 1])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
    let error = within(listener.accept()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
    assert!(server.has_ended());
}

#[tokio::test(start_paused = true)]
async fn the_driver_ends_when_nobody_is_left_and_everything_is_delivered() {
    let (client, server, driver) = pair_with_driver();
    let listener = TcpListener::bind(&server, SERVER).unwrap();
    let mut ours = within(TcpStream::connect(&client, SERVER)).await.unwrap();
    let (mut theirs, _) = within(listener.accept()).await.unwrap();
    theirs.write_all(&text(100_000)).await.unwrap();
    drop((server, listener));
    drop(theirs);
    assert!(!driver.is_finished());
    let mut heard = Vec::new();
    within(ours.read_to_end(&mut heard)).await.unwrap();
    assert_eq!(heard.len(), 100_000);
    drop(ours);
    within(driver).await.unwrap().unwrap();
}

#[tokio::test]
async fn small_settings_make_small_buffers() {
    let (client, server) = builders();
    let config = Config {
        send_buffer: BufferSize::fixed(4_096),
        ..Config::default()
    };
    let client = client.tcp(config).spawn().unwrap();
    let server = server.spawn().unwrap();
    let _listener = TcpListener::bind(&server, SERVER).unwrap();
    let mut stream = within(TcpStream::connect(&client, SERVER)).await.unwrap();
    let count = poll_fn(
        |cx| match Pin::new(&mut stream).poll_write(cx, &[0; 10_000]) {
            Poll::Ready(count) => Poll::Ready(count.unwrap()),
            Poll::Pending => Poll::Ready(0),
        },
    )
    .await;
    assert_eq!(count, 4_096);
}

/// A write that fills the buffer to the last octet is not short, and still somebody may wait for room.
#[tokio::test]
async fn a_buffer_filled_to_the_last_octet_becomes_writable_again() {
    let (_stacks, ours, mut theirs) = connected().await;
    let chunk = vec![7; 1_024];
    let mut written = 0;
    // The default buffer is a multiple of the chunk, so the last write is taken whole.
    while let Ok(count) = ours.try_write(&chunk) {
        written += count;
        if count < chunk.len() {
            break;
        }
        if written % (256 * 1_024) == 0 {
            break;
        }
    }
    let reader = tokio::spawn(async move {
        let mut sink = vec![0; written];
        theirs.read_exact(&mut sink).await
    });
    within(ours.writable()).await.unwrap();
    within(reader).await.unwrap().unwrap();
}

#[tokio::test]
async fn who_writes_on_and_on_lets_the_driver_send_in_between() {
    let (client, server) = builders();
    let config = Config {
        send_buffer: BufferSize::fixed(4 << 20),
        ..Config::default()
    };
    let client = client.tcp(config).spawn().unwrap();
    let server = server.spawn().unwrap();
    let _listener = TcpListener::bind(&server, SERVER).unwrap();
    let mut stream = within(TcpStream::connect(&client, SERVER)).await.unwrap();
    let mut total = 0;
    // Nobody reads, so in the end the buffers are full; until then the writer is woken again and again.
    while total < 4 << 20 {
        let at_once = poll_fn(|cx| {
            let mut written = 0;
            while let Poll::Ready(count) = Pin::new(&mut stream).poll_write(cx, &[7; 32 << 10]) {
                written += count.unwrap();
            }
            match written {
                0 => Poll::Pending,
                written => Poll::Ready(written),
            }
        });
        let written = within(at_once).await;
        assert!(written <= 256 << 10, "{written} octets at once");
        total += written;
    }
}

/// Counts how often a future is polled.
async fn counted<T>(polls: Arc<AtomicUsize>, future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    poll_fn(|cx| {
        polls.fetch_add(1, Ordering::Relaxed);
        future.as_mut().poll(cx)
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn an_idle_stack_is_not_woken_at_all() {
    let (client, server) = builders();
    let (client, server) = (client.build().unwrap(), server.build().unwrap());
    let polls = Arc::new(AtomicUsize::new(0));
    for driver in [client.1, server.1] {
        tokio::spawn(counted(Arc::clone(&polls), driver));
    }
    let listener = TcpListener::bind(&server.0, SERVER).unwrap();
    let (ours, theirs) = tokio::join!(TcpStream::connect(&client.0, SERVER), listener.accept());
    let (mut ours, (mut theirs, _)) = (ours.unwrap(), theirs.unwrap());
    let (accepting, waiting) = (listener.accept(), theirs.readable());
    let mut idle = Box::pin(async { tokio::join!(accepting, waiting) });
    // Timers that the handshake has set and the peer's answer has made needless run out once.
    let calm = tokio::time::timeout(Duration::from_secs(10), &mut idle).await;
    let settled = polls.load(Ordering::Relaxed);
    let day = tokio::time::timeout(Duration::from_secs(86_400), &mut idle).await;
    assert!(calm.is_err() && day.is_err() && settled > 0);
    assert_eq!(polls.load(Ordering::Relaxed), settled);
    ours.write_all(b"still here").await.unwrap();
    drop(idle);
    theirs.read_exact(&mut [0; 10]).await.unwrap();
}

#[tokio::test]
async fn what_those_write_whom_the_acceptor_spawns_leaves_with_the_rest() {
    let (client, server) = pair();
    let listener = TcpListener::bind(&server, SERVER).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move { stream.write_all(b"hello").await });
        }
    });
    // A task of its own has its turn when the driver gives way: the acknowledgment of the one and the SYN of the other leave together.
    let reading = tokio::spawn(async move {
        let first = TcpStream::connect(&client, SERVER).await.unwrap();
        let _second = TcpStream::connect(&client, SERVER).await.unwrap();
        first.try_read(&mut [0; 8])
    });
    assert_eq!(within(reading).await.unwrap().unwrap(), 5);
}

#[tokio::test]
async fn one_connection_wakes_one_of_those_who_accept() {
    let (client, server) = pair();
    let listener = Arc::new(TcpListener::bind(&server, SERVER).unwrap());
    let polls = Arc::new(AtomicUsize::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let (listener, polls) = (Arc::clone(&listener), Arc::clone(&polls));
        tasks.spawn(async move { counted(polls, listener.accept()).await.unwrap().0 });
    }
    tokio::task::yield_now().await;
    assert_eq!(polls.load(Ordering::Relaxed), 10, "all wait");
    let mut streams = Vec::new();
    for count in 1..=4 {
        streams.push(within(TcpStream::connect(&client, SERVER)).await.unwrap());
        streams.push(within(tasks.join_next()).await.unwrap().unwrap());
        assert_eq!(polls.load(Ordering::Relaxed), 10 + count);
    }
    let connecting = (0..6).map(|_| TcpStream::connect(&client, SERVER));
    for connected in connecting {
        streams.push(within(connected).await.unwrap());
    }
    while let Some(stream) = within(tasks.join_next()).await {
        streams.push(stream.unwrap());
    }
    assert_eq!((polls.load(Ordering::Relaxed), streams.len()), (20, 20));
}

#[tokio::test]
async fn who_was_called_and_leaves_passes_the_call_on() {
    let (client, server) = pair();
    let listener = Arc::new(TcpListener::bind(&server, SERVER).unwrap());
    let mut first = Box::pin(listener.accept());
    let waits = poll_fn(|cx| Poll::Ready(first.as_mut().poll(cx).is_pending())).await;
    let next = Arc::clone(&listener);
    let next = tokio::spawn(async move { next.accept().await.map(|(stream, _)| stream) });
    tokio::task::yield_now().await;
    let stream = within(TcpStream::connect(&client, SERVER)).await.unwrap();
    while listener.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    assert!(waits && !next.is_finished(), "the first one was called");
    drop(first);
    let accepted = within(next).await.unwrap().unwrap();
    assert_eq!(accepted.peer_addr().unwrap(), stream.local_addr().unwrap());
}

#[tokio::test]
async fn a_chunk_passes_without_being_copied_at_either_end() {
    let (_stacks, mut ours, mut theirs) = connected_in_large_packets().await;
    let page = Bytes::from(text(1_000_000));
    let written = page.clone();
    let writing = async move {
        ours.write_chunk(written).await.unwrap();
        ours
    };
    let reading = async {
        let mut read = 0;
        while read < page.len() {
            let chunk = theirs.read_chunk(100_000).await.unwrap();
            let part = page.slice(read..read + chunk.len());
            assert_eq!(chunk.as_ptr_range(), part.as_ptr_range(), "at {read}");
            read += chunk.len();
        }
    };
    let (mut ours, ()) = within(async { tokio::join!(writing, reading) }).await;
    assert!(theirs.read_chunk(0).await.unwrap().is_empty());
    ours.write_chunk(Bytes::new()).await.unwrap();
    ours.shutdown().await.unwrap();
    assert!(within(theirs.read_chunk(1)).await.unwrap().is_empty());
    let error = ours.write_chunk(page).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

#[tokio::test]
async fn a_chunk_is_charged_while_it_is_queued_and_not_after() {
    let (stacks, mut ours, mut theirs) = connected_in_large_packets().await;
    let held = |stack: &Stack| stack.with(|stack| stack.held_memory());
    let before = held(&stacks.0);
    let page = Bytes::from(text(60_000));
    ours.write_chunk(page.clone()).await.unwrap();
    assert!(held(&stacks.0) >= before + page.len());
    let mut chunks = vec![Bytes::new(); 2];
    let count = within(theirs.read_chunks(&mut chunks)).await.unwrap();
    assert!(count > 0 && !chunks[0].is_empty());
    assert_eq!(theirs.read_chunks(&mut []).await.unwrap(), 0);
    while chunks.iter().map(Bytes::len).sum::<usize>() < page.len() {
        chunks.push(within(theirs.read_chunk(usize::MAX)).await.unwrap());
    }
    // Reading has moved them to the program, and the acknowledgment lets go of them at the other end.
    assert_eq!(held(&stacks.1), before);
    for _ in 0..1_000 {
        if held(&stacks.0) == before {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("{} octets are still held", held(&stacks.0));
}

#[cfg(unix)]
#[tokio::test]
async fn a_part_of_a_file_is_written_whatever_its_position() {
    use std::io::{Seek, Write};
    let (_stacks, mut ours, mut theirs) = connected().await;
    let whole = text(300_000);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&whole).unwrap();
    file.rewind().unwrap();
    let writing = async move {
        let counts = [
            ours.write_file(&file, 1, 200_000).await.unwrap(),
            ours.write_file(&file, 299_990, 100).await.unwrap(),
            ours.write_file(&file, 300_000, 100).await.unwrap(),
            ours.write_file(&file, 0, 0).await.unwrap(),
        ];
        (counts, file.stream_position().unwrap())
    };
    let mut heard = Vec::new();
    let (written, read) =
        within(async { tokio::join!(writing, theirs.read_to_end(&mut heard)) }).await;
    assert_eq!(written, ([200_000, 10, 0, 0], 0));
    assert_eq!(read.unwrap(), 200_010);
    assert!(heard[..200_000] == whole[1..200_001] && heard[200_000..] == whole[299_990..]);
}
