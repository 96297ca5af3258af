//! As much rtnetlink as configuring one interface takes (RFC 3549; `linux/netlink.h`, `linux/if_link.h`).
//!
//! Numbers are in host order: the other end is this machine's kernel.

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use handwave_wire::ethernet::MacAddr;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
};

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETROUTE: u16 = 26;
const NLMSG_ERROR: u16 = 2;
const NLM_F_REQUEST: u16 = 0x0001;
const NLM_F_ACK: u16 = 0x0004;
/// An address given twice is one address.
const NLM_F_CREATE_OR_REPLACE: u16 = 0x0500;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_TUN_TYPE: u16 = 3;
const IFLA_TUN_MULTI_QUEUE: u16 = 7;
const IFLA_TUN_NUM_QUEUES: u16 = 8;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
/// No duplicate address detection: nobody else is on this link.
const IFA_F_NODAD: u8 = 0x02;
const RTA_DST: u16 = 1;
const RTN_LOCAL: u8 = 2;
const IFF_UP: u32 = 1;
/// `ARPHRD_ETHER`.
const HARDWARE_ETHERNET: u16 = 1;
const TUN_TYPE_TAP: u8 = 2;

const AF_UNSPEC: u8 = 0;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

const MESSAGE_HEADER: usize = 16;
const LINK_HEADER: usize = 16;
/// More than a link's description takes, even with many virtual functions.
const ANSWER_MAX: usize = 64 * 1024;

/// A netlink socket of the calling thread's network namespace.
#[derive(Debug)]
pub(crate) struct Netlink(OwnedFd);

/// An interface, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) mtu: u32,
    pub(crate) is_up: bool,
    /// The link address, where Ethernet frames pass.
    pub(crate) mac: Option<MacAddr>,
    /// The driver's name, for a virtual interface.
    pub(crate) kind: Option<String>,
    /// For a TUN or TAP, what kernels since 4.20 tell about it.
    pub(crate) tun: Option<TunLink>,
}

/// What the kernel tells about a TUN or TAP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TunLink {
    pub(crate) is_tap: bool,
    pub(crate) multi_queue: bool,
    /// Descriptors attached to it; told only of an interface with several queues.
    pub(crate) queues: u32,
}

impl Netlink {
    pub(crate) fn open() -> io::Result<Self> {
        // Protocol 0 is NETLINK_ROUTE. Unbound: the kernel picks a port at the first message.
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok(Self(socket))
    }

    /// Looks an interface up by its name.
    pub(crate) fn link(&self, name: &str) -> io::Result<Option<Link>> {
        let mut message = Message::new(RTM_GETLINK, NLM_F_REQUEST);
        message.link_header(0, 0, 0);
        message.attribute(IFLA_IFNAME, &[name.as_bytes(), &[0]].concat());
        match self.ask(message) {
            Ok(answer) => Ok(Link::parse(&answer)),
            Err(error) if error.raw_os_error() == Some(NO_SUCH_DEVICE) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets the MTU if one is given, and brings the link up if asked to.
    pub(crate) fn set_link(&self, index: u32, mtu: Option<u32>, up: bool) -> io::Result<()> {
        let mut message = Message::new(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK);
        let flags = if up { IFF_UP } else { 0 };
        message.link_header(index, flags, flags);
        if let Some(mtu) = mtu {
            message.attribute(IFLA_MTU, &mtu.to_ne_bytes());
        }
        self.ask(message).map(drop)
    }

    pub(crate) fn add_address(
        &self,
        index: u32,
        address: IpAddr,
        prefix_len: u8,
    ) -> io::Result<()> {
        let flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE_OR_REPLACE;
        let mut message = Message::new(RTM_NEWADDR, flags);
        let (family, octets) = family_and_octets(address);
        let universe = 0;
        message.push(&[family, prefix_len, IFA_F_NODAD, universe]);
        message.push(&index.to_ne_bytes());
        message.attribute(IFA_LOCAL, &octets);
        message.attribute(IFA_ADDRESS, &octets);
        self.ask(message).map(drop)
    }

    /// Whether the kernel takes packets for this address.
    pub(crate) fn is_local(&self, address: IpAddr) -> io::Result<bool> {
        let (family, octets) = family_and_octets(address);
        let mut message = Message::new(RTM_GETROUTE, NLM_F_REQUEST);
        let bits = u8::try_from(octets.len() * 8).unwrap_or(u8::MAX);
        // `struct rtmsg`, all else unspecified.
        message.push(&[family, bits, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        message.attribute(RTA_DST, &octets);
        let answer = self.ask(message)?;
        Ok(answer.get(7) == Some(&RTN_LOCAL))
    }

    /// Sends a request and returns the body of the answer, which is empty for an acknowledgment.
    fn ask(&self, message: Message) -> io::Result<Vec<u8>> {
        send(&self.0, &message.finish(), SendFlags::empty())?;
        let mut answer = vec![0; ANSWER_MAX];
        let (len, _) = recv(&self.0, &mut answer[..], RecvFlags::empty())?;
        answer.truncate(len);
        let malformed = || io::Error::from(io::ErrorKind::InvalidData);
        let kind = u16_at(&answer, 4).ok_or_else(malformed)?;
        let body = answer.split_off(MESSAGE_HEADER.min(len));
        if kind != NLMSG_ERROR {
            return Ok(body);
        }
        let code = u32_at(&body, 0).ok_or_else(malformed)?.cast_signed();
        if code == 0 {
            Ok(Vec::new())
        } else {
            Err(io::Error::from_raw_os_error(code.wrapping_neg()))
        }
    }
}

fn family_and_octets(address: IpAddr) -> (u8, Vec<u8>) {
    match address {
        IpAddr::V4(v4) => (AF_INET, v4.octets().to_vec()),
        IpAddr::V6(v6) => (AF_INET6, v6.octets().to_vec()),
    }
}

const NO_SUCH_DEVICE: i32 = rustix::io::Errno::NODEV.raw_os_error();

impl Link {
    /// Reads what follows the message's header in an `RTM_NEWLINK`.
    fn parse(body: &[u8]) -> Option<Self> {
        let attributes = body.get(LINK_HEADER..)?;
        let info = attribute(attributes, IFLA_LINKINFO).unwrap_or_default();
        let kind = attribute(info, IFLA_INFO_KIND).map(text);
        let data = attribute(info, IFLA_INFO_DATA).filter(|_| kind.as_deref() == Some("tun"));
        let is_ethernet = u16_at(body, 2) == Some(HARDWARE_ETHERNET);
        let mac = attribute(attributes, IFLA_ADDRESS).filter(|_| is_ethernet);
        Some(Self {
            mac: mac.and_then(|octets| octets.try_into().ok()).map(MacAddr),
            index: u32_at(body, 4)?,
            name: attribute(attributes, IFLA_IFNAME).map(text)?,
            mtu: u32_at(attribute(attributes, IFLA_MTU)?, 0)?,
            is_up: u32_at(body, 8)? & IFF_UP != 0,
            kind,
            tun: data.map(TunLink::parse),
        })
    }
}

impl TunLink {
    fn parse(data: &[u8]) -> Self {
        let octet = |kind| attribute(data, kind).and_then(|value| value.first().copied());
        Self {
            is_tap: octet(IFLA_TUN_TYPE) == Some(TUN_TYPE_TAP),
            multi_queue: octet(IFLA_TUN_MULTI_QUEUE) == Some(1),
            queues: attribute(data, IFLA_TUN_NUM_QUEUES)
                .and_then(|value| u32_at(value, 0))
                .unwrap_or(0),
        }
    }
}

/// A request being written.
struct Message(Vec<u8>);

impl Message {
    fn new(kind: u16, flags: u16) -> Self {
        let mut octets = vec![0; 4];
        octets.extend(kind.to_ne_bytes());
        octets.extend(flags.to_ne_bytes());
        // Sequence number and port: one request at a time needs neither.
        octets.extend([0; 8]);
        Self(octets)
    }

    fn push(&mut self, octets: &[u8]) {
        self.0.extend(octets);
    }

    /// `struct ifinfomsg`.
    fn link_header(&mut self, index: u32, flags: u32, change: u32) {
        self.push(&[AF_UNSPEC, 0, 0, 0]);
        for field in [index, flags, change] {
            self.push(&field.to_ne_bytes());
        }
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        let len = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.push(&len.to_ne_bytes());
        self.push(&kind.to_ne_bytes());
        self.push(value);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
    }

    fn finish(mut self) -> Vec<u8> {
        let len = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0[..4].copy_from_slice(&len.to_ne_bytes());
        self.0
    }
}

/// The value of the first attribute of this kind. The upper two bits of a kind are flags.
fn attribute(mut attributes: &[u8], kind: u16) -> Option<&[u8]> {
    loop {
        let len = usize::from(u16_at(attributes, 0)?);
        let found = u16_at(attributes, 2)? & 0x3FFF;
        let value = attributes.get(4..len)?;
        if found == kind {
            return Some(value);
        }
        attributes = attributes.get(len.next_multiple_of(4)..)?;
    }
}

fn text(value: &[u8]) -> String {
    let end = value.iter().position(|&octet| octet == 0);
    String::from_utf8_lossy(&value[..end.unwrap_or(value.len())]).into_owned()
}

fn u16_at(octets: &[u8], at: usize) -> Option<u16> {
    let field = octets.get(at..at + 2)?;
    Some(u16::from_ne_bytes(field.try_into().ok()?))
}

fn u32_at(octets: &[u8], at: usize) -> Option<u32> {
    let field = octets.get(at..at + 4)?;
    Some(u32::from_ne_bytes(field.try_into().ok()?))
}
