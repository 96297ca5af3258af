//! Async stacks in Rust that a program could pick instead, each with its default settings and one worker of tokio.

mod ipstack;
mod netstack_smoltcp;
mod tcp_ip;
mod wire;

use std::io;
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
        all.push(Box::new(Peer {
            name: "ipstack 1.0",
            serve: ipstack::serve,
        }));
        all.push(Box::new(Peer {
            name: "tcp_ip 0.2",
            serve: tcp_ip::serve,
        }));
    }
    all
}

/// A stack that takes and gives packets one by one.
struct Peer {
    name: &'static str,
    /// Starts tasks that serve.
    serve: fn(Arc<Wire>) -> io::Result<()>,
}

impl Contestant for Peer {
    fn name(&self) -> &'static str {
        self.name
    }

    fn start(&self, mode: Mode) -> io::Result<Running> {
        let tun = client_tun(mode)?;
        let serve = self.serve;
        // One worker, beside the thread that waits for the end: ipstack's streams block when they are dropped, which only this kind of
        // runtime bears.
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        runtime.worker_threads(1);
        handwave_async::run_on(
            runtime,
            move || async move { serve(Arc::new(Wire::new(tun)?)) },
        )
    }
}
