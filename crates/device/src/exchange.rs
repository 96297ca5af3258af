//! [`Exchange`]: packets exchanged with the kernel over a descriptor, one per read and write; with offload, one *super-segment*.
//!
//! Works on any descriptor that keeps packets apart. Opening one is the devices' business.
//!
//! Each packet is a system call of its own. `io_uring` carries out many in one: over a TUN that takes a tenth off a read (65 of 700 ns)
//! and a sixth off a write (360 of 2,100 ns) in batches of 32, and adds a microsecond to the 12 of a ping-pong, where nothing can be
//! batched (Linux 6.18). Batches are short where packets are super-segments, so it would pay on the way out without offload alone.

mod chunks;
mod joint;
mod trains;
pub(crate) mod vnet;

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use bytes::{Bytes, BytesMut};
use handwave_packet::{PacketBuf, split};
use rustix::io::{Errno, retry_on_intr};

use crate::edge::{self, packet_len_max, wire_front};
use crate::{Counters, Medium};
use chunks::{Chunks, Read};
use trains::Taken;
pub use trains::Trains;

/// Slices that one write gathers: the framing, the headers, and the payload's pieces. A packet in more pieces is copied
/// together first.
pub(crate) const GATHER_MAX: usize = 16;
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

/// One end of a descriptor that keeps packets apart.
#[derive(Debug)]
pub(crate) struct Exchange {
    descriptor: OwnedFd,
    framing: Framing,
    medium: Medium,
    /// Whether what leaves may be a super-segment or have a partial checksum; the framing has to say so.
    offloads_sending: bool,
    chunks: Chunks,
    /// Instead, where packets are joined.
    trains: Option<Trains>,
    packet_len_max: usize,
    /// Datagrams that arrived together with one already handed over.
    arrived: VecDeque<PacketBuf>,
    counters: Counters,
    /// The segment that leaves.
    frame: BytesMut,
}

impl Exchange {
    /// Takes a descriptor that does not block. With [`Framing::VirtioNet`] packets larger than the MTU may come in and go out.
    pub(crate) fn new(descriptor: OwnedFd, medium: Medium, mtu: u16, framing: Framing) -> Self {
        let offloads = framing == Framing::VirtioNet;
        let around = framing.len() + packet_len_max(medium, 0);
        let chunks = match offloads {
            true => Chunks::for_any_size(SUPER_PACKET_LEN_MAX + around),
            false => Chunks::new(usize::from(mtu) + around),
        };
        Self {
            descriptor,
            framing,
            medium,
            offloads_sending: offloads,
            chunks,
            trains: None,
            packet_len_max: usize::from(mtu) + around,
            arrived: VecDeque::new(),
            counters: Counters::default(),
            frame: BytesMut::new(),
        }
    }

    /// Sends what goes on the wire as it is, whatever may come in.
    pub(crate) fn without_sending_offload(mut self) -> Self {
        self.offloads_sending = false;
        self
    }

    /// Joins packets that follow each other from now on, where that is of use: the kernel does not.
    pub(crate) fn join_segments(&mut self) {
        if (self.framing, self.medium) == (Framing::Plain, Medium::Ip) {
            self.trains = Trains::new(self.packet_len_max);
        }
    }

    /// Whether super-segments and partial checksums may leave.
    pub(crate) fn has_offload(&self) -> bool {
        self.offloads_sending
    }

    pub(crate) fn counters(&self) -> Counters {
        self.counters
    }

    #[cfg(test)]
    pub(crate) fn pool_stats(&self) -> handwave_packet::PoolStats {
        self.chunks.stats()
    }

    /// Does what [`Device::receive`](crate::Device::receive) says; errors are the kernel's.
    pub(crate) fn receive(&mut self, max: usize, out: &mut Vec<PacketBuf>) -> io::Result<usize> {
        if let Some(trains) = &mut self.trains {
            let (taken, result) = trains.read(self.descriptor.as_fd(), max, out);
            self.counters.received += taken.packets as u64;
            self.counters.receive_dropped += taken.too_long;
            result?;
            return match taken {
                Taken {
                    packets: 0,
                    ended: true,
                    ..
                } => Err(io::ErrorKind::UnexpectedEof.into()),
                // It says so again.
                taken => Ok(taken.packets),
            };
        }
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
                Err(error) => return Err(error.into()),
            }
        }
        Ok(received)
    }

    /// Does what [`Device::send`](crate::Device::send) says; errors are the kernel's.
    pub(crate) fn send(&mut self, packets: &mut VecDeque<PacketBuf>) -> io::Result<usize> {
        let before = self.counters.sent;
        while !packets.is_empty() {
            let has_room = match packets.pop_front_if(|packet| self.cuts(packet)) {
                Some(whole) => self.send_cut(whole, packets)?,
                None => self.send_front(packets)?,
            };
            if !has_room {
                break;
            }
        }
        Ok(usize::try_from(self.counters.sent - before).unwrap_or(usize::MAX))
    }

    /// Whether a packet is a super-segment that has to be cut here, and can be as it leaves.
    fn cuts(&self, packet: &PacketBuf) -> bool {
        !self.offloads_sending && self.medium == Medium::Ip && packet.segment_size().is_some()
    }

    /// Sends the first packet of the queue; whether there is room for more.
    fn send_front(&mut self, packets: &mut VecDeque<PacketBuf>) -> io::Result<bool> {
        let Some((front, packet)) = self.framed_front(packets) else {
            return Ok(true);
        };
        let front = &front[..self.framing.len()];
        let written = write(self.descriptor.as_fd(), front, packet);
        let has_room = self.counters.count(written)?;
        if has_room {
            packets.pop_front();
        }
        Ok(has_room)
    }

    /// Sends the segments of a super-segment, each copied together as it leaves: text that many packets are cut from is not taken apart into
    /// slices first, and the kernel is given one that is in the nearest cache. What finds no room goes back to the front; whether there is
    /// room for more.
    fn send_cut(
        &mut self,
        whole: PacketBuf,
        packets: &mut VecDeque<PacketBuf>,
    ) -> io::Result<bool> {
        let front = self.framing.front(&whole);
        let framing_len = self.framing.len();
        let mut segments = split::segments(whole);
        loop {
            self.frame.clear();
            self.frame.extend_from_slice(&front[..framing_len]);
            if segments.write_next(&mut self.frame).is_none() {
                return Ok(true);
            }
            let written = retry_on_intr(|| rustix::io::write(&self.descriptor, &self.frame));
            let counted = self.counters.count(written.map(drop));
            if !matches!(counted, Ok(true)) {
                let first = Bytes::copy_from_slice(&self.frame[framing_len..]);
                let left: Vec<_> = std::iter::once(first.into()).chain(segments).collect();
                left.into_iter()
                    .rev()
                    .for_each(|segment| packets.push_front(segment));
                return counted;
            }
        }
    }

    /// Takes the framing off; `None` if nothing is to be handed on.
    fn take_in(&mut self, mut packet: PacketBuf) -> Option<PacketBuf> {
        let mut whole = packet.len() > self.framing.len();
        let mut is_several_datagrams = false;
        match self.framing {
            Framing::VirtioNet if whole => match vnet::decode(&mut packet) {
                Some(kind) => is_several_datagrams = kind == vnet::Kind::Datagrams,
                None => whole = false,
            },
            framing => packet.advance(framing.len()),
        }
        if !whole {
            self.counters.receive_dropped += 1;
            return None;
        }
        if is_several_datagrams {
            self.arrived.extend(edge::segments(self.medium, packet));
            self.counters.received += self.arrived.len() as u64;
            return self.arrived.pop_front();
        }
        self.counters.received += 1;
        Some(packet)
    }

    /// The first packet of the queue as the descriptor takes it, and what stands in front of it.
    fn framed_front<'a>(
        &self,
        packets: &'a mut VecDeque<PacketBuf>,
    ) -> Option<([u8; FRAMING_LEN_MAX], &'a PacketBuf)> {
        if self.offloads_sending
            && let Some(front) = vnet::encode(self.medium, packets.front_mut()?)
        {
            return Some((front, packets.front()?));
        }
        let packet = wire_front(self.medium, packets)?;
        Some((self.framing.front(packet), packet))
    }
}

impl AsFd for Exchange {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// Writes one packet, gathered from where its parts lie.
fn write(descriptor: BorrowedFd<'_>, front: &[u8], packet: &PacketBuf) -> rustix::io::Result<()> {
    let len = front.len() + packet.len();
    if len <= TOGETHER_MAX {
        let mut together = [0; TOGETHER_MAX];
        together[..front.len()].copy_from_slice(front);
        packet.write_to(&mut together[front.len()..]);
        return retry_on_intr(|| rustix::io::write(descriptor, &together[..len])).map(drop);
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
    retry_on_intr(|| rustix::io::writev(descriptor, &slices[..count])).map(drop)
}

impl Counters {
    /// Counts a packet that was written, or never will be; whether it is done with. Otherwise there is no room now.
    fn count(&mut self, written: rustix::io::Result<()>) -> io::Result<bool> {
        match written {
            Ok(()) => self.sent += 1,
            Err(Errno::AGAIN) => return Ok(false),
            Err(error) if concerns_one_packet(error) => self.send_dropped += 1,
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }
}

/// Whether the kernel refuses this packet, and may well take the next: the interface is down, there is no memory at the
/// moment, or the octets are no packet.
fn concerns_one_packet(error: Errno) -> bool {
    [
        Errno::IO,
        Errno::NETDOWN,
        Errno::INVAL,
        Errno::NOMEM,
        Errno::NOBUFS,
        Errno::MSGSIZE,
    ]
    .contains(&error)
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
