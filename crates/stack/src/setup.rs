//! Configuration while the stack runs: interfaces, addresses, routes, MTUs.

use crate::error::InterfaceError;
use crate::id::InterfaceId;
use crate::interface::{Interface, InterfaceConfig, Prefix};
use crate::routes::{NextHop, Route};
use crate::stack::Stack;
use core::net::IpAddr;
use handwave_tcp::Path;

/// The least MTU that IPv4 allows (RFC 791 3.2).
const MTU_MIN: u16 = 68;
/// The MTU between two sockets of the same stack: what the length field of IP can say.
const LOOPBACK_MTU: u16 = 65_535;
/// Octets of headers that a super-segment must leave room for below the 65,535 of the length field.
const HEADERS_MAX: u32 = 120;

impl Stack {
    /// Adds an interface; its addresses bring a route to the network each of them is on.
    ///
    /// # Errors
    ///
    /// [`InterfaceError`] if the MTU or an address is impossible; then nothing is added.
    pub fn add_interface(
        &mut self,
        config: InterfaceConfig,
    ) -> Result<InterfaceId, InterfaceError> {
        let count = u16::try_from(self.interfaces.len())
            .ok()
            .filter(|count| *count < u16::MAX);
        let id = InterfaceId(count.ok_or(InterfaceError::TooMany)?);
        if config.mtu < MTU_MIN {
            return Err(InterfaceError::MtuTooSmall);
        }
        for (n, address) in config.addresses.iter().enumerate() {
            self.check_address(id, address.addr)?;
            if config.addresses[..n]
                .iter()
                .any(|other| other.addr == address.addr)
            {
                return Err(InterfaceError::AddressInUse);
            }
        }
        for address in &config.addresses {
            self.addresses.insert(id, address);
            self.routes.add(Route {
                destination: *address,
                gateway: None,
                interface: id,
            });
        }
        self.interfaces.push(Interface { config });
        self.paths_changed();
        Ok(id)
    }

    /// Gives an interface another address, and a route to the network it is on.
    ///
    /// # Errors
    ///
    /// [`InterfaceError`] if there is no such interface, or the address is impossible, or another interface has it, or this
    /// one with another prefix.
    pub fn add_address(
        &mut self,
        interface: InterfaceId,
        address: Prefix,
    ) -> Result<(), InterfaceError> {
        self.check_address(interface, address.addr)?;
        let known = self
            .interfaces
            .get_mut(interface.index())
            .ok_or(InterfaceError::NoInterface)?;
        let addresses = &mut known.config.addresses;
        match addresses.iter().find(|own| own.addr == address.addr) {
            Some(own) if *own == address => return Ok(()),
            Some(_) => return Err(InterfaceError::AddressInUse),
            None => addresses.push(address),
        }
        self.addresses.insert(interface, &address);
        self.routes.add(Route {
            destination: address,
            gateway: None,
            interface,
        });
        self.paths_changed();
        Ok(())
    }

    /// Takes an address away, with the route that it brought; returns whether it was there.
    ///
    /// Connections that use it are not ended: nothing reaches them any more, so they time out, as when a cable is
    /// pulled.
    pub fn remove_address(&mut self, interface: InterfaceId, addr: IpAddr) -> bool {
        let Some(known) = self.interfaces.get_mut(interface.index()) else {
            return false;
        };
        let addresses = &mut known.config.addresses;
        let Some(position) = addresses.iter().position(|own| own.addr == addr) else {
            return false;
        };
        let address = addresses.remove(position);
        let on_same_network =
            |own: &Prefix| (own.network(), own.len) == (address.network(), address.len);
        if !addresses.iter().any(on_same_network) {
            self.routes.remove(&Route {
                destination: address,
                gateway: None,
                interface,
            });
        }
        self.addresses.remove(interface, &address);
        self.paths_changed();
        true
    }

    /// Adds a route.
    ///
    /// # Errors
    ///
    /// [`InterfaceError::NoInterface`] if its interface does not exist, [`InterfaceError::BadAddress`] if the gateway
    /// is of another family than the destination.
    pub fn add_route(&mut self, route: Route) -> Result<(), InterfaceError> {
        if self.interfaces.get(route.interface.index()).is_none() {
            return Err(InterfaceError::NoInterface);
        }
        if route
            .gateway
            .is_some_and(|gateway| gateway.is_ipv4() != route.destination.addr.is_ipv4())
        {
            return Err(InterfaceError::BadAddress);
        }
        self.routes.add(route);
        self.paths_changed();
        Ok(())
    }

    /// Takes a route away; returns whether it was there.
    pub fn remove_route(&mut self, route: &Route) -> bool {
        let removed = self.routes.remove(route);
        self.paths_changed();
        removed
    }

    /// Changes the MTU of an interface; connections over it learn it before they send again.
    ///
    /// # Errors
    ///
    /// [`InterfaceError::NoInterface`] or [`InterfaceError::MtuTooSmall`].
    pub fn set_mtu(&mut self, interface: InterfaceId, mtu: u16) -> Result<(), InterfaceError> {
        if mtu < MTU_MIN {
            return Err(InterfaceError::MtuTooSmall);
        }
        let known = self
            .interfaces
            .get_mut(interface.index())
            .ok_or(InterfaceError::NoInterface)?;
        known.config.mtu = mtu;
        self.paths_changed();
        Ok(())
    }

    /// What an interface is made of.
    #[must_use]
    pub fn interface(&self, interface: InterfaceId) -> Option<&InterfaceConfig> {
        self.interfaces
            .get(interface.index())
            .map(|known| &known.config)
    }

    /// Whether `addr` is one of this host's.
    #[must_use]
    pub fn has_address(&self, addr: &IpAddr) -> bool {
        self.addresses.is_ours(addr)
    }

    /// Where packets to `destination` go next. An address of our own is reached on the interface that has it.
    pub(crate) fn route_to(&self, destination: IpAddr) -> Option<NextHop> {
        match self.addresses.owner(&destination) {
            Some(interface) => Some(NextHop {
                interface,
                addr: destination,
                is_local: true,
            }),
            None => self.routes.find(destination),
        }
    }

    /// The largest packet believed to reach `destination` by way of `hop`.
    pub(crate) fn mtu_to(&self, destination: IpAddr, hop: &NextHop) -> u16 {
        let link = self.link_mtu(hop);
        let path = self.path_mtus.find(destination).filter(|_| !hop.is_local);
        path.map_or(link, |path| path.min(link))
    }

    /// What a connection to `destination` by way of `hop` must know of it. What can be received, and so the MSS that
    /// is announced, is the interface's affair (RFC 9293 3.7.3 [SHLD-6]).
    pub(crate) fn path_to(&self, destination: IpAddr, hop: &NextHop) -> Path {
        let known = self.interfaces.get(hop.interface.index());
        let offered = known.map_or(0, |known| known.config.super_segment_max);
        let super_segment_max = offered.min(u32::from(u16::MAX) - HEADERS_MAX);
        Path {
            mtu: self.mtu_to(destination, hop),
            receive_mtu: self.link_mtu(hop),
            super_segment_max: if hop.is_local { 0 } else { super_segment_max },
        }
    }

    fn link_mtu(&self, hop: &NextHop) -> u16 {
        match self.interfaces.get(hop.interface.index()) {
            Some(known) if !hop.is_local => known.config.mtu,
            _ => LOOPBACK_MTU,
        }
    }

    fn check_address(&self, interface: InterfaceId, addr: IpAddr) -> Result<(), InterfaceError> {
        let broadcast = matches!(addr, IpAddr::V4(addr) if addr.is_broadcast());
        if addr.is_unspecified() || addr.is_multicast() || broadcast {
            return Err(InterfaceError::BadAddress);
        }
        match self.addresses.owner(&addr) {
            Some(owner) if owner != interface => Err(InterfaceError::AddressInUse),
            _ => Ok(()),
        }
    }
}
