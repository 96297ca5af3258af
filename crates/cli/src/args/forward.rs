//! The command line of `handwave forward`.

use handwave_device::InterfaceAddress;

use super::{ControlArgs, LogArgs, TunArgs};

pub(super) const ABOUT: &str = "\
Takes every TCP and UDP flow that enters a TUN interface, whatever its destination, and re-makes it with the sockets of \
the host. A client hears SYN+ACK only once the destination has accepted; a destination that refuses is a RST, one that \
cannot be reached an ICMP error. The interface is best put into another network namespace (--tun NAME@NETNS), whose \
programs then reach what this program reaches. In the same namespace, route to the interface only what is not to be \
reached through it: a flow of our own that comes back is refused.";

pub(super) const SHORT: &str = "Examples: handwave forward --help";

pub(super) const EXAMPLES: &str = "\
Example: a namespace without a network of its own gets that of the host:
  ip netns add inner
  handwave forward --tun hw0@inner --addr 10.7.0.1/24 &
  ip -n inner route add default dev hw0
  ip netns exec inner curl http://192.0.2.1/

Environment: HANDWAVE_RXBUF, HANDWAVE_TXBUF and HANDWAVE_CC as for handwave serve.

Exit codes: 0 ended by Ctrl-C or SIGTERM, 1 failure, 2 usage, 3 bad input, 4 missing privilege.";

/// `handwave forward`.
#[derive(clap::Args, Debug)]
pub(crate) struct ForwardArgs {
    /// An address of our own, from which ICMP errors come, with its network's prefix; a created interface gets another one of the network
    #[arg(long = "addr", value_name = "CIDR")]
    pub(crate) addresses: Vec<InterfaceAddress>,
    #[command(flatten)]
    pub(crate) tun: TunArgs,
    #[command(flatten)]
    pub(crate) control: ControlArgs,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}
