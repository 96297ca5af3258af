//! [`PacketSocketError`]: why a packet socket cannot be had, and what to do.

use std::fmt;
use std::io;
use std::path::PathBuf;

use handwave_wire::ethernet::MacAddr;

use crate::shell_word::shell_word;

/// Why a packet socket could not be opened.
///
/// Each message says what happened, why, and what to do about it, down to the command.
#[derive(Debug)]
#[non_exhaustive]
pub enum PacketSocketError {
    /// The process lacks the capability to send and receive frames.
    NoPrivilege {
        /// The interface.
        name: String,
        /// The program that runs, for the command in the message.
        program: PathBuf,
    },
    /// There is no such interface.
    NotFound {
        /// The name looked for.
        name: String,
    },
    /// What the interface carries is not Ethernet.
    NotEthernet {
        /// The interface.
        name: String,
    },
    /// No station can have this link address.
    BadMac {
        /// The address.
        mac: MacAddr,
    },
    /// An interface that is down cannot be shared among queues.
    Down {
        /// The interface.
        name: String,
    },
    /// The kernel takes no such number of queues.
    BadQueues {
        /// The number asked for.
        asked: usize,
        /// The largest that is possible.
        at_most: usize,
    },
    /// The system refused something for a reason of its own.
    System {
        /// What was asked of it, as a verb.
        doing: &'static str,
        /// The interface.
        name: String,
        /// Its answer.
        source: io::Error,
    },
}

impl PacketSocketError {
    pub(super) fn no_privilege(name: &str) -> Self {
        Self::NoPrivilege {
            name: name.into(),
            program: std::env::current_exe().unwrap_or_else(|_| "PROGRAM".into()),
        }
    }

    pub(super) fn system(doing: &'static str, name: &str, source: impl Into<io::Error>) -> Self {
        Self::System {
            doing,
            name: name.into(),
            source: source.into(),
        }
    }
}

impl fmt::Display for PacketSocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPrivilege { name, program } => {
                let program = shell_word(program);
                write!(
                    f,
                    "no privilege to open a packet socket on {name}: that takes CAP_NET_RAW; give it to the program \
                     (`sudo setcap cap_net_raw+ep {program}`), or run it with sudo (`sudo {program} ..`)"
                )
            }
            Self::NotFound { name } => write!(
                f,
                "there is no interface called {name}: check the name (`ip link`)"
            ),
            Self::NotEthernet { name } => write!(
                f,
                "{name} does not carry Ethernet frames: choose an interface that `ip link` shows with `link/ether`"
            ),
            Self::BadMac { mac } => write!(
                f,
                "{mac} cannot be the address of one station: the first octet has to be even, and not all may be zero; \
                 choose one like 02:00:00:00:00:2a"
            ),
            Self::Down { name } => write!(
                f,
                "{name} is down, and only an interface that is up is shared among queues: `sudo ip link set dev {name} up`, or use one queue"
            ),
            Self::BadQueues { asked, at_most } => write!(
                f,
                "an interface cannot have {asked} queues: choose a number from 1 to {at_most}, best that of the cores"
            ),
            Self::System {
                doing,
                name,
                source,
            } => write!(f, "the system would not {doing} {name}: {source}"),
        }
    }
}

impl std::error::Error for PacketSocketError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::System { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<PacketSocketError> for io::Error {
    fn from(error: PacketSocketError) -> Self {
        let kind = match &error {
            PacketSocketError::NoPrivilege { .. } => io::ErrorKind::PermissionDenied,
            PacketSocketError::NotFound { .. } => io::ErrorKind::NotFound,
            PacketSocketError::NotEthernet { .. }
            | PacketSocketError::BadMac { .. }
            | PacketSocketError::BadQueues { .. } => io::ErrorKind::InvalidInput,
            PacketSocketError::Down { .. } => io::ErrorKind::NetworkDown,
            PacketSocketError::System { source, .. } => source.kind(),
        };
        Self::new(kind, error)
    }
}
