//! Socket addresses, and IPv4 addresses in IPv6 clothes (RFC 4291 2.5.5.2).

use super::Errno;
use super::constants::{AF_INET, AF_INET6};
use handwave_tcp::Endpoint;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// An address as passed to `bind`, `connect` and `sendto`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Address {
    /// `AF_UNSPEC`: connecting to it dissolves an association.
    Unspecified,
    /// `AF_INET` or `AF_INET6`.
    Inet(SocketAddr),
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::Inet(address)
    }
}

/// The address family of a socket.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Domain {
    /// `AF_INET`.
    Inet,
    /// `AF_INET6`, which speaks IPv4 too, unless `IPV6_V6ONLY` forbids it.
    Inet6,
}

impl Domain {
    /// The number a program passes to `socket`.
    pub(super) const fn number(self) -> i32 {
        match self {
            Self::Inet => AF_INET,
            Self::Inet6 => AF_INET6,
        }
    }

    /// Whether addresses of the program are those of IPv6.
    pub(super) const fn is_ipv6(self) -> bool {
        matches!(self, Self::Inet6)
    }

    /// The wildcard address.
    pub(super) const fn any(self) -> IpAddr {
        match self {
            Self::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Self::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }

    /// The address on the wire that a program of this family means by `address`.
    ///
    /// # Errors
    ///
    /// `EAFNOSUPPORT` when the families do not fit; `EINVAL` where the address is shorter than those of the family.
    pub(super) fn on_wire(self, address: SocketAddr) -> Result<Endpoint, Errno> {
        match (self, address) {
            (Self::Inet, SocketAddr::V6(_)) => Err(Errno::EAFNOSUPPORT),
            (Self::Inet6, SocketAddr::V4(_)) => Err(Errno::EINVAL),
            (Self::Inet, SocketAddr::V4(_)) => Ok(address.into()),
            (Self::Inet6, SocketAddr::V6(v6)) => {
                let addr = v6
                    .ip()
                    .to_ipv4_mapped()
                    .map_or(IpAddr::V6(*v6.ip()), IpAddr::V4);
                Ok(Endpoint::new(addr, v6.port()))
            }
        }
    }

    /// How a program of this family sees an address of the wire.
    pub(super) fn to_program(self, endpoint: Endpoint) -> SocketAddr {
        match (self, endpoint.addr) {
            (Self::Inet6, IpAddr::V4(v4)) => {
                SocketAddr::new(v4.to_ipv6_mapped().into(), endpoint.port)
            }
            _ => endpoint.into(),
        }
    }
}

/// The addresses at which a bound socket is found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    /// In IPv4: none, any (unspecified), or one.
    v4: Option<Ipv4Addr>,
    /// In IPv6, likewise.
    v6: Option<Ipv6Addr>,
}

impl Reach {
    /// What a socket bound to `addr` reaches.
    pub(super) fn new(domain: Domain, v6_only: bool, addr: IpAddr) -> Self {
        let both = domain == Domain::Inet6 && !v6_only && addr.is_unspecified() && addr.is_ipv6();
        if both {
            return Self {
                v4: Some(Ipv4Addr::UNSPECIFIED),
                v6: Some(Ipv6Addr::UNSPECIFIED),
            };
        }
        Self::exactly(addr)
    }

    /// `addr` alone, or all of its family.
    pub(super) const fn exactly(addr: IpAddr) -> Self {
        match addr {
            IpAddr::V4(addr) => Self {
                v4: Some(addr),
                v6: None,
            },
            IpAddr::V6(addr) => Self {
                v4: None,
                v6: Some(addr),
            },
        }
    }

    /// Whether some address belongs to both.
    pub(super) fn overlaps(self, other: Self) -> bool {
        let v4 = self.v4.zip(other.v4);
        let v6 = self.v6.zip(other.v6);
        v4.is_some_and(|(a, b)| a == b || a.is_unspecified() || b.is_unspecified())
            || v6.is_some_and(|(a, b)| a == b || a.is_unspecified() || b.is_unspecified())
    }
}
