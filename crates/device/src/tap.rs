//! [`Tap`]: records what passes through a device as pcapng.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

use handwave_capture::{CaptureError, Direction, LinkType, Packet, Writer};
use handwave_packet::{ChecksumMark, PacketBuf};
use handwave_wire::ethernet::MacAddr;

use crate::edge::{self, wire_front};
use crate::{Counters, Device, Medium, Readiness};

/// A device that records every packet it hands on, in both directions.
///
/// The capture shows packets as they are on the wire: a super-segment is cut and its checksums completed before it is recorded, even
/// where the device below takes it or has given it whole. A packet is recorded once the device below has taken it, so nothing appears twice.
///
/// A capture that fails (a full disk) does not take the network with it: recording ends, and [`error`](Self::error) and
/// [`finish`](Self::finish) say why.
///
/// # Examples
///
/// ```
/// use std::collections::VecDeque;
/// use std::time::Duration;
/// use handwave_capture::{Direction, Reader};
/// use handwave_device::{Device, Tap, pair};
/// use handwave_packet::PacketBuf;
///
/// let (device, _other_end) = pair(1_500, 8);
/// let mut tap = Tap::new(device, Vec::new(), "client", || Duration::from_secs(1))?;
/// tap.send(&mut VecDeque::from([PacketBuf::from(vec![0x45; 20])])).expect("the other end is there");
///
/// let (_device, file) = tap.finish()?;
/// let packet = Reader::new(&file[..])?.next().expect("one packet")?;
/// assert_eq!((packet.time, packet.direction), (Duration::from_secs(1), Some(Direction::Outbound)));
/// # Ok::<(), handwave_capture::CaptureError>(())
/// ```
pub struct Tap<D, W: Write, C> {
    device: D,
    clock: C,
    recorder: Recorder<W>,
    /// The packet being offered to the device below; kept to use its memory again.
    offered: VecDeque<PacketBuf>,
}

struct Recorder<W: Write> {
    medium: Medium,
    writer: Writer<W>,
    failed: Option<CaptureError>,
    octets: Vec<u8>,
}

impl<D: Device, W: Write, C: FnMut() -> Duration> Tap<D, W, C> {
    /// Records what passes through `device` on `output`, as an interface called `name`.
    ///
    /// `clock` gives the time of a packet as a span since the Unix epoch; in virtual time, since the start.
    /// Give a buffered `output`.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Io`] when the head of the file cannot be written.
    pub fn new(device: D, output: W, name: &str, clock: C) -> Result<Self, CaptureError> {
        let medium = device.medium();
        let link_type = match medium {
            Medium::Ip => LinkType::RawIp,
            Medium::Ethernet => LinkType::Ethernet,
        };
        Ok(Self {
            device,
            clock,
            recorder: Recorder {
                medium,
                writer: Writer::new(output, link_type, name)?,
                failed: None,
                octets: Vec::new(),
            },
            offered: VecDeque::new(),
        })
    }

    /// Why recording has ended, if it has.
    pub fn error(&self) -> Option<&CaptureError> {
        self.recorder.failed.as_ref()
    }

    /// The number of packets recorded.
    pub fn packets(&self) -> u64 {
        self.recorder.writer.packets()
    }

    /// Completes the capture and hands back the device and the output.
    ///
    /// # Errors
    ///
    /// The [`CaptureError`] that ended the recording before, or the one that completing it meets.
    pub fn finish(self) -> Result<(D, W), CaptureError> {
        if let Some(error) = self.recorder.failed {
            return Err(error);
        }
        Ok((self.device, self.recorder.writer.finish()?))
    }
}

impl<W: Write> Recorder<W> {
    /// Records what a packet stands for.
    fn record_received(&mut self, time: Duration, packet: &PacketBuf) {
        let plain = packet.segment_size().is_none() && packet.checksum() != ChecksumMark::Partial;
        if self.failed.is_some() || plain {
            return self.record(time, Direction::Inbound, packet);
        }
        for segment in edge::segments(self.medium, packet.clone()) {
            self.record(time, Direction::Inbound, &segment);
        }
    }

    fn record(&mut self, time: Duration, direction: Direction, packet: &PacketBuf) {
        if self.failed.is_some() {
            return;
        }
        self.octets.resize(packet.len(), 0);
        packet.write_to(&mut self.octets);
        let packet = Packet::new(time, &self.octets[..]).with_direction(direction);
        self.failed = self.writer.write(&packet).err();
    }
}

impl<D: Device, W: Write, C: FnMut() -> Duration> Device for Tap<D, W, C> {
    fn medium(&self) -> Medium {
        self.device.medium()
    }

    fn mtu(&self) -> u16 {
        self.device.mtu()
    }

    fn mac(&self) -> Option<MacAddr> {
        self.device.mac()
    }

    fn receive(&mut self, max: usize, out: &mut Vec<PacketBuf>) -> io::Result<usize> {
        let before = out.len();
        let result = self.device.receive(max, out);
        if out.len() > before {
            let time = (self.clock)();
            for packet in &out[before..] {
                self.recorder.record_received(time, packet);
            }
        }
        result
    }

    fn send(&mut self, packets: &mut VecDeque<PacketBuf>) -> io::Result<usize> {
        let mut sent = 0;
        while let Some(packet) = wire_front(self.device.medium(), packets) {
            let copy = packet.clone();
            self.offered.extend(packets.pop_front());
            let result = self.device.send(&mut self.offered);
            if let Some(back) = self.offered.pop_front() {
                packets.push_front(back);
                return result.map(|_| sent);
            }
            // Zero if the device dropped it; then it was on no wire.
            if result? > 0 {
                sent += 1;
                let time = (self.clock)();
                self.recorder.record(time, Direction::Outbound, &copy);
            }
        }
        Ok(sent)
    }

    fn readiness(&self) -> Readiness<'_> {
        self.device.readiness()
    }

    fn counters(&self) -> Counters {
        self.device.counters()
    }
}

impl<D: fmt::Debug, W: Write, C> fmt::Debug for Tap<D, W, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap")
            .field("device", &self.device)
            .field("packets", &self.recorder.writer.packets())
            .field("error", &self.recorder.failed)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
