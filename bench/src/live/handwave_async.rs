//! Ourselves: the async sockets, on one thread, as a program would use them, or with a shard and a worker for each of two queues.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use handwave::{Stack, TcpListener, TcpStream};
use handwave_device::Tun;
use tokio::sync::oneshot;

use super::contestant::{
    APPLICATION_BUFFER, CHARGEN, Contestant, DISCARD, ECHO, Mode, ONE_OCTET, PREFIX_LEN, Running,
    SERVER, client_queues, client_tun,
};
use super::services;

/// How long the driver goes on asking the device, and which calls the application makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handwave {
    /// As long as it finds out by itself that it pays: the default.
    Adaptive,
    /// The same; octets that nobody copies are handed over, and taken, in chunks.
    Chunks,
    /// Not at all.
    NeverPolling,
    /// Always for 50 us.
    Polling,
}

impl Handwave {
    /// Those that differ in the driver.
    pub(super) const DRIVERS: [Self; 3] = [Self::Adaptive, Self::NeverPolling, Self::Polling];
    const SPAN: Duration = Duration::from_micros(50);

    fn set(self, builder: handwave::Builder) -> handwave::Builder {
        match self {
            Self::Adaptive | Self::Chunks => builder,
            Self::NeverPolling => builder.busy_poll(Duration::ZERO),
            Self::Polling => builder.busy_poll(Self::SPAN),
        }
    }
}

impl Contestant for Handwave {
    fn name(&self) -> &'static str {
        match self {
            Self::Adaptive => super::OURS,
            Self::Chunks => super::OURS_CHUNKS,
            Self::NeverPolling => super::OURS_NEVER_POLLING,
            Self::Polling => super::OURS_POLLING,
        }
    }

    fn start(&self, mode: Mode) -> io::Result<Running> {
        let (tun, own) = (client_tun(mode)?, *self);
        run(move || async move { serve([tun], own) })
    }
}

/// Chunks that a reader takes at a time.
const CHUNKS: usize = 64;

/// A shard for each of two queues, on two workers.
pub(super) struct TwoQueues;

impl Contestant for TwoQueues {
    fn name(&self) -> &'static str {
        "handwave, two queues"
    }

    fn start(&self, mode: Mode) -> io::Result<Running> {
        let queues = client_queues(mode, 2)?;
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        runtime.worker_threads(queues.len());
        run_on(runtime, || async move { serve(queues, Handwave::Adaptive) })
    }
}

/// Runs what `start` starts on a runtime with one thread, until the result is dropped.
pub(super) fn run<F, T>(start: impl FnOnce() -> F + Send + 'static) -> io::Result<Running>
where
    F: Future<Output = io::Result<T>>,
{
    run_on(tokio::runtime::Builder::new_current_thread(), start)
}

/// The same on a runtime of the caller's choice.
pub(super) fn run_on<F, T>(
    mut runtime: tokio::runtime::Builder,
    start: impl FnOnce() -> F + Send + 'static,
) -> io::Result<Running>
where
    F: Future<Output = io::Result<T>>,
{
    let runtime = runtime.enable_all().build()?;
    let mut running = Running::default();
    let (shutdown, over) = oneshot::channel::<()>();
    running.shutdown = Some(shutdown);
    let (begun, has_begun) = std::sync::mpsc::channel();
    running.spawn(move |_| {
        runtime.block_on(async move {
            let started = start().await;
            let failed = started
                .as_ref()
                .err()
                .map(|error| io::Error::other(error.to_string()));
            let _told = begun.send(failed);
            if started.is_ok() {
                let _sender_gone = over.await;
            }
        });
    });
    match has_begun.recv() {
        Ok(None) => Ok(running),
        Ok(Some(error)) => Err(error),
        Err(error) => Err(io::Error::other(error)),
    }
}

/// A stack at the queues of a TUN, with the address that clients connect to.
pub(super) fn stack(queues: impl IntoIterator<Item = Tun>) -> io::Result<Stack> {
    builder(queues).spawn()
}

fn builder(queues: impl IntoIterator<Item = Tun>) -> handwave::Builder {
    Stack::builder().queues(queues).address(SERVER, PREFIX_LEN)
}

fn serve(queues: impl IntoIterator<Item = Tun>, own: Handwave) -> io::Result<Stack> {
    let stack = own.set(builder(queues)).spawn()?;
    let listen = |port: u16| TcpListener::bind(&stack, (SERVER, port).into());
    for port in [DISCARD, CHARGEN, ECHO, ONE_OCTET] {
        accept(port, listen(port)?, own);
    }
    Ok(stack)
}

fn accept(port: u16, listener: TcpListener, own: Handwave) {
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if port == ECHO {
                stream.set_nodelay(true)?;
            }
            // How a client leaves is the client's business.
            match (own, port) {
                (Handwave::Chunks, DISCARD) => drop(tokio::spawn(discard(stream))),
                (Handwave::Chunks, CHARGEN) => drop(tokio::spawn(chargen(stream))),
                _ => drop(tokio::spawn(services::serve(port, stream))),
            }
        }
        io::Result::Ok(())
    });
}

async fn discard(mut stream: TcpStream) -> io::Result<()> {
    let mut chunks = [const { Bytes::new() }; CHUNKS];
    while stream.read_chunks(&mut chunks).await? > 0 {}
    Ok(())
}

async fn chargen(mut stream: TcpStream) -> io::Result<()> {
    let data = Bytes::from(vec![0x5A; APPLICATION_BUFFER]);
    loop {
        stream.write_chunk(data.clone()).await?;
    }
}
