//! `handwave serve`: services for real programs, on a stack behind a TUN interface.

mod banner;
mod echo;
mod floods;
mod forward;
mod hello;
mod http;
mod service;
mod sink;
mod source;

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use handwave::TcpListener;
use handwave_device::InterfaceAddress;

use self::banner::Banner;
use crate::args::{Backend, Common, Protocol, ServeArgs};
use crate::control::Wish;
use crate::failure::{Failure, Kind};
use crate::interface::Interface;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::tuning::Tuning;
use crate::{live, log};

/// Runs the subcommand.
pub(crate) fn run(args: &ServeArgs, common: &Common) -> Result<ExitCode, Failure> {
    log::begin(args.log.level, &common.color);
    // All that can be wrong without the system's help is found before anything is opened.
    check_ports(args)?;
    let directories: Vec<_> = args
        .services
        .http
        .iter()
        .map(http::Directory::open)
        .collect::<Result<_, _>>()?;
    let mut tuning = Tuning::from_env()?;
    args.defence.apply(&mut tuning.listener);
    live::block_on(async {
        let metrics = match args.metrics.metrics {
            Some(at) => Some(Metrics::bind(at).await?),
            None => None,
        };
        let interface = Interface::open(&args.tun, &args.packet, &args.addresses)?;
        let mut banner = Banner::new(&interface, &args.addresses);
        let control = Wish::new("handwave serve", &args.control);
        let live = Live::start(interface, &args.addresses, &tuning, &control)?;
        let listeners = Listeners {
            live: &live,
            tuning: &tuning,
        };
        for directory in directories {
            banner.add_http(&directory);
            let listener = listeners.open(directory.port())?;
            live.tasks
                .spawn(http::serve(listener, directory, live.tasks.clone()));
        }
        listeners.start(args, &mut banner).await?;
        floods::watch(&live.stack, &live.tasks);
        if let Some(metrics) = metrics {
            banner.add_metrics(&metrics.url());
            metrics.start(&live.stack, &live.tasks);
        }
        banner.print(common)?;
        live.serve().await
    })
}

/// Opens listeners with the settings of this run.
struct Listeners<'a> {
    live: &'a Live,
    tuning: &'a Tuning,
}

impl Listeners<'_> {
    /// Starts the services that need no preparation.
    async fn start(&self, args: &ServeArgs, banner: &mut Banner) -> Result<(), Failure> {
        let services = &args.services;
        for port in &services.echo {
            banner.add("echo", Protocol::Tcp, port.0, "sends back what arrives");
            self.serve(port.0, echo::Echo)?;
        }
        for port in &services.sink {
            banner.add("sink", Protocol::Tcp, port.0, "reads and discards");
            self.serve(port.0, sink::Sink)?;
        }
        for port in &services.source {
            banner.add("source", Protocol::Tcp, port.0, "sends zeros");
            self.serve(port.0, source::Source)?;
        }
        for port in &services.http_hello {
            banner.add("http-hello", Protocol::Tcp, port.0, "says hello");
            self.serve(port.0, hello::Hello)?;
        }
        for backend in &services.forward {
            let text = format!("forwards to {}", backend.target);
            banner.add("forward", backend.protocol, backend.port, text);
            self.forward(backend, &args.addresses).await?;
        }
        Ok(())
    }

    fn serve(&self, port: u16, service: impl service::Service) -> Result<(), Failure> {
        let listener = self.open(port)?;
        let tasks = self.live.tasks.clone();
        self.live
            .tasks
            .spawn(service::serve(listener, service, tasks));
        Ok(())
    }

    async fn forward(
        &self,
        backend: &Backend,
        addresses: &[InterfaceAddress],
    ) -> Result<(), Failure> {
        if backend.protocol == Protocol::Tcp {
            return self.serve(backend.port, forward::Forward::new(backend.target.as_str()));
        }
        // A socket for each address, so that answers come from the address that was asked.
        for address in addresses {
            let local = SocketAddr::new(address.address(), backend.port);
            let socket = handwave::UdpSocket::bind(&self.live.stack, local)
                .map_err(|error| cannot_listen(backend.port, &error))?;
            let tasks = self.live.tasks.clone();
            let target = backend.target.to_string();
            self.live
                .tasks
                .spawn(forward::udp::serve(socket, target, tasks));
        }
        Ok(())
    }

    /// Listens on all addresses of the stack, of both families.
    fn open(&self, port: u16) -> Result<TcpListener, Failure> {
        let local = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        TcpListener::bind_with(&self.live.stack, local, self.tuning.listener.clone())
            .map_err(|error| cannot_listen(port, &error))
    }
}

fn cannot_listen(port: u16, error: &std::io::Error) -> Failure {
    Failure::new(Kind::Failed, format!("cannot listen on port {port}")).because(error)
}

/// One port, one service.
fn check_ports(args: &ServeArgs) -> Result<(), Failure> {
    let services = &args.services;
    let plain = [
        ("--echo", &services.echo),
        ("--sink", &services.sink),
        ("--source", &services.source),
        ("--http-hello", &services.http_hello),
    ];
    let plain = plain
        .into_iter()
        .flat_map(|(name, ports)| ports.iter().map(move |port| (name, Protocol::Tcp, port.0)));
    let http = services
        .http
        .iter()
        .map(|served| ("--http", Protocol::Tcp, served.port));
    let forward = services
        .forward
        .iter()
        .map(|backend| ("--forward", backend.protocol, backend.port));
    let mut taken = HashMap::new();
    for (name, protocol, port) in plain.chain(http).chain(forward) {
        let Some(before) = taken.insert((protocol, port), name) else {
            continue;
        };
        return Err(Failure::new(
            Kind::Usage,
            format!("{protocol} port {port} is in use twice"),
        )
        .because(format!("{before} and {name} both ask for it"))
        .hint("another port for one of them"));
    }
    Ok(())
}
