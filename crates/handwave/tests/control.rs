//! The control socket: who may open it, what garbage does to it, what becomes of one left behind, and how a great many
//! sockets come through it.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use handwave::control::protocol::{
    ErrorCode, Flood, Hello, Netid, Order, REQUEST_MAX, Rates, Reply, Request, Select, State,
};
use handwave::control::{Client, Control, ControlOptions};
use handwave::{
    ConnectOptions, Driver, FloodState, ListenerConfig, Runtime, Stack, StackConfig, Timer, Watch,
    device,
};
use handwave_tcp::{Endpoint, Instant};

/// A stack whose driver never runs: what it has stays as it is.
fn still(clock: Option<Clock>) -> (Stack, Driver) {
    let (device, _peer) = device::pair(1_500, 64);
    let config = StackConfig {
        connections_max: 200_000,
        ..StackConfig::default()
    };
    let stack = Stack::builder().device(device).config(config);
    let stack = match clock {
        Some(clock) => stack.runtime(clock),
        None => stack,
    };
    stack.address([10, 0, 0, 2], 24).build().unwrap()
}

fn open(stack: &Stack, path: &Path) -> io::Result<Control> {
    let options = ControlOptions {
        path: Some(path.to_owned()),
        program: "test".to_owned(),
    };
    Control::open(stack, options)
}

struct Scene {
    stack: Stack,
    _driver: Driver,
    control: Control,
    directory: tempfile::TempDir,
}

impl Scene {
    fn new() -> Self {
        Self::of(still(None))
    }

    fn of((stack, driver): (Stack, Driver)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let control = open(&stack, &directory.path().join("control.sock")).unwrap();
        Self {
            stack,
            _driver: driver,
            control,
            directory,
        }
    }

    fn client(&self) -> Client {
        Client::connect(self.control.path()).unwrap()
    }

    /// A connection without manners: hello has been read.
    fn raw(&self) -> BufReader<UnixStream> {
        let stream = UnixStream::connect(self.control.path()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let mut reader = BufReader::new(stream);
        let mut hello = String::new();
        reader.read_line(&mut hello).unwrap();
        let hello: Hello = serde_json::from_str(&hello).unwrap();
        assert_eq!((hello.version, hello.program.as_str()), (1, "test"));
        reader
    }

    fn listen(&self, port: u16) {
        let listening = self
            .stack
            .with(|stack| stack.listen(port, ListenerConfig::default()));
        listening.unwrap();
    }

    /// So many connections in SYN-SENT.
    fn connect(&self, count: u32) {
        self.stack.with(|stack| {
            for n in 0..count {
                let port = u16::try_from(1 + n % 1_000).unwrap();
                let host = u8::try_from(3 + n / 50_000).unwrap();
                let to = Endpoint::new([10, 0, 0, host].into(), port);
                let options = ConnectOptions::default();
                stack.connect(Instant::ZERO, to, options).unwrap();
            }
        });
    }
}

fn next(reader: &mut BufReader<UnixStream>) -> Reply {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

fn refused(reply: Reply) -> ErrorCode {
    match reply {
        Reply::Error { code, .. } => code,
        other => panic!("{other:?} is no refusal"),
    }
}

fn all(client: &mut Client, select: Select) -> Vec<handwave::control::protocol::Socket> {
    let mut sockets = Vec::new();
    let count = client.sockets(select, |socket| {
        sockets.push(socket);
        Ok(())
    });
    assert_eq!(count.unwrap(), sockets.len() as u64);
    sockets
}

#[tokio::test]
async fn sockets_counters_and_the_summary_come_through() {
    let scene = Scene::new();
    scene.listen(80);
    scene.connect(2);
    scene.stack.with(|stack| stack.udp_bind(None, 53)).unwrap();
    let mut client = scene.client();
    let sockets = all(&mut client, Select::default());
    let states: Vec<_> = sockets.iter().map(|socket| socket.state).collect();
    assert_eq!(
        states,
        [
            State::Listen,
            State::SynSent,
            State::SynSent,
            State::Unconnected
        ]
    );
    let queues = sockets[0].queues.as_ref().unwrap();
    assert_eq!((queues.syn_queue_max, queues.accept_queue_max), (1024, 128));
    assert!(sockets[1].info.is_none(), "details were not asked for");

    let udp = Select {
        netid: Some(Netid::Udp),
        ..Select::default()
    };
    assert_eq!(all(&mut client, udp)[0].local.port, 53);
    let opening = Select {
        states: vec![State::SynSent],
        details: true,
        limit: Some(1),
        ..Select::default()
    };
    assert!(all(&mut client, opening)[0].info.is_some());
    let counters = client.counters().unwrap();
    assert_eq!(counters["TcpActiveOpens"], 2);
    let summary = client.summary().unwrap();
    assert_eq!(summary.states[&State::SynSent], 2);
    assert_eq!((summary.udp, summary.listeners.len()), (1, 1));
    assert_eq!(summary.counters, counters);
}

#[tokio::test]
async fn only_its_user_may_open_it() {
    let scene = Scene::new();
    let mode = std::fs::metadata(scene.control.path())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let left: Vec<_> = std::fs::read_dir(scene.directory.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing is left of making it: {left:?}");
}

/// What [`another_user_cannot_open_it`] runs as another user.
#[test]
#[ignore = "part of another test"]
fn as_another_user() {
    let Some(path) = std::env::var_os("HANDWAVE_TEST_CONTROL") else {
        return;
    };
    let error = Client::connect(&PathBuf::from(path)).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
}

#[tokio::test]
async fn another_user_cannot_open_it() {
    use std::os::unix::process::CommandExt as _;

    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED another_user_cannot_open_it: only root can become another user");
        return;
    }
    let scene = Scene::new();
    // Everything but the socket itself is open to everybody.
    let open_to_all = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(scene.directory.path(), open_to_all.clone()).unwrap();
    let program = scene.directory.path().join("test");
    std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    std::fs::set_permissions(&program, open_to_all).unwrap();
    let output = std::process::Command::new(program)
        .args(["--ignored", "--exact", "as_another_user"])
        .env("HANDWAVE_TEST_CONTROL", scene.control.path())
        .current_dir("/")
        .uid(65_534)
        .gid(65_534)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
}

#[tokio::test]
async fn garbage_harms_nothing() {
    let scene = Scene::new();
    scene.listen(80);
    let mut reader = scene.raw();
    for garbage in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"{}\n",
        b"{\"request\":\"reboot\"}\n",
        b"{\"request\":\"sockets\",\"states\":7}\n",
        b"\xff\xfe\x00\n",
        b"[[[[[[[[[[[[[[[[[[[[\n",
    ] {
        reader.get_mut().write_all(garbage).unwrap();
        assert_eq!(
            refused(next(&mut reader)),
            ErrorCode::BadRequest,
            "{garbage:?}"
        );
    }
    // What comes next is understood, empty lines and unknown fields passed over.
    let request = b"\n{\"request\":\"sockets\",\"colour\":\"red\"}\n";
    reader.get_mut().write_all(request).unwrap();
    assert!(matches!(next(&mut reader), Reply::Socket(_)));
    assert_eq!(next(&mut reader), Reply::End { count: 1 });

    let mut reader = scene.raw();
    reader
        .get_mut()
        .write_all(&vec![b'x'; REQUEST_MAX])
        .unwrap();
    assert_eq!(refused(next(&mut reader)), ErrorCode::TooLong);
    assert_eq!(reader.read(&mut [0; 1]).unwrap(), 0, "and it hangs up");

    // Half a request, then gone.
    let mut reader = scene.raw();
    reader.get_mut().write_all(b"{\"request\":").unwrap();
    drop(reader);
    assert_eq!(all(&mut scene.client(), Select::default()).len(), 1);
}

#[tokio::test]
async fn many_clients_are_turned_away_with_a_reason() {
    let scene = Scene::new();
    let clients: Vec<_> = (0..16).map(|_| scene.raw()).collect();
    let mut one_more = scene.raw();
    assert_eq!(refused(next(&mut one_more)), ErrorCode::Busy);
    drop(clients);
}

#[tokio::test]
async fn one_left_behind_is_replaced_and_one_in_use_is_not() {
    let (stack, _driver) = still(None);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    // The listener is gone, its socket is not.
    drop(UnixListener::bind(&path).unwrap());
    assert!(
        std::fs::symlink_metadata(&path)
            .unwrap()
            .file_type()
            .is_socket()
    );
    let control = open(&stack, &path).unwrap();
    Client::connect(&path).unwrap();

    let error = open(&stack, &path).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{error}");
    Client::connect(&path).unwrap();

    drop(control);
    assert!(!path.exists(), "removed when closed");
    let file = directory.path().join("notes");
    std::fs::write(&file, "precious").unwrap();
    let error = open(&stack, &file).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{error}");
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
}

#[tokio::test]
async fn it_ends_with_its_stack_and_does_not_keep_it() {
    let (device, _peer) = device::pair(1_500, 64);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let options = ControlOptions {
        path: Some(path.clone()),
        program: "test".to_owned(),
    };
    let stack = Stack::builder().device(device).address([10, 0, 0, 2], 24);
    let (stack, driver) = stack.control(options).build().unwrap();
    let mut client = Client::connect(&path).unwrap();
    client.summary().unwrap();
    drop(stack);
    driver.await.unwrap();
    assert!(client.summary().is_err());
    assert!(!path.exists());
}

#[tokio::test]
async fn a_hundred_thousand_sockets_are_streamed() {
    let scene = Scene::new();
    scene.connect(100_000);
    let mut reader = scene.raw();
    reader
        .get_mut()
        .write_all(b"{\"request\":\"sockets\"}\n")
        .unwrap();
    assert!(matches!(next(&mut reader), Reply::Socket(_)));
    // The first has arrived and most have not been looked at: a socket opened meanwhile, in the last table, is seen.
    // And whoever does not read holds up neither the stack nor another client.
    scene.stack.with(|stack| stack.udp_bind(None, 53)).unwrap();
    assert_eq!(
        scene.client().summary().unwrap().states[&State::SynSent],
        100_000
    );

    let mut last = None;
    let count = loop {
        match next(&mut reader) {
            Reply::Socket(socket) => last = Some(socket),
            Reply::End { count } => break count,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(count, 100_001);
    assert_eq!(last.unwrap().netid, Netid::Udp);
}

#[tokio::test]
async fn the_first_in_an_order_are_found_among_many() {
    let scene = Scene::new();
    scene.connect(500);
    scene.stack.with(|stack| {
        let named = |socket| match socket {
            handwave_stack::SocketSummary::Connection { id, .. } => Some(id),
            _ => None,
        };
        let ids: Vec<_> = stack.sockets().filter_map(named).collect();
        for (n, id) in ids.into_iter().enumerate() {
            let text = vec![0; n % 100];
            stack.write(Instant::ZERO, id, &text).unwrap();
        }
    });
    let select = Select {
        order: Some(Order::SendQ),
        limit: Some(7),
        ..Select::default()
    };
    let queued: Vec<_> = all(&mut scene.client(), select)
        .iter()
        .map(|it| it.send_q)
        .collect();
    assert_eq!(queued, [100, 100, 100, 100, 100, 99, 99]);
}

#[test]
fn requests_are_written_as_the_protocol_says() {
    let request = Request::Sockets(Select {
        states: vec![State::SynReceived, State::FinWait1],
        ..Select::default()
    });
    let text = serde_json::to_string(&request).unwrap();
    let expected =
        r#"{"request":"sockets","states":["SYN-RECEIVED","FIN-WAIT-1"],"details":false}"#;
    assert_eq!(text, expected);
    assert_eq!(serde_json::from_str::<Request>(&text).unwrap(), request);
}

/// A clock that the test sets, under a stack that nothing drives.
#[derive(Clone, Debug, Default)]
struct Clock(Arc<AtomicU64>);

impl Clock {
    fn set(&self, millis: u64) {
        self.0.store(millis, Ordering::Relaxed);
    }
}

impl Runtime for Clock {
    fn now(&self) -> Instant {
        Instant::from_millis(self.0.load(Ordering::Relaxed))
    }

    fn timer(&self) -> Box<dyn Timer> {
        struct Never;
        impl Timer for Never {
            fn poll_until(&mut self, _: Option<Instant>, _: &mut Context<'_>) -> Poll<()> {
                Poll::Pending
            }
        }
        Box::new(Never)
    }

    fn watch(&self, _: BorrowedFd<'_>) -> io::Result<Box<dyn Watch>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn spawn(&self, _: Pin<Box<dyn Future<Output = ()> + Send>>) {}
}

/// SYNs to port 80, one from each of `hosts` other addresses and as many from one more.
fn flood(scene: &Scene, hosts: u8) {
    use handwave_wire::ipv4::Ipv4Header;
    use handwave_wire::{IpProtocol, Sum, TcpFlags, TcpHeader};

    let interface = scene.stack.interface();
    let server = [10, 0, 0, 2];
    scene.stack.with(|stack| {
        for n in 0..hosts {
            for (host, port) in [([10, 0, 1, n], 999), ([10, 0, 2, 1], 1_000 + u16::from(n))] {
                let header = TcpHeader {
                    source_port: port,
                    destination_port: 80,
                    flags: TcpFlags::SYN,
                    window: 65_535,
                    ..TcpHeader::default()
                };
                let mut packet = vec![0; Ipv4Header::LEN + header.header_len()];
                let (ip, segment) = packet.split_at_mut(Ipv4Header::LEN);
                Ipv4Header {
                    payload_len: u16::try_from(segment.len()).unwrap(),
                    ..Ipv4Header::new(host.into(), server.into(), IpProtocol::TCP)
                }
                .emit(ip);
                header.emit(segment);
                let len = u32::try_from(segment.len()).unwrap();
                let sum = Sum::default()
                    .pseudo_header(host.into(), server.into(), IpProtocol::TCP, len)
                    .add_bytes(segment);
                TcpHeader::set_checksum(segment, sum.finish());
                stack.handle_batch(Instant::ZERO, interface, [packet.into()]);
            }
        }
    });
}

#[tokio::test]
async fn a_flood_is_seen_with_its_figures_and_told_when_it_begins_and_ends() {
    let clock = Clock::default();
    let scene = Scene::of(still(Some(clock.clone())));
    scene.stack.with(|stack| {
        let limits = ListenerConfig {
            syn_queue_max: 50,
            ..ListenerConfig::default()
        };
        stack.listen(80, limits).unwrap();
    });
    let mut floods = scene.stack.watch_floods();
    let mut client = scene.client();
    let calm = client.summary().unwrap().listeners.remove(0);
    assert_eq!(calm.queues.unwrap().flood, Flood::Calm);

    flood(&scene, 100);
    let change = floods.next().await.unwrap();
    assert!(change.flood.is_flooded());
    assert_eq!((change.at.port, change.rates.syns), (80, 200));
    assert_eq!((change.syn_queue, change.syn_queue_max), (50, 50));

    clock.set(500);
    let queues = client.summary().unwrap().listeners.remove(0);
    let queues = queues.queues.unwrap();
    assert_eq!((queues.syn_queue, queues.syn_queue_max), (50, 50));
    let expected = Rates {
        syns: 200,
        cookies_sent: 150,
        ..Rates::default()
    };
    assert_eq!(queues.rates, expected);
    assert_eq!(queues.counters["TcpExtSyncookiesSent"], 150);
    assert_eq!(queues.flood, Flood::Flooded { for_ms: 500 });
    assert_eq!(queues.top_sources[0].prefix, "10.0.2.1/32");
    assert!(queues.top_sources[0].syns_per_second > 10.0);
    // Without details, who it is costs nothing.
    let listening = Select {
        states: vec![State::Listen],
        ..Select::default()
    };
    let short = all(&mut client, listening).remove(0).queues.unwrap();
    assert_eq!((short.rates, short.flood), (queues.rates, queues.flood));
    assert!(short.top_sources.is_empty());

    // The records are forgotten after a minute, and then it has been calm for long.
    clock.set(90_000);
    scene.stack.with(|stack| {
        for second in 1..90 {
            stack.handle_timeout(Instant::from_secs(second));
            while stack.poll_transmit(Instant::from_secs(second)).is_some() {}
        }
    });
    let change = floods.next().await.unwrap();
    assert_eq!(change.flood, FloodState::Calm);
    assert_eq!((change.lasted.as_secs(), change.cookies_sent), (90, 0));
    let summary = client.summary().unwrap();
    assert_eq!(
        summary.listeners,
        handwave::control::summary(&scene.stack).listeners
    );
    assert_eq!(
        summary.listeners[0].queues.as_ref().unwrap().flood,
        Flood::Calm
    );
}

#[test]
fn states_are_written_as_they_are_named() {
    for state in State::ALL {
        let written = serde_json::to_value(state).unwrap();
        assert_eq!(written, state.name());
    }
}
