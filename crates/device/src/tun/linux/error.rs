//! [`TunError`]: what went wrong, why, and what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::netlink::Link;
use crate::shell_word::shell_word;

/// Why a TUN interface could not be created or attached to.
///
/// Each message says what happened, why, and what to do about it, down to the command.
#[derive(Debug)]
#[non_exhaustive]
pub enum TunError {
    /// There is no `/dev/net/tun`: the kernel's module is not loaded, or a container was started without the device.
    NoTunDevice,
    /// `/dev/net/tun` may not be opened, by its permissions or by a container's rules.
    TunDeviceForbidden,
    /// The process lacks the capability to administer the network.
    NoPrivilege {
        /// What it was about to do, as a verb.
        doing: &'static str,
        /// The interface.
        name: String,
        /// The program that runs, for the command in the message.
        program: PathBuf,
    },
    /// Another program is attached to the interface.
    Busy {
        /// The interface.
        name: String,
    },
    /// An interface of this name exists, and one was to be created.
    Exists {
        /// The interface.
        name: String,
    },
    /// There is no such interface, and one was to be attached to.
    NotFound {
        /// The name looked for.
        name: String,
    },
    /// The interface is not a TUN.
    NotATun {
        /// The interface.
        name: String,
        /// What it is, in the kernel's words: `tap`, `bridge`, `veth`; empty for hardware and the loopback.
        kind: String,
    },
    /// No interface can have this name.
    BadName {
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// This is no address with a prefix length.
    BadAddress {
        /// The text.
        address: String,
    },
    /// The MTU is too small for the addresses.
    BadMtu {
        /// The MTU asked for.
        mtu: u16,
        /// The smallest that would do.
        at_least: u16,
    },
    /// Several queues of an interface were asked for that was made with one.
    SingleQueue {
        /// The interface.
        name: String,
        /// The number of queues asked for.
        asked: usize,
    },
    /// No interface can have so many queues.
    BadQueues {
        /// The number of queues asked for.
        asked: usize,
        /// The most the kernel takes.
        at_most: usize,
    },
    /// An IPv6 address was asked for, and the system has IPv6 turned off.
    Ipv6Disabled {
        /// The interface.
        name: String,
    },
    /// The system refused something for a reason of its own.
    System {
        /// What was asked of it, as a verb.
        doing: String,
        /// The interface.
        name: String,
        /// Its answer.
        source: io::Error,
    },
}

impl TunError {
    pub(super) fn no_privilege(doing: &'static str, name: &str) -> Self {
        Self::NoPrivilege {
            doing,
            name: name.into(),
            program: std::env::current_exe().unwrap_or_else(|_| "PROGRAM".into()),
        }
    }

    pub(super) fn bad_name(name: &str, problem: &'static str) -> Self {
        Self::BadName {
            name: name.into(),
            problem,
        }
    }

    pub(super) fn not_a_tun(link: &Link, name: &str) -> Self {
        let is_tap = link.tun.is_some_and(|tun| tun.is_tap);
        let kind = link.kind.clone().unwrap_or_default();
        Self::NotATun {
            name: name.into(),
            kind: if is_tap { "tap".into() } else { kind },
        }
    }

    pub(super) fn system(doing: impl Into<String>, name: &str, source: io::Error) -> Self {
        Self::System {
            doing: doing.into(),
            name: name.into(),
            source,
        }
    }
}

impl fmt::Display for TunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTunDevice => f.write_str(
                "there is no /dev/net/tun: the kernel's tun module is not loaded (`sudo modprobe tun`), or the container \
                 was started without the device (`docker run --device /dev/net/tun --cap-add NET_ADMIN ..`)",
            ),
            Self::TunDeviceForbidden => f.write_str(
                "/dev/net/tun may not be opened by this user: run with sudo, or open it to all, as most systems do \
                 (`sudo chmod 0666 /dev/net/tun`; interfaces stay protected by CAP_NET_ADMIN); in a container, add \
                 `--device /dev/net/tun`",
            ),
            Self::NoPrivilege {
                doing,
                name,
                program,
            } => no_privilege(f, doing, name, program),
            Self::Busy { name } => write!(
                f,
                "{name} is in use: another program is attached to it; stop that program, or take another interface \
                 (`ip -details link show dev {name}` tells more)"
            ),
            Self::Exists { name } => write!(
                f,
                "an interface called {name} exists already: choose another name, attach to it if it is a TUN, or remove \
                 it (`sudo ip link delete dev {name}`)"
            ),
            Self::NotFound { name } => write!(
                f,
                "there is no interface called {name} to attach to: create it \
                 (`sudo ip tuntap add dev {name} mode tun user $USER`), or check the name (`ip link`)"
            ),
            Self::NotATun { name, kind } => {
                let kind = if kind.is_empty() { "something else" } else { kind };
                write!(
                    f,
                    "{name} is not a TUN interface but {kind}: choose another name, or create one \
                     (`sudo ip tuntap add dev NAME mode tun user $USER`)"
                )
            }
            Self::BadName { name, problem } => write!(
                f,
                "{name:?} cannot be the name of an interface: {problem}; choose up to 15 letters and digits, like hw0"
            ),
            Self::BadAddress { address } => write!(
                f,
                "{address:?} is not an address with a prefix length: write it like 10.7.0.1/24 or fd07::1/64"
            ),
            Self::BadMtu { mtu, at_least } => write!(
                f,
                "an MTU of {mtu} is too small: IPv4 needs 68 octets and IPv6 1280, so set at least {at_least}"
            ),
            Self::SingleQueue { name, asked } => write!(
                f,
                "{name} has one queue and not {asked}: use one, or make the interface anew with several \
                 (`sudo ip link delete dev {name} && sudo ip tuntap add dev {name} mode tun multi_queue user $USER`)"
            ),
            Self::BadQueues { asked, at_most } => write!(
                f,
                "an interface cannot have {asked} queues: choose a number from 1 to {at_most}, best that of the cores"
            ),
            Self::Ipv6Disabled { name } => write!(
                f,
                "{name} cannot have an IPv6 address because IPv6 is turned off: leave the address out, or turn it on \
                 (`sudo sysctl net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0`)"
            ),
            Self::System {
                doing,
                name,
                source,
            } => write!(f, "the system would not {doing} {name}: {source}"),
        }
    }
}

fn no_privilege(
    f: &mut fmt::Formatter<'_>,
    doing: &str,
    name: &str,
    program: &Path,
) -> fmt::Result {
    let program = shell_word(program);
    write!(
        f,
        "no privilege to {doing} the TUN interface {name}: that takes CAP_NET_ADMIN; give it to the program \
         (`sudo setcap cap_net_admin+ep {program}`), run it with sudo (`sudo {program} ..`), or have an interface made for \
         you to attach to (`sudo ip tuntap add dev {} mode tun user $USER`)",
        name.replace("%d", "0")
    )
}

impl std::error::Error for TunError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::System { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<TunError> for io::Error {
    fn from(error: TunError) -> Self {
        let kind = match &error {
            TunError::NoTunDevice | TunError::NotFound { .. } => io::ErrorKind::NotFound,
            TunError::TunDeviceForbidden | TunError::NoPrivilege { .. } => {
                io::ErrorKind::PermissionDenied
            }
            TunError::Busy { .. } => io::ErrorKind::ResourceBusy,
            TunError::Exists { .. } => io::ErrorKind::AlreadyExists,
            TunError::NotATun { .. }
            | TunError::BadName { .. }
            | TunError::BadAddress { .. }
            | TunError::BadMtu { .. }
            | TunError::SingleQueue { .. }
            | TunError::BadQueues { .. } => io::ErrorKind::InvalidInput,
            TunError::Ipv6Disabled { .. } => io::ErrorKind::Unsupported,
            TunError::System { source, .. } => source.kind(),
        };
        Self::new(kind, error)
    }
}
