//! The command line of `handwave serve`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use handwave_device::InterfaceAddress;

use super::defence::DefenceArgs;
use super::{ControlArgs, HostPort, LogArgs, MetricsArgs, PacketArgs, Port, TunArgs};

pub(super) const ABOUT: &str = "\
Serves real programs: opens a TUN interface, runs a Handwave stack on it, and offers the services asked for on its \
addresses. The kernel's end of an interface that is created gets another address of the same network, so that programs on \
this machine reach the services at once. Needs root or CAP_NET_ADMIN.

Ctrl-C (or SIGTERM) closes all connections in order and takes 5 seconds at most; a second one ends at once. The \
interface goes with the program, however it ends, unless it was there before.";

pub(super) const SHORT: &str = "Examples: handwave serve --help";

pub(super) const EXAMPLES: &str = "\
Examples:
  handwave serve --addr 10.7.0.1/24 --http 80=.                then: curl -T FILE http://10.7.0.1/
  handwave serve --addr 10.7.0.1/24 --addr fd07::1/64 --echo 7
  handwave serve --packet eth0 --addr 192.0.2.7/24 --gateway 192.0.2.1 --http-hello 80
  handwave serve --tun tun5 --addr 10.7.0.1/24 --forward 22=127.0.0.1:22 --forward 53=127.0.0.1:53/udp

Environment: HANDWAVE_RXBUF and HANDWAVE_TXBUF limit the octets buffered per connection in each direction, \
HANDWAVE_CC names the congestion control, HANDWAVE_BACKLOG limits the connections that wait to be accepted.

Exit codes: 0 ended by Ctrl-C or SIGTERM, 1 failure, 2 usage, 3 bad input, 4 missing privilege.";

/// `handwave serve`.
#[derive(clap::Args, Debug)]
pub(crate) struct ServeArgs {
    /// An address to serve on, with the length of its network's prefix, such as 10.7.0.1/24 or fd07::1/64; repeatable
    #[arg(long = "addr", value_name = "CIDR", required = true)]
    pub(crate) addresses: Vec<InterfaceAddress>,
    #[command(flatten)]
    pub(crate) tun: TunArgs,
    #[command(flatten)]
    pub(crate) packet: PacketArgs,
    #[command(flatten)]
    pub(crate) services: ServiceArgs,
    #[command(flatten)]
    pub(crate) defence: DefenceArgs,
    #[command(flatten)]
    pub(crate) control: ControlArgs,
    #[command(flatten)]
    pub(crate) metrics: MetricsArgs,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

/// What is served. Each may be given several times, with other ports.
#[derive(clap::Args, Debug)]
#[group(required = true, multiple = true)]
#[command(next_help_heading = "Services (each repeatable)")]
pub(crate) struct ServiceArgs {
    /// The files of a directory by HTTP, and uploads into it (`curl -T FILE URL`)
    #[arg(long, value_name = "PORT=DIR")]
    pub(crate) http: Vec<ServedDirectory>,
    /// Whatever arrives, sent back
    #[arg(long, value_name = "PORT")]
    pub(crate) echo: Vec<Port>,
    /// Nothing: reads and discards
    #[arg(long, value_name = "PORT")]
    pub(crate) sink: Vec<Port>,
    /// Zeros, as fast as the peer takes them
    #[arg(long, value_name = "PORT")]
    pub(crate) source: Vec<Port>,
    /// "Hello, world!" to each HTTP request, for benchmarks
    #[arg(long, value_name = "PORT")]
    pub(crate) http_hello: Vec<Port>,
    /// What a server in the host's own network answers; `/udp` forwards datagrams
    #[arg(long, value_name = "PORT=HOST:PORT[/udp]")]
    pub(crate) forward: Vec<Backend>,
}

/// `PORT=DIR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServedDirectory {
    pub(crate) port: u16,
    pub(crate) path: PathBuf,
}

impl FromStr for ServedDirectory {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((port, path)) if !path.is_empty() => Ok(Self {
                port: port.parse::<Port>()?.0,
                path: path.into(),
            }),
            _ => Err("write it like 8080=DIRECTORY".to_owned()),
        }
    }
}

/// TCP or UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// `PORT=HOST:PORT[/udp]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Backend {
    pub(crate) port: u16,
    pub(crate) protocol: Protocol,
    pub(crate) target: HostPort,
}

impl FromStr for Backend {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = "write it like 8080=127.0.0.1:80, 8080=[::1]:80 or 53=127.0.0.1:53/udp";
        let (port, target) = text.split_once('=').ok_or(form)?;
        let (target, protocol) = match target.rsplit_once('/') {
            None => (target, Protocol::Tcp),
            Some((target, "tcp")) => (target, Protocol::Tcp),
            Some((target, "udp")) => (target, Protocol::Udp),
            Some((_, other)) => return Err(format!("\"{other}\" is neither tcp nor udp")),
        };
        Ok(Self {
            port: port.parse::<Port>()?.0,
            protocol,
            target: target.parse()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_read() {
        let served = ServedDirectory {
            port: 80,
            path: "a=b".into(),
        };
        assert_eq!("80=a=b".parse(), Ok(served));
        let backend = |port, protocol, target: &str| Backend {
            port,
            protocol,
            target: target.parse().unwrap(),
        };
        for (text, expected) in [
            (
                "80=localhost:8080",
                backend(80, Protocol::Tcp, "localhost:8080"),
            ),
            (
                "80=[::1]:8080/tcp",
                backend(80, Protocol::Tcp, "[::1]:8080"),
            ),
            (
                "53=127.0.0.1:53/udp",
                backend(53, Protocol::Udp, "127.0.0.1:53"),
            ),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_service_is_told_how_to_be_one() {
        for text in ["80", "=dir", "80=", "x=dir"] {
            assert!(text.parse::<ServedDirectory>().is_err(), "{text}");
        }
        for text in [
            "80",
            "80=host",
            "80=host:0",
            "80=:80",
            "80=::1:80",
            "80=host:80/sctp",
            "0=host:80",
        ] {
            assert!(text.parse::<Backend>().is_err(), "{text}");
        }
    }
}
