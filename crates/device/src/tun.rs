//! [`Tun`]: packets exchanged with the kernel over a descriptor, one per read and write; with offload, one *super-segment*.
//!
//! Opening one on Linux is [`linux`]'s business; here is what works on any descriptor that keeps packets apart.

mod chunks;
#[cfg(target_os = "linux")]
pub(crate) mod linux;
mod vnet;

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use bytes::Bytes;
use handwave_packet::{PacketBuf, split};
use rustix::io::Errno;

use crate::edge::wire_front;
use crate::{Counters, Device, Medium, Readiness};
use chunks::{Chunks, Read};

/// Slices that one write gathers: the framing, the headers, and the payload's pieces. A packet in more pieces is copied
/// together first.
const GATHER_MAX: usize = 16;
/// A packet of so many octets, framing included, is copied together and not gathered: the kernel takes one slice in less time.
const TOGETHER_MAX: usize = 256;
/// The length of the longest framing.
const FRAMING_LEN_MAX: usize = vnet::LEN;
/// What the length field of IP can say, with the header of IPv6 on top.
const SUPER_PACKET_LEN_MAX: usize = 65_535 + 40;

/// What stands in front of each packet on a descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Framing {
    /// Nothing: Linux with `IFF_NO_PI`, Android.
    #[default]
    Plain,
    /// Four octets with the address family, as macOS and iOS have it (`utun`).
    AppleFamily,
    /// Two octets of flags and two of Ethernet protocol number: Linux without `IFF_NO_PI`.
    LinuxPacketInfo,
    /// Ten octets of `struct virtio_net_hdr`: Linux with `IFF_VNET_HDR` and `IFF_NO_PI`. Packets may then be super-segments of up to
    /// 64 KiB and have checksums that are not complete, in both directions.
    VirtioNet,
}

/// A TUN device: IP packets over a descriptor that is not blocking.
///
/// With [`Framing::VirtioNet`] (which is what [`Offload`](crate::Offload) asks for on Linux) the kernel and this side exchange
/// super-segments: it cuts what leaves only where a link needs that, and hands over whole what its own TCP has made or its GRO
/// has put together. Datagrams that the kernel hands over in one piece are received one by one. Without that
/// framing super-segments are cut here, in software.
///
/// The interface is as the one who opened it made it. A packet the kernel refuses, in particular because the interface is
/// down, is dropped and counted. Packets are received into chunks that are used again once nobody refers to the packets
/// in them, two full-sized packets to a chunk.
///
/// [`readiness`](Device::readiness) gives the descriptor. A runtime that wants to own what it watches can
/// [`try_clone_to_owned`](BorrowedFd::try_clone_to_owned) it.
#[derive(Debug)]
pub struct Tun {
    descriptor: OwnedFd,
    framing: Framing,
    mtu: u16,
    name: Option<String>,
    chunks: Chunks,
    /// Datagrams that arrived together with one already handed over.
    arrived: VecDeque<PacketBuf>,
    counters: Counters,
    #[cfg(target_os = "linux")]
    attachment: Option<linux::Attachment>,
}

impl Tun {
    /// Uses a descriptor that somebody else has opened and configured: Android's `VpnService.Builder.establish()`, iOS's
    /// packet tunnel, a helper with more privileges.
    ///
    /// Makes the descriptor non-blocking. `mtu` is what the interface was given: a packet that arrives larger than that
    /// is lost.
    ///
    /// # Errors
    ///
    /// When the descriptor cannot be made non-blocking.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::os::unix::net::UnixDatagram;
    /// use handwave_device::{Device, Framing, Tun};
    ///
    /// // Any descriptor that keeps packets apart will do.
    /// let (ours, kernel) = UnixDatagram::pair()?;
    /// let mut tun = Tun::from_fd(ours.into(), 1_500, Framing::AppleFamily)?;
    /// kernel.send(&[0, 0, 0, 2, 0x45, 0, 0, 20])?;
    ///
    /// let mut batch = Vec::new();
    /// assert_eq!(tun.receive(32, &mut batch)?, 1);
    /// assert_eq!(batch[0].to_vec(), [0x45, 0, 0, 20]);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn from_fd(descriptor: OwnedFd, mtu: u16, framing: Framing) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&descriptor, true)?;
        Ok(Self::new(descriptor, mtu, framing))
    }

    fn new(descriptor: OwnedFd, mtu: u16, framing: Framing) -> Self {
        let chunks = match framing {
            Framing::VirtioNet => Chunks::for_any_size(SUPER_PACKET_LEN_MAX + framing.len()),
            _ => Chunks::new(usize::from(mtu) + framing.len()),
        };
        Self {
            descriptor,
            framing,
            mtu,
            name: None,
            chunks,
            arrived: VecDeque::new(),
            counters: Counters::default(),
            #[cfg(target_os = "linux")]
            attachment: None,
        }
    }

    /// Whether super-segments and partial checksums pass, instead of being cut and completed here.
    #[must_use]
    pub fn has_offload(&self) -> bool {
        self.framing == Framing::VirtioNet
    }

    /// The interface's name, where this crate has opened it.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

impl Device for Tun {
    fn medium(&self) -> Medium {
        Medium::Ip
    }

    fn mtu(&self) -> u16 {
        self.mtu
    }

    fn receive(&mut self, max: usize, out: &mut Vec<PacketBuf>) -> io::Result<usize> {
        let mut received = 0;
        while received < max {
            if let Some(packet) = self.arrived.pop_front() {
                received += 1;
                out.push(packet);
                continue;
            }
            match self.chunks.read(self.descriptor.as_fd()) {
                Ok(Read::End) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(Read::TooLong) => self.counters.receive_dropped += 1,
                Ok(Read::Packet(packet)) => {
                    if let Some(packet) = self.take_in(packet) {
                        received += 1;
                        out.push(packet);
                    }
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(final_error(error)),
            }
        }
        Ok(received)
    }

    fn send(&mut self, packets: &mut VecDeque<PacketBuf>) -> io::Result<usize> {
        let mut sent = 0;
        while let Some((front, packet)) = framed_front(self.framing, packets) {
            match write(
                self.descriptor.as_fd(),
                &front[..self.framing.len()],
                packet,
            ) {
                Ok(()) => {
                    self.counters.sent += 1;
                    sent += 1;
                }
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => break,
                Err(error) if concerns_one_packet(error) => self.counters.send_dropped += 1,
                Err(error) => return Err(final_error(error)),
            }
            packets.pop_front();
        }
        Ok(sent)
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::Descriptor(self.descriptor.as_fd())
    }

    fn counters(&self) -> Counters {
        self.counters
    }
}

impl Tun {
    /// Takes the framing off; `None` if nothing is to be handed on.
    fn take_in(&mut self, mut packet: PacketBuf) -> Option<PacketBuf> {
        let framed = packet.len() > self.framing.len();
        let whole = match self.framing {
            Framing::VirtioNet if framed => vnet::decode(&mut packet).is_some(),
            framing => {
                packet.advance(framing.len());
                framed
            }
        };
        if !whole {
            self.counters.receive_dropped += 1;
            return None;
        }
        if self.framing == Framing::VirtioNet && vnet::is_several_datagrams(&mut packet) {
            self.arrived.extend(split::segments(packet));
            self.counters.received += self.arrived.len() as u64;
            return self.arrived.pop_front();
        }
        self.counters.received += 1;
        Some(packet)
    }
}

#[cfg(target_os = "linux")]
impl Drop for Tun {
    fn drop(&mut self) {
        if let Some(attachment) = self.attachment.take() {
            attachment.leave(self.descriptor.as_fd());
        }
    }
}

/// The first packet of the queue as the descriptor takes it, and what stands in front of it.
fn framed_front(
    framing: Framing,
    packets: &mut VecDeque<PacketBuf>,
) -> Option<([u8; FRAMING_LEN_MAX], &PacketBuf)> {
    if framing == Framing::VirtioNet
        && let Some(front) = vnet::encode(packets.front_mut()?)
    {
        return Some((front, packets.front()?));
    }
    let packet = wire_front(Medium::Ip, packets)?;
    Some((framing.front(packet), packet))
}

/// Writes one packet, gathered from where its parts lie.
fn write(descriptor: BorrowedFd<'_>, front: &[u8], packet: &PacketBuf) -> rustix::io::Result<()> {
    let len = front.len() + packet.len();
    if len <= TOGETHER_MAX {
        let mut together = [0; TOGETHER_MAX];
        together[..front.len()].copy_from_slice(front);
        packet.write_to(&mut together[front.len()..]);
        return rustix::io::write(descriptor, &together[..len]).map(drop);
    }
    let mut slices = [IoSlice::new(&[]); GATHER_MAX];
    let pieces = packet.payload().pieces().map(|piece: &Bytes| &piece[..]);
    let parts = [front, packet.head()]
        .into_iter()
        .chain(pieces)
        .filter(|part| !part.is_empty());
    let mut count = 0;
    for part in parts {
        let Some(slot) = slices.get_mut(count) else {
            let mut whole = packet.clone();
            whole.linearize();
            return write(descriptor, front, &whole);
        };
        *slot = IoSlice::new(part);
        count += 1;
    }
    rustix::io::writev(descriptor, &slices[..count]).map(drop)
}

/// Whether the kernel refuses this packet, and may well take the next: the interface is down, there is no memory at the
/// moment, or the octets are no IP packet.
fn concerns_one_packet(error: Errno) -> bool {
    [
        Errno::IO,
        Errno::INVAL,
        Errno::NOMEM,
        Errno::NOBUFS,
        Errno::MSGSIZE,
    ]
    .contains(&error)
}

/// Says in words what the kernel says with numbers that mean something else elsewhere.
fn final_error(error: Errno) -> io::Error {
    #[cfg(target_os = "linux")]
    if [Errno::BADFD, Errno::FAULT].contains(&error) {
        return io::Error::new(
            io::ErrorKind::BrokenPipe,
            "the TUN interface was deleted while it was in use",
        );
    }
    error.into()
}

impl Framing {
    const fn len(self) -> usize {
        match self {
            Self::Plain => 0,
            Self::AppleFamily | Self::LinuxPacketInfo => 4,
            Self::VirtioNet => vnet::LEN,
        }
    }

    /// What to put in front of a packet, as far as [`len`](Self::len) goes.
    fn front(self, packet: &PacketBuf) -> [u8; FRAMING_LEN_MAX] {
        const APPLE_INET: u8 = 2;
        const APPLE_INET6: u8 = 30;
        let is_v6 = packet
            .contiguous()
            .first()
            .is_some_and(|first| first >> 4 == 6);
        let octets: &[u8] = match (self, is_v6) {
            // All zero in front of a packet that is complete.
            (Self::Plain | Self::VirtioNet, _) => &[],
            (Self::AppleFamily, false) => &[0, 0, 0, APPLE_INET],
            (Self::AppleFamily, true) => &[0, 0, 0, APPLE_INET6],
            (Self::LinuxPacketInfo, false) => &[0, 0, 0x08, 0x00],
            (Self::LinuxPacketInfo, true) => &[0, 0, 0x86, 0xDD],
        };
        let mut front = [0; FRAMING_LEN_MAX];
        front[..octets.len()].copy_from_slice(octets);
        front
    }
}

#[cfg(test)]
mod tests;
