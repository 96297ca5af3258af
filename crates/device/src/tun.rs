//! [`Tun`]: IP packets exchanged with the kernel.
//!
//! Opening one on Linux is [`linux`]'s business; here is what works on any descriptor that keeps packets apart.

#[cfg(target_os = "linux")]
pub(crate) mod linux;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use handwave_packet::PacketBuf;
#[cfg(target_os = "linux")]
use rustix::io::Errno;

use crate::exchange::{Exchange, Framing};
use crate::{Counters, Device, Medium, Readiness};

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
    exchange: Exchange,
    mtu: u16,
    name: Option<String>,
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
        Self {
            exchange: Exchange::new(descriptor, Medium::Ip, mtu, framing),
            mtu,
            name: None,
            #[cfg(target_os = "linux")]
            attachment: None,
        }
    }

    /// Whether super-segments and partial checksums pass, instead of being cut and completed here.
    #[must_use]
    pub fn has_offload(&self) -> bool {
        self.exchange.has_offload()
    }

    /// The interface's name, where this crate has opened it.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.exchange.as_fd()
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
        self.exchange.receive(max, out).map_err(final_error)
    }

    fn join_segments(&mut self) {
        self.exchange.join_segments();
    }

    fn send(&mut self, packets: &mut VecDeque<PacketBuf>) -> io::Result<usize> {
        self.exchange.send(packets).map_err(final_error)
    }

    fn readiness(&self) -> Readiness<'_> {
        Readiness::Descriptor(self.exchange.as_fd())
    }

    fn counters(&self) -> Counters {
        self.exchange.counters()
    }
}

#[cfg(target_os = "linux")]
impl Drop for Tun {
    fn drop(&mut self) {
        if let Some(attachment) = self.attachment.take() {
            attachment.leave(self.exchange.as_fd());
        }
    }
}

/// Says in words what the kernel says with numbers that mean something else elsewhere.
fn final_error(error: io::Error) -> io::Error {
    #[cfg(target_os = "linux")]
    if [Errno::BADFD, Errno::FAULT].contains(&Errno::from_io_error(&error).unwrap_or(Errno::IO)) {
        return io::Error::new(
            io::ErrorKind::BrokenPipe,
            "the TUN interface was deleted while it was in use",
        );
    }
    error
}

#[cfg(test)]
mod tests;
