//! Static routes: the longest prefix that contains the destination wins.
//!
//! One sorted table for each family and prefix length in use, asked from the longest to the shortest: a look-up costs a binary search
//! for each distinct length (two or three as a rule, of one or two networks each). A connection remembers what it was told and
//! asks again only when the table's owner raises its generation.

use crate::id::InterfaceId;
use crate::interface::Prefix;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::ops::BitAnd;

/// Where packets to a network go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Route {
    /// The network; `0.0.0.0/0` or `::/0` is the default route.
    pub destination: Prefix,
    /// The router to hand them to; `None` if the network is on the link itself.
    pub gateway: Option<IpAddr>,
    /// The interface they leave through.
    pub interface: InterfaceId,
}

/// The next stop of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NextHop {
    pub(crate) interface: InterfaceId,
    /// The address to resolve on the link: the gateway, or the destination itself.
    pub(crate) addr: IpAddr,
    /// The destination is an address of ours: the packet does not leave.
    pub(crate) is_local: bool,
}

/// The bits of an address of one family.
trait Bits: Copy + Ord + BitAnd<Output = Self> {
    /// The same bits, once aligned to the top of 128.
    fn from_top(bits: u128) -> Self;
}

impl Bits for u32 {
    fn from_top(bits: u128) -> Self {
        (bits >> 96) as Self
    }
}

impl Bits for u128 {
    fn from_top(bits: u128) -> Self {
        bits
    }
}

/// Networks of one family and one length.
#[derive(Debug)]
struct Table<B> {
    len: u8,
    /// The bits that a destination shares with its network.
    mask: B,
    /// The network's bits and its routes, in the order of the bits.
    networks: Vec<(B, Routing)>,
}

/// Routes to one network, in the order in which they were added: the first is used, and lies where it is found.
#[derive(Debug)]
struct Routing {
    first: Route,
    others: Vec<Route>,
}

impl Routing {
    const fn new(first: Route) -> Self {
        Self {
            first,
            others: Vec::new(),
        }
    }

    fn add(&mut self, route: Route) {
        if self.first != route && !self.others.contains(&route) {
            self.others.push(route);
        }
    }

    /// Takes out what `goes`; returns whether there was any, and what is left.
    fn without(self, goes: impl Fn(&Route) -> bool) -> (bool, Option<Self>) {
        let Self { first, mut others } = self;
        let before = others.len();
        others.retain(|route| !goes(route));
        let removed = others.len() < before || goes(&first);
        if !goes(&first) {
            return (removed, Some(Self { first, others }));
        }
        if others.is_empty() {
            return (removed, None);
        }
        let first = others.remove(0);
        (removed, Some(Self { first, others }))
    }
}

impl<B: Bits> Table<B> {
    fn position(&self, network: B) -> Result<usize, usize> {
        match &self.networks[..] {
            // As with most: a default route, or the network of an interface.
            [(only, _)] if *only == network => Ok(0),
            networks => networks.binary_search_by_key(&network, |(bits, _)| *bits),
        }
    }
}

/// All networks of one family, from the longest prefix to the shortest.
#[derive(Debug)]
struct Family<B>(Vec<Table<B>>);

impl<B> Default for Family<B> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<B: Bits> Family<B> {
    fn add(&mut self, route: Route) {
        let Self(tables) = self;
        let len = route.destination.len;
        let position = match tables.iter().position(|table| table.len == len) {
            Some(position) => position,
            None => {
                let position = tables
                    .iter()
                    .position(|table| table.len < len)
                    .unwrap_or(tables.len());
                let table = Table {
                    len,
                    mask: B::from_top(route.destination.mask()),
                    networks: Vec::new(),
                };
                tables.insert(position, table);
                position
            }
        };
        let table = &mut tables[position];
        let network = B::from_top(route.destination.network());
        match table.position(network) {
            Ok(place) => table.networks[place].1.add(route),
            Err(place) => table.networks.insert(place, (network, Routing::new(route))),
        }
    }

    fn remove(&mut self, route: &Route) -> bool {
        let Self(tables) = self;
        let len = route.destination.len;
        let Some(position) = tables.iter().position(|table| table.len == len) else {
            return false;
        };
        let table = &mut tables[position];
        let Ok(place) = table.position(B::from_top(route.destination.network())) else {
            return false;
        };
        let networks = &mut table.networks;
        let (network, routing) = networks.remove(place);
        let way = |route: &Route| (route.gateway, route.interface);
        let (removed, left) = routing.without(|other| way(other) == way(route));
        if let Some(left) = left {
            networks.insert(place, (network, left));
        }
        if networks.is_empty() {
            tables.remove(position);
        }
        removed
    }

    #[inline]
    fn find(&self, destination: B) -> Option<&Route> {
        self.0.iter().find_map(|table| {
            let place = table.position(destination & table.mask).ok()?;
            Some(&table.networks[place].1.first)
        })
    }
}

/// All routes of a stack.
#[derive(Default, Debug)]
pub(crate) struct Routes {
    v4: Family<u32>,
    v6: Family<u128>,
}

impl Routes {
    /// Adds a route behind those to the same network.
    pub(crate) fn add(&mut self, route: Route) {
        match route.destination.addr {
            IpAddr::V4(_) => self.v4.add(route),
            IpAddr::V6(_) => self.v6.add(route),
        }
    }

    /// Takes a route out; returns whether it was there.
    pub(crate) fn remove(&mut self, route: &Route) -> bool {
        match route.destination.addr {
            IpAddr::V4(_) => self.v4.remove(route),
            IpAddr::V6(_) => self.v6.remove(route),
        }
    }

    #[inline(never)]
    fn find_v6(&self, destination: u128) -> Option<&Route> {
        self.v6.find(destination)
    }

    /// The next stop on the way to `destination`.
    #[inline]
    pub(crate) fn find(&self, destination: IpAddr) -> Option<NextHop> {
        let route = match destination {
            IpAddr::V4(addr) => self.v4.find(addr.to_bits()),
            IpAddr::V6(addr) => self.find_v6(addr.to_bits()),
        }?;
        Some(NextHop {
            interface: route.interface,
            addr: route.gateway.unwrap_or(destination),
            is_local: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{NextHop, Route, Routes};
    use crate::id::InterfaceId;
    use crate::interface::Prefix;
    use alloc::vec::Vec;
    use core::net::{IpAddr, Ipv4Addr};
    use proptest::prelude::*;

    fn addr(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn route(network: &str, len: u8, gateway: Option<&str>, interface: u16) -> Route {
        Route {
            destination: Prefix::new(addr(network), len),
            gateway: gateway.map(addr),
            interface: InterfaceId(interface),
        }
    }

    fn routes(list: &[Route]) -> Routes {
        let mut routes = Routes::default();
        for route in list {
            routes.add(*route);
        }
        routes
    }

    #[test]
    fn the_longest_prefix_wins_whatever_the_order() {
        let mut list = [
            route("0.0.0.0", 0, Some("10.0.0.254"), 0),
            route("10.0.0.0", 24, None, 0),
            route("10.0.0.128", 25, Some("10.0.0.7"), 1),
            route("::", 0, Some("fe80::1"), 2),
        ];
        for _ in 0..2 {
            let routes = routes(&list);
            let hop = |to: &str| routes.find(addr(to)).map(|hop| (hop.interface.0, hop.addr));
            assert_eq!(hop("192.0.2.1"), Some((0, addr("10.0.0.254"))));
            assert_eq!(hop("10.0.0.5"), Some((0, addr("10.0.0.5"))));
            assert_eq!(hop("10.0.0.200"), Some((1, addr("10.0.0.7"))));
            assert_eq!(hop("2001:db8::1"), Some((2, addr("fe80::1"))));
            list.reverse();
        }
    }

    #[test]
    fn a_removed_route_gives_way_to_the_next() {
        let (first, second) = (route("10.0.0.0", 8, None, 0), route("10.0.0.0", 8, None, 1));
        let mut routes = routes(&[first, second]);
        let to = addr("10.1.1.1");
        assert_eq!(
            routes.find(to),
            Some(NextHop {
                interface: InterfaceId(0),
                addr: to,
                is_local: false,
            })
        );
        assert!(routes.remove(&first));
        assert!(!routes.remove(&first));
        assert_eq!(
            routes.find(to),
            Some(NextHop {
                interface: InterfaceId(1),
                addr: to,
                is_local: false,
            })
        );
        assert!(routes.remove(&second));
        assert_eq!(routes.find(to), None);
    }

    proptest! {
        #[test]
        fn agrees_with_a_scan(
            list in proptest::collection::vec((any::<u32>(), 0u8..=32), 0..20),
            to in any::<u32>(),
            near in any::<prop::sample::Index>(),
        ) {
            let list: Vec<Route> = (0u16..).zip(list).map(|(n, (bits, len))| Route {
                destination: Prefix::new(Ipv4Addr::from_bits(bits).into(), len),
                gateway: None,
                interface: InterfaceId(n),
            }).collect();
            let routes = routes(&list);
            // Half of the look-ups go close to a route, so that they match more than the default.
            let to = if list.is_empty() || to & 1 == 0 { to } else {
                let IpAddr::V4(base) = near.get(&list).destination.addr else { unreachable!() };
                base.to_bits() ^ (to >> 20)
            };
            let to = IpAddr::from(Ipv4Addr::from_bits(to));
            let best = list.iter().filter(|route| route.destination.contains(to)).map(|route| route.destination.len).max();
            let found = routes.find(to).map(|hop| list[usize::from(hop.interface.0)]);
            prop_assert_eq!(found.map(|route| route.destination.len), best);
            prop_assert!(found.is_none_or(|route| route.destination.contains(to)));
        }
    }
}
