//! [`Tun`]: packets exchanged with the kernel over a descriptor, one per read and write.
//!
//! Opening one on Linux is [`linux`]'s business; here is what works on any descriptor that keeps packets apart.

mod chunks;
#[cfg(target_os = "linux")]
pub(crate) mod linux;

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use bytes::Bytes;
use handwave_packet::PacketBuf;
use rustix::io::Errno;

use crate::edge::wire_front;
use crate::{Counters, Device, Medium, Readiness};
use chunks::{Chunks, Read};

/// Slices that one write gathers: the framing, the headers, and the payload's pieces. A packet in more pieces is copied
/// together first.
const GATHER_MAX: usize = 16;
/// The length of either framing.
const FRAMING_LEN: usize = 4;

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
}

/// A TUN device: IP packets over a descriptor that is not blocking.
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
    counters: Counters,
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
        Ok(Self {
            descriptor,
            framing,
            mtu,
            name: None,
            chunks: Chunks::new(usize::from(mtu) + framing.len()),
            counters: Counters::default(),
        })
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
            match self.chunks.read(self.descriptor.as_fd()) {
                Ok(Read::End) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(Read::TooLong) => self.counters.receive_dropped += 1,
                Ok(Read::Packet(mut packet)) => {
                    if packet.len() <= self.framing.len() {
                        self.counters.receive_dropped += 1;
                        continue;
                    }
                    packet.advance(self.framing.len());
                    self.counters.received += 1;
                    received += 1;
                    out.push(packet);
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
        while let Some(packet) = wire_front(Medium::Ip, packets) {
            match write(self.descriptor.as_fd(), self.framing, packet) {
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

/// Writes one packet, gathered from where its parts lie.
fn write(
    descriptor: BorrowedFd<'_>,
    framing: Framing,
    packet: &PacketBuf,
) -> rustix::io::Result<()> {
    let front = framing.front(packet);
    let mut slices = [IoSlice::new(&[]); GATHER_MAX];
    let pieces = packet.payload().pieces().map(|piece: &Bytes| &piece[..]);
    let parts = [&front[..framing.len()], packet.head()]
        .into_iter()
        .chain(pieces)
        .filter(|part| !part.is_empty());
    let mut count = 0;
    for part in parts {
        let Some(slot) = slices.get_mut(count) else {
            let mut whole = packet.clone();
            whole.linearize();
            return write(descriptor, framing, &whole);
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
            Self::AppleFamily | Self::LinuxPacketInfo => FRAMING_LEN,
        }
    }

    /// What to put in front of a packet, as far as [`len`](Self::len) goes.
    fn front(self, packet: &PacketBuf) -> [u8; FRAMING_LEN] {
        const APPLE_INET: u8 = 2;
        const APPLE_INET6: u8 = 30;
        let is_v6 = packet
            .contiguous()
            .first()
            .is_some_and(|first| first >> 4 == 6);
        match (self, is_v6) {
            (Self::Plain, _) => [0; FRAMING_LEN],
            (Self::AppleFamily, false) => [0, 0, 0, APPLE_INET],
            (Self::AppleFamily, true) => [0, 0, 0, APPLE_INET6],
            (Self::LinuxPacketInfo, false) => [0, 0, 0x08, 0x00],
            (Self::LinuxPacketInfo, true) => [0, 0, 0x86, 0xDD],
        }
    }
}

#[cfg(test)]
mod tests;
