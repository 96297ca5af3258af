//! Neighbor discovery for IPv6 over Ethernet (RFC 4861 4).
//!
//! Redirects are not read, and of a router advertisement only what a host with configured addresses needs: prefixes are
//! skipped, because address autoconfiguration is not done here.

#[cfg(test)]
mod tests;

use core::net::Ipv6Addr;

use crate::ParseError;
use crate::ethernet::MacAddr;
use crate::octets::{Reader, Writer};

const ROUTER_SOLICITATION: u8 = 133;
const ROUTER_ADVERTISEMENT: u8 = 134;
const NEIGHBOR_SOLICITATION: u8 = 135;
const NEIGHBOR_ADVERTISEMENT: u8 = 136;

const SOURCE_LINK: u8 = 1;
const TARGET_LINK: u8 = 2;
const MTU: u8 = 5;

/// Every option of ours is one unit of 8 octets.
const OPTION_LEN: usize = 8;
const OPTION_UNITS: u8 = 1;

const MANAGED: u8 = 1 << 7;
const OTHER: u8 = 1 << 6;

const ROUTER: u8 = 1 << 7;
const SOLICITED: u8 = 1 << 6;
const OVERRIDE: u8 = 1 << 5;

/// What the hop limit of every message must be: proof that no router passed it on (RFC 4861 3.1).
pub const HOP_LIMIT: u8 = 255;

/// A message between a host and its routers and neighbors.
///
/// It is read and written as part of an [`Icmpv6Message`](crate::icmpv6::Icmpv6Message). What needs more than the message
/// to be judged is judged by [`is_acceptable`](Self::is_acceptable).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NdpMessage {
    /// Type 133: routers, advertise yourselves.
    RouterSolicitation(RouterSolicitation),
    /// Type 134: a router is here.
    RouterAdvertisement(RouterAdvertisement),
    /// Type 135: who has this address, or is it still there?
    NeighborSolicitation(NeighborSolicitation),
    /// Type 136: it is here.
    NeighborAdvertisement(NeighborAdvertisement),
}

/// A router solicitation (RFC 4861 4.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct RouterSolicitation {
    /// The sender's hardware address.
    pub source_link: Option<MacAddr>,
}

/// A router advertisement without its prefixes (RFC 4861 4.2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct RouterAdvertisement {
    /// The hop limit to send with; 0 if the router has no say.
    pub hop_limit: u8,
    /// Addresses are to be had by DHCPv6.
    pub managed: bool,
    /// Other configuration is to be had by DHCPv6.
    pub other: bool,
    /// For how many seconds the router may be used as a default; 0 if it may not.
    pub router_lifetime_seconds: u16,
    /// How many milliseconds a neighbor is reachable after it was; 0 if the router has no say.
    pub reachable_time_millis: u32,
    /// How many milliseconds to wait between solicitations; 0 if the router has no say.
    pub retrans_timer_millis: u32,
    /// The router's hardware address.
    pub source_link: Option<MacAddr>,
    /// The MTU of the link, in octets.
    pub mtu: Option<u32>,
}

/// A neighbor solicitation (RFC 4861 4.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct NeighborSolicitation {
    /// The address asked about.
    pub target: Ipv6Addr,
    /// The sender's hardware address.
    pub source_link: Option<MacAddr>,
}

/// A neighbor advertisement (RFC 4861 4.4).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct NeighborAdvertisement {
    /// The address that was asked about, or whose hardware address changed.
    pub target: Ipv6Addr,
    /// The sender is a router.
    pub router: bool,
    /// The message answers a solicitation.
    pub solicited: bool,
    /// The hardware address takes the place of the one remembered.
    pub override_entry: bool,
    /// The target's hardware address.
    pub target_link: Option<MacAddr>,
}

impl NdpMessage {
    /// Reads what follows the checksum; `None` if the type is none of these.
    ///
    /// RFC 4861 6.1 and 7.1 name what makes a message invalid: a code other than 0, an option of length 0, a target that is a
    /// group.
    pub(crate) fn parse(kind: u8, code: u8, body: &[u8]) -> Result<Option<Self>, ParseError> {
        let read = match kind {
            ROUTER_SOLICITATION => RouterSolicitation::parse,
            ROUTER_ADVERTISEMENT => RouterAdvertisement::parse,
            NEIGHBOR_SOLICITATION => NeighborSolicitation::parse,
            NEIGHBOR_ADVERTISEMENT => NeighborAdvertisement::parse,
            _ => return Ok(None),
        };
        if code != 0 {
            return Err(ParseError::BadField);
        }
        read(Reader::new(body)).map(Some)
    }

    /// Whether the packet around the message is one that RFC 4861 6.1 and 7.1 let a receiver act on.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::net::Ipv6Addr;
    /// use handwave_wire::ndp::{self, NdpMessage, NeighborSolicitation};
    ///
    /// let target = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 2);
    /// let probe = NdpMessage::NeighborSolicitation(NeighborSolicitation { target, source_link: None });
    /// let group = ndp::solicited_node(target);
    /// assert!(probe.is_acceptable(Ipv6Addr::UNSPECIFIED, group, ndp::HOP_LIMIT));
    /// assert!(!probe.is_acceptable(Ipv6Addr::UNSPECIFIED, group, 64), "a router passed it on");
    /// ```
    #[must_use]
    pub fn is_acceptable(&self, source: Ipv6Addr, destination: Ipv6Addr, hop_limit: u8) -> bool {
        let fits = match self {
            Self::RouterSolicitation(message) => {
                !source.is_unspecified() || message.source_link.is_none()
            }
            Self::RouterAdvertisement(_) => source.is_unicast_link_local(),
            Self::NeighborSolicitation(message) => {
                !source.is_unspecified()
                    || (message.source_link.is_none()
                        && destination == solicited_node(message.target))
            }
            Self::NeighborAdvertisement(message) => {
                !(destination.is_multicast() && message.solicited)
            }
        };
        fits && hop_limit == HOP_LIMIT
    }

    pub(crate) const fn kind(&self) -> u8 {
        match self {
            Self::RouterSolicitation(_) => ROUTER_SOLICITATION,
            Self::RouterAdvertisement(_) => ROUTER_ADVERTISEMENT,
            Self::NeighborSolicitation(_) => NEIGHBOR_SOLICITATION,
            Self::NeighborAdvertisement(_) => NEIGHBOR_ADVERTISEMENT,
        }
    }

    /// The length of what follows the checksum, in octets.
    pub(crate) const fn body_len(&self) -> usize {
        const fn option(is_some: bool) -> usize {
            if is_some { OPTION_LEN } else { 0 }
        }
        match self {
            Self::RouterSolicitation(message) => {
                option(message.source_link.is_some()).saturating_add(4)
            }
            Self::RouterAdvertisement(message) => option(message.source_link.is_some())
                .saturating_add(option(message.mtu.is_some()))
                .saturating_add(12),
            Self::NeighborSolicitation(message) => {
                option(message.source_link.is_some()).saturating_add(20)
            }
            Self::NeighborAdvertisement(message) => {
                option(message.target_link.is_some()).saturating_add(20)
            }
        }
    }

    pub(crate) fn emit_body(&self, writer: &mut Writer<'_>) {
        match self {
            Self::RouterSolicitation(message) => {
                writer.put(&[0; 4]);
                put_link(writer, SOURCE_LINK, message.source_link);
            }
            Self::RouterAdvertisement(message) => message.emit_body(writer),
            Self::NeighborSolicitation(message) => {
                writer.put(&[0; 4]);
                writer.put(&message.target.octets());
                put_link(writer, SOURCE_LINK, message.source_link);
            }
            Self::NeighborAdvertisement(message) => {
                let flags = flag(message.router, ROUTER)
                    | flag(message.solicited, SOLICITED)
                    | flag(message.override_entry, OVERRIDE);
                writer.put(&[flags, 0, 0, 0]);
                writer.put(&message.target.octets());
                put_link(writer, TARGET_LINK, message.target_link);
            }
        }
    }
}

impl RouterSolicitation {
    fn parse(mut body: Reader<'_>) -> Result<NdpMessage, ParseError> {
        let _reserved: [u8; 4] = body.array()?;
        let Options { source_link, .. } = Options::parse(body)?;
        Ok(NdpMessage::RouterSolicitation(Self { source_link }))
    }
}

impl RouterAdvertisement {
    fn parse(mut body: Reader<'_>) -> Result<NdpMessage, ParseError> {
        let [hop_limit, flags, l0, l1] = body.array()?;
        let reachable_time_millis = u32::from_be_bytes(body.array()?);
        let retrans_timer_millis = u32::from_be_bytes(body.array()?);
        let Options {
            source_link, mtu, ..
        } = Options::parse(body)?;
        Ok(NdpMessage::RouterAdvertisement(Self {
            hop_limit,
            managed: flags & MANAGED != 0,
            other: flags & OTHER != 0,
            router_lifetime_seconds: u16::from_be_bytes([l0, l1]),
            reachable_time_millis,
            retrans_timer_millis,
            source_link,
            mtu,
        }))
    }

    fn emit_body(&self, writer: &mut Writer<'_>) {
        let flags = flag(self.managed, MANAGED) | flag(self.other, OTHER);
        writer.put(&[self.hop_limit, flags]);
        writer.put(&self.router_lifetime_seconds.to_be_bytes());
        writer.put(&self.reachable_time_millis.to_be_bytes());
        writer.put(&self.retrans_timer_millis.to_be_bytes());
        put_link(writer, SOURCE_LINK, self.source_link);
        if let Some(mtu) = self.mtu {
            writer.put(&[MTU, OPTION_UNITS, 0, 0]);
            writer.put(&mtu.to_be_bytes());
        }
    }
}

impl NeighborSolicitation {
    fn parse(mut body: Reader<'_>) -> Result<NdpMessage, ParseError> {
        let _reserved: [u8; 4] = body.array()?;
        let target = target(&mut body)?;
        let Options { source_link, .. } = Options::parse(body)?;
        Ok(NdpMessage::NeighborSolicitation(Self {
            target,
            source_link,
        }))
    }
}

impl NeighborAdvertisement {
    fn parse(mut body: Reader<'_>) -> Result<NdpMessage, ParseError> {
        let [flags, _, _, _] = body.array()?;
        let target = target(&mut body)?;
        let Options { target_link, .. } = Options::parse(body)?;
        Ok(NdpMessage::NeighborAdvertisement(Self {
            target,
            router: flags & ROUTER != 0,
            solicited: flags & SOLICITED != 0,
            override_entry: flags & OVERRIDE != 0,
            target_link,
        }))
    }
}

/// The options that mean something to us; the others are skipped (RFC 4861 4.6).
#[derive(Default)]
struct Options {
    source_link: Option<MacAddr>,
    target_link: Option<MacAddr>,
    mtu: Option<u32>,
}

impl Options {
    fn parse(mut reader: Reader<'_>) -> Result<Self, ParseError> {
        let mut options = Self::default();
        while reader.remaining() > 0 {
            let [kind, units] = reader.array()?;
            // A length of 0 makes the whole message invalid, and any other takes octets, so the loop ends.
            let value_len = usize::from(units)
                .saturating_mul(8)
                .checked_sub(2)
                .ok_or(ParseError::BadLength)?;
            let value = reader.take(value_len)?;
            match (kind, value) {
                (SOURCE_LINK, &[a, b, c, d, e, f]) => {
                    options.source_link = Some(MacAddr([a, b, c, d, e, f]));
                }
                (TARGET_LINK, &[a, b, c, d, e, f]) => {
                    options.target_link = Some(MacAddr([a, b, c, d, e, f]));
                }
                (MTU, &[_, _, m0, m1, m2, m3]) => {
                    options.mtu = Some(u32::from_be_bytes([m0, m1, m2, m3]));
                }
                _ => {}
            }
        }
        Ok(options)
    }
}

fn target(body: &mut Reader<'_>) -> Result<Ipv6Addr, ParseError> {
    let target = Ipv6Addr::from(body.array::<16>()?);
    if target.is_multicast() {
        Err(ParseError::BadField)
    } else {
        Ok(target)
    }
}

const fn flag(is_set: bool, bit: u8) -> u8 {
    if is_set { bit } else { 0 }
}

fn put_link(writer: &mut Writer<'_>, kind: u8, link: Option<MacAddr>) {
    if let Some(link) = link {
        writer.put(&[kind, OPTION_UNITS]);
        writer.put(&link.octets());
    }
}

/// The group that every node with `address` listens to (RFC 4291 2.7.1): `ff02::1:ff` and its low 24 bits.
///
/// # Examples
///
/// ```
/// use handwave_wire::ndp::solicited_node;
///
/// let group = solicited_node("2001:db8::aabb:ccdd".parse().unwrap());
/// assert_eq!(group.to_string(), "ff02::1:ffbb:ccdd");
/// ```
#[must_use]
pub const fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., a, b, c] = address.octets();
    let high = u16::from_be_bytes([0xff, a]);
    let low = u16::from_be_bytes([b, c]);
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, high, low)
}
