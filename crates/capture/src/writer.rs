//! Writing pcapng.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use pcap_file::Endianness;
use pcap_file::pcapng::PcapNgWriter;
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption,
};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};

use crate::{CaptureError, Direction, InterfaceId, LinkType, Packet};

/// `if_tsresol`: timestamps count units of 10^-9 seconds.
const NANOSECONDS: u8 = 9;
/// An option's length field has 16 bits.
const OPTION_LEN_MAX: usize = u16::MAX as usize;
/// The two lowest bits of `epb_flags` say which way the packet went.
const FLAG_INBOUND: u32 = 0b01;
const FLAG_OUTBOUND: u32 = 0b10;

/// Writes packets as pcapng, with nanosecond timestamps.
///
/// A capture has at least one interface, described at the start; [`add_interface`](Self::add_interface) describes more,
/// at any time before their first packet. Call [`finish`](Self::finish) at the end: it is what reports a full disk.
///
/// # Examples
///
/// ```no_run
/// use std::time::Duration;
/// use handwave_capture::{LinkType, Packet, Writer};
///
/// let mut writer = Writer::create("lab.pcapng", LinkType::RawIp, "client")?;
/// let server = writer.add_interface(LinkType::RawIp, "server")?;
/// writer.write(&Packet::new(Duration::from_millis(20), &[0x45][..]).with_interface(server))?;
/// writer.finish()?;
/// # Ok::<(), handwave_capture::CaptureError>(())
/// ```
pub struct Writer<W: Write> {
    inner: PcapNgWriter<W>,
    packets: u64,
}

impl Writer<BufWriter<File>> {
    /// Creates the file at `path` (or empties it), with one interface.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Io`] when the file cannot be created or written.
    pub fn create(
        path: impl AsRef<Path>,
        link_type: LinkType,
        interface_name: &str,
    ) -> Result<Self, CaptureError> {
        Self::new(
            BufWriter::new(File::create(path)?),
            link_type,
            interface_name,
        )
    }
}

impl<W: Write> Writer<W> {
    /// Starts a capture on `output`, with one interface. Give it a buffered writer.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Io`] when `output` cannot be written.
    pub fn new(output: W, link_type: LinkType, interface_name: &str) -> Result<Self, CaptureError> {
        let application = concat!("Handwave ", env!("CARGO_PKG_VERSION"));
        let section = SectionHeaderBlock {
            // One byte order everywhere, so that the same run gives the same file on every machine.
            endianness: Endianness::Little,
            options: vec![SectionHeaderOption::UserApplication(application.into())],
            ..SectionHeaderBlock::default()
        };
        let inner = PcapNgWriter::with_section_header(output, section)?;
        let mut writer = Self { inner, packets: 0 };
        writer.add_interface(link_type, interface_name)?;
        Ok(writer)
    }

    /// Describes a further interface and returns the name its packets use.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Io`] when the output cannot be written.
    pub fn add_interface(
        &mut self,
        link_type: LinkType,
        name: &str,
    ) -> Result<InterfaceId, CaptureError> {
        let id = u32::try_from(self.inner.interfaces().len())
            .map_err(|_| CaptureError::Malformed("too many interfaces".to_owned()))?;
        self.inner.write_pcapng_block(InterfaceDescriptionBlock {
            linktype: link_type.into(),
            snaplen: 0,
            options: vec![
                InterfaceDescriptionOption::IfName(clip(name).to_owned().into()),
                InterfaceDescriptionOption::IfTsResol(NANOSECONDS),
            ],
        })?;
        Ok(InterfaceId(id))
    }

    /// Appends one packet.
    ///
    /// Packets may be written in any order; readers show them in the order of the file.
    ///
    /// # Errors
    ///
    /// [`CaptureError::UnknownInterface`] when the packet's interface was not described; [`CaptureError::Io`] when the
    /// output cannot be written.
    pub fn write(&mut self, packet: &Packet<'_>) -> Result<(), CaptureError> {
        let mut options = Vec::new();
        if let Some(comment) = &packet.comment {
            options.push(EnhancedPacketOption::Comment(Cow::Borrowed(clip(comment))));
        }
        match packet.direction {
            Some(Direction::Inbound) => options.push(EnhancedPacketOption::Flags(FLAG_INBOUND)),
            Some(Direction::Outbound) => options.push(EnhancedPacketOption::Flags(FLAG_OUTBOUND)),
            None => {}
        }
        self.inner.write_pcapng_block(EnhancedPacketBlock {
            interface_id: packet.interface.0,
            timestamp: packet.time,
            original_len: packet.original_len,
            data: Cow::Borrowed(&packet.data),
            options,
        })?;
        self.packets += 1;
        Ok(())
    }

    /// The number of packets written.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Flushes what is buffered and hands back the output.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Io`] when the last octets cannot be written.
    pub fn finish(self) -> Result<W, CaptureError> {
        let mut output = self.inner.into_inner();
        output.flush()?;
        Ok(output)
    }
}

impl<W: Write> fmt::Debug for Writer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("interfaces", &self.inner.interfaces().len())
            .field("packets", &self.packets)
            .finish_non_exhaustive()
    }
}

/// Cuts a text to what one option can hold, between two characters.
fn clip(text: &str) -> &str {
    &text[..text.floor_char_boundary(OPTION_LEN_MAX)]
}
