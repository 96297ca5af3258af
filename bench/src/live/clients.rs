//! The kernel's end: ordinary sockets that load a contestant and take the figures.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;
use rustix::time::{ClockId, clock_gettime};
use socket2::{Domain, Socket, Type};

use super::contestant::{
    APPLICATION_BUFFER, CHARGEN, DISCARD, ECHO, ONE_OCTET, SERVER, control_as_usual,
};

/// Until windows and congestion windows are open.
const WARM_UP: Duration = Duration::from_millis(150);
/// Longer than anything here takes unless it hangs.
const PATIENCE: Duration = Duration::from_secs(10);
const MESSAGE: usize = 64;

/// Opens a connection on a socket that `prepare` has had before.
fn connect(port: u16, prepare: fn(&Socket) -> io::Result<()>) -> io::Result<TcpStream> {
    let server = SocketAddr::from((SERVER, port));
    // A contestant may still be starting.
    let mut tries = 0;
    let socket = loop {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        prepare(&socket)?;
        match socket.connect_timeout(&server.into(), PATIENCE) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && tries < 100 => {
                tries += 1;
                std::thread::sleep(Duration::from_millis(10));
            }
            result => {
                result?;
                break socket;
            }
        }
    };
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A connection that lasts.
fn connect_to_stay(port: u16) -> io::Result<TcpStream> {
    connect(port, |socket| control_as_usual(socket))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a rate needs no more than 52 bits"
)]
fn gigabits(octets: u64, span: Duration) -> f64 {
    octets as f64 * 8.0 / span.as_secs_f64() / 1e9
}

/// Gbit/s into the contestant.
pub(super) fn send(span: Duration) -> io::Result<f64> {
    let mut stream = connect_to_stay(DISCARD)?;
    let data = vec![0x5A; APPLICATION_BUFFER];
    timed(span, || stream.write(&data))
}

/// Gbit/s out of the contestant.
pub(super) fn receive(span: Duration) -> io::Result<f64> {
    let mut stream = connect_to_stay(CHARGEN)?;
    let mut data = vec![0; APPLICATION_BUFFER];
    timed(span, || stream.read(&mut data))
}

fn timed(span: Duration, mut moved: impl FnMut() -> io::Result<usize>) -> io::Result<f64> {
    let begin = Instant::now();
    while begin.elapsed() < WARM_UP {
        moved()?;
    }
    let (begin, mut octets) = (Instant::now(), 0);
    while begin.elapsed() < span {
        match moved()? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => octets += count as u64,
        }
    }
    Ok(gigabits(octets, begin.elapsed()))
}

/// What came of a ping-pong.
#[derive(Clone, Debug)]
pub(super) struct Latencies {
    /// Transactions a second.
    pub(super) rate: f64,
    /// Microseconds, in ascending order.
    sorted: Vec<f64>,
}

/// A quantile's name, and the quantile of a sample.
type Quantile = (&'static str, fn(&Latencies) -> f64);

impl Latencies {
    /// The quantiles that are reported.
    pub(super) const QUANTILES: [Quantile; 3] = [
        ("p50", |all| all.per_mille(500)),
        ("p99", |all| all.per_mille(990)),
        ("p99.9", |all| all.per_mille(999)),
    ];

    fn per_mille(&self, per_mille: usize) -> f64 {
        let index = self.sorted.len() * per_mille / 1_000;
        self.sorted.get(index).copied().unwrap_or(f64::NAN)
    }
}

/// A message of 64 octets there and back, one at a time.
#[expect(clippy::cast_precision_loss, reason = "a count of some thousands")]
pub(super) fn ping_pong(span: Duration) -> io::Result<Latencies> {
    let mut stream = connect_to_stay(ECHO)?;
    let mut message = [0x5A; MESSAGE];
    let mut once = || -> io::Result<Duration> {
        let begin = Instant::now();
        stream.write_all(&message)?;
        stream.read_exact(&mut message)?;
        Ok(begin.elapsed())
    };
    let begin = Instant::now();
    while begin.elapsed() < WARM_UP {
        once()?;
    }
    let (begin, mut sorted) = (Instant::now(), Vec::new());
    while begin.elapsed() < span {
        sorted.push(once()?.as_secs_f64() * 1e6);
    }
    let rate = sorted.len() as f64 / begin.elapsed().as_secs_f64();
    sorted.sort_by(f64::total_cmp);
    Ok(Latencies { rate, sorted })
}

/// A message of 64 octets there and back so many times a second: microseconds of processor time that the other threads of this process spend on one.
pub(super) fn paced(span: Duration, rate: u32) -> io::Result<f64> {
    let mut stream = connect_to_stay(ECHO)?;
    let mut message = [0x5A; MESSAGE];
    let pause = Duration::from_secs(1) / rate;
    let mut run = |span: Duration| -> io::Result<u32> {
        let begin = Instant::now();
        let mut count = 0;
        while begin.elapsed() < span {
            stream.write_all(&message)?;
            stream.read_exact(&mut message)?;
            count += 1;
            std::thread::sleep((pause * count).saturating_sub(begin.elapsed()));
        }
        Ok(count)
    };
    run(WARM_UP)?;
    let before = others_processor_time();
    // The answers to the first messages are no reason to count less than a second of pauses.
    let count = run(span.max(Duration::from_secs(1)))?;
    let spent = others_processor_time() - before;
    Ok(spent.as_secs_f64() * 1e6 / f64::from(count))
}

/// What all threads of this process but the calling one have spent.
fn others_processor_time() -> Duration {
    let spent = |clock| Duration::try_from(clock_gettime(clock)).unwrap_or_default();
    spent(ClockId::ProcessCPUTime).saturating_sub(spent(ClockId::ThreadCPUTime))
}

/// Connections a second: connect, read the octet and the end, close. The close is a reset, so that no end is left with a
/// TIME-WAIT record and ports never run out.
#[expect(clippy::cast_precision_loss, reason = "a count of some thousands")]
pub(super) fn connections(span: Duration, at_a_time: usize) -> io::Result<f64> {
    let once = || -> io::Result<()> {
        let mut stream = connect(ONE_OCTET, |_| Ok(()))?;
        let mut octets = Vec::new();
        stream.read_to_end(&mut octets)?;
        set_socket_linger(&stream, Some(Duration::ZERO))?;
        match octets.len() {
            1 => Ok(()),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    };
    once()?;
    let (over, count) = (AtomicBool::new(false), AtomicU64::new(0));
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let worker = || -> io::Result<()> {
            while !over.load(Ordering::Relaxed) {
                once()?;
                count.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        };
        let workers: Vec<_> = (0..at_a_time).map(|_| scope.spawn(worker)).collect();
        std::thread::sleep(span);
        let taken = count.load(Ordering::Relaxed) as f64 / begin.elapsed().as_secs_f64();
        over.store(true, Ordering::Relaxed);
        for worker in workers {
            worker
                .join()
                .map_err(|_| io::Error::other("a client panicked"))??;
        }
        Ok(taken)
    })
}
