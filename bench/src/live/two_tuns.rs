//! The kernel's own TCP behind two TUNs: packets go from one to the other as they are, through a loop of ours.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use handwave_device::Tun;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::contestant::{
    APPLICATION_BUFFER, CHARGEN, Contestant, DISCARD, ECHO, Mode, ONE_OCTET, Running, SERVER,
    client_tun, control_as_usual, server_tun,
};
use super::{handwave_async, namespace};

/// Packets that go one way before those of the other have their turn.
const BATCH: usize = 64;
const PACKET_MAX: usize = 66_000;
const TICK: Duration = Duration::from_millis(20);

pub(super) struct TwoTuns;

impl Contestant for TwoTuns {
    fn name(&self) -> &'static str {
        "the kernel, two TUNs"
    }

    fn start(&self, mode: Mode) -> io::Result<Running> {
        start(mode, |served| {
            let serve: [(u16, Serve); 4] = [
                (DISCARD, discard),
                (CHARGEN, chargen),
                (ECHO, echo),
                (ONE_OCTET, one_octet),
            ];
            for (port, serve) in serve {
                let listener = TcpListener::bind((std::net::Ipv4Addr::from(SERVER), port))?;
                listener.set_nonblocking(true)?;
                control_as_usual(&listener)?;
                served.push((listener, serve));
            }
            Ok(())
        })
    }
}

type Serve = fn(TcpStream) -> io::Result<()>;
type Served = Vec<(TcpListener, Serve)>;

fn start(
    mode: Mode,
    listen: impl FnOnce(&mut Served) -> io::Result<()> + Send + 'static,
) -> io::Result<Running> {
    let near = client_tun(mode)?;
    let mut running = Running::default();
    let (tell, told) = mpsc::channel();
    running.spawn(move |stop| {
        let prepared = namespace::enter().and_then(|()| {
            let far = server_tun(mode)?;
            let mut served = Vec::new();
            listen(&mut served)?;
            Ok((far, served))
        });
        match prepared {
            Ok((far, served)) => {
                let _gone = tell.send(Ok(far));
                accept(&served, stop);
            }
            Err(error) => {
                let _gone = tell.send(Err(error));
            }
        }
    });
    let far = told.recv().map_err(io::Error::other)??;
    running.spawn(move |stop| pump(&near, &far, stop));
    Ok(running)
}

/// Something that the kernel's TCP serves on a runtime in a namespace of its own, behind `near`. `prepare` is done first by each thread
/// that carries the server.
pub(super) fn on_runtime(
    near: Tun,
    prepare: fn(),
    serve: impl AsyncFnOnce(&Tun) -> io::Result<()> + Send + 'static,
) -> io::Result<Running> {
    let (tell, told) = mpsc::channel();
    let mut running = handwave_async::run(move || async move {
        prepare();
        namespace::enter()?;
        let far = server_tun(Mode::Offload)?;
        serve(&far).await?;
        tell.send(far).map_err(io::Error::other)
    })?;
    let far = told.recv().map_err(io::Error::other)?;
    running.spawn(move |stop| {
        prepare();
        pump(&near, &far, stop);
    });
    Ok(running)
}

/// Joins two TUNs until told to stop.
fn pump(near: &Tun, far: &Tun, stop: &AtomicBool) {
    let mut packet = vec![0; PACKET_MAX];
    let timeout = Timespec {
        tv_sec: 0,
        tv_nsec: 20_000_000,
    };
    while !stop.load(Ordering::Relaxed) {
        let moved = carry(near.as_fd(), far.as_fd(), &mut packet)
            + carry(far.as_fd(), near.as_fd(), &mut packet);
        if moved == 0 {
            let mut ready = [near, far].map(|tun| PollFd::new(tun, PollFlags::IN));
            let _number = poll(&mut ready, Some(&timeout));
        }
    }
}

fn carry(from: BorrowedFd<'_>, to: BorrowedFd<'_>, packet: &mut [u8]) -> usize {
    for count in 0..BATCH {
        let Ok(len) = rustix::io::read(from, &mut *packet) else {
            return count;
        };
        // What the other end does not take is lost, as on any link.
        let _taken = rustix::io::write(to, &packet[..len]);
    }
    BATCH
}

/// Serves each connection on a thread of its own, as the fastest simple servers do; one that only closes needs none.
fn accept(served: &Served, stop: &AtomicBool) {
    let timeout = Timespec {
        tv_sec: 0,
        tv_nsec: 20_000_000,
    };
    while !stop.load(Ordering::Relaxed) {
        let mut ready: Vec<PollFd<'_>> = served
            .iter()
            .map(|(listener, _)| PollFd::new(listener, PollFlags::IN))
            .collect();
        let _number = poll(&mut ready, Some(&timeout));
        for (listener, serve) in served {
            while let Ok((stream, _)) = listener.accept() {
                let (serve, port) = (*serve, listener.local_addr().map_or(0, |addr| addr.port()));
                let prepared = stream.set_nonblocking(false).and_then(|()| {
                    stream.set_read_timeout(Some(TICK * 500))?;
                    stream.set_write_timeout(Some(TICK * 500))?;
                    stream.set_nodelay(true)
                });
                // How a client leaves is the client's business.
                if prepared.is_ok() && port == ONE_OCTET {
                    drop(serve(stream));
                } else if prepared.is_ok() {
                    drop(std::thread::spawn(move || serve(stream)));
                }
            }
        }
    }
}

fn discard(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; APPLICATION_BUFFER];
    while stream.read(&mut buffer)? > 0 {}
    Ok(())
}

fn chargen(mut stream: TcpStream) -> io::Result<()> {
    let data = vec![0x5A; APPLICATION_BUFFER];
    loop {
        stream.write_all(&data)?;
    }
}

fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 4_096];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            count => stream.write_all(&buffer[..count])?,
        }
    }
}

fn one_octet(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(b"x")
}
