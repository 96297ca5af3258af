//! The command line of `handwave connect`.

use handwave_device::InterfaceAddress;

use super::{ControlArgs, HostPort, LogArgs, PacketArgs, TunArgs};

pub(super) const ABOUT: &str = "\
Connects to a server through a TUN interface and copies standard input to it, and what it sends to standard output. The \
end of standard input closes our direction only; the program ends when the server has closed its own, and, unless standard \
input is a terminal, when all of that has been sent.";

pub(super) const SHORT: &str = "Examples: handwave connect --help";

pub(super) const EXAMPLES: &str = "\
Examples, with a server on this machine, which is 10.7.0.2 on the other end of the interface:
  handwave connect 10.7.0.2:22 --addr 10.7.0.1/24
  handwave connect 10.7.0.2:9000 --addr 10.7.0.1/24 <photo.jpg

Environment: HANDWAVE_RXBUF, HANDWAVE_TXBUF and HANDWAVE_CC as for handwave serve.

Exit codes: 0 both directions ended in order, 1 failure or interrupted, 2 usage, 3 bad input, 4 missing privilege.";

/// `handwave connect`.
#[derive(clap::Args, Debug)]
pub(crate) struct ConnectArgs {
    /// The server: an address or a name, and a port
    #[arg(value_name = "HOST:PORT")]
    pub(crate) server: HostPort,
    /// An address of our end, with the length of its network's prefix, such as 10.7.0.1/24 or fd07::1/64; repeatable
    #[arg(long = "addr", value_name = "CIDR", required = true)]
    pub(crate) addresses: Vec<InterfaceAddress>,
    #[command(flatten)]
    pub(crate) tun: TunArgs,
    #[command(flatten)]
    pub(crate) packet: PacketArgs,
    #[command(flatten)]
    pub(crate) control: ControlArgs,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}
