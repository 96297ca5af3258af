//! The switches of every command that may be a station on an Ethernet interface.

use std::net::IpAddr;
use std::str::FromStr;

use handwave_wire::ethernet::MacAddr;

use super::InterfaceName;

/// An interface of this machine instead of a TUN.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Interface")]
pub(crate) struct PacketArgs {
    /// An Ethernet interface to be a station on, beside this machine, instead of a TUN; other stations on its network reach the addresses, this machine itself does not. NAME@NETNS in another network namespace. Takes CAP_NET_RAW
    #[arg(long, value_name = "NAME", conflicts_with_all = ["tun", "host_addresses", "mtu"])]
    pub(crate) packet: Option<InterfaceName>,
    /// The link address on --packet's network [default: one made from the interface's]
    #[arg(long, value_name = "MAC", requires = "packet")]
    pub(crate) mac: Option<Mac>,
    /// The router to other networks on --packet's network, one for IPv4 and one for IPv6
    #[arg(long = "gateway", value_name = "ADDR", requires = "packet")]
    pub(crate) gateways: Vec<IpAddr>,
}

/// A link address, `02:00:00:00:00:2a`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mac(pub(crate) MacAddr);

impl FromStr for Mac {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let octets: Option<Vec<u8>> = text.split(':').map(octet).collect();
        let octets = octets.and_then(|octets| octets.try_into().ok());
        octets
            .map(|octets| Self(MacAddr(octets)))
            .ok_or("it has to be six octets in hexadecimal, like 02:00:00:00:00:2a")
    }
}

fn octet(digits: &str) -> Option<u8> {
    let plain = (1..=2).contains(&digits.len()) && digits.bytes().all(|c| c.is_ascii_hexdigit());
    plain.then(|| u8::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_address_is_six_octets() {
        let expected = Mac(MacAddr([2, 0, 0, 0, 0xAB, 0x2A]));
        for text in ["02:00:00:00:ab:2a", "2:0:0:0:AB:2a"] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for text in [
            "",
            "02:00:00:00:ab",
            "02:00:00:00:ab:2a:1",
            "02:00:00:00:ab:+a",
            "02-00-00-00-ab-2a",
        ] {
            assert!(text.parse::<Mac>().is_err(), "{text}");
        }
    }
}
