//! The kernel as the tests see it: a network namespace, the program `ip`, and a socket that pings.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use handwave_packet::PacketBuf;
use handwave_wire::icmpv4::{Echo, Icmpv4Message};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_socket_timeout;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, recv, sendto,
    socket_with, sockopt::Timeout,
};
use rustix::thread::{CapabilitySet, UnshareFlags, capabilities, set_capabilities, unshare_unsafe};

use crate::Device;

/// Longer than any answer of the kernel takes, on a machine however busy.
const PATIENCE_SECONDS: i64 = 30;

/// One such test at a time: while one starts `ip`, the child holds copies of every descriptor for a moment, and what another
/// test has just closed is not closed yet.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs a test on a thread in a network namespace of its own, which goes when the thread and its descriptors have gone.
///
/// Where that is not possible the test is skipped, and says so on standard error.
pub(crate) fn in_namespace(test: impl FnOnce() + Send + 'static) {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let missing = if !rustix::process::geteuid().is_root() {
        Some("this needs root")
    } else if !std::path::Path::new("/dev/net/tun").exists() {
        Some("there is no /dev/net/tun")
    } else if Command::new("ip").arg("-V").output().is_err() {
        Some("there is no program `ip`")
    } else {
        None
    };
    if let Some(reason) = missing {
        return skip(reason);
    }
    let name = thread::current().name().unwrap_or_default().to_owned();
    let thread = thread::Builder::new().name(name).spawn(|| {
        if let Err(error) = new_namespace() {
            return skip(&format!("no network namespace to be had: {error}"));
        }
        ip(&["link", "set", "dev", "lo", "up"]).expect("the loopback comes up");
        test();
    });
    if let Err(panic) = thread.expect("a thread").join() {
        std::panic::resume_unwind(panic);
    }
}

fn skip(reason: &str) {
    let test = thread::current().name().unwrap_or_default().to_owned();
    // Not eprintln!, which the test runner swallows when a test passes.
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {reason}");
}

#[expect(
    unsafe_code,
    reason = "the safe function is deprecated for the sake of other flags"
)]
fn new_namespace() -> rustix::io::Result<()> {
    // SAFETY: NEWNET concerns this thread's network only, and no descriptor.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET) }
}

/// Runs something on another thread; a thread inherits its maker's namespace.
pub(crate) fn on_thread_of_namespace<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> JoinHandle<T> {
    thread::spawn(work)
}

/// Runs something on a thread that lacks capabilities.
pub(crate) fn without(missing: CapabilitySet, work: impl FnOnce() + Send + 'static) {
    let thread = thread::spawn(move || {
        let mut sets = capabilities(None).unwrap();
        sets.effective.remove(missing);
        sets.permitted.remove(missing);
        sets.inheritable.remove(missing);
        set_capabilities(None, sets).unwrap();
        work();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs `ip`; what it says on standard error is the error.
pub(crate) fn ip(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("ip")
        .args(arguments)
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

pub(crate) fn ip_address(name: &str) -> String {
    ip(&["addr", "show", "dev", name]).unwrap()
}

pub(crate) fn ip_link(name: &str) -> String {
    ip(&["link", "show", "dev", name]).unwrap()
}

/// Waits for a packet as a driver would.
pub(crate) fn receive_one(device: &mut (impl Device + AsFd)) -> PacketBuf {
    let mut batch = Vec::new();
    loop {
        if device.receive(1, &mut batch).unwrap() == 1 {
            return batch.remove(0);
        }
        let timeout = Timespec {
            tv_sec: PATIENCE_SECONDS,
            tv_nsec: 0,
        };
        let ready = poll(&mut [PollFd::new(device, PollFlags::IN)], Some(&timeout)).unwrap();
        assert_eq!(ready, 1, "no packet in {PATIENCE_SECONDS} seconds");
    }
}

/// Sends echo requests from the kernel.
pub(crate) struct Pinger {
    socket: OwnedFd,
    target: IpAddr,
}

const HEADER_LEN: usize = 8;
const ECHO_REQUEST_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;

impl Pinger {
    pub(crate) fn new(target: IpAddr) -> Self {
        let (family, protocol) = match target {
            IpAddr::V4(_) => (AddressFamily::INET, ipproto::ICMP),
            IpAddr::V6(_) => (AddressFamily::INET6, ipproto::ICMPV6),
        };
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::RAW, flags, Some(protocol)).unwrap();
        let patience = std::time::Duration::from_secs(PATIENCE_SECONDS.unsigned_abs());
        set_socket_timeout(&socket, Timeout::Recv, Some(patience)).unwrap();
        Self { socket, target }
    }

    pub(crate) fn ping(&self, data: &[u8]) {
        let request = Icmpv4Message::EchoRequest(Echo {
            identifier: 1,
            sequence: 2,
            data,
        });
        let mut octets = vec![0; request.encoded_len()];
        request.emit(&mut octets);
        if self.target.is_ipv6() {
            // The same but for the type; the kernel fills in the checksum.
            octets[0] = ECHO_REQUEST_V6;
        }
        let target = SocketAddr::new(self.target, 0);
        sendto(&self.socket, &octets, SendFlags::empty(), &target).unwrap();
    }

    /// The data of the next echo reply.
    pub(crate) fn pong(&self) -> Vec<u8> {
        loop {
            let mut octets = vec![0; 2_000];
            let (len, _) = recv(&self.socket, &mut octets[..], RecvFlags::empty()).unwrap();
            octets.truncate(len);
            // A raw socket shows the header of IPv4, and not that of IPv6.
            let (start, reply) = if self.target.is_ipv4() {
                (20, 0)
            } else {
                (0, ECHO_REPLY_V6)
            };
            if octets[start] == reply {
                return octets.split_off(start + HEADER_LEN);
            }
        }
    }
}
