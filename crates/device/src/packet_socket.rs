//! [`PacketSocket`]: Ethernet frames exchanged over an interface of this machine (`AF_PACKET`).
//!
//! The kernel's manual is packet(7). The socket is bound to one interface and has the kernel put a `struct virtio_net_hdr` in front
//! of each frame (`PACKET_VNET_HDR`), so that super-segments and partial checksums pass as they do over a TUN with offload.

mod calls;
mod error;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use handwave_packet::PacketBuf;
use handwave_wire::ethernet::MacAddr;
use rustix::io::Errno;
use rustix::net::sockopt::{
    set_socket_recv_buffer_size, set_socket_recv_buffer_size_force, set_socket_send_buffer_size,
    set_socket_send_buffer_size_force,
};
use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};

use crate::exchange::{Exchange, Framing};
use crate::netlink::{Link, Netlink};
use crate::{Counters, Device, Medium, Readiness};

pub use error::PacketSocketError;

/// Memory of the socket in each direction. The default of the kernel is less than three super-segments.
const SOCKET_BUFFER: usize = 4 << 20;
/// Sockets that share what arrives (the kernel's `PACKET_FANOUT_MAX` where nobody has asked for more).
const QUEUES_MAX: usize = 256;

/// Ethernet frames, sent and received by an interface of this machine, beside the kernel's own.
///
/// The stack behind it is a station of its own on the interface's network, with a [link address](Self::mac) of its own. Frames for
/// that address and for groups are received; all others, those of VLANs, and what this machine sends are not. So this machine itself
/// does not reach the stack by that interface, and the stack does not reach this machine: as with a macvlan, it takes a neighbour,
/// the other end of a `veth` for instance.
///
/// What arrives may be a super-segment or have a partial checksum, as the interface hands it over: a `veth` computes no checksum at all. What
/// leaves may as well, unless [`PacketSocketBuilder::offload`] says otherwise; the kernel does what the interface cannot.
///
/// A frame that cannot leave, in particular because the interface is down, is dropped and counted.
#[derive(Debug)]
pub struct PacketSocket {
    exchange: Exchange,
    name: String,
    index: u32,
    mtu: u16,
    mac: MacAddr,
}

/// Opens a [`PacketSocket`].
///
/// # Examples
///
/// ```no_run
/// use handwave_device::PacketSocketBuilder;
/// use handwave_wire::ethernet::MacAddr;
///
/// let socket = PacketSocketBuilder::new("eth0").mac(MacAddr([2, 0, 0, 0, 0, 42])).open()?;
/// assert_eq!(socket.name(), "eth0");
/// # Ok::<(), handwave_device::PacketSocketError>(())
/// ```
#[derive(Clone, Debug)]
pub struct PacketSocketBuilder {
    name: String,
    mac: Option<MacAddr>,
    offload: bool,
}

impl PacketSocketBuilder {
    /// Starts with the interface of this name, a link address derived from the interface's, and offload.
    #[must_use]
    pub fn new(interface: impl Into<String>) -> Self {
        Self {
            name: interface.into(),
            mac: None,
            offload: true,
        }
    }

    /// The link address to receive frames for.
    ///
    /// If it is not the interface's, the interface is made promiscuous for as long as the device exists. If it is, the kernel sees every
    /// frame, too, and forwards or refuses what is not for its addresses if it is told to.
    #[must_use]
    pub fn mac(mut self, mac: MacAddr) -> Self {
        self.mac = Some(mac);
        self
    }

    /// Whether super-segments and partial checksums are left to the kernel, or are cut and completed here. Concerns what leaves only.
    #[must_use]
    pub fn offload(mut self, offload: bool) -> Self {
        self.offload = offload;
        self
    }

    /// Opens the socket.
    ///
    /// # Errors
    ///
    /// Each [`PacketSocketError`] says what is missing, and what to do.
    pub fn open(self) -> Result<PacketSocket, PacketSocketError> {
        let mut sockets = self.open_queues(1)?;
        sockets.pop().ok_or(bad_queues(0))
    }

    /// Opens several sockets that share what arrives, one for each shard of a stack: all frames of a flow come in by the same
    /// (`PACKET_FANOUT_HASH`), which the kernel chooses.
    ///
    /// # Errors
    ///
    /// Those of [`open`](Self::open), [`PacketSocketError::BadQueues`] for a number the kernel does not take, and
    /// [`PacketSocketError::Down`] for several queues of an interface that is down.
    ///
    /// ```no_run
    /// use handwave_device::PacketSocketBuilder;
    ///
    /// let queues = PacketSocketBuilder::new("eth0").open_queues(2)?;
    /// assert_eq!(queues[0].mac(), queues[1].mac());
    /// # Ok::<(), handwave_device::PacketSocketError>(())
    /// ```
    pub fn open_queues(self, count: usize) -> Result<Vec<PacketSocket>, PacketSocketError> {
        if !(1..=QUEUES_MAX).contains(&count) {
            return Err(bad_queues(count));
        }
        let name = &self.name;
        let link = Netlink::open().and_then(|netlink| netlink.link(name));
        let link = link
            .map_err(|error| PacketSocketError::system("look for", name, error))?
            .ok_or_else(|| PacketSocketError::NotFound { name: name.clone() })?;
        let own = link.mac;
        let own = own.ok_or_else(|| PacketSocketError::NotEthernet { name: name.clone() })?;
        let mac = self.mac.unwrap_or_else(|| beside(own));
        if !mac.is_unicast() {
            return Err(PacketSocketError::BadMac { mac });
        }
        let sockets = (0..count).map(|_| self.bind(&link, mac != own));
        let sockets: Vec<OwnedFd> = sockets.collect::<Result<_, _>>()?;
        self.share(&link, &sockets)?;
        for socket in &sockets {
            calls::filter_for(socket.as_fd(), mac)
                .map_err(|errno| PacketSocketError::system("filter the frames of", name, errno))?;
        }
        let sockets = sockets.into_iter();
        Ok(sockets
            .map(|socket| self.device(&link, mac, socket))
            .collect())
    }

    /// A socket that is bound to the interface and receives nothing yet.
    fn bind(&self, link: &Link, promiscuous: bool) -> Result<OwnedFd, PacketSocketError> {
        let refused =
            |doing| move |errno: Errno| PacketSocketError::system(doing, &self.name, errno);
        // Without a protocol nothing is received before everything is set.
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket =
            socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None).map_err(|errno| {
                match errno {
                    Errno::PERM | Errno::ACCESS => PacketSocketError::no_privilege(&self.name),
                    errno => refused("open a packet socket on")(errno),
                }
            })?;
        let index = link.index.cast_signed();
        calls::filter_all(socket.as_fd()).map_err(refused("filter the frames of"))?;
        calls::ignore_outgoing(socket.as_fd())
            .map_err(refused("leave out what this machine sends by"))?;
        calls::set_vnet_header(socket.as_fd()).map_err(refused("exchange offloads with"))?;
        set_buffers(socket.as_fd());
        if promiscuous {
            calls::take_all(socket.as_fd(), index).map_err(refused("make promiscuous"))?;
        }
        calls::bind(socket.as_fd(), index).map_err(refused("bind a packet socket to"))?;
        Ok(socket)
    }

    /// Has several sockets share what arrives, before any lets something in: no frame comes in twice.
    fn share(&self, link: &Link, sockets: &[OwnedFd]) -> Result<(), PacketSocketError> {
        let (first, others) = match sockets {
            [] | [_] => return Ok(()),
            [first, others @ ..] => (first, others),
        };
        let name = &self.name;
        if !link.is_up {
            return Err(PacketSocketError::Down { name: name.clone() });
        }
        let refused = |errno| PacketSocketError::system("share among queues", name, errno);
        let group = calls::begin_group(first.as_fd()).map_err(refused)?;
        others
            .iter()
            .try_for_each(|other| calls::join_group(other.as_fd(), group).map_err(refused))
    }

    fn device(&self, link: &Link, mac: MacAddr, socket: OwnedFd) -> PacketSocket {
        let mtu = u16::try_from(link.mtu).unwrap_or(u16::MAX);
        let exchange = Exchange::new(socket, Medium::Ethernet, mtu, Framing::VirtioNet);
        PacketSocket {
            exchange: match self.offload {
                true => exchange,
                false => exchange.without_sending_offload(),
            },
            name: link.name.clone(),
            index: link.index,
            mtu,
            mac,
        }
    }
}

/// More than the system's limit takes a privilege; without it, the limit has to do.
fn set_buffers(socket: BorrowedFd<'_>) {
    if set_socket_recv_buffer_size_force(socket, SOCKET_BUFFER).is_err() {
        let _set = set_socket_recv_buffer_size(socket, SOCKET_BUFFER);
    }
    if set_socket_send_buffer_size_force(socket, SOCKET_BUFFER).is_err() {
        let _set = set_socket_send_buffer_size(socket, SOCKET_BUFFER);
    }
}

fn bad_queues(asked: usize) -> PacketSocketError {
    PacketSocketError::BadQueues {
        asked,
        at_most: QUEUES_MAX,
    }
}

/// A locally administered address that is not the interface's own, and is the same at each start.
fn beside(own: MacAddr) -> MacAddr {
    const LOCAL: u8 = 0x02;
    const ANOTHER: u8 = 0x40;
    let MacAddr([first, rest @ ..]) = own;
    let [b, c, d, e, f] = rest;
    MacAddr([(first ^ ANOTHER) | LOCAL, b, c, d, e, f])
}

impl PacketSocket {
    /// Opens a packet socket on the interface of this name, with everything else as a [`PacketSocketBuilder`] starts with.
    ///
    /// # Errors
    ///
    /// Those of [`PacketSocketBuilder::open`].
    pub fn open(interface: &str) -> Result<Self, PacketSocketError> {
        PacketSocketBuilder::new(interface).open()
    }

    /// The interface's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The link address that frames are received for.
    #[must_use]
    pub const fn mac(&self) -> MacAddr {
        self.mac
    }

    /// Whether super-segments and partial checksums leave as they are, instead of being cut and completed here.
    #[must_use]
    pub fn has_offload(&self) -> bool {
        self.exchange.has_offload()
    }

    fn interface_exists(&self) -> bool {
        netdevice::index_to_name_inlined(&self.exchange, self.index).is_ok()
    }

    fn gone(&self) -> io::Error {
        let text = format!(
            "the interface {} was deleted while it was in use",
            self.name
        );
        io::Error::new(io::ErrorKind::BrokenPipe, text)
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.exchange.as_fd()
    }
}

impl Device for PacketSocket {
    fn medium(&self) -> Medium {
        Medium::Ethernet
    }

    fn mtu(&self) -> u16 {
        self.mtu
    }

    fn mac(&self) -> Option<MacAddr> {
        Some(self.mac)
    }

    fn receive(&mut self, max: usize, out: &mut Vec<PacketBuf>) -> io::Result<usize> {
        let before = out.len();
        loop {
            match self.exchange.receive(max - (out.len() - before), out) {
                Ok(_) => return Ok(out.len() - before),
                // Said once: the interface went down, and may come up again, or has gone.
                Err(error) if is(&error, Errno::NETDOWN) && self.interface_exists() => {}
                Err(error) if is(&error, Errno::NETDOWN) => return Err(self.gone()),
                Err(error) => return Err(error),
            }
        }
    }

    fn send(&mut self, packets: &mut VecDeque<PacketBuf>) -> io::Result<usize> {
        let result = self.exchange.send(packets);
        match result {
            Err(error) if is(&error, Errno::NXIO) => Err(self.gone()),
            result => result,
        }
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::Descriptor(self.exchange.as_fd())
    }

    fn counters(&self) -> Counters {
        self.exchange.counters()
    }
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}

#[cfg(test)]
mod tests;
