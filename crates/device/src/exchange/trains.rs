//! Reading packets so that the text of those that follow each other lies in one piece, as if they had come as one.
//!
//! Each packet is a read and a header to look at, but what it costs afterwards, a slice, its bookkeeping and its way through the stack, is
//! spent once for all that are joined. Nothing is copied: a packet that is likely to go on is read so that its headers come to lie over the end of the
//! text before, which is put back when they have been looked at.

use std::os::fd::BorrowedFd;

use bytes::BytesMut;
use handwave_packet::{ChecksumMark, PacketBuf};
use rustix::io::Errno;

use super::chunks::{SMALL_MAX, Source};
use super::joint::{HEADERS_MAX, Joint};

/// As much as an IP packet can be, and a last read behind it.
const CHUNK_SIZE: usize = 68 << 10;
/// Memory that the pool may keep.
const POOLED_MAX: usize = 4 << 20;
/// Packets that a chunk has to have room for where the first is read.
const ROOM_MIN: usize = 8;

/// Reads packets so that the text of those that follow each other in one connection lies in one piece, and hands them on as super-segments.
///
/// It is what [`Tun`](crate::Tun) does where the kernel joins nothing ([`Device::join_segments`](crate::Device::join_segments)), for devices of the
/// program's own: a tunnel that decrypts each packet into memory decrypts it to where it will stay. What is handed on has been verified, and costs a
/// stack as much as one packet.
///
/// # Examples
///
/// ```
/// use handwave_device::Trains;
///
/// // What a tunnel has decrypted; this is no TCP, so nothing is joined.
/// let mut arrived = vec![vec![0x45; 20], vec![0x46; 24]].into_iter();
/// let (mut trains, mut batch) = (Trains::new(1_500).expect("packets that are worth it"), Vec::new());
/// let count = trains.receive(64, &mut batch, |chunk| {
///     chunk.extend_from_slice(&arrived.next()?);
///     Some(())
/// });
/// assert_eq!((count, batch.len(), batch[1].len()), (2, 2, 24));
/// ```
#[derive(Debug)]
pub struct Trains {
    main: Source,
    /// Where packets go that stay alone, or short: they would keep all of a large chunk.
    small: Source,
    packet_len_max: usize,
    /// The end of the text before, while headers lie there.
    saved: [u8; HEADERS_MAX],
}

/// What one call has read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Taken {
    /// Packets as they came, before they were joined.
    pub(super) packets: usize,
    pub(super) too_long: u64,
    /// The other end has closed.
    pub(super) ended: bool,
}

impl Trains {
    /// For packets of at most `packet_len_max` octets, if that is worth the effort: long ones go through the stack quickly as they are.
    #[must_use]
    pub fn new(packet_len_max: usize) -> Option<Self> {
        (packet_len_max <= SMALL_MAX).then(|| Self {
            main: Source::new(CHUNK_SIZE, POOLED_MAX),
            small: Source::for_small(),
            packet_len_max,
            saved: [0; HEADERS_MAX],
        })
    }

    /// Takes at most `max` packets from `write`, which appends one to what it is given, or nothing and says `None`. Appends them to `out`, joined
    /// where they follow each other; returns how many they were. One that is too long is dropped.
    pub fn receive(
        &mut self,
        max: usize,
        out: &mut Vec<PacketBuf>,
        mut write: impl FnMut(&mut BytesMut) -> Option<()>,
    ) -> usize {
        let read = |source: &mut Source, room: usize| {
            let written = source.write(&mut write);
            written.map(|len| len.min(room)).ok_or(Errno::AGAIN)
        };
        self.take(max, out, read).0.packets
    }

    /// Reads at most `max` packets, and appends them to `out`, joined where they follow each other.
    pub(super) fn read(
        &mut self,
        descriptor: BorrowedFd<'_>,
        max: usize,
        out: &mut Vec<PacketBuf>,
    ) -> (Taken, Result<(), Errno>) {
        self.take(max, out, |source, room| source.read(descriptor, room))
    }

    fn take(
        &mut self,
        max: usize,
        out: &mut Vec<PacketBuf>,
        mut read: impl FnMut(&mut Source, usize) -> Result<usize, Errno>,
    ) -> (Taken, Result<(), Errno>) {
        let mut taken = Taken::default();
        let mut joint = None;
        let mut result = Ok(());
        while taken.packets < max && !taken.ended {
            match self.take_one(&mut read, &mut joint, &mut taken, out) {
                Ok(()) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        self.finish(joint, out);
        (taken, result)
    }

    /// Takes a packet, and joins it to what there is or puts it into `out`, behind what there is.
    fn take_one(
        &mut self,
        mut read: impl FnMut(&mut Source, usize) -> Result<usize, Errno>,
        joint: &mut Option<Joint>,
        taken: &mut Taken,
        out: &mut Vec<PacketBuf>,
    ) -> Result<(), Errno> {
        // One octet more than a packet may have: a packet that fills it was cut off.
        let room = self.packet_len_max + 1;
        if joint.is_some() && self.main.room() < room {
            self.finish(joint.take(), out);
        }
        let Some(known) = joint else {
            self.main.reserve(ROOM_MIN * room);
            let len = read(&mut self.main, room)?;
            match len {
                0 => taken.ended = true,
                len if len == room => taken.too_long += 1,
                _ => {
                    taken.packets += 1;
                    *joint = Joint::begin(self.main.written());
                    if joint.is_none() {
                        out.push(self.alone(0));
                        return Ok(());
                    }
                }
            }
            match joint {
                Some(known) if known.is_complete() => self.finish(joint.take(), out),
                Some(_) => {}
                None => self.main.cut(0),
            }
            return Ok(());
        };
        let overlap = known.text_at();
        let end = self.main.written().len();
        let at = end - overlap;
        self.saved[..overlap].copy_from_slice(&self.main.written()[at..]);
        self.main.cut(at);
        let result = read(&mut self.main, room);
        let len = match result {
            Ok(len) if len > 0 && len < room => len,
            _ => 0,
        };
        if len > 0 && known.join(&self.main.written()[at..]) {
            taken.packets += 1;
            self.main.put(at, &self.saved[..overlap]);
            if known.is_complete() {
                self.finish(joint.take(), out);
            }
            return Ok(());
        }
        let stranger = (len > 0).then(|| self.alone(at));
        self.main.cut(at);
        self.main.append(&self.saved[..overlap]);
        self.finish(joint.take(), out);
        if let Some(stranger) = stranger {
            taken.packets += 1;
            out.push(stranger);
        }
        match result? {
            0 => taken.ended = true,
            len if len == room => taken.too_long += 1,
            _ => {}
        }
        Ok(())
    }

    /// A packet of its own, of what has been written from `at` on, which is taken back.
    fn alone(&mut self, at: usize) -> PacketBuf {
        let packet = self.small.copied(&self.main.written()[at..]);
        self.main.cut(at);
        packet
    }

    /// Puts what has been joined into `out`.
    fn finish(&mut self, joint: Option<Joint>, out: &mut Vec<PacketBuf>) {
        let Some(joint) = joint else {
            return;
        };
        let size = joint.segment_size();
        if size.is_some() {
            joint.finish(self.main.written_mut());
        }
        let mut packet = match self.main.written().len() > SMALL_MAX {
            true => self.main.packet(),
            false => self.alone(0),
        };
        packet.set_checksum(ChecksumMark::Verified);
        packet.set_segment_size(size);
        out.push(packet);
    }
}

#[cfg(test)]
mod tests;
