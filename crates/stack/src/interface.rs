//! Interfaces: what lies below the stack, with its addresses.

use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use handwave_wire::ethernet::MacAddr;

/// What an interface carries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Medium {
    /// Bare IP packets: a TUN device, a tunnel, another stack.
    Ip,
    /// Ethernet frames; the stack resolves neighbours by ARP and NDP.
    Ethernet {
        /// The address of this interface.
        mac: MacAddr,
    },
}

/// An address and the length of the prefix its network has.
///
/// ```
/// use handwave_stack::Prefix;
///
/// let net = Prefix::new([10, 1, 2, 3].into(), 8);
/// assert!(net.contains([10, 200, 0, 1].into()));
/// assert!(!net.contains([11, 0, 0, 1].into()));
/// assert_eq!(net.to_string(), "10.1.2.3/8");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Prefix {
    /// The address; in a route its host part does not matter.
    pub addr: IpAddr,
    /// Bits of network: at most 32 for IPv4, 128 for IPv6.
    pub len: u8,
}

impl Prefix {
    /// Joins an address and a length; a length beyond the address's own counts as all of it.
    #[must_use]
    pub const fn new(addr: IpAddr, len: u8) -> Self {
        let max = if addr.is_ipv4() { 32 } else { 128 };
        Self {
            addr,
            len: if len > max { max } else { len },
        }
    }

    /// Whether `addr` lies in this network.
    #[must_use]
    pub fn contains(&self, addr: IpAddr) -> bool {
        self.addr.is_ipv4() == addr.is_ipv4()
            && self.network() == Self::new(addr, self.len).network()
    }

    /// The network's bits, aligned to the top, the rest zero.
    pub(crate) fn network(&self) -> u128 {
        top_aligned(self.addr) & self.mask()
    }

    /// Which bits are the network's, aligned to the top.
    pub(crate) fn mask(&self) -> u128 {
        let host_bits = 128 - u32::from(self.len);
        u128::MAX.checked_shl(host_bits).unwrap_or(0)
    }

    /// The directed broadcast address (RFC 1812 4.2.3.1); a network of /31 or /32 has none (RFC 3021).
    #[must_use]
    pub fn broadcast(&self) -> Option<Ipv4Addr> {
        match self.addr {
            IpAddr::V4(addr) if self.len < 31 => Some(Ipv4Addr::from_bits(
                addr.to_bits() | u32::MAX.checked_shr(u32::from(self.len)).unwrap_or(0),
            )),
            _ => None,
        }
    }
}

/// An address's bits, aligned to the top of 128.
fn top_aligned(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(addr) => u128::from(addr.to_bits()) << 96,
        IpAddr::V6(addr) => addr.to_bits(),
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.addr, self.len)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What an interface is made of.
#[derive(Clone, Debug)]
pub struct InterfaceConfig {
    /// What it carries.
    pub medium: Medium,
    /// Largest IP packet in octets, both ways: at least 68 for IPv4 (RFC 791) and 1280 where IPv6 is spoken (RFC 8200
    /// 5).
    pub mtu: u16,
    /// Addresses, each with the prefix of the network it is on; more come with
    /// [`Stack::add_address`](crate::Stack::add_address).
    pub addresses: Vec<Prefix>,
    /// Largest super-segment, in octets of text, that the device takes; 0 when it takes only single segments.
    pub super_segment_max: u32,
    /// Whether the device completes transport checksums of packets marked
    /// [`Partial`](handwave_packet::ChecksumMark::Partial). Super-segments are always left to whoever cuts them, and packets with a few octets
    /// of text never: their checksums are right as they leave.
    pub checksum_offload: bool,
}

impl InterfaceConfig {
    /// An interface of bare IP packets.
    #[must_use]
    pub fn ip(mtu: u16, addresses: impl IntoIterator<Item = Prefix>) -> Self {
        Self {
            medium: Medium::Ip,
            mtu,
            addresses: addresses.into_iter().collect(),
            super_segment_max: 0,
            checksum_offload: false,
        }
    }

    /// An Ethernet interface with the usual MTU of 1500.
    #[must_use]
    pub fn ethernet(mac: MacAddr, addresses: impl IntoIterator<Item = Prefix>) -> Self {
        Self {
            medium: Medium::Ethernet { mac },
            ..Self::ip(1_500, addresses)
        }
    }
}

/// An interface in use.
#[derive(Debug)]
pub(crate) struct Interface {
    pub(crate) config: InterfaceConfig,
}

/// What a destination address is to the interface that received it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Destination {
    /// An address of ours.
    Unicast,
    /// Everybody on the link, or a group that we are in.
    Group,
    /// Somebody else.
    Foreign,
}

impl Interface {
    /// The address of this interface on Ethernet.
    pub(crate) fn mac(&self) -> Option<MacAddr> {
        match self.config.medium {
            Medium::Ip => None,
            Medium::Ethernet { mac } => Some(mac),
        }
    }

    /// The own address best suited to reach `remote`: of its family, link-local for link-local, then with the longest
    /// common prefix (RFC 6724 5, rules 2 and 8).
    pub(crate) fn source_for(&self, remote: IpAddr) -> Option<IpAddr> {
        let candidates = self.config.addresses.iter().map(|own| own.addr);
        candidates
            .filter(|own| own.is_ipv4() == remote.is_ipv4())
            .max_by_key(|own| {
                let common = (top_aligned(*own) ^ top_aligned(remote)).leading_zeros();
                (is_link_local(*own) == is_link_local(remote), common)
            })
    }
}

/// ff02::1
pub(crate) const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// The group in which the owner of `addr` listens for solicitations (RFC 4291 2.7.1).
pub(crate) fn solicited_node(addr: Ipv6Addr) -> Ipv6Addr {
    let low = addr.to_bits() & 0x00ff_ffff;
    Ipv6Addr::from_bits(0xff02_0000_0000_0000_0000_0001_ff00_0000 | low)
}

fn is_link_local(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(addr) => addr.is_link_local(),
        IpAddr::V6(addr) => addr.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(addresses: &[Prefix]) -> Interface {
        Interface {
            config: InterfaceConfig::ip(1_500, addresses.iter().copied()),
        }
    }

    fn addr(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn prefixes_contain_their_network() {
        let all = Prefix::new(addr("0.0.0.0"), 0);
        assert!(all.contains(addr("255.1.2.3")));
        assert!(!all.contains(addr("::")), "families do not mix");
        assert!(Prefix::new(addr("2001:db8::"), 32).contains(addr("2001:db8:ffff::1")));
        assert!(!Prefix::new(addr("2001:db8::"), 32).contains(addr("2001:db9::1")));
        assert_eq!(Prefix::new(addr("10.0.0.1"), 99).len, 32);
    }

    #[test]
    fn broadcast_of_a_network() {
        assert_eq!(
            Prefix::new(addr("10.1.2.3"), 24).broadcast(),
            Some(Ipv4Addr::new(10, 1, 2, 255))
        );
        assert_eq!(
            Prefix::new(addr("10.1.2.3"), 0).broadcast(),
            Some(Ipv4Addr::BROADCAST)
        );
        assert_eq!(Prefix::new(addr("10.1.2.3"), 31).broadcast(), None);
        assert_eq!(Prefix::new(addr("::1"), 24).broadcast(), None);
    }

    #[test]
    fn source_addresses_share_scope_and_prefix() {
        let own = [
            Prefix::new(addr("fe80::1"), 64),
            Prefix::new(addr("2001:db8:1::1"), 64),
            Prefix::new(addr("2001:db8:2::1"), 64),
            Prefix::new(addr("10.0.0.1"), 8),
        ];
        let interface = interface(&own);
        for (remote, source) in [
            ("fe80::99", "fe80::1"),
            ("2001:db8:2::7", "2001:db8:2::1"),
            ("2001:db8:1::7", "2001:db8:1::1"),
            ("192.0.2.1", "10.0.0.1"),
        ] {
            assert_eq!(
                interface.source_for(addr(remote)),
                Some(addr(source)),
                "to {remote}"
            );
        }
        let bare = Interface {
            config: InterfaceConfig::ip(1_500, []),
        };
        assert_eq!(bare.source_for(addr("10.0.0.2")), None);
    }
}
