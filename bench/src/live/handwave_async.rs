//! Ourselves: the async sockets, on one thread, as a program would use them.

use std::io;

use handwave::{Stack, TcpListener, TcpStream};
use handwave_device::Tun;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

use super::contestant::{
    APPLICATION_BUFFER, CHARGEN, Contestant, DISCARD, ECHO, Mode, ONE_OCTET, PREFIX_LEN, Running,
    SERVER, client_tun,
};

pub(super) struct Handwave;

impl Contestant for Handwave {
    fn name(&self) -> &'static str {
        super::OURS
    }

    fn start(&self, mode: Mode) -> io::Result<Running> {
        let tun = client_tun(mode)?;
        run(|| async move { serve(tun) })
    }
}

/// Runs what `start` starts on a runtime with one thread, until the result is dropped.
pub(super) fn run<F, T>(start: impl FnOnce() -> F + Send + 'static) -> io::Result<Running>
where
    F: Future<Output = io::Result<T>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
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

/// A stack at a TUN, with the address that clients connect to.
pub(super) fn stack(tun: Tun) -> io::Result<Stack> {
    Stack::builder()
        .device(tun)
        .address(SERVER, PREFIX_LEN)
        .spawn()
}

fn serve(tun: Tun) -> io::Result<Stack> {
    let stack = stack(tun)?;
    let listen = |port: u16| TcpListener::bind(&stack, (SERVER, port).into());
    accept(listen(DISCARD)?, discard);
    accept(listen(CHARGEN)?, chargen);
    accept(listen(ECHO)?, echo);
    accept(listen(ONE_OCTET)?, one_octet);
    Ok(stack)
}

fn accept<F>(listener: TcpListener, serve: fn(TcpStream) -> F)
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // How a client leaves is the client's business.
            drop(tokio::spawn(serve(stream)));
        }
    });
}

async fn discard(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; APPLICATION_BUFFER];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

async fn chargen(mut stream: TcpStream) -> io::Result<()> {
    let data = vec![0x5A; APPLICATION_BUFFER];
    loop {
        stream.write_all(&data).await?;
    }
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = [0; 4_096];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            count => stream.write_all(&buffer[..count]).await?,
        }
    }
}

async fn one_octet(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(b"x").await
}
