//! Programs in virtual time.
#![allow(clippy::unwrap_used, reason = "a helper may fail as a test does")]

use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use handwave::sim::{LinkConfig, Loss, Network, Sim};
use handwave::{Flow, Forwarder, ForwarderConfig, Stack, TcpListener, TcpStream, UdpSocket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const CLIENT: [u8; 4] = [10, 0, 0, 1];
const SERVER: [u8; 4] = [10, 0, 0, 2];

fn at(host: [u8; 4], port: u16) -> SocketAddr {
    (host, port).into()
}

fn delay(delay: Duration) -> LinkConfig {
    LinkConfig {
        delay,
        ..LinkConfig::default()
    }
}

fn lossy() -> LinkConfig {
    LinkConfig {
        loss: Loss::Random(0.03),
        jitter: Duration::from_micros(700),
        ..delay(Duration::from_micros(15_300))
    }
}

/// Sends back what it hears, on port 7.
fn echo(server: &Stack) -> io::Result<()> {
    let listener = TcpListener::bind(server, at(SERVER, 7))?;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await?;
                to.shutdown().await
            });
        }
    });
    Ok(())
}

/// Several conversations at once; returns the capture of the client.
async fn conversations(net: Network) -> io::Result<Vec<u8>> {
    let (client, server) = (net.host(CLIENT)?, net.host(SERVER)?);
    echo(&server)?;
    let tasks: Vec<_> = (0..8_u8)
        .map(|n| {
            let client = client.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(u64::from(n) * 3)).await;
                let mut stream = TcpStream::connect(&client, at(SERVER, 7)).await?;
                let say = vec![n; 20_000];
                let (mut from, mut to) = stream.split();
                let writing = async {
                    to.write_all(&say).await?;
                    to.shutdown().await
                };
                let mut heard = Vec::new();
                let (count, wrote) = tokio::join!(from.read_to_end(&mut heard), writing);
                wrote.and(count)?;
                assert_eq!(heard, say);
                io::Result::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    net.quiet(Duration::from_secs(20)).await;
    net.pcapng(CLIENT)
}

#[test]
fn one_seed_is_one_capture() {
    let capture = |seed| {
        let sim = Sim::from_seed(seed).link(lossy()).recording();
        sim.run(conversations).unwrap()
    };
    let (first, again, other) = (capture(1), capture(1), capture(2));
    assert!(first.len() > 300_000, "{} octets", first.len());
    assert!(first == again, "the same seed");
    assert!(first != other, "another seed");
}

#[test]
fn a_handshake_takes_a_round_trip_to_the_nanosecond() {
    let there = Duration::from_nanos(1_234_567);
    let sim = Sim::from_seed(1).link(delay(there));
    sim.run(async |net| {
        let (client, server) = (net.host(CLIENT)?, net.host(SERVER)?);
        echo(&server)?;
        let (start, began) = (tokio::time::Instant::now(), net.elapsed());
        TcpStream::connect(&client, at(SERVER, 7)).await?;
        assert_eq!(start.elapsed(), 2 * there);
        assert_eq!(net.elapsed() - began, 2 * there, "both clocks agree");
        Ok(())
    })
    .unwrap();
}

#[test]
fn sleeps_of_tokio_end_on_time_between_packets() {
    let sim = Sim::from_seed(1).link(delay(Duration::from_micros(333)));
    sim.run(async |net| {
        let (client, server) = (net.host(CLIENT)?, net.host(SERVER)?);
        echo(&server)?;
        let log = Arc::new(Mutex::new(Vec::new()));
        let start = tokio::time::Instant::now();
        let ticking = {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                for n in 1..=20 {
                    tokio::time::sleep_until(start + n * Duration::from_millis(1)).await;
                    log.lock().unwrap().push(start.elapsed());
                }
            })
        };
        // Round trips of 666 µs all the while.
        let mut stream = TcpStream::connect(&client, at(SERVER, 7)).await?;
        for n in 1..=40_u32 {
            stream.write_all(b"x").await?;
            stream.read_exact(&mut [0]).await?;
            assert_eq!(start.elapsed(), (n + 1) * Duration::from_micros(666));
        }
        ticking.await?;
        let expected: Vec<_> = (1..=20).map(Duration::from_millis).collect();
        assert_eq!(*log.lock().unwrap(), expected);
        Ok(())
    })
    .unwrap();
}

#[test]
fn who_waits_for_nothing_is_told_at_once() {
    let sim = Sim::from_seed(1);
    let error = sim
        .run(async |_| std::future::pending::<io::Result<()>>().await)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(
        error.to_string().contains("3600s of virtual time"),
        "{error}"
    );

    let sim = sim.time_limit(Duration::from_millis(2_500));
    let error = sim
        .run(async |net| {
            let listener = TcpListener::bind(&net.host(SERVER)?, at(SERVER, 7))?;
            let mut ticks = tokio::time::interval(Duration::from_secs(1));
            tokio::spawn(async move {
                loop {
                    ticks.tick().await;
                }
            });
            listener.accept().await.map(drop)
        })
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

#[test]
fn time_wait_delays_nothing_and_quiet_lets_connections_close() {
    let sim = Sim::from_seed(1).link(delay(Duration::from_millis(5)));
    let phases = sim
        .run(async |net| {
            let (client, server) = (net.host(CLIENT)?, net.host(SERVER)?);
            echo(&server)?;
            let mut stream = TcpStream::connect(&client, at(SERVER, 7)).await?;
            stream.shutdown().await?;
            drop(stream);
            net.quiet(Duration::from_millis(500)).await;
            assert!(
                net.elapsed() < Duration::from_secs(1),
                "{:?}",
                net.elapsed()
            );
            let count = |stack: &Stack| stack.with(|stack| stack.sockets().count());
            Ok((count(&client), count(&server)))
        })
        .unwrap();
    // The listener is left, and TIME-WAIT at the client's.
    assert_eq!(phases, (1, 1));
}

#[test]
fn a_rate_takes_its_time() {
    let link = LinkConfig {
        rate_bytes_per_second: Some(1_000_000),
        queue_limit: 100_000,
        ..delay(Duration::from_millis(10))
    };
    let took = Sim::from_seed(3)
        .link(link)
        .run(async |net| {
            let (client, server) = (net.host(CLIENT)?, net.host(SERVER)?);
            echo(&server)?;
            let mut stream = TcpStream::connect(&client, at(SERVER, 7)).await?;
            let (mut from, mut to) = stream.split();
            let writing = async {
                to.write_all(&vec![1; 2_000_000]).await?;
                to.shutdown().await
            };
            let mut heard = Vec::new();
            let (count, wrote) = tokio::join!(from.read_to_end(&mut heard), writing);
            wrote?;
            assert_eq!(count?, 2_000_000);
            let stats = net.link_stats(CLIENT, SERVER)?;
            assert!(
                stats.delivered_octets > 2_000_000 && stats.lost == 0,
                "{stats:?}"
            );
            Ok(net.elapsed())
        })
        .unwrap();
    assert!(took > Duration::from_secs(2), "{took:?}");
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn a_link_can_be_cut_and_mended() {
    Sim::from_seed(4)
        .run(async |net| {
            let (client, server) = (net.host(CLIENT)?, net.host(SERVER)?);
            echo(&server)?;
            let mut stream = TcpStream::connect(&client, at(SERVER, 7)).await?;
            let cut = LinkConfig {
                loss: Loss::Random(1.0),
                ..LinkConfig::default()
            };
            net.set_link(SERVER, CLIENT, cut)?;
            stream.write_all(b"hello").await?;
            let mut heard = [0; 5];
            let early =
                tokio::time::timeout(Duration::from_secs(10), stream.read_exact(&mut heard)).await;
            assert!(early.is_err());
            net.set_link(SERVER, CLIENT, delay(Duration::from_millis(1)))?;
            stream.read_exact(&mut heard).await?;
            assert_eq!(&heard, b"hello");
            let nobody = net.set_link(SERVER, [10, 9, 9, 9], cut).unwrap_err();
            assert_eq!(nobody.kind(), ErrorKind::NotFound);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_path_narrower_than_its_ends_is_discovered() {
    let link = LinkConfig {
        mtu: 1_000,
        ..delay(Duration::from_millis(2))
    };
    let sim = Sim::from_seed(5).link(link);
    sim.run(async |net| {
        let (client, server) = (net.host(CLIENT)?, net.host(SERVER)?);
        echo(&server)?;
        let mut stream = TcpStream::connect(&client, at(SERVER, 7)).await?;
        stream.write_all(&[5; 30_000]).await?;
        let mut heard = vec![0; 30_000];
        stream.read_exact(&mut heard).await?;
        assert!(net.link_stats(CLIENT, SERVER)?.too_big > 0);
        Ok(())
    })
    .unwrap();
}

#[test]
fn addresses_have_one_owner_and_are_free_again_when_it_goes() {
    Sim::from_seed(6)
        .run(async |net| {
            let first = net.host(CLIENT)?;
            let second = net.host(CLIENT).unwrap_err();
            assert_eq!(second.kind(), ErrorKind::AddrInUse);
            drop(first);
            tokio::time::sleep(Duration::from_millis(1)).await;
            net.host(CLIENT)?;
            let unrecorded = net.pcapng(CLIENT).unwrap_err();
            assert_eq!(unrecorded.kind(), ErrorKind::NotFound);
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_gateway_gets_what_is_for_nobody() {
    Sim::from_seed(7)
        .run(async |net| {
            let (client, gateway) = (net.host(CLIENT)?, net.host(SERVER)?);
            let socket = UdpSocket::bind(&client, at(CLIENT, 0))?;
            socket.send_to(b"lost", at([203, 0, 113, 9], 53)).await?;
            tokio::time::sleep(Duration::from_millis(5)).await;
            assert_eq!(net.dropped(), 1);

            net.set_gateway(SERVER)?;
            let forwarder = Forwarder::new(&gateway, ForwarderConfig::default())?;
            socket.send_to(b"ask", at([203, 0, 113, 9], 53)).await?;
            let Flow::Udp(session) = forwarder.next().await? else {
                return Err(ErrorKind::InvalidData.into());
            };
            session.send(b"answer").await?;
            let (count, from) = socket.recv_from(&mut [0; 16]).await?;
            assert_eq!((count, from), (6, at([203, 0, 113, 9], 53)));
            Ok(())
        })
        .unwrap();
}

#[test]
fn both_families_side_by_side() {
    Sim::from_seed(8)
        .run(async |net| {
            let addresses = |n: u8| {
                [
                    [10, 0, 0, n].into(),
                    [0xFD00, 0, 0, 0, 0, 0, 0, n.into()].into(),
                ]
            };
            let client = net.builder(addresses(1))?.spawn()?;
            let server = net.builder(addresses(2))?.spawn()?;
            for addr in addresses(2) {
                let listener = TcpListener::bind(&server, (addr, 80).into())?;
                let (ours, theirs) = tokio::join!(
                    TcpStream::connect(&client, (addr, 80).into()),
                    listener.accept()
                );
                assert_eq!(ours?.peer_addr()?, theirs?.0.local_addr()?);
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn the_seed_decides_who_of_those_woken_together_runs_first() {
    let order = |seed| {
        Sim::from_seed(seed)
            .run(async |net| {
                let (client, server) = (net.host(CLIENT)?, net.host(SERVER)?);
                let listener = TcpListener::bind(&server, at(SERVER, 7))?;
                let log = Arc::new(Mutex::new(Vec::new()));
                let (mut streams, mut waiting) = (Vec::new(), Vec::new());
                for n in 0..6 {
                    streams.push(TcpStream::connect(&client, at(SERVER, 7)).await?);
                    let (mut accepted, _) = listener.accept().await?;
                    let log = Arc::clone(&log);
                    waiting.push(tokio::spawn(async move {
                        let read = accepted.read_u8().await;
                        log.lock().unwrap().push(n);
                        read
                    }));
                }
                tokio::task::yield_now().await;
                for stream in &streams {
                    stream.try_write(b"x")?;
                }
                for task in waiting {
                    task.await??;
                }
                let order = log.lock().unwrap().clone();
                Ok(order)
            })
            .unwrap()
    };
    assert_eq!(order(1), order(1));
    assert!((2..12).any(|seed| order(seed) != order(1)));
}

#[test]
fn a_panicking_program_leaves_nothing_behind_for_the_next() {
    let panicked = std::panic::catch_unwind(|| {
        let _never = Sim::from_seed(1).run(async |net| {
            let _host = net.host(CLIENT)?;
            tokio::time::sleep(Duration::from_secs(1)).await;
            if net.elapsed() > Duration::ZERO {
                std::panic::panic_any("as asked");
            }
            Ok(())
        });
    });
    assert!(panicked.is_err());
    let sim = Sim::from_seed(1).recording();
    assert!(!sim.run(conversations).unwrap().is_empty());
}

#[test]
fn nodelay_sends_what_nagle_holds_back() {
    let gap = |nodelay| {
        Sim::from_seed(1)
            .link(delay(Duration::from_millis(50)))
            .run(async |net| {
                let (client, server) = (net.host(CLIENT)?, net.host(SERVER)?);
                let listener = TcpListener::bind(&server, at(SERVER, 7))?;
                let (ours, theirs) = tokio::join!(
                    TcpStream::connect(&client, at(SERVER, 7)),
                    listener.accept()
                );
                let (mut ours, mut theirs) = (ours?, theirs?.0);
                ours.set_nodelay(nodelay)?;
                for part in [b"a", b"b"] {
                    ours.write_all(part).await?;
                    // The first is on its way before the second is written.
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                theirs.read_exact(&mut [0]).await?;
                let first = net.elapsed();
                theirs.read_exact(&mut [0]).await?;
                Ok(net.elapsed() - first)
            })
            .unwrap()
    };
    assert_eq!(gap(true), Duration::from_millis(1));
    assert!(gap(false) >= Duration::from_millis(100), "{:?}", gap(false));
}

/// Counts how often a future is polled.
fn counted<F: Future>(future: F) -> (Arc<AtomicUsize>, impl Future<Output = F::Output>) {
    let polls = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&polls);
    let mut future = Box::pin(future);
    let counted = std::future::poll_fn(move |cx| {
        counter.fetch_add(1, Ordering::Relaxed);
        future.as_mut().poll(cx)
    });
    (polls, counted)
}

#[test]
fn a_stack_without_anything_to_do_is_not_woken() {
    Sim::from_seed(1)
        .time_limit(Duration::from_secs(100 * 86_400))
        .run(async |net| {
            let (client, driver) = net.builder([CLIENT.into()])?.build()?;
            let (polls, driver) = counted(driver);
            tokio::spawn(driver);
            let server = net.host(SERVER)?;
            echo(&server)?;
            let mut streams = Vec::new();
            for _ in 0..20 {
                let mut stream = TcpStream::connect(&client, at(SERVER, 7)).await?;
                stream.write_all(b"hello").await?;
                stream.read_exact(&mut [0; 5]).await?;
                streams.push(stream);
            }
            net.quiet(Duration::from_secs(10)).await;
            assert!(polls.load(Ordering::Relaxed) > 40);

            // Ten days with twenty open connections.
            let before = polls.load(Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(10 * 86_400)).await;
            assert_eq!(polls.load(Ordering::Relaxed), before);
            for stream in &mut streams {
                stream.write_all(b"still here").await?;
                stream.read_exact(&mut [0; 10]).await?;
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn what_connections_leave_behind_goes_away() {
    Sim::from_seed(9)
        .link(lossy())
        .run(async |net| {
            let (client, server) = (net.host(CLIENT)?, net.host(SERVER)?);
            let listener = TcpListener::bind(&server, at(SERVER, 7))?;
            for round in 0..100 {
                let (ours, theirs) = tokio::join!(
                    TcpStream::connect(&client, at(SERVER, 7)),
                    listener.accept()
                );
                let (mut ours, mut theirs) = (ours?, theirs?.0);
                match round % 4 {
                    0 => drop(ours),
                    1 => drop(theirs),
                    2 => ours.abort(),
                    _ => {
                        ours.write_all(&[1; 5_000]).await?;
                        theirs.shutdown().await?;
                    }
                }
            }
            tokio::time::sleep(Duration::from_secs(600)).await;
            let count = |stack: &Stack| stack.with(|stack| stack.sockets().count());
            assert_eq!(
                (count(&client), count(&server)),
                (0, 1),
                "the listener is left"
            );
            Ok(())
        })
        .unwrap();
}
