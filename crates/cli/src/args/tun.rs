//! The switches of every command that opens a TUN interface.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use handwave_device::{InterfaceAddress, Offload};

use crate::units;

/// The interface.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Interface")]
pub(crate) struct TunArgs {
    /// The TUN interface: attached to and left as it is if it exists, created for this run otherwise; NAME@NETNS in another network namespace
    #[arg(long = "tun", value_name = "NAME", default_value = "hw0")]
    pub(crate) tun: InterfaceName,
    /// The kernel's address on an interface that is created; repeatable [default: the first one of each --addr's network that is free]
    #[arg(long = "host-addr", value_name = "CIDR")]
    pub(crate) host_addresses: Vec<InterfaceAddress>,
    /// Largest packet on an interface that is created, in octets: 576 to 65535, and at least 1280 with IPv6
    #[arg(long, value_name = "OCTETS", value_parser = clap::value_parser!(u16).range(576..), default_value_t = 1500)]
    pub(crate) mtu: u16,
    /// Who cuts large segments into packets and completes checksums: the kernel where a link needs it, or always this program; auto takes what the kernel gives
    #[arg(long, value_enum, default_value_t = OffloadArg::Auto, value_name = "auto|on|off", hide_possible_values = true)]
    pub(crate) offload: OffloadArg,
    /// Queues of the interface, each served by a stack of its own, so that as many cores share the work: 1 to 256. A TUN that exists must have been made with multi_queue
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256), default_value_t = 1)]
    pub(crate) queues: u16,
    /// How long to go on asking for packets after some have come, before sleeping until there are more: auto for as long as that has paid so far, off, or a time such as 50us
    #[arg(long, value_name = "auto|off|TIME", default_value = "auto")]
    pub(crate) busy_poll: BusyPoll,
}

/// `auto`, `off`, or a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BusyPoll {
    Auto,
    For(Duration),
}

impl FromStr for BusyPoll {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "off" => Ok(Self::For(Duration::ZERO)),
            text => units::time(text).map(Self::For),
        }
    }
}

/// `auto`, `on` or `off`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum OffloadArg {
    Auto,
    On,
    Off,
}

impl From<OffloadArg> for Offload {
    fn from(argument: OffloadArg) -> Self {
        match argument {
            OffloadArg::Auto => Self::Auto,
            OffloadArg::On => Self::On,
            OffloadArg::Off => Self::Off,
        }
    }
}

/// `NAME` or `NAME@NETNS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InterfaceName {
    pub(crate) name: String,
    /// The network namespace it is in, if that is not ours: a name as `ip netns` has it, the number of a process, or a path.
    pub(crate) namespace: Option<String>,
}

impl FromStr for InterfaceName {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let (name, namespace) = match text.split_once('@') {
            Some((name, namespace)) => (name, Some(namespace.to_owned())),
            None => (text, None),
        };
        Ok(Self {
            name: name.to_owned(),
            namespace,
        })
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.namespace {
            Some(namespace) => write!(f, "@{namespace}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_polling_is_left_alone_turned_off_or_given_a_time() {
        for (text, expected) in [
            ("auto", BusyPoll::Auto),
            ("off", BusyPoll::For(Duration::ZERO)),
            ("50us", BusyPoll::For(Duration::from_micros(50))),
        ] {
            assert_eq!(text.parse(), Ok(expected));
        }
        assert!("on".parse::<BusyPoll>().is_err());
    }
}
