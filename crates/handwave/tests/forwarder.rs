//! Flows to any address and any port.
#![allow(clippy::unwrap_used, reason = "a helper may fail as a test does")]

mod common;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use common::{builders, within};
use handwave::{
    Error, Flow, ForwardLimits, Forwarder, ForwarderConfig, ListenerConfig, Stack, SynCookies,
    TcpListener, TcpStream, UdpSocket, Unreachable,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn anybody(port: u16) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, 77], port))
}

fn with_listener(tcp: ListenerConfig) -> ForwarderConfig {
    ForwarderConfig {
        limits: ForwardLimits {
            tcp,
            ..ForwardLimits::default()
        },
        ..ForwarderConfig::default()
    }
}

fn scene(config: ForwarderConfig) -> (Stack, Stack, Forwarder) {
    let (client, gateway) = builders();
    let (client, gateway) = (client.spawn().unwrap(), gateway.spawn().unwrap());
    let forwarder = Forwarder::new(&gateway, config).unwrap();
    (client, gateway, forwarder)
}

#[tokio::test(start_paused = true)]
async fn the_client_hears_nothing_until_the_way_onward_stands() {
    let (client, _gateway, forwarder) = scene(ForwarderConfig::default());
    let connecting = tokio::spawn(async move { TcpStream::connect(&client, anybody(8_443)).await });
    let request = within(forwarder.tcp()).await.unwrap();
    assert_eq!(request.destination(), anybody(8_443));
    assert_eq!(request.options().mss, Some(1_460));

    // The outbound connection takes its time; the client's SYNs go unanswered meanwhile.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!connecting.is_finished());
    let mut onward = within(request.accept()).await.unwrap();
    assert_eq!(onward.local_addr().unwrap(), anybody(8_443));
    let mut stream = within(connecting).await.unwrap().unwrap();
    onward.write_all(b"here we are").await.unwrap();
    drop(onward);
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "here we are");
}

#[tokio::test(start_paused = true)]
async fn a_request_can_be_refused_dropped_or_called_unreachable() {
    let (client, _gateway, forwarder) = scene(ForwarderConfig::default());
    let connect = || {
        let client = client.clone();
        tokio::spawn(async move { TcpStream::connect(&client, anybody(80)).await })
    };

    let connecting = connect();
    forwarder.tcp().await.unwrap().refuse();
    let error = within(connecting).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);

    let connecting = connect();
    drop(forwarder.tcp().await.unwrap());
    let error = within(connecting).await.unwrap().unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::ConnectionRefused,
        "dropping refuses, too"
    );

    let connecting = connect();
    forwarder.tcp().await.unwrap().ignore();
    let again = within(forwarder.tcp()).await.unwrap();
    assert!(!connecting.is_finished(), "the client tries again");
    again.unreachable(Unreachable::Host);
    // A soft error: the client goes on until its patience ends, and then names it.
    let answering = tokio::spawn(async move {
        while let Ok(request) = forwarder.tcp().await {
            request.unreachable(Unreachable::Host);
        }
    });
    let error = connecting.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::HostUnreachable);
    answering.abort();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_gone_makes_accepting_fail() {
    let (client, _gateway, forwarder) = scene(ForwarderConfig::default());
    let theirs = client.clone();
    let connecting = tokio::spawn(async move { TcpStream::connect(&theirs, anybody(80)).await });
    let request = within(forwarder.tcp()).await.unwrap();
    connecting.abort();
    let _cancelled = connecting.await;
    let error = within(request.accept()).await.unwrap_err();
    assert!(
        matches!(
            error.kind(),
            ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset
        ),
        "{error}"
    );
}

#[tokio::test]
async fn own_addresses_stay_with_own_listeners_and_there_is_one_forwarder() {
    let (client, gateway, forwarder) = scene(ForwarderConfig::default());
    let second = Forwarder::new(&gateway, ForwarderConfig::default()).unwrap_err();
    assert_eq!(second.kind(), ErrorKind::AddrInUse);
    assert!(matches!(Error::of(&second), Some(Error::Forward(_))));

    let listener = TcpListener::bind(&gateway, "0.0.0.0:80".parse().unwrap()).unwrap();
    let own = "10.0.0.2:80".parse().unwrap();
    let (ours, theirs) =
        within(async { tokio::join!(TcpStream::connect(&client, own), listener.accept()) }).await;
    assert_eq!(ours.unwrap().peer_addr().unwrap(), own);
    assert_eq!(theirs.unwrap().0.local_addr().unwrap(), own);

    drop(forwarder);
    assert!(Forwarder::new(&gateway, ForwarderConfig::default()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn udp_sessions_answer_from_the_address_asked_and_end_when_idle() {
    let config = ForwarderConfig {
        session_idle: Duration::from_secs(10),
        sessions_max: 2,
        ..ForwarderConfig::default()
    };
    let (client, _gateway, forwarder) = scene(config);
    let socket = UdpSocket::bind(&client, "0.0.0.0:0".parse().unwrap()).unwrap();
    socket.send_to(b"one", anybody(53)).await.unwrap();
    socket.send_to(b"two", anybody(53)).await.unwrap();
    let Flow::Udp(session) = within(forwarder.next()).await.unwrap() else {
        panic!("a datagram begins a session")
    };
    assert_eq!(session.destination(), anybody(53));
    assert_eq!(session.client().port(), socket.local_addr().unwrap().port());
    let mut buffer = [0; 16];
    for text in ["one", "two"] {
        let count = within(session.recv(&mut buffer)).await.unwrap();
        assert_eq!(&buffer[..count], text.as_bytes());
    }
    session.send(b"three").await.unwrap();
    let (count, from) = within(socket.recv_from(&mut buffer)).await.unwrap();
    assert_eq!((&buffer[..count], from), (&b"three"[..], anybody(53)));

    // Two sessions are the limit: the third flow is dropped.
    socket.send_to(b"x", anybody(54)).await.unwrap();
    socket.send_to(b"x", anybody(55)).await.unwrap();
    let second = within(forwarder.udp()).await.unwrap();
    assert_eq!(second.destination(), anybody(54));
    let third = tokio::time::timeout(Duration::from_secs(1), forwarder.udp()).await;
    assert!(third.is_err());

    // Used until second 8, the first outlives the other.
    let start = tokio::time::Instant::now();
    tokio::time::sleep(Duration::from_secs(7)).await;
    socket.send_to(b"four", anybody(53)).await.unwrap();
    within(session.recv(&mut buffer)).await.unwrap();
    let count = second.recv(&mut buffer).await.unwrap();
    assert_eq!(&buffer[..count], b"x");
    let error = second.recv(&mut buffer).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let error = session.recv(&mut buffer).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let lived = start.elapsed();
    assert!(
        lived >= Duration::from_secs(16) && lived < Duration::from_secs(19),
        "{lived:?}"
    );
}

/// As TFTP does it: asked on its well-known port, the server answers from a fresh one, and the client goes on there.
#[tokio::test]
async fn udp_sessions_answer_from_a_fresh_port_too() {
    let (client, _gateway, forwarder) = scene(ForwarderConfig::default());
    let socket = UdpSocket::bind(&client, "0.0.0.0:0".parse().unwrap()).unwrap();
    socket.send_to(b"read", anybody(69)).await.unwrap();
    let session = within(forwarder.udp()).await.unwrap();
    assert_eq!(
        within(session.recv_payload()).await.unwrap().to_vec(),
        b"read"
    );
    session.send_from(anybody(1_069), b"data").await.unwrap();

    let mut buffer = [0; 16];
    let (count, from) = within(socket.recv_from(&mut buffer)).await.unwrap();
    assert_eq!((&buffer[..count], from), (&b"data"[..], anybody(1_069)));
    socket.send_to(b"ack", from).await.unwrap();
    let second = within(forwarder.udp()).await.unwrap();
    assert_eq!(second.destination(), anybody(1_069));
    assert_eq!(second.client(), session.client());
}

#[tokio::test(start_paused = true)]
async fn undecided_requests_are_bounded() {
    let config = with_listener(ListenerConfig {
        syn_queue_max: 2,
        cookies: SynCookies::Off,
        ..ListenerConfig::default()
    });
    let (client, gateway, forwarder) = scene(config);
    let connecting: Vec<_> = (1..=3)
        .map(|port| {
            let client = client.clone();
            tokio::spawn(async move { TcpStream::connect(&client, anybody(port)).await })
        })
        .collect();
    let first = within(forwarder.tcp()).await.unwrap();
    let second = within(forwarder.tcp()).await.unwrap();
    // Seen or not, a request takes its place until it is decided.
    let third = tokio::time::timeout(Duration::from_secs(8), forwarder.tcp()).await;
    assert!(third.is_err(), "the third client's SYNs are dropped");
    assert!(gateway.counters().forward_requests_full > 0);
    let _accepted = within(first.accept()).await.unwrap();
    let third = within(forwarder.tcp()).await.unwrap();
    let ports = [second.destination().port(), third.destination().port()];
    assert!(ports[0] != ports[1]);
    drop((second, third));
    let mut refused = 0;
    for task in connecting {
        refused += usize::from(within(task).await.unwrap().is_err());
    }
    assert_eq!(refused, 2);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_nobody_reads_keeps_the_first_datagrams() {
    let config = ForwarderConfig {
        session_queue_max: 3,
        ..ForwarderConfig::default()
    };
    let (client, _gateway, forwarder) = scene(config);
    let socket = UdpSocket::bind(&client, "0.0.0.0:0".parse().unwrap()).unwrap();
    for n in 0..10 {
        socket.send_to(&[n], anybody(53)).await.unwrap();
    }
    let session = within(forwarder.udp()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let mut buffer = [0xFF; 4];
    for n in 0..3 {
        assert_eq!(within(session.recv(&mut buffer)).await.unwrap(), 1);
        assert_eq!(buffer[0], n);
    }
    let more = tokio::time::timeout(Duration::from_secs(1), session.recv(&mut buffer)).await;
    assert!(more.is_err());
    // A session that is dropped is over; what comes next begins another.
    drop(session);
    socket.send_to(b"again", anybody(53)).await.unwrap();
    let again = within(forwarder.udp()).await.unwrap();
    assert_eq!(within(again.recv(&mut [0; 8])).await.unwrap(), 5);
}

#[tokio::test]
async fn dropping_the_forwarder_ends_requests() {
    let (client, _gateway, forwarder) = scene(ForwarderConfig::default());
    let undecided = tokio::spawn(async move { TcpStream::connect(&client, anybody(2)).await });
    let request = within(forwarder.tcp()).await.unwrap();
    drop(forwarder);
    let error = within(request.accept()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
    undecided.abort();
}

#[tokio::test(start_paused = true)]
async fn a_cookie_answers_before_the_program_and_every_decision_still_works() {
    let config = with_listener(ListenerConfig {
        cookies: SynCookies::Always,
        ..ListenerConfig::default()
    });
    let (client, _gateway, forwarder) = scene(config);
    // The client is through before anybody has decided.
    let mut accepted = within(TcpStream::connect(&client, anybody(1)))
        .await
        .unwrap();
    accepted.write_all(b"first word").await.unwrap();
    let request = within(forwarder.tcp()).await.unwrap();
    assert!(request.is_established());
    assert_eq!(request.destination(), anybody(1));
    let mut ours = within(request.accept()).await.unwrap();
    let mut buffer = [0; 10];
    within(ours.read_exact(&mut buffer)).await.unwrap();
    assert_eq!(&buffer, b"first word");

    let mut refused = within(TcpStream::connect(&client, anybody(2)))
        .await
        .unwrap();
    within(forwarder.tcp()).await.unwrap().refuse();
    let error = within(refused.read(&mut buffer)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);

    let mut ignored = within(TcpStream::connect(&client, anybody(3)))
        .await
        .unwrap();
    within(forwarder.tcp()).await.unwrap().ignore();
    ignored.write_all(b"hello?").await.unwrap();
    let again = within(forwarder.tcp()).await.unwrap();
    assert_eq!(again.destination(), anybody(3));
    let mut ours = within(again.accept()).await.unwrap();
    within(ours.read_exact(&mut buffer[..6])).await.unwrap();
    assert_eq!(&buffer[..6], b"hello?");
    let counters = forwarder.counters();
    assert_eq!(counters.syncookies_sent, 3);
    assert_eq!(counters.syncookies_received, 4);
    assert_eq!(counters.syns_received, 0);
}

#[tokio::test(start_paused = true)]
async fn streams_outlive_the_forwarder() {
    let (client, gateway, forwarder) = scene(ForwarderConfig::default());
    let connecting = tokio::spawn({
        let client = client.clone();
        async move { TcpStream::connect(&client, anybody(1)).await }
    });
    let mut ours = within(within(forwarder.tcp()).await.unwrap().accept())
        .await
        .unwrap();
    let mut theirs = within(connecting).await.unwrap().unwrap();
    drop(forwarder);
    theirs.write_all(b"still there?").await.unwrap();
    let mut buffer = [0; 12];
    within(ours.read_exact(&mut buffer)).await.unwrap();
    ours.write_all(b"yes").await.unwrap();
    within(theirs.read_exact(&mut buffer[..3])).await.unwrap();
    assert_eq!(&buffer[..3], b"yes");
    // Nothing new is taken, not even for the same address.
    let before = gateway.counters().ip_foreign_address;
    let late = tokio::time::timeout(
        Duration::from_secs(8),
        TcpStream::connect(&client, anybody(1)),
    );
    assert!(late.await.is_err(), "nobody answers");
    assert!(gateway.counters().ip_foreign_address > before);
}
