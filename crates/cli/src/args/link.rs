//! The command line of `handwave link`.

use handwave_sim::LinkConfig;

use super::{InterfaceName, LogArgs, PathArgs};
use crate::units;

pub(super) const ABOUT: &str = "\
Joins two TUN interfaces: what the kernel sends into one comes out of the other, later, or not, or twice. Both directions \
have the same conditions, and chance of their own, drawn from --seed: the same packets meet the same fate. It does for \
routed packets what the kernel's netem does, on machines that have none.";

pub(super) const SHORT: &str = "Examples: handwave link --help";

pub(super) const EXAMPLES: &str = "\
Example: two namespaces with a bad line between them:
  ip netns add left && ip netns add right
  handwave link --tun a@left --tun b@right --delay 20ms --loss 2% &
  ip -n left address add 10.8.0.1 peer 10.8.0.2 dev a
  ip -n right address add 10.8.0.2 peer 10.8.0.1 dev b
  ip netns exec left ping 10.8.0.2

Exit codes: 0 ended by Ctrl-C or SIGTERM, 1 failure, 2 usage, 3 bad input, 4 missing privilege.";

/// `handwave link`.
#[derive(clap::Args, Debug)]
#[command(mut_arg("delay", |argument| argument.default_value("0ms")))]
pub(crate) struct LinkArgs {
    /// One of the two TUN interfaces, attached to if it exists and created without an address otherwise; NAME@NETNS in another network namespace
    #[arg(long = "tun", value_name = "NAME", required = true)]
    pub(crate) tuns: Vec<InterfaceName>,
    /// Largest packet on an interface that is created, in octets: 576 to 65535
    #[arg(long, value_name = "OCTETS", value_parser = clap::value_parser!(u16).range(576..), default_value_t = 1500)]
    pub(crate) mtu: u16,
    #[command(flatten)]
    pub(crate) path: PathArgs,
    /// Octets that may wait where there is a rate, such as 64KiB [default: what the rate moves in 100 ms]
    #[arg(long, value_name = "SIZE", value_parser = units::size)]
    pub(crate) queue: Option<u64>,
    /// Seed of all chance
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub(crate) seed: u64,
    #[command(flatten)]
    pub(crate) log: LogArgs,
}

impl LinkArgs {
    /// One direction. What is too long for it has not come out of an interface.
    pub(crate) fn link(&self) -> LinkConfig {
        let queue = self
            .queue
            .map(|octets| usize::try_from(octets).unwrap_or(usize::MAX));
        self.path.link(u16::MAX, queue)
    }
}
