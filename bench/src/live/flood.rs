//! `tun-flood`: honest clients of an HTTP server over TUN while SYNs with forged sources come in, beside the kernel's own server.
//!
//! The server has a core of its own, and the flood and the clients share the other one, whoever serves. The kernel answers with
//! SYN cookies, too (`net.ipv4.tcp_syncookies` is 1 in a new namespace), so both give the clients what they can.

use std::io::{self, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;
use rustix::thread::{CpuSet, sched_setaffinity};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::contestant::{HTTP, Mode, PREFIX_LEN, Running, SERVER, client_tun};
use super::spoofer::{Rate, Spoofer, received};
use super::{Settings, ready, two_tuns};
use crate::report::{Better, Report, median};

/// A name, and how many forged SYNs there are meanwhile.
const FLOODS: [(&str, Rate); 4] = [
    ("0", Rate::PerSecond(0)),
    ("50k", Rate::PerSecond(50_000)),
    ("200k", Rate::PerSecond(200_000)),
    ("flat-out", Rate::Flat),
];
/// Honest clients at a time, each of which rests between its connections.
const CLIENTS: usize = 16;
const REST: Duration = Duration::from_millis(5);
/// A client that has not got its answer by then has not been served: a lost SYN has been sent again, once.
const PATIENCE: Duration = Duration::from_secs(3);
/// Half-open connections, and complete ones that wait, of the kernel's server: as many as the system allows.
const BACKLOG: u32 = 4_096;
const SERVER_CORE: usize = 0;
const OTHER_CORE: usize = 1;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
/// What every answer ends with.
const BODY: &[u8] = b"Hello, world!";
/// The answer of the kernel's server.
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!";

/// Starts somebody who serves, and gives the name of the interface that leads there.
type Start<'a> = &'a dyn Fn() -> io::Result<(Running, String)>;

/// A name, a unit, which way is better, and the figure of a turn.
type Row = (&'static str, &'static str, Better, fn(&Turn) -> f64);

/// Runs all cases.
pub(crate) fn run(report: &mut Report, settings: &Settings) {
    let program = match program() {
        Ok(program) => program,
        Err(error) => return eprintln!("tun-flood: {error}; skipped"),
    };
    if !ready("tun-flood") {
        return;
    }
    let over_handwave = || over_handwave(&program);
    pin(OTHER_CORE);
    for (name, rate) in FLOODS {
        let (mut ours, mut kernels) = (Vec::new(), Vec::new());
        for _ in 0..settings.rounds {
            ours.extend(turn(&over_handwave, settings.span, rate));
            kernels.extend(turn(&over_the_kernel, settings.span, rate));
        }
        let rows: [Row; 5] = [
            ("served", "%", Better::More, |turn| turn.served),
            ("p50", "ms", Better::Less, |turn| turn.quantile(500)),
            ("p99", "ms", Better::Less, |turn| turn.quantile(990)),
            ("connections", "/s", Better::More, |turn| turn.rate),
            ("answers", "packet/s", Better::More, |turn| turn.answers),
        ];
        for (row, unit, better, of) in rows {
            let figure = |turns: &[Turn]| median(&mut turns.iter().map(of).collect::<Vec<_>>());
            let figures = (figure(&ours), figure(&kernels), "the kernel, two TUNs");
            report.add("tun-flood", format!("{name}-{row}"), unit, better, figures);
        }
        let sent =
            |turns: &[Turn]| median(&mut turns.iter().map(|turn| turn.sent).collect::<Vec<_>>());
        eprintln!(
            "{name}: {:.0} SYN/s were sent to us, {:.0} to the kernel",
            sent(&ours),
            sent(&kernels)
        );
    }
}

/// What the clients saw, and what was sent meanwhile.
struct Turn {
    /// Of the attempts, in per cent.
    served: f64,
    /// Connections that were served, a second.
    rate: f64,
    /// Milliseconds from the SYN to the end of the answer, in ascending order.
    latencies: Vec<f64>,
    /// Forged SYNs that the kernel took, a second.
    sent: f64,
    /// Packets from the server, a second.
    answers: f64,
}

impl Turn {
    fn quantile(&self, per_mille: usize) -> f64 {
        let index = self.latencies.len() * per_mille / 1_000;
        self.latencies.get(index).copied().unwrap_or(f64::NAN)
    }
}

fn turn(start: Start<'_>, span: Duration, rate: Rate) -> Option<Turn> {
    let turn = start().and_then(|(running, interface)| {
        let turn = measure(&interface, span, rate);
        drop(running);
        turn
    });
    turn.inspect_err(|error| eprintln!("a turn was missed: {error}"))
        .ok()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of some millions at most"
)]
fn measure(interface: &str, span: Duration, rate: Rate) -> io::Result<Turn> {
    // The server may still be starting.
    let begin = Instant::now();
    while let Err(error) = attempt() {
        if begin.elapsed() > PATIENCE {
            return Err(error);
        }
    }
    let mut spoofer = Spoofer::new(interface, server())?;
    let over = AtomicBool::new(false);
    let before = received(interface)?;
    let begin = Instant::now();
    let (sent, outcomes, answers) = thread::scope(|scope| {
        let flood = scope.spawn(|| spoofer.run(rate, &over));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| scope.spawn(|| client(&over)))
            .collect();
        thread::sleep(span);
        let answers = received(interface);
        over.store(true, Ordering::Relaxed);
        let outcomes: Vec<_> = clients
            .into_iter()
            .flat_map(|client| client.join().unwrap_or_default())
            .collect();
        (flood.join().unwrap_or(0), outcomes, answers)
    });
    let elapsed = begin.elapsed().as_secs_f64();
    let span = span.as_secs_f64();
    let mut latencies: Vec<_> = outcomes
        .iter()
        .flatten()
        .map(|took| took.as_secs_f64() * 1e3)
        .collect();
    latencies.sort_by(f64::total_cmp);
    Ok(Turn {
        served: 100.0 * latencies.len() as f64 / outcomes.len() as f64,
        rate: latencies.len() as f64 / elapsed,
        latencies,
        sent: sent as f64 / span,
        answers: (answers? - before) as f64 / span,
    })
}

/// One connection after the other; how long each took, or nothing if it was not served.
fn client(over: &AtomicBool) -> Vec<Option<Duration>> {
    let mut outcomes = Vec::new();
    while !over.load(Ordering::Relaxed) {
        outcomes.push(attempt().ok());
        thread::sleep(REST);
    }
    outcomes
}

/// Connects, asks, and reads the answer. The close is a reset, so that ports never run out.
fn attempt() -> io::Result<Duration> {
    let begin = Instant::now();
    let mut stream = TcpStream::connect_timeout(&server().into(), PATIENCE)?;
    let left = PATIENCE
        .saturating_sub(begin.elapsed())
        .max(Duration::from_millis(1));
    stream.set_read_timeout(Some(left))?;
    stream.write_all(REQUEST)?;
    let mut answer = Vec::new();
    while !answer.ends_with(BODY) {
        let mut buffer = [0; 512];
        match stream.read(&mut buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => answer.extend_from_slice(&buffer[..n]),
        }
    }
    let took = begin.elapsed();
    set_socket_linger(&stream, Some(Duration::ZERO))?;
    match took <= PATIENCE && answer.starts_with(b"HTTP/1.1 200 OK\r\n") {
        true => Ok(took),
        false => Err(io::ErrorKind::TimedOut.into()),
    }
}

fn server() -> SocketAddrV4 {
    SocketAddrV4::new(SERVER.into(), HTTP)
}

/// Keeps this thread, and those it starts, on a core; where there is none of that number, on any.
fn pin(core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core);
    if sched_setaffinity(None, &cores).is_err() {
        eprintln!("no core {core}: the server, the flood and the clients share what there is");
    }
}

fn pin_server() {
    pin(SERVER_CORE);
}

/// Answers what comes, as if each part were one request: with one on a connection it is.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut request = [0; 256];
    while let Ok(1..) = stream.read(&mut request).await {
        if stream.write_all(ANSWER).await.is_err() {
            break;
        }
    }
}

/// `handwave serve` on the server's core.
fn over_handwave(program: &Path) -> io::Result<(Running, String)> {
    let name = "bench-flood".to_owned();
    let [a, b, c, d] = SERVER;
    let mut serve = Command::new(program);
    serve
        .args(["serve", "--no-control", "--tun", &name])
        .args(["--addr", &format!("{a}.{b}.{c}.{d}/{PREFIX_LEN}")])
        .args(["--http-hello", &HTTP.to_string()])
        .stdout(Stdio::null());
    // A process starts where the thread stands that starts it.
    let started = thread::spawn(move || {
        pin_server();
        serve.spawn()
    });
    let child = started
        .join()
        .map_err(|_| io::Error::other("the thread that starts the program panicked"))??;
    let mut running = Running::default();
    running.children.push(child);
    Ok((running, name))
}

/// The program beside this one, as it is built now.
fn program() -> io::Result<PathBuf> {
    if let Some(cargo) = std::env::var_os("CARGO") {
        let build = ["build", "--release", "--quiet", "--package", "handwave-cli"];
        if !Command::new(cargo).args(build).status()?.success() {
            return Err(io::Error::other("the program does not build"));
        }
    }
    let program = std::env::current_exe()?.with_file_name("handwave");
    match program.exists() {
        true => Ok(program),
        false => Err(io::Error::other(format!(
            "there is no {}: cargo build --release -p handwave-cli",
            program.display()
        ))),
    }
}

fn over_the_kernel() -> io::Result<(Running, String)> {
    let near = client_tun(Mode::Offload)?;
    let name = near.name().unwrap_or_default().to_owned();
    let running = two_tuns::on_runtime(near, pin_server, async |far| {
        // Without a way back to the forged sources there would be no SYN+ACK.
        let route = [
            "route",
            "add",
            "default",
            "dev",
            far.name().unwrap_or_default(),
        ];
        let added = Command::new("ip").args(route).status()?;
        if !added.success() {
            return Err(io::Error::other("no default route to be had"));
        }
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.bind(server().into())?;
        let listener = socket.listen(BACKLOG)?;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream));
            }
        });
        Ok(())
    })?;
    Ok((running, name))
}
