//! The switches of every command that opens a TUN interface.

use handwave_device::InterfaceAddress;

/// The interface.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Interface")]
pub(crate) struct TunArgs {
    /// The TUN interface: attached to and left as it is if it exists, created for this run otherwise
    #[arg(long = "tun", value_name = "NAME", default_value = "hw0")]
    pub(crate) name: String,
    /// The kernel's address on an interface that is created; repeatable [default: the first one of each --addr's network that is free]
    #[arg(long = "host-addr", value_name = "CIDR")]
    pub(crate) host_addresses: Vec<InterfaceAddress>,
    /// Largest packet on an interface that is created, in octets: 576 to 65535, and at least 1280 with IPv6
    #[arg(long, value_name = "OCTETS", value_parser = clap::value_parser!(u16).range(576..), default_value_t = 1500)]
    pub(crate) mtu: u16,
}
