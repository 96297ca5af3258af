//! Who is measured, and what it has to serve.

use std::io;
use std::os::fd::AsFd;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use handwave_device::{InterfaceAddress, Offload, Tun, TunBuilder};
use rustix::net::sockopt::set_tcp_congestion;

/// The ports of RFC 863, RFC 864 and RFC 862, and of one that says one octet and closes.
pub(super) const DISCARD: u16 = 9;
pub(super) const CHARGEN: u16 = 19;
pub(super) const ECHO: u16 = 7;
pub(super) const ONE_OCTET: u16 = 13;
/// Where an HTTP server is.
pub(super) const HTTP: u16 = 80;
/// Who serves them.
pub(super) const SERVER: [u8; 4] = [10, 77, 0, 2];
pub(super) const PREFIX_LEN: u8 = 24;
const CLIENT: [u8; 4] = [10, 77, 0, 1];

/// Octets of the buffers that applications read to and write from, the same for everybody.
pub(super) const APPLICATION_BUFFER: usize = 256 << 10;

/// What the kernel's sockets control congestion with, or those that come out of a listener: what Linux does unless somebody has asked for something
/// else. The machine's choice would say more of itself: BBR paces by timers, and in a virtual machine each costs as much as a packet does. A socket whose connection began
/// with BBR paces for good, whatever it is set to: so this is said before.
const CONGESTION_CONTROL: &str = "cubic";

/// Lets a socket of the kernel's control congestion as it does on most machines.
pub(super) fn control_as_usual(socket: impl AsFd) -> io::Result<()> {
    Ok(set_tcp_congestion(socket, CONGESTION_CONTROL)?)
}

/// What passes between the kernel and a contestant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Packets of at most 1500 octets with complete checksums.
    Plain,
    /// Super-segments, with `IFF_VNET_HDR`.
    Offload,
}

impl Mode {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Plain => "mtu1500",
            Self::Offload => "offload",
        }
    }
}

/// Somebody who can serve the ports.
pub(super) trait Contestant {
    fn name(&self) -> &'static str;

    /// Which of several settings of the same contestant this is.
    fn variant(&self) -> &'static str {
        "the only variant"
    }

    /// Whether it serves in a process of its own.
    fn is_elsewhere(&self) -> bool {
        false
    }

    /// Opens a TUN and serves until the result is dropped.
    fn start(&self, mode: Mode) -> io::Result<Running>;
}

/// A TUN whose end at the kernel is the client's.
pub(super) fn client_tun(mode: Mode) -> io::Result<Tun> {
    open(mode, CLIENT)
}

/// A TUN whose end at the kernel is the server's, in the namespace of the calling thread.
pub(super) fn server_tun(mode: Mode) -> io::Result<Tun> {
    open(mode, SERVER)
}

/// The queues of a TUN whose end at the kernel is the client's.
pub(super) fn client_queues(mode: Mode, count: usize) -> io::Result<Vec<Tun>> {
    Ok(builder(mode, CLIENT)?.create_queues(count)?)
}

fn open(mode: Mode, kernels: [u8; 4]) -> io::Result<Tun> {
    Ok(builder(mode, kernels)?.create()?)
}

fn builder(mode: Mode, kernels: [u8; 4]) -> io::Result<TunBuilder> {
    let offload = match mode {
        Mode::Plain => Offload::Off,
        Mode::Offload => Offload::On,
    };
    let address =
        InterfaceAddress::new(kernels.into(), PREFIX_LEN).ok_or(io::ErrorKind::InvalidInput)?;
    let builder = TunBuilder::new().name("bench%d").address(address);
    Ok(builder.offload(offload))
}

/// Threads that serve; dropping it ends them.
#[derive(Default)]
pub(super) struct Running {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    /// Programs that are ended.
    pub(super) children: Vec<Child>,
    /// Ends a runtime.
    pub(super) shutdown: Option<tokio::sync::oneshot::Sender<()>>,
}

impl Running {
    /// Runs something on a thread that is asked to end by the flag it is given.
    pub(super) fn spawn(&mut self, work: impl FnOnce(&AtomicBool) + Send + 'static) {
        let stop = Arc::clone(&self.stop);
        self.threads.push(std::thread::spawn(move || work(&stop)));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        drop(self.shutdown.take());
        for child in &mut self.children {
            if let Err(error) = child.kill().and_then(|()| child.wait()) {
                eprintln!("a program that serves does not end: {error}");
            }
        }
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                eprintln!("a contestant panicked");
            }
        }
    }
}
