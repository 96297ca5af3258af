//! Socket addresses, and IPv4 addresses in IPv6 clothes (RFC 4291 2.5.5.2).

use super::Errno;
use super::constants::{AF_INET, AF_INET6};
use handwave_tcp::Endpoint;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

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

    /// The wildcard address.
    pub(super) const fn any(self) -> IpAddr {
        match self {
            Self::Inet => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
            Self::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }

    /// The address on the wire that a program of this family means by `address`.
    ///
    /// # Errors
    ///
    /// `EAFNOSUPPORT` when the families do not fit.
    pub(super) fn on_wire(self, address: SocketAddr) -> Result<Endpoint, Errno> {
        match (self, address) {
            (Self::Inet, SocketAddr::V6(_)) | (Self::Inet6, SocketAddr::V4(_)) => {
                Err(Errno::EAFNOSUPPORT)
            }
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
