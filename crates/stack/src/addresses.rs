//! Which addresses are ours and which groups we are in: one look-up each, however many there are.

use crate::id::InterfaceId;
use crate::interface::{ALL_NODES, Destination, Prefix, solicited_node};
use crate::keyed::Plain;
use core::hash::{Hash, Hasher};
use core::net::{IpAddr, Ipv4Addr};
use hashbrown::HashMap;

/// An address that hashes in a word or two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Address(IpAddr);

impl Hash for Address {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.0 {
            IpAddr::V4(addr) => state.write_u32(addr.to_bits()),
            IpAddr::V6(addr) => addr
                .octets()
                .as_chunks::<8>()
                .0
                .iter()
                .for_each(|word| state.write_u64(u64::from_le_bytes(*word))),
        }
    }
}

/// A word that says of most addresses at once that they are not in a table: each that is has its bit in it.
#[derive(Clone, Copy, Default, Debug)]
struct Sieve(u64);

impl Sieve {
    fn bit(addr: &IpAddr) -> u64 {
        let low = match addr {
            IpAddr::V4(addr) => addr.to_bits(),
            #[expect(clippy::cast_possible_truncation, reason = "any bits of it do")]
            IpAddr::V6(addr) => addr.to_bits() as u32,
        };
        1 << (low.wrapping_mul(0x9e37_79b9) >> 26)
    }

    fn may_have(self, addr: &IpAddr) -> bool {
        self.0 & Self::bit(addr) != 0
    }
}

/// The addresses of all interfaces.
#[derive(Default, Debug)]
pub(crate) struct Addresses {
    /// What sends to us, and where we send to, are addresses of others nearly always: these are not looked up.
    sieve: Sieve,
    /// The address that was taken in last: on most hosts the only one of its family.
    usual: Option<(IpAddr, InterfaceId)>,
    owners: HashMap<Address, InterfaceId, Plain>,
    /// Directed broadcasts and solicited-node groups, each with the number of addresses that bring it.
    groups: HashMap<(InterfaceId, Address), usize, Plain>,
}

impl Addresses {
    /// The interface that has `addr`.
    #[inline]
    pub(crate) fn owner(&self, addr: &IpAddr) -> Option<InterfaceId> {
        if !self.sieve.may_have(addr) {
            return None;
        }
        match self.usual {
            Some((usual, interface)) if usual == *addr => Some(interface),
            _ => self.look_up(addr),
        }
    }

    fn look_up(&self, addr: &IpAddr) -> Option<InterfaceId> {
        self.owners.get(&Address(*addr)).copied()
    }

    /// Whether any interface has `addr`.
    pub(crate) fn is_ours(&self, addr: &IpAddr) -> bool {
        self.owner(addr).is_some()
    }

    /// Whether `interface` has `addr`.
    #[inline(always)]
    pub(crate) fn is_on(&self, interface: InterfaceId, addr: &IpAddr) -> bool {
        // As with what most packets are sent to.
        self.usual == Some((*addr, interface)) || self.owner(addr) == Some(interface)
    }

    /// Whether `addr` is plainly some other host's: none of ours, no group, none of the networks that mean something else.
    #[inline]
    pub(crate) fn is_stranger(&self, interface: InterfaceId, addr: Ipv4Addr) -> bool {
        let [network, ..] = addr.octets();
        let is_host = (1..224).contains(&network) && network != 127;
        let any = IpAddr::V4(addr);
        is_host
            && (!self.sieve.may_have(&any)
                || !(self.is_ours(&any) || self.is_group(interface, any)))
    }

    /// Whether `addr` is a broadcast on the link of `interface`, limited or directed.
    pub(crate) fn is_broadcast(&self, interface: InterfaceId, addr: Ipv4Addr) -> bool {
        addr.is_broadcast() || self.is_group(interface, addr.into())
    }

    /// Whether an address of `interface` brings the group `addr`.
    fn is_group(&self, interface: InterfaceId, addr: IpAddr) -> bool {
        self.sieve.may_have(&addr) && self.groups.contains_key(&(interface, Address(addr)))
    }

    /// What `addr` is as the destination of a packet that arrived on `interface`.
    pub(crate) fn classify(&self, interface: InterfaceId, addr: IpAddr) -> Destination {
        if self.is_on(interface, &addr) {
            return Destination::Unicast;
        }
        let is_group = match addr {
            IpAddr::V4(v4) => v4.is_multicast() || self.is_broadcast(interface, v4),
            IpAddr::V6(v6) => v6 == ALL_NODES || self.is_group(interface, addr),
        };
        if is_group {
            Destination::Group
        } else {
            Destination::Foreign
        }
    }

    /// Takes in an address that nobody has.
    pub(crate) fn insert(&mut self, interface: InterfaceId, address: &Prefix) {
        self.owners.insert(Address(address.addr), interface);
        self.usual = Some((address.addr, interface));
        self.sieve.0 |= Sieve::bit(&address.addr);
        if let Some(group) = group_of(address) {
            self.sieve.0 |= Sieve::bit(&group);
            *self.groups.entry((interface, Address(group))).or_default() += 1;
        }
    }

    /// Takes an address out, and the group it brought unless another brings it too.
    pub(crate) fn remove(&mut self, interface: InterfaceId, address: &Prefix) {
        // Its bit in the sieve stays: it may be another's too, and costs no more than looks.
        self.owners.remove(&Address(address.addr));
        self.usual = self.usual.filter(|(usual, _)| *usual != address.addr);
        let Some(group) = group_of(address) else {
            return;
        };
        let Some(count) = self.groups.get_mut(&(interface, Address(group))) else {
            return;
        };
        *count -= 1;
        if *count == 0 {
            self.groups.remove(&(interface, Address(group)));
        }
    }
}

/// The group that comes with an address: the broadcast of its network, or the solicited-node group.
fn group_of(address: &Prefix) -> Option<IpAddr> {
    match address.addr {
        IpAddr::V4(_) => address.broadcast().map(IpAddr::V4),
        IpAddr::V6(addr) => Some(solicited_node(addr).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn destinations_are_told_apart() {
        let (here, there) = (InterfaceId(0), InterfaceId(1));
        let mut addresses = Addresses::default();
        addresses.insert(here, &Prefix::new(addr("10.1.2.3"), 24));
        addresses.insert(here, &Prefix::new(addr("fe80::12:3456"), 64));
        for (text, class) in [
            ("10.1.2.3", Destination::Unicast),
            ("10.1.2.255", Destination::Group),
            ("255.255.255.255", Destination::Group),
            ("224.0.0.1", Destination::Group),
            ("10.1.2.4", Destination::Foreign),
            ("fe80::12:3456", Destination::Unicast),
            ("ff02::1", Destination::Group),
            ("ff02::1:ff12:3456", Destination::Group),
            ("ff02::1:ff12:3457", Destination::Foreign),
            ("fe80::1", Destination::Foreign),
        ] {
            assert_eq!(addresses.classify(here, addr(text)), class, "{text}");
        }
        assert_eq!(
            addresses.classify(there, addr("10.1.2.3")),
            Destination::Foreign
        );
        assert_eq!(
            addresses.classify(there, addr("10.1.2.255")),
            Destination::Foreign
        );
    }

    #[test]
    fn strangers_are_hosts_that_are_not_us() {
        let here = InterfaceId(0);
        let mut addresses = Addresses::default();
        let own = Prefix::new(addr("10.1.2.3"), 24);
        addresses.insert(here, &own);
        let is_stranger = |text: &str| addresses.is_stranger(here, text.parse().unwrap());
        assert!(
            ["10.1.2.4", "1.0.0.1", "223.255.255.1"]
                .into_iter()
                .all(is_stranger)
        );
        for text in [
            "10.1.2.3",
            "10.1.2.255",
            "0.0.0.0",
            "127.0.0.1",
            "224.0.0.1",
            "255.255.255.255",
        ] {
            assert!(!is_stranger(text), "{text}");
        }
    }

    #[test]
    fn each_address_is_found_until_it_goes() {
        let here = InterfaceId(0);
        let mut addresses = Addresses::default();
        let both = ["10.1.2.3", "10.1.3.3"].map(|text| Prefix::new(addr(text), 24));
        for own in &both {
            addresses.insert(here, own);
        }
        for (gone, stays) in [(both[1], both[0]), (both[0], both[1])] {
            assert!(addresses.is_ours(&gone.addr) && addresses.is_ours(&stays.addr));
            addresses.remove(here, &gone);
            assert!(!addresses.is_ours(&gone.addr) && addresses.is_ours(&stays.addr));
            addresses.insert(here, &gone);
        }
    }

    #[test]
    fn a_group_lasts_as_long_as_an_address_brings_it() {
        let here = InterfaceId(0);
        let (one, two) = (
            Prefix::new(addr("10.0.0.1"), 24),
            Prefix::new(addr("10.0.0.2"), 24),
        );
        let mut addresses = Addresses::default();
        addresses.insert(here, &one);
        addresses.insert(here, &two);
        addresses.remove(here, &one);
        assert!(!addresses.is_ours(&one.addr));
        assert!(addresses.is_broadcast(here, Ipv4Addr::new(10, 0, 0, 255)));
        addresses.remove(here, &two);
        assert!(!addresses.is_broadcast(here, Ipv4Addr::new(10, 0, 0, 255)));
    }
}
