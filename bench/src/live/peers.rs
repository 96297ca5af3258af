//! What a program could pick instead, with its default settings: async stacks in Rust with one worker of tokio, and stacks in other
//! languages.

mod ipstack;
mod netstack_smoltcp;
mod programs;
mod tcp_ip;
mod wire;

use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::sync::Arc;

use super::contestant::{Contestant, Mode, Running, client_tun};
use super::handwave_async;
use wire::Wire;

/// Those that can be measured in this mode.
pub(super) fn all(mode: Mode) -> Vec<Box<dyn Contestant>> {
    let mut all: Vec<Box<dyn Contestant>> = vec![Box::new(Peer {
        name: "netstack-smoltcp 0.2",
        serve: netstack_smoltcp::serve,
    })];
    if mode == Mode::Plain {
        all.push(Box::new(Ipstack));
        all.push(Box::new(Peer {
            name: "tcp_ip 0.2",
            serve: tcp_ip::serve,
        }));
    }
    all.extend(programs::all(mode));
    all
}

/// Starts tasks that serve.
type Serve = fn(Arc<Wire>) -> io::Result<()>;

/// A stack that takes and gives packets one by one.
struct Peer {
    name: &'static str,
    serve: Serve,
}

impl Contestant for Peer {
    fn name(&self) -> &'static str {
        self.name
    }

    fn start(&self, mode: Mode) -> io::Result<Running> {
        start(mode, self.serve)
    }
}

fn start(mode: Mode, serve: Serve) -> io::Result<Running> {
    let tun = client_tun(mode)?;
    // One worker, beside the thread that waits for the end: streams of ipstack block when they are dropped, which only this kind of runtime bears.
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(1);
    handwave_async::run_on(
        runtime,
        move || async move { serve(Arc::new(Wire::new(tun)?)) },
    )
}

/// ipstack in a process of its own: its streams wait for each other when their runtime ends, for ever at times.
struct Ipstack;

impl Contestant for Ipstack {
    fn name(&self) -> &'static str {
        "ipstack 1.0"
    }

    fn is_elsewhere(&self) -> bool {
        true
    }

    fn start(&self, _mode: Mode) -> io::Result<Running> {
        let mut own = Command::new(std::env::current_exe()?);
        programs::serve(own.arg("serve-ipstack").stdin(Stdio::piped()))
    }
}

/// What a process says when it serves.
const READY: &str = "ready";

/// The process: serves until its standard input ends, as it does when the parent has.
pub(crate) fn serve_ipstack() {
    match start(Mode::Plain, ipstack::serve) {
        Ok(_running) => {
            println!("{READY}");
            let _ended = io::stdin().read(&mut [0]);
            std::process::exit(0);
        }
        Err(error) => {
            eprintln!("ipstack does not start: {error}");
            std::process::exit(1);
        }
    }
}
