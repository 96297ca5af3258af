//! A stack on several queues is one stack for its program, whatever queue packets come from.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use handwave::device::{self, Device};
use handwave::{
    ConnectOptions, Flow, Forwarder, ForwarderConfig, ListenerConfig, PacketBuf, Stack,
    StackConfig, TcpListener, TcpStream, UdpSocket,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::common::{SERVER, text, within};
use super::devices::{Habit, Spread, With};

const CLIENT: SocketAddr = SocketAddr::new(
    std::net::IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1)),
    80,
);

/// The queue that somebody has chosen last.
fn chosen(queue: &Arc<AtomicUsize>) -> impl FnMut(usize) -> usize + Send + use<> {
    let queue = Arc::clone(queue);
    move |queues| queue.load(Ordering::Relaxed) % queues
}

/// A peer at 10.0.0.1, a stack of so many shards at 10.0.0.2, and the queue that the peer's packets take.
fn peer_and_shards(count: usize) -> (Stack, Stack, Arc<AtomicUsize>) {
    peer_and(count, |builder| builder.address([10, 0, 0, 2], 24))
}

fn peer_and(
    count: usize,
    build: impl FnOnce(handwave::Builder) -> handwave::Builder,
) -> (Stack, Stack, Arc<AtomicUsize>) {
    let (queues, ours): (Vec<_>, Vec<_>) = (0..count).map(|_| device::pair(1_500, 256)).unzip();
    let into = Arc::new(AtomicUsize::new(0));
    let spread = Spread {
        queues: ours,
        into: chosen(&into),
    };
    let peer = Stack::builder().device(spread).address([10, 0, 0, 1], 24);
    let shards = build(Stack::builder().queues(queues));
    (peer.spawn().unwrap(), shards.spawn().unwrap(), into)
}

/// A queue that fails as soon as something comes in, once it is told to.
struct Failing {
    fails: Arc<AtomicUsize>,
}

impl<D: Device> Habit<D> for Failing {
    fn receive(
        &mut self,
        device: &mut D,
        max: usize,
        out: &mut Vec<PacketBuf>,
    ) -> io::Result<usize> {
        match device.receive(max, out)? {
            1.. if self.fails.load(Ordering::Relaxed) > 0 => Err(io::Error::other("broken")),
            count => Ok(count),
        }
    }
}

/// Text that a queue had when it failed is heard though it was another shard's.
#[tokio::test(start_paused = true)]
async fn a_shard_that_fails_hands_over_what_it_has_for_others() {
    for into_other in [false, true] {
        let (queues, ours): (Vec<_>, Vec<_>) = (0..2).map(|_| device::pair(1_500, 256)).unzip();
        let [into, fails] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
        let spread = Spread {
            queues: ours,
            into: chosen(&into),
        };
        let queues = queues.into_iter().map(|queue| {
            let fails = Arc::clone(&fails);
            With(queue, Failing { fails })
        });
        let queues = Stack::builder().queues(queues.collect::<Vec<_>>());
        let stack = queues.address([10, 0, 0, 2], 24).spawn().unwrap();
        let peer = Stack::builder().device(spread).address([10, 0, 0, 1], 24);
        let peer = peer.spawn().unwrap();
        let listener = TcpListener::bind(&stack, SERVER).unwrap();
        let (ours, theirs) =
            within(async { tokio::join!(TcpStream::connect(&peer, SERVER), listener.accept()) })
                .await;
        let (mut ours, (mut theirs, _)) = (ours.unwrap(), theirs.unwrap());
        tokio::time::sleep(Duration::from_secs(1)).await;
        let owner = connections_in_each(&stack)
            .iter()
            .position(|count| *count > 0);
        into.store(owner.unwrap() + usize::from(into_other), Ordering::Relaxed);
        fails.store(1, Ordering::Relaxed);
        ours.write_all(b"the last words").await.unwrap();
        let mut heard = Vec::new();
        let error = within(theirs.read_to_end(&mut heard)).await.unwrap_err();
        assert_eq!(heard, b"the last words", "{into_other}");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    }
}

fn strays(stack: &Stack) -> u64 {
    stack.counters().strays
}

fn connections_in_each(stack: &Stack) -> Vec<usize> {
    let mut counts = Vec::new();
    stack.with_each(|shard| {
        let sockets = shard.sockets();
        let is_connection = |socket: &_| {
            matches!(socket, handwave_stack::SocketSummary::Connection { orphan, .. } if !orphan)
        };
        counts.push(sockets.filter(is_connection).count());
    });
    counts
}

#[tokio::test(start_paused = true)]
async fn queues_that_are_not_alike_are_refused() {
    let ((one, _), (other, _)) = (device::pair(1_500, 8), device::pair(9_000, 8));
    let builder = Stack::builder().queues([one, other]);
    let error = builder.address([10, 0, 0, 2], 24).spawn().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("one MTU"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_idled_hears_its_peer_from_any_queue() {
    let (peer, stack, into) = peer_and_shards(2);
    let listener = TcpListener::bind(&peer, CLIENT).unwrap();
    for queue in [0, 1, 0, 1] {
        into.store(queue, Ordering::Relaxed);
        let ours = TcpStream::connect(&stack, CLIENT);
        let (ours, theirs) = within(async { tokio::join!(ours, listener.accept()) }).await;
        let (mut ours, (mut theirs, _)) = (ours.unwrap(), theirs.unwrap());
        tokio::time::sleep(Duration::from_secs(10)).await;
        let before = strays(&stack);
        let mut late = [0; 4];
        for other in [0, 1] {
            into.store(other, Ordering::Relaxed);
            theirs.write_all(b"late").await.unwrap();
            within(ours.read_exact(&mut late)).await.unwrap();
            assert_eq!(&late, b"late");
        }
        assert!(strays(&stack) > before, "one of the two was the wrong one");
    }
    assert_eq!(stack.counters().tcp_no_port, 0);
}

#[tokio::test]
async fn a_listener_accepts_from_all_shards_and_streams_carry_what_they_should() {
    let (peer, stack, into) = peer_and_shards(2);
    let listener = TcpListener::bind(&stack, SERVER).unwrap();
    let echo = tokio::spawn(async move {
        let mut tasks = Vec::new();
        for _ in 0..20 {
            let (mut stream, _) = listener.accept().await.unwrap();
            tasks.push(tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await.unwrap();
                to.shutdown().await.unwrap();
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        (listener.counters(), listener.waiting())
    });
    let text = text(100_000);
    let mut streams = Vec::new();
    for n in 0..20 {
        into.store(n, Ordering::Relaxed);
        streams.push(within(TcpStream::connect(&peer, SERVER)).await.unwrap());
    }
    let counts = connections_in_each(&stack);
    assert!(counts.iter().all(|count| *count > 2), "{counts:?}");
    for (n, stream) in streams.into_iter().enumerate() {
        into.store(n / 2, Ordering::Relaxed);
        let (mut from, mut to) = stream.into_split();
        let mut back = Vec::new();
        let writing = async {
            to.write_all(&text).await.unwrap();
            to.shutdown().await.unwrap();
        };
        let (read, ()) = within(async { tokio::join!(from.read_to_end(&mut back), writing) }).await;
        assert_eq!(read.unwrap(), text.len());
        assert!(back == text);
    }
    let (counters, waiting) = within(echo).await.unwrap();
    assert_eq!((counters.established, waiting), (20, 0));
}

#[tokio::test]
async fn connections_are_opened_by_all_shards_in_turn_and_by_the_one_a_port_belongs_to() {
    let (peer, stack, _) = peer_and_shards(2);
    let listener = TcpListener::bind(&peer, CLIENT).unwrap();
    let mut open = Vec::new();
    for n in 0..8 {
        let options = ConnectOptions {
            local_port: (n >= 4).then_some(7_000 + n),
            ..ConnectOptions::default()
        };
        let ours = TcpStream::connect_with(&stack, CLIENT, options);
        let (ours, theirs) = within(async { tokio::join!(ours, listener.accept()) }).await;
        open.push((ours.unwrap(), theirs.unwrap()));
        if n == 3 {
            assert_eq!(connections_in_each(&stack), [2, 2]);
        }
    }
    assert_eq!(connections_in_each(&stack).iter().sum::<usize>(), 8);
    // What is left open keeps the stack going, and nothing else does.
    drop(stack);
    let (mut last, _) = open.pop().unwrap();
    last.write_all(b"still here").await.unwrap();
}

#[tokio::test]
async fn a_udp_socket_receives_at_all_shards_and_answers_from_the_right_one() {
    let (peer, stack, into) = peer_and_shards(2);
    let server = UdpSocket::bind(&stack, SERVER).unwrap();
    for n in 0..8 {
        into.store(n / 3, Ordering::Relaxed);
        let client = UdpSocket::bind(&peer, SocketAddr::new(CLIENT.ip(), 0)).unwrap();
        client.send_to(b"who?", SERVER).await.unwrap();
        let mut buffer = [0; 16];
        let (count, from) = within(server.recv_from(&mut buffer)).await.unwrap();
        assert_eq!(
            (&buffer[..count], from),
            (&b"who?"[..], client.local_addr().unwrap())
        );
        server.send_to(b"me", from).await.unwrap();
        assert_eq!(
            within(client.recv_from(&mut buffer)).await.unwrap(),
            (2, SERVER)
        );
    }
    let free = UdpSocket::bind(&stack, SocketAddr::new(SERVER.ip(), 0)).unwrap();
    assert_ne!(free.local_addr().unwrap().port(), 0);
    let taken = UdpSocket::bind(&stack, SERVER).unwrap_err();
    assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
    drop(server);
    UdpSocket::bind(&stack, SERVER).unwrap();
}

#[tokio::test]
async fn a_port_is_taken_and_given_back_in_all_shards() {
    let (_peer, stack, _) = peer_and_shards(3);
    let free = SocketAddr::new(SERVER.ip(), 0);
    let one = TcpListener::bind(&stack, free).unwrap();
    let at = one.local_addr().unwrap();
    let error = TcpListener::bind(&stack, at).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    drop(one);
    TcpListener::bind(&stack, at).unwrap();
    let elsewhere = TcpListener::bind(&stack, "10.9.9.9:80".parse().unwrap());
    assert_eq!(
        elsewhere.unwrap_err().kind(),
        io::ErrorKind::AddrNotAvailable
    );
}

#[tokio::test]
async fn a_forwarder_takes_flows_of_both_kinds_from_all_shards() {
    let (peer, stack, into) = peer_and(2, |builder| builder);
    let forwarder = Forwarder::new(&stack, ForwarderConfig::default()).unwrap();
    let mut seen = HashSet::new();
    for n in 0..8 {
        into.store(n / 2, Ordering::Relaxed);
        let to: SocketAddr = format!("203.0.113.{n}:443").parse().unwrap();
        let accepting = async {
            match forwarder.next().await.unwrap() {
                Flow::Tcp(request) => request.accept().await.unwrap(),
                Flow::Udp(_) => panic!("nobody has sent a datagram"),
            }
        };
        let ours = TcpStream::connect(&peer, to);
        let (ours, theirs) = within(async { tokio::join!(ours, accepting) }).await;
        assert_eq!(theirs.local_addr().unwrap(), to);
        seen.insert(ours.unwrap().local_addr().unwrap());

        let client = UdpSocket::bind(&peer, SocketAddr::new(CLIENT.ip(), 0)).unwrap();
        client.send_to(b"?", to).await.unwrap();
        let Flow::Udp(session) = within(forwarder.next()).await.unwrap() else {
            panic!("nobody has opened a connection");
        };
        let mut buffer = [0; 4];
        assert_eq!(within(session.recv(&mut buffer)).await.unwrap(), 1);
        session.send(b"!").await.unwrap();
        assert_eq!(
            within(client.recv_from(&mut buffer)).await.unwrap(),
            (1, to)
        );
    }
    assert_eq!(seen.len(), 8);
}

#[tokio::test]
async fn when_one_driver_ends_all_do_and_the_stack_says_so() {
    let (queues, mut ours): (Vec<_>, Vec<_>) = (0..2).map(|_| device::pair(1_500, 16)).unzip();
    let builder = Stack::builder().queues(queues).address([10, 0, 0, 2], 24);
    let (stack, drivers) = builder.build_queues().unwrap();
    let listener = TcpListener::bind(&stack, SERVER).unwrap();
    let drivers: Vec<_> = drivers.into_iter().map(tokio::spawn).collect();
    let waiting = tokio::spawn(async move { listener.accept().await.map(drop) });
    tokio::task::yield_now().await;
    drop(ours.pop());
    for driver in drivers {
        let end = within(driver).await.unwrap();
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
    assert!(stack.has_ended());
    assert!(within(waiting).await.unwrap().is_err());
}

#[tokio::test]
async fn drivers_end_together_when_nobody_holds_the_stack() {
    let (queues, _ours): (Vec<_>, Vec<_>) = (0..3).map(|_| device::pair(1_500, 16)).unzip();
    let builder = Stack::builder().queues(queues).address([10, 0, 0, 2], 24);
    let (stack, drivers) = builder.build_queues().unwrap();
    let drivers: Vec<_> = drivers.into_iter().map(tokio::spawn).collect();
    tokio::task::yield_now().await;
    drop(stack);
    for driver in drivers {
        within(driver).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn several_queues_need_several_drivers() {
    let queues = || (0..2).map(|_| device::pair(1_500, 16).0);
    let one = Stack::builder().queues(queues()).build().map(drop);
    assert_eq!(one.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    let config = StackConfig {
        connections_max: 5,
        ..StackConfig::default()
    };
    let (stack, drivers) = Stack::builder()
        .queues(queues())
        .config(config)
        .build_queues()
        .unwrap();
    assert_eq!((stack.shards(), drivers.len()), (2, 2));
    stack.with_each(|shard| assert_eq!(shard.config().connections_max, 3));
}

#[tokio::test(start_paused = true)]
async fn the_limits_of_a_listener_hold_for_all_shards_together() {
    let (peer, stack, _) = peer_and_shards(2);
    let limits = ListenerConfig {
        accept_queue_max: 4,
        ..ListenerConfig::default()
    };
    let listener = TcpListener::bind_with(&stack, SERVER, limits).unwrap();
    for _ in 0..20 {
        let peer = peer.clone();
        tokio::spawn(async move { TcpStream::connect(&peer, SERVER).await });
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(listener.waiting(), 4);
    // The others try again, and come in as room is made, whichever shard they belong to.
    for _ in 0..20 {
        listener.accept().await.unwrap();
    }
    assert_eq!(listener.counters().established, 20);
}

#[cfg(unix)]
#[tokio::test]
async fn the_control_socket_shows_the_sockets_of_all_shards_and_their_sums() {
    use handwave::control::protocol::{Netid, Select, State};
    use handwave::control::{Client, Control, ControlOptions, summary};

    /// So many that both shards have some, whatever the secrets are.
    const COUNT: usize = 32;
    let (peer, stack, into) = peer_and_shards(2);
    let listener = TcpListener::bind(&stack, SERVER).unwrap();
    let udp = UdpSocket::bind(&stack, SERVER).unwrap();
    let mut open = Vec::new();
    for n in 0..COUNT {
        into.store(n, Ordering::Relaxed);
        open.push(within(TcpStream::connect(&peer, SERVER)).await.unwrap());
        let client = UdpSocket::bind(&peer, SocketAddr::new(CLIENT.ip(), 0)).unwrap();
        client.send_to(b"?", SERVER).await.unwrap();
    }
    within(async {
        while listener.waiting() < COUNT || stack.counters().udp_received < COUNT as u64 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let each = connections_in_each(&stack);
    assert!(each.iter().all(|count| *count > 0), "{each:?}");

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let options = ControlOptions {
        path: Some(path.clone()),
        program: "test".to_owned(),
    };
    let _control = Control::open(&stack, options).unwrap();
    let (mut listening, mut datagrams, mut ids) = (Vec::new(), Vec::new(), HashSet::new());
    let mut client = Client::connect(&path).unwrap();
    let all = Select {
        details: true,
        ..Select::default()
    };
    client
        .sockets(all, |socket| {
            match (socket.netid, socket.state) {
                (Netid::Udp, _) => datagrams.push(socket.recv_q),
                (_, State::Listen) => listening.push(socket.recv_q),
                _ => assert!(ids.insert(socket.id), "one name, one socket"),
            }
            Ok(())
        })
        .unwrap();
    assert_eq!((ids.len(), &*listening), (COUNT, &[COUNT as u64][..]));
    assert!(matches!(&*datagrams, [held] if *held > 0), "{datagrams:?}");

    let summary = summary(&stack);
    assert_eq!((summary.listeners.len(), summary.udp), (1, 1));
    let counters = &summary.listeners[0].queues.as_ref().unwrap().counters;
    assert_eq!(counters["ListenEstablished"], COUNT as u64);
    assert_eq!(summary.states[&State::Established], COUNT as u64);
    assert_eq!(summary.counters["TcpPassiveOpens"], COUNT as u64);
    assert_eq!(summary.counters["UdpInDatagrams"], COUNT as u64);
    assert_eq!(summary.counters["ShardStrays"], stack.counters().strays);
    let whole = StackConfig::default();
    assert_eq!(summary.memory_hard, whole.memory_hard as u64);
    drop(udp);
}
