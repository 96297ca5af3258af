//! Rough treatment: tiny queues, devices that fail, tasks that are dropped in the middle of things.
#![allow(clippy::unwrap_used, reason = "a helper may fail as a test does")]

mod common;
#[path = "common/devices.rs"]
mod devices;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use common::{SERVER, builders, connected, pair, text, within};
use devices::{Habit, With};
use handwave::device::{Device, pair as wire};
#[cfg(unix)]
use handwave::device::{Framing, Tun};
use handwave::{Error, ListenerConfig, PacketBuf, Stack, TcpListener, TcpStream, UdpSocket};
#[cfg(unix)]
use handwave::{Instant, Runtime, Timer, TokioRuntime, Watch};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};

/// Says `say` both ways at once, and hears it both ways.
async fn talk(client: &Stack, server: &Stack, say: &[u8]) {
    let listener = TcpListener::bind(server, SERVER).unwrap();
    let (ours, theirs) = tokio::join!(TcpStream::connect(client, SERVER), listener.accept());
    let speak = async |mut stream: TcpStream| {
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
    let (here, there) = tokio::join!(speak(ours.unwrap()), speak(theirs.unwrap().0));
    assert!(here == say && there == say);
}

#[tokio::test]
async fn a_queue_of_one_packet_is_enough() {
    let (left, right) = wire(1_500, 1);
    let client = Stack::builder().device(left).address([10, 0, 0, 1], 24);
    let server = Stack::builder().device(right).address([10, 0, 0, 2], 24);
    let (client, server) = (client.spawn().unwrap(), server.spawn().unwrap());
    within(talk(&client, &server, &text(300_000))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threads_do_not_get_in_each_others_way() {
    let (client, server) = pair();
    let config = ListenerConfig {
        accept_queue_max: 512,
        ..ListenerConfig::default()
    };
    let listener = TcpListener::bind_with(&server, SERVER, config).unwrap();
    let serving = tokio::spawn(async move {
        for _ in 0..64 {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let (mut from, mut to) = stream.into_split();
                let reading = tokio::spawn(async move {
                    let mut heard = Vec::new();
                    from.read_to_end(&mut heard).await.unwrap();
                    heard
                });
                let heard = reading.await.unwrap();
                to.write_all(&heard).await.unwrap();
                to.shutdown().await.unwrap();
            });
        }
    });
    let clients: Vec<_> = (0..64_usize)
        .map(|n| {
            let client = client.clone();
            tokio::spawn(async move {
                let say = text(10_000 + n);
                let stream = TcpStream::connect(&client, SERVER).await.unwrap();
                let (mut from, mut to) = stream.into_split();
                to.write_all(&say).await.unwrap();
                to.shutdown().await.unwrap();
                let mut heard = Vec::new();
                from.read_to_end(&mut heard).await.unwrap();
                assert!(heard == say);
            })
        })
        .collect();
    for client in clients {
        within(client).await.unwrap();
    }
    within(serving).await.unwrap();
}

/// A device that breaks after some packets.
struct Fragile {
    left: u32,
}

impl<D: Device> Habit<D> for Fragile {
    fn receive(
        &mut self,
        device: &mut D,
        max: usize,
        out: &mut Vec<PacketBuf>,
    ) -> io::Result<usize> {
        let count = device.receive(max, out)?;
        match self.left.checked_sub(u32::try_from(count).unwrap()) {
            Some(left) => self.left = left,
            None => return Err(io::Error::other("the card is on fire")),
        }
        Ok(count)
    }
}

#[tokio::test]
async fn a_device_that_fails_ends_everything_with_an_error() {
    let (left, right) = wire(1_500, 256);
    let device = With(right, Fragile { left: 40 });
    let client = Stack::builder().device(left).address([10, 0, 0, 1], 24);
    let server = Stack::builder().device(device).address([10, 0, 0, 2], 24);
    let client = client.spawn().unwrap();
    let (server, driver) = server.build().unwrap();
    let driver = tokio::spawn(driver);
    let listener = TcpListener::bind(&server, SERVER).unwrap();
    let socket = UdpSocket::bind(&server, "0.0.0.0:53".parse().unwrap()).unwrap();
    let (ours, theirs) =
        within(async { tokio::join!(TcpStream::connect(&client, SERVER), listener.accept()) })
            .await;
    let (mut ours, mut theirs) = (ours.unwrap(), theirs.unwrap().0);
    let accepting = tokio::spawn(async move { listener.accept().await.map(drop) });
    let receiving = tokio::spawn(async move { socket.recv_from(&mut [0; 4]).await.map(drop) });
    let flooding = tokio::spawn(async move { ours.write_all(&text(5_000_000)).await });

    let mut sink = Vec::new();
    let error = within(theirs.read_to_end(&mut sink)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
    let why = within(driver).await.unwrap().unwrap_err();
    assert_eq!(why.to_string(), "the card is on fire");
    for waiting in [accepting, receiving] {
        let error = within(waiting).await.unwrap().unwrap_err();
        assert_eq!(Error::of(&error), Some(&Error::StackGone));
    }
    let error = within(flooding).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "the peer is told");
    let error = within(TcpStream::connect(&server, SERVER))
        .await
        .unwrap_err();
    assert_eq!(Error::of(&error), Some(&Error::StackGone));
}

/// A device that fails as it hands on what has arrived.
struct Last {
    /// Packets until then.
    left: usize,
    /// It fails as it sends instead.
    in_sending: bool,
}

impl<D: Device> Habit<D> for Last {
    fn receive(
        &mut self,
        device: &mut D,
        max: usize,
        out: &mut Vec<PacketBuf>,
    ) -> io::Result<usize> {
        let count = device.receive(max, out)?;
        self.left = self.left.saturating_sub(count);
        match self.left {
            0 if !self.in_sending => Err(io::Error::other("that was the last")),
            _ => Ok(count),
        }
    }

    fn send(&mut self, device: &mut D, packets: &mut VecDeque<PacketBuf>) -> io::Result<usize> {
        match self.left {
            0 if self.in_sending => Err(io::Error::other("that was the last")),
            _ => device.send(packets),
        }
    }
}

/// Text that had arrived when the device failed is heard, and then the error, wherever the text was.
#[tokio::test]
async fn what_arrived_before_a_device_failed_is_heard() {
    for in_sending in [false, true] {
        for unread in [false, true] {
            let (left, right) = wire(1_500, 256);
            let device = With(
                right,
                Last {
                    // SYN, ACK, and text.
                    left: 3,
                    in_sending,
                },
            );
            let client = Stack::builder().device(left).address([10, 0, 0, 1], 24);
            let server = Stack::builder().device(device).address([10, 0, 0, 2], 24);
            let client = client.spawn().unwrap();
            let (server, driver) = server.build().unwrap();
            let driver = tokio::spawn(driver);
            let listener = TcpListener::bind(&server, SERVER).unwrap();
            let (ours, theirs) =
                tokio::join!(TcpStream::connect(&client, SERVER), listener.accept());
            let (mut ours, mut theirs) = (ours.unwrap(), theirs.unwrap().0);
            ours.write_all(b"the last words").await.unwrap();
            if unread {
                assert!(within(driver).await.unwrap().is_err());
            }
            let mut heard = Vec::new();
            let error = within(theirs.read_to_end(&mut heard)).await.unwrap_err();
            assert_eq!(heard, b"the last words", "{in_sending} {unread}");
            assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_dropped_with_everything_in_it_closes_everything() {
    let (client, server) = builders();
    let client = client.spawn().unwrap();
    let (server, driver) = server.build().unwrap();
    let driver = tokio::spawn(driver);
    let listener = TcpListener::bind(&server, SERVER).unwrap();
    let owner = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"hello").await.unwrap();
        let (_from, _to) = stream.into_split();
        // Stack, listener and both halves are this task's.
        std::future::pending::<()>().await;
        drop((server, listener));
    });
    let mut stream = within(TcpStream::connect(&client, SERVER)).await.unwrap();
    let mut waiting = within(TcpStream::connect(&client, SERVER)).await.unwrap();
    let mut heard = [0; 5];
    within(stream.read_exact(&mut heard)).await.unwrap();
    owner.abort();
    assert!(owner.await.unwrap_err().is_cancelled());
    assert_eq!(
        within(stream.read(&mut heard)).await.unwrap(),
        0,
        "in order"
    );
    let error = within(waiting.read(&mut heard)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "never accepted");
    drop(stream);
    within(driver).await.unwrap().unwrap();
}

/// A waker that uses the library while it is being woken.
struct Busybody {
    stream: Mutex<Option<TcpStream>>,
    woken: AtomicUsize,
}

impl Wake for Busybody {
    fn wake(self: Arc<Self>) {
        if let Some(stream) = &*self.stream.lock().unwrap() {
            let _read = stream.try_read(&mut [0; 8]);
            let _info = stream.tcp_info();
        }
        self.woken.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_waker_may_call_into_the_library() {
    let (_stacks, mut ours, mut theirs) = connected().await;
    let busybody = Arc::new(Busybody {
        stream: Mutex::new(None),
        woken: AtomicUsize::new(0),
    });
    let waker = Waker::from(Arc::clone(&busybody));
    let mut buffer = [0; 8];
    let mut buffer = ReadBuf::new(&mut buffer);
    let polled = Pin::new(&mut ours).poll_read(&mut Context::from_waker(&waker), &mut buffer);
    assert!(polled.is_pending());
    *busybody.stream.lock().unwrap() = Some(ours);
    theirs.write_all(b"wake up").await.unwrap();
    within(async {
        while busybody.woken.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A task that only its wakers keep alive, as some executors have it: when the last one goes, so does what the task owns.
struct Orphan {
    _owns: TcpStream,
}

impl Wake for Orphan {
    fn wake(self: Arc<Self>) {}
}

#[tokio::test]
async fn a_waker_may_own_a_stream_that_goes_with_it() {
    let (stacks, mut ours, theirs) = connected().await;
    let other = TcpStream::connect(&stacks.0, SERVER).await.unwrap();
    let orphan = Waker::from(Arc::new(Orphan { _owns: other }));
    let mut poll_with = |waker: &Waker| {
        let mut buffer = [0; 8];
        let mut buffer = ReadBuf::new(&mut buffer);
        Pin::new(&mut ours).poll_read(&mut Context::from_waker(waker), &mut buffer)
    };
    assert!(poll_with(&orphan).is_pending());
    drop(orphan);
    // Another waker takes the place of the orphan's, which is the last to hold the other stream.
    let replaced = std::thread::spawn(move || drop(theirs.try_write(b"x")));
    assert!(matches!(
        poll_with(Waker::noop()),
        Poll::Pending | Poll::Ready(Ok(()))
    ));
    replaced.join().unwrap();
}

#[tokio::test]
async fn both_ends_on_one_stack() {
    let (_client, server) = pair();
    within(talk(&server, &server, &text(100_000))).await;
}

#[tokio::test(start_paused = true)]
async fn reading_and_writing_from_two_tasks_wakes_each_for_its_own() {
    let (_stacks, ours, mut theirs) = connected().await;
    let (mut from, mut to) = ours.into_split();
    let reads = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&reads);
    let reader = tokio::spawn(async move {
        let mut buffer = [0; 4];
        let mut buffer = ReadBuf::new(&mut buffer);
        poll_fn(|cx| {
            counter.fetch_add(1, Ordering::Relaxed);
            Pin::new(&mut from).poll_read(cx, &mut buffer)
        })
        .await
        .unwrap();
    });
    tokio::time::sleep(Duration::from_millis(1)).await;
    for _ in 0..50 {
        to.write_all(&[1; 10_000]).await.unwrap();
        theirs.read_exact(&mut [0; 10_000]).await.unwrap();
    }
    assert_eq!(
        reads.load(Ordering::Relaxed),
        1,
        "nothing has come for the reader"
    );
    theirs.write_all(b"for").await.unwrap();
    within(reader).await.unwrap();
    assert_eq!(reads.load(Ordering::Relaxed), 2);
}

/// What a device was asked to send at once, how often it was asked again before it was asked what had arrived, and how often that was.
#[derive(Debug, Default)]
struct Sendings {
    octets_max: AtomicUsize,
    in_a_row: AtomicUsize,
    in_a_row_max: AtomicUsize,
    asked: AtomicUsize,
}

struct Measured {
    sendings: Arc<Sendings>,
}

impl<D: Device> Habit<D> for Measured {
    fn receive(
        &mut self,
        device: &mut D,
        max: usize,
        out: &mut Vec<PacketBuf>,
    ) -> io::Result<usize> {
        self.sendings.in_a_row.store(0, Ordering::Relaxed);
        self.sendings.asked.fetch_add(1, Ordering::Relaxed);
        device.receive(max, out)
    }

    fn send(&mut self, device: &mut D, packets: &mut VecDeque<PacketBuf>) -> io::Result<usize> {
        let (sendings, octets) = (&self.sendings, packets.iter().map(PacketBuf::len).sum());
        sendings.octets_max.fetch_max(octets, Ordering::Relaxed);
        let in_a_row = sendings.in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
        sendings.in_a_row_max.fetch_max(in_a_row, Ordering::Relaxed);
        device.send(packets)
    }
}

/// A device that takes some packets, then says that it can take no more, and then that it can.
struct Hesitant;

impl<D: Device> Habit<D> for Hesitant {
    fn send(&mut self, device: &mut D, packets: &mut VecDeque<PacketBuf>) -> io::Result<usize> {
        let rest = packets.split_off(packets.len().min(40));
        let sent = device.send(packets);
        packets.extend(rest);
        sent
    }
}

/// What the device did not take at once is not all there was: the stack is asked for the rest though nobody says anything.
#[tokio::test(start_paused = true)]
async fn what_is_left_after_a_device_has_hesitated_is_sent_too() {
    let (left, mut right) = wire(1_500, 4_096);
    let client = Stack::builder()
        .device(With(left, Hesitant))
        .address([10, 0, 0, 1], 24);
    let (client, driver) = client.build().unwrap();
    let socket = UdpSocket::bind(&client, "10.0.0.1:9".parse().unwrap()).unwrap();
    for _ in 0..300 {
        socket.send_to(b"datagram", SERVER).await.unwrap();
    }
    let driver = tokio::spawn(driver);
    tokio::time::sleep(Duration::from_millis(1)).await;
    let mut packets = Vec::new();
    assert_eq!(right.receive(1_000, &mut packets).unwrap(), 300);

    // Nor does the driver end before the last of it has left.
    for _ in 0..300 {
        socket.send_to(b"datagram", SERVER).await.unwrap();
    }
    drop((socket, client));
    driver.await.unwrap().unwrap();
    assert_eq!(right.receive(1_000, &mut packets).unwrap(), 300);
}

/// A device that takes nothing any more is no reason to wait for ever: connections give up as over a cable that is cut.
#[tokio::test(start_paused = true)]
async fn a_device_that_is_stuck_lets_connections_time_out() {
    let (left, mut right) = wire(1_500, 4);
    let client = Stack::builder().device(left).address([10, 0, 0, 1], 24);
    let (server_device, for_server) = wire(1_500, 256);
    let server = Stack::builder()
        .device(server_device)
        .address([10, 0, 0, 2], 24);
    let (client, server) = (client.spawn().unwrap(), server.spawn().unwrap());
    let listener = TcpListener::bind(&server, SERVER).unwrap();
    let mut relay = for_server;
    let mut stream = {
        let connecting = TcpStream::connect(&client, SERVER);
        tokio::pin!(connecting);
        loop {
            tokio::select! {
                biased;
                stream = &mut connecting => break stream.unwrap(),
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
            let mut packets = Vec::new();
            right.receive(8, &mut packets).unwrap();
            relay.send(&mut packets.into()).unwrap();
            let mut packets = Vec::new();
            relay.receive(8, &mut packets).unwrap();
            right.send(&mut packets.into()).unwrap();
        }
    };
    // From here on nobody takes what the client's device has.
    let writing = async {
        loop {
            stream.write_all(&[7; 10_000]).await?;
        }
        #[expect(unreachable_code, reason = "says what the block returns")]
        Ok::<(), io::Error>(())
    };
    let error = tokio::time::timeout(Duration::from_secs(3_600), writing).await;
    let error = error.expect("it gives up").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(client.counters().transmit_queue_full > 0);
    drop((listener, right, relay));
}

/// Nor for a driver that nobody needs any more.
#[tokio::test(start_paused = true)]
async fn a_device_that_is_stuck_lets_the_driver_end() {
    let (left, right) = wire(1_500, 1);
    let client = Stack::builder().device(left).address([10, 0, 0, 1], 24);
    let (client, driver) = client.build().unwrap();
    let connecting: Vec<_> = (0..8)
        .map(|_| Box::pin(TcpStream::connect(&client, SERVER)))
        .collect();
    let driver = tokio::spawn(driver);
    for attempt in connecting {
        let attempt = tokio::time::timeout(Duration::from_secs(600), attempt).await;
        let error = attempt.expect("it gives up").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
    drop(client);
    let ended = tokio::time::timeout(Duration::from_secs(10), driver).await;
    ended.expect("it ends").unwrap().unwrap();
    drop(right);
}

#[tokio::test]
async fn a_long_queue_is_sent_bit_by_bit_with_a_look_at_what_comes_back() {
    let (left, right) = wire(1_500, 4_096);
    let sendings = Arc::<Sendings>::default();
    let device = With(
        left,
        Measured {
            sendings: Arc::clone(&sendings),
        },
    );
    let client = Stack::builder().device(device).address([10, 0, 0, 1], 24);
    let server = Stack::builder().device(right).address([10, 0, 0, 2], 24);
    let (client, server) = (client.spawn().unwrap(), server.spawn().unwrap());
    within(talk(&client, &server, &text(8_000_000))).await;
    let octets = sendings.octets_max.load(Ordering::Relaxed);
    // One super-segment, and what was just short of enough before it.
    assert!((60_000..48 * 1_024 + 65_536).contains(&octets), "{octets}");
    assert_eq!(sendings.in_a_row_max.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn busy_polling_asks_for_a_while_and_rests_where_nothing_comes() {
    let mut asked = Vec::new();
    // By default a device is not asked that wakes the driver by itself.
    for busy_poll in [None, Some(Duration::ZERO), Some(Duration::from_micros(50))] {
        let (left, right) = wire(1_500, 256);
        let sendings = Arc::<Sendings>::default();
        let device = With(
            left,
            Measured {
                sendings: Arc::clone(&sendings),
            },
        );
        let client = Stack::builder().device(device).address([10, 0, 0, 1], 24);
        let server = Stack::builder().device(right).address([10, 0, 0, 2], 24);
        let client = match busy_poll {
            None => client,
            Some(span) => client.busy_poll(span),
        };
        let (client, server) = (client.spawn().unwrap(), server.spawn().unwrap());
        within(talk(&client, &server, &text(1_000))).await;
        let until_now = || sendings.asked.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(1_000)).await;
        let before = until_now();
        tokio::time::sleep(Duration::from_secs(100_000)).await;
        assert_eq!(until_now(), before, "at rest it costs nothing");
        asked.push(before);
    }
    assert_eq!(asked[0], asked[1]);
    assert!(asked[0] < 100 && asked[2] > 1_000, "{asked:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_device_with_a_descriptor_carries_text_and_is_not_asked_at_rest() {
    over_descriptors().await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_with_a_descriptor_is_not_asked_at_rest_by_several_threads_either() {
    over_descriptors().await;
}

#[cfg(unix)]
async fn over_descriptors() {
    let (left, right) = std::os::unix::net::UnixDatagram::pair().unwrap();
    let [left, right] =
        [left, right].map(|end| Tun::from_fd(end.into(), 1_500, Framing::Plain).unwrap());
    let sendings = Arc::<Sendings>::default();
    let device = With(
        left,
        Measured {
            sendings: Arc::clone(&sendings),
        },
    );
    let client = Stack::builder().device(device).address([10, 0, 0, 1], 24);
    let server = Stack::builder().device(right).address([10, 0, 0, 2], 24);
    let (client, server) = (client.spawn().unwrap(), server.spawn().unwrap());
    let listener = TcpListener::bind(&server, SERVER).unwrap();
    let (ours, theirs) = tokio::join!(TcpStream::connect(&client, SERVER), listener.accept());
    let (mut ours, mut theirs) = (ours.unwrap(), theirs.unwrap().0);
    let mut message = [1; 64];
    for _ in 0..1_000 {
        ours.write_all(&message).await.unwrap();
        theirs.read_exact(&mut message).await.unwrap();
        theirs.write_all(&message).await.unwrap();
        ours.read_exact(&mut message).await.unwrap();
    }
    drop((ours, theirs, listener));
    // Much text, too, which comes joined, and for which the socket is too small at times.
    within(talk(&client, &server, &text(1_000_000))).await;
    // Until the last acknowledgment has been sent, and was asked for long enough.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let before = sendings.asked.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(sendings.asked.load(Ordering::Relaxed), before);
}

/// Tokio, and how many descriptors it watches at the moment.
#[cfg(unix)]
#[derive(Debug)]
struct Watching(TokioRuntime, Arc<AtomicUsize>);

#[cfg(unix)]
impl Runtime for Watching {
    fn now(&self) -> Instant {
        self.0.now()
    }

    fn timer(&self) -> Box<dyn Timer> {
        self.0.timer()
    }

    fn watch(&self, descriptor: BorrowedFd<'_>) -> io::Result<Box<dyn Watch>> {
        struct Counted(Box<dyn Watch>, Arc<AtomicUsize>);

        impl Watch for Counted {
            fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.0.poll_readable(cx)
            }

            fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.0.poll_writable(cx)
            }
        }

        impl Drop for Counted {
            fn drop(&mut self) {
                self.1.fetch_sub(1, Ordering::Relaxed);
            }
        }

        let watch = self.0.watch(descriptor)?;
        self.1.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(Counted(watch, Arc::clone(&self.1))))
    }

    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.0.spawn(task);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_descriptor_is_not_watched_while_a_conversation_goes_on() {
    let (left, right) = std::os::unix::net::UnixDatagram::pair().unwrap();
    let [left, right] =
        [left, right].map(|end| Tun::from_fd(end.into(), 1_500, Framing::Plain).unwrap());
    let watched = Arc::<AtomicUsize>::default();
    let runtime = Watching(TokioRuntime::current().unwrap(), Arc::clone(&watched));
    let client = Stack::builder()
        .runtime(runtime)
        .busy_poll(Duration::from_millis(100))
        .device(left)
        .address([10, 0, 0, 1], 24);
    let server = Stack::builder().device(right).address([10, 0, 0, 2], 24);
    let (client, server) = (client.spawn().unwrap(), server.spawn().unwrap());
    let listener = TcpListener::bind(&server, SERVER).unwrap();
    let (ours, theirs) = tokio::join!(TcpStream::connect(&client, SERVER), listener.accept());
    let (mut ours, mut theirs) = (ours.unwrap(), theirs.unwrap().0);
    let mut message = [1; 64];
    for messages in [1, 1_000, 1] {
        for _ in 0..messages {
            ours.write_all(&message).await.unwrap();
            theirs.read_exact(&mut message).await.unwrap();
            theirs.write_all(&message).await.unwrap();
            ours.read_exact(&mut message).await.unwrap();
        }
        // Where this task had to wait for a processor meanwhile, it is watched again, and a while later no more.
        for _ in 0..1_000 * messages {
            if messages == 1 || watched.load(Ordering::Relaxed) == 0 {
                break;
            }
            ours.write_all(&message).await.unwrap();
            theirs.read_exact(&mut message).await.unwrap();
        }
        if messages > 1 {
            assert_eq!(watched.load(Ordering::Relaxed), 0);
        }
        // Until it has been asked for long enough.
        while watched.load(Ordering::Relaxed) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
