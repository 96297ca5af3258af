//! `handwave connect`: standard input and output at the end of one connection.

use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;
use std::pin::pin;
use std::process::ExitCode;

use handwave::{Stack, TcpStream};
use handwave_device::InterfaceAddress;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::args::{Common, ConnectArgs, HostPort};
use crate::control::Wish;
use crate::failure::{Failure, Kind};
use crate::interface::Interface;
use crate::live::Live;
use crate::tuning::Tuning;
use crate::{live, log};

/// Octets copied at a time.
const BUFFER: usize = 64 * 1024;

/// Runs the subcommand.
pub(crate) fn run(args: &ConnectArgs, common: &Common) -> Result<ExitCode, Failure> {
    log::begin(args.log.level, &common.color);
    let tuning = Tuning::from_env()?;
    let done = live::block_on(async {
        let server = resolve(&args.server, &args.addresses).await?;
        let interface = Interface::open(&args.tun, &args.packet, &args.addresses)?;
        let control = Wish::new("handwave connect", &args.control);
        let live = Live::start(interface, &args.addresses, &tuning, &control)?;
        live.until(async |stack| talk(&stack, server).await).await
    })?;
    Ok(match done {
        Some(()) => ExitCode::SUCCESS,
        // Nobody knows what has arrived.
        None => ExitCode::FAILURE,
    })
}

/// The server's first address of a family that we have an address of.
async fn resolve(server: &HostPort, ours: &[InterfaceAddress]) -> Result<SocketAddr, Failure> {
    let found = tokio::net::lookup_host(server.as_str()).await;
    let found: Vec<_> = found
        .map_err(|error| {
            Failure::new(Kind::Failed, format!("cannot find an address of {server}"))
                .because(error)
                .hint("the address itself, such as 10.7.0.2:80")
        })?
        .collect();
    let ours = |address: &&SocketAddr| {
        ours.iter()
            .any(|one| one.address().is_ipv4() == address.is_ipv4())
    };
    found.iter().find(ours).copied().ok_or_else(|| {
        let family = match found.iter().any(SocketAddr::is_ipv6) {
            true => ("IPv6", "fd07::1/64"),
            false => ("IPv4", "10.7.0.1/24"),
        };
        Failure::new(
            Kind::Usage,
            format!("{server} is {} only, and we have no such address", family.0),
        )
        .because("no --addr is of that family")
        .hint(format!(
            "--addr {}, or another address of that family",
            family.1
        ))
    })
}

async fn talk(stack: &Stack, server: SocketAddr) -> Result<(), Failure> {
    let stream = TcpStream::connect(stack, server).await.map_err(|error| {
        Failure::new(Kind::Failed, format!("cannot connect to {server}")).because(error)
    })?;
    tracing::info!("connected to {server}");
    let (mut from, mut to) = stream.into_split();
    let lost = |error: io::Error| {
        Failure::new(Kind::Failed, format!("the connection to {server} is lost")).because(error)
    };
    let mut sending = pin!(async {
        match copy(&mut tokio::io::stdin(), &mut to).await {
            Ok(()) => to.shutdown().await.map_err(lost),
            Err(Broken::Reading(error)) => {
                Err(Failure::new(Kind::Input, "cannot read standard input").because(error))
            }
            Err(Broken::Writing(error)) => Err(lost(error)),
        }
    });
    let mut receiving = pin!(async {
        match copy(&mut from, &mut tokio::io::stdout()).await {
            Ok(()) => Ok(()),
            Err(Broken::Reading(error)) => Err(lost(error)),
            Err(Broken::Writing(error)) => Err(Failure::output(&error)),
        }
    });
    tokio::select! {
        sent = &mut sending => {
            sent?;
            receiving.await
        }
        received = &mut receiving => {
            received?;
            // A person who sees that the server has closed is done; a file has to be sent to its end.
            if io::stdin().is_terminal() { Ok(()) } else { sending.await }
        }
    }
}

/// Which side of a copy failed.
enum Broken {
    Reading(io::Error),
    Writing(io::Error),
}

/// Copies to the end, and hands on at once what there is.
async fn copy(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) -> Result<(), Broken> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = from.read(&mut buffer).await.map_err(Broken::Reading)?;
        if count == 0 {
            return Ok(());
        }
        let octets = buffer.get(..count).unwrap_or_default();
        to.write_all(octets).await.map_err(Broken::Writing)?;
        to.flush().await.map_err(Broken::Writing)?;
    }
}
