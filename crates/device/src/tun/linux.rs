//! TUN interfaces on Linux: creating, configuring, attaching.
//!
//! The kernel's manual is `Documentation/networking/tuntap.rst`. `/dev/net/tun` is opened, `TUNSETIFF` makes the descriptor an
//! interface's other end, and rtnetlink configures the interface.

mod error;
mod ioctl;
mod queues;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use rustix::io::Errno;

use super::Tun;
use crate::netlink::{Link, Netlink};

pub use error::TunError;
pub(super) use queues::Attachment;

/// `IFNAMSIZ` less the octet that ends the name.
const NAME_LEN_MAX: usize = 15;
const MTU_DEFAULT: u16 = 1_500;
/// What IPv4 and IPv6 demand of a link (RFC 791 3.2, RFC 8200 5).
const MTU_MIN: u16 = 68;
const MTU_MIN_V6: u16 = 1_280;
/// How long to wait for an address to become usable: a second at most. It usually takes an interval or none.
const LOCAL_TRIES_MAX: u32 = 1_000;
const LOCAL_TRY_INTERVAL: Duration = Duration::from_millis(1);

/// An address and the length of its network's prefix, written `10.7.0.1/24` or `fd00::1/64`.
///
/// Without a `/` it stands for the address alone.
///
/// # Examples
///
/// ```
/// use handwave_device::InterfaceAddress;
///
/// let address: InterfaceAddress = "10.7.0.1/24".parse()?;
/// assert_eq!((address.address().to_string().as_str(), address.prefix_len()), ("10.7.0.1", 24));
/// assert_eq!("fd00::1".parse::<InterfaceAddress>()?.to_string(), "fd00::1/128");
/// assert!("10.7.0.1/33".parse::<InterfaceAddress>().is_err());
/// # Ok::<(), handwave_device::TunError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct InterfaceAddress {
    address: IpAddr,
    prefix_len: u8,
}

impl InterfaceAddress {
    /// Puts an address and a prefix length together; `None` if the prefix is longer than the address.
    #[must_use]
    pub fn new(address: IpAddr, prefix_len: u8) -> Option<Self> {
        (prefix_len <= bits(address)).then_some(Self {
            address,
            prefix_len,
        })
    }

    /// The address.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// The length of the network's prefix, in bits.
    #[must_use]
    pub const fn prefix_len(&self) -> u8 {
        self.prefix_len
    }
}

const fn bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

impl FromStr for InterfaceAddress {
    type Err = TunError;

    fn from_str(text: &str) -> Result<Self, TunError> {
        let parse = || {
            let Some((address, prefix_len)) = text.split_once('/') else {
                let address = text.parse().ok()?;
                return Self::new(address, bits(address));
            };
            Self::new(address.parse().ok()?, prefix_len.parse().ok()?)
        };
        parse().ok_or_else(|| TunError::BadAddress {
            address: text.to_owned(),
        })
    }
}

impl fmt::Display for InterfaceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix_len)
    }
}

/// Creates a TUN interface, or attaches to one.
///
/// What is created vanishes with the [`Tun`]: the kernel removes the interface, its addresses and its routes when the
/// descriptor is closed, however the program ends.
///
/// # Examples
///
/// ```no_run
/// use handwave_device::TunBuilder;
///
/// let tun = TunBuilder::new()
///     .name("hw0")
///     .address("10.7.0.1/24".parse()?)
///     .address("fd07::1/64".parse()?)
///     .mtu(1_420)
///     .create()?;
/// assert_eq!(tun.name(), Some("hw0"));
/// # Ok::<(), handwave_device::TunError>(())
/// ```
#[derive(Clone, Debug)]
pub struct TunBuilder {
    name: String,
    addresses: Vec<InterfaceAddress>,
    mtu: u16,
    up: bool,
    offload: Offload,
}

/// Who cuts super-segments and completes checksums: the kernel, where a link needs it, or this side, always.
///
/// With offload a packet may have 64 KiB, so that one read or write does what takes 45 otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Offload {
    /// As much as the kernel gives.
    #[default]
    Auto,
    /// The kernel; an error if it does not do so for TCP.
    On,
    /// This side: each packet has at most the size of the MTU, and complete checksums.
    Off,
}

impl Default for TunBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl TunBuilder {
    /// Starts with a name the kernel picks (`tun0`, `tun1`, ..), no address, an MTU of 1500, and the interface up.
    #[must_use]
    pub fn new() -> Self {
        Self {
            name: "tun%d".to_owned(),
            addresses: Vec::new(),
            mtu: MTU_DEFAULT,
            up: true,
            offload: Offload::Auto,
        }
    }

    /// Names the interface, in at most 15 octets. A name that ends in `%d` is given the first free number.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Gives the *kernel's* end of the interface an address; may be called again for more. The addresses of our end are
    /// the stack's business: pick others from the same network.
    #[must_use]
    pub fn address(mut self, address: InterfaceAddress) -> Self {
        self.addresses.push(address);
        self
    }

    /// Sets the largest IP packet, in octets: 68 to 65535, and at least 1280 with an IPv6 address.
    #[must_use]
    pub fn mtu(mut self, mtu: u16) -> Self {
        self.mtu = mtu;
        self
    }

    /// Says whether to bring the interface up. Packets pass only when it is.
    #[must_use]
    pub fn up(mut self, up: bool) -> Self {
        self.up = up;
        self
    }

    /// Says who cuts super-segments and completes checksums.
    #[must_use]
    pub fn offload(mut self, offload: Offload) -> Self {
        self.offload = offload;
        self
    }

    /// Creates the interface and configures it. When it returns, the kernel takes packets for the addresses; with IPv6 that
    /// can take some milliseconds.
    ///
    /// # Errors
    ///
    /// [`TunError::Exists`] if there is an interface of that name already; any other [`TunError`] says what is missing.
    /// Nothing is left behind.
    pub fn create(self) -> Result<Tun, TunError> {
        self.check()?;
        only(queues::create(&self, 1)?)
    }

    /// Creates the interface with several queues, and one device for each.
    ///
    /// The kernel keeps the packets of a flow on the queue that last sent some of that flow, and spreads what it does not know. So each
    /// queue can have a stack of its own, on a core of its own, which must pass on what is not for it.
    ///
    /// # Errors
    ///
    /// Those of [`create`](Self::create), and [`TunError::BadQueues`] for a number the kernel does not take.
    pub fn create_queues(self, count: usize) -> Result<Vec<Tun>, TunError> {
        self.check()?;
        queues::create(&self, count)
    }

    /// Attaches to an existing interface; name and [`offload`](Self::offload) count, and all else stays as it is.
    ///
    /// # Errors
    ///
    /// Those of [`Tun::attach`].
    pub fn attach(self) -> Result<Tun, TunError> {
        only(queues::attach(&self, 1)?)
    }

    /// Attaches to several queues of an existing interface, as `ip tuntap add dev NAME mode tun multi_queue` makes one.
    ///
    /// # Errors
    ///
    /// Those of [`Tun::attach`], [`TunError::SingleQueue`] if the interface was made with one queue, and
    /// [`TunError::BadQueues`] for a number the kernel does not take.
    pub fn attach_queues(self, count: usize) -> Result<Vec<Tun>, TunError> {
        queues::attach(&self, count)
    }

    /// Attaches to the interface if it exists, and leaves it as it is; creates and configures it otherwise.
    ///
    /// # Errors
    ///
    /// Those of [`create`](Self::create) and [`Tun::attach`].
    pub fn create_or_attach(self) -> Result<Tun, TunError> {
        only(self.create_or_attach_queues(1)?)
    }

    /// Does what [`create_or_attach`](Self::create_or_attach) does, with several queues.
    ///
    /// # Errors
    ///
    /// Those of [`create_queues`](Self::create_queues) and [`attach_queues`](Self::attach_queues).
    pub fn create_or_attach_queues(self, count: usize) -> Result<Vec<Tun>, TunError> {
        check_name(&self.name)?;
        if find(&self.name)?.is_some() {
            self.attach_queues(count)
        } else {
            self.create_queues(count)
        }
    }

    fn check(&self) -> Result<(), TunError> {
        check_name(self.name.strip_suffix("%d").unwrap_or(&self.name))?;
        if self.name.len() > NAME_LEN_MAX {
            return Err(TunError::bad_name(&self.name, "it has more than 15 octets"));
        }
        let has_v6 = self.addresses.iter().any(|one| one.address.is_ipv6());
        let at_least = if has_v6 { MTU_MIN_V6 } else { MTU_MIN };
        if self.mtu < at_least {
            return Err(TunError::BadMtu {
                mtu: self.mtu,
                at_least,
            });
        }
        Ok(())
    }

    fn configure(&self, name: &str) -> Result<(), TunError> {
        let failed = |step: String| {
            move |error: io::Error| {
                if error.raw_os_error() == Some(Errno::PERM.raw_os_error()) {
                    TunError::no_privilege("configure", name)
                } else {
                    TunError::system(step, name, error)
                }
            }
        };
        let netlink = Netlink::open().map_err(failed("open a netlink socket for".into()))?;
        let index = netlink
            .link(name)
            .and_then(|link| link.ok_or_else(|| io::ErrorKind::NotFound.into()))
            .map_err(failed("find the interface".into()))?
            .index;
        netlink
            .set_link(index, Some(self.mtu.into()), false)
            .map_err(failed(format!("set an MTU of {} on", self.mtu)))?;
        for one in &self.addresses {
            netlink
                .add_address(index, one.address, one.prefix_len)
                .map_err(|error| {
                    let refused = error.raw_os_error() == Some(Errno::ACCESS.raw_os_error());
                    if refused && one.address.is_ipv6() {
                        TunError::Ipv6Disabled { name: name.into() }
                    } else {
                        failed(format!("add the address {one} to"))(error)
                    }
                })?;
        }
        if self.up {
            netlink
                .set_link(index, None, true)
                .map_err(failed("bring up".into()))?;
            self.wait_for_addresses(&netlink);
        }
        Ok(())
    }

    /// Waits until the kernel takes packets for its addresses, which for IPv6 it arranges some time after it has accepted them:
    /// a SYN+ACK that comes too early is dropped, and costs a connection its first second.
    fn wait_for_addresses(&self, netlink: &Netlink) {
        for one in &self.addresses {
            for _ in 0..LOCAL_TRIES_MAX {
                if netlink.is_local(one.address).unwrap_or(false) {
                    break;
                }
                std::thread::sleep(LOCAL_TRY_INTERVAL);
            }
        }
    }
}

impl Tun {
    /// Attaches to an existing TUN interface, as `ip tuntap add dev NAME mode tun user USER` makes one, and leaves its
    /// addresses, its MTU and its link state alone. Offloads are taken as far as the kernel gives them; a [`TunBuilder`] says otherwise.
    ///
    /// Needs no privilege if the interface was made for this user. Whatever an earlier program has set of offloads is set anew: the
    /// kernel keeps it beyond that program's end. Packets that were waiting in the interface are dropped for the same reason.
    ///
    /// # Errors
    ///
    /// [`TunError::NotFound`] if there is no such interface, [`TunError::NotATun`] if it is something else,
    /// [`TunError::Busy`] if a program is attached to it already; any other [`TunError`] says what is missing.
    pub fn attach(name: &str) -> Result<Self, TunError> {
        TunBuilder::new().name(name).attach()
    }
}

/// The device of the only queue.
fn only(mut queues: Vec<Tun>) -> Result<Tun, TunError> {
    queues.pop().ok_or(TunError::BadQueues {
        asked: 0,
        at_most: queues::QUEUES_MAX,
    })
}

fn check_name(name: &str) -> Result<(), TunError> {
    let problem = if name.is_empty() {
        "it is empty"
    } else if name.len() > NAME_LEN_MAX {
        "it has more than 15 octets"
    } else if name == "." || name == ".." {
        "it means a directory"
    } else if name
        .contains(|c: char| c == '/' || c == ':' || c == '%' || c == '\0' || c.is_whitespace())
    {
        "it contains a blank or one of / : %"
    } else {
        return Ok(());
    };
    Err(TunError::bad_name(name, problem))
}

fn find(name: &str) -> Result<Option<Link>, TunError> {
    Netlink::open()
        .and_then(|netlink| netlink.link(name))
        .map_err(|error| TunError::system("look for the interface", name, error))
}

#[cfg(test)]
mod tests;
