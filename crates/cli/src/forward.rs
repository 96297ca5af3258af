//! `handwave forward`: every flow that enters a TUN interface, re-made with the sockets of the host.

mod ours;
mod tcp;
mod udp;

use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Arc;

use handwave::{Flow, Forwarder, ForwarderConfig};

use self::ours::Ours;
use crate::args::{Common, ForwardArgs};
use crate::control::Wish;
use crate::failure::{Failure, Kind};
use crate::interface::Interface;
use crate::live::{Live, Tasks};
use crate::screen::Screen;
use crate::tun::OpenTun;
use crate::tuning::Tuning;
use crate::{live, log, tun};

/// Runs the subcommand.
pub(crate) fn run(args: &ForwardArgs, common: &Common) -> Result<ExitCode, Failure> {
    log::begin(args.log.level, &common.color);
    let tuning = Tuning::from_env()?;
    raise_descriptor_limit();
    live::block_on(async {
        let tun = tun::open(&args.tun, &args.addresses)?;
        let banner = banner(&tun);
        let control = Wish::new("handwave forward", &args.control);
        let live = Live::start(
            Interface::on_tun(tun, args.tun.busy_poll),
            &args.addresses,
            &tuning,
            &control,
        )?;
        let forwarder = Forwarder::new(&live.stack, ForwarderConfig::default())
            .map_err(|error| Failure::new(Kind::Failed, "cannot forward").because(error))?;
        live.tasks.spawn(forward(forwarder, live.tasks.clone()));
        let mut screen = Screen::new(common.color.choice(), None);
        screen.text(&banner)?;
        screen.flush()?;
        // Not kept while it runs: standard output is locked.
        drop(screen);
        live.serve().await
    })
}

/// Each flow takes a descriptor, and systems give a program few unless it asks.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Fewer flows, then.
    let _ = setrlimit(Resource::Nofile, limit);
}

fn banner(tun: &OpenTun) -> String {
    let mut text = format!(
        "handwave forwards what enters {}{}\n",
        tun.name,
        tun.origin()
    );
    let _ = writeln!(
        text,
        "  try: ip route add 192.0.2.0/24 dev {}   (what goes there then comes here)",
        tun.name.name
    );
    text.push_str("Ctrl-C closes all connections in order.\n");
    text
}

/// Takes flows until asked to end.
async fn forward(forwarder: Forwarder, tasks: Tasks) {
    let ours = Arc::new(Ours::default());
    let clients = udp::Clients::default();
    loop {
        let flow = tokio::select! {
            flow = forwarder.next() => flow,
            () = tasks.stopped() => return,
        };
        match flow {
            Ok(Flow::Tcp(request)) => {
                tasks.spawn(tcp::forward(request, Arc::clone(&ours), tasks.clone()));
            }
            Ok(Flow::Udp(session)) => {
                let forwarding = udp::forward(session, clients.clone(), Arc::clone(&ours));
                let stop = tasks.clone();
                tasks.spawn(async move {
                    tokio::select! {
                        () = forwarding => {}
                        () = stop.stopped() => {}
                    }
                });
            }
            // The stack is gone, which whoever runs it has noticed, too.
            Err(_) => return,
        }
    }
}
