//! Reading pcapng and classic pcap.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{Chain, Cursor, Read};
use std::path::Path;
use std::time::Duration;

use pcap_file::pcap::{PcapReader, RawPcapPacket};
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::{Block, PcapNgReader};
use pcap_file::{PcapError, TsResolution};

use crate::{CaptureError, Direction, Interface, InterfaceId, LinkType, Packet};

/// The type of a section header block: the same octets in both byte orders.
const PCAPNG_MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
/// The four magic numbers of classic pcap: either byte order, microseconds or nanoseconds.
const PCAP_MAGIC: [[u8; 4]; 4] = [
    [0xa1, 0xb2, 0xc3, 0xd4],
    [0xd4, 0xc3, 0xb2, 0xa1],
    [0xa1, 0xb2, 0x3c, 0x4d],
    [0x4d, 0x3c, 0xb2, 0xa1],
];
/// Where a capture says nothing, timestamps are in microseconds.
const MICROSECONDS: u8 = 6;
/// No file we can hold in memory describes more; a hostile one stops here.
const INTERFACES_MAX: usize = 4096;

/// The octets of the file, with the first four put back.
type Source<R> = Chain<Cursor<[u8; 4]>, R>;

/// Reads the packets of a capture, pcapng or classic pcap, in the order of the file.
///
/// An [`Iterator`] of results: after the first error it ends, because what follows cannot be found again.
///
/// # Examples
///
/// ```no_run
/// use handwave_capture::Reader;
///
/// for packet in Reader::open("lab.pcapng")? {
///     let packet = packet?;
///     println!("{:?} {} octets", packet.time, packet.original_len);
/// }
/// # Ok::<(), handwave_capture::CaptureError>(())
/// ```
pub struct Reader<R: Read> {
    source: Format<R>,
    interfaces: Vec<Described>,
    failed: bool,
}

enum Format<R: Read> {
    PcapNg(PcapNgReader<Source<R>>),
    Pcap(PcapReader<Source<R>>),
}

/// An interface and what its timestamps count.
struct Described {
    interface: Interface,
    resolution: u8,
    /// Seconds to add to every timestamp (`if_tsoffset`, a signed number in an unsigned field).
    offset: i64,
}

impl Reader<File> {
    /// Opens the file at `path` and reads its header.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Io`] when the file cannot be read; otherwise as [`Reader::new`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CaptureError> {
        Self::new(File::open(path)?)
    }
}

impl<R: Read> Reader<R> {
    /// Reads the header of a capture and learns its format. Reads are large: no need to buffer `input`.
    ///
    /// # Errors
    ///
    /// [`CaptureError::NotACapture`] when the first octets are those of something else, or missing;
    /// [`CaptureError::Truncated`], [`CaptureError::Malformed`] when the header is broken.
    pub fn new(mut input: R) -> Result<Self, CaptureError> {
        let mut magic = [0; 4];
        match input.read_exact(&mut magic) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                return Err(CaptureError::NotACapture);
            }
            other => other?,
        }
        let source = Cursor::new(magic).chain(input);
        let mut interfaces = Vec::new();
        let source = if magic == PCAPNG_MAGIC {
            Format::PcapNg(PcapNgReader::new(source)?)
        } else if PCAP_MAGIC.contains(&magic) {
            let reader = PcapReader::new(source)?;
            let link_type = reader.header().datalink.into();
            let interface = Interface {
                link_type,
                name: String::new(),
            };
            interfaces.push(Described {
                interface,
                resolution: MICROSECONDS,
                offset: 0,
            });
            Format::Pcap(reader)
        } else {
            return Err(CaptureError::NotACapture);
        };
        Ok(Self {
            source,
            interfaces,
            failed: false,
        })
    }

    /// What the capture says of an interface, once a packet of it was read.
    pub fn interface(&self, id: InterfaceId) -> Option<&Interface> {
        let described = self.interfaces.get(usize::try_from(id.0).ok()?)?;
        Some(&described.interface)
    }

    /// The link type of an interface, [`LinkType::RawIp`] and [`LinkType::Ethernet`] being the ones the rest of Handwave reads.
    pub fn link_type(&self, id: InterfaceId) -> Option<LinkType> {
        self.interface(id).map(|interface| interface.link_type)
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Packet<'static>, CaptureError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let result = match &mut self.source {
            Format::PcapNg(reader) => next_pcapng(reader, &mut self.interfaces),
            Format::Pcap(reader) => {
                let resolution = reader.header().ts_resolution;
                reader
                    .next_raw_packet()
                    .map(|raw| classic_packet(raw, resolution))
            }
        };
        self.failed = matches!(result, Some(Err(_)));
        result
    }
}

impl<R: Read> fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("pcapng", &matches!(self.source, Format::PcapNg(_)))
            .field("interfaces", &self.interfaces.len())
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

/// Reads blocks up to and including the next packet, learning interfaces on the way.
fn next_pcapng<R: Read>(
    reader: &mut PcapNgReader<R>,
    interfaces: &mut Vec<Described>,
) -> Option<Result<Packet<'static>, CaptureError>> {
    loop {
        let block = match reader.next_block()? {
            Ok(block) => block,
            Err(error) => return Some(Err(error.into())),
        };
        match block {
            Block::SectionHeader(_) => interfaces.clear(),
            Block::InterfaceDescription(block) => {
                if interfaces.len() == INTERFACES_MAX {
                    let what = format!("more than {INTERFACES_MAX} interfaces");
                    return Some(Err(CaptureError::Malformed(what)));
                }
                interfaces.push(described(&block));
            }
            Block::EnhancedPacket(block) => return Some(enhanced(block, interfaces)),
            Block::SimplePacket(block) => {
                let mut data = block.data.into_owned();
                data.truncate(usize::try_from(block.original_len).unwrap_or(usize::MAX));
                let mut packet = Packet::new(Duration::ZERO, data);
                packet.original_len = block.original_len;
                return Some(if interfaces.is_empty() {
                    Err(CaptureError::UnknownInterface(0))
                } else {
                    Ok(packet)
                });
            }
            // The rest carries no packet: names, statistics, journals, and the packet block that the format has
            // declared obsolete since before it had a number.
            _ => {}
        }
    }
}

fn described(block: &InterfaceDescriptionBlock<'_>) -> Described {
    let mut described = Described {
        interface: Interface {
            link_type: block.linktype.into(),
            name: String::new(),
        },
        resolution: MICROSECONDS,
        offset: 0,
    };
    for option in &block.options {
        match option {
            InterfaceDescriptionOption::IfName(name) => {
                described.interface.name = name.clone().into_owned();
            }
            InterfaceDescriptionOption::IfTsResol(resolution) => described.resolution = *resolution,
            InterfaceDescriptionOption::IfTsOffset(offset) => {
                described.offset = offset.cast_signed();
            }
            _ => {}
        }
    }
    described
}

fn enhanced(
    block: EnhancedPacketBlock<'_>,
    interfaces: &[Described],
) -> Result<Packet<'static>, CaptureError> {
    let described = usize::try_from(block.interface_id)
        .ok()
        .and_then(|index| interfaces.get(index))
        .ok_or(CaptureError::UnknownInterface(block.interface_id))?;
    // The crate hands over the bare number of units as if each were a nanosecond, whatever `if_tsresol` says.
    let time = time_of(block.timestamp.as_nanos(), described)?;
    let mut packet = Packet::new(time, block.data.into_owned());
    packet.interface = InterfaceId(block.interface_id);
    packet.original_len = block.original_len;
    for option in block.options {
        match option {
            // Several comments may stand on one packet: the first is shown, as in Wireshark's column.
            EnhancedPacketOption::Comment(text) if packet.comment.is_none() => {
                packet.comment = Some(Cow::Owned(text.into_owned()));
            }
            EnhancedPacketOption::Flags(flags) => {
                packet.direction = match flags & 0b11 {
                    0b01 => Some(Direction::Inbound),
                    0b10 => Some(Direction::Outbound),
                    _ => None,
                };
            }
            _ => {}
        }
    }
    Ok(packet)
}

/// Turns a count of the interface's units into a span since the epoch.
fn time_of(units: u128, described: &Described) -> Result<Duration, CaptureError> {
    let exponent = u32::from(described.resolution & 0x7f);
    let base: u128 = if described.resolution & 0x80 == 0 {
        10
    } else {
        2
    };
    let out_of_range = || CaptureError::Malformed("a timestamp is out of range".to_owned());
    let per_second = base.checked_pow(exponent).ok_or_else(out_of_range)?;
    let seconds = units / per_second;
    // At most 2^64 units times 10^9 fits in 128 bits.
    let nanoseconds = (units % per_second) * 1_000_000_000 / per_second;
    let seconds = u64::try_from(seconds)
        .ok()
        .and_then(|seconds| seconds.checked_add_signed(described.offset))
        .ok_or_else(out_of_range)?;
    let nanoseconds = u32::try_from(nanoseconds).map_err(|_| out_of_range())?;
    Ok(Duration::new(seconds, nanoseconds))
}

/// Turns a record of a classic capture into a packet.
///
/// The raw record is taken because the checked one refuses a packet longer than the snapshot length, which is what every
/// capture with a snapshot length is full of.
fn classic_packet(
    raw: Result<RawPcapPacket<'_>, PcapError>,
    resolution: TsResolution,
) -> Result<Packet<'static>, CaptureError> {
    let raw = raw?;
    let scale = if resolution == TsResolution::NanoSecond {
        1
    } else {
        1_000
    };
    let time = Duration::from_secs(u64::from(raw.ts_sec))
        + Duration::from_nanos(u64::from(raw.ts_frac) * scale);
    let mut packet = Packet::new(time, raw.data.into_owned());
    packet.original_len = raw.orig_len;
    Ok(packet)
}
