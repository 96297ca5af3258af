//! What a capture holds: packets, and the interfaces they were seen on.

use std::borrow::Cow;
use std::time::Duration;

use pcap_file::DataLink;

/// What the first octets of a packet are.
///
/// The numbers are those of the [registry of link types](https://www.tcpdump.org/linktypes.html).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// An IPv4 or IPv6 packet without a link header (`LINKTYPE_RAW`, 101; 228 and 229 read as this too).
    RawIp,
    /// An Ethernet frame (`LINKTYPE_ETHERNET`, 1).
    Ethernet,
    /// Any other link type, by number.
    Other(u32),
}

impl From<DataLink> for LinkType {
    fn from(link: DataLink) -> Self {
        let number = u32::from(link);
        match link {
            DataLink::RAW | DataLink::IPV4 | DataLink::IPV6 => Self::RawIp,
            DataLink::ETHERNET => Self::Ethernet,
            _ => Self::Other(number),
        }
    }
}

impl From<LinkType> for DataLink {
    fn from(link: LinkType) -> Self {
        match link {
            LinkType::RawIp => Self::RAW,
            LinkType::Ethernet => Self::ETHERNET,
            LinkType::Other(number) => Self::from(number),
        }
    }
}

/// Names one interface of a capture: its place in the order of description, from zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InterfaceId(pub u32);

/// One interface as a capture describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// What the first octets of its packets are.
    pub link_type: LinkType,
    /// The interface's name; empty where the capture gives none.
    pub name: String,
}

/// Which way a packet went, seen from the interface it was captured on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Towards the host that captured it.
    Inbound,
    /// Away from the host that captured it.
    Outbound,
}

/// One captured packet.
///
/// Borrowed where it is written, owned where it is read. Build one with [`Packet::new`] and the `with_*` methods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The interface it was seen on.
    pub interface: InterfaceId,
    /// When it was seen: a span since the Unix epoch, to the nanosecond.
    pub time: Duration,
    /// The octets that were captured, beginning with the header the link type names.
    pub data: Cow<'a, [u8]>,
    /// How long the packet was on the wire, in octets; more than `data` holds when it was cut short.
    pub original_len: u32,
    /// Which way it went, where the capture says so.
    pub direction: Option<Direction>,
    /// What somebody wrote about it, where anybody did. Wireshark shows it above the packet.
    pub comment: Option<Cow<'a, str>>,
}

impl<'a> Packet<'a> {
    /// Makes a whole packet seen on the first interface at `time`.
    pub fn new(time: Duration, data: impl Into<Cow<'a, [u8]>>) -> Self {
        let data = data.into();
        let original_len = u32::try_from(data.len()).unwrap_or(u32::MAX);
        Self {
            interface: InterfaceId::default(),
            time,
            data,
            original_len,
            direction: None,
            comment: None,
        }
    }

    /// Says which interface the packet was seen on.
    #[must_use]
    pub fn with_interface(mut self, interface: InterfaceId) -> Self {
        self.interface = interface;
        self
    }

    /// Says which way the packet went.
    #[must_use]
    pub fn with_direction(mut self, direction: Direction) -> Self {
        self.direction = Some(direction);
        self
    }

    /// Writes a comment on the packet. What does not fit in the format's 65535 octets is cut off when written.
    #[must_use]
    pub fn with_comment(mut self, comment: impl Into<Cow<'a, str>>) -> Self {
        self.comment = Some(comment.into());
        self
    }
}
